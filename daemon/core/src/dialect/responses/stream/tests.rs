//! The events in the order and shape that OpenAI's own clients read.

use std::sync::Arc;

use bytes::BytesMut;
use serde_json::{Value, json};

use super::ResponseStream;
use crate::chat::{ChatEvent, FinishReason, Usage};
use crate::config::Limits;
use crate::dialect::recorded::RESPONSES;
use crate::dialect::render::{Form, Named};
use crate::dialect::responses::{Echo, parse_response};
use crate::error::{ApiError, BackendFault, Code};

const LIMIT: usize = 1024 * 1024;

const USAGE: ChatEvent = ChatEvent::Usage(Usage::counted(16, 11));
const STOP: ChatEvent = ChatEvent::Finish(FinishReason::Stop);

fn echo(more: Value) -> Arc<Echo> {
    let mut request = json!({"model": "a \"model\"", "input": "hi"});
    if let Value::Object(more) = more {
        request.as_object_mut().unwrap().extend(more);
    }
    let read = parse_response(request.to_string().as_bytes(), &Limits::default());
    Arc::new(read.unwrap().echo)
}

fn stream(more: Value) -> ResponseStream {
    ResponseStream::new("1", 1_700_000_000, echo(more), LIMIT)
}

fn call(index: u32, name: &str, arguments: &str) -> ChatEvent {
    let (name, arguments) = (name.to_owned(), arguments.to_owned());
    ChatEvent::ToolCall { index, id: format!("call_{index}"), name, arguments }
}

/// The events' data; each has the name of its type, and their numbers have no gap.
fn read(out: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(out).unwrap();
    let mut events: Vec<&str> = text.split("\n\n").collect();
    assert_eq!(events.pop(), Some(""));
    let data = |(number, event): (usize, &&str)| {
        let (name, data) = event.split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(name.strip_prefix("event: ").unwrap(), data["type"]);
        assert_eq!(data["sequence_number"], number);
        data
    };
    events.iter().enumerate().map(data).collect()
}

fn written(more: Value, events: &[ChatEvent]) -> Vec<Value> {
    let (mut stream, mut out) = (stream(more), BytesMut::new());
    for event in events {
        stream.event(event.clone(), &mut out).unwrap();
    }
    stream.finish(&mut out);
    read(&out)
}

/// The types in their order, of several deltas one.
fn kinds(events: &[Value]) -> Vec<&str> {
    let mut kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    kinds.dedup_by(|one, two| one == two && one.ends_with(".delta"));
    kinds
}

/// What a client puts together as OpenAI's own library does: items as they are added, their insides as they grow.
fn gathered(events: &[Value]) -> Value {
    let mut output: Vec<Value> = Vec::new();
    for event in events {
        let place = usize::try_from(event["output_index"].as_u64().unwrap_or(0)).unwrap();
        let grow = |field: &mut Value| {
            *field = json!(format!("{}{}", field.as_str().unwrap(), event["delta"].as_str().unwrap()));
        };
        match event["type"].as_str().unwrap() {
            "response.output_item.added" => {
                assert_eq!(place, output.len());
                output.push(event["item"].clone());
            }
            "response.content_part.added" => {
                output[place]["content"].as_array_mut().unwrap().push(event["part"].clone());
            }
            "response.reasoning_summary_part.added" => {
                output[place]["summary"].as_array_mut().unwrap().push(event["part"].clone());
            }
            "response.output_text.delta" => grow(&mut output[place]["content"][0]["text"]),
            "response.reasoning_summary_text.delta" => grow(&mut output[place]["summary"][0]["text"]),
            "response.function_call_arguments.delta" => grow(&mut output[place]["arguments"]),
            "response.custom_tool_call_input.delta" => grow(&mut output[place]["input"]),
            "response.output_item.done" => {
                let done = &event["item"];
                assert_eq!(done["id"], output[place]["id"]);
                output[place]["status"] = done["status"].clone();
                if done["status"].is_null() {
                    output[place].as_object_mut().unwrap().remove("status");
                }
                assert_eq!(*done, output[place], "what is done is what was told");
            }
            _ => {}
        }
        if let Some(id) = event.get("item_id") {
            assert_eq!(*id, output[place]["id"]);
        }
    }
    json!(output)
}

#[test]
fn a_plain_answer_has_every_event_once() {
    let events = written(json!({}), &[ChatEvent::text("He\"y\n"), ChatEvent::text("!"), USAGE, STOP]);
    assert_eq!(
        kinds(&events),
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    let place = |event: &Value| (event["item_id"].clone(), event["output_index"].clone());
    assert!(events[3..8].iter().all(|event| place(event) == (json!("msg_1_0"), json!(0))));
    assert!(events[3..8].iter().all(|event| event["content_index"] == 0));
    assert_eq!((&events[4]["delta"], &events[4]["logprobs"]), (&json!("He\"y\n"), &json!([])));
    assert_eq!(events[6]["text"], "He\"y\n!");
    let part = json!({"type": "output_text", "text": "He\"y\n!", "annotations": [], "logprobs": []});
    assert_eq!(events[7]["part"], part);
    let item = json!({"type": "message", "id": "msg_1_0", "role": "assistant", "status": "completed", "content": [part]});
    assert_eq!(events[8]["item"], item);
    let begun = &events[0]["response"];
    assert_eq!(
        (&begun["status"], &begun["output"], &begun["usage"]),
        (&json!("in_progress"), &json!([]), &Value::Null)
    );
    let response = &events[9]["response"];
    assert_eq!((&response["status"], &response["output"]), (&json!("completed"), &json!([item])));
    assert_eq!(
        response["usage"],
        json!({
            "input_tokens": 16, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 11, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 27,
        })
    );
    for event in [&events[0], &events[1], &events[9]] {
        let response = &event["response"];
        assert_eq!((&response["id"], &response["object"]), (&json!("resp_1"), &json!("response")));
        assert_eq!(
            (&response["model"], &response["created_at"]),
            (&json!("a \"model\""), &json!(1_700_000_000))
        );
    }
}

#[test]
fn a_failure_goes_on_behind_the_events_of_a_writer_that_is_lost() {
    let (named, form) = (Named { unique: "1", created: 5 }, Form::Response(echo(json!({}))));
    let (mut stream, mut out) = (form.stream(named, LIMIT), BytesMut::new());
    stream.event(ChatEvent::text("a"), &mut out).unwrap();
    let told = read(&out).len();
    assert_eq!(stream.numbered(), told as u64);
    out.extend_from_slice(&form.failure(named, &ApiError::internal(), stream.numbered()));
    let all = read(&out);
    let kinds: Vec<&str> = all[told..].iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["response.failed", "error"]);
    assert_eq!(all[told]["response"]["id"], all[0]["response"]["id"]);
    let alone = read(&form.failure(named, &ApiError::internal(), 0));
    assert_eq!((alone.len(), &alone[0]["type"]), (4, &json!("response.created")));
}

#[test]
fn thoughts_words_and_calls_are_items_of_their_own() {
    let events = written(
        json!({}),
        &[
            ChatEvent::Reasoning("h".to_owned()),
            ChatEvent::Reasoning("m".to_owned()),
            ChatEvent::text("So"),
            call(0, "f", "{\"a\":1}"),
            call(1, "g", "{}"),
            USAGE,
            ChatEvent::Finish(FinishReason::ToolCalls),
        ],
    );
    let output = gathered(&events);
    assert_eq!(
        output,
        json!([
            {"type": "reasoning", "id": "rs_1_0", "summary": [{"type": "summary_text", "text": "hm"}]},
            {"type": "message", "id": "msg_1_1", "role": "assistant", "status": "completed",
             "content": [{"type": "output_text", "text": "So", "annotations": [], "logprobs": []}]},
            {"type": "function_call", "id": "fc_1_2", "call_id": "call_0", "name": "f",
             "arguments": "{\"a\":1}", "status": "completed"},
            {"type": "function_call", "id": "fc_1_3", "call_id": "call_1", "name": "g",
             "arguments": "{}", "status": "completed"},
        ])
    );
    assert_eq!(events.last().unwrap()["response"]["output"], output);
}

#[test]
fn engines_with_a_responses_api_of_their_own_give_the_same_order() {
    for recording in RESPONSES {
        let text = std::str::from_utf8(recording.bytes).unwrap();
        let theirs: Vec<Value> = text
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .map(|data| serde_json::from_str(data).unwrap())
            .collect();
        let mut events = Vec::new();
        for event in &theirs {
            let delta = || event["delta"].as_str().unwrap().to_owned();
            let item = &event["item"];
            match event["type"].as_str().unwrap() {
                "response.output_text.delta" => events.push(ChatEvent::text(delta())),
                "response.reasoning_summary_text.delta" => events.push(ChatEvent::Reasoning(delta())),
                "response.output_item.done" if item["type"] == "function_call" => {
                    events.push(call(0, item["name"].as_str().unwrap(), item["arguments"].as_str().unwrap()));
                }
                _ => {}
            }
        }
        events.push(STOP);
        let ours = written(json!({}), &events);
        // Ollama leaves the parts of a thought out, which OpenAI has.
        let parts = |kind: &&str| !kind.starts_with("response.reasoning_summary_part");
        let shown: Vec<&str> = kinds(&ours).into_iter().filter(parts).collect();
        assert_eq!(shown, kinds(&theirs), "{}", recording.name);
    }
}

#[test]
fn a_limit_makes_it_incomplete_and_its_last_words_too() {
    for (reason, said) in
        [(FinishReason::Length, "max_output_tokens"), (FinishReason::ContentFilter, "content_filter")]
    {
        let events = written(json!({}), &[ChatEvent::text("a"), USAGE, ChatEvent::Finish(reason)]);
        let last = events.last().unwrap();
        assert_eq!(last["type"], "response.incomplete");
        assert_eq!(last["response"]["status"], "incomplete");
        assert_eq!(last["response"]["incomplete_details"], json!({"reason": said}));
        assert_eq!(last["response"]["output"][0]["status"], "incomplete");
        assert_eq!(events[events.len() - 2]["item"]["status"], "incomplete");
    }
    // A call that came whole is complete all the same.
    let events = written(json!({}), &[call(0, "f", "{}"), ChatEvent::Finish(FinishReason::Length)]);
    assert_eq!(events.last().unwrap()["response"]["output"][0]["status"], "completed");
}

#[test]
fn an_answer_without_words_has_none_and_one_without_a_count_zeros() {
    let events = written(json!({}), &[STOP]);
    assert_eq!(kinds(&events), ["response.created", "response.in_progress", "response.completed"]);
    let response = &events[2]["response"];
    assert_eq!((&response["output"], &response["usage"]["total_tokens"]), (&json!([]), &json!(0)));
    assert_eq!(events[1]["response"]["usage"], Value::Null);
}

#[test]
fn probabilities_of_thoughts_and_calls_begin_no_message() {
    let silent = || ChatEvent::Text { text: String::new(), logprobs: Some("[{\"token\":\"h\"}]".into()) };
    let thought = |text: &str| ChatEvent::Reasoning(text.to_owned());
    let events = written(
        json!({}),
        &[thought("a"), silent(), thought("b"), silent(), call(0, "f", "{}"), silent(), STOP],
    );
    let output = events.last().unwrap()["response"]["output"].as_array().unwrap().clone();
    let kinds: Vec<&str> = output.iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!((kinds, &output[0]["summary"][0]["text"]), (vec!["reasoning", "function_call"], &json!("ab")));
}

#[test]
fn items_are_bounded_in_their_number_and_charged_for() {
    let (mut stream, mut out) = (stream(json!({})), BytesMut::new());
    let before = stream.held();
    stream.event(ChatEvent::text("a"), &mut out).unwrap();
    assert!(stream.held() - before > 4096, "{}", stream.held());
    let result = (0..2000).try_for_each(|_| {
        stream.event(ChatEvent::Reasoning("x".to_owned()), &mut out)?;
        stream.event(ChatEvent::text("y"), &mut out)
    });
    assert!(matches!(result, Err(BackendFault::Garbage { .. })), "{result:?}");
}

#[test]
fn no_end_without_a_finish_reason() {
    let events = written(json!({}), &[ChatEvent::text("a"), USAGE]);
    assert_eq!(events.last().unwrap()["type"], "response.output_text.delta");
}

#[test]
fn probabilities_come_with_their_piece_and_once_more_with_all() {
    let text = |text: &str, list: &str| ChatEvent::Text { text: text.into(), logprobs: Some(list.into()) };
    let events =
        written(json!({}), &[text("a", "[{\"token\":\"a\"}]"), text("b", "[\n{\"token\":\"b\"}]"), STOP]);
    assert_eq!(events[4]["logprobs"], json!([{"token": "a"}]));
    let all = json!([{"token": "a"}, {"token": "b"}]);
    assert_eq!((&events[6]["logprobs"], &events[7]["part"]["logprobs"]), (&all, &all));
    assert_eq!(events.last().unwrap()["response"]["output"][0]["content"][0]["logprobs"], all);
}

#[test]
fn tools_are_called_as_their_client_knows_them() {
    let tools = json!({"tools": [
        {"type": "custom", "name": "apply_patch", "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}},
        {"type": "namespace", "name": "mcp__fs", "description": "Files.", "tools": [
            {"type": "function", "name": "read", "parameters": {"type": "object"}},
        ]},
    ]});
    let events = written(
        tools,
        &[
            call(0, "apply_patch", "{\"input\":\"*** Begin\\n\"}"),
            call(1, "mcp__fs__read", "{\"path\":\"a\"}"),
            call(2, "apply_patch", "{\"patch\":1}"),
            STOP,
        ],
    );
    let output = gathered(&events);
    assert_eq!(
        output,
        json!([
            {"type": "custom_tool_call", "id": "ctc_1_0", "call_id": "call_0", "name": "apply_patch",
             "input": "*** Begin\n", "status": "completed"},
            {"type": "function_call", "id": "fc_1_1", "call_id": "call_1", "name": "read", "namespace": "mcp__fs",
             "arguments": "{\"path\":\"a\"}", "status": "completed"},
            {"type": "custom_tool_call", "id": "ctc_1_2", "call_id": "call_2", "name": "apply_patch",
             "input": "{\"patch\":1}", "status": "completed"},
        ])
    );
    let done: Vec<&str> = kinds(&events).into_iter().filter(|kind| kind.contains("call")).collect();
    assert_eq!(
        done[..4],
        [
            "response.custom_tool_call_input.delta",
            "response.custom_tool_call_input.done",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
        ]
    );
}

#[test]
fn a_failure_is_told_twice_and_nothing_follows_it() {
    let error = ApiError::backend_error("It broke.");
    let mut stream = stream(json!({}));
    let mut out = BytesMut::new();
    stream.event(ChatEvent::text("The"), &mut out).unwrap();
    out.extend_from_slice(&stream.failure(&error));
    let events = read(&out);
    let [failed, told] = &events[events.len() - 2..] else { panic!("{events:?}") };
    assert_eq!(failed["type"], "response.failed");
    assert_eq!(failed["response"]["status"], "failed");
    assert_eq!(failed["response"]["error"], json!({"code": "server_error", "message": "It broke."}));
    let item = &failed["response"]["output"][0];
    assert_eq!((&item["status"], &item["content"][0]["text"]), (&json!("incomplete"), &json!("The")));
    assert_eq!(told["type"], "error");
    assert_eq!((&told["code"], &told["message"]), (&json!("backend_error"), &json!("It broke.")));
    let inner =
        json!({"type": "server_error", "code": "backend_error", "message": "It broke.", "param": null});
    assert_eq!(told["error"], inner);
    assert!(stream.failure(&error).is_empty());
    let mut more = BytesMut::new();
    stream.event(STOP, &mut more).unwrap();
    stream.finish(&mut more);
    assert!(more.is_empty());
}

#[test]
fn a_failure_before_the_first_word_begins_the_response_first() {
    let events = read(&stream(json!({})).failure(&ApiError::context_length_exceeded("Too long.")));
    assert_eq!(kinds(&events), ["response.created", "response.in_progress", "response.failed", "error"]);
    assert_eq!(events[2]["response"]["error"]["code"], "context_length_exceeded");
    assert_eq!(events[3]["param"], "input");
}

#[test]
fn every_code_of_a_failure_is_one_that_clients_know() {
    for code in Code::ALL {
        let known = ["server_error", "rate_limit_exceeded", "invalid_prompt", "context_length_exceeded"];
        assert!(known.contains(&super::code(code)), "{code:?}");
    }
}

#[test]
fn the_limit_passes_and_one_more_fails() {
    let mut stream = ResponseStream::new("1", 1, echo(json!({})), 4);
    let mut out = BytesMut::new();
    stream.event(ChatEvent::text("ab"), &mut out).unwrap();
    stream.event(ChatEvent::Reasoning("cd".to_owned()), &mut out).unwrap();
    let over = stream.event(ChatEvent::text("e"), &mut out);
    assert_eq!(over, Err(BackendFault::TooLong { limit: 4 }));
}

#[test]
fn its_items_are_kept_once_it_is_complete_and_not_where_it_failed() {
    let mut out = BytesMut::new();
    let text = ChatEvent::Text { text: "a".to_owned(), logprobs: Some("[{\"token\":\"a\"}]".into()) };
    let events = [ChatEvent::Reasoning("hm".to_owned()), text, call(0, "f", "{}"), USAGE, STOP];
    let mut complete = stream(json!({}));
    for event in events.clone() {
        complete.event(event, &mut out).unwrap();
        assert_eq!(complete.kept(), []);
    }
    complete.finish(&mut out);
    let mut output = read(&out).pop().unwrap()["response"]["output"].take();
    // They are the answer's own, but for the probabilities.
    output[1]["content"][0]["logprobs"] = json!([]);
    let kept = complete.kept();
    let items: Vec<Value> = kept.iter().map(|item| serde_json::from_slice(&item.json).unwrap()).collect();
    assert_eq!((items.len(), Value::Array(items)), (3, output.clone()));
    let ids: Vec<&Value> = output.as_array().unwrap().iter().map(|item| &item["id"]).collect();
    assert_eq!(ids, kept.iter().map(|item| item.id.as_str()).collect::<Vec<_>>());

    let mut failed = stream(json!({}));
    failed.event(events[1].clone(), &mut out).unwrap();
    let _last = failed.failure(&ApiError::internal());
    failed.finish(&mut out);
    assert_eq!(failed.kept(), []);
}

#[test]
fn a_failure_names_the_client_s_own_field() {
    let error = ApiError::invalid_value("messages[0].content", "a text");
    let events = read(&stream(json!({})).failure(&error));
    let [.., failed, error] = &events[..] else { panic!("{events:?}") };
    let said = "The field 'input' must be a text.";
    assert_eq!(failed["response"]["error"]["message"], said);
    assert_eq!((&error["message"], &error["param"]), (&json!(said), &json!("input")));
    assert_eq!((&error["error"]["message"], &error["error"]["param"]), (&json!(said), &json!("input")));
}
