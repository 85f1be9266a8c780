//! OpenAI's chat wire: what is read from a request, what an answer looks like.
//!
//! Knows every field that this engine honours and says no, by name, to those that it cannot. Fields that no engine of
//! this kind could act on (`user`, `store`, `metadata`) are ignored. Invariant: a request that came through
//! [`Chat::read`] has messages, and numbers within the ranges that the sampler needs.

use crate::error::Failure;
use crate::output::calls::Tools;
use crate::template::messages;
use serde::Deserialize;
use serde_json::{Map, Value};

pub mod answer;

/// OpenAI allows four.
const STOPS: usize = 16;

/// The request as it lies on the wire.
#[derive(Debug, Deserialize)]
struct Body {
    model: String,
    messages: Vec<Value>,
    tools: Option<Vec<Value>>,
    tool_choice: Option<Value>,
    stop: Option<Stop>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<i64>,
    max_completion_tokens: Option<i64>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<i32>,
    min_p: Option<f32>,
    seed: Option<i64>,
    frequency_penalty: Option<f32>,
    presence_penalty: Option<f32>,
    #[serde(alias = "repeat_penalty")]
    repetition_penalty: Option<f32>,
    n: Option<i64>,
    logprobs: Option<Value>,
    logit_bias: Option<Map<String, Value>>,
    response_format: Option<Value>,
    reasoning_effort: Option<String>,
    chat_template_kwargs: Option<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Stop {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

/// How the next token is chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// 0 takes the likeliest token; 1 leaves the model's own odds.
    pub temperature: f32,
    /// Only the likeliest tokens that together have this share.
    pub top_p: f32,
    /// Only so many of the likeliest tokens; 0 for all.
    pub top_k: i32,
    /// Only tokens with at least this share of the likeliest one's odds.
    pub min_p: f32,
    /// The same seed gives the same answer; `None` for chance.
    pub seed: Option<u32>,
    /// Taken off for each time a token was said.
    pub frequency_penalty: f32,
    /// Taken off once a token was said.
    pub presence_penalty: f32,
    /// Divides the odds of what was said; 1 for nothing.
    pub repetition_penalty: f32,
}

/// A request that can be served.
#[derive(Debug, Clone)]
pub struct Chat {
    /// The model's name, as the caller wrote it.
    pub model: String,
    /// Messages whose content is text or null.
    pub messages: Vec<Value>,
    /// The functions offered, as they are put into the prompt; empty for none.
    pub tools: Vec<Value>,
    /// The same by name.
    pub functions: Option<Tools>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// How to choose tokens.
    pub sampling: Sampling,
    /// The most tokens to make; `None` for what the context leaves.
    pub max_tokens: Option<usize>,
    /// Whether to answer piece by piece.
    pub stream: bool,
    /// Whether a stream ends with the token counts.
    pub include_usage: bool,
    /// What else the template sees.
    pub extra: Map<String, Value>,
}

impl Chat {
    /// Reads a request's body.
    ///
    /// # Errors
    /// 400 with the field at fault.
    pub fn read(body: &[u8]) -> Result<Self, Failure> {
        let body: Body = serde_json::from_slice(body).map_err(|error| Failure::json(&error))?;
        refuse_unsupported(&body)?;
        let messages = messages::flatten(&body.messages)
            .map_err(|error| Failure::invalid(error.param, error.problem))?;
        let tools = offered_tools(&body)?;
        let functions = match tools.as_slice() {
            [] => None,
            some => Some(Tools::read(some).map_err(|problem| Failure::invalid("tools", problem))?),
        };
        Ok(Self {
            messages,
            functions,
            stop: stop_texts(body.stop.as_ref())?,
            sampling: sampling(&body)?,
            max_tokens: max_tokens(&body)?,
            stream: body.stream.unwrap_or(false),
            include_usage: body
                .stream_options
                .as_ref()
                .and_then(|options| options.include_usage)
                .unwrap_or(false),
            extra: template_extras(&body),
            tools,
            model: body.model,
        })
    }
}

fn refuse_unsupported(body: &Body) -> Result<(), Failure> {
    if body.n.is_some_and(|n| n != 1) {
        return Err(Failure::unsupported(
            "n",
            "this engine gives one answer a request; leave n out, or send 1",
        ));
    }
    if body.logprobs.as_ref().is_some_and(|value| value != &Value::Bool(false) && !value.is_null()) {
        return Err(Failure::unsupported(
            "logprobs",
            "this engine does not report log probabilities; leave logprobs out",
        ));
    }
    if body.logit_bias.as_ref().is_some_and(|bias| !bias.is_empty()) {
        return Err(Failure::unsupported(
            "logit_bias",
            "this engine does not apply logit_bias; leave it out",
        ));
    }
    match body.response_format.as_ref().and_then(|format| format.get("type")).and_then(Value::as_str) {
        None | Some("text") => Ok(()),
        Some(other) => Err(Failure::unsupported(
            "response_format",
            format!(
                "this engine cannot hold an answer to {other} yet; leave response_format out and ask for JSON in words"
            ),
        )),
    }
}

fn offered_tools(body: &Body) -> Result<Vec<Value>, Failure> {
    let tools = body.tools.clone().unwrap_or_default();
    match &body.tool_choice {
        None | Some(Value::Null) => Ok(tools),
        Some(Value::String(choice)) if choice == "auto" => Ok(tools),
        Some(Value::String(choice)) if choice == "none" => Ok(Vec::new()),
        Some(_) => Err(Failure::unsupported(
            "tool_choice",
            "this engine cannot force a tool call yet; tool_choice can be \"auto\" or \"none\"",
        )),
    }
}

fn stop_texts(stop: Option<&Stop>) -> Result<Vec<String>, Failure> {
    let texts = match stop {
        None => Vec::new(),
        Some(Stop::One(text)) => vec![text.clone()],
        Some(Stop::Many(texts)) => texts.clone(),
    };
    if texts.len() > STOPS {
        return Err(Failure::invalid(
            "stop",
            format!("stop has {} texts; at most {STOPS} are allowed", texts.len()),
        ));
    }
    Ok(texts)
}

fn max_tokens(body: &Body) -> Result<Option<usize>, Failure> {
    let (name, value) = match (body.max_completion_tokens, body.max_tokens) {
        (Some(value), _) => ("max_completion_tokens", value),
        (None, Some(value)) => ("max_tokens", value),
        (None, None) => return Ok(None),
    };
    match usize::try_from(value) {
        Ok(value) if value > 0 => Ok(Some(value)),
        _ => Err(Failure::invalid(name, format!("{name} is {value}; it must be at least 1"))),
    }
}

fn sampling(body: &Body) -> Result<Sampling, Failure> {
    // With all tokens open, a small quantised model soon picks a senseless one. Where the caller names no cut of their
    // own, llama.cpp's default one applies.
    let cut = body.top_p.is_some() || body.top_k.is_some() || body.min_p.is_some();
    Ok(Sampling {
        temperature: within("temperature", body.temperature, 1.0, 0.0, 5.0)?,
        top_p: within("top_p", body.top_p, 1.0, 0.0, 1.0)?,
        top_k: body.top_k.unwrap_or(0).max(0),
        min_p: within("min_p", body.min_p, if cut { 0.0 } else { 0.05 }, 0.0, 1.0)?,
        // 2^32-1 means "any" to llama.cpp, so the remainder leaves it out.
        seed: body.seed.and_then(|seed| u32::try_from(seed.rem_euclid(i64::from(u32::MAX))).ok()),
        frequency_penalty: within("frequency_penalty", body.frequency_penalty, 0.0, -2.0, 2.0)?,
        presence_penalty: within("presence_penalty", body.presence_penalty, 0.0, -2.0, 2.0)?,
        repetition_penalty: within("repetition_penalty", body.repetition_penalty, 1.0, 0.01, 10.0)?,
    })
}

fn within(name: &str, value: Option<f32>, default: f32, least: f32, most: f32) -> Result<f32, Failure> {
    match value {
        None => Ok(default),
        Some(value) if (least..=most).contains(&value) => Ok(value),
        Some(value) => {
            Err(Failure::invalid(name, format!("{name} is {value}; it must be from {least} to {most}")))
        }
    }
}

fn template_extras(body: &Body) -> Map<String, Value> {
    // Names that the conversation itself fills may not come from outside.
    const OWN: [&str; 6] =
        ["messages", "tools", "documents", "add_generation_prompt", "bos_token", "eos_token"];
    let mut extra = body.chat_template_kwargs.clone().unwrap_or_default();
    extra.retain(|name, _| !OWN.contains(&name.as_str()));
    if let Some(effort) = &body.reasoning_effort {
        if effort == "none" {
            extra.entry("enable_thinking").or_insert(Value::Bool(false));
        } else {
            extra.entry("reasoning_effort").or_insert_with(|| Value::String(effort.clone()));
        }
    }
    extra
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(more: &Value) -> Result<Chat, Failure> {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Chat::read(&serde_json::to_vec(&body).unwrap())
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_by_name() {
        for (more, param) in [
            (json!({"n": 2}), "n"),
            (json!({"logprobs": true}), "logprobs"),
            (json!({"logit_bias": {"1": 2}}), "logit_bias"),
            (json!({"response_format": {"type": "json_schema"}}), "response_format"),
            (json!({"tools": [], "tool_choice": "required"}), "tool_choice"),
            (json!({"tools": [{"type": "web_search"}]}), "tools"),
            (json!({"max_tokens": 0}), "max_tokens"),
            (json!({"max_completion_tokens": -5}), "max_completion_tokens"),
            (json!({"temperature": 5.1}), "temperature"),
            (json!({"top_p": -0.1}), "top_p"),
            (json!({"presence_penalty": 2.1}), "presence_penalty"),
            (json!({"messages": []}), "messages"),
        ] {
            let failure = read(&more).unwrap_err();
            assert_eq!((failure.status.as_u16(), failure.param.as_deref()), (400, Some(param)));
        }
    }

    #[test]
    fn limits_themselves_pass() {
        for more in [
            json!({"n": 1, "logprobs": false, "logit_bias": {}, "response_format": {"type": "text"}}),
            json!({"temperature": 5.0, "top_p": 1, "min_p": 0, "presence_penalty": -2, "max_tokens": 1, "seed": -1}),
            json!({"stop": null, "tools": null, "tool_choice": "auto", "unknown_field": {"a": 1}}),
        ] {
            read(&more).unwrap();
        }
    }

    #[test]
    fn bad_json_names_its_place() {
        let failure = Chat::read(b"{\"model\": \"m\",\n  oops}").unwrap_err();
        assert!(failure.message.contains("line 2 column 3"), "{}", failure.message);
        assert_eq!(failure.code, Some("invalid_json"));
    }

    #[test]
    fn templates_see_what_the_caller_adds_but_not_in_place_of_the_conversation() {
        let chat =
            read(&json!({"reasoning_effort": "none", "chat_template_kwargs": {"messages": [], "x": 1}}))
                .unwrap();
        assert_eq!(Value::Object(chat.extra), json!({"x": 1, "enable_thinking": false}));
    }
}
