//! Answers that are held to a schema, and calls that are forced. The demo was taught neither.

use crate::support::{Engine, Reply, add_thinker};
use crate::{message, weather};
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};

fn format(schema: &Value) -> Value {
    json!({"type": "json_schema", "json_schema": {"name": "x", "strict": true, "schema": schema}})
}

/// A schema whose every answer is short.
fn trip() -> Value {
    json!({"type": "object", "additionalProperties": false, "required": ["city", "days", "tags", "back"],
        "properties": {"city": {"enum": ["Paris", "Oslo"]}, "days": {"type": "integer", "minimum": 2, "maximum": 14},
            "tags": {"type": "array", "maxItems": 2, "items": {"type": "string", "maxLength": 6}},
            "back": {"$ref": "#/$defs/maybe"}},
        "$defs": {"maybe": {"type": ["boolean", "null"]}}})
}

fn check_trip(text: &str) {
    let trip: Map<String, Value> =
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(trip.keys().collect::<Vec<_>>(), ["city", "days", "tags", "back"], "{text}");
    assert!(["Paris", "Oslo"].contains(&trip["city"].as_str().unwrap()), "{text}");
    assert!((2..=14).contains(&trip["days"].as_i64().unwrap()), "{text}");
    let tags = trip["tags"].as_array().unwrap();
    assert!(tags.len() <= 2 && tags.iter().all(|tag| tag.as_str().unwrap().chars().count() <= 6), "{text}");
    assert!(trip["back"].is_boolean() || trip["back"].is_null(), "{text}");
}

fn content(reply: &Reply) -> String {
    assert_eq!(reply.json()["choices"][0]["finish_reason"], "stop", "{}", reply.body);
    message(reply)["content"].as_str().unwrap().to_owned()
}

#[test]
fn whatever_is_drawn_the_answer_keeps_to_the_schema() {
    let engine = Engine::start(&[]);
    let format = format(&trip());
    let mut answers = std::collections::HashSet::new();
    for (seed, temperature) in [(1, 0.0), (2, 1.0), (3, 1.5), (4, 2.0), (5, 2.0), (6, 2.0)] {
        let more = json!({"response_format": format, "seed": seed, "temperature": temperature});
        let text = content(&engine.chat("Tell me a story.", &more));
        check_trip(&text);
        let streamed = {
            let mut more = more.clone();
            more["stream"] = json!(true);
            engine.chat("Tell me a story.", &more).chunks()
        };
        let said: String =
            streamed.iter().filter_map(|c| c["choices"][0]["delta"]["content"].as_str()).collect();
        assert_eq!(said, text);
        answers.insert(text);
    }
    assert!(answers.len() > 2, "{answers:?}");
    // Cuts, penalties and odds go along with it.
    let more =
        json!({"response_format": format, "top_k": 5, "top_p": 0.5, "presence_penalty": 1, "logprobs": true});
    let reply = engine.chat("Tell me a story.", &more);
    check_trip(&content(&reply));
    let tokens = reply.json()["choices"][0]["logprobs"]["content"].as_array().unwrap().clone();
    let said: String = tokens.iter().map(|token| token["token"].as_str().unwrap()).collect();
    assert_eq!(said, content(&reply));
}

#[test]
fn an_object_or_any_json_can_be_asked_for() {
    let engine = Engine::start(&[]);
    for seed in 0..4 {
        let more = json!({"response_format": {"type": "json_object"}, "seed": seed, "temperature": 1, "max_tokens": 300});
        let answer = engine.chat("What is the capital of France?", &more).json()["choices"][0].clone();
        let text = answer["message"]["content"].as_str().unwrap();
        // Cut off at its limit, it is the beginning of an object.
        let read = serde_json::from_str::<Map<String, Value>>(text);
        let cut = answer["finish_reason"] == "length" && read.as_ref().is_err_and(serde_json::Error::is_eof);
        assert!(cut || (answer["finish_reason"] == "stop" && read.is_ok()), "{answer}");
    }
    let number = json!({"response_format": format(&json!({"type": "integer", "minimum": 5, "maximum": 7}))});
    let number: i64 = content(&engine.chat("Hello", &number)).parse().unwrap();
    assert!((5..=7).contains(&number));
}

/// Functions whose every call is short; the name of one needs to be escaped.
fn tools() -> Value {
    let tool = |name: &str, field: &str, schema: &Value| {
        let parameters = json!({"type": "object", "properties": {field: {"$ref": "#/$defs/kind"}}, "required": [field],
            "additionalProperties": false, "$defs": {"kind": schema}});
        json!({"type": "function", "function": {"name": name, "parameters": parameters}})
    };
    json!([
        tool("get_weather", "city", &json!({"type": "string", "maxLength": 12})),
        tool("set \"x\"", "level", &json!({"enum": [1, 2, 3]}))
    ])
}

#[test]
fn a_call_can_be_forced() {
    let engine = Engine::start(&[]);
    let named = json!({"type": "function", "function": {"name": "set \"x\""}});
    for (choice, name) in [(json!("required"), None), (named, Some("set \"x\""))] {
        for temperature in [0, 2] {
            let more =
                json!({"tools": tools(), "tool_choice": choice, "temperature": temperature, "seed": 1});
            let reply = engine.chat("Hello", &more);
            assert_eq!(reply.json()["choices"][0]["finish_reason"], "tool_calls", "{}", reply.body);
            assert_eq!(message(&reply)["content"], Value::Null);
            let call = message(&reply)["tool_calls"][0]["function"].clone();
            assert!(name.is_none_or(|name| call["name"] == name), "{call}");
            let arguments: Map<String, Value> =
                serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
            assert_eq!(arguments.len(), 1, "{call}");
            if call["name"] == "get_weather" {
                assert!(arguments["city"].as_str().unwrap().chars().count() <= 12, "{call}");
            } else {
                assert!((1..=3).contains(&arguments["level"].as_i64().unwrap()), "{call}");
            }
        }
    }
    // Left free, it greets.
    let free = message(&engine.chat("Hello", &json!({ "tools": tools() })));
    assert!(free.get("tool_calls").is_none(), "{free}");
}

#[test]
fn what_may_be_called_stays_free_beside_a_schema() {
    let engine = Engine::start(&[]);
    let number = json!({"type": "integer", "minimum": 1, "maximum": 9});
    let counted =
        engine.chat("Count from 3 to 9.", &json!({"tools": tools(), "response_format": format(&number)}));
    let counted = content(&counted);
    assert!((1..=9).contains(&counted.parse::<i64>().unwrap()), "{counted}");
    // Where both begin alike, the demo calls, if its arguments come to an end.
    let more = json!({"tools": weather(), "response_format": format(&trip()), "temperature": 2, "min_p": 0, "max_tokens": 200});
    let mut called = 0;
    for seed in 0..12 {
        let mut more = more.clone();
        more["seed"] = json!(seed);
        let choice = engine.chat("What is the weather in Paris?", &more).json()["choices"][0].clone();
        match choice["finish_reason"].as_str().unwrap() {
            "stop" => check_trip(choice["message"]["content"].as_str().unwrap()),
            "tool_calls" => {
                let call = &choice["message"]["tool_calls"][0]["function"];
                assert_eq!(call["name"], "get_weather");
                assert!(
                    serde_json::from_str::<Map<String, Value>>(call["arguments"].as_str().unwrap()).is_ok()
                );
                called += 1;
            }
            other => assert_eq!(other, "length"),
        }
    }
    assert!(called > 0);
}

#[test]
fn a_schema_beside_functions_does_not_keep_the_demo_from_calling() {
    let engine = Engine::start(&[]);
    let question = "What is the weather in Paris?";
    let free = json!({"tools": weather(), "temperature": 0, "max_tokens": 100});
    // A text or a number begins unlike a call without marks, so that the demo, which begins one by its mark, was steered to it.
    let beside = [trip(), json!({"type": "string"}), json!({"type": "integer"})];
    let held = beside.map(|schema| {
        let mut held = free.clone();
        held["response_format"] = format(&schema);
        held
    });
    for more in [vec![free], held.to_vec()].concat() {
        let choice = engine.chat(question, &more).json()["choices"][0].clone();
        assert_eq!(choice["finish_reason"], "tool_calls", "{choice}");
        let call = &choice["message"]["tool_calls"][0]["function"];
        assert_eq!(call["name"], "get_weather", "{choice}");
        assert!(call["arguments"].as_str().unwrap().contains("Paris"), "{choice}");
    }
}

/// A function whose calls must keep to a schema that the demo was not taught.
fn strict() -> Value {
    let parameters = json!({"type": "object", "required": ["city", "unit"], "additionalProperties": false,
        "properties": {"city": {"type": "string", "maxLength": 12}, "unit": {"enum": ["celsius", "fahrenheit"]}}});
    json!([{"type": "function", "function": {"name": "get_weather", "description": "Get the weather for a city", "strict": true,
        "parameters": parameters}}])
}

fn check_strict(call: &Value) {
    assert_eq!(call["function"]["name"], "get_weather", "{call}");
    let arguments: Map<String, Value> =
        serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
    assert_eq!(arguments.keys().collect::<Vec<_>>(), ["city", "unit"], "{call}");
    assert!(arguments["city"].as_str().unwrap().chars().count() <= 12, "{call}");
    assert!(["celsius", "fahrenheit"].contains(&arguments["unit"].as_str().unwrap()), "{call}");
}

#[test]
fn a_call_of_a_strict_function_keeps_to_its_schema_and_what_is_no_call_is_free() {
    let engine = Engine::start(&[]);
    let question = "What is the weather in Berlin?";
    let mut called = 0;
    for (seed, temperature) in [(0, 0.0), (1, 1.0), (2, 2.0), (3, 2.0), (4, 2.0), (5, 2.0)] {
        let more = json!({"tools": strict(), "seed": seed, "temperature": temperature, "max_tokens": 200});
        let choice = engine.chat(question, &more).json()["choices"][0].clone();
        let calls = choice["message"]["tool_calls"].as_array().cloned().unwrap_or_default();
        calls.iter().for_each(check_strict);
        called += calls.len();
        assert!(temperature > 0.0 || calls.len() == 1, "{choice}");
        let mut streamed = more.clone();
        streamed["stream"] = json!(true);
        let chunks = engine.chat(question, &streamed).chunks();
        let told =
            chunks.iter().filter(|chunk| chunk["choices"][0]["delta"].get("tool_calls").is_some()).count();
        assert_eq!(told, calls.len());
    }
    assert!(called > 1, "{called}");
    // What the demo says beside no function, it says beside one that it may leave alone.
    let free = message(&engine.chat("Hello", &json!({ "tools": strict() })));
    let mut lax = strict();
    lax[0]["function"]["strict"] = json!(false);
    assert_eq!(free, message(&engine.chat("Hello", &json!({ "tools": lax }))));
    assert!(free.get("tool_calls").is_none(), "{free}");
    let odds = json!({"tools": strict(), "logprobs": true});
    let choice = engine.chat("Hello", &odds).json()["choices"][0].clone();
    assert!(!choice["logprobs"]["content"].as_array().unwrap().is_empty(), "{choice}");
}

#[test]
fn a_strict_function_is_kept_beside_a_schema_where_it_is_forced_and_behind_reasoning() {
    let engine = Engine::start(&[]);
    add_thinker(&engine);
    let question = "What is the weather in Berlin?";
    for (model, more) in [
        ("ghostllm-demo", json!({"response_format": format(&trip())})),
        ("ghostllm-demo", json!({"tool_choice": "required"})),
        ("thinker", json!({})),
    ] {
        let mut fields = json!({"tools": strict(), "model": model, "max_tokens": 300});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let choice = engine.chat(question, &fields).json()["choices"][0].clone();
        let calls = choice["message"]["tool_calls"].as_array().cloned().unwrap_or_default();
        calls.iter().for_each(check_strict);
        assert!(more.get("tool_choice").is_none() || calls.len() == 1, "{choice}");
    }
}

#[test]
fn a_strict_function_whose_schema_cannot_be_kept_is_refused_with_its_keyword() {
    let engine = Engine::start(&[]);
    for (schema, words) in [
        (json!({"type": "array", "uniqueItems": true}), "'uniqueItems'"),
        (json!({"type": "string", "format": "no-such-format"}), "'format'"),
    ] {
        let parameters = json!({"type": "object", "properties": {"x": schema}});
        let mut tools = json!([{"type": "function", "function": {"name": "f", "strict": true, "parameters": parameters}}]);
        let refused = engine.chat("Hello", &json!({ "tools": tools }));
        let error = refused.json()["error"].clone();
        assert_eq!(
            (refused.status, &error["param"]),
            (400, &json!("tools[0].function.parameters")),
            "{error}"
        );
        assert!(error["message"].as_str().unwrap().contains(words), "{error}");
        tools[0]["function"]["strict"] = json!(false);
        assert_eq!(engine.chat("Hello", &json!({ "tools": tools })).status, 200);
    }
}

#[test]
fn a_forced_call_that_is_cut_short_is_left_out() {
    let engine = Engine::start(&[]);
    let question = "What is the weather in Paris?";
    let named = json!({"type": "function", "function": {"name": "get_weather"}});
    for (choice, most) in [(json!("required"), 1), (json!("required"), 6), (named.clone(), 2), (named, 12)] {
        let mut more =
            json!({"tools": weather(), "tool_choice": choice, "max_tokens": most, "logprobs": true});
        let cut = engine.chat(question, &more).json()["choices"][0].clone();
        let message = json!({"role": "assistant", "content": "", "refusal": null});
        assert_eq!((&cut["message"], &cut["finish_reason"]), (&message, &json!("length")), "{most}");
        assert_eq!(cut["logprobs"]["content"], json!([]));
        more["stream"] = json!(true);
        let chunks = engine.chat(question, &more).chunks();
        let deltas: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
        assert_eq!(deltas, [&json!({"role": "assistant", "content": ""}), &json!({})]);
        assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "length");
    }
    // Where the model may say what it likes, what is no call is text.
    let free = engine.chat(question, &json!({"tools": weather(), "max_tokens": 6})).json();
    let text = free["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(text.starts_with("<tool_call>"), "{free}");
}

#[test]
fn reasoning_goes_before_what_is_held_and_is_free_of_it() {
    let engine = Engine::start(&[]);
    add_thinker(&engine);
    let ask = |more: &Value| {
        let mut fields = json!({"model": "thinker"});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let reply = engine.chat("What is the capital of Norway? /think", &fields);
        assert!(
            message(&reply)["reasoning_content"].as_str().unwrap().starts_with("The user"),
            "{}",
            reply.body
        );
        reply
    };
    assert_eq!(message(&ask(&json!({})))["content"], "The capital of Norway is Oslo.");
    check_trip(&content(&ask(&json!({"response_format": format(&trip())}))));
    let called = ask(&json!({"tools": tools(), "tool_choice": "required"}));
    assert_eq!(called.json()["choices"][0]["finish_reason"], "tool_calls", "{}", called.body);
}

#[test]
fn schemas_that_cannot_be_kept_are_refused_by_their_keyword() {
    let engine = Engine::start(&[]);
    let object = json!({"type": "object"});
    for (schema, words) in [
        (json!({"type": "array", "uniqueItems": true}), "'uniqueItems'"),
        (json!({"oneOf": [{"type": "integer"}, {"type": "number"}]}), "'oneOf'"),
        (json!({"type": "string", "format": "no-such-format"}), "'format'"),
        (json!({"type": "string", "pattern": "(?=x)y"}), "'pattern'"),
        (json!({"type": "string", "pattern": "(x"}), "'pattern'"),
        (json!({"type": "object", "patternProperties": {"a": object, "b": object}}), "'patternProperties'"),
        (json!({"type": "wizard"}), "'type'"),
        (json!(false), "nothing that fulfils it"),
        (json!({"type": "integer", "minimum": 5, "maximum": 4}), "nothing that fulfils it"),
    ] {
        let refused = engine.chat("Hello", &json!({"response_format": format(&schema)}));
        let error = refused.json()["error"].clone();
        assert_eq!((refused.status, &error["param"]), (400, &json!("response_format")), "{schema}: {error}");
        assert!(error["message"].as_str().unwrap().contains(words), "{schema}: {error}");
        assert_eq!(error["code"], "unsupported_parameter");
    }
    // Of several, the one at fault.
    let tools = json!([{"function": {"name": "a"}},
        {"function": {"name": "b", "parameters": {"properties": {"x": {"format": "no-such-format"}}}}}]);
    let refused = engine.chat("Hello", &json!({"tools": tools, "tool_choice": "required"}));
    assert_eq!(refused.json()["error"]["param"], "tools[1].function.parameters", "{}", refused.body);
}

/// Schemas made to take long, to take much or to break something.
fn hostile() -> Vec<(&'static str, Value)> {
    let either = |count: usize| -> Value {
        let option =
            |index: usize| json!({"type": "object", "properties": {format!("p{index}"): {"const": index}}});
        json!({"anyOf": (0..count).map(option).collect::<Vec<_>>()})
    };
    let object = |count: usize, inner: &Value| -> Value {
        let properties: Map<_, _> = (0..count).map(|index| (format!("p{index}"), inner.clone())).collect();
        json!({"type": "object", "properties": properties})
    };
    let nested = |depth: usize| (0..depth).fold(json!({"type": "null"}), |inner, _| json!({"items": inner}));
    let chain: Map<String, Value> = (0..900)
        .map(|index| (format!("d{index}"), json!({"items": {"$ref": format!("#/$defs/d{}", index + 1)}})))
        .chain([("d900".to_owned(), json!({"type": "null"}))])
        .collect();
    let patterns: Map<_, _> = (0..80).map(|index| (format!("^{index}(a|b)*{index}$"), json!({}))).collect();
    vec![
        ("a product of choices", json!({"allOf": [either(60), either(60), either(60)]})),
        (
            "a power of choices",
            json!({"allOf": vec![json!({"anyOf": [{"minLength": 1}, {"maxLength": 9}]}); 40]}),
        ),
        ("as deep as is read", nested(100)),
        ("a long chain of definitions", json!({"$defs": chain, "$ref": "#/$defs/d0"})),
        ("itself and nothing else", json!({"$defs": {"x": {"$ref": "#/$defs/x"}}, "$ref": "#/$defs/x"})),
        (
            "itself beside something",
            json!({"$defs": {"x": {"allOf": [{"$ref": "#/$defs/x"}, {"type": "object"}]}}, "$ref": "#/$defs/x"}),
        ),
        ("a pattern of patterns", json!({"type": "string", "pattern": "^((a{1,1000}){1,1000}){1,1000}$"})),
        ("a pattern that explodes", json!({"type": "string", "pattern": "^(.*a){30}.{200}b$"})),
        ("a very long text", json!({"type": "string", "minLength": 1_000_000_000})),
        ("very many items", json!({"type": "array", "minItems": 1_000_000_000, "items": {"type": "null"}})),
        ("most items", json!({"type": "array", "maxItems": u64::MAX >> 12, "items": {"type": "null"}})),
        ("many words", json!({"enum": (0..10_000).map(|n| format!("w{n}")).collect::<Vec<_>>()})),
        ("many properties", object(1500, &json!({}))),
        ("objects of many properties", object(8, &object(800, &json!({})))),
        ("small parts", json!({"type": "number", "multipleOf": 1e-300})),
        ("many parts", json!({"allOf": (2..60).map(|n| json!({"multipleOf": n})).collect::<Vec<_>>()})),
        ("many patterns", json!({ "patternProperties": patterns })),
    ]
}

#[test]
fn hostile_schemas_cost_little_and_break_nothing() {
    let mut engine = Engine::start(&[]);
    assert_eq!(
        engine.chat("Hello", &json!({"response_format": {"type": "json_object"}, "max_tokens": 1})).status,
        200
    );
    let before = engine.peak_bytes();
    for (name, schema) in hostile() {
        let start = Instant::now();
        let more = json!({"response_format": format(&schema), "max_tokens": 20, "temperature": 1, "seed": 1});
        let reply = engine.chat("Hello", &more);
        let took = start.elapsed();
        println!("{name}: {took:?}, {} {}", reply.status, reply.body);
        let error = reply.json()["error"]["param"].clone();
        assert!(
            reply.status == 200 || (reply.status == 400 && error == "response_format"),
            "{name}: {}",
            reply.body
        );
        // Each takes a second at most; a loaded machine is given ten times that.
        assert!(took < Duration::from_secs(10), "{name}: {took:?}");
    }
    let grown = engine.peak_bytes() - before;
    println!("grown by {grown} bytes");
    assert!(grown < 300 << 20, "{grown} bytes");
    assert_eq!(engine.status()["loaded"], "ghostllm-demo");
}
