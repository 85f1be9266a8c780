//! Ollama's native language: what it is asked, read as its server reads it, and what it answers, written as its server does.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{LIMIT, calls_last};
use crate::chat::{
    AnswerSchema, Arguments, ChatEvent, ChatRequest, Defaults, FinishReason, Image, Json, Message,
    ResponseFormat, Role, Sampling, Think, Tool, ToolCall, ToolChoice, Usage,
};
use crate::dialect::arbitrary::{answer_calling, cut, cuts, object as any_object, request};
use crate::dialect::ollama::{ChatDecoder, chat_body, embed_body, parse_embed};
use crate::embedding::{EmbeddingInput, EmbeddingRequest, Embeddings, Encoding};

/// `ChatRequest` of Ollama's `api/types.go`; a field that it does not have would be lost in silence.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    model: String,
    messages: Vec<WireMessage>,
    stream: bool,
    truncate: bool,
    #[serde(default)]
    tools: Vec<Box<RawValue>>,
    format: Option<Box<RawValue>>,
    think: Option<Value>,
    logprobs: Option<bool>,
    top_logprobs: Option<u8>,
    keep_alive: Option<i64>,
    #[serde(default)]
    options: Options,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireMessage {
    role: String,
    content: String,
    thinking: Option<String>,
    #[serde(default)]
    images: Vec<String>,
    #[serde(default)]
    tool_calls: Vec<WireCall>,
    tool_name: Option<String>,
    tool_call_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireCall {
    #[serde(default)]
    id: String,
    function: WireFunction,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireFunction {
    index: usize,
    name: String,
    arguments: Box<RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Options {
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<u32>,
    min_p: Option<f64>,
    repeat_penalty: Option<f64>,
    frequency_penalty: Option<f64>,
    presence_penalty: Option<f64>,
    seed: Option<i64>,
    num_predict: Option<u32>,
    num_ctx: Option<u32>,
    #[serde(default)]
    stop: Vec<String>,
}

fn object(raw: &RawValue) -> Json {
    Json::object_of(raw).unwrap()
}

fn message(wire: WireMessage) -> Message {
    let role = match wire.role.as_str() {
        "system" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        other => panic!("role {other}"),
    };
    let picture = |base64: String| Image::picture("", base64);
    let call = |(place, call): (usize, WireCall)| {
        assert_eq!(call.function.index, place);
        ToolCall { id: call.id, name: call.function.name, arguments: object(&call.function.arguments).into() }
    };
    Message {
        role,
        text: wire.content.as_str().into(),
        images: wire.images.into_iter().map(picture).collect(),
        tool_calls: wire.tool_calls.into_iter().enumerate().map(call).collect(),
        tool_call_id: wire.tool_call_id,
        name: wire.tool_name,
        reasoning: wire.thinking,
    }
}

fn tool(raw: &RawValue) -> Tool {
    let value: Value = serde_json::from_str(raw.get()).unwrap();
    Tool { name: value["function"]["name"].as_str().unwrap().to_owned(), raw: object(raw) }
}

fn thinks(word: &Value) -> Think {
    match word {
        Value::Bool(false) => Think::Off,
        Value::Bool(true) => Think::On,
        word if word == "low" => Think::Low,
        word if word == "medium" => Think::Medium,
        word if word == "high" => Think::High,
        word if word == "max" => Think::Max,
        other => panic!("think {other}"),
    }
}

/// The request that a body asks for.
fn read(body: &[u8]) -> ChatRequest {
    let wire: Wire = serde_json::from_slice(body).unwrap();
    assert!(!wire.truncate, "nothing is cut in silence");
    let Options { temperature, top_p, top_k, min_p, repeat_penalty, .. } = wire.options;
    let Options { frequency_penalty, presence_penalty, seed, .. } = wire.options;
    let sampling = Sampling {
        temperature,
        top_p,
        top_k,
        min_p,
        repeat_penalty,
        frequency_penalty,
        presence_penalty,
        seed,
    };
    ChatRequest {
        model: wire.model,
        messages: wire.messages.into_iter().map(message).collect(),
        tools: wire.tools.iter().map(|raw| tool(raw)).collect(),
        tool_choice: ToolChoice::Auto,
        parallel_tool_calls: None,
        sampling,
        stop: wire.options.stop,
        max_tokens: wire.options.num_predict,
        response_format: match wire.format {
            None => ResponseFormat::Text,
            Some(word) if word.get() == "\"json\"" => ResponseFormat::JsonObject,
            Some(schema) => ResponseFormat::JsonSchema(bare(object(&schema))),
        },
        think: wire.think.as_ref().map(thinks),
        logprobs: wire.logprobs.filter(|wanted| *wanted).map(|_| wire.top_logprobs.unwrap_or(0)),
        stream: wire.stream,
        include_usage: true,
        num_ctx: wire.options.num_ctx,
        keep_alive: wire.keep_alive,
    }
}

fn bare(schema: Json) -> AnswerSchema {
    AnswerSchema { name: None, description: None, strict: None, schema }
}

/// Of a request, what Ollama has words for. It has none for a picture's type and place, for who of several people speaks, for what stands
/// beside a schema, for arguments that are no object, and for the choice of a tool, in whose place the others are not shown; its templates
/// do not know developers.
fn sayable(mut request: ChatRequest) -> ChatRequest {
    let mut called: Vec<(String, String)> = Vec::new();
    for message in &mut request.messages {
        if message.role == Role::Developer {
            message.role = Role::System;
        }
        for image in &mut message.images {
            image.media_type.clear();
            image.place = 0;
        }
        for call in &mut message.tool_calls {
            if let Arguments::Text(text) = &call.arguments {
                call.arguments = Arguments::of(&json!({ "arguments": text }).to_string());
            }
        }
        let id = message.tool_call_id.clone();
        let function = called.iter().rev().find(|(known, _)| Some(known) == id.as_ref());
        let name = function.map(|(_, name)| name.clone()).or(message.name.take());
        message.name = name.filter(|_| message.role == Role::Tool);
        called.extend(message.tool_calls.iter().map(|call| (call.id.clone(), call.name.clone())));
    }
    if let ResponseFormat::JsonSchema(answer) = request.response_format {
        request.response_format = ResponseFormat::JsonSchema(bare(answer.schema));
    }
    request.think = request.think.map(|think| match think {
        Think::Minimal => Think::Low,
        Think::XHigh | Think::Most => Think::Max,
        think => think,
    });
    if let ToolChoice::Function(name) = &request.tool_choice {
        request.tools = request.tools.into_iter().find(|tool| tool.name == *name).into_iter().collect();
    }
    if request.tool_choice == ToolChoice::None {
        request.tools.clear();
    }
    (request.tool_choice, request.parallel_tool_calls) = (ToolChoice::Auto, None);
    request
}

/// Also with what no client of OpenAI's can say, with results of the calls before them, and with a choice among the tools there are.
fn asked() -> impl Strategy<Value = ChatRequest> {
    let thinks = vec![Think::Off, Think::On, Think::Minimal, Think::Medium, Think::XHigh, Think::Most];
    let more = (of(select(thinks)), of(any::<u32>()), of(any::<i64>()), any::<bool>());
    (request(), more).prop_map(|(mut request, (think, num_ctx, keep_alive, hides))| {
        request.think = think.or(request.think);
        (request.num_ctx, request.keep_alive) = (num_ctx, keep_alive);
        if let (ToolChoice::Function(name), Some(tool)) = (&mut request.tool_choice, request.tools.last()) {
            name.clone_from(&tool.name);
        }
        if hides {
            request.tool_choice = ToolChoice::None;
        }
        let mut last = None;
        for message in &mut request.messages {
            if let (Role::Tool, Some(id)) = (message.role, &last) {
                message.tool_call_id = Some(String::clone(id));
            }
            last = message.tool_calls.last().map(|call| call.id.clone()).or(last);
        }
        request
    })
}

/// An answer as Ollama writes it: a line for each piece, and the done line.
fn lines(events: &[ChatEvent]) -> String {
    let mut out = String::new();
    let mut done = json!({"model": "m", "created_at": "2026-01-01T00:00:00Z", "done": true,
        "message": {"role": "assistant", "content": ""}, "total_duration": 5});
    for event in events {
        let mut line = json!({"model": "m", "created_at": "2026-01-01T00:00:00Z", "done": false,
            "message": {"role": "assistant", "content": ""}});
        match event {
            ChatEvent::Text { text, logprobs } => {
                line["message"]["content"] = json!(text);
                if let Some(list) = logprobs {
                    line["logprobs"] = serde_json::from_str(list).unwrap();
                }
            }
            ChatEvent::Reasoning(text) => line["message"]["thinking"] = json!(text),
            ChatEvent::ToolCall { index, name, arguments, .. } => {
                let arguments: Value = serde_json::from_str(arguments).unwrap();
                line["message"]["tool_calls"] =
                    json!([{"id": "x", "function": {"index": index, "name": name, "arguments": arguments}}]);
            }
            ChatEvent::Usage(usage) => {
                for (name, count) in
                    [("prompt_eval_count", usage.prompt_tokens), ("eval_count", usage.completion_tokens)]
                {
                    // Zeros are left out.
                    if count > 0 {
                        done[name] = json!(count);
                    }
                }
                continue;
            }
            ChatEvent::Finish(reason) => {
                done["done_reason"] = json!(if *reason == FinishReason::Length { "length" } else { "stop" });
                continue;
            }
        }
        out += &format!("{line}\n");
    }
    out + &format!("{done}\n")
}

/// Of an answer, what Ollama has words for: no ids that are unique, two counts, and two reasons to end.
fn told(events: Vec<ChatEvent>) -> Vec<ChatEvent> {
    let calls = events.iter().any(|event| matches!(event, ChatEvent::ToolCall { .. }));
    let counted = events.iter().any(|event| matches!(event, ChatEvent::Usage(_)));
    let mut out = Vec::new();
    for mut event in events {
        match &mut event {
            ChatEvent::ToolCall { index, id, .. } => *id = format!("call_seed_{index}"),
            ChatEvent::Usage(usage) => *usage = Usage::counted(usage.prompt_tokens, usage.completion_tokens),
            ChatEvent::Finish(reason) if *reason != FinishReason::Length => {
                *reason = if calls { FinishReason::ToolCalls } else { FinishReason::Stop };
            }
            _ => {}
        }
        if matches!(event, ChatEvent::Finish(_)) && !counted {
            out.push(ChatEvent::Usage(Usage::default()));
        }
        out.push(event);
    }
    out
}

/// The same events, each of whose texts is what its tokens say: what Ollama tells of tokens goes by the text.
fn said_by_tokens(mut events: Vec<ChatEvent>) -> Vec<ChatEvent> {
    for event in &mut events {
        if let ChatEvent::Text { text, logprobs } = event {
            let tokens: Vec<Value> = serde_json::from_str(logprobs.as_deref().unwrap_or("[]")).unwrap();
            let said: String = tokens.iter().map(|token| token["token"].as_str().unwrap()).collect();
            if said.is_empty() {
                (*text, *logprobs) = ("-".to_owned(), None);
            } else {
                *text = said;
            }
        }
    }
    events
}

/// The same events, whose tokens have all that OpenAI's description requires.
fn with_whole_tokens(mut events: Vec<ChatEvent>) -> Vec<ChatEvent> {
    let bytes = |token: &Value| match &token["bytes"] {
        Value::Null => json!(token["token"].as_str().unwrap().as_bytes()),
        bytes => bytes.clone(),
    };
    let alone =
        |token: &Value| json!({"token": token["token"], "logprob": token["logprob"], "bytes": bytes(token)});
    for event in &mut events {
        if let ChatEvent::Text { logprobs: Some(list), .. } = event {
            let mut tokens: Vec<Value> = serde_json::from_str(list).unwrap();
            for token in &mut tokens {
                let top: Vec<Value> =
                    token["top_logprobs"].as_array().into_iter().flatten().map(alone).collect();
                *token = alone(token);
                token["top_logprobs"] = json!(top);
            }
            *list = json!(tokens).to_string().into();
        }
    }
    events
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ollama_is_asked_for_all_that_it_has_words_for(request in asked()) {
        let body = chat_body(&request, &request.model).unwrap();
        prop_assert_eq!(read(&body), sayable(request), "{}", String::from_utf8_lossy(&body));
    }

    #[test]
    fn an_answer_is_read_as_ollama_wrote_it(
        events in answer_calling(any_object().prop_map(Arguments::Object)), cuts in cuts(),
    ) {
        let events = said_by_tokens(events);
        let body = lines(&events);
        let (mut decoder, mut read) = (ChatDecoder::new("seed", LIMIT), Vec::new());
        for piece in cut(body.as_bytes(), &cuts) {
            decoder.feed(piece, &mut read).unwrap();
        }
        decoder.finish(&mut read).unwrap();
        prop_assert_eq!(with_whole_tokens(read.clone()), with_whole_tokens(told(events)), "{}", body);
        let behind = super::openai::decoded(&super::openai::streamed(&read), &cuts);
        // Counts that are all zero are none in OpenAI's form.
        let said = calls_last(&read).into_iter().filter(|event| *event != ChatEvent::Usage(Usage::default()));
        prop_assert_eq!(behind, Ok(said.collect::<Vec<_>>()));
    }

    #[test]
    fn embeddings_are_asked_for_and_read(
        texts in vec("(?s).{1,9}", 1..5),
        dimensions in of(1_u32..9999),
        defaults in (of(1_u32..9999), of(any::<i64>())),
        vectors in (1_usize..9).prop_flat_map(|length| {
            let number = any::<f32>().prop_filter("a number", |number| number.is_finite());
            vec(vec(number, length), 1..5)
        }),
        prompt_tokens in 0_u64..1 << 40,
    ) {
        let (num_ctx, keep_alive) = defaults;
        let input = EmbeddingInput::Texts(texts.clone());
        let request = EmbeddingRequest {
            model: "m".to_owned(), input, dimensions, encoding: Encoding::Float,
        };
        let defaults = Defaults { num_ctx, keep_alive, ..Defaults::default() };
        let body: Value = serde_json::from_slice(&embed_body(&request, "theirs", &defaults).unwrap()).unwrap();
        let mut expected = json!({"model": "theirs", "input": texts, "truncate": false});
        for (name, value) in [("dimensions", json!(dimensions)), ("keep_alive", json!(keep_alive)),
            ("options", num_ctx.map_or(Value::Null, |num_ctx| json!({"num_ctx": num_ctx})))]
        {
            if !value.is_null() {
                expected[name] = value;
            }
        }
        prop_assert_eq!(body, expected);
        let answer = json!({"model": "m", "embeddings": vectors, "prompt_eval_count": prompt_tokens}).to_string();
        let read = parse_embed(answer.as_bytes(), vectors.len()).unwrap();
        prop_assert_eq!(read, Embeddings { vectors, prompt_tokens, estimated: false });
    }
}
