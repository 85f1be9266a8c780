//! A chat's fields at our own engine, the real one: by what its answers are.
//!
//! The likelihoods that it tells are the model's own, whatever is done to them afterwards: so they show what temperature, cuts and penalties
//! have done.

use serde_json::{Value, json};

use super::super::{bench::Scene, probe::Probe};
use super::{allowed, calls, foreign, forms, named, of, only_yes, refused, strict, tools};

/// A field of a chat that is short and always the same, if the field does not change that.
fn demo(field: &'static str, value: &Value) -> Probe {
    of("ghostllm-demo", field, value).beside(&json!({"temperature": 0, "max_tokens": 24}))
}

/// The same of a question to which the demo has more than one answer.
fn story(field: &'static str, value: &Value) -> Probe {
    demo(field, value).beside(&json!({"messages": [{"role": "user", "content": "Tell me a long story."}]}))
}

/// The same, with likelihoods.
fn weighed(field: &'static str, value: &Value) -> Probe {
    story(field, value).beside(&json!({"logprobs": true, "top_logprobs": 1, "max_tokens": 48}))
}

/// The same, of an answer by chance.
fn wild(field: &'static str, value: &Value) -> Probe {
    weighed(field, value).beside(&json!({"temperature": 2, "seed": 7}))
}

/// The likelihoods of an answer's tokens, of a chat or a response.
fn tokens(scene: &Scene) -> Vec<Value> {
    let places = ["/choices/0/logprobs/content", "/output/0/content/0/logprobs"];
    places.iter().filter_map(|at| scene.at(at).as_array().cloned()).next().unwrap_or_default()
}

/// Whether each token is the one that the model thinks the likeliest.
pub(in super::super) fn all_likeliest(scene: &Scene) -> bool {
    let tokens = tokens(scene);
    tokens.len() > 4 && tokens.iter().all(|token| token["bytes"] == token["top_logprobs"][0]["bytes"])
}

/// Whether some token is another one.
pub(in super::super) fn strays(scene: &Scene) -> bool {
    tokens(scene).len() > 4 && !all_likeliest(scene)
}

fn prompt(scene: &Scene) -> u64 {
    scene.number("/usage/prompt_tokens")
}

pub(in super::super) fn probes() -> Vec<Probe> {
    let dead =
        refused().into_iter().chain(foreign()).chain(forms()).map(|(field, value)| demo(field, &value));
    dead.chain(requests()).chain(numbers()).chain(answers()).chain(functions()).collect()
}

fn requests() -> [Probe; 10] {
    let streamed = json!({"stream": true});
    let long =
        json!([{"role": "user", "content": "The capital of France is what I ask of you, at some length."}]);
    [
        demo("model", &json!("other-demo")).works(|scene| scene.at("/model") == "other-demo"),
        demo("messages", &long).works_against(|with, without| prompt(with) > prompt(without)),
        // Its template shows it.
        demo("reasoning_effort", &json!("high"))
            .beside(&json!({"model": "effort"}))
            .works_against(|with, without| prompt(with) > prompt(without) && prompt(without) > 0),
        demo("think", &json!("high"))
            .beside(&json!({"model": "effort"}))
            .works_against(|with, without| prompt(with) > prompt(without) && prompt(without) > 0),
        demo("reasoning", &json!({"effort": "high"}))
            .beside(&json!({"model": "effort"}))
            .works_against(|with, without| prompt(with) > prompt(without) && prompt(without) > 0),
        demo("logit_bias", &json!({"5": 1})),
        demo("store", &json!(true)),
        demo("stream", &json!(true)).works(Scene::is_stream),
        demo("stream_options", &json!({"include_usage": true})).beside(&streamed).works(Scene::has_usage),
        demo("stream_options.include_obfuscation", &json!(true)).beside(&streamed),
    ]
}

fn numbers() -> [Probe; 11] {
    let three = |scene: &Scene| {
        scene.number("/usage/completion_tokens") == 3 && scene.at("/choices/0/finish_reason") == "length"
    };
    let the_same = |scene: &Scene| scene.answers.windows(2).all(|two| said(&two[0]) == said(&two[1]));
    [
        weighed("frequency_penalty", &json!(2)).works(strays),
        weighed("presence_penalty", &json!(2)).works(strays),
        weighed("repeat_penalty", &json!(5)).works(strays),
        weighed("repetition_penalty", &json!(5)).works(strays),
        demo("max_completion_tokens", &json!(3)).works(three),
        demo("max_tokens", &json!(3)).works(three),
        story("seed", &json!(7)).beside(&json!({"temperature": 2})).twice().works(the_same),
        wild("temperature", &json!(0)).works(all_likeliest),
        wild("top_p", &json!(0.01)).works(all_likeliest),
        wild("top_k", &json!(1)).works(all_likeliest),
        wild("min_p", &json!(1)).works(all_likeliest),
    ]
}

fn said(answer: &ghostllm_tests::client::Answer) -> Value {
    answer.json().map(|json| json["choices"][0]["message"]["content"].clone()).unwrap_or_default()
}

fn answers() -> [Probe; 5] {
    [
        demo("logprobs", &json!(true)).works(|scene| scene.count("/choices/0/logprobs/content") > 4),
        demo("top_logprobs", &json!(3))
            .beside(&json!({"logprobs": true}))
            .works(|scene| scene.count("/choices/0/logprobs/content/0/top_logprobs") == 3),
        demo("response_format", &only_yes()).works(|scene| scene.text() == "\"yes\""),
        demo("stop", &json!([" "])).works(|scene| {
            !scene.text().is_empty()
                && !scene.text().contains(' ')
                && scene.at("/choices/0/finish_reason") == "stop"
        }),
        // Of itself the engine refuses to give more than one.
        demo("n", &json!(2)).emulated(|scene| scene.count("/choices") == 2),
    ]
}

/// What a model would say that calls two functions, in a form without quotes, so that it may stand in a text of JSON. Only `bare` may say it
/// there: of one that was taught these marks, what is held to a schema has none.
pub(in super::super) const TWO_CALLS: &str =
    "<tool_call><function=get_weather></tool_call><tool_call><function=get_time></tool_call>";

/// Whether it calls, with what the schema of a strict function demands.
fn keeps(scene: &Scene) -> bool {
    let arguments = scene.at("/choices/0/message/tool_calls/0/function/arguments");
    let arguments: Option<Value> = arguments.as_str().and_then(|text| serde_json::from_str(text).ok());
    arguments.is_some_and(|arguments| {
        calls(scene) == ["get_weather"] && arguments["unit"] == "celsius" && arguments["city"].is_string()
    })
}

fn functions() -> [Probe; 5] {
    let offering = json!({ "tools": tools() });
    let format =
        json!({"type": "json_schema", "json_schema": {"name": "calls", "schema": {"const": TWO_CALLS}}});
    [
        // The demo was not taught the unit, which is demanded.
        strict("ghostllm-demo").beside(&json!({"temperature": 0, "max_tokens": 200})).works(keeps),
        demo("tools", &tools()).works_against(|with, without| prompt(with) > prompt(without) + 50),
        demo("tool_choice", &named("get_time"))
            .beside(&offering)
            .beside(&json!({"max_tokens": 200}))
            .works(|scene| calls(scene) == ["get_time"]),
        demo("tool_choice", &allowed("get_time"))
            .beside(&offering)
            .beside(&json!({"max_tokens": 200}))
            .works(|scene| calls(scene) == ["get_time"]),
        story("parallel_tool_calls", &json!(false))
            .beside(&offering)
            .beside(&json!({"model": "bare", "response_format": format, "max_tokens": 200}))
            .emulated_against(|with, without| {
                calls(with) == ["get_weather"] && calls(without) == ["get_weather", "get_time"]
            }),
    ]
}
