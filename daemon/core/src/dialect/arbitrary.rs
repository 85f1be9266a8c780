//! Values of the internal form, drawn at random, for the tests that write and read them.
//!
//! Knows what [`crate::chat`] allows, and of that what every dialect has a word for. Refuses to know how any spells it.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::json;

use crate::chat::{
    AnswerSchema, Arguments, ChatEvent, ChatRequest, FinishReason, Image, Json, Message, ResponseFormat,
    Role, Sampling, Text, Think, Tool, ToolCall, ToolChoice, Usage,
};

/// Any text, and those that have broken readers.
pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[a-z\"\\\\\n\u{1f600}]{0,12}"]
}

pub(crate) fn object() -> impl Strategy<Value = Json> {
    text().prop_map(|text| Json::object(&json!({ "a": text, "b": [1, null] }).to_string()).unwrap())
}

pub(crate) fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z_]{1,12}"
}

/// What a model writes for arguments: an object, or something that is none.
pub(crate) fn arguments() -> impl Strategy<Value = Arguments> {
    let broken = prop_oneof!["[{\\[\":,}\\] a1]{1,12}", text()].prop_map(|text| Arguments::of(&text));
    prop_oneof![3 => object().prop_map(Arguments::Object), 1 => broken]
}

pub(crate) fn call() -> impl Strategy<Value = ToolCall> {
    (name(), name(), arguments()).prop_map(|(id, name, arguments)| ToolCall { id, name, arguments })
}

pub(crate) fn image() -> impl Strategy<Value = Image> {
    ("image/(png|jpeg|gif|webp)", "[A-Za-z0-9+/]{4,8}")
        .prop_map(|(media_type, base64)| Image::picture(media_type, base64))
}

/// Texts and pictures in any order, as a message of both is put together.
pub(crate) fn content() -> impl Strategy<Value = (Text, Vec<Image>)> {
    let part = prop_oneof![text().prop_map(Ok::<String, Image>), image().prop_map(Err)];
    vec(part, 0..5).prop_map(|parts| {
        let (mut said, mut images, mut first) = (Text::default(), Vec::new(), true);
        for part in parts {
            match part {
                Err(image) => images.push(Image { place: said.spelled_len(), ..image }),
                Ok(text) => {
                    if !first {
                        said.push_line_end();
                    }
                    said.push(Text::from(&*text).quoted());
                    first = false;
                }
            }
        }
        (said, images)
    })
}

/// The shape of an answer.
pub(crate) fn format() -> impl Strategy<Value = ResponseFormat> {
    let parts = ("[a-zA-Z0-9_-]{1,12}", of(text()), of(any::<bool>()), object());
    let schema = parts.prop_map(|(name, description, strict, schema)| {
        // One that has no name is sent with one.
        let name = Some(name);
        ResponseFormat::JsonSchema(AnswerSchema { name, description, strict, schema })
    });
    prop_oneof![Just(ResponseFormat::Text), Just(ResponseFormat::JsonObject), schema]
}

pub(crate) fn turn() -> impl Strategy<Value = Message> {
    let roles = prop_oneof![
        Just(Role::System),
        Just(Role::Developer),
        Just(Role::User),
        Just(Role::Assistant),
        Just(Role::Tool),
    ];
    let parts = (content(), vec(call(), 0..3), name());
    (roles, parts, of(name()), of("[^\u{0}]{1,9}")).prop_map(|(role, parts, name, reasoning)| {
        let ((text, images), tool_calls, answers) = parts;
        // A tool's result says to which call it belongs.
        let tool_call_id = (role == Role::Tool).then_some(answers);
        Message { role, text, images, tool_calls, tool_call_id, name, reasoning }
    })
}

/// A number of so many 64ths: serde_json reads others to the last bit but one.
pub(crate) fn number(range: std::ops::RangeInclusive<i32>) -> impl Strategy<Value = Option<f64>> {
    of(range.prop_map(|parts| f64::from(parts) / 64.0))
}

pub(crate) fn sampling() -> impl Strategy<Value = Sampling> {
    let penalties = (number(0..=640), number(-128..=128), number(-128..=128), of(any::<i64>()));
    let cuts = (number(0..=128), number(0..=64), of(0_u32..1000), number(0..=64));
    (cuts, penalties).prop_map(|(cuts, penalties)| {
        let (temperature, top_p, top_k, min_p) = cuts;
        let (repeat_penalty, frequency_penalty, presence_penalty, seed) = penalties;
        Sampling {
            temperature,
            top_p,
            top_k,
            min_p,
            repeat_penalty,
            frequency_penalty,
            presence_penalty,
            seed,
        }
    })
}

/// A function with all that a client may say of it; its schema has words that every engine keeps.
pub(crate) fn tool() -> impl Strategy<Value = Tool> {
    let parameters = of((name(), "[a-z]{1,9}"));
    (name(), text(), parameters, of(any::<bool>())).prop_map(|(name, description, parameters, strict)| {
        let mut function = json!({"name": name, "description": description});
        if let Some((field, about)) = parameters {
            let required = json!([&field]);
            let properties = json!({field: {"type": "string", "description": about}});
            function["parameters"] =
                json!({"type": "object", "properties": properties, "required": required});
        }
        if let Some(strict) = strict {
            function["strict"] = strict.into();
        }
        let raw = json!({"type": "function", "function": function});
        Tool { name, raw: Json::object(&raw.to_string()).unwrap() }
    })
}

/// What an engine is asked: a stream with its usage, and no tools beside a choice that forbids them.
pub(crate) fn request() -> impl Strategy<Value = ChatRequest> {
    // The others have no field of OpenAI's.
    let efforts = vec![Think::Minimal, Think::Low, Think::Medium, Think::High, Think::XHigh, Think::Max];
    let think = of(select(efforts));
    let choice = prop_oneof![
        Just(ToolChoice::Auto),
        Just(ToolChoice::None),
        Just(ToolChoice::Required),
        name().prop_map(ToolChoice::Function),
    ];
    let answer = (format(), think, of(1_u32..9999), of(0_u8..=20), vec("[^\u{0}]{1,5}", 0..4));
    (vec(turn(), 1..5), vec(tool(), 0..3), choice, of(any::<bool>()), sampling(), answer).prop_map(
        |(messages, mut tools, mut tool_choice, mut parallel_tool_calls, sampling, answer)| {
            let (response_format, think, max_tokens, logprobs, stop) = answer;
            if tool_choice == ToolChoice::None {
                tools.clear();
            }
            if tools.is_empty() {
                (tool_choice, parallel_tool_calls) = (ToolChoice::Auto, None);
            }
            ChatRequest {
                model: "theirs".to_owned(),
                messages,
                tools,
                tool_choice,
                parallel_tool_calls,
                sampling,
                stop,
                max_tokens,
                response_format,
                think,
                logprobs,
                stream: true,
                include_usage: true,
                num_ctx: None,
                keep_alive: None,
            }
        },
    )
}

/// A token's probability, in OpenAI's form, as one element of a list.
fn token() -> impl Strategy<Value = serde_json::Value> {
    (text(), -6400_i32..=0, vec(text(), 0..2)).prop_map(|(token, parts, others)| {
        let logprob = f64::from(parts) / 64.0;
        let others: Vec<_> = others.iter().map(|token| json!({"token": token, "logprob": logprob})).collect();
        json!({"token": token, "logprob": logprob, "top_logprobs": others})
    })
}

/// A piece of text, which is none only where probabilities come alone.
pub(crate) fn said() -> impl Strategy<Value = ChatEvent> {
    (text(), of(vec(token(), 0..3))).prop_map(|(text, tokens)| {
        let logprobs: Option<Box<str>> = tokens.map(|tokens| json!(tokens).to_string().into());
        let text = if text.is_empty() && logprobs.is_none() { "-".to_owned() } else { text };
        ChatEvent::Text { text, logprobs }
    })
}

fn thought() -> impl Strategy<Value = ChatEvent> {
    text().prop_map(|text| ChatEvent::Reasoning(if text.is_empty() { "hm".to_owned() } else { text }))
}

/// A call that has no number yet.
fn called(arguments: impl Strategy<Value = Arguments>) -> impl Strategy<Value = ChatEvent> {
    (name(), name(), arguments).prop_map(|(id, name, arguments)| ChatEvent::ToolCall {
        index: 0,
        id,
        name,
        arguments: arguments.get().to_owned(),
    })
}

/// Counts, at least one of them more than zero, since engines say zero where they have not counted.
pub(crate) fn usage() -> impl Strategy<Value = Usage> {
    (1_u64..1 << 39, any::<u32>(), of(any::<u32>()), of(any::<u32>()), any::<bool>()).prop_map(
        |(prompt_tokens, completion, cached, reasoning, estimated)| Usage {
            prompt_tokens,
            completion_tokens: completion.into(),
            cached_tokens: cached.map(u64::from),
            reasoning_tokens: reasoning.map(u64::from),
            estimated,
        },
    )
}

/// A whole answer: pieces in any order, the counts where there are some, and why it ended.
pub(crate) fn answer() -> impl Strategy<Value = Vec<ChatEvent>> {
    answer_calling(arguments())
}

/// The same, whose calls have such arguments.
pub(crate) fn answer_calling(
    arguments: impl Strategy<Value = Arguments>,
) -> impl Strategy<Value = Vec<ChatEvent>> {
    let pieces = vec(prop_oneof![3 => said(), 2 => thought(), 2 => called(arguments)], 0..9);
    let reasons = vec![FinishReason::Stop, FinishReason::Length, FinishReason::ContentFilter];
    (pieces, of(usage()), select(reasons)).prop_map(|(mut events, usage, mut reason)| {
        let mut calls = 0;
        for event in &mut events {
            if let ChatEvent::ToolCall { index, id, arguments, .. } = event {
                *index = calls;
                *id = format!("call_{id}_{calls}");
                calls += 1;
                // One that the limit has cut off is none.
                if reason == FinishReason::Length && matches!(Arguments::of(arguments), Arguments::Text(_)) {
                    *arguments = "{}".to_owned();
                }
            }
        }
        if calls > 0 && reason == FinishReason::Stop {
            reason = FinishReason::ToolCalls;
        }
        events.extend(usage.map(ChatEvent::Usage));
        events.push(ChatEvent::Finish(reason));
        events
    })
}

/// Where a body is cut into the pieces in which it arrives.
pub(crate) fn cuts() -> impl Strategy<Value = Vec<Index>> {
    vec(any::<Index>(), 0..6)
}

/// The body in those pieces.
pub(crate) fn cut<'a>(body: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
    places.sort_unstable();
    let mut rest = body;
    let mut pieces = Vec::new();
    for place in places {
        let (piece, more) = rest.split_at(place - (body.len() - rest.len()));
        pieces.push(piece);
        rest = more;
    }
    pieces.push(rest);
    pieces
}
