//! The document says all that the program's tables say, and what it says of forms is so.

use std::collections::BTreeSet;

use bytes::BytesMut;
use serde_json::{Map, Value, json};

use super::schemas::Schemas;
use super::{document, operation, page, path, value, verb};
use crate::chat::{ChatEvent, FinishReason, Usage};
use crate::config::Limits;
use crate::dialect::openai::table::{Behind, Fate, ROWS, Row};
use crate::dialect::openai::{
    COMPLETION_ROWS, ChatStream, ChatWhole, CompletionStream, CompletionWhole, EMBEDDING_ROWS,
    inspect_completion, models_body, parse_chat, parse_completion, parse_embeddings,
};
use crate::dialect::responses::{self, ResponseStream, ResponseWhole, parse_response};
use crate::error::{ApiError, Code};
use crate::routes::{Access, TABLE};

fn form<'a>(document: &'a Value, name: &str) -> &'a Value {
    &document["components"]["schemas"][name]
}

fn properties(document: &Value, name: &str) -> Map<String, Value> {
    form(document, name)["properties"].as_object().unwrap().clone()
}

#[test]
fn every_row_of_the_table_is_in_the_document_with_what_it_needs() {
    let document = value();
    let mut names = BTreeSet::new();
    for row in TABLE {
        let described = &document["paths"][path(row)][verb(row.verb)];
        let at = format!("{:?} {}", row.verb, row.path);
        assert!(
            names.insert(described["operationId"].as_str().expect(&at).to_owned()),
            "{at}: its id is twice"
        );
        let needs = described["x-ghostllm-permission"].as_str();
        match row.access {
            Access::Public => {
                assert_eq!((described["security"].as_array().map(Vec::len), needs), (Some(0), None), "{at}");
            }
            Access::Needs(permission) => {
                assert_eq!((&described["security"], needs), (&Value::Null, Some(permission.name())), "{at}");
            }
        }
        assert_eq!(described["responses"]["401"].is_object(), row.access != Access::Public, "{at}");
        assert!(!described["summary"].as_str().unwrap().is_empty(), "{at}");
        let answers = described["responses"].as_object().unwrap();
        assert!(answers.contains_key("200") && answers.contains_key("default"), "{at}");
    }
    let documented: usize =
        document["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len()).sum();
    assert_eq!(documented, TABLE.len());
}

#[test]
fn what_is_referred_to_is_there_and_a_name_stands_for_one_form() {
    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = value();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 100, "{}", found.len());
    for reference in found {
        assert!(document.pointer(reference.strip_prefix('#').unwrap()).is_some(), "{reference}");
    }
    let mut schemas = Schemas::new();
    for row in TABLE {
        let _described = operation::of(row.endpoint, &mut schemas);
    }
    assert_eq!(schemas.clashes(), Vec::<String>::new());
    // schemars counts those that would have the same name.
    let names = document["components"]["schemas"].as_object().unwrap().keys();
    assert_eq!(names.filter(|name| name.ends_with(|c: char| c.is_ascii_digit())).count(), 0);
}

#[test]
fn a_chat_s_fields_are_the_table_s_with_their_fates() {
    have_their_fates::<super::chat::Request>("ChatCompletionRequest", ROWS);
}

#[test]
fn a_completion_s_fields_are_those_of_its_own_table() {
    have_their_fates::<super::completions::Request>("CompletionRequest", COMPLETION_ROWS);
}

#[test]
fn an_embedding_request_s_fields_are_those_of_its_own_table() {
    have_their_fates::<super::embeddings::Request>("EmbeddingRequest", EMBEDDING_ROWS);
}

#[test]
fn a_response_s_fields_are_those_of_its_own_table() {
    have_their_fates::<super::responses::Request>("ResponseRequest", responses::ROWS);
}

/// The fields that a form has by its type.
fn typed<T: schemars::JsonSchema>() -> Map<String, Value> {
    Schemas::new().inside::<T>()["properties"].as_object().unwrap().clone()
}

fn have_their_fates<T: schemars::JsonSchema>(name: &str, rows: &[Row]) {
    let document = value();
    let fields = properties(&document, name);
    let inside = fields.values().filter_map(|field| Some(field["x-ghostllm-inside"].as_object()?.len()));
    let outside = fields.values().filter(|field| field["x-ghostllm-backends"].is_object()).count();
    assert_eq!(outside + inside.sum::<usize>(), rows.len());
    let typed = typed::<T>();
    for row in rows {
        let (outer, inside) = row.name.split_once('.').unwrap_or((row.name, ""));
        let field = &fields[outer];
        let told = if inside.is_empty() {
            &field["x-ghostllm-backends"]
        } else {
            &field["x-ghostllm-inside"][inside]
        };
        let fates = [("ollama", Behind::Ollama), ("openai", Behind::OpenAi), ("engine", Behind::Engine)];
        for (name, behind) in fates {
            let word = super::fields::fate(row.fate(behind));
            assert_eq!(told[name], word, "{}", row.name);
        }
        let refused = Behind::ALL.iter().all(|behind| matches!(row.fate(*behind), Fate::Refused(_)));
        assert_eq!(typed.contains_key(outer), !refused, "{} has a form or is refused everywhere", row.name);
    }
    let unknown: Vec<&String> = typed.keys().filter(|name| !fields.contains_key(*name)).collect();
    assert_eq!(unknown, Vec::<&String>::new());
}

/// The least and the most of each number of this form.
fn ranges(fields: &Map<String, Value>) -> Vec<(&str, f64, f64)> {
    let range = |(name, form): (&'static str, &Value)| {
        let form = form["anyOf"].get(0).unwrap_or(form);
        Some((name, form["minimum"].as_f64()?, form["maximum"].as_f64()?))
    };
    let names = [
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "repeat_penalty",
        "repetition_penalty",
        "n",
        "frequency_penalty",
        "presence_penalty",
        "max_tokens",
        "max_completion_tokens",
        "max_output_tokens",
        "top_logprobs",
        "dimensions",
    ];
    // One that is refused everywhere takes no number.
    let taken = |field: &&Value| field["x-ghostllm-backends"]["openai"] != "refused";
    let there = names.into_iter().filter_map(|name| Some((name, fields.get(name).filter(taken)?)));
    there.map(|there| range(there).expect("it has a range")).collect()
}

fn number(number: f64) -> Value {
    // A whole one is written as such.
    #[expect(clippy::cast_possible_truncation, reason = "the ranges are small")]
    let whole = number as i64;
    if number.fract() == 0.0 { whole.into() } else { number.into() }
}

/// Sends both ends of each range, and what lies beyond them.
fn sends(form: &str, at_least: usize, base: &Value, read: impl Fn(&[u8]) -> Result<(), ApiError>) {
    let document = value();
    let fields = properties(&document, form);
    let ranges = ranges(&fields);
    assert!(ranges.len() >= at_least, "{form}: {ranges:?}");
    for (name, least, most) in ranges {
        let sent = |value: f64| {
            let mut body = base.clone();
            body[name] = number(value);
            read(body.to_string().as_bytes())
        };
        for good in [least, most] {
            assert_eq!(sent(good), Ok(()), "{form}.{name}: {good}");
        }
        // Where -1 is all of them, that is no number beyond an end.
        let below = if name == "top_k" { least - 2.0 } else { least - 1.0 };
        for bad in [below, most + 1.0] {
            assert_eq!(sent(bad).unwrap_err().param(), Some(name), "{form}.{name}: {bad}");
        }
    }
}

#[test]
fn no_more_must_be_there_than_is_read_without() {
    let document = value();
    let must = |name: &str| {
        let mut must: Vec<String> =
            serde_json::from_value(form(&document, name)["required"].clone()).unwrap();
        must.sort();
        must
    };
    assert_eq!(must("ChatCompletionRequest"), ["messages", "model"]);
    assert_eq!(must("CompletionRequest"), ["model", "prompt"]);
    assert_eq!(must("ResponseRequest"), ["input", "model"]);
    assert_eq!(must("EmbeddingRequest"), ["input", "model"]);
}

#[test]
fn the_ranges_of_numbers_are_those_that_are_taken() {
    let limits = Limits::default();
    let chat = json!({"model": "m", "messages": [{"role": "user", "content": "a"}], "logprobs": true});
    sends("ChatCompletionRequest", 12, &chat, |body| parse_chat(body, &limits).map(drop));
    let response = json!({"model": "m", "input": "a", "include": ["message.output_text.logprobs"]});
    sends("ResponseRequest", 10, &response, |body| parse_response(body, &limits).map(drop));
    let completion = json!({"model": "m", "prompt": "a", "n": 1});
    // Of what is passed on, only what must be known is looked at; whoever gives one answer at a time looks at the rest.
    sends("CompletionRequest", 8, &completion, |body| {
        inspect_completion(body, &limits)?;
        // Of several answers that one gives the best of none, and it scores no text without a token more.
        let text = String::from_utf8_lossy(body);
        let engines = text.contains("best_of") || text.contains("\"max_tokens\":0");
        if engines { Ok(()) } else { parse_completion(body, &limits).map(drop) }
    });
    let embeddings = json!({"model": "m", "input": "a"});
    sends("EmbeddingRequest", 1, &embeddings, |body| parse_embeddings(body, &limits).map(drop));
}

#[test]
fn the_other_requests_fields_are_those_that_are_known() {
    let limits = Limits::default();
    for name in typed::<super::embeddings::Request>().keys() {
        let body =
            json!({"model": "m", "input": "a", "dimensions": 1, "encoding_format": "float", "user": "u"});
        assert!(body.get(name).is_some(), "{name}");
        parse_embeddings(body.to_string().as_bytes(), &limits).unwrap();
    }
    // One that is not known is named as ignored, whatever it holds; of one that is known, its type is looked at.
    for name in typed::<super::responses::Request>().keys() {
        let mut body = json!({"model": "m", "input": "a"});
        if !["model", "input"].contains(&&**name) {
            body[name] = json!([[]]);
        }
        let read = parse_response(body.to_string().as_bytes(), &limits);
        let unknown = read.is_ok_and(|read| read.ignored.contains(name));
        assert!(!unknown, "{name} is in the document, and not known");
    }
}

/// Refuses what is in the value and not in the form, and what the form wants and the value lacks.
fn covered(document: &Value, form: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(reference) = form["$ref"].as_str() {
        return covered(document, document.pointer(&reference[1..]).unwrap(), value, at);
    }
    for word in ["oneOf", "anyOf"] {
        if let Some(kinds) = form[word].as_array() {
            let all: Result<Vec<()>, String> = kinds
                .iter()
                .map(|kind| {
                    covered(document, kind, value, at).map_or_else(Ok, |()| Err(String::new())).map(drop)
                })
                .collect();
            return if all.is_err() { Ok(()) } else { Err(format!("{at}: {value} is none of {word}")) };
        }
    }
    if let Some(only) = form.get("const").filter(|only| *only != value) {
        return Err(format!("{at}: {value} is not {only}"));
    }
    if let Some(words) = form["enum"].as_array().filter(|words| !words.contains(value)) {
        return Err(format!("{at}: {value} is not of {words:?}"));
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let kinds: Vec<&str> = match &form["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => vec![kind],
    };
    let named = if kind == "integer" && kinds.contains(&"number") { "number" } else { kind };
    if !kinds.contains(&named) {
        return Err(format!("{at}: {value} is no {kinds:?}"));
    }
    for item in value.as_array().into_iter().flatten().filter(|_| form.get("items").is_some()) {
        covered(document, &form["items"], item, &format!("{at}[]"))?;
    }
    for name in form["required"].as_array().into_iter().flatten().filter(|_| value.is_object()) {
        let name = name.as_str().unwrap();
        value.get(name).ok_or_else(|| format!("{at}: {name} is missing in {value}"))?;
    }
    if let (Some(fields), Some(known)) = (value.as_object(), form["properties"].as_object()) {
        for (name, value) in fields {
            let form = known.get(name).ok_or_else(|| format!("{at} has no {name}"))?;
            covered(document, form, value, &format!("{at}.{name}"))?;
        }
    }
    Ok(())
}

fn fits(document: &Value, name: &str, text: &[u8]) {
    let value: Value = serde_json::from_slice(text).unwrap();
    assert!(form(document, name).is_object(), "{name}");
    covered(document, form(document, name), &value, name).unwrap();
}

/// What a model may say.
fn said() -> Vec<ChatEvent> {
    let logprobs = r#"[{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[{"token":"b","logprob":-1.0,"bytes":null}]}]"#;
    vec![
        ChatEvent::Reasoning("thought".to_owned()),
        ChatEvent::Text { text: "said".to_owned(), logprobs: Some(logprobs.into()) },
        ChatEvent::ToolCall { index: 0, id: "call_1".into(), name: "f".into(), arguments: "{}".into() },
        ChatEvent::Usage(Usage { cached_tokens: Some(1), reasoning_tokens: Some(2), ..Usage::counted(3, 4) }),
        ChatEvent::Finish(FinishReason::Stop),
    ]
}

fn data(stream: &[u8]) -> Vec<&str> {
    let text = std::str::from_utf8(stream).unwrap();
    text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]").collect()
}

#[test]
fn what_is_answered_is_of_the_forms_that_are_promised() {
    let document = value();
    let mut whole = ChatWhole::new("chatcmpl-1", 1, "m", 1 << 20);
    let (mut stream, mut out) = (ChatStream::new("chatcmpl-1", 1, "m", true), BytesMut::new());
    for event in said() {
        stream.event(&event, &mut out);
        whole.event(event).unwrap();
    }
    stream.finish(&mut out);
    fits(&document, "ChatCompletion", &whole.body().unwrap());
    assert!(data(&out).len() >= 5);
    data(&out).iter().for_each(|chunk| fits(&document, "ChatCompletionChunk", chunk.as_bytes()));
    fits(&document, "Models", &models_body([]));
    let mut whole = CompletionWhole::new("cmpl-1", 1, "m", 1 << 20);
    let (mut stream, mut out) = (CompletionStream::new("cmpl-1", 1, "m", true), BytesMut::new());
    for event in said().into_iter().filter(|event| !matches!(event, ChatEvent::ToolCall { .. })) {
        stream.event(&event, &mut out);
        whole.event(event).unwrap();
    }
    stream.finish(&mut out);
    fits(&document, "Completion", &whole.body().unwrap());
    assert!(data(&out).len() >= 3);
    data(&out).iter().for_each(|piece| fits(&document, "Completion", piece.as_bytes()));
    for code in Code::ALL {
        fits(&document, "Error", &ApiError::new(code, "a").body());
    }
}

#[test]
fn responses_and_their_events_are_of_the_forms_that_are_promised() {
    let document = value();
    let request =
        parse_response(br#"{"model":"m","input":"a","metadata":{"a":"b"}}"#, &Limits::default()).unwrap();
    let echo = std::sync::Arc::new(request.echo);
    let mut whole = ResponseWhole::new("1", 1, std::sync::Arc::clone(&echo), 1 << 20);
    let (mut stream, mut out) =
        (ResponseStream::new("1", 1, std::sync::Arc::clone(&echo), 1 << 20), BytesMut::new());
    for event in said() {
        stream.event(event.clone(), &mut out).unwrap();
        whole.event(event).unwrap();
    }
    stream.finish(&mut out);
    fits(&document, "Response", &whole.body().unwrap());
    out.extend_from_slice(&ResponseStream::new("1", 1, echo, 9).failure(&ApiError::internal()));
    let events = data(&out);
    assert!(events.len() > 15, "{}", events.len());
    events.iter().for_each(|event| fits(&document, "ResponseEvent", event.as_bytes()));
}

#[test]
fn the_documents_are_those_that_are_generated() {
    // All of it would be too much to be told.
    assert!(include_str!("../../../../packaging/docs/openapi.json") == document(), "run `just docs`");
    assert!(include_str!("../../../../packaging/docs/api.html") == page(), "run `just docs`");
}

#[test]
fn the_page_has_every_route_and_field_and_loads_nothing() {
    let page = page();
    assert!(!page.contains("{{"));
    for row in TABLE {
        assert!(page.contains(&format!("<code>{}</code>", path(row))), "{}", row.path);
    }
    for row in ROWS {
        let name = row.name.replace('_', "_<wbr>").replace('.', ".<wbr>");
        assert!(page.contains(&format!("<th scope=\"row\"><code>{name}</code>")), "{}", row.name);
    }
    for code in Code::ALL {
        assert!(page.contains(super::fails::name(code)), "{code:?}");
    }
    for name in super::page::LIMITS {
        assert!(page.contains(&format!("<code>limits.{name}</code>")), "{name}");
    }
    for banned in
        ["<script", "<img", "<link", "<iframe", "<form", "@import", "url(", "style=\"", "src=\"", " onclick"]
    {
        assert!(!page.contains(banned), "{banned}");
    }
    for link in page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        match link.strip_prefix('#') {
            Some(target) => assert_eq!(page.matches(&format!("id=\"{target}\"")).count(), 1, "{link}"),
            None => assert!(["/", "/openapi.json"].contains(&link), "{link}"),
        }
    }
    for element in [
        "section", "pre", "code", "details", "ul", "li", "dl", "dd", "p", "h2", "h3", "a", "span", "table",
        "td", "tr",
    ] {
        let opened =
            page.matches(&format!("<{element}>")).count() + page.matches(&format!("<{element} ")).count();
        assert_eq!(opened, page.matches(&format!("</{element}>")).count(), "{element}");
    }
}

#[test]
fn its_lines_can_be_pasted() {
    let document = value();
    for row in TABLE {
        for (_, line) in super::page::calls(row, &document["paths"][path(row)][verb(row.verb)]) {
            let words: Vec<&str> = line.split('\'').collect();
            assert_eq!(words.len() % 2, 1, "{line}");
            assert_eq!(line.matches('"').count() % 2, 0, "{line}");
            if let Some(body) = line.split("-d '").nth(1) {
                serde_json::from_str::<Value>(body.trim_end_matches('\'')).unwrap();
            }
        }
    }
}
