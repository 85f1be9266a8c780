//! What each route does, in words and forms.
//!
//! Knows what a caller must know of a route beyond its row. Invariant: the matches over what answers have no wildcard arm, so
//! that a route more does not compile until it is described.

use schemars::JsonSchema;
use serde_json::{Value, json};

use super::schemas::Schemas;
use super::{admin, chat, completions, embeddings, fails, headers, listing, plain, responses};
use crate::error::Code;
use crate::routes::Endpoint;

/// What is said of the bodies that a model is asked with.
pub(super) const BODY: &str = "application/json, of at most limits.body bytes (32 MiB); it may be packed, with \
    Content-Encoding: zstd. Fields that say where a request goes, what runs inside an engine or who is answered first are refused by their names.";

/// What a route belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    Chat,
    Completions,
    Responses,
    Embeddings,
    Models,
    Box,
    Monitoring,
    Admin,
}

impl Tag {
    pub(super) const ALL: [Self; 8] = [
        Self::Chat,
        Self::Completions,
        Self::Responses,
        Self::Embeddings,
        Self::Models,
        Self::Box,
        Self::Monitoring,
        Self::Admin,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Chat => "Chat",
            Self::Completions => "Completions",
            Self::Responses => "Responses",
            Self::Embeddings => "Embeddings",
            Self::Models => "Models",
            Self::Box => "The box",
            Self::Monitoring => "Monitoring",
            Self::Admin => "Admin",
        }
    }

    pub(super) const fn about(self) -> &'static str {
        match self {
            Self::Chat => "OpenAI's chat completions.",
            Self::Completions => "OpenAI's older completions.",
            Self::Responses => "OpenAI's Responses, without anything that is kept between requests.",
            Self::Embeddings => "Vectors for texts.",
            Self::Models => "Which models there are.",
            Self::Box => "What everybody may ask, without a key.",
            Self::Monitoring => "Figures.",
            Self::Admin => {
                "What ghostctl uses, over the admin's socket, or over TLS with a key that may. Never on the plain port."
            }
        }
    }

    /// Whether a model has to answer.
    pub(super) const fn asks_a_model(self) -> bool {
        match self {
            Self::Chat | Self::Completions | Self::Responses | Self::Embeddings => true,
            Self::Models | Self::Box | Self::Monitoring | Self::Admin => false,
        }
    }
}

/// What a route does.
pub(super) struct Operation {
    /// Its name in programs that are generated from the document.
    pub(super) id: &'static str,
    pub(super) tag: Tag,
    /// In a line.
    pub(super) summary: &'static str,
    /// The rest, in CommonMark.
    pub(super) about: String,
    /// What the part of its path stands for; empty where it has none.
    pub(super) part: &'static str,
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Option<Body>,
    pub(super) answers: Vec<Answer>,
    /// How it fails beyond what any request may meet.
    pub(super) fails: Vec<Code>,
}

impl Operation {
    pub(super) fn new(id: &'static str, tag: Tag, summary: &'static str, about: impl Into<String>) -> Self {
        Self {
            id,
            tag,
            summary,
            about: about.into(),
            part: "",
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            fails: Vec::new(),
        }
    }

    /// The same, whose path stands for this.
    pub(super) fn of(self, part: &'static str) -> Self {
        Self { part, ..self }
    }

    pub(super) fn parameter(mut self, parameter: Parameter) -> Self {
        self.parameters.push(parameter);
        self
    }

    pub(super) fn takes(self, body: Body) -> Self {
        Self { body: Some(body), ..self }
    }

    pub(super) fn gives(mut self, answer: Answer) -> Self {
        self.answers.push(answer);
        self
    }

    pub(super) fn fails(mut self, codes: &[Code]) -> Self {
        self.fails.extend(codes);
        self
    }
}

/// Something that a request says beside its path and body.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    /// `query` or `header`.
    pub(super) place: &'static str,
    pub(super) about: &'static str,
    pub(super) form: Value,
}

impl Parameter {
    pub(super) fn described(&self) -> Value {
        json!({"name": self.name, "in": self.place, "description": self.about, "schema": self.form})
    }
}

/// A JSON body that is sent.
pub(super) struct Body {
    pub(super) form: Value,
    pub(super) required: bool,
    pub(super) about: &'static str,
    /// Requests that work, each with a name.
    pub(super) examples: Vec<(&'static str, Value)>,
}

impl Body {
    pub(super) fn described(&self) -> Value {
        let mut content = json!({"schema": self.form});
        if let Some(fields) = content.as_object_mut().filter(|_| !self.examples.is_empty()) {
            let examples = self.examples.iter();
            let examples = examples.map(|(name, value)| ((*name).to_owned(), json!({"value": value})));
            fields.insert("examples".to_owned(), Value::Object(examples.collect()));
        }
        json!({"description": self.about, "required": self.required, "content": {"application/json": content}})
    }
}

/// An answer that is no failure.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) about: String,
    /// Media types with their forms, and an example where one helps.
    pub(super) content: Vec<(&'static str, Value, Option<Value>)>,
    /// What its head says beyond what all do.
    pub(super) headers: Vec<(&'static str, &'static str)>,
}

impl Answer {
    pub(super) fn new(about: impl Into<String>, media: &'static str, form: Value) -> Self {
        Self { status: 200, about: about.into(), content: vec![(media, form, None)], headers: Vec::new() }
    }

    /// JSON of this form.
    pub(super) fn json<T: JsonSchema>(about: impl Into<String>, schemas: &mut Schemas) -> Self {
        Self::new(about, "application/json", schemas.given::<T>())
    }

    /// A line of text.
    pub(super) fn line(status: u16, about: &'static str) -> Self {
        Self { status, ..Self::new(about, "text/plain", json!({"type": "string"})) }
    }

    /// The same, or this.
    pub(super) fn or(mut self, media: &'static str, form: Value, example: Option<&str>) -> Self {
        self.content.push((media, form, example.map(Value::from)));
        self
    }

    pub(super) fn described(&self, tag: Tag) -> Value {
        let content = self.content.iter().map(|(media, form, example)| {
            let mut content = json!({"schema": form});
            if let (Some(fields), Some(example)) = (content.as_object_mut(), example) {
                fields.insert("example".to_owned(), example.clone());
            }
            ((*media).to_owned(), content)
        });
        let mut fields = headers::given(tag);
        fields.extend(self.headers.iter().map(|(name, words)| {
            ((*name).to_owned(), json!({"description": words, "schema": {"type": "string"}}))
        }));
        let content: serde_json::Map<String, Value> = content.collect();
        let mut described = json!({"description": self.about, "headers": fields});
        if let Some(described) = described.as_object_mut().filter(|_| !content.is_empty()) {
            described.insert("content".to_owned(), content.into());
        }
        described
    }
}

/// What this does.
pub(super) fn of(endpoint: Endpoint, schemas: &mut Schemas) -> Operation {
    match endpoint {
        Endpoint::Chat => chat::operation(schemas).fails(&fails::MODEL),
        Endpoint::Completions => completions::operation(schemas).fails(&fails::MODEL),
        Endpoint::Embeddings => embeddings::operation(schemas).fails(&fails::MODEL),
        Endpoint::Responses => responses::operation(schemas).fails(&fails::MODEL),
        Endpoint::Models => listing::models(schemas),
        Endpoint::Model => listing::model(schemas),
        Endpoint::Page => plain::page(),
        Endpoint::OpenApi => plain::openapi(),
        Endpoint::Docs => plain::docs(),
        Endpoint::Health => plain::health(),
        Endpoint::Ready => plain::ready(),
        Endpoint::ReadyCheck => plain::ready_check(),
        Endpoint::Metrics => plain::metrics(),
        Endpoint::AuthorityDer => {
            plain::authority("caDer", "The box's CA, for systems and phones", "application/x-x509-ca-cert")
        }
        Endpoint::AuthorityPem => {
            plain::authority("caPem", "The box's CA, for programs", "application/x-pem-file")
        }
        Endpoint::Admin(endpoint) => admin::operation(endpoint, schemas),
    }
}
