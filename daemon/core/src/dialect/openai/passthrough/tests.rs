//! What is passed on is passed on byte for byte.

use bytes::Bytes;
use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};
use serde_json::{Value, json};

use super::super::request::parse_chat;
use super::super::table::Behind;
use super::Passed;
use crate::chat::{Defaults, Heeds, Sampling, Shows, Think};
use crate::config::Limits;
use crate::error::ApiError;

fn inspect(body: &[u8]) -> Result<Passed, ApiError> {
    super::inspect(body, &Limits::default())
}

fn set_model(body: &[u8], model: &str) -> Result<Bytes, ApiError> {
    Ok(inspect(body)?.with_model(&Bytes::copy_from_slice(body), model))
}

#[test]
fn only_the_models_name_changes() {
    let body = "{ \"x_unknown\" : [1.0, 1e5, \"\\u00e9\"],\r\n\t\"model\":  \"a\\/b\" , \"messages\":[{\"role\":\"user\",\"content\":\"model\"}], \"temperature\": 0.10, \"max_tokens\":7 }\n";
    let passed = inspect(body.as_bytes()).unwrap();
    assert_eq!(passed.model, "a/b");
    let expected = body.replace("\"a\\/b\"", "\"new \\\"name\\\"\"");
    assert_eq!(set_model(body.as_bytes(), "new \"name\"").unwrap(), expected.as_bytes());
    assert_eq!(passed.with_model(&Bytes::from(body), "a/b"), body);
}

#[test]
fn the_fields_that_are_read() {
    let passed =
        inspect(br#"{"model":"m","stream":true,"stream_options":{"include_usage":true,"x":1}}"#).unwrap();
    assert!(passed.stream && passed.include_usage);
    let passed = inspect(br#"{"model":"m","stream":null}"#).unwrap();
    assert!(!passed.stream && !passed.include_usage);
}

/// What an answer names for this body.
fn ignored(body: &Value, behind: Behind) -> Option<String> {
    let mut request = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    request.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    inspect(request.to_string().as_bytes()).unwrap().taken(behind, &Limits::default()).unwrap()
}

#[test]
fn what_an_ollama_does_not_hear_of_a_conversation_is_named() {
    let said = |messages: Value, behind| ignored(&json!({ "messages": messages }), behind);
    let picture = |detail: Value| {
        let url = json!({"url": "data:image/png;base64,aGk=", "detail": detail});
        json!([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": url}]}])
    };
    for (messages, named) in [
        (json!([{"role": "system", "name": "a", "content": "x"}]), Some("messages.name")),
        (
            json!([{"role": "user", "name": "a", "content": [{"type": "text", "text": "x"}]}]),
            Some("messages.name"),
        ),
        (
            json!([{"role": "assistant", "name": "a", "content": "x"}, {"role": "user", "name": "b", "content": "x"}]),
            Some("messages.name"),
        ),
        (json!([{"role": "user", "name": null, "content": "x"}]), None),
        (json!([{"role": "tool", "name": "f", "tool_call_id": "c", "content": "x"}]), None),
        (json!([{"role": "assistant", "content": null, "audio": {"id": "a"}}]), Some("messages.audio")),
        (json!([{"role": "assistant", "content": "x", "audio": null, "refusal": null}]), None),
        (picture(json!("high")), Some("messages.image_url.detail")),
        (picture(json!("auto")), None),
        (picture(Value::Null), None),
    ] {
        assert_eq!(said(messages.clone(), Behind::Ollama).as_deref(), named, "{messages}");
        let audio = named.filter(|name| *name == "messages.audio");
        for (behind, named) in [(Behind::OpenAi, None), (Behind::Engine, audio)] {
            assert_eq!(said(messages.clone(), behind).as_deref(), named, "it is given the rest: {messages}");
        }
    }
}

#[test]
fn what_nobody_reads_of_turns_parts_and_tools_is_named() {
    let body = json!({
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "user", "bar": 1, "thinking": "x", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]},
        ],
        "tools": [{"type": "function", "bar": 1, "function": {"name": "f", "examples": [1]}}],
        "tool_choice": {"type": "function", "function": {"name": "f", "bar": 1}},
        "response_format": {"type": "json_object", "schema": {"type": "object"}, "bar": 1},
    });
    let ours = "messages.bar, messages.content.cache_control, response_format.bar, tool_choice.function.bar";
    assert_eq!(ignored(&body, Behind::Engine).as_deref(), Some(ours));
    let ollama = format!("messages.thinking, tools.bar, tools.function.examples, {ours}");
    assert_eq!(ignored(&body, Behind::Ollama), Some(ollama));
    assert_eq!(ignored(&body, Behind::OpenAi), None, "it is given all of it");
}

#[test]
fn tools_that_were_not_chosen_are_counted_where_they_are_shown() {
    let tool =
        |name: &str| json!({"type": "function", "function": {"name": name, "description": "x".repeat(99)}});
    let tools = json!([tool("f"), tool("g"), tool("h")]);
    let each = tools[0].to_string().len() as u64;
    let allowed = |names: &[&str]| {
        let tools: Vec<_> =
            names.iter().map(|name| json!({"type": "function", "function": {"name": name}})).collect();
        json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": tools}})
    };
    for (choice, shown, unchosen) in [
        (json!("auto"), 3, 0),
        (json!("required"), 3, 0),
        (json!("none"), 0, 0),
        (json!({"type": "function", "function": {"name": "g"}}), 3, 2),
        (allowed(&["f", "h"]), 3, 1),
    ] {
        let turns = json!([{"role": "user", "content": "hello"}]);
        let body =
            json!({"model": "m", "messages": turns, "tools": tools, "tool_choice": choice}).to_string();
        let passed = inspect(body.as_bytes()).unwrap();
        assert_eq!(
            (passed.prompt_bytes, passed.unchosen_bytes),
            (5 + shown * each, unchosen * each),
            "{choice}"
        );
        let read = parse_chat(body.as_bytes(), &Limits::default()).unwrap();
        let left = read.prompt_bytes() - read.unchosen_bytes();
        assert_eq!(left, passed.prompt_bytes - passed.unchosen_bytes, "{choice}");
    }
}

#[test]
fn what_asks_for_nothing_is_taken() {
    for idle in [json!({"min_tokens": 0}), json!({"stop_token_ids": [], "bad_words": [ ]})] {
        let named: Vec<_> = idle.as_object().unwrap().keys().cloned().collect();
        assert_eq!(ignored(&idle, Behind::Engine), Some(named.join(", ")), "{idle}");
    }
    for (field, value) in
        [("min_tokens", json!(1)), ("bad_words", json!(["x"])), ("stop_token_ids", json!([0]))]
    {
        let body =
            json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], field: value}).to_string();
        let error = inspect(body.as_bytes()).unwrap().taken(Behind::Ollama, &Limits::default()).unwrap_err();
        assert_eq!(error.param(), Some(field));
    }
}

#[test]
fn a_medium_in_a_part_that_is_text_is_refused_by_our_own_engine() {
    for member in ["images", "picture", "image_data", "file_data", "image_url"] {
        let part = json!({"type": "text", "text": "a", member: "data:image/png;base64,iVBORw0KGgo"});
        let body = json!({"model": "m", "messages": [{"role": "user", "content": [part]}]}).to_string();
        let passed = inspect(body.as_bytes()).unwrap();
        let at = format!("messages[0].content[0].{member}");
        let error = passed.taken(Behind::Engine, &Limits::default()).unwrap_err();
        assert_eq!(error.param(), Some(&*at));
        assert!(passed.taken(Behind::OpenAi, &Limits::default()).is_ok());
        assert_eq!(
            parse_chat(body.as_bytes(), &Limits::default()).unwrap_err().param(),
            Some(&*at),
            "an Ollama's"
        );
    }
}

#[test]
fn words_by_members_of_another_kind_are_named() {
    let part =
        json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}, "text": "words"});
    for (turn, told) in [
        (json!({"role": "user", "content": [part]}), "messages.content.text"),
        (json!({"role": "user", "content": "a", "refusal": "no"}), "messages.refusal"),
        (
            json!({"role": "assistant", "content": "a", "reasoning": "one", "reasoning_content": "other"}),
            "messages.reasoning",
        ),
    ] {
        let body = json!({"messages": [turn]});
        assert_eq!(ignored(&body, Behind::Ollama).as_deref(), Some(told), "{turn}");
        assert_eq!(ignored(&body, Behind::Engine).as_deref(), Some(told), "{turn}");
        assert_eq!(ignored(&body, Behind::OpenAi), None, "it is given all of it");
    }
    let same = r#"{"model":"m","messages":[{"role":"assistant","content":"a","reasoning":"one","reasoning_content":"o\u006ee"}]}"#;
    let passed = inspect(same.as_bytes()).unwrap();
    assert_eq!(passed.taken(Behind::Ollama, &Limits::default()), Ok(None));
    let other = inspect(same.replace("o\\u006e", "a").as_bytes()).unwrap();
    assert_eq!(other.unshown(Heeds::default()), ["messages.reasoning_content"], "the first is named already");
}

#[test]
fn what_a_template_does_not_show_of_turns_is_named() {
    let unshown = |turn: Value, shows: Shows| {
        let body = json!({"model": "m", "messages": [turn]}).to_string();
        inspect(body.as_bytes()).unwrap().unshown(Heeds { shows, ..Heeds::default() })
    };
    let (none, all) = (Shows::default(), Shows { names: true, thoughts: true });
    for (turn, named) in [
        (json!({"role": "user", "name": "a", "content": "x"}), vec!["messages.name"]),
        (json!({"role": "tool", "name": "a", "tool_call_id": "c", "content": "x"}), vec![]),
        (
            json!({"role": "assistant", "content": "x", "reasoning": "y", "reasoning_content": "y"}),
            vec!["messages.reasoning", "messages.reasoning_content"],
        ),
        (
            json!({"role": "assistant", "content": null, "reasoning_content": "y", "tool_calls": []}),
            vec!["messages.reasoning_content"],
        ),
        (json!({"role": "assistant", "content": "x", "thinking": "y"}), vec!["messages.thinking"]),
        (json!({"role": "assistant", "content": "x", "reasoning": "", "reasoning_content": null}), vec![]),
        (json!({"role": "assistant", "content": [], "reasoning": "", "thinking": null}), vec![]),
    ] {
        assert_eq!(unshown(turn.clone(), none), named, "{turn}");
        assert_eq!(unshown(turn, all), Vec::<&str>::new());
    }
    let named = json!({"role": "user", "name": "a", "content": "x"});
    assert_eq!(unshown(named, Shows { names: false, thoughts: true }), ["messages.name"]);
}

#[test]
fn tools_that_are_shown_to_nobody_are_no_part_of_a_prompts_length() {
    let tools = json!([{"type": "function", "function": {"name": "f", "description": "a".repeat(4000)}}]);
    let counted = |choice: &str| {
        let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": tools, "tool_choice": choice});
        let body = body.to_string();
        let read = parse_chat(body.as_bytes(), &Limits::default()).unwrap();
        [inspect(body.as_bytes()).unwrap().prompt_bytes, read.prompt_bytes()]
    };
    assert_eq!(counted("none"), [2; 2]);
    assert_eq!(counted("auto"), [2 + tools[0].to_string().len() as u64; 2]);
}

#[test]
fn what_loses_to_another_field_is_named_where_it_says_otherwise() {
    for (body, named) in [
        (json!({"max_tokens": 5, "max_completion_tokens": 6}), Some("max_tokens")),
        (json!({"max_tokens": 6, "max_completion_tokens": 6}), None),
        (json!({"repeat_penalty": 1.5, "repetition_penalty": 1.25}), Some("repetition_penalty")),
        (json!({"reasoning_effort": "none", "think": "high"}), Some("think")),
        (json!({"reasoning_effort": "none", "think": false}), None),
        (json!({"reasoning_effort": "low", "reasoning": {"effort": "high"}}), Some("reasoning.effort")),
        (json!({"reasoning": {"effort": "low"}, "think": true}), Some("think")),
        (json!({"reasoning": {"effort": "low"}, "think": "low"}), None),
    ] {
        for behind in [Behind::Ollama, Behind::Engine] {
            assert_eq!(ignored(&body, behind).as_deref(), named, "{body}");
        }
    }
}

#[test]
fn what_stands_inside_of_other_fields_and_comes_to_nothing_is_named() {
    let schema = |description: Value| {
        let inside = json!({"name": "a", "strict": true, "schema": {}, "description": description});
        json!({"response_format": {"type": "json_schema", "json_schema": inside}})
    };
    let described = Some("response_format.json_schema.description");
    for (body, ollama, engine) in [
        (
            json!({"reasoning": {"effort": "low", "exclude": true, "max_tokens": 5, "summary": "auto"}}),
            Some("reasoning.exclude, reasoning.max_tokens, reasoning.summary"),
            Some("reasoning.exclude, reasoning.max_tokens, reasoning.summary"),
        ),
        (json!({"reasoning": {"effort": "low", "exclude": false, "summary": null}}), None, None),
        (
            json!({"stream": true, "stream_options": {"include_usage": true, "continuous_usage_stats": true}}),
            Some("stream_options.continuous_usage_stats"),
            Some("stream_options.continuous_usage_stats"),
        ),
        (json!({"stream_options": {"include_obfuscation": false}}), None, None),
        (schema(json!("An answer.")), described, described),
        (schema(json!("")), None, None),
        (schema(Value::Null), None, None),
        (json!({"response_format": {"type": "json_object"}}), None, None),
    ] {
        assert_eq!(ignored(&body, Behind::Ollama).as_deref(), ollama, "{body}");
        assert_eq!(ignored(&body, Behind::Engine).as_deref(), engine, "{body}");
        assert_eq!(ignored(&body, Behind::OpenAi), None, "it is given it: {body}");
    }
}

#[test]
fn members_of_any_making_break_no_header() {
    let mut reasoning = json!({"a\r\nb": 1, "": 2});
    for nr in 0..500 {
        reasoning[format!("member{nr:03}")] = json!(nr);
    }
    let named = ignored(&json!({ "reasoning": reasoning }), Behind::Ollama).unwrap();
    assert!(named.starts_with("reasoning.") && named.len() < 1024, "{named}");
    assert!(named.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{named}");
}

#[test]
fn what_is_there_twice_is_said_to_be() {
    for (body, param) in [
        (r#""messages":[{"role":"user","content":"a","content":"b"}]"#, "messages[0].content"),
        (r#""stream_options":{"include_usage":true,"include_usage":false}"#, "stream_options.include_usage"),
    ] {
        let error = inspect(format!(r#"{{"model":"m",{body}}}"#).as_bytes()).unwrap_err();
        assert_eq!(error.param(), Some(param));
        assert!(error.message().contains("is there twice: send it once"), "{error}");
    }
    let wrong = inspect(br#"{"model":"m","messages":["a secret"]}"#).unwrap_err();
    assert!(!wrong.message().contains("secret"), "{wrong}");
}

#[test]
fn a_message_that_names_its_speaker_twice_is_refused() {
    let body = br#"{"model":"m","messages":[{"role":"user","name":"a","content":"x","name":"b"}]}"#;
    assert_eq!(inspect(body).unwrap_err().param(), Some("messages[0].name"));
}

#[test]
fn the_functions_are_those_that_may_be_called() {
    let tools = r#"[{"type":"function","function":{"name":"a","x":1}},{"type":"custom","custom":{"name":"b"}},{"function":{"name":""}},{"function":{"name":"c\u0064"}}]"#;
    let of =
        |more: &str| inspect(format!(r#"{{"model":"m",{more}}}"#).as_bytes()).unwrap().functions.to_vec();
    for choice in
        ["", r#","tool_choice":"auto""#, r#","tool_choice":null"#, r#","tool_choice":{"type":"function"}"#]
    {
        assert_eq!(of(&format!(r#""tools":{tools}{choice}"#)), ["a", "cd"], "{choice}");
    }
    assert_eq!(of(&format!(r#""tools":{tools},"tool_choice":"none""#)), [""; 0]);
    for none in [r#""tools":null"#, r#""tools":[]"#, r#""tools":[7]"#, r#""tools":{}"#, r#""user":"x""#] {
        assert_eq!(of(none), [""; 0], "{none}");
    }
}

#[test]
fn a_stream_is_counted_whatever_its_client_has_asked_for() {
    for (before, after) in [
        (
            r#"{"model":"m","stream":true}"#,
            r#"{"stream_options":{"include_usage":true},"model":"new","stream":true}"#,
        ),
        (
            r#" { "stream":true, "model":"m" } "#,
            r#" {"stream_options":{"include_usage":true}, "stream":true, "model":"new" } "#,
        ),
        (
            r#"{"model":"m","stream":true,"stream_options":null,"z":1}"#,
            r#"{"model":"new","stream":true,"stream_options":{"include_usage":true},"z":1}"#,
        ),
        (
            r#"{"stream_options": { } ,"model":"m","stream":true}"#,
            r#"{"stream_options": {"include_usage":true } ,"model":"new","stream":true}"#,
        ),
        (
            r#"{"stream_options":{ "x":{"include_usage":0}, "include_usage" : false},"model":"m","stream":true}"#,
            r#"{"stream_options":{ "x":{"include_usage":0}, "include_usage" : true},"model":"new","stream":true}"#,
        ),
        (
            r#"{"model":"m","stream_options":{"include_usage":null},"stream":true}"#,
            r#"{"model":"new","stream_options":{"include_usage":true},"stream":true}"#,
        ),
        (
            r#"{"model":"m","stream_options":{"x":1},"stream":true}"#,
            r#"{"model":"new","stream_options":{"include_usage":true,"x":1},"stream":true}"#,
        ),
        // Asked for already, and no stream.
        (
            r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#,
            r#"{"model":"new","stream":true,"stream_options":{"include_usage":true}}"#,
        ),
        (r#"{"model":"m","stream":false}"#, r#"{"model":"new","stream":false}"#),
    ] {
        let passed = inspect(before.as_bytes()).unwrap();
        let asking = passed.asking(&Bytes::from(before), "new", &Defaults::default(), true);
        assert_eq!(asking.body, after.as_bytes(), "{before}");
        // For an engine that refuses to be asked.
        let unasked = passed.with_model(&Bytes::from(before), "new");
        assert_eq!(asking.without(), asking.asks().then_some(unasked), "{before}");
        let again = inspect(&asking.body).unwrap();
        assert_eq!((again.include_usage, again.counted), (again.stream, None), "{before}");
    }
}

#[test]
fn what_asks_for_counts_is_taken_out_again_whatever_stands_around_it() {
    let defaults = Defaults {
        sampling: Sampling { temperature: Some(0.5), seed: Some(7), ..Sampling::default() },
        think: Some(Think::High),
        ..Defaults::default()
    };
    for body in [
        r#"{"model":"m","stream":true}"#,
        r#"{"seed":null,"stream":true,"stream_options":{"include_usage":false},"model":"m","temperature":null}"#,
        r#"{"stream_options":null,"temperature":null,"model":"m","stream":true}"#,
    ] {
        let (passed, body) = (inspect(body.as_bytes()).unwrap(), Bytes::from(body));
        let asking = passed.asking(&body, "another", &defaults, true);
        assert!(inspect(&asking.body).unwrap().include_usage, "{:?}", asking.body);
        let unasked = passed.with(&body, "another", &defaults);
        assert_eq!(asking.without(), Some(unasked.clone()));
        assert_eq!(passed.asking(&body, "another", &defaults, false), unasked.into());
    }
    // In another case it is some readers' field and not others'.
    let odd = inspect(br#"{"model":"m","stream":true,"Stream_Options":{}}"#).unwrap_err();
    assert_eq!(odd.param(), Some("Stream_Options"));
    assert!(odd.message().contains("write it 'stream_options'"), "{odd}");
}

#[test]
fn pictures_and_sounds_are_no_part_of_a_prompts_length() {
    let length = |content: &str| {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":{content}}}]}}"#);
        inspect(body.as_bytes()).unwrap().prompt_bytes
    };
    assert_eq!(length(r#""Hell\u00f6""#), 6, "however it is spelled");
    let data = "a".repeat(4000);
    for media in [
        format!(r#"{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{data}"}}}}"#),
        format!(r#"{{"type":"input_audio","input_audio":{{"data":"{data}","format":"wav"}}}}"#),
    ] {
        assert_eq!(length(&format!(r#"[{media},{{"type":"text","text":"Hello"}}]"#)), 5);
    }
    assert_eq!(inspect(br#"{"model":"m"}"#).unwrap().prompt_bytes, 0);
    assert_eq!(
        inspect(br#"{"model":"m","tools":[{"a":1} , {"b":2}]}"#).unwrap().prompt_bytes,
        14,
        "tools are shown to the model"
    );
}

#[test]
fn what_must_not_reach_an_engine_is_refused() {
    for (fields, param) in [
        (r#""api_base":"http://x""#, "api_base"),
        (r#""Chat_Template_Kwargs":{}"#, "Chat_Template_Kwargs"),
        (r#""cache_salt":"x""#, "cache_salt"),
        (r#""model":"b""#, "model"),
        (r#""max_tokens":-2"#, "max_tokens"),
        (r#""max_tokens":-1.0"#, "max_tokens"),
        (r#""n":-1"#, "n"),
        (r#""n":129"#, "n"),
        (r#""seed":9223372036854775808"#, "seed"),
        (r#""seed":1.5"#, "seed"),
        (r#""top_k":1e308"#, "top_k"),
        (r#""stream":"yes""#, "stream"),
    ] {
        let body = format!(r#"{{"model":"m",{fields}}}"#);
        assert_eq!(inspect(body.as_bytes()).unwrap_err().param(), Some(param), "{fields}");
    }
    assert_eq!(inspect(b"{}").unwrap_err().param(), Some("model"));
}

#[test]
fn an_engine_s_own_word_for_none_passes() {
    for field in ["max_tokens", "max_completion_tokens", "seed", "top_k"] {
        inspect(format!(r#"{{"model":"m","{field}":-1}}"#).as_bytes()).unwrap();
    }
    for seed in [i64::MIN, i64::MAX] {
        inspect(format!(r#"{{"model":"m","seed":{seed}}}"#).as_bytes()).unwrap();
    }
}

#[test]
fn remote_media_are_refused_and_inner_ones_pass() {
    let body =
        |content: &str| format!(r#"{{"model":"m","messages":[{{"role":"user","content":{content}}}]}}"#);
    for content in [
        r#"[{"type":"image_url","image_url":{"url":"http://10.0.0.1/x"}}]"#,
        r#"[{"type":"image_url","image_url":"file:///etc/passwd"}]"#,
        r#"[{"type":"video_url","video_url":{"url":"https://x/y"}}]"#,
        r#"[{"type":"audio_url","audio_url":{"url":"HTTP://x"}}]"#,
        r#"[{"type":"image_url","image_url":{"url":"data:image/png;base64,aa","url":"http://x"}}]"#,
        r#"[{"type":"image_url","image_url":{"url":"data:,"},"image_url":{"url":"http://x"}}]"#,
        r#"[{"type":"image_url","image_url":["data:image/png;base64,aa"]}]"#,
        r#"[[{"url":"data:image/png;base64,aa"},null,null]]"#,
        r#""x","content":[{"type":"image_url","image_url":{"url":"http://x"}}]"#,
        r#"[{"type":"file","file":{"file_url":"http://x"}}]"#,
        r#"[{"type":"input_audio","input_audio":{"data":"aa","url":"http://x"}}]"#,
        r#"[{"type":"file","file":{"file_data":"aa","file_data":"bb"}}]"#,
        r#"[{"type":"image_embeds","image_embeds":"aa"}]"#,
        r#"[{"type":"text","text":"x","audio_embeds":{"a":"aa"}}]"#,
    ] {
        assert!(inspect(body(content).as_bytes()).is_err(), "{content}");
    }
    for content in [
        r#"[{"type":"image_url","image_url":{"url":"data:image/png;base64,aa"}},{"type":"text","text":"x"}]"#,
        r#"[{"type":"input_audio","input_audio":{"data":"aa","format":"wav"}}]"#,
        r#"[{"type":"file","file":{"file_data":"data:application/pdf;base64,aa","filename":"a.pdf"}}]"#,
        r#"[{"type":"file","file":{"file_id":"file-1"}}]"#,
        r#""see http://example.org""#,
        "null",
    ] {
        assert!(inspect(body(content).as_bytes()).is_ok(), "{content}");
    }
}

#[test]
fn its_limits_pass_and_one_more_fails() {
    let limits = Limits {
        request_fields: 5,
        model_name: "2B".parse().unwrap(),
        media_parts: 2,
        media_bytes: "60B".parse().unwrap(),
        ..Limits::default()
    };
    let inspect = |body: String| super::inspect(body.as_bytes(), &limits);
    let fields = |count: usize| {
        let more: String = (1..count).map(|nr| format!(",\"x{nr}\":1")).collect();
        inspect(format!("{{\"model\":\"m\"{more}}}"))
    };
    assert!(fields(5).is_ok() && fields(6).unwrap_err().message().contains("more than 5 fields"));
    let model = |name: &str| inspect(format!("{{\"model\":\"{name}\"}}"));
    assert!(model("mm").is_ok());
    assert_eq!(model("mmm").unwrap_err().param(), Some("model"));
    let media = |count: usize, letters: usize| {
        let part = format!(r#"{{"type":"video_url","video_url":"data:,{}"}}"#, "a".repeat(letters - 6));
        let parts = vec![part; count].join(",");
        inspect(format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{parts}]}}]}}"#))
    };
    assert!(media(2, 10).is_ok());
    assert_eq!(media(3, 10).unwrap_err().param(), Some("messages[0].content[2].video_url.url"));
    // Eighty letters of base64 are sixty bytes.
    assert!(media(1, 80).is_ok());
    let error = media(1, 84).unwrap_err();
    assert!(
        error.message().contains(" a video among at most 2 ") && error.message().contains("60B together"),
        "{error}"
    );
    for (name, field, what) in [("input_audio", "data", "a sound"), ("file", "file_data", "a file")] {
        let inline = |letters: usize| {
            let data = "a".repeat(letters);
            let part = format!(r#"{{"type":"{name}","{name}":{{"{field}":"{data}"}}}}"#);
            inspect(format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{part}]}}]}}"#))
        };
        assert!(inline(80).is_ok());
        let param = format!("messages[0].content[0].{name}.{field}");
        let error = inline(84).unwrap_err();
        assert_eq!(error.param(), Some(&*param));
        assert!(
            error.message().contains(&format!(" {what} among at most 2 pictures, sounds, videos and files")),
            "{error}"
        );
    }
}

/// Every default that a body can have.
fn all() -> Defaults {
    Defaults {
        sampling: Sampling {
            temperature: Some(0.25),
            top_p: Some(1.0),
            top_k: Some(7),
            min_p: Some(0.0),
            repeat_penalty: Some(1.1),
            frequency_penalty: Some(-0.5),
            presence_penalty: Some(2.0),
            seed: Some(-7),
        },
        max_tokens: Some(100),
        think: Some(Think::Off),
        num_ctx: Some(4096),
        keep_alive: Some(-1),
    }
}

fn with(body: &str, defaults: &Defaults) -> String {
    let body = Bytes::copy_from_slice(body.as_bytes());
    let passed = inspect(&body).unwrap();
    String::from_utf8(passed.with(&body, &passed.model, defaults).to_vec()).unwrap()
}

#[test]
fn a_body_that_says_nothing_gets_every_default_and_no_other_byte_changes() {
    let body = " {\"model\":\"m\",\n\"messages\":[]}\n";
    let filled = with(body, &all());
    let fields = r#""temperature":0.25,"top_p":1,"min_p":0,"repeat_penalty":1.1,"repetition_penalty":1.1,"frequency_penalty":-0.5,"presence_penalty":2,"top_k":7,"seed":-7,"max_tokens":100,"chat_template_kwargs":{"enable_thinking":false},"#;
    assert_eq!(filled, body.replacen('{', &format!("{{{fields}"), 1));
    assert_eq!(with(body, &Defaults::default()), body);
    let loaded = Defaults { num_ctx: Some(4096), keep_alive: Some(-1), ..Defaults::default() };
    assert_eq!(with(body, &loaded), body, "this language has no field for these");
    for (think, fields) in [
        (Think::On, r#""chat_template_kwargs":{"enable_thinking":true}"#),
        (Think::Low, r#""reasoning_effort":"low""#),
        (Think::Most, r#""reasoning_effort":"high""#),
    ] {
        let defaults = Defaults { think: Some(think), ..Defaults::default() };
        assert_eq!(with(r#"{"model":"m"}"#, &defaults), format!(r#"{{{fields},"model":"m"}}"#));
    }
}

#[test]
fn what_a_client_says_stays_by_whatever_field_it_says_it() {
    for said in [
        r#""temperature":0"#,
        r#""top_p":0.1"#,
        r#""top_k":-1"#,
        r#""min_p":0.5"#,
        r#""repetition_penalty":1.0"#,
        r#""repeat_penalty":1.0"#,
        r#""frequency_penalty":0"#,
        r#""presence_penalty":0"#,
        r#""seed":1"#,
        r#""max_completion_tokens":3"#,
        r#""max_tokens":3"#,
        r#""n_predict":3"#,
        r#""reasoning_effort":"low""#,
        r#""reasoning":{"effort":"low"}"#,
        r#""think":true"#,
        r#""N_PREDICT":null"#,
    ] {
        let body = format!(r#"{{"model":"m",{said}}}"#);
        let filled = with(&body, &all());
        assert!(filled.ends_with(&body[1..]), "{filled}");
        let before = serde_json::from_str::<serde_json::Value>(&with(r#"{"model":"m"}"#, &all())).unwrap();
        let after = serde_json::from_str::<serde_json::Value>(&filled).unwrap();
        let least = before.as_object().unwrap().len() - 1;
        assert!(
            (least..=before.as_object().unwrap().len()).contains(&after.as_object().unwrap().len()),
            "{filled}"
        );
        // Whatever reader has it finds no field twice.
        inspect(filled.replace("chat_template_kwargs", "x").as_bytes()).unwrap();
    }
}

#[test]
fn where_both_want_no_thoughts_the_template_is_told_as_well() {
    let off = Defaults { think: Some(Think::Off), ..Defaults::default() };
    for said in [r#""reasoning_effort":"none""#, r#""think":false"#, r#""reasoning":{"effort":"none"}"#] {
        let body = format!(r#"{{"model":"m",{said}}}"#);
        let told = format!(r#"{{"chat_template_kwargs":{{"enable_thinking":false}},"model":"m",{said}}}"#);
        assert_eq!(with(&body, &off), told);
        assert_eq!(
            with(&body, &Defaults { think: Some(Think::On), ..off }),
            body,
            "the client's word counts"
        );
        assert_eq!(with(&body, &Defaults::default()), body, "nobody has asked for more");
    }
    for low in [
        r#"{"model":"m","reasoning_effort":"low"}"#,
        r#"{"model":"m","reasoning_effort":"low","think":false}"#,
        r#"{"model":"m","reasoning":{"effort":"low"},"think":false}"#,
    ] {
        assert_eq!(with(low, &off), low, "what wins is what the client says");
    }
}

#[test]
fn a_null_says_nothing_and_is_replaced_where_it_stands() {
    let body =
        r#"{"seed": null,"max_completion_tokens":null,"model":"m", "temperature":null,"reasoning":null}"#;
    let defaults = Defaults {
        sampling: Sampling { temperature: Some(0.5), seed: Some(7), ..Sampling::default() },
        max_tokens: Some(9),
        ..Defaults::default()
    };
    let expected = r#"{"max_tokens":9,"seed": 7,"max_completion_tokens":null,"model":"m", "temperature":0.5,"reasoning":null}"#;
    assert_eq!(with(body, &defaults), expected);
    let body = Bytes::from_static(body.as_bytes());
    let renamed = inspect(&body).unwrap().with(&body, "other", &defaults);
    assert_eq!(renamed, expected.replace("\"m\"", "\"other\""));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_body_keeps_its_other_bytes(
        before in "[ \\n\\t]{0,3}(\"x_[b-z]{1,4}\" ?: ?(1\\.50|\"\\\\\\\\é\"|\\[ ?\\]),)?",
        name in "[a-zA-Z0-9/:._ é-]{1,20}",
        after in "(, ?\"Z\":\\{\"model\":\"inner\"\\})?[ \\n]{0,3}",
        new in ".{1,20}",
    ) {
        let body = format!("{{{before}\"model\":\"{name}\"{after}}}");
        let expected = format!("{{{before}\"model\":{}{after}}}", serde_json::to_string(&new).unwrap());
        prop_assert_eq!(String::from_utf8(set_model(body.as_bytes(), &new).unwrap().to_vec()).unwrap(), expected);
    }
}

#[test]
fn an_answer_of_several_is_asked_for_alone_and_with_a_seed_of_its_own() {
    let text = "{\"seed\": 41 ,\"model\":\"m\",\n \"n\":3, \"messages\":[], \"stop\":\"\\u00e9\"}";
    let (passed, body) = (inspect(text.as_bytes()).unwrap(), Bytes::from(text));
    assert_eq!(passed.choices, 3);
    for (choice, seed) in [(0, "41"), (1, "42"), (2, "43")] {
        let expected = text.replace("41", seed).replace("\"n\":3", "\"n\":1");
        assert_eq!(passed.with_choice(&body, Some(7), choice), expected);
    }
    // Without either there is nothing to change, but for the administrator's own seed.
    let text = "{\"model\":\"m\",\"messages\":[]}";
    let (passed, body) = (inspect(text.as_bytes()).unwrap(), Bytes::from(text));
    assert_eq!(passed.with_choice(&body, None, 1), text);
    assert_eq!(passed.with_choice(&body, Some(7), 1), "{\"seed\":8,\"model\":\"m\",\"messages\":[]}");
    for (seed, choice, next) in
        [(i64::MAX, 1, 0), (i64::MAX - 1, 1, i64::MAX), (-1, 1, 0), (i64::MIN, 2, i64::MIN + 2)]
    {
        assert_eq!(super::seed_of(seed, choice), next);
    }
}

#[test]
fn more_answers_than_the_limit_are_refused_where_each_is_a_request() {
    let limits = Limits { choices: 4, ..Limits::default() };
    let taken = |n: u32, behind| {
        let body = format!(r#"{{"model":"m","n":{n},"user":"x"}}"#);
        inspect(body.as_bytes()).unwrap().taken(behind, &limits)
    };
    for behind in [Behind::Ollama, Behind::Engine] {
        assert_eq!(taken(4, behind).unwrap().as_deref(), Some("user"));
        let error = taken(5, behind).unwrap_err();
        assert!(error.status() == 400 && error.param() == Some("n"), "{error}");
        assert!(error.message().contains("1 to 4 (limits.choices)"), "{error}");
    }
    assert!(taken(128, Behind::OpenAi).is_ok(), "its engine may have them all");
}

#[test]
fn no_engine_is_shown_tools_that_may_not_be_called() {
    let tools = r#"[{"type":"function","function":{"name":"f"}}]"#;
    for (choice, goes) in [("none", "null"), ("auto", tools), ("required", tools)] {
        let body = |tools: &str| format!(r#"{{"model":"m", "tools" : {tools} ,"tool_choice":"{choice}"}}"#);
        assert_eq!(with(&body(tools), &Defaults::default()), body(goes));
    }
    for body in
        [r#"{"model":"m","tool_choice":"none"}"#, r#"{"model":"m","tools":null,"tool_choice":"none"}"#]
    {
        assert_eq!(with(body, &Defaults::default()), body);
    }
}

#[test]
fn no_engine_is_told_to_keep_an_answer() {
    let text = "{\"store\" : true,\"model\":\"m\",\"messages\":[], \"metadata\":{\"store\":true}}";
    let (passed, body) = (inspect(text.as_bytes()).unwrap(), Bytes::from(text));
    let expected = text.replacen("true", "false", 1);
    assert_eq!(passed.with(&body, "m", &Defaults::default()), expected);
    let kept = expected.replace("\"m\"", "\"other\"");
    assert_eq!(passed.with(&body, "other", &Defaults::default()), kept);
    let (passed, body) = (inspect(expected.as_bytes()).unwrap(), Bytes::from(expected.clone()));
    assert_eq!(passed.with(&body, "m", &Defaults::default()), expected);
    let error = inspect(br#"{"model":"m","messages":[],"store":"yes"}"#).unwrap_err();
    assert_eq!(error.param(), Some("store"));
}
