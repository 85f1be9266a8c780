//! What requests have come to, counted when each of them ends.
//!
//! Invariant: labels are our own words, statuses, and names that a backend or the configuration has given.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use ghostllm_core::{
    chat::Usage,
    metrics::{self, Definition, Kind},
    routes::TABLE,
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Metric, Registry},
};

use super::{names::Names, unit};

/// The route of what no row answers.
const UNMATCHED: &str = "unmatched";

/// How requests end, as their records have it.
const ENDS: [&str; 5] = ["completed", "refused", "failed", "left", "cancelled"];

/// What a request has come to.
#[derive(Debug)]
pub(crate) struct Ended<'a> {
    /// The path of the row that has answered; none where none has.
    pub(crate) route: Option<&'static str>,
    /// The version that it was asked in.
    pub(crate) http: &'static str,
    /// The status that was sent, if one was.
    pub(crate) status: Option<u16>,
    /// How it ended.
    pub(crate) ended: &'static str,
    /// From its head to the end of its answer.
    pub(crate) took: Duration,
    /// What is known of a chat that an engine was asked for.
    pub(crate) chat: Option<Chat<'a>>,
}

/// A chat, a completion, or embeddings, that an engine was asked for.
#[derive(Debug)]
pub(crate) struct Chat<'a> {
    /// What it was asked for.
    pub(crate) operation: Operation,
    /// The model, as its backend has listed it; none for a name that it has not.
    pub(crate) model: Option<&'a str>,
    /// The backend's name.
    pub(crate) backend: &'a str,
    /// Its kind.
    pub(crate) provider: &'static str,
    /// From the request's head to the engine's first event.
    pub(crate) first: Option<Duration>,
    /// From there to the end of a whole answer.
    pub(crate) rest: Option<Duration>,
    /// What the engine has counted.
    pub(crate) usage: Option<Usage>,
}

/// What an engine is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// An answer.
    Chat,
    /// A text gone on with.
    Completion,
    /// Vectors.
    Embeddings,
}

impl Operation {
    /// As OpenTelemetry calls it.
    const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completion => "text_completion",
            Self::Embeddings => "embeddings",
        }
    }

    /// The kinds of its tokens, with how many there are of each.
    fn tokens(self, usage: Usage) -> impl Iterator<Item = (&'static str, u64)> {
        let output = (self != Self::Embeddings).then_some(("output", usage.completion_tokens));
        [("input", usage.prompt_tokens)].into_iter().chain(output)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: &'static str,
    http: &'static str,
    status: Option<u16>,
    model: Option<Arc<str>>,
    backend: Option<Arc<str>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct End {
    route: &'static str,
    ended: &'static str,
}

/// As OpenTelemetry calls them, dots being underscores.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Generated {
    gen_ai_operation_name: &'static str,
    gen_ai_provider_name: &'static str,
    gen_ai_request_model: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Counted {
    gen_ai_operation_name: &'static str,
    gen_ai_provider_name: &'static str,
    gen_ai_request_model: Arc<str>,
    gen_ai_token_type: &'static str,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// All of that.
#[derive(Debug)]
pub(super) struct Families {
    models: Names,
    backends: Names,
    requests: Family<Answered, Counter>,
    ended: Family<End, Counter>,
    duration: Histograms<Answered>,
    generation: Histograms<Generated>,
    first: Histograms<Generated>,
    each: Histograms<Generated>,
    tokens: Histograms<Counted>,
    failures: Family<Arc<str>, Counter>,
}

fn bounds(of: &Definition) -> Histogram {
    let bounds = if let Kind::Histogram(bounds) = of.kind { bounds } else { &[] };
    Histogram::new(bounds.iter().copied())
}

impl Default for Families {
    fn default() -> Self {
        let all = Self {
            models: Names::default(),
            backends: Names::default(),
            requests: Family::default(),
            ended: Family::default(),
            duration: Family::new_with_constructor(|| bounds(&metrics::REQUEST_DURATION)),
            generation: Family::new_with_constructor(|| bounds(&metrics::GENERATION_DURATION)),
            first: Family::new_with_constructor(|| bounds(&metrics::FIRST_TOKEN)),
            each: Family::new_with_constructor(|| bounds(&metrics::EACH_TOKEN)),
            tokens: Family::new_with_constructor(|| bounds(&metrics::TOKEN_USAGE)),
            failures: Family::default(),
        };
        // A rate is seen from the second sample on: what begins with 1 has lost its first.
        let routes: BTreeSet<&str> = TABLE.iter().map(|row| row.path).chain([UNMATCHED]).collect();
        for route in routes {
            for ended in ENDS {
                drop(all.ended.get_or_create(&End { route, ended }));
            }
        }
        all
    }
}

impl Families {
    /// How many chats have failed on this backend.
    pub(super) fn failures(&self, backend: &str) -> u64 {
        self.failures.get_or_create(&self.backends.of(backend)).get()
    }

    pub(super) fn ended(&self, request: &Ended<'_>) {
        let Ended { route, http, status, ended, took, chat } = request;
        let (route, http) = (route.unwrap_or(UNMATCHED), *http);
        let model = chat.as_ref().map(|chat| self.model(chat));
        let backend = chat.as_ref().map(|chat| self.backends.of(chat.backend));
        if let (Some(chat), Some(model), Some(backend)) = (chat, &model, &backend) {
            self.generated(chat, model, *took);
            if *ended == "failed" {
                self.failures.get_or_create(backend).inc();
            }
        }
        self.ended.get_or_create(&End { route, ended }).inc();
        let answered = Answered { route, http, status: *status, model, backend };
        self.duration.get_or_create(&answered).observe(took.as_secs_f64());
        self.requests.get_or_create(&answered).inc();
    }

    fn model(&self, chat: &Chat<'_>) -> Arc<str> {
        chat.model.map_or_else(|| self.models.other(), |model| self.models.of(model))
    }

    fn generated(&self, chat: &Chat<'_>, model: &Arc<str>, took: Duration) {
        let labels = Generated {
            gen_ai_operation_name: chat.operation.name(),
            gen_ai_provider_name: chat.provider,
            gen_ai_request_model: Arc::clone(model),
        };
        self.generation.get_or_create(&labels).observe(took.as_secs_f64());
        if let Some(first) = chat.first {
            self.first.get_or_create(&labels).observe(first.as_secs_f64());
        }
        let Some(usage) = chat.usage else { return };
        if let (Some(rest), 2..) = (chat.rest, usage.completion_tokens) {
            let each = rest.as_secs_f64() / amount(usage.completion_tokens - 1);
            self.each.get_or_create(&labels).observe(each);
        }
        for (kind, count) in chat.operation.tokens(usage) {
            let labels = Counted {
                gen_ai_operation_name: labels.gen_ai_operation_name,
                gen_ai_provider_name: labels.gen_ai_provider_name,
                gen_ai_request_model: Arc::clone(model),
                gen_ai_token_type: kind,
            };
            self.tokens.get_or_create(&labels).observe(amount(count));
        }
    }

    /// All but the backends' failures, which are told with the rest of what is known of them.
    pub(super) fn register(&self, registry: &mut Registry) {
        take(registry, &metrics::REQUESTS, &self.requests);
        take(registry, &metrics::REQUESTS_ENDED, &self.ended);
        take(registry, &metrics::REQUEST_DURATION, &self.duration);
        take(registry, &metrics::GENERATION_DURATION, &self.generation);
        take(registry, &metrics::FIRST_TOKEN, &self.first);
        take(registry, &metrics::EACH_TOKEN, &self.each);
        take(registry, &metrics::TOKEN_USAGE, &self.tokens);
    }
}

fn take(registry: &mut Registry, of: &Definition, metric: &(impl Metric + Clone)) {
    let words = of.words.trim();
    match unit(of) {
        Some(unit) => registry.register_with_unit(of.name, words, unit.clone(), metric.clone()),
        None => registry.register(of.name, words, metric.clone()),
    }
}

/// A count as the number that a histogram takes, exact up to 2⁵³.
fn amount(count: u64) -> f64 {
    count as f64
}
