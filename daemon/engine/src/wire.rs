//! OpenAI's wire of chats and completions: what is read from a request, what an answer looks like.
//!
//! Knows every field that this engine honours and says no, by name, to those that it cannot. Fields that no engine of
//! this kind could act on (`user`, `store`, `metadata`) are ignored. Invariant: a request that came through
//! [`Chat::read`] has messages, and numbers within the ranges that the sampler needs.

use crate::error::Failure;
use crate::limits::Limits;
use crate::output::calls::Tools;
use crate::weight::{Allowance, Scale, WeightError};
use fields::{Field, get, need};
use form::{Choice, Form};
use sampling::Sampling;
use serde::Deserialize;
use serde_json::{Map, Value};

pub mod answer;
pub mod completion;
pub mod embeddings;
pub(crate) mod fields;
pub mod form;
pub mod input;
pub(crate) mod messages;
pub mod sampling;
mod tools;

/// OpenAI's efforts, and `max`, which other servers know. A template is given the word as it is. The daemon, which shares no code with us,
/// reads the same, and a test of its `core` holds both lists together.
const EFFORTS: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];
/// What a switch must be, in words.
const SWITCH: &str = "true or false";

/// A request as it lies on the wire, of a chat or a completion. Fields that are not named here are passed over.
#[derive(Debug, Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    model: Field<'a>,
    messages: Field<'a>,
    prompt: Field<'a>,
    suffix: Field<'a>,
    echo: Field<'a>,
    best_of: Field<'a>,
    tools: Field<'a>,
    tool_choice: Field<'a>,
    stop: Field<'a>,
    stream: Field<'a>,
    stream_options: Field<'a>,
    max_tokens: Field<'a>,
    max_completion_tokens: Field<'a>,
    temperature: Field<'a>,
    top_p: Field<'a>,
    top_k: Field<'a>,
    min_p: Field<'a>,
    seed: Field<'a>,
    frequency_penalty: Field<'a>,
    presence_penalty: Field<'a>,
    repetition_penalty: Field<'a>,
    repeat_penalty: Field<'a>,
    n: Field<'a>,
    logprobs: Field<'a>,
    top_logprobs: Field<'a>,
    logit_bias: Field<'a>,
    response_format: Field<'a>,
    reasoning_effort: Field<'a>,
    reasoning: Field<'a>,
    think: Field<'a>,
    chat_template_kwargs: Field<'a>,
}

#[derive(Debug, Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    model: Field<'a>,
}

/// The model that a request's body asks for; nothing is built of the rest.
///
/// # Errors
/// 400: it is no JSON object, or names no model.
pub fn model(body: &[u8]) -> Result<String, Failure> {
    let named: Named<'_> = fields::read(body)?;
    need("model", named.model, "a model's name as a string")
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
    /// What the answer is held to; `None` for nothing.
    pub form: Option<Form>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// How to choose tokens.
    pub sampling: Sampling,
    /// How many of the likeliest tokens to tell beside each token's own odds; `None` for no odds at all.
    pub odds: Option<usize>,
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
    /// Reads a request's body, if it is within the allowance.
    ///
    /// # Errors
    /// 400 with the field at fault.
    pub fn read(body: &[u8], allowance: &Allowance, limits: &Limits) -> Result<Self, Failure> {
        let body: Body<'_> = fields::read(body)?;
        let mut scale = Scale::new(allowance);
        weigh(&body, &mut scale, allowance)?;
        refuse_unsupported(&body)?;
        let messages: Vec<Value> = need("messages", body.messages, "a list of messages")?;
        let messages = messages::flatten(messages)?;
        weigh_arguments(&messages, &mut scale, allowance)?;
        let choice = Choice::read(&body)?;
        let mut tools = offered_tools(&body)?;
        let form = form::read(&body, &choice, &tools, limits)?;
        choice.narrow(&mut tools)?;
        Ok(Self {
            model: need("model", body.model, "a model's name as a string")?,
            messages,
            form,
            functions: (!tools.is_empty()).then(|| Tools::of(&tools)),
            tools,
            stop: stop_texts(body.stop, limits)?,
            sampling: sampling::read(&body)?,
            odds: sampling::odds(&body)?,
            max_tokens: most_tokens(&body)?,
            stream: get("stream", body.stream, SWITCH)?.unwrap_or(false),
            include_usage: include_usage(body.stream_options)?,
            extra: template_extras(&body)?,
        })
    }
}

/// Weighs what will be built; each other field is a number, a switch or a bounded text.
fn weigh(body: &Body<'_>, scale: &mut Scale, allowance: &Allowance) -> Result<(), Failure> {
    for (name, field) in [
        ("messages", body.messages),
        ("tools", body.tools),
        ("chat_template_kwargs", body.chat_template_kwargs),
        ("tool_choice", body.tool_choice),
        ("response_format", body.response_format),
        ("logit_bias", body.logit_bias),
        ("stop", body.stop),
        ("reasoning_effort", body.reasoning_effort),
        ("reasoning", body.reasoning),
        ("think", body.think),
        ("model", body.model),
    ] {
        fields::weigh(scale, allowance, name, field)?;
    }
    Ok(())
}

/// The arguments of past calls come as text, of which templates are given a tree.
fn weigh_arguments(messages: &[Value], scale: &mut Scale, allowance: &Allowance) -> Result<(), Failure> {
    let calls = messages.iter().filter_map(|message| message.get("tool_calls")?.as_array()).flatten();
    for text in calls.filter_map(|call| call.pointer("/function/arguments")?.as_str()) {
        if let Err(WeightError::TooHeavy) = scale.add_inner(text) {
            return Err(Failure::too_heavy("messages", allowance));
        }
    }
    Ok(())
}

fn refuse_unsupported(body: &Body<'_>) -> Result<(), Failure> {
    if get::<f64>("n", body.n, "the number 1")?.is_some_and(|n| (n - 1.0).abs() > f64::EPSILON) {
        return Err(Failure::unsupported(
            "n",
            "This engine gives one answer a request; leave n out, or send 1",
        ));
    }
    let bias: Option<Map<String, Value>> = get("logit_bias", body.logit_bias, "an object")?;
    if bias.is_some_and(|bias| !bias.is_empty()) {
        return Err(Failure::unsupported(
            "logit_bias",
            "This engine does not apply logit_bias; leave it out",
        ));
    }
    Ok(())
}

fn offered_tools(body: &Body<'_>) -> Result<Vec<Value>, Failure> {
    let offered: Vec<Value> = get("tools", body.tools, "a list of tools")?.unwrap_or_default();
    tools::check(&offered)?;
    Ok(offered)
}

fn stop_texts(stop: Field<'_>, limits: &Limits) -> Result<Vec<String>, Failure> {
    let wanted = "a string or a list of strings";
    let texts = match stop {
        Some(raw) if raw.get().starts_with('"') => get("stop", stop, wanted)?.into_iter().collect(),
        _ => get::<Vec<String>>("stop", stop, wanted)?.unwrap_or_default(),
    };
    let Limits { stop_texts: most, stop_bytes, .. } = *limits;
    if texts.len() > most {
        return Err(Failure::invalid(
            "stop",
            format!("The field 'stop' has {} texts; at most {most} are allowed", texts.len()),
        ));
    }
    // It would end every answer before its first letter, or do nothing.
    if texts.iter().any(String::is_empty) {
        return Err(Failure::invalid("stop", "A text of stop is empty; leave it out"));
    }
    if texts.iter().any(|text| text.len() > stop_bytes) {
        return Err(Failure::invalid("stop", format!("A text of stop is longer than {stop_bytes} bytes")));
    }
    Ok(texts)
}

fn include_usage(options: Field<'_>) -> Result<bool, Failure> {
    let options: Option<Map<String, Value>> = get("stream_options", options, "an object")?;
    match options.and_then(|mut options| options.remove("include_usage")) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(wanted)) => Ok(wanted),
        Some(_) => Err(Failure::wrong_type("stream_options.include_usage", SWITCH)),
    }
}

fn most_tokens(body: &Body<'_>) -> Result<Option<usize>, Failure> {
    match body.max_completion_tokens {
        Some(_) => count("max_completion_tokens", body.max_completion_tokens, 1),
        None => count("max_tokens", body.max_tokens, 1),
    }
}

/// A whole number of at least so many.
fn count(name: &str, field: Field<'_>, least: usize) -> Result<Option<usize>, Failure> {
    let wanted = format!("a whole number of at least {least}");
    match get::<i64>(name, field, &wanted)?.map(usize::try_from) {
        None => Ok(None),
        Some(Ok(value)) if value >= least => Ok(Some(value)),
        Some(_) => Err(Failure::wrong_value(name, &wanted)),
    }
}

fn template_extras(body: &Body<'_>) -> Result<Map<String, Value>, Failure> {
    // Names that the conversation itself fills may not come from outside.
    const OWN: [&str; 6] =
        ["messages", "tools", "documents", "add_generation_prompt", "bos_token", "eos_token"];
    let extra = get("chat_template_kwargs", body.chat_template_kwargs, "an object")?;
    let mut extra: Map<String, Value> = extra.unwrap_or_default();
    extra.retain(|name, _| !OWN.contains(&name.as_str()));
    match think(body)? {
        None => {}
        Some(Think::Switch(on)) => {
            extra.entry("enable_thinking").or_insert(Value::Bool(on));
        }
        Some(Think::Effort(effort)) => {
            extra.entry("reasoning_effort").or_insert(Value::String(effort));
        }
    }
    Ok(extra)
}

/// What a request says of thinking.
enum Think {
    /// Whether to.
    Switch(bool),
    /// How hard.
    Effort(String),
}

/// By OpenAI's word, else by that of its Responses, else by Ollama's: the daemon has the same order.
fn think(body: &Body<'_>) -> Result<Option<Think>, Failure> {
    if let Some(effort) = get("reasoning_effort", body.reasoning_effort, "a string")? {
        return effort_of("reasoning_effort", effort).map(Some);
    }
    let wanted = "an object such as {\"effort\": \"low\"}";
    let reasoning: Option<Map<String, Value>> = get("reasoning", body.reasoning, wanted)?;
    if let Some(effort) =
        reasoning.as_ref().map(|it| messages::text("reasoning", "effort", it)).transpose()?.flatten()
    {
        return effort_of("reasoning.effort", effort.to_owned()).map(Some);
    }
    let wanted = "true, false or an effort";
    match get("think", body.think, wanted)? {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(on)) => Ok(Some(Think::Switch(on))),
        Some(Value::String(effort)) => effort_of("think", effort).map(Some),
        Some(_) => Err(Failure::wrong_type("think", wanted)),
    }
}

fn effort_of(name: &str, effort: String) -> Result<Think, Failure> {
    match effort.as_str() {
        "none" => Ok(Think::Switch(false)),
        known if EFFORTS.contains(&known) => Ok(Think::Effort(effort)),
        _ => {
            let [others @ .., last] = EFFORTS;
            let switch = if name == "think" { "true, false, " } else { "" };
            Err(Failure::wrong_value(name, &format!("{switch}{} or {last}", others.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const STOPS: usize = 3;
    const STOP_BYTES: usize = 20;

    fn read(more: &Value) -> Result<Chat, Failure> {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let limits = Limits { stop_texts: STOPS, stop_bytes: STOP_BYTES, ..Limits::default() };
        Chat::read(&serde_json::to_vec(&body).unwrap(), &Allowance::new(2048, Some(13)), &limits)
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_by_name() {
        for (more, param) in [
            (json!({"n": 2}), "n"),
            (json!({"logprobs": 1}), "logprobs"),
            (json!({"logprobs": true, "top_logprobs": 21}), "top_logprobs"),
            (json!({"logprobs": true, "top_logprobs": -1}), "top_logprobs"),
            (json!({"top_logprobs": 2}), "top_logprobs"),
            (json!({"reasoning_effort": "ultra"}), "reasoning_effort"),
            (json!({"reasoning": {"effort": "ultra"}}), "reasoning.effort"),
            (json!({"reasoning": {"effort": 1}}), "reasoning.effort"),
            (json!({"reasoning": "low"}), "reasoning"),
            (json!({"think": "ultra"}), "think"),
            (json!({"think": 1}), "think"),
            (json!({"stop": ""}), "stop"),
            (json!({"stop": ["x", ""]}), "stop"),
            (json!({"logit_bias": {"1": 2}}), "logit_bias"),
            (json!({"tools": [{"type": "web_search"}]}), "tools[0].type"),
            (json!({"tools": [{"type": "custom", "custom": {"name": "f"}}]}), "tools[0].type"),
            (json!({"tools": [{"type": "function"}]}), "tools[0].function"),
            (json!({"stop": vec!["x"; STOPS + 1]}), "stop"),
            (json!({"stop": "x".repeat(STOP_BYTES + 1)}), "stop"),
            (json!({"max_tokens": 0}), "max_tokens"),
            (json!({"max_completion_tokens": -5}), "max_completion_tokens"),
            (json!({"temperature": 2.1}), "temperature"),
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
            json!({"temperature": 2.0, "top_p": 1, "min_p": 0, "presence_penalty": -2, "max_tokens": 1, "seed": -1}),
            json!({"stop": vec!["x".repeat(STOP_BYTES); STOPS], "n": 1.0, "logprobs": null}),
            json!({"logprobs": true, "top_logprobs": 20}),
            json!({"logprobs": null, "top_logprobs": 0}),
            json!({"stop": null, "tools": null, "tool_choice": "auto", "unknown_field": {"a": 1}}),
        ] {
            read(&more).unwrap();
        }
    }

    #[test]
    fn bad_json_names_its_place() {
        let failure = model(b"{\"model\": \"m\",\n  oops}").unwrap_err();
        assert!(failure.message.contains("line 2 column 3"), "{}", failure.message);
        assert_eq!(failure.code, Some("invalid_json"));
    }

    #[test]
    fn the_values_inside_of_arguments_weigh_too() {
        let call = |values: usize| {
            let arguments = json!({"a": vec![1; values]}).to_string();
            json!({"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": arguments}}]}]})
        };
        // The limit is 16,384; the model and the message have 12, the arguments' object, key and list three.
        read(&call(16_369)).unwrap();
        let failure = read(&call(16_370)).unwrap_err();
        assert_eq!(
            (failure.code, failure.param.as_deref()),
            (Some("context_length_exceeded"), Some("messages"))
        );
    }

    #[test]
    fn thinking_is_switched_by_each_of_the_words_for_it() {
        let off = json!({"enable_thinking": false});
        for (more, extra) in [
            (json!({"reasoning_effort": "none"}), off.clone()),
            (json!({"reasoning": {"effort": "none"}}), off.clone()),
            (json!({"think": "none"}), off.clone()),
            (json!({"think": false}), off),
            (json!({"think": true}), json!({"enable_thinking": true})),
            (json!({"think": "high"}), json!({"reasoning_effort": "high"})),
            (
                json!({"reasoning": {"effort": "low", "summary": "auto"}, "think": true}),
                json!({"reasoning_effort": "low"}),
            ),
            (
                json!({"reasoning_effort": "low", "reasoning": {"effort": "max"}, "think": false}),
                json!({"reasoning_effort": "low"}),
            ),
            (json!({"reasoning_effort": null, "reasoning": {"effort": null}, "think": null}), json!({})),
            (
                json!({"think": true, "chat_template_kwargs": {"enable_thinking": false}}),
                json!({"enable_thinking": false}),
            ),
        ] {
            assert_eq!(Value::Object(read(&more).unwrap().extra), extra, "{more}");
        }
    }

    #[test]
    fn templates_see_what_the_caller_adds_but_not_in_place_of_the_conversation() {
        let chat =
            read(&json!({"reasoning_effort": "none", "chat_template_kwargs": {"messages": [], "x": 1}}))
                .unwrap();
        assert_eq!(Value::Object(chat.extra), json!({"x": 1, "enable_thinking": false}));
    }
}
