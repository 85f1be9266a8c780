//! The names that the configuration gives to models, laid over what the backends have listed.
//!
//! Knows which name stands for which model, and what is wanted of it. Refuses to know who may ask. Invariants: a name stands
//! for a model and never for another name; what belongs to a loaded model is the same by whatever name it is asked for.

use std::{collections::HashMap, sync::Arc};

use crate::{chat::Defaults, config::NamedModel};

/// A model's place: its backend's, from 0, and its id there.
pub type Place = (usize, String);

/// All names at one moment.
#[derive(Debug, Clone, Default)]
pub struct Names {
    list: Arc<[NamedModel]>,
    by_name: HashMap<String, usize>,
    /// What is wanted of a model, by whatever name it is asked for.
    own: HashMap<Place, Own>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Own {
    defaults: Defaults,
    hidden: bool,
}

impl Names {
    /// These names; `place` says which model answers where one is asked for by a backend's own name.
    #[must_use]
    pub fn new(list: Arc<[NamedModel]>, place: impl Fn(&str) -> Option<Place>) -> Self {
        let by_name =
            list.iter().enumerate().map(|(at, model)| (model.name.as_str().to_owned(), at)).collect();
        let mut own: HashMap<Place, Own> = HashMap::new();
        // What is said of the model itself goes before what its other names say of it.
        let (models, names): (Vec<_>, Vec<_>) = list.iter().partition(|model| model.target.is_none());
        for model in models.into_iter().chain(names) {
            let Some(place) = place(model.meant()) else { continue };
            let known = own.entry(place).or_default();
            let itself = model.target.is_none();
            let said = if itself { model.defaults } else { model.defaults.of_the_loaded() };
            known.defaults = known.defaults.or(said);
            known.hidden |= itself && model.hidden;
        }
        Self { list, by_name, own }
    }

    /// Each name, in the configuration's order.
    #[must_use]
    pub fn list(&self) -> &Arc<[NamedModel]> {
        &self.list
    }

    /// What a name stands for, where it is another one than the model's own.
    #[must_use]
    pub fn target(&self, asked: &str) -> Option<&str> {
        Some(self.named(asked)?.target.as_ref()?.as_str())
    }

    /// What is wanted of a request for this name that goes to this model.
    #[must_use]
    pub fn defaults(&self, asked: &str, place: &Place) -> Defaults {
        let by_name = self.named(asked).filter(|named| named.target.is_some());
        let by_name = by_name.map(|named| named.defaults.of_a_request()).unwrap_or_default();
        by_name.or(self.own(place).defaults)
    }

    /// The context that every request for this model has, where the configuration says one.
    #[must_use]
    pub fn context(&self, place: &Place) -> Option<u32> {
        self.own(place).defaults.num_ctx
    }

    /// Whether this model is left out of the list.
    #[must_use]
    pub fn is_hidden(&self, place: &Place) -> bool {
        self.own(place).hidden
    }

    fn named(&self, name: &str) -> Option<&NamedModel> {
        self.list.get(*self.by_name.get(name)?)
    }

    fn own(&self, place: &Place) -> Own {
        self.own.get(place).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Config, Source},
        routing::{BackendModels, Catalog, Model},
    };

    fn names(text: &str) -> Names {
        let source = Source::File { name: "a.toml".to_owned(), bytes: text.into() };
        let config = Config::load(&[source]).unwrap_or_else(|errors| panic!("{errors:#?}"));
        let model = |id: &str| Model { id: id.to_owned(), ..Model::default() };
        let backend =
            |name: &str, models: Option<Vec<Model>>| BackendModels { name: name.to_owned(), models };
        let catalog = Catalog::new(vec![
            backend("box", Some(vec![model("tiny:latest"), model("other")])),
            backend("second", Some(vec![model("tiny:latest")])),
            backend("silent", None),
        ]);
        Names::new(config.models.into(), |name| {
            catalog.resolve(name).map(|route| (route.index, route.model.to_owned()))
        })
    }

    const NAMES: &str = "[[models]]\nname = \"gpt\"\ntarget = \"tiny\"\ntemperature = 0.5\ncontext = 4096\n\
                         [[models]]\nname = \"box/tiny:latest\"\ntop_k = 7\ntemperature = 1.5\nhidden = true\n\
                         [[models]]\nname = \"gone\"\ntarget = \"nobody\"\ntemperature = 0.1\n\
                         [[models]]\nname = \"silent/any\"\ncontext = 2048\n\
                         [[models]]\nname = \"other\"\ntarget = \"second/tiny\"\nhidden = true";

    #[test]
    fn a_name_has_its_own_defaults_before_those_of_its_model() {
        let names = names(NAMES);
        let tiny = (0, "tiny:latest".to_owned());
        assert_eq!(
            (names.target("gpt"), names.target("tiny"), names.target("gone")),
            (Some("tiny"), None, Some("nobody"))
        );
        let gpt = names.defaults("gpt", &tiny);
        assert_eq!(
            (gpt.sampling.temperature, gpt.sampling.top_k, gpt.num_ctx),
            (Some(0.5), Some(7), Some(4096))
        );
        for asked in ["tiny", "tiny:latest", "box/tiny", "box/tiny:latest"] {
            let own = names.defaults(asked, &tiny);
            let said = (own.sampling.temperature, own.sampling.top_k, own.num_ctx);
            assert_eq!(said, (Some(1.5), Some(7), Some(4096)), "{asked}");
        }
        assert_eq!(names.defaults("second/tiny", &(1, "tiny:latest".to_owned())), Defaults::default());
        assert_eq!(names.context(&(2, "any".to_owned())), Some(2048), "before its first list as well");
    }

    #[test]
    fn a_block_hides_its_own_model_and_a_name_hides_none() {
        let names = names(NAMES);
        assert!(names.is_hidden(&(0, "tiny:latest".to_owned())));
        assert!(
            !names.is_hidden(&(1, "tiny:latest".to_owned())) && !names.is_hidden(&(0, "other".to_owned()))
        );
    }
}
