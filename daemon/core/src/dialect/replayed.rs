//! Every exchange with a real engine that was recorded, replayed: what GhostLLM says to its request, or makes of its answer.
//!
//! Knows `exchanges/`, one file for each engine and one line for each exchange, and the list in its README of those whose answers were
//! wrong. Refuses to know sockets. Invariants: an exchange that is on the list is answered as the list says; one that is not is
//! answered with the engine's own status; what can be seen to be wrong by its bytes is on the list; what the engine said, thought and
//! called is what clients are told in each of their languages, or its beginning where it broke off.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde_json::Value;

use crate::chat::{ChatEvent, FinishReason, Usage};
use crate::config::Limits;
use crate::dialect::ollama::{self, parse_embed, parse_tags};
use crate::dialect::openai::passthrough::inspect;
use crate::dialect::openai::table::Behind;
use crate::dialect::openai::{
    ChunkDecoder, StreamRepair, TextCalls, check_embeddings, check_whole, check_whole_completion,
    inspect_completion, inspect_embeddings, parse_chat, parse_completion, parse_embeddings, parse_models,
};
use crate::dialect::render::{Form, Named};
use crate::dialect::responses::parse_response;
use crate::dialect::tool_text::ToolText;
use crate::error::{ApiError, BackendFault};
use crate::{completion, embedding};
use said::Said;

mod said;

const LIMIT: usize = 1 << 24;

macro_rules! file {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/exchanges/", $name))
    };
}

/// One line for each exchange; those on routes that GhostLLM asks of no engine have no bodies.
const ENGINES: [(&str, &str); 4] = [
    ("ollama", file!("ollama.jsonl")),
    ("llama-server", file!("llama-server.jsonl")),
    ("vllm", file!("vllm.jsonl")),
    ("transformers", file!("transformers.jsonl")),
];

const LIST: &str = file!("README.md");

#[derive(Deserialize)]
struct Exchange {
    name: String,
    method: String,
    path: String,
    /// 0 where no byte came before the client left.
    status: u16,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    request: String,
    #[serde(default)]
    answer: String,
}

fn exchanges() -> Vec<(&'static str, Exchange)> {
    let read = |(engine, text): &(&'static str, &'static str)| {
        let line = |line| (*engine, serde_json::from_str(line).unwrap());
        text.lines().map(line).collect::<Vec<_>>()
    };
    ENGINES.iter().flat_map(read).collect()
}

fn refused(error: &ApiError) -> String {
    format!("{}, before the engine is asked", failed(error))
}

fn failed(error: &ApiError) -> String {
    let code = error.code().text().unwrap_or("no code");
    let param = error.param().map(|param| format!(" of {param}")).unwrap_or_default();
    format!("{} {code}{param}", error.status().as_u16())
}

/// In few words: why each choice ended, how many calls there are, and what was counted.
fn good(reasons: &[String], calls: usize, usage: Option<Usage>) -> String {
    let calls = if calls > 0 { format!(", {calls} called") } else { String::new() };
    let counted = usage.map_or_else(
        || "uncounted".to_owned(),
        |usage| {
            let about = if usage.estimated { "~" } else { "" };
            format!("{about}{}+{} tokens", usage.prompt_tokens, usage.completion_tokens)
        },
    );
    format!("200 {}{calls}, {counted}", reasons.join(" "))
}

fn word(reason: FinishReason) -> String {
    let word = match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
        FinishReason::ToolCalls => "tool_calls",
        FinishReason::ContentFilter => "content_filter",
    };
    word.to_owned()
}

/// What events come to; a fault that comes behind some is told in the stream.
fn told(events: &[ChatEvent], end: Result<(), BackendFault>) -> String {
    if let Err(fault) = end {
        let error = failed(&ApiError::from(fault));
        return if events.is_empty() { error } else { format!("200, and in the stream {error}") };
    }
    let usage =
        events.iter().find_map(|event| if let ChatEvent::Usage(usage) = event { Some(*usage) } else { None });
    let calls = events.iter().filter(|event| matches!(event, ChatEvent::ToolCall { .. })).count();
    let Some(ChatEvent::Finish(reason)) = events.last() else { panic!("no end: {events:?}") };
    good(&[word(*reason)], calls, usage)
}

/// OpenAI's languages, in which every answer to a chat is told.
fn forms() -> [Form; 2] {
    let request = parse_response(br#"{"model":"m","input":"a"}"#, &Limits::default()).unwrap();
    [Form::Chat { model: "m".into(), include_usage: true }, Form::Response(Arc::new(request.echo))]
}

/// What a client gets of an answer with an error's status.
fn error(path: &str, exchange: &Exchange) -> String {
    let fault = BackendFault::answered(exchange.status, exchange.answer.as_bytes());
    let refusal = match path {
        "/v1/completions" | "/api/generate" => completion::refusal(&fault, "tiny"),
        "/v1/embeddings" | "/api/embed" => embedding::refusal(&fault, "tiny"),
        _ => None,
    };
    failed(&refusal.unwrap_or_else(|| fault.into()))
}

impl Exchange {
    /// What GhostLLM says; none for a route that it asks of no engine.
    fn says(&self, engine: &str) -> Option<String> {
        let path = self.path.split('?').next().unwrap_or_default();
        let known = match (self.method.as_str(), path) {
            ("GET", "/v1/models") => {
                self.lists(parse_models(self.answer.as_bytes(), "x").map(|list| list.len()))
            }
            ("GET", "/api/tags") => self.lists(parse_tags(self.answer.as_bytes()).map(|list| list.len())),
            ("POST", "/v1/chat/completions" | "/v1/completions" | "/v1/embeddings") => {
                self.refusal(engine, path).unwrap_or_else(|| self.openai(path))
            }
            ("POST", "/api/chat" | "/api/generate") => self.native(path),
            ("POST", "/api/embed") => self.embeds(path),
            _ => return None,
        };
        Some(known)
    }

    fn lists(&self, read: Result<usize, BackendFault>) -> String {
        if self.status != 200 {
            return error("", self);
        }
        read.map_or_else(|fault| failed(&fault.into()), |count| format!("200 {count} models"))
    }

    /// What is refused before an engine is asked; a request to Ollama's `/v1` goes to its own language.
    fn refusal(&self, engine: &str, path: &str) -> Option<String> {
        let (body, limits) = (self.request.as_bytes(), Limits::default());
        let native = engine == "ollama";
        let behind = if native { Behind::Ollama } else { Behind::OpenAi };
        let read = match path {
            "/v1/chat/completions" if native => {
                parse_chat(body, &limits).and_then(|read| ollama::chat_body(&read, "tiny")).map(drop)
            }
            "/v1/chat/completions" => {
                inspect(body, &limits).and_then(|passed| passed.taken(behind, &limits)).map(drop)
            }
            "/v1/embeddings" if native => parse_embeddings(body, &limits)
                .and_then(|read| ollama::embed_body(&read, "tiny", &crate::chat::Defaults::default()))
                .map(drop),
            "/v1/embeddings" => inspect_embeddings(body, &limits).map(drop),
            _ => {
                let passed =
                    inspect_completion(body, &limits).and_then(|passed| passed.taken(behind, &limits));
                // Of several prompts each is a request.
                let several = self.name.contains("prompt-list");
                let read =
                    if native && !several { parse_completion(body, &limits).map(drop) } else { Ok(()) };
                passed.map(drop).and(read)
            }
        };
        read.err().map(|error| refused(&error))
    }

    fn openai(&self, path: &str) -> String {
        match (self.status, path) {
            (0, _) => "nothing: its client has left".to_owned(),
            (200, "/v1/embeddings") => self.embeds(path),
            (200, _) if self.kind.starts_with("text/event-stream") => self.streams(path),
            (200, _) => self.whole(path),
            _ => error(path, self),
        }
    }

    fn functions(&self) -> std::sync::Arc<[String]> {
        inspect(self.request.as_bytes(), &Limits::default())
            .map(|passed| passed.functions)
            .unwrap_or_default()
    }

    /// What the engine said, each choice by itself.
    fn heard(&self) -> Vec<Said> {
        let functions = self.functions();
        said::read(self.answer.as_bytes()).into_iter().map(|said| said.calling(&functions)).collect()
    }

    /// What is passed on says what the engine said, or the beginning of it.
    fn passes(&self, out: &[u8], is_whole: bool) {
        let (told, heard) = (said::read(out), self.heard());
        let begins = || told.iter().zip(&heard).all(|(told, heard)| told.begins(heard));
        let same = if is_whole { told == heard } else { told.len() <= heard.len() && begins() };
        assert!(same, "{}: {told:?} of {heard:?}", self.name);
    }

    /// What was read is what the engine said, or the beginning of it; where it is whole, every language tells it.
    fn tells(&self, events: &[ChatEvent], is_whole: bool, forms: &[Form]) {
        let (said, heard) = (Said::of(events), self.heard().into_iter().next().unwrap_or_default());
        let same = if is_whole { said == heard } else { said.begins(&heard) };
        assert!(same, "{}: {said:?} of {heard:?}", self.name);
        for form in forms.iter().filter(|_| is_whole) {
            let named = Named { unique: "1", created: 1 };
            let (mut stream, mut whole) = (form.stream(named, LIMIT), form.whole(named, LIMIT));
            let mut out = BytesMut::new();
            for event in events {
                stream.event(event.clone(), &mut out).unwrap();
                whole.event(event.clone()).unwrap();
            }
            stream.finish(&mut out);
            let told = [&out[..], &whole.body().unwrap()[..]].map(said::read);
            assert_eq!(told, [[said.clone()], [said.clone()]], "{} as {form:?}", self.name);
            if matches!(form, Form::Response(_)) {
                assert_eq!(said::repeated(&out), said, "{}", self.name);
            }
        }
    }

    /// The repaired stream, which says the same wherever it is cut, and of a chat the same as what is decoded.
    fn streams(&self, path: &str) -> String {
        let repaired = |size: usize| {
            let mut repair = StreamRepair::new(LIMIT, None).calling(
                Some(TextCalls::new(self.functions(), "seed", LIMIT)).filter(|_| path.contains("chat")),
            );
            if !path.contains("chat") {
                repair = repair.completing(1);
            }
            let mut out = BytesMut::new();
            let mut pieces = self.answer.as_bytes().chunks(size);
            let end = pieces.try_for_each(|piece| repair.feed(piece, &mut out));
            let end = end.and_then(|()| repair.finish(&mut out));
            let done = out.windows(12).filter(|window| *window == b"data: [DONE]").count();
            assert_eq!(done, usize::from(end.is_ok()), "{}", self.name);
            (out.freeze(), end, repair.usage())
        };
        let at_once = repaired(LIMIT);
        for size in [1, 7, 64] {
            assert_eq!(repaired(size), at_once, "{} in pieces of {size}", self.name);
        }
        let (out, end, usage) = at_once;
        self.passes(&out, end.is_ok());
        if path.contains("chat") {
            let decoded = |bytes: &[u8]| {
                let text = ToolText::new(self.functions(), "seed", LIMIT);
                let (mut decoder, mut events) =
                    (ChunkDecoder::new("seed", LIMIT, LIMIT).calling(Some(text)), Vec::new());
                let end = decoder.feed(bytes, &mut events).and_then(|()| decoder.finish(&mut events));
                self.tells(&events, end.is_ok(), &forms());
                told(&events, end)
            };
            let says = decoded(self.answer.as_bytes());
            if end.is_ok() {
                assert_eq!(decoded(&out), says, "{}", self.name);
            }
            return says;
        }
        let says = |chunk: &str| -> Option<String> {
            let chunk: Value = serde_json::from_str(chunk.strip_prefix("data: ")?).ok()?;
            chunk["choices"][0]["finish_reason"].as_str().map(str::to_owned)
        };
        let text = String::from_utf8(out.to_vec()).unwrap();
        let reasons: Vec<String> = text.lines().filter_map(says).collect();
        end.map_or_else(|fault| failed(&fault.into()), |()| good(&reasons, 0, usage))
    }

    fn whole(&self, path: &str) -> String {
        let check = if path.contains("chat") { check_whole } else { check_whole_completion };
        let whole = match check(&Bytes::from(self.answer.clone()), None) {
            Err(fault) => return failed(&fault.into()),
            Ok(whole) => whole,
        };
        let body = match path.contains("chat") {
            true => TextCalls::new(self.functions(), "seed", LIMIT).whole(whole.body),
            false => whole.body,
        };
        self.passes(&body, true);
        let body: Value = serde_json::from_slice(&body).unwrap();
        let choices = body["choices"].as_array().unwrap();
        let reasons: Vec<String> =
            choices.iter().map(|choice| choice["finish_reason"].as_str().unwrap().to_owned()).collect();
        let calls = choices.iter().filter_map(|choice| choice["message"]["tool_calls"].as_array());
        good(&reasons, calls.map(Vec::len).sum(), whole.usage)
    }

    fn native(&self, path: &str) -> String {
        if self.status != 200 {
            return error(path, self);
        }
        let (chats, completions) = (forms(), [Form::Completion { model: "m".into(), include_usage: true }]);
        let forms = if path == "/api/chat" { &chats[..] } else { &completions[..] };
        let read = |size: usize| {
            let mut decoder = match path {
                "/api/chat" => ollama::ChatDecoder::new("seed", LIMIT),
                _ => ollama::ChatDecoder::completing(None, LIMIT),
            };
            let mut events = Vec::new();
            let end =
                self.answer.as_bytes().chunks(size).try_for_each(|piece| decoder.feed(piece, &mut events));
            let end = end.and_then(|()| decoder.finish(&mut events));
            self.tells(&events, end.is_ok(), forms);
            told(&events, end)
        };
        let at_once = read(LIMIT);
        for size in [1, 7, 64] {
            assert_eq!(read(size), at_once, "{} in pieces of {size}", self.name);
        }
        at_once
    }

    fn embeds(&self, path: &str) -> String {
        if self.status != 200 {
            return error(path, self);
        }
        let count = match path {
            "/api/embed" => {
                let request: Value = serde_json::from_str(&self.request).unwrap();
                let inputs = request["input"].as_array().map_or(1, Vec::len);
                parse_embed(self.answer.as_bytes(), inputs).map(|read| read.vectors.len())
            }
            _ => {
                let passed = inspect_embeddings(self.request.as_bytes(), &Limits::default()).unwrap();
                let body = Bytes::from(self.answer.clone());
                check_embeddings(&body, &passed).map(|_| passed.inputs)
            }
        };
        count.map_or_else(|fault| failed(&fault.into()), |count| format!("200 {count} vectors"))
    }

    /// What is wrong by its bytes alone, in words for the list.
    fn wrong(&self, says: &str) -> Vec<&'static str> {
        let mut wrong = Vec::new();
        if self.status == 200 && self.kind.starts_with("text/event-stream") && !self.answer.contains("[DONE]")
        {
            wrong.push("no [DONE]");
        }
        if self.answer.contains("<tool_call>") || self.answer.contains("\"<tool") {
            wrong.push("a call as text");
        }
        if self.status >= 400 && self.path.starts_with("/v1/") {
            let body: Value = serde_json::from_str(&self.answer).unwrap_or_default();
            let code = &body["error"]["code"];
            wrong.extend(body["error"]["message"].is_null().then_some("not OpenAI's error object"));
            wrong.extend(code.is_number().then_some("a number as code"));
        }
        if self.status >= 400 && self.answer.contains("{\\\"error") {
            wrong.push("JSON inside a string");
        }
        if self.status != 0 && !says.starts_with(&self.status.to_string()) {
            wrong.push("another status");
        }
        wrong.extend(says.contains("in the stream").then_some("a broken stream"));
        wrong
    }
}

/// The rows of the list: engine, names, what was wrong, what GhostLLM says.
fn list() -> Vec<(&'static str, Vec<&'static str>, &'static str)> {
    let row = |line: &'static str| {
        let cells: Vec<&str> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
        let [engine, names, _, says] = cells[..] else { panic!("not four cells: {line}") };
        let says = says.strip_prefix('`')?.strip_suffix('`').unwrap();
        Some((engine, names.split(", ").collect(), says))
    };
    LIST.lines().filter_map(row).collect()
}

fn is_named(name: &str, exchange: &str) -> bool {
    let rest = exchange.strip_prefix(name);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

#[test]
fn every_exchange_is_answered_with_its_own_status_or_as_the_list_says() {
    let list = list();
    let mut missing: BTreeMap<(&str, String, String), Vec<String>> = BTreeMap::new();
    let mut replayed = BTreeMap::new();
    for (engine, exchange) in exchanges() {
        let Some(says) = exchange.says(engine) else { continue };
        *replayed.entry(engine).or_insert(0) += 1;
        let mut rows = list.iter().filter(|(of, names, _)| {
            *of == engine && names.iter().any(|name| is_named(name, &exchange.name))
        });
        let wrong = exchange.wrong(&says);
        let listed = rows.next().map(|(_, _, expected)| *expected);
        if listed != Some(&says) && !(listed.is_none() && wrong.is_empty()) {
            missing.entry((engine, wrong.join(", "), says)).or_default().push(exchange.name.clone());
        }
        assert!(rows.next().is_none(), "{engine} {} is on the list twice", exchange.name);
    }
    let rows: Vec<String> = missing
        .into_iter()
        .map(|((engine, wrong, says), names)| {
            format!("| {engine} | {} | {wrong} | `{says}` |", names.join(", "))
        })
        .collect();
    assert!(rows.is_empty(), "not so on the list in exchanges/README.md:\n{}", rows.join("\n"));
    let expected = [("llama-server", 77), ("ollama", 185), ("transformers", 77), ("vllm", 77)];
    assert_eq!(replayed, BTreeMap::from(expected), "how many were replayed");
}

/// Else that what is told is what was said would say nothing.
#[test]
fn most_of_the_answers_say_something() {
    let heard = |(_, exchange): &(&str, Exchange)| exchange.status == 200 && !exchange.heard().is_empty();
    let said = exchanges().into_iter().filter(heard);
    let silent = |(_, exchange): &(&str, Exchange)| exchange.heard().iter().any(Said::is_silent);
    let (silent, spoken): (Vec<_>, Vec<_>) = said.partition(silent);
    assert!(spoken.len() > 200 && silent.len() < 25, "{} speak, {} do not", spoken.len(), silent.len());
}

#[test]
fn the_list_names_recorded_exchanges_alone() {
    let exchanges = exchanges();
    for (engine, names, _) in list() {
        for name in names {
            let found = |(of, exchange): &&(&str, Exchange)| *of == engine && is_named(name, &exchange.name);
            assert!(exchanges.iter().any(|each| found(&each)), "{engine} {name}");
        }
    }
}
