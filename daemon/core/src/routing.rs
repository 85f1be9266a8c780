//! Which backend answers for a model's name.
//!
//! Knows the backends' names in configuration order and the models that each last listed. Refuses to know
//! whether a backend is up, and how it is reached. Invariant: an exact id wins over `backend/rest`, which wins
//! over `name:latest`; within each, the first backend in configuration order wins.

mod capability;
mod names;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

pub use capability::Capability;
pub use names::{Names, Place};

use crate::chat::Heeds;

/// A model as the list shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Model {
    /// The id as the backend spells it; may hold `/` and `:`.
    pub id: String,
    /// When it was made or changed, in Unix seconds; 0 where the backend does not say.
    pub created: u64,
    /// Whose it is, for people: the backend's name, or a plain word about a demo.
    pub owned_by: String,
    /// What it can do, as its backend's list has it, which may name less than there is; empty where it says nothing.
    pub capabilities: Vec<Capability>,
    /// Its tokens of context, as its backend says: of a running engine those that it has, of an Ollama those that the model
    /// was made for.
    pub context_length: Option<u64>,
    /// What its template goes by of how hard to think, where its engine says so, as our own does.
    pub heeds: Option<Heeds>,
}

/// A backend and what it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendModels {
    /// The name in the configuration.
    pub name: String,
    /// What it listed last; none while it never answered.
    pub models: Option<Vec<Model>>,
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route<'a> {
    /// The place of the backend in the configuration, from 0.
    pub index: usize,
    /// Its name.
    pub backend: &'a str,
    /// The model's id, as that backend spells it.
    pub model: &'a str,
}

/// An immutable snapshot of all backends and their models.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    backends: Vec<BackendModels>,
    /// Id to (backend, model): the first backend that lists it.
    ids: HashMap<String, (usize, usize)>,
}

impl Catalog {
    /// A snapshot of these backends, in configuration order.
    #[must_use]
    pub fn new(backends: Vec<BackendModels>) -> Self {
        let mut ids = HashMap::new();
        for (place, backend) in backends.iter().enumerate() {
            for (position, model) in backend.models.iter().flatten().enumerate() {
                ids.entry(model.id.clone()).or_insert((place, position));
            }
        }
        Self { backends, ids }
    }

    /// Where a request for this name goes; none where no backend has it.
    ///
    /// A backend that never listed its models is believed to have any that is asked of it by name, so that the
    /// client hears "unavailable, try again" rather than "no such model".
    #[must_use]
    pub fn resolve<'a>(&'a self, asked: &'a str) -> Option<Route<'a>> {
        self.exact(asked).or_else(|| self.qualified(asked)).or_else(|| self.exact(&latest(asked)?))
    }

    /// The models for `/v1/models`, each with its backend's place: each id once, in configuration order.
    pub fn list(&self) -> impl Iterator<Item = (usize, &Model)> {
        self.backends.iter().enumerate().flat_map(move |(place, backend)| {
            let models = backend.models.iter().flatten().enumerate();
            let first = move |(at, model): &(usize, &Model)| self.ids.get(&model.id) == Some(&(place, *at));
            models.filter(first).map(move |(_, model)| (place, model))
        })
    }

    /// The listed model that a name means, with the id that the list has and its backend's place.
    #[must_use]
    pub fn model(&self, asked: &str) -> Option<(usize, &Model)> {
        let route = self.resolve(asked)?;
        let models = self.backends.get(route.index)?.models.as_ref()?;
        models.iter().find(|model| model.id == route.model).map(|model| (route.index, model))
    }

    /// The backends, in configuration order.
    #[must_use]
    pub fn backends(&self) -> &[BackendModels] {
        &self.backends
    }

    fn exact(&self, id: &str) -> Option<Route<'_>> {
        let &(index, position) = self.ids.get(id)?;
        let backend = self.backends.get(index)?;
        let model = backend.models.as_ref()?.get(position)?;
        Some(Route { index, backend: &backend.name, model: &model.id })
    }

    fn qualified<'a>(&'a self, asked: &'a str) -> Option<Route<'a>> {
        let (name, rest) = asked.split_once('/')?;
        let index = self.backends.iter().position(|backend| backend.name == name)?;
        let backend = self.backends.get(index)?;
        let route = |model| Route { index, backend: &backend.name, model };
        let Some(models) = &backend.models else {
            return (!rest.is_empty()).then(|| route(rest));
        };
        let find = |id: &str| models.iter().find(|model| model.id == id);
        let found = find(rest).or_else(|| find(&latest(rest)?))?;
        Some(route(&found.id))
    }
}

/// Whether a request can name a model so: some text, in one line.
#[must_use]
pub fn is_name(id: &str) -> bool {
    !id.is_empty() && !id.contains(char::is_control)
}

/// The name with the tag that Ollama means when none is given; none where a tag is there already.
pub(crate) fn latest(name: &str) -> Option<String> {
    let last = name.rsplit('/').next().unwrap_or(name);
    (!last.is_empty() && !last.contains(':')).then(|| format!("{name}:latest"))
}
