//! A client's request: read, passed on with another model's name, translated.

use std::{collections::HashSet, sync::LazyLock};

use bytes::Bytes;
use ghostllm_core::{
    ApiError,
    chat::{Arguments, ChatRequest, Message, Role},
    config::Limits,
    dialect::{
        ollama::{chat_body, generate_body},
        openai::{
            inspect_completion, parse_chat, parse_completion,
            passthrough::{Passed, inspect},
        },
    },
};
use serde_json::{Value, json};

use super::{Keys, depth, value, with};

static LIMITS: LazyLock<Limits> = LazyLock::new(Limits::default);

const OTHER: &str = "another \"model\"\\:é";

/// How much deeper than a request its translation may be nested: a message's arguments lie five deep, where their text
/// lay, and are themselves no deeper than a body may be.
const DEEPER: usize = 8;

pub(super) fn check(bytes: &[u8]) {
    check_completion(bytes);
    match inspect(bytes, &LIMITS) {
        Ok(passed) => check_passed(bytes, &passed),
        Err(error) => check_error(&error),
    }
    match parse_chat(bytes, &LIMITS) {
        Ok(request) => {
            check_request(bytes, &request);
            check_translation(bytes, &request);
        }
        Err(error) => check_error(&error),
    }
}

/// A text to go on with: passed on as it came, or one of its prompts at a time, or translated.
fn check_completion(bytes: &[u8]) {
    match inspect_completion(bytes, &LIMITS) {
        Ok(passed) => check_prompts(bytes, &passed),
        Err(error) => check_error(&error),
    }
    match parse_completion(bytes, &LIMITS) {
        Ok(request) => {
            assert!(!request.prompt.is_empty() && request.suffix.as_deref() != Some(""));
            assert!(request.max_tokens != Some(0) && request.logprobs.unwrap_or(0) <= 5);
            let sent = value(&generate_body(&request, OTHER)).expect("what is written can be read");
            assert_eq!((&sent["model"], sent["prompt"].as_str()), (&OTHER.into(), Some(&*request.prompt)));
            assert_eq!(sent["raw"], request.suffix.is_none());
        }
        Err(error) => check_error(&error),
    }
}

fn check_prompts(bytes: &[u8], passed: &Passed) {
    let body = Bytes::copy_from_slice(bytes);
    assert_eq!(passed.with_model(&body, &passed.model), body);
    assert!((1..=128).contains(&passed.choices) && passed.choices.is_multiple_of(passed.samples()));
    let Some(was) = value(bytes) else { return };
    assert_eq!(value(&passed.with_model(&body, OTHER)), Some(with(was.clone(), "model", OTHER)));
    let several = passed.choices > passed.samples();
    for choice in [0, passed.choices - 1] {
        let alone = passed.with_choice(&body, None, choice);
        let prompt = &value(&alone).expect("it was JSON before")["prompt"];
        let place = usize::try_from(choice / passed.samples()).unwrap();
        assert_eq!(prompt, if several { &was["prompt"][place] } else { &was["prompt"] });
        let again = inspect_completion(&alone, &LIMITS).expect("it was taken before");
        assert_eq!((again.choices, again.stream), (1, passed.stream));
    }
}

/// What is refused is the client's doing, and the refusal can be sent.
fn check_error(error: &ApiError) {
    assert!(error.status().is_client_error(), "{error:?}");
    let body: Value = serde_json::from_slice(&error.body()).expect("an error is JSON");
    assert!(body["error"]["message"].as_str().is_some_and(|message| !message.is_empty()));
}

fn check_passed(bytes: &[u8], passed: &Passed) {
    let Keys(keys) = serde_json::from_slice(bytes).expect("what is passed on is an object");
    assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len(), "a key is there twice: {keys:?}");
    let refused = ["api_base", "api_key", "extra_headers", "chat_template", "cache_salt", "lora_request"];
    assert!(!keys.iter().any(|key| refused.contains(&key.to_ascii_lowercase().as_str())), "{keys:?}");

    let body = Bytes::copy_from_slice(bytes);
    assert_eq!(passed.with_model(&body, &passed.model), body);
    let edited = passed.with_model(&body, OTHER);
    let name = serde_json::to_string(OTHER).unwrap();
    let place = common(bytes, &edited);
    let at = (0..=place).rev().find(|at| edited[*at..].starts_with(name.as_bytes())).expect("the new name");
    let (kept, tail) = (&bytes[..at], &edited[at + name.len()..]);
    assert!(edited.starts_with(kept) && bytes.ends_with(tail), "more than the name has changed");
    let again = inspect(&edited, &LIMITS).expect("it was taken before");
    assert_eq!((again.stream, again.include_usage), (passed.stream, passed.include_usage));
    assert_eq!(again.model, OTHER);

    let Some(was) = value(bytes) else { return };
    assert_eq!(was["model"], passed.model.as_str());
    assert_eq!(was["stream"].as_bool().unwrap_or(false), passed.stream);
    assert!(was["stream"].is_boolean() || was["stream"].is_null());
    assert_eq!(value(&edited), Some(with(was.clone(), "model", OTHER)));
    check_alone(&body, passed, &was);
    check_addresses(&was);
}

/// Asked for by itself, the third answer of several has a seed of its own, and no other value has changed.
fn check_alone(body: &Bytes, passed: &Passed, was: &Value) {
    let alone = passed.with_choice(body, None, 2);
    let mut expected = was.clone();
    if !was["n"].is_null() {
        expected["n"] = 1.into();
    }
    if let Some(seed) = was["seed"].as_i64() {
        expected["seed"] = seed.wrapping_add(2).into();
    }
    assert_eq!(value(&alone), Some(expected));
    assert_eq!(inspect(&alone, &LIMITS).map(|alone| alone.choices), Ok(1));
}

/// No picture, sound or film at an address goes to an engine, which would fetch it.
fn check_addresses(body: &Value) {
    let messages = body["messages"].as_array().into_iter().flatten();
    let parts = |content: &Value| match content {
        Value::Array(parts) => parts.clone(),
        one => vec![one.clone()],
    };
    for part in messages.flat_map(|message| parts(&message["content"])) {
        for name in ["image", "video", "audio", "path", "url", "file_url"] {
            let place = part[name].as_str().unwrap_or_default();
            assert!(!place.starts_with("http://") && !place.starts_with("/etc/"), "{place} passes");
        }
        for name in ["image_url", "audio_url", "video_url"] {
            let media = &part[name];
            let url = media.as_str().or_else(|| media["url"].as_str());
            let inside =
                url.is_some_and(|url| url.get(..5).is_some_and(|five| five.eq_ignore_ascii_case("data:")));
            assert!(media.is_null() || inside, "{media} passes");
        }
    }
}

/// The length of what two texts begin with alike.
fn common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

fn check_request(bytes: &[u8], request: &ChatRequest) {
    if let Ok(passed) = inspect(bytes, &LIMITS) {
        let renamed = parse_chat(&passed.with_model(&Bytes::copy_from_slice(bytes), OTHER), &LIMITS);
        let expected = ChatRequest { model: OTHER.to_owned(), ..request.clone() };
        assert_eq!(renamed.expect("it was taken before"), expected);
    }
    let Some(body) = value(bytes) else { return };
    assert_eq!(body["model"], request.model.as_str());
    let messages = body["messages"].as_array().expect("a list of messages");
    assert_eq!(messages.len(), request.messages.len());
    for (wire, message) in messages.iter().zip(&request.messages) {
        check_message(wire, message);
    }
    let tools = body["tools"].as_array().map_or(&[][..], Vec::as_slice);
    assert_eq!(tools.len(), request.tools.len());
    for (wire, tool) in tools.iter().zip(&request.tools) {
        assert_eq!(
            (&value(tool.raw.get().as_bytes()).unwrap(), wire["function"]["name"].as_str()),
            (wire, Some(&*tool.name))
        );
    }
    let within = |number: Option<f64>, most: f64| number.is_none_or(|number| (-2.0..=most).contains(&number));
    let sampling = &request.sampling;
    assert!(within(sampling.temperature, 2.0) && within(sampling.top_p, 1.0) && within(sampling.min_p, 1.0));
    assert!(within(sampling.frequency_penalty, 2.0) && within(sampling.presence_penalty, 2.0));
    assert!(request.stop.len() <= 16 && request.max_tokens != Some(0) && request.logprobs.unwrap_or(0) <= 20);
}

fn check_message(wire: &Value, message: &Message) {
    assert!(wire.is_object(), "{wire} is taken for a message");
    let role = match message.role {
        Role::System => "system",
        Role::Developer => "developer",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    };
    assert_eq!(wire["role"], role);
    let text = match &wire["content"] {
        Value::Array(parts) => {
            let texts: Vec<&str> =
                parts.iter().filter_map(|part| part["text"].as_str().or(part["refusal"].as_str())).collect();
            texts.join("\n")
        }
        content => content.as_str().unwrap_or_default().to_owned(),
    };
    let text = match wire["refusal"].as_str().filter(|_| message.role == Role::Assistant) {
        None => text,
        Some(refusal) if text.is_empty() => refusal.to_owned(),
        Some(refusal) => format!("{text}\n{refusal}"),
    };
    // A part of one kind may bear another kind's field, which is not read.
    let plain = wire["content"]
        .as_array()
        .is_none_or(|parts| parts.iter().all(|part| part.as_object().is_some_and(|part| part.len() == 2)));
    assert!(!plain || message.text == *text, "{:?} was read from {wire}", message.text);
    let calls = wire["tool_calls"].as_array().map_or(0, Vec::len);
    assert_eq!(calls, message.tool_calls.len());
    assert!(message.images.len() <= 16 && message.images.iter().all(|image| !image.base64.is_empty()));
}

/// Ollama gets the same conversation.
fn check_translation(bytes: &[u8], request: &ChatRequest) {
    let Ok(translated) = chat_body(request, OTHER).inspect_err(check_error) else { return };
    let deep = depth(&translated);
    assert!(
        deep <= depth(bytes).max(LIMITS.json_depth) + DEEPER,
        "{deep} levels were made of {}",
        depth(bytes)
    );
    let Some(body) = value(&translated) else { return };
    assert_eq!((&body["model"], &body["stream"]), (&OTHER.into(), &true.into()));
    let messages = body["messages"].as_array().unwrap();
    assert_eq!(messages.len(), request.messages.len());
    for (wire, message) in messages.iter().zip(&request.messages) {
        assert_eq!(wire["content"], &*message.text.get());
        let calls = wire["tool_calls"].as_array().map_or(&[][..], Vec::as_slice);
        assert_eq!(calls.len(), message.tool_calls.len());
        for (wire, call) in calls.iter().zip(&message.tool_calls) {
            assert_eq!(wire["function"]["name"], call.name.as_str());
            let told = &wire["function"]["arguments"];
            match &call.arguments {
                Arguments::Object(object) => assert_eq!(Some(told), value(object.get().as_bytes()).as_ref()),
                Arguments::Text(text) => assert_eq!(told, &json!({ "arguments": text })),
            }
        }
    }
}
