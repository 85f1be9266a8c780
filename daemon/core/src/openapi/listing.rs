//! The list of models.

use schemars::JsonSchema;

use super::operation::{Answer, Operation, Tag};
use super::schemas::Schemas;
use crate::error::Code;

/// The models, in the order of their backends.
#[derive(JsonSchema)]
#[schemars(rename = "Models")]
#[expect(dead_code, reason = "it is read for its form alone")]
struct List {
    #[schemars(extend("const" = "list"))]
    object: String,
    /// Those that the caller may use.
    data: Vec<Model>,
}

/// OpenAI's four fields, and ours behind them. What is not known is not there.
#[derive(JsonSchema)]
#[schemars(rename = "Model")]
#[expect(dead_code, reason = "it is read for its form alone")]
struct Model {
    /// The name that it is asked for by.
    id: String,
    #[schemars(extend("const" = "model"))]
    object: String,
    /// When its backend got it, in Unix seconds; 0 where that is not known.
    created: u64,
    /// Whose it is: its backend's name.
    owned_by: String,
    /// What serves it.
    backend_kind: BackendKind,
    /// What it can do, as its backend says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    capabilities: Vec<Capability>,
    /// How many tokens its context has.
    #[serde(skip_serializing_if = "Option::is_none")]
    context_length: Option<u64>,
    /// The model that answers, where `id` is another name that the admin has given it.
    #[serde(skip_serializing_if = "Option::is_none")]
    alias_of: Option<String>,
}

/// What serves a model: an Ollama, a server that speaks OpenAI's API, the embedded engine by an address, or by files of its own.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "it is read for its form alone")]
enum BackendKind {
    Ollama,
    OpenAi,
    Engine,
    Gguf,
}

/// What a model can do.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "it is read for its form alone")]
enum Capability {
    Completion,
    Tools,
    Vision,
    Thinking,
    Embedding,
    Insert,
    Image,
    Audio,
}

pub(super) fn models(schemas: &mut Schemas) -> Operation {
    Operation::new(
        "listModels",
        Tag::Models,
        "The models",
        "Those that the caller may use. It refreshes by itself.",
    )
    .gives(Answer::json::<List>("The models.", schemas))
}

pub(super) fn model(schemas: &mut Schemas) -> Operation {
    let about = "Slashes in its name stand as they are, or as %2F.";
    Operation::new("getModel", Tag::Models, "One model", about)
        .of("The model's name, which may hold slashes and colons.")
        .gives(Answer::json::<Model>("The model.", schemas))
        .fails(&[Code::ModelNotFound, Code::BackendUnavailable, Code::BackendTimeout, Code::BackendError])
}
