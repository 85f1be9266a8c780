//! OpenAI's older completions.
//!
//! Knows the forms of what is asked and answered. Refuses to know what becomes of a field at an engine, which the table of
//! fields says. Invariant: as for chats.
#![expect(dead_code, reason = "these are read for their forms alone")]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::{Value, json};

use super::chat::{STREAMED, Stop, StreamOptions, Usage, count_from_0};
use super::fields;
use super::operation::{Answer, BODY, Body, Operation, Tag};
use super::schemas::Schemas;
use crate::dialect::openai::{CHOICES_LIMIT, COMPLETION_ROWS, COUNT_LIMIT};

const ABOUT: &str = "The text itself is gone on with, without a chat's template around it. What becomes of each field depends on the \
    model's backend, as for a chat. `max_tokens` is 16 where nobody has said it.";

/// As it looks on the wire.
const STREAM: &str = "data: {\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":1764374400,\"model\":\"qwen3:8b\",\
    \"choices\":[{\"index\":0,\"text\":\" Paris\",\"logprobs\":null,\"finish_reason\":null}]}\n\n\
    data: {\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":1764374400,\"model\":\"qwen3:8b\",\
    \"choices\":[{\"index\":0,\"text\":\"\",\"logprobs\":null,\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// A text, and what is wanted of what follows it.
#[derive(JsonSchema)]
#[schemars(rename = "CompletionRequest")]
pub(super) struct Request {
    /// The model's name, as `GET /v1/models` lists it.
    #[schemars(length(min = 1))]
    model: String,
    /// What is gone on with.
    prompt: Prompt,
    /// How many answers are made, of which the best `n` are given.
    #[schemars(range(min = 1, max = CHOICES_LIMIT))]
    best_of: Option<u32>,
    /// Whether the answer begins with the prompt.
    echo: Option<bool>,
    /// How much less likely a token is for each time that it was said before.
    #[schemars(range(min = -2.0, max = 2.0))]
    frequency_penalty: Option<f64>,
    /// How much more or less likely single tokens are, by their ids.
    logit_bias: Option<BTreeMap<String, f64>>,
    /// The probabilities of so many likely tokens in each place; -1, as 0, is all of them.
    #[serde(default)]
    #[schemars(schema_with = "count_from_0")]
    logprobs: Option<i64>,
    /// The most tokens of the answer; -1, where an engine is given it, is no limit.
    #[serde(default)]
    #[schemars(schema_with = "count_from_0")]
    max_tokens: Option<i64>,
    /// How many answers are wanted to each prompt.
    #[schemars(range(min = 1, max = CHOICES_LIMIT))]
    n: Option<u32>,
    /// How much less likely a token is that was said before.
    #[schemars(range(min = -2.0, max = 2.0))]
    presence_penalty: Option<f64>,
    /// The same seed and the same request give the same answer, as far as the engine keeps to it.
    seed: Option<i64>,
    /// Where the answer ends: before this text, or any of these; none of them is empty.
    stop: Option<Stop>,
    /// Whether the answer comes as it is made.
    stream: Option<bool>,
    /// What a stream has beside its answer.
    stream_options: Option<StreamOptions>,
    /// What is to follow the answer.
    suffix: Option<String>,
    /// How bold the choice of tokens is.
    #[schemars(range(min = 0.0, max = 2.0))]
    temperature: Option<f64>,
    /// Only the likeliest tokens that together have this probability.
    #[schemars(range(min = 0.0, max = 1.0))]
    top_p: Option<f64>,
    user: Option<String>,
    /// What form the answer shall have, in the words of an engine that is given it.
    response_format: Option<BTreeMap<String, Value>>,
    /// Only so many of the likeliest tokens; -1, where an engine is given it, is all.
    #[serde(default)]
    #[schemars(schema_with = "count_from_0")]
    top_k: Option<i64>,
    /// Only tokens at least so likely, beside the likeliest.
    #[schemars(range(min = 0.0, max = 1.0))]
    min_p: Option<f64>,
    /// How much less likely is what was said before; 1 is no less.
    #[schemars(range(min = 0.0, max = 10.0))]
    repeat_penalty: Option<f64>,
    /// Another name for repeat_penalty.
    #[schemars(range(min = 0.0, max = 10.0))]
    repetition_penalty: Option<f64>,
    num_ctx: Option<u32>,
    /// A time such as `10m`, or seconds.
    keep_alive: Option<Value>,
    options: Option<BTreeMap<String, Value>>,
    /// What an engine may call that is given it.
    tools: Option<Vec<Value>>,
    /// Forms of the answer, in the words of engines that are given them.
    guided_json: Option<Value>,
    guided_regex: Option<String>,
    guided_choice: Option<Vec<String>>,
    guided_grammar: Option<String>,
    structured_outputs: Option<BTreeMap<String, Value>>,
    grammar: Option<String>,
    json_schema: Option<BTreeMap<String, Value>>,
    format: Option<Value>,
    regex: Option<String>,
    ebnf: Option<String>,
    structural_tag: Option<Value>,
    /// Where the answer ends or may not, in such words.
    stop_token_ids: Option<Vec<u32>>,
    bad_words: Option<Vec<String>>,
    min_tokens: Option<u32>,
}

/// A text, several, the token ids of a text, or those of several.
#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "CompletionPrompt")]
enum Prompt {
    Text(String),
    Texts(#[schemars(length(min = 1))] Vec<String>),
    Tokens(#[schemars(length(min = 1), inner(range(max = COUNT_LIMIT)))] Vec<u32>),
    Lists(#[schemars(length(min = 1))] Vec<Vec<u32>>),
}

/// An answer in one piece, or a piece of a stream, whose last has the counts where `include_usage` asks for them. An engine that
/// speaks OpenAI's API may add fields of its own.
#[derive(JsonSchema)]
#[schemars(rename = "Completion")]
struct Completion {
    id: String,
    #[schemars(extend("const" = "text_completion"))]
    object: String,
    /// In Unix seconds.
    created: u64,
    /// The model's name, as asked for.
    model: String,
    /// As many as were asked for, for each prompt; of a stream, those that say something.
    choices: Vec<Choice>,
    /// null, or not there, in a piece, and null where nobody tells what several prompts have come to.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Usage>,
    /// What the engine says of itself, where it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    system_fingerprint: Option<String>,
}

/// One answer, or a piece of it.
#[derive(JsonSchema)]
#[schemars(rename = "CompletionChoice")]
struct Choice {
    /// From 0; the answers to the first prompt come first.
    index: u32,
    text: String,
    /// null, or not there, where nobody has asked for them; some engines of OpenAI's language have a form of their own for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<Logprobs>,
    /// In a stream, null, or not there, until its last piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_reason: Option<FinishReason>,
}

/// Why an answer ends.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "CompletionFinishReason")]
enum FinishReason {
    /// The model has said all, or a text of `stop`.
    Stop,
    /// `max_tokens`, or the context's end.
    Length,
    /// The engine withheld the rest.
    ContentFilter,
}

/// The probabilities, a place in each list for a token.
#[derive(JsonSchema)]
#[schemars(rename = "CompletionLogprobs")]
struct Logprobs {
    tokens: Vec<String>,
    /// Natural logarithms; null where there is none.
    token_logprobs: Vec<Option<f64>>,
    top_logprobs: Option<Vec<Option<BTreeMap<String, f64>>>>,
    /// Where each token begins, in characters.
    text_offset: Vec<u64>,
}

pub(super) fn operation(schemas: &mut Schemas) -> Operation {
    let form = fields::completed::<Request>("CompletionRequest", COMPLETION_ROWS, schemas);
    let about = format!(
        "The answer. {STREAMED} Each is a line `data:` with a piece of it; the last one is `data: [DONE]`."
    );
    let whole = Answer::json::<Completion>(about, schemas);
    let piece = schemas.given::<Completion>();
    let examples = vec![
        ("answer", json!({"model": "qwen3:8b", "prompt": "The capital of France is", "max_tokens": 8})),
        ("several", json!({"model": "qwen3:8b", "prompt": ["One,", "Two,"], "n": 2, "seed": 1})),
    ];
    Operation::new("createCompletion", Tag::Completions, "Have a model go on with a text", ABOUT)
        .takes(Body { form, required: true, about: BODY, examples })
        .gives(whole.or("text/event-stream", piece, Some(STREAM)))
}
