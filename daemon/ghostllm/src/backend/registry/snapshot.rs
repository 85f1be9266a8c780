//! What is known of all backends at one moment.
//!
//! Knows each backend's last list and last fault. Refuses to ask anybody. Invariant: it never changes.

use std::{fmt, sync::Arc, time::Duration};

use ghostllm_core::{
    chat::{Defaults, Heeds},
    config::NamedModel,
    error::BackendFault,
    routing::{BackendModels, Catalog, Model, Names, Place},
};
use tokio::time::Instant;

use super::{Backend, Backends, DEMO_MODEL, DEMO_OWNER, Kind, marked};

/// One backend and what it said last.
#[derive(Debug, Clone)]
pub struct Known {
    backend: Backend,
    models: Option<Vec<Model>>,
    fault: Option<BackendFault>,
    asked: bool,
    /// When it last answered.
    heard: Option<Instant>,
    listed: bool,
}

/// What one backend said when it was asked.
type Heard = Result<Vec<Model>, BackendFault>;

/// When it was, and how long what a silent backend has stays in the list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) now: Instant,
    pub(super) kept: Duration,
}

impl Known {
    /// One that was never asked.
    pub(super) fn unknown(backend: Backend) -> Self {
        Self { backend, models: None, fault: None, asked: false, heard: None, listed: false }
    }

    /// After it was asked.
    fn after(&self, heard: Heard, Moment { now, kept }: Moment) -> Self {
        match heard {
            Ok(models) => {
                let backend = self.backend.clone();
                let models = Some(marked(models, backend.kind()));
                Self { backend, models, fault: None, asked: true, heard: Some(now), listed: true }
            }
            // What was known of it stays.
            Err(BackendFault::Full { .. }) if self.asked => self.clone(),
            Err(fault) => {
                let listed = self.heard.is_some_and(|heard| now.duration_since(heard) < kept);
                Self { fault: Some(fault), asked: true, listed, ..self.clone() }
            }
        }
    }

    /// The backend.
    #[must_use]
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// What it listed when it last answered; empty where it never did.
    #[must_use]
    pub fn models(&self) -> &[Model] {
        self.models.as_deref().unwrap_or_default()
    }

    /// Why it did not answer the last time it was asked.
    #[must_use]
    pub fn fault(&self) -> Option<&BackendFault> {
        self.fault.as_ref()
    }

    /// Whether it was ever asked, and has answered or failed.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.asked
    }

    /// Whether it has ever said what it has.
    pub fn has_answered(&self) -> bool {
        self.heard.is_some()
    }

    /// Whether it answered the last time it was asked.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.asked && self.fault.is_none()
    }

    /// Whether its models are in the public list: it answered, or did so a short time ago.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        self.listed
    }
}

/// Where a request goes.
#[derive(Debug, Clone)]
pub struct Routed {
    /// The backend.
    pub backend: Backend,
    /// The model's id, as that backend spells it.
    pub model: String,
    /// Whether the configuration has given it the name that was asked for.
    pub alias: bool,
    /// What is wanted of it where the client says nothing.
    pub defaults: Defaults,
    /// What the model's template goes by of how hard to think, where its backend has said so.
    pub heeds: Option<Heeds>,
}

/// A model under one of its names.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'a> {
    /// The name.
    pub id: &'a str,
    /// The backend that has it.
    pub known: &'a Known,
    /// What the backend says of it.
    pub model: &'a Model,
    /// Its tokens of context, as far as they are known.
    pub context_length: Option<u64>,
    /// Whether the configuration has given it this name.
    pub alias: bool,
    /// It answers to the name, and is not in the public list.
    pub hidden: bool,
}

/// What is odd about a name that the configuration gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Odd<'a> {
    /// No backend has what it stands for.
    Nobodys {
        /// The name.
        name: &'a str,
        /// What it stands for.
        target: &'a str,
    },
    /// A backend has a model that is called so as well.
    Hides {
        /// The name.
        name: &'a str,
        /// What it stands for.
        target: &'a str,
        /// The other model, as its backend calls it.
        model: &'a str,
        /// That backend.
        backend: &'a str,
    },
    /// Another name of the same model says of it what goes before what this one says.
    Context {
        /// The name.
        name: &'a str,
        /// The model, as its backend calls it.
        model: &'a str,
        /// Tokens of context that this name wants.
        wanted: u32,
        /// Those that every request for the model has.
        used: u32,
    },
}

impl fmt::Display for Odd<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobodys { name, target } => {
                write!(f, "the name {name} stands for the model {target}, which no backend has")
            }
            Self::Hides { name, target, model, backend } => {
                write!(
                    f,
                    "the name {name} stands for the model {target} and hides {model}, which the backend {backend} has"
                )
            }
            Self::Context { name, model, wanted, used } => {
                write!(
                    f,
                    "the name {name} wants a context of {wanted} tokens of the model {model}, which has {used} by another of its names"
                )
            }
        }
    }
}

/// All backends at one moment.
#[derive(Debug)]
pub struct Snapshot {
    backends: Vec<Known>,
    catalog: Catalog,
    names: Names,
    found: bool,
}

impl Snapshot {
    /// Before anybody was asked.
    pub(super) fn unknown(backends: Backends) -> Self {
        Self::of(backends.list.into_iter().map(Known::unknown).collect(), backends.found, backends.models)
    }

    /// After these have answered. Who is no longer there has answered in vain.
    pub(super) fn after(&self, mut heard: Vec<(Backend, Heard)>, moment: Moment) -> Self {
        let known = |before: &Known| {
            let place = heard.iter().position(|(asked, _)| asked.is(&before.backend));
            place.map_or_else(|| before.clone(), |place| before.after(heard.swap_remove(place).1, moment))
        };
        let models = Arc::clone(self.names.list());
        Self::of(self.backends.iter().map(known).collect(), self.found, models)
    }

    /// With other backends, some of which have been asked. What is known of a place stays known.
    pub(super) fn with(
        &self,
        backends: Backends,
        mut heard: Vec<(Backend, Option<Heard>)>,
        moment: Moment,
    ) -> Self {
        let known = |backend: Backend| {
            let there = self.at(&backend).cloned();
            let known = there.map_or_else(
                || Known::unknown(backend.clone()),
                |there| Known { backend: backend.clone(), ..there },
            );
            let place = heard.iter().position(|(asked, _)| asked.is(&backend));
            match place.and_then(|place| heard.swap_remove(place).1) {
                Some(heard) => known.after(heard, moment),
                None => known,
            }
        };
        Self::of(backends.list.into_iter().map(known).collect(), backends.found, backends.models)
    }

    fn of(backends: Vec<Known>, found: bool, models: Arc<[NamedModel]>) -> Self {
        let entry = |known: &Known| BackendModels {
            name: known.backend.name().to_owned(),
            models: known.models.clone(),
        };
        let catalog = Catalog::new(backends.iter().map(entry).collect());
        let names = Names::new(models, |name| resolve(&backends, &catalog, name));
        Self { backends, catalog, names, found }
    }

    /// Whether the backends are looked for; else the configuration names them.
    #[must_use]
    pub fn found(&self) -> bool {
        self.found
    }

    /// What is known of the place that this one stands for.
    pub(super) fn at(&self, backend: &Backend) -> Option<&Known> {
        self.backends.iter().find(|known| known.backend.is_at(backend))
    }

    /// Each backend and what it said last, in configuration order.
    #[must_use]
    pub fn backends(&self) -> &[Known] {
        &self.backends
    }

    /// The names of all models, the demo's among them.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Where a request for this name goes; none where no backend has it.
    #[must_use]
    pub fn route(&self, asked: &str) -> Option<Routed> {
        let place = resolve(&self.backends, &self.catalog, self.meant(asked))?;
        let backend = self.backends.get(place.0)?.backend.clone();
        let (alias, defaults) = (self.target(asked).is_some(), self.names.defaults(asked, &place));
        let heeds = self.catalog.model(self.meant(asked)).and_then(|(_, model)| model.heeds);
        Some(Routed { backend, model: place.1, alias, defaults, heeds })
    }

    /// What a name stands for, where the configuration has given it to a model that has another.
    #[must_use]
    pub fn target(&self, asked: &str) -> Option<&str> {
        self.names.target(asked)
    }

    /// A model's name as a backend may have it.
    fn meant<'a>(&'a self, asked: &'a str) -> &'a str {
        self.target(asked).unwrap_or(asked)
    }

    /// Whether a backend has listed the model that a name means; before a backend's first list, any name may be one of its models.
    #[must_use]
    pub fn lists(&self, asked: &str) -> bool {
        let meant = self.meant(asked);
        self.catalog.model(meant).is_some() || meant == DEMO_MODEL
    }

    /// Whether a backend that has never said what it has may have a model that nobody lists.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        let mut silent = self.backends.iter().map(|known| !known.is_up() && known.models().is_empty());
        if self.found { silent.all(|silent| silent) } else { silent.any(|silent| silent) }
    }

    /// Whether nothing is there that could have a model: nobody has named a backend, none that is looked for answers, and our engine is not
    /// installed.
    #[must_use]
    pub fn lacks_engines(&self) -> bool {
        let is_ours = |known: &Known| *known.backend().kind() == Kind::Engine;
        self.found && self.is_doubtful() && !self.backends.iter().any(is_ours)
    }

    /// What is odd about the names that the configuration gives.
    pub fn odd(&self) -> impl Iterator<Item = Odd<'_>> {
        self.odd_names().chain(self.odd_contexts())
    }

    /// The configuration's check sees two contexts where two blocks name a model alike; that they mean the same one is known here alone.
    fn odd_contexts(&self) -> impl Iterator<Item = Odd<'_>> {
        self.names.list().iter().filter_map(|named| {
            let (at, model) = self.catalog.model(named.meant())?;
            let used = self.names.context(&(at, model.id.clone()))?;
            let wanted = named.defaults.num_ctx.filter(|wanted| *wanted != used)?;
            Some(Odd::Context { name: named.name.as_str(), model: &model.id, wanted, used })
        })
    }

    fn odd_names(&self) -> impl Iterator<Item = Odd<'_>> {
        let names = self
            .names
            .list()
            .iter()
            .filter_map(|named| Some((named.name.as_str(), named.target.as_ref()?.as_str())));
        names.filter_map(|(name, target)| {
            let place = resolve(&self.backends, &self.catalog, target);
            if place.is_none() && self.unusable(name).is_none() && !self.is_doubtful() {
                return Some(Odd::Nobodys { name, target });
            }
            let (at, model) = self.catalog.model(name)?;
            let same = place.is_some_and(|place| place.0 == at && place.1 == model.id);
            let backend = self.backends.get(at)?.backend.name();
            (!same).then_some(Odd::Hides { name, target, model: &model.id, backend })
        })
    }

    /// Why the file that would be called so cannot be served, where a file is configured and was never any good.
    #[must_use]
    pub fn unusable(&self, asked: &str) -> Option<&BackendFault> {
        let meant = self.meant(asked);
        let called = |known: &&Known| known.backend.file_model().is_some_and(|model| model == meant);
        self.backends.iter().filter(|known| known.models.is_none()).find(called)?.fault()
    }

    /// The models for the list, without those of a backend that has been silent for long, each with its backend; behind them the
    /// names that the configuration gives, as far as a backend has what they stand for. The demo is in it only while there is
    /// nothing else; whoever asks for it by name gets it still.
    pub fn listed(&self) -> impl Iterator<Item = Listed<'_>> {
        let own = || self.catalog.list().filter_map(|(place, model)| self.listing(place, model));
        let real = own().any(|listed| !is_demo(listed.model));
        // What another model bears the name of is asked for by another one.
        let own = own().filter(|listed| self.target(listed.id).is_none());
        let own = own.filter(move |listed| !(real && is_demo(listed.model)));
        let named = self.names.list().iter().filter(|named| named.target.is_some()).filter_map(|named| {
            let (place, model) = self.catalog.model(named.meant())?;
            let listed = self.listing(place, model)?;
            Some(Listed { id: named.name.as_str(), alias: true, hidden: named.hidden, ..listed })
        });
        own.chain(named)
    }

    /// A model under its own name; none where its backend has been silent for long.
    fn listing<'a>(&'a self, place: usize, model: &'a Model) -> Option<Listed<'a>> {
        let known = self.backends.get(place).filter(|known| known.is_listed())?;
        let place: Place = (place, model.id.clone());
        let (pinned, said) = (self.names.context(&place).map(u64::from), model.context_length);
        let context_length = match known.backend.kind() {
            // It is given what is pinned, but no more than the model was made for.
            Kind::Ollama => pinned.into_iter().chain(said).min(),
            // It has what it was started with.
            Kind::OpenAi | Kind::Engine | Kind::Gguf(_) => said.or(pinned),
        };
        let hidden = self.names.is_hidden(&place);
        Some(Listed { id: &model.id, known, model, context_length, alias: false, hidden })
    }

    /// The model that a name means, under its own name; where the list has it no longer, why its backend does not answer.
    #[must_use]
    pub fn model(&self, asked: &str) -> Option<Result<Listed<'_>, &BackendFault>> {
        let (place, model) = self.catalog.model(self.meant(asked))?;
        self.listing(place, model).map(Ok).or_else(|| self.backends.get(place)?.fault().map(Err))
    }

    /// Whether any model can answer now.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.backends.iter().any(|known| known.is_up() && !known.models().is_empty())
    }

    /// Whether the demo is all that can answer now: what a backend listed that is down does not count.
    #[must_use]
    pub fn only_demo(&self) -> bool {
        let up = self.backends.iter().filter(|known| known.is_up());
        let mut models = up.flat_map(Known::models).peekable();
        models.peek().is_some() && models.all(is_demo)
    }
}

/// Which model a name means that a backend may have; none where no backend has it. Our engine answers for the demo even where it
/// lists real models alone.
fn resolve(backends: &[Known], catalog: &Catalog, name: &str) -> Option<Place> {
    let is_engine = |known: &Known| *known.backend.kind() == Kind::Engine;
    let Some(route) = catalog.resolve(name) else {
        let place = backends.iter().position(is_engine).filter(|_| name == DEMO_MODEL)?;
        return Some((place, name.to_owned()));
    };
    // Before its first list any name may be meant; a path is none, and our engine would open the file.
    if is_engine(backends.get(route.index)?) && route.model.starts_with('/') {
        return None;
    }
    Some((route.index, route.model.to_owned()))
}

/// Our engine's demo; a model of that name that somebody else has is a real one.
fn is_demo(model: &Model) -> bool {
    model.id == DEMO_MODEL && model.owned_by == DEMO_OWNER
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ghostllm_core::{
        config::{Config, Limits, Source},
        error::Stage,
    };

    use super::*;

    fn model(id: &str, owned_by: &str) -> Model {
        Model { id: id.to_owned(), owned_by: owned_by.to_owned(), ..Model::default() }
    }

    fn ids(snapshot: &Snapshot) -> Vec<&str> {
        snapshot.listed().map(|listed| listed.id).collect()
    }

    const KEPT: Duration = Duration::from_secs(60);

    #[test]
    fn a_silent_backend_s_models_leave_the_list_after_their_time_and_come_back_with_it() {
        let limits = Arc::new(Limits::default());
        let first = Backend::found_ollama(&"http://127.0.0.1:1".parse().unwrap(), &limits).unwrap();
        let engine = Backend::engine(std::path::Path::new("/nowhere"), &limits).unwrap();
        let fault = || Err(BackendFault::Timeout { stage: Stage::Connect });
        let demo = || Ok(vec![model(DEMO_MODEL, "")]);
        let begun = Instant::now();
        let at = |snapshot: &Snapshot, ollama, after: Duration| {
            let asked = snapshot.backends().iter().map(|known| known.backend().clone());
            let heard = asked.zip([ollama, demo()]).collect();
            snapshot.after(heard, Moment { now: begun + after, kept: KEPT })
        };
        let unknown =
            Snapshot::unknown(Backends { list: vec![first, engine], found: true, models: Arc::default() });
        let never = at(&unknown, fault(), Duration::ZERO);
        assert_eq!(ids(&never), [DEMO_MODEL]);
        let up = at(&never, Ok(vec![model("tiny:latest", "ollama")]), Duration::ZERO);
        assert_eq!(ids(&up), ["tiny:latest"]);
        // Want of descriptors says nothing of it.
        let full = at(&up, Err(BackendFault::Full { detail: String::new() }), 2 * KEPT);
        assert!(ids(&full) == ["tiny:latest"] && full.backends()[0].is_up());
        let away = at(&up, fault(), KEPT - Duration::from_millis(1));
        assert_eq!(ids(&away), ["tiny:latest"]);
        assert!(away.model("tiny").unwrap().is_ok() && !away.backends()[0].is_up());
        let gone = at(&away, fault(), KEPT);
        assert_eq!(ids(&gone), [DEMO_MODEL], "which answers");
        assert!(gone.model("tiny").unwrap().is_err(), "the name stays known");
        assert!(gone.route("tiny").is_some() && gone.model("other").is_none());
        let back = at(&gone, Ok(vec![model("tiny:latest", "ollama")]), 2 * KEPT);
        assert_eq!(ids(&back), ["tiny:latest"]);
    }

    fn named(text: &str) -> Arc<[NamedModel]> {
        let source = Source::File { name: "a.toml".to_owned(), bytes: text.into() };
        Config::load(&[source]).unwrap_or_else(|errors| panic!("{errors:#?}")).models.into()
    }

    /// An Ollama that has listed these.
    fn with(names: &str, models: &[&str]) -> Snapshot {
        let limits = Arc::new(Limits::default());
        let list = vec![Backend::found_ollama(&"http://127.0.0.1:1".parse().unwrap(), &limits).unwrap()];
        let unknown = Snapshot::unknown(Backends { list, found: true, models: named(names) });
        assert_eq!(unknown.odd().count(), 0, "nobody has said yet what there is");
        let models = models.iter().map(|id| Model { context_length: Some(8192), ..model(id, "ollama") });
        let heard = vec![(unknown.backends()[0].backend().clone(), Ok(models.collect()))];
        unknown.after(heard, Moment { now: Instant::now(), kept: KEPT })
    }

    const NAMES: &str = "[[models]]\nname = \"gpt\"\ntarget = \"tiny\"\ntemperature = 0.5\n\
                         [[models]]\nname = \"other\"\ntarget = \"ollama/tiny\"\nhidden = true\n\
                         [[models]]\nname = \"tiny\"\ncontext = 4096\nhidden = true\n\
                         [[models]]\nname = \"nobody\"\ntarget = \"none\"\n\
                         [[models]]\nname = \"same\"\ntarget = \"ollama/same\"";

    #[test]
    fn a_name_of_the_configuration_is_routed_and_listed_as_its_model() {
        let snapshot = with(NAMES, &["tiny:latest", "other", "same:latest"]);
        let listed: Vec<_> = snapshot
            .listed()
            .map(|listed| (listed.id, listed.alias, listed.hidden, listed.context_length))
            .collect();
        assert_eq!(
            listed,
            [
                ("tiny:latest", false, true, Some(4096)),
                ("same:latest", false, false, Some(8192)),
                ("gpt", true, false, Some(4096)),
                ("other", true, true, Some(4096)),
                ("same", true, false, Some(8192)),
            ]
        );
        for (asked, alias, temperature) in
            [("gpt", true, Some(0.5)), ("tiny", false, None), ("other", true, None)]
        {
            let routed = snapshot.route(asked).unwrap();
            assert_eq!((routed.model.as_str(), routed.alias), ("tiny:latest", alias), "{asked}");
            let said = (routed.defaults.num_ctx, routed.defaults.sampling.temperature);
            assert_eq!(said, (Some(4096), temperature), "{asked}");
            assert!(snapshot.lists(asked) && snapshot.model(asked).unwrap().is_ok(), "{asked}");
        }
        assert_eq!(snapshot.route("ollama/other").unwrap().model, "other", "what it hides is there still");
        assert!(
            snapshot.route("nobody").is_none()
                && !snapshot.lists("nobody")
                && snapshot.model("nobody").is_none()
        );
    }

    #[test]
    fn what_is_odd_about_names_is_told() {
        let snapshot = with(NAMES, &["tiny:latest", "other", "same:latest"]);
        let hides = Odd::Hides { name: "other", target: "ollama/tiny", model: "other", backend: "ollama" };
        let nobodys = Odd::Nobodys { name: "nobody", target: "none" };
        assert_eq!(snapshot.odd().collect::<Vec<_>>(), [hides, nobodys]);
        let pulled = with(NAMES, &["tiny:latest", "none:latest", "same:latest"]);
        assert_eq!(pulled.odd().count(), 0);
    }
    #[test]
    fn of_two_contexts_of_one_model_the_one_that_comes_to_nothing_is_told() {
        let names = "[[models]]\nname = \"short\"\ntarget = \"tiny\"\ncontext = 1024\n\
                     [[models]]\nname = \"long\"\ntarget = \"ollama/tiny\"\ncontext = 4096\n\
                     [[models]]\nname = \"like\"\ntarget = \"ollama/tiny:latest\"\n\
                     [[models]]\nname = \"other\"\ncontext = 4096";
        let snapshot = with(names, &["tiny:latest", "other"]);
        let odd: Vec<_> = snapshot.odd().collect();
        assert_eq!(odd, [Odd::Context { name: "long", model: "tiny:latest", wanted: 4096, used: 1024 }]);
        for asked in ["short", "long", "like"] {
            assert_eq!(snapshot.route(asked).unwrap().defaults.num_ctx, Some(1024), "{asked}");
        }
    }
}
