//! Several replies, joined.

use serde_json::json;

use super::*;
use crate::chat::{ChatEvent, FinishReason, Usage};
use crate::dialect::openai::ChatStream;
use crate::dialect::openai::ChatWhole;

fn events(text: &str) -> [ChatEvent; 3] {
    let usage = Usage::counted(7, 3);
    [ChatEvent::text(text), ChatEvent::Usage(usage), ChatEvent::Finish(FinishReason::Stop)]
}

fn reply(id: &str, text: &str) -> BytesMut {
    let (mut stream, mut out) = (ChatStream::new(id, 5, "m", true), BytesMut::new());
    events(text).iter().for_each(|event| stream.event(event, &mut out));
    stream.finish(&mut out);
    out
}

fn chunks(out: &[u8]) -> Vec<Value> {
    let mut all = Vec::new();
    each_event(out, |_, data| all.push(serde_json::from_slice(data.unwrap()).unwrap_or_default()));
    all
}

#[test]
fn streams_are_one_with_a_number_for_each_choice_and_one_end() {
    let (mut several, mut out) = (Several::new(3, true), BytesMut::new());
    let mut asked = Vec::new();
    for (nr, text) in ["one", "two", "three"].into_iter().enumerate() {
        several.pass(&reply(&format!("chatcmpl-{nr}"), text), &mut out);
        asked.push(several.next_choice(&mut out));
    }
    assert_eq!(asked, [Some(1), Some(2), None]);
    assert!(out.ends_with(DONE) && memchr::memmem::find_iter(&out, "[DONE]").count() == 1);
    let chunks = chunks(&out);
    let of = |choice: u32| chunks.iter().filter(move |chunk| chunk["choices"][0]["index"] == choice);
    for (choice, text) in [(0, "one"), (1, "two"), (2, "three")] {
        let deltas: Vec<_> = of(choice).map(|chunk| chunk["choices"][0]["delta"].clone()).collect();
        assert_eq!(deltas, [json!({"role": "assistant", "content": text}), json!({})], "one role for each");
        assert_eq!(of(choice).filter(|chunk| chunk["choices"][0]["finish_reason"] == "stop").count(), 1);
    }
    let told: Vec<_> = chunks.iter().filter(|chunk| chunk["usage"].is_object()).collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["usage"], json!({"prompt_tokens": 7, "completion_tokens": 9, "total_tokens": 16}));
    assert_eq!(told[0]["choices"], json!([]));
    assert!(chunks.iter().filter(|chunk| chunk.is_object()).all(|chunk| chunk["id"] == "chatcmpl-0"));
}

fn told(usage: &[u64; 2]) -> Value {
    let [prompt, completion] = usage;
    json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion})
}

/// A reply of these choices of which each finish chunk has its own counts; before it, a running count.
fn riding(choices: u32, completion: u64) -> BytesMut {
    let mut out = BytesMut::new();
    for index in 0..choices {
        for (reason, tokens) in [(None, 1), (Some("stop"), completion)] {
            let choice = json!({"index": index, "delta": {"content": "x"}, "finish_reason": reason});
            event(&json!({"id": "a", "choices": [choice], "usage": told(&[5, tokens])}), &mut out);
        }
    }
    out.put_slice(DONE);
    out
}

/// The counts that a stream of these replies tells, of which the last that come in a chunk of choices must be none.
fn counts(wanted: u32, include_usage: bool, replies: &[BytesMut]) -> Vec<Value> {
    let (mut several, mut out) = (Several::new(wanted, include_usage), BytesMut::new());
    for (nr, reply) in replies.iter().enumerate() {
        several.pass(reply, &mut out);
        assert_eq!(several.next_choice(&mut out).is_none(), nr + 1 == replies.len());
    }
    let chunks = chunks(&out);
    let finished = chunks.iter().filter(|chunk| chunk["choices"][0]["finish_reason"] == "stop");
    assert_eq!(u32::try_from(finished.count()), Ok(wanted), "every choice has its end");
    let spoken = chunks.iter().filter(|chunk| chunk["choices"][0].is_object());
    for chunk in spoken {
        assert_eq!(chunk.get("usage"), include_usage.then_some(&Value::Null), "{chunk}");
    }
    let told = chunks.iter().filter(|chunk| chunk["usage"].is_object());
    told.map(|chunk| {
        assert_eq!((&chunk["choices"], &chunk["id"]), (&json!([]), &json!("a")));
        chunk["usage"].clone()
    })
    .collect()
}

#[test]
fn counts_that_ride_in_a_chunk_of_a_choice_add_up_and_are_told_once() {
    let replies = [riding(1, 3), riding(1, 4), riding(1, 5)];
    assert_eq!(counts(3, true, &replies), [told(&[5, 12])]);
    assert_eq!(counts(3, false, &replies), [Value::Null; 0], "nobody asked for them");
    // Two choices in one reply have each their own, and one reply with them all is told the same way.
    assert_eq!(counts(3, true, &[riding(2, 3), riding(1, 4)]), [told(&[5, 10])]);
    assert_eq!(counts(2, true, &[riding(2, 3)]), [told(&[5, 6])]);
    // A chunk of their own has those of all.
    let mut both = riding(2, 3);
    event(&json!({"id": "b", "choices": [], "usage": told(&[5, 7])}), &mut both);
    assert_eq!(counts(2, true, &[both]), [told(&[5, 7])]);
}

#[test]
fn the_prompt_is_counted_once_and_as_the_longest_that_was_told() {
    let mut usage =
        json!({"prompt_tokens": 2, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 1}});
    add_usage(
        &mut usage,
        &json!({"prompt_tokens": 9, "completion_tokens": 4, "completion_tokens_details": {"reasoning_tokens": 3}}),
        false,
    );
    add_usage(
        &mut usage,
        &json!({"prompt_tokens": 9, "completion_tokens": 0, "completion_tokens_details": {"reasoning_tokens": 2}}),
        false,
    );
    let expected = json!({
        "prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14,
        "prompt_tokens_details": {"cached_tokens": 1}, "completion_tokens_details": {"reasoning_tokens": 5},
    });
    assert_eq!(usage, expected);
}

#[test]
fn an_event_of_another_choice_has_its_number() {
    let mut event = BytesMut::new();
    ChatStream::new("id", 5, "m", false).keep_alive(&mut event);
    let chunk = &chunks(&numbered(&event, 2))[0];
    assert_eq!((&chunk["choices"][0]["index"], &chunk["id"]), (&json!(2), &json!("id")));
    assert_eq!(numbered(b": word\n\n", 2), ": word\n\n");
}

#[test]
fn a_reply_that_has_all_choices_is_passed_byte_for_byte() {
    let text = "data: {\"id\":\"x\",\"choices\":[{\"index\":1,\"delta\":{}},{\"index\":0,\"delta\":{}}]}\n\n: word\n\ndata: odd\n\n";
    let (mut several, mut out) = (Several::new(2, true), BytesMut::new());
    several.pass(text.as_bytes(), &mut out);
    several.pass(DONE, &mut out);
    assert_eq!(several.next_choice(&mut out), None);
    assert_eq!(out, format!("{text}data: [DONE]\n\n"));
}

#[test]
fn a_reply_without_a_choice_is_not_asked_for_again() {
    let (mut several, mut out) = (Several::new(2, true), BytesMut::new());
    several.pass(DONE, &mut out);
    assert_eq!((several.next_choice(&mut out), out.as_ref()), (None, DONE));
}

#[test]
fn whole_answers_are_one() {
    let whole = |text: &str| {
        let mut whole = ChatWhole::new("id", 5, "m", 100);
        events(text).into_iter().for_each(|event| whole.event(event).unwrap());
        whole.body().unwrap()
    };
    let joined = joined(&whole("one"), &[whole("two"), whole("three")], 3).unwrap();
    assert_eq!((choices(&whole("one")), choices(&joined), choices(b"[]")), (1, 3, 0));
    let body: Value = serde_json::from_slice(&joined).unwrap();
    for (nr, text) in ["one", "two", "three"].into_iter().enumerate() {
        assert_eq!(
            (&body["choices"][nr]["index"], &body["choices"][nr]["message"]["content"]),
            (&json!(nr), &json!(text))
        );
    }
    assert_eq!(body["usage"], json!({"prompt_tokens": 7, "completion_tokens": 9, "total_tokens": 16}));
    assert_eq!((&body["id"], &body["created"]), (&json!("id"), &json!(5)));
}

#[test]
fn what_engines_add_of_their_own_stays() {
    let answer = |tokens: u32| {
        let text = format!(
            "{{\"usage\" : {{\"completion_tokens\":{tokens},\"prompt_tokens\":2,\"total_tokens\":0,\"completion_tokens_details\":\
             {{\"reasoning_tokens\":{tokens}}}}},\"timings\":{{ \"a\":1.0}},\"choices\":[ {{\"index\":0,\"x\":1}} ] }}"
        );
        Bytes::from(text)
    };
    let joined = joined(&answer(3), &[answer(4)], 2).unwrap();
    let text = std::str::from_utf8(&joined).unwrap();
    assert!(
        text.contains("\"timings\":{ \"a\":1.0}") && text.contains("[ {\"index\":0,\"x\":1} ,{"),
        "{text}"
    );
    let usage = &serde_json::from_str::<Value>(text).unwrap()["usage"];
    assert_eq!(
        (&usage["total_tokens"], &usage["completion_tokens_details"]["reasoning_tokens"]),
        (&json!(9), &json!(7))
    );
    assert!(super::joined(&answer(1), &[Bytes::from_static(b"{}")], 2).is_err());
}

#[test]
fn each_prompt_is_counted_once() {
    let answer = Bytes::from(
        r#"{"choices":[{"index":0}],"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}}"#,
    );
    let counted = |samples: u32| {
        let joined =
            super::joined(&answer, &[answer.clone(), answer.clone(), answer.clone()], samples).unwrap();
        serde_json::from_slice::<Value>(&joined).unwrap()["usage"].clone()
    };
    let usage =
        |prompt: u32| json!({"prompt_tokens": prompt, "completion_tokens": 4, "total_tokens": prompt + 4});
    assert_eq!([counted(4), counted(2), counted(1)], [usage(5), usage(10), usage(20)]);
    let (mut several, mut out) = (Several::new(4, true).answering(2), BytesMut::new());
    for nr in 0..4 {
        several.pass(&reply(&format!("cmpl-{nr}"), "x"), &mut out);
        several.next_choice(&mut out);
    }
    let told = chunks(&out).into_iter().find(|chunk| chunk["usage"].is_object()).unwrap();
    assert_eq!(told["usage"], json!({"prompt_tokens": 14, "completion_tokens": 12, "total_tokens": 26}));
}
