//! What is known of all backends at one moment.
//!
//! Knows each backend's last list and last fault. Refuses to ask anybody. Invariant: it never changes.

use std::time::Duration;

use ghostllm_core::{
    error::BackendFault,
    routing::{BackendModels, Catalog, Model},
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
}

/// All backends at one moment.
#[derive(Debug)]
pub struct Snapshot {
    backends: Vec<Known>,
    catalog: Catalog,
    found: bool,
}

impl Snapshot {
    /// Before anybody was asked.
    pub(super) fn unknown(backends: Backends) -> Self {
        Self::of(backends.list.into_iter().map(Known::unknown).collect(), backends.found)
    }

    /// After these have answered. Who is no longer there has answered in vain.
    pub(super) fn after(&self, mut heard: Vec<(Backend, Heard)>, moment: Moment) -> Self {
        let known = |before: &Known| {
            let place = heard.iter().position(|(asked, _)| asked.is(&before.backend));
            place.map_or_else(|| before.clone(), |place| before.after(heard.swap_remove(place).1, moment))
        };
        Self::of(self.backends.iter().map(known).collect(), self.found)
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
        Self::of(backends.list.into_iter().map(known).collect(), backends.found)
    }

    fn of(backends: Vec<Known>, found: bool) -> Self {
        let entry = |known: &Known| BackendModels {
            name: known.backend.name().to_owned(),
            models: known.models.clone(),
        };
        let catalog = Catalog::new(backends.iter().map(entry).collect());
        Self { backends, catalog, found }
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
        let Some(route) = self.catalog.resolve(asked) else { return self.unlisted_demo(asked) };
        let known = self.backends.get(route.index)?;
        // Before its first list any name may be meant; a path is none, and our engine would open the file.
        if *known.backend.kind() == Kind::Engine && route.model.starts_with('/') {
            return None;
        }
        Some(Routed { backend: known.backend.clone(), model: route.model.to_owned() })
    }

    /// Whether a backend has listed the model that a name means; before a backend's first list, any name may be one of its models.
    #[must_use]
    pub fn lists(&self, asked: &str) -> bool {
        self.catalog.model(asked).is_some() || asked == DEMO_MODEL
    }

    /// Our engine answers for the demo even where it lists real models alone.
    fn unlisted_demo(&self, asked: &str) -> Option<Routed> {
        let known = self.backends.iter().find(|known| *known.backend.kind() == Kind::Engine)?;
        (asked == DEMO_MODEL).then(|| Routed { backend: known.backend.clone(), model: asked.to_owned() })
    }

    /// Why the file that would be called so cannot be served, where a file is configured and was never any good.
    #[must_use]
    pub fn unusable(&self, asked: &str) -> Option<&BackendFault> {
        let called = |known: &&Known| known.backend.file_model().is_some_and(|model| model == asked);
        self.backends.iter().filter(|known| known.models.is_none()).find(called)?.fault()
    }

    /// The models for the public list, without those of a backend that has been silent for long, each with its backend. The demo
    /// is in it only while there is nothing else; whoever asks for it by name gets it still.
    pub fn listed(&self) -> impl Iterator<Item = (&Known, &Model)> {
        let listed = || {
            let all = self.catalog.list();
            all.filter_map(|(place, model)| Some((self.backends.get(place)?, model)))
                .filter(|(known, _)| known.is_listed())
        };
        let real = listed().any(|(_, model)| !is_demo(model));
        listed().filter(move |(_, model)| !(real && is_demo(model)))
    }

    /// The model that a name means; where the list has it no longer, why its backend does not answer.
    #[must_use]
    pub fn model(&self, asked: &str) -> Option<Result<&Model, &BackendFault>> {
        let (place, model) = self.catalog.model(asked)?;
        let known = self.backends.get(place)?;
        Some(match known.fault() {
            Some(fault) if !known.is_listed() => Err(fault),
            _ => Ok(model),
        })
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

/// Our engine's demo; a model of that name that somebody else has is a real one.
fn is_demo(model: &Model) -> bool {
    model.id == DEMO_MODEL && model.owned_by == DEMO_OWNER
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ghostllm_core::{config::Limits, error::Stage};

    use super::*;

    fn model(id: &str, owned_by: &str) -> Model {
        Model { id: id.to_owned(), created: 0, owned_by: owned_by.to_owned() }
    }

    fn ids(snapshot: &Snapshot) -> Vec<&str> {
        snapshot.listed().map(|(_, model)| model.id.as_str()).collect()
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
        let unknown = Snapshot::unknown(Backends { list: vec![first, engine], found: true });
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
}
