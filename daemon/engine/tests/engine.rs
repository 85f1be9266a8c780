//! The real program, from outside: a temporary socket, the demo model, temperature 0.

mod support;

use serde_json::{Value, json};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};
use support::{Engine, chat_body, demo, finish};

fn message(reply: &support::Reply) -> Value {
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()["choices"][0]["message"].clone()
}

fn weather() -> Value {
    json!([{"type": "function", "function": {"name": "get_weather", "description": "Get the weather for a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string", "description": "The city"}}, "required": ["city"]}}}])
}

/// A chat that keeps the engine busy for as long as anyone listens: no end of turn is likely at this temperature.
fn endless() -> String {
    chat_body("Tell me a long story.", &json!({"stream": true, "temperature": 5, "min_p": 0, "top_p": 1, "seed": 1}))
}

#[test]
fn models_are_listed_and_the_demo_gives_way() {
    let engine = Engine::start(&[]);
    let listed = engine.get("/v1/models").json();
    assert_eq!(listed["data"][0]["id"], "ghostllm-demo");
    assert_eq!(listed["data"][0]["demo"], true);
    assert!(listed["data"][0]["owned_by"].as_str().unwrap().contains(".gguf"));
    std::fs::copy(demo(), engine.models().join("real.gguf")).unwrap();
    let listed = engine.get("/v1/models").json();
    assert_eq!((listed["data"].as_array().unwrap().len(), listed["data"][0]["id"].as_str()), (1, Some("real")));
    assert_eq!(engine.get("/v1/models/real").json()["demo"], false);
    let reply = engine.chat("What is the capital of Italy?", &json!({"model": "real"}));
    assert_eq!(message(&reply)["content"], "The capital of Italy is Rome.");
    assert_eq!(engine.status()["loaded"], "real");
    // Another model takes its place.
    assert_eq!(engine.chat("Hello", &json!({})).status, 200);
    assert_eq!(engine.status()["loaded"], "ghostllm-demo");
}

#[test]
fn a_whole_answer_has_all_that_openai_promises() {
    let engine = Engine::start(&[]);
    let reply = engine.chat("What is the capital of France?", &json!({}));
    let answer = reply.json();
    assert_eq!(answer["object"], "chat.completion");
    assert!(answer["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert_eq!(answer["choices"][0]["message"], json!({"role": "assistant", "content": "The capital of France is Paris."}));
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    let usage = &answer["usage"];
    assert_eq!(
        usage["total_tokens"].as_u64().unwrap(),
        usage["prompt_tokens"].as_u64().unwrap() + usage["completion_tokens"].as_u64().unwrap()
    );
}

#[test]
fn a_stream_says_what_the_whole_answer_says() {
    let engine = Engine::start(&[]);
    let whole = engine.chat("Count from 3 to 9.", &json!({})).json();
    let reply = engine.chat("Count from 3 to 9.", &json!({"stream": true, "stream_options": {"include_usage": true}}));
    assert!(reply.head.contains("content-type: text/event-stream"));
    assert!(reply.body.ends_with("data: [DONE]\n\n"));
    let chunks = reply.chunks();
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let text: String = chunks.iter().filter_map(|c| c["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(text, whole["choices"][0]["message"]["content"].as_str().unwrap());
    assert_eq!(chunks.last().unwrap()["usage"], whole["usage"]);
    assert_eq!(chunks[chunks.len() - 2]["choices"][0]["finish_reason"], "stop");
}

#[test]
fn limits_and_stop_texts_end_answers() {
    let engine = Engine::start(&[]);
    let two = engine.chat("Count from 1 to 10.", &json!({"max_completion_tokens": 2})).json();
    assert_eq!((&two["choices"][0]["finish_reason"], &two["usage"]["completion_tokens"]), (&json!("length"), &json!(2)));
    let stopped = engine.chat("Count from 1 to 10.", &json!({"stop": [" 4", "x"]})).json();
    assert_eq!(stopped["choices"][0]["message"]["content"], "1, 2, 3,");
    assert_eq!(stopped["choices"][0]["finish_reason"], "stop");
}

#[test]
fn the_same_seed_gives_the_same_answer() {
    let engine = Engine::start(&[]);
    let ask = |seed: u32| message(&engine.chat("Tell me a story.", &json!({"temperature": 1.5, "seed": seed})));
    assert_eq!(ask(7), ask(7));
    assert_ne!(ask(7), ask(8));
}

#[test]
fn tools_are_called_and_their_results_used() {
    let engine = Engine::start(&[]);
    let question = "What is the weather in Paris?";
    let reply = engine.chat(question, &json!({"tools": weather()}));
    assert_eq!(reply.json()["choices"][0]["finish_reason"], "tool_calls");
    let asked = message(&reply);
    let call = &asked["tool_calls"][0];
    assert_eq!((call["type"].as_str(), call["function"]["name"].as_str()), (Some("function"), Some("get_weather")));
    let arguments: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(arguments, json!({"city": "Paris"}));

    let streamed = engine.chat(question, &json!({"tools": weather(), "stream": true})).chunks();
    let delta = streamed.iter().find_map(|chunk| chunk["choices"][0]["delta"].get("tool_calls")).unwrap();
    assert_eq!((&delta[0]["index"], &delta[0]["function"]), (&json!(0), &call["function"]));

    let messages = json!([{"role": "user", "content": question}, asked,
        {"role": "tool", "tool_call_id": call["id"], "content": "sunny, 21 degrees"}]);
    let answer = message(&engine.chat("", &json!({"messages": messages, "tools": weather()})));
    assert!(answer["content"].as_str().unwrap().contains("sunny"), "{answer}");

    let refused = message(&engine.chat(question, &json!({"tools": weather(), "tool_choice": "none"})));
    assert!(refused.get("tool_calls").is_none());
}

#[test]
fn reasoning_is_told_apart() {
    let engine = Engine::start(&[]);
    // The cue that the demo was trained to answer with reasoning.
    let answer = message(&engine.chat("What is the capital of Norway? /think", &json!({})));
    assert_eq!(answer["content"], "The capital of Norway is Oslo.");
    assert!(answer["reasoning_content"].as_str().unwrap().starts_with("The user asks"), "{answer}");
    assert_eq!(answer["reasoning"], answer["reasoning_content"]);
}

#[test]
fn failures_have_their_status_type_code_and_field() {
    let engine = Engine::start(&["--context", "256"]);
    let long = "word ".repeat(400);
    for (reply, status, code, param) in [
        (engine.chat("x", &json!({"model": "nobody"})), 404, json!("model_not_found"), json!("model")),
        (engine.chat("x", &json!({"n": 2})), 400, json!("unsupported_parameter"), json!("n")),
        (engine.chat("x", &json!({"response_format": {"type": "json_object"}})), 400, json!("unsupported_parameter"), json!("response_format")),
        (engine.chat(&long, &json!({})), 400, json!("context_length_exceeded"), json!("messages")),
        (engine.chat(&long, &json!({"stream": true})), 400, json!("context_length_exceeded"), json!("messages")),
        (engine.post("/v1/chat/completions", "{\"model\": oops}"), 400, json!("invalid_json"), Value::Null),
        (engine.post("/v1/chat/completions", "{}"), 400, json!("invalid_json"), Value::Null),
        (engine.get("/nowhere"), 404, json!("unknown_route"), Value::Null),
        (engine.get("/load"), 405, json!("POST"), Value::Null),
    ] {
        let error = reply.json()["error"].clone();
        assert_eq!((reply.status, &error["code"], &error["param"]), (status, &code, &param), "{error}");
        assert_eq!(error["type"], "invalid_request_error");
    }
    assert!(engine.get("/load").head.contains("allow: post"));
}

#[test]
fn without_a_limit_the_context_ends_the_answer() {
    let engine = Engine::start(&["--context", "256"]);
    let answer = engine.post("/v1/chat/completions", &endless().replace("\"stream\":true", "\"stream\":false")).json();
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(answer["usage"]["total_tokens"], 256);
}

#[test]
fn who_leaves_frees_the_engine() {
    let engine = Engine::start(&[]);
    // In the middle of an answer.
    let mut talking = engine.send("POST", "/v1/chat/completions", &endless());
    talking.read_exact(&mut [0; 300]).unwrap();
    // In the queue.
    let waiting = engine.send("POST", "/v1/chat/completions", &endless());
    let whole = engine.send("POST", "/v1/chat/completions", &endless().replace("\"stream\":true", "\"stream\":false"));
    drop((talking, waiting, whole));
    let freed = engine.wait_for(|status| status["running"] == 0 && status["queued"] == 0);
    assert!(freed < Duration::from_secs(2), "freed after {freed:?}");
    // In the middle of a prompt that fills the context.
    let prompt = chat_body(&"one two three ".repeat(600), &json!({}));
    let reading = engine.send("POST", "/v1/chat/completions", &prompt);
    drop(reading);
    engine.wait_for(|status| status["running"] == 0 && status["queued"] == 0);
    assert_eq!(message(&engine.chat("What is the capital of Japan?", &json!({})))["content"], "The capital of Japan is Tokyo.");
}

#[test]
fn the_queue_is_bounded() {
    let engine = Engine::start(&["--queue", "0"]);
    let mut running = engine.send("POST", "/v1/chat/completions", &endless());
    running.read_exact(&mut [0; 300]).unwrap();
    if engine.status()["running"] == 1 {
        let refused = engine.chat("Hello", &json!({"max_tokens": 1}));
        assert!(refused.status == 503 || engine.status()["running"] == 0, "{refused:?}");
        if refused.status == 503 {
            assert_eq!(refused.json()["error"]["code"], "queue_full");
            assert!(refused.head.contains("retry-after: 1"));
        }
    }
    drop(running);
    engine.wait_for(|status| status["running"] == 0);
    assert_eq!(engine.chat("Hello", &json!({"max_tokens": 1})).status, 200);
}

#[test]
fn files_are_loaded_by_path_and_bad_ones_explained() {
    let engine = Engine::start(&[]);
    let directory = tempfile::tempdir().unwrap();
    let load = |path: &std::path::Path| engine.post("/load", &json!({"path": path, "preload": true}).to_string());
    let good = directory.path().join("named.gguf");
    std::fs::copy(demo(), &good).unwrap();
    assert_eq!(load(&good).json()["id"], "named");
    assert_eq!(engine.status()["loaded"], "named");
    assert_eq!(engine.chat("Hello", &json!({"model": "named"})).status, 200);
    let torn = directory.path().join("torn.gguf");
    std::fs::write(&torn, &std::fs::read(demo()).unwrap()[..700_000]).unwrap();
    let reply = load(&torn);
    assert_eq!((reply.status, &reply.json()["error"]["code"]), (400, &json!("model_unusable")));
    assert!(reply.body.contains("cut short"), "{}", reply.body);
    assert!(load(&directory.path().join("absent.gguf")).body.contains("there is no file"));
    assert!(engine.post("/load", "{\"path\": \"relative.gguf\"}").body.contains("absolute"));
    std::fs::copy(&torn, engine.models().join("torn.gguf")).unwrap();
    assert_eq!(engine.chat("Hello", &json!({"model": "torn"})).status, 500);
    assert_eq!(engine.get("/healthz").status, 200);
}

#[test]
fn sixteen_tokens_take_less_than_a_tenth_of_a_second() {
    let engine = Engine::start(&[]);
    let ask = || {
        let start = Instant::now();
        assert_eq!(engine.chat("Tell me a long story.", &json!({"max_tokens": 16})).json()["usage"]["completion_tokens"], 16);
        start.elapsed()
    };
    let first = ask();
    let mean = (0..10).map(|_| ask()).sum::<Duration>() / 10;
    println!("first answer {first:?} with loading, mean {mean:?}");
    // The goal is 100 ms; a loaded machine is given ten times that.
    assert!(mean < Duration::from_secs(1), "{mean:?}");
}

#[test]
fn the_socket_is_closed_to_others_and_the_engine_ends_with_its_parent() {
    let mut engine = Engine::start(&[]);
    assert_eq!(std::fs::metadata(engine.socket()).unwrap().permissions().mode() & 0o777, 0o660);
    drop(engine.child().stdin.take());
    assert!(engine.child().wait().unwrap().success());
}

#[test]
fn sigterm_lets_the_running_request_finish() {
    let mut engine = Engine::start(&["--context", "512"]);
    let mut running = engine.send("POST", "/v1/chat/completions", &endless());
    running.read_exact(&mut [0; 1]).unwrap();
    let pid = nix::unistd::Pid::from_raw(i32::try_from(engine.child().id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let mut rest = String::new();
    running.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("data: [DONE]"), "{rest}");
    assert!(engine.child().wait().unwrap().success());
}

#[test]
fn a_reply_is_read_whole() {
    // The helper itself: an answer without chunks and one with.
    let engine = Engine::start(&[]);
    assert_eq!(finish(engine.send("GET", "/healthz", "")).body, "{\"status\":\"ok\"}");
}
