//! A response's fields at our own engine, the real one: by what its answers are, as a chat's are.

use serde_json::{Value, json};

use super::super::{
    bench::Scene,
    chat::{
        engine::{TWO_CALLS, all_likeliest, strays},
        forms,
    },
    probe::Probe,
};
use super::{LOGPROBS, calls, dead, format, named, of, repeated, tools};

/// A field of a request whose answer is short and always the same, if the field does not change that.
fn demo(field: &'static str, value: &Value) -> Probe {
    of("ghostllm-demo", field, value).beside(&json!({"temperature": 0, "max_output_tokens": 24}))
}

/// The same of a question to which the demo has more than one answer.
fn story(field: &'static str, value: &Value) -> Probe {
    demo(field, value).beside(&json!({"input": "Tell me a long story."}))
}

/// The same, with likelihoods.
fn weighed(field: &'static str, value: &Value) -> Probe {
    story(field, value).beside(&json!({"include": [LOGPROBS], "top_logprobs": 1, "max_output_tokens": 48}))
}

/// The same, of an answer by chance.
fn wild(field: &'static str, value: &Value) -> Probe {
    weighed(field, value).beside(&json!({"temperature": 2, "seed": 7}))
}

fn prompt(scene: &Scene) -> u64 {
    scene.number("/usage/input_tokens")
}

const SAID: &str = "/output/0/content/0/text";

pub(in super::super) fn probes() -> Vec<Probe> {
    let dead = dead().into_iter().chain(forms()).map(|(field, value)| demo(field, &value));
    dead.chain(repeated("ghostllm-demo")).chain(requests()).chain(numbers()).chain(functions()).collect()
}

fn requests() -> [Probe; 8] {
    let long = json!("The capital of France is what I ask of you, at some length.");
    [
        demo("model", &json!("other-demo")).works(|scene| scene.at("/model") == "other-demo"),
        demo("input", &long).works_against(|with, without| prompt(with) > prompt(without)),
        demo("instructions", &json!("Be brief."))
            .works_against(|with, without| prompt(with) > prompt(without)),
        // Its template shows it.
        demo("reasoning", &json!({"effort": "high"}))
            .beside(&json!({"model": "effort"}))
            .works_against(|with, without| prompt(with) > prompt(without) && prompt(without) > 0),
        demo("stream", &json!(true)).works(Scene::is_stream),
        demo("include", &json!([LOGPROBS])).works(|scene| scene.count("/output/0/content/0/logprobs") > 4),
        demo("top_logprobs", &json!(3))
            .beside(&json!({"include": [LOGPROBS]}))
            .works(|scene| scene.count("/output/0/content/0/logprobs/0/top_logprobs") == 3),
        demo("text", &format(&json!({"const": "yes"}))).works(|scene| scene.at(SAID) == "\"yes\""),
    ]
}

fn numbers() -> [Probe; 11] {
    let three =
        |scene: &Scene| scene.number("/usage/output_tokens") == 3 && scene.at("/status") == "incomplete";
    let said = |answer: &ghostllm_tests::client::Answer| {
        answer.json().ok().and_then(|json| json.pointer(SAID).cloned()).unwrap_or_default()
    };
    let the_same = move |scene: &Scene| scene.answers.windows(2).all(|two| said(&two[0]) == said(&two[1]));
    [
        weighed("frequency_penalty", &json!(2)).works(strays),
        weighed("presence_penalty", &json!(2)).works(strays),
        weighed("repeat_penalty", &json!(5)).works(strays),
        weighed("repetition_penalty", &json!(5)).works(strays),
        demo("max_output_tokens", &json!(3)).works(three),
        story("seed", &json!(7)).beside(&json!({"temperature": 2})).twice().works(the_same),
        wild("temperature", &json!(0)).works(all_likeliest),
        wild("top_p", &json!(0.01)).works(all_likeliest),
        wild("top_k", &json!(1)).works(all_likeliest),
        wild("min_p", &json!(1)).works(all_likeliest),
        demo("stop", &json!([" "])).works(|scene| {
            let said = scene.at(SAID);
            said.as_str().is_some_and(|said| !said.is_empty() && !said.contains(' '))
        }),
    ]
}

fn functions() -> [Probe; 3] {
    let offering = json!({ "tools": tools(), "max_output_tokens": 200 });
    let two = json!({ "model": "bare", "text": format(&json!({"const": TWO_CALLS})) });
    [
        demo("tools", &tools()).works_against(|with, without| prompt(with) > prompt(without) + 50),
        demo("tool_choice", &named("get_time")).beside(&offering).works(|scene| calls(scene) == ["get_time"]),
        story("parallel_tool_calls", &json!(false)).beside(&offering).beside(&two).emulated_against(
            |with, without| calls(with) == ["get_weather"] && calls(without) == ["get_weather", "get_time"],
        ),
    ]
}
