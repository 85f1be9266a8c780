//! Completions: texts that the demo goes on with.

use crate::support::{Engine, Reply, add_endless, add_filling, add_led};
use serde_json::{Value, json};
use std::time::Duration;

/// As the demo's template writes it.
const FRANCE: &str = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n";
const COUNT: &str = "<|im_start|>user\nCount from 3 to 9.<|im_end|>\n<|im_start|>assistant\n";
/// The number of the token `<|im_start|>`, and of three others.
const START: u32 = 1016;
const MARKS: [u32; 3] = [1000, 1001, 1002];

/// The choices of a whole answer.
fn choices(reply: &Reply) -> Vec<Value> {
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()["choices"].as_array().unwrap().clone()
}

fn text(reply: &Reply) -> String {
    choices(reply)[0]["text"].as_str().unwrap().to_owned()
}

/// A list of a choice's odds.
fn list(choice: &Value, name: &str) -> Vec<Value> {
    choice["logprobs"][name].as_array().unwrap_or_else(|| panic!("no {name}: {choice}")).clone()
}

fn numbers(choice: &Value) -> Vec<Option<f64>> {
    list(choice, "token_logprobs").iter().map(Value::as_f64).collect()
}

fn near(one: Option<f64>, other: Option<f64>) -> bool {
    match (one, other) {
        // A step of one token is computed in another order than one of many.
        (Some(one), Some(other)) => (one - other).abs() < 0.02,
        (one, other) => one == other,
    }
}

/// Each token stands in the text where it is said to.
fn check_places(choice: &Value) {
    let letters: Vec<char> = choice["text"].as_str().unwrap().chars().collect();
    for (token, offset) in list(choice, "tokens").iter().zip(list(choice, "text_offset")) {
        let offset = usize::try_from(offset.as_u64().unwrap()).unwrap();
        let (token, rest) = (token.as_str().unwrap(), letters[offset..].iter().collect::<String>());
        assert!(token.starts_with("\\x") || rest.starts_with(token), "{token:?} at {offset} of {choice}");
    }
}

#[test]
fn a_text_is_gone_on_with_as_a_chat_would_be_whose_template_wrote_it() {
    let engine = Engine::start(&[]);
    let chat = engine.chat("What is the capital of France?", &json!({})).json();
    let reply = engine.complete(FRANCE, &json!({"max_tokens": 40}));
    assert_eq!(text(&reply), chat["choices"][0]["message"]["content"].as_str().unwrap());
    let answer = reply.json();
    assert_eq!(answer["usage"], chat["usage"]);
    assert_eq!((&answer["object"], &answer["model"]), (&json!("text_completion"), &json!("ghostllm-demo")));
    assert!(answer["id"].as_str().unwrap().starts_with("cmpl-"));
    let choice = &answer["choices"][0];
    assert_eq!((&choice["finish_reason"], &choice["logprobs"]), (&json!("stop"), &Value::Null));
    // OpenAI's own limit.
    let short = engine.complete("Once upon a time", &json!({})).json();
    assert_eq!(
        (&short["usage"]["completion_tokens"], &short["choices"][0]["finish_reason"]),
        (&json!(16), &json!("length"))
    );
    let stopped = engine.complete(COUNT, &json!({"stop": [" 6", "x"], "echo": true}));
    assert_eq!(text(&stopped), format!("{COUNT}3, 4, 5,"));
    assert_eq!(choices(&stopped)[0]["finish_reason"], "stop");
}

#[test]
fn nothing_is_looked_for_in_the_text() {
    let engine = Engine::start(&[]);
    // A chat's answer would be sorted into reasoning and calls here.
    let prompt = "<|im_start|>user\nWhat is the capital of Norway? /think<|im_end|>\n<|im_start|>assistant\n";
    let said = text(&engine.complete(prompt, &json!({"max_tokens": 60})));
    assert!(said.starts_with("<think>") && said.contains("</think>"), "{said}");
}

#[test]
fn every_form_of_a_prompt_is_answered_and_several_one_after_the_other() {
    let engine = Engine::start(&[]);
    let of = |prompt: &Value, more: &Value| {
        let mut fields = json!({"prompt": prompt, "max_tokens": 8});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        engine.complete("", &fields)
    };
    let alone = [FRANCE, COUNT].map(|prompt| of(&json!(prompt), &json!({})).json());
    let both = of(&json!([FRANCE, COUNT]), &json!({}));
    for (index, (choice, alone)) in choices(&both).iter().zip(&alone).enumerate() {
        assert_eq!((&choice["index"], &choice["text"]), (&json!(index), &alone["choices"][0]["text"]));
    }
    let both = both.json();
    for count in ["prompt_tokens", "completion_tokens", "total_tokens"] {
        let sum = alone.iter().map(|alone| alone["usage"][count].as_u64().unwrap()).sum::<u64>();
        assert_eq!(both["usage"][count], sum, "{count}");
    }
    let written = choices(&of(&json!("<|im_start|>"), &json!({})));
    assert_eq!(choices(&of(&json!([START]), &json!({}))), written);
    let lists = of(&json!([[START], [START, START]]), &json!({"echo": true}));
    assert_eq!(lists.json()["usage"]["prompt_tokens"], 3);
    let echoed = choices(&lists)[1]["text"].as_str().unwrap().to_owned();
    assert!(echoed.starts_with("<|im_start|><|im_start|>"), "{echoed}");
}

#[test]
fn a_stream_says_what_the_whole_answer_says() {
    let engine = Engine::start(&[]);
    let fields = |stream: bool| {
        json!({"prompt": [COUNT, "Grüße, "], "echo": true, "logprobs": 2, "stream": stream,
            "stream_options": {"include_usage": true}})
    };
    let whole = engine.complete("", &fields(false));
    let reply = engine.complete("", &fields(true));
    assert!(reply.head.contains("content-type: text/event-stream"));
    assert!(reply.body.ends_with("data: [DONE]\n\n"), "{}", reply.body);
    let chunks = reply.chunks();
    for (index, said) in choices(&whole).iter().enumerate() {
        check_places(said);
        let (mut text, mut ends) = (String::new(), Vec::new());
        let mut lists = json!({"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []});
        let own = |chunk: &&Value| chunk["choices"][0]["index"] == index;
        for choice in chunks.iter().filter(own).map(|chunk| &chunk["choices"][0]) {
            text += choice["text"].as_str().unwrap();
            ends.extend(choice["finish_reason"].as_str());
            for (name, list) in lists.as_object_mut().unwrap() {
                let more = choice["logprobs"][name].as_array().cloned().unwrap_or_default();
                list.as_array_mut().unwrap().extend(more);
            }
        }
        assert_eq!((text.as_str(), &lists), (said["text"].as_str().unwrap(), &said["logprobs"]));
        assert_eq!(ends, [said["finish_reason"].as_str().unwrap()]);
    }
    let counts = chunks.last().unwrap();
    assert_eq!((&counts["choices"], &counts["usage"]), (&json!([]), &whole.json()["usage"]));
    let unasked = engine.complete(COUNT, &json!({"stream": true})).chunks();
    assert!(unasked.iter().all(|chunk| chunk["usage"].is_null()));
}

#[test]
fn the_odds_of_a_prompt_are_those_with_which_it_would_have_been_said() {
    let engine = Engine::start(&[]);
    let said = choices(&engine.complete(COUNT, &json!({"logprobs": 3, "max_tokens": 12}))).remove(0);
    check_places(&said);
    assert_eq!(list(&said, "tokens").len(), 12);
    let both = format!("{COUNT}{}", said["text"].as_str().unwrap());
    let scored = |engine: &Engine| {
        let reply = engine.complete(&both, &json!({"echo": true, "logprobs": 3, "max_tokens": 0}));
        assert_eq!(reply.json()["usage"]["completion_tokens"], 0);
        choices(&reply).remove(0)
    };
    let told = scored(&engine);
    check_places(&told);
    assert_eq!((&told["text"], &told["finish_reason"]), (&json!(both), &json!("length")));
    let (tokens, odds) = (list(&told, "tokens"), numbers(&told));
    assert_eq!((tokens.len(), odds[0], &list(&told, "top_logprobs")[0]), (odds.len(), None, &Value::Null));
    let tail = tokens.len() - 12;
    assert_eq!(tokens[tail..], list(&said, "tokens"));
    for (one, other) in odds[tail..].iter().zip(numbers(&said)) {
        assert!(near(*one, other), "{told} {said}");
    }
    // The same, whatever the steps are in which the prompt is read.
    for batch in ["batch=1", "batch=7"] {
        let other = scored(&Engine::start(&["--limit", batch]));
        assert_eq!(list(&other, "tokens"), tokens);
        assert!(
            numbers(&other).into_iter().zip(&odds).all(|(one, other)| near(one, *other)),
            "{batch}: {other}"
        );
    }
}

#[test]
fn alternatives_are_as_many_as_asked_for_and_the_one_that_was_said() {
    let engine = Engine::start(&[]);
    let told = |more: &Value| choices(&engine.complete("Tell me ", more)).remove(0);
    let choice = told(&json!({"logprobs": 2, "temperature": 2, "seed": 3, "max_tokens": 40}));
    check_places(&choice);
    let alternatives = list(&choice, "top_logprobs");
    for (alternatives, (token, log)) in
        alternatives.iter().zip(list(&choice, "tokens").iter().zip(list(&choice, "token_logprobs")))
    {
        let alternatives = alternatives.as_object().unwrap();
        assert_eq!(alternatives[token.as_str().unwrap()], log);
        assert!((2..=3).contains(&alternatives.len()), "{alternatives:?}");
    }
    assert!(alternatives.iter().any(|all| all.as_object().unwrap().len() == 3), "all were likely: {choice}");
    assert_eq!(told(&json!({"logprobs": 0}))["logprobs"]["top_logprobs"], Value::Null);
}

#[test]
fn the_first_token_is_added_where_the_model_wants_it_and_not_shown() {
    let engine = Engine::start(&[]);
    add_led(&engine);
    let fields = |model: &str| json!({"model": model, "echo": true, "logprobs": 1, "max_tokens": 2});
    let counted = |model: &str, prompt: &str| {
        engine.complete(prompt, &fields(model)).json()["usage"]["prompt_tokens"].as_u64().unwrap()
    };
    assert_eq!(counted("led", "Count"), counted("ghostllm-demo", "Count") + 1);
    // One that is there already is enough.
    assert_eq!(counted("led", "<|endoftext|>Count"), counted("ghostllm-demo", "<|endoftext|>Count"));
    let choice = choices(&engine.complete("Count", &fields("led"))).remove(0);
    check_places(&choice);
    assert!(choice["text"].as_str().unwrap().starts_with("Count"), "{choice}");
    // All of the text has something before it.
    assert!(numbers(&choice).iter().all(Option::is_some), "{choice}");
    // Alone it is a prompt.
    let reply = engine.complete("", &json!({"model": "led", "echo": true, "logprobs": 1}));
    assert_eq!((reply.status, &reply.json()["usage"]["prompt_tokens"]), (200, &json!(1)), "{}", reply.body);
    // Numbers are taken as they are.
    let numbered = engine.complete("", &json!({"model": "led", "prompt": [START]})).json();
    assert_eq!(numbered["usage"]["prompt_tokens"], 1);
}

#[test]
fn a_suffix_is_put_between_the_marks_that_the_file_names() {
    let engine = Engine::start(&[]);
    add_filling(&engine, "fill", MARKS);
    let counted = |more: &Value| {
        let mut fields = json!({"model": "fill", "max_tokens": 4});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        engine.complete("", &fields).json()
    };
    let [before, _, _] = MARKS;
    let filled = counted(&json!({"prompt": [START], "suffix": "Count", "echo": true}));
    assert_eq!(filled["usage"]["prompt_tokens"], 5, "{filled}");
    assert!(filled["choices"][0]["text"].as_str().unwrap().starts_with("<|im_start|>"), "{filled}");
    // The same as its tokens, one after the other; "Count" is one of the demo's.
    let count = counted(&json!({"prompt": "Count", "echo": true, "logprobs": 0, "max_tokens": 0}));
    assert_eq!(count["usage"]["prompt_tokens"], 1, "{count}");
    let plain = counted(&json!({"prompt": "x", "suffix": "<|im_end|>"}));
    // Three marks, the letter, and the letters of what is no mark there.
    assert!(plain["usage"]["prompt_tokens"].as_u64().unwrap() > 7, "{plain}");
    let other = counted(&json!({"prompt": [before, START, MARKS[1], MARKS[2]]}));
    assert_ne!(other["choices"][0]["text"], Value::Null);
    let reply = engine.complete("a", &json!({"suffix": "b"}));
    let error = &reply.json()["error"];
    assert_eq!(
        (reply.status, &error["code"], &error["param"]),
        (400, &json!("unsupported_parameter"), &json!("suffix")),
        "{error}"
    );
    // An empty one is none.
    assert_eq!(engine.complete("a", &json!({"suffix": ""})).status, 200);
}

#[test]
fn the_odds_of_prompts_are_bounded_all_together() {
    // Five tokens of the one and one of the other, with two alternatives each.
    let engine = Engine::start(&["--limit", "prompt_odds=18"]);
    let ask = |second: &Value| {
        let fields =
            json!({"prompt": [[1, 2, 3, 4, 5], second], "echo": true, "logprobs": 2, "max_tokens": 1});
        engine.complete("", &fields)
    };
    assert_eq!(choices(&ask(&json!([1]))).len(), 2);
    let reply = ask(&json!([1, 2]));
    let error = &reply.json()["error"];
    assert_eq!(
        (reply.status, &error["code"], &error["param"]),
        (400, &json!("invalid_value"), &json!("logprobs"))
    );
}

#[test]
fn a_long_prompt_is_given_back_in_pieces_of_whole_characters() {
    let engine = Engine::start(&[]);
    // Two tokens for each letter, more than one piece of them.
    let prompt = "é€".repeat(100);
    let fields = json!({"echo": true, "logprobs": 1, "max_tokens": 0, "stream": true});
    let chunks = engine.complete(&prompt, &fields).chunks();
    let texts: Vec<&str> = chunks.iter().filter_map(|chunk| chunk["choices"][0]["text"].as_str()).collect();
    assert_eq!(texts.concat(), prompt);
    assert!(texts.len() > 4 && !texts.concat().contains('\u{fffd}'), "{texts:?}");
    let whole =
        choices(&engine.complete(&prompt, &json!({"echo": true, "logprobs": 1, "max_tokens": 0}))).remove(0);
    check_places(&whole);
    let streamed = |name: &str| {
        chunks
            .iter()
            .filter_map(|chunk| chunk["choices"][0]["logprobs"][name].as_array())
            .flatten()
            .cloned()
            .collect::<Vec<_>>()
    };
    for name in ["tokens", "token_logprobs", "top_logprobs", "text_offset"] {
        assert_eq!(streamed(name), list(&whole, name), "{name}");
    }
    // As many as the model has read.
    let read = engine.complete(&prompt, &json!({"max_tokens": 0})).json()["usage"]["prompt_tokens"].clone();
    assert_eq!(list(&whole, "tokens").len() as u64, read.as_u64().unwrap());
}

#[test]
fn odd_requests_are_refused_by_name_before_anything_is_said() {
    let engine = Engine::start(&[]);
    let long = "one two three ".repeat(2000);
    for (more, code, param) in [
        (json!({"prompt": ""}), "invalid_value", "prompt"),
        (json!({"prompt": []}), "invalid_value", "prompt"),
        (json!({"prompt": [[]]}), "invalid_value", "prompt"),
        (json!({"prompt": ["a", ""]}), "invalid_value", "prompt[1]"),
        (json!({"prompt": [[1], []]}), "invalid_value", "prompt[1]"),
        (json!({"prompt": [1024]}), "invalid_value", "prompt"),
        (json!({"prompt": [[1], [u32::MAX]]}), "invalid_value", "prompt[1]"),
        (json!({"prompt": [-1]}), "invalid_type", "prompt"),
        (json!({"prompt": [1.5]}), "invalid_type", "prompt"),
        (json!({"prompt": ["a", [1]]}), "invalid_type", "prompt"),
        (json!({"prompt": vec!["a"; 17]}), "invalid_value", "prompt"),
        (json!({"prompt": null}), "missing_required_parameter", "prompt"),
        (json!({"prompt": long}), "context_length_exceeded", "prompt"),
        (json!({"prompt": ["a", long]}), "context_length_exceeded", "prompt[1]"),
        (json!({"prompt": vec![1; 2048]}), "context_length_exceeded", "prompt"),
        (json!({"prompt": long, "max_tokens": 0, "echo": true}), "context_length_exceeded", "prompt"),
        (json!({"prompt": "x".repeat(1 << 20)}), "context_length_exceeded", "prompt"),
        (json!({"max_tokens": -1}), "invalid_value", "max_tokens"),
        (json!({"logprobs": 21}), "invalid_value", "logprobs"),
        (json!({"n": 2}), "unsupported_parameter", "n"),
        (json!({"best_of": 2}), "unsupported_parameter", "best_of"),
        (json!({"logit_bias": {"5": 1}}), "unsupported_parameter", "logit_bias"),
        (json!({"suffix": "b", "echo": true, "logprobs": 1}), "unsupported_parameter", "echo"),
    ] {
        for stream in [false, true] {
            let mut fields = more.clone();
            fields["stream"] = json!(stream);
            let reply = engine.complete("a", &fields);
            let error = &reply.json()["error"];
            assert_eq!(
                (reply.status, &error["code"], &error["param"]),
                (400, &json!(code), &json!(param)),
                "{error}"
            );
        }
    }
    // The longest that leaves room for one token; nothing is said of it where nothing may be.
    let full = engine.complete("", &json!({"prompt": vec![1; 2047], "max_tokens": 5})).json();
    assert_eq!(
        (&full["usage"]["prompt_tokens"], &full["usage"]["completion_tokens"]),
        (&json!(2047), &json!(1)),
        "{full}"
    );
    let silent = engine.complete("", &json!({"prompt": vec![1; 2047], "max_tokens": 0, "stream": true}));
    assert!(silent.body.ends_with("data: [DONE]\n\n") && silent.chunks().len() == 1, "{}", silent.body);
    assert!(engine.get("/v1/completions").head.contains("allow: post"));
}

#[test]
fn the_same_seed_gives_the_same_text() {
    let engine = Engine::start(&[]);
    let story = |seed: u32| {
        text(&engine.complete("Once upon ", &json!({"temperature": 1.5, "max_tokens": 40, "seed": seed})))
    };
    assert_eq!(story(7), story(7));
    assert_ne!(story(7), story(8));
}

#[test]
fn who_leaves_a_completion_frees_the_engine() {
    let engine = Engine::start(&["--context", "50000"]);
    add_endless(&engine);
    let free = |status: &Value| status["running"] == 0 && status["queued"] == 0;
    let long = "one two three ".repeat(12_000);
    for fields in [
        json!({"prompt": "Tell me", "max_tokens": 40_000, "stream": true}),
        json!({"prompt": ["Tell me", "Tell him"], "max_tokens": 40_000}),
        // In the middle of a prompt, whose tokens' odds are looked at.
        json!({"prompt": long, "echo": true, "logprobs": 20, "max_tokens": 0}),
    ] {
        let mut body = json!({"model": "endless", "temperature": 0});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let asked = engine.send("POST", "/v1/completions", &body.to_string());
        engine.wait_for(|status| status["running"] == 1);
        drop(asked);
        assert!(engine.wait_for(free) < Duration::from_secs(2), "{fields}");
    }
    assert_eq!(engine.complete("Hello", &json!({})).status, 200);
}
