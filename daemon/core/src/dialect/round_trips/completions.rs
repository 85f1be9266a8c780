//! OpenAI's older completions: a client's request, what Ollama is asked for it, and the answer.

use bytes::BytesMut;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{LIMIT, joined};
use crate::chat::{ChatEvent, FinishReason};
use crate::completion::CompletionRequest;
use crate::config::Limits;
use crate::dialect::arbitrary::{cut, cuts, said, sampling, usage};
use crate::dialect::ollama::generate_body;
use crate::dialect::openai::{CompletionStream, CompletionWhole, parse_completion};
use crate::framing::sse;

fn request() -> impl Strategy<Value = CompletionRequest> {
    let ends = (vec("[^\u{0}]{1,5}", 0..4), of(1_u32..9999), of(0_u8..=5));
    ("(?s).{1,20}", of("(?s).{1,9}"), any::<bool>(), sampling(), ends).prop_map(
        |(prompt, suffix, echo, sampling, (stop, max_tokens, logprobs))| CompletionRequest {
            prompt,
            suffix,
            // Together they are refused.
            echo: echo && logprobs.is_none(),
            sampling,
            stop,
            max_tokens,
            logprobs,
            num_ctx: None,
            keep_alive: None,
        },
    )
}

/// As a client writes it; what it does not say is null.
fn written(request: &CompletionRequest) -> String {
    let mut body = json!({
        "model": "m", "prompt": request.prompt, "suffix": request.suffix, "echo": request.echo, "stop": request.stop,
        "max_tokens": request.max_tokens, "logprobs": request.logprobs,
    });
    let Value::Object(sampling) = json!(request.sampling) else { unreachable!() };
    body.as_object_mut().unwrap().extend(sampling);
    body.to_string()
}

/// Without the fields that are null.
fn present(mut value: Value) -> Value {
    value.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    value
}

fn answer() -> impl Strategy<Value = Vec<ChatEvent>> {
    let reason = prop_oneof![Just(FinishReason::Stop), Just(FinishReason::Length)];
    (vec(said(), 0..6), usage(), reason).prop_map(|(mut events, usage, reason)| {
        events.extend([ChatEvent::Usage(usage), ChatEvent::Finish(reason)]);
        events
    })
}

/// What a completion tells of an answer: its text, its tokens with their places, and why it ended.
#[derive(Debug, Default, PartialEq)]
struct Told {
    text: String,
    tokens: Vec<(Value, Value, Value)>,
    reason: Value,
}

impl Told {
    fn choice(&mut self, choice: &Value) {
        self.text.push_str(choice["text"].as_str().unwrap());
        let list = |name: &str| choice["logprobs"][name].as_array().cloned().unwrap_or_default();
        let (tokens, numbers, places) = (list("tokens"), list("token_logprobs"), list("text_offset"));
        assert!(tokens.len() == numbers.len() && tokens.len() == places.len(), "{choice}");
        let rows = tokens.into_iter().zip(numbers).zip(places);
        self.tokens.extend(rows.map(|((token, number), place)| (token, number, place)));
        if !choice["finish_reason"].is_null() {
            self.reason = choice["finish_reason"].clone();
        }
    }

    fn of(events: &[ChatEvent]) -> Self {
        let (text, _, tokens) = joined(events);
        let mut place = 0;
        let row = |token: &Value| {
            let row = (token["token"].clone(), token["logprob"].clone(), json!(place));
            place += token["token"].as_str().unwrap().chars().count();
            row
        };
        let tokens = tokens.iter().map(row).collect();
        let stops = events.last() == Some(&ChatEvent::Finish(FinishReason::Stop));
        Self { text, tokens, reason: json!(if stops { "stop" } else { "length" }) }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_request_is_read_as_it_was_written(request in request()) {
        let body = written(&request);
        prop_assert_eq!(parse_completion(body.as_bytes(), &Limits::default()), Ok(request), "{}", body);
    }

    #[test]
    fn ollama_is_asked_for_all_of_it(request in request(), num_ctx in of(1_u32..9999), keep_alive in of(any::<i64>())) {
        let request = CompletionRequest { num_ctx, keep_alive, ..request };
        let body: Value = serde_json::from_slice(&generate_body(&request, "theirs")).unwrap();
        let mut options = json!(request.sampling);
        options["num_predict"] = json!(request.max_tokens.unwrap_or(16));
        options["num_ctx"] = json!(num_ctx);
        options["stop"] = if request.stop.is_empty() { Value::Null } else { json!(request.stop) };
        let expected = json!({
            "model": "theirs", "prompt": request.prompt, "suffix": request.suffix, "raw": request.suffix.is_none(),
            "stream": true, "truncate": false, "think": false, "keep_alive": keep_alive, "options": present(options),
            "logprobs": request.logprobs.map(|_| true), "top_logprobs": request.logprobs.filter(|top| *top > 0),
        });
        prop_assert_eq!(body, present(expected));
    }

    #[test]
    fn an_answer_is_told_alike_in_a_stream_and_in_one_piece(events in answer(), cuts in cuts()) {
        let mut stream = CompletionStream::new("cmpl-1", 5, "m", true);
        let mut whole = CompletionWhole::new("cmpl-1", 5, "m", LIMIT);
        let mut out = BytesMut::new();
        for event in &events {
            stream.event(event, &mut out);
            whole.event(event.clone()).unwrap();
        }
        stream.finish(&mut out);
        let whole: Value = serde_json::from_slice(&whole.body().unwrap()).unwrap();
        let mut pieces = sse::Events::new(LIMIT);
        let (mut told, mut counts, mut done) = (Told::default(), Value::Null, false);
        for piece in cut(&out, &cuts) {
            pieces.push(piece);
            while let Some(event) = pieces.next_event().unwrap() {
                prop_assert!(!done);
                done = event.data == "[DONE]";
                let chunk: Value = if done { Value::Null } else { serde_json::from_slice(&event.data).unwrap() };
                chunk["choices"].as_array().into_iter().flatten().for_each(|choice| told.choice(choice));
                counts = if chunk["usage"].is_null() { counts } else { chunk["usage"].clone() };
            }
        }
        let mut at_once = Told::default();
        at_once.choice(&whole["choices"][0]);
        prop_assert!(done);
        prop_assert_eq!(&told, &Told::of(&events));
        prop_assert_eq!(&at_once, &told);
        prop_assert_eq!(&counts, &whole["usage"]);
        let [.., ChatEvent::Usage(usage), _] = &events[..] else { unreachable!() };
        prop_assert_eq!(
            (&counts["prompt_tokens"], &counts["completion_tokens"]),
            (&json!(usage.prompt_tokens), &json!(usage.completion_tokens))
        );
    }
}
