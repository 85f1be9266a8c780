//! Vectors for texts.

use schemars::JsonSchema;
use serde_json::json;

use super::fields;
use super::operation::{Answer, BODY, Body, Operation, Tag};
use super::schemas::Schemas;
use crate::dialect::openai::{COUNT_LIMIT, EMBEDDING_ROWS};
use crate::embedding::INPUTS_LIMIT;

/// What to turn into vectors. A field that is none of these is refused for an Ollama and for our own engine, and given as it came
/// to an engine that speaks OpenAI's API.
#[derive(JsonSchema)]
#[schemars(rename = "EmbeddingRequest")]
#[expect(dead_code, reason = "it is read for its form alone")]
pub(super) struct Request {
    /// The model's name.
    #[schemars(length(min = 1))]
    model: String,
    /// What is turned into vectors, none of it empty.
    input: Input,
    /// How the numbers come; as `float` where it is left out.
    encoding_format: Option<Encoding>,
    /// How long the vectors shall be, for models that can shorten theirs.
    #[schemars(range(min = 1, max = COUNT_LIMIT))]
    dimensions: Option<u32>,
    /// Who asks, for an engine that cares.
    user: Option<String>,
}

/// A text, several, the token ids of a text, or those of several.
#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "EmbeddingInput")]
#[expect(dead_code, reason = "it is read for its form alone")]
enum Input {
    Text(#[schemars(length(min = 1))] String),
    Texts(#[schemars(length(min = 1, max = INPUTS_LIMIT))] Vec<String>),
    Tokens(#[schemars(length(min = 1), inner(range(max = COUNT_LIMIT)))] Vec<u32>),
    Lists(#[schemars(length(min = 1, max = INPUTS_LIMIT))] Vec<Vec<u32>>),
}

/// How numbers come.
#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "EmbeddingEncoding")]
#[expect(dead_code, reason = "it is read for its form alone")]
enum Encoding {
    /// A list of numbers.
    Float,
    /// A string: numbers of 32 bits, the lowest byte first, in base64.
    Base64,
}

/// A vector for each input, in their order.
#[derive(JsonSchema)]
#[schemars(rename = "Embeddings")]
#[expect(dead_code, reason = "it is read for its form alone")]
struct List {
    #[schemars(extend("const" = "list"))]
    object: String,
    data: Vec<Embedding>,
    /// The model's name, as asked for.
    model: String,
    usage: Usage,
}

/// One vector.
#[derive(JsonSchema)]
#[schemars(rename = "Embedding")]
#[expect(dead_code, reason = "it is read for its form alone")]
struct Embedding {
    #[schemars(extend("const" = "embedding"))]
    object: String,
    /// The input's place, from 0.
    index: u32,
    embedding: Vector,
}

/// A list of numbers, or base64 where that was asked for.
#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "EmbeddingVector")]
#[expect(dead_code, reason = "it is read for its form alone")]
enum Vector {
    Float(Vec<f64>),
    Base64(String),
}

/// What the engine has counted.
#[derive(JsonSchema)]
#[schemars(rename = "EmbeddingUsage")]
#[expect(dead_code, reason = "it is read for its form alone")]
struct Usage {
    prompt_tokens: u64,
    total_tokens: u64,
    /// There and true where these are no engine's counts, but estimated by the bytes of the inputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    estimated: Option<bool>,
}

pub(super) fn operation(schemas: &mut Schemas) -> Operation {
    let about = "An engine is believed if it gives one vector for each input, in their order, all of one length, of numbers.";
    Operation::new("createEmbeddings", Tag::Embeddings, "Vectors for texts or token ids", about)
        .takes(Body {
            form: fields::completed::<Request>("EmbeddingRequest", EMBEDDING_ROWS, schemas),
            required: true,
            about: BODY,
            examples: vec![("texts", json!({"model": "all-minilm", "input": ["Good morning", "Bonjour"]}))],
        })
        .gives(Answer::json::<List>("The vectors.", schemas))
}
