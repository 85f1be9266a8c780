//! What a response repeats of its request.
//!
//! Knows the fields of the response object that do not depend on the answer. Refuses to know the answer. Invariant: what
//! is repeated is what holds: nothing is stored, nothing runs in the background, and what was left to the model is null.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{reasoning, tools::Names};
use crate::chat::{ChatRequest, ToolChoice};
use crate::dialect::json;
use crate::dialect::openai::fields::Fields;
use crate::dialect::openai::table::is_flex;
use crate::error::ApiError;

/// The most entries of `metadata`, and the most characters of a key and of a value, by OpenAI's API description.
const METADATA: (usize, usize, usize) = (16, 64, 512);

/// The fields of every response object of one request, and what its client calls its tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Echo {
    /// The model's name, as asked for.
    pub(super) model: String,
    /// `,"name":value` for each field.
    pub(super) fields: String,
    pub(super) names: Names,
}

#[derive(Serialize)]
struct Repeated<'a> {
    instructions: Option<&'a RawValue>,
    max_output_tokens: Option<u32>,
    max_tool_calls: Option<u32>,
    metadata: Metadata<'a>,
    parallel_tool_calls: bool,
    previous_response_id: Option<&'a str>,
    prompt_cache_key: Option<String>,
    reasoning: Reasoning<'a>,
    safety_identifier: Option<String>,
    service_tier: &'static str,
    store: bool,
    background: bool,
    temperature: Option<f64>,
    text: Text<'a>,
    tool_choice: Choice<'a>,
    tools: &'a [&'a RawValue],
    top_logprobs: u8,
    top_p: Option<f64>,
    truncation: &'static str,
    user: Option<String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Metadata<'a> {
    Given(&'a RawValue),
    None {},
}

#[derive(Serialize)]
struct Reasoning<'a> {
    effort: Option<&'a RawValue>,
    summary: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Text<'a> {
    format: Format<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Format<'a> {
    Given(&'a RawValue),
    Text {
        #[serde(rename = "type")]
        kind: &'static str,
    },
}

#[derive(Serialize)]
#[serde(untagged)]
enum Choice<'a> {
    Word(&'static str),
    Given(&'a RawValue),
}

/// What is repeated of a request that was read, with its reasoning and the tools that were taken.
pub(super) fn of(
    fields: &Fields<'_>,
    chat: &ChatRequest,
    (reasoning, tools): (&reasoning::Reasoning<'_>, &[&RawValue]),
    names: Names,
) -> Result<Echo, ApiError> {
    check_metadata(fields)?;
    let text = |name| fields.read_as::<String>(name, "a string");
    let repeated = Repeated {
        instructions: fields.get("instructions"),
        max_output_tokens: chat.max_tokens,
        max_tool_calls: None,
        metadata: fields.get("metadata").map_or(Metadata::None {}, Metadata::Given),
        parallel_tool_calls: chat.parallel_tool_calls.unwrap_or(true),
        previous_response_id: None,
        prompt_cache_key: text("prompt_cache_key")?,
        reasoning: Reasoning {
            effort: reasoning.effort.and_then(raw),
            summary: reasoning.summary.and_then(raw),
        },
        safety_identifier: text("safety_identifier")?,
        service_tier: if fields.get("service_tier").is_some_and(is_flex) { "flex" } else { "default" },
        store: false,
        background: false,
        temperature: chat.sampling.temperature,
        text: Text {
            format: part(fields, "text", "format").map_or(Format::Text { kind: "text" }, Format::Given),
        },
        tool_choice: choice(fields, &chat.tool_choice),
        tools,
        top_logprobs: chat.logprobs.unwrap_or(0),
        top_p: chat.sampling.top_p,
        truncation: "disabled",
        user: text("user")?,
    };
    Ok(Echo { model: chat.model.clone(), fields: written(&repeated)?, names })
}

/// The fields behind others, on one line, although the client may have sent them in several.
fn written(repeated: &Repeated<'_>) -> Result<String, ApiError> {
    let given = repeated.tools.iter().chain(&repeated.instructions);
    let about = given.map(|raw| raw.get().len() + 1).sum::<usize>() + 1024;
    let mut out = Vec::with_capacity(about);
    serde_json::to_writer(&mut out, repeated).map_err(|_| ApiError::internal())?;
    // The closing brace, and a comma in the place of the other.
    out.pop();
    if let Some(brace) = out.first_mut() {
        *brace = b',';
    }
    let out = match json::flat(&out) {
        Cow::Borrowed(_) => out,
        Cow::Owned(flat) => flat,
    };
    String::from_utf8(out).map_err(|_| ApiError::internal())
}

/// A value that was found sound before.
fn raw(json: &str) -> Option<&RawValue> {
    serde_json::from_str(json).ok()
}

/// A field of an object that was found sound before.
fn part<'a>(fields: &Fields<'a>, name: &str, inner: &str) -> Option<&'a RawValue> {
    let object: BTreeMap<String, &'a RawValue> = serde_json::from_str(fields.get(name)?.get()).ok()?;
    object.get(inner).copied().filter(|value| value.get() != "null")
}

fn choice<'a>(fields: &Fields<'a>, choice: &ToolChoice) -> Choice<'a> {
    match (fields.get("tool_choice"), choice) {
        (Some(raw), _) => Choice::Given(raw),
        (None, ToolChoice::None) => Choice::Word("none"),
        (None, ToolChoice::Required) => Choice::Word("required"),
        (None, ToolChoice::Auto | ToolChoice::Function(_)) => Choice::Word("auto"),
    }
}

fn check_metadata(fields: &Fields<'_>) -> Result<(), ApiError> {
    let (entries, key_length, value_length) = METADATA;
    let expected = "an object of strings";
    let metadata: Option<BTreeMap<String, String>> = fields.read_as("metadata", expected)?;
    let metadata = metadata.unwrap_or_default();
    let fits = metadata.len() <= entries
        && metadata
            .iter()
            .all(|(key, value)| key.chars().count() <= key_length && value.chars().count() <= value_length);
    fits.then_some(()).ok_or_else(|| {
        let expected = format!(
            "an object of at most {entries} strings, their keys of at most {key_length} characters and their values of \
             at most {value_length}"
        );
        ApiError::invalid_value("metadata", &expected)
    })
}
