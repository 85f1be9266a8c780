//! The probes of `POST /v1/completions`.

use serde_json::{Value, json};

use ghostllm_tests::client::Answer;

use super::{bench::Scene, chat::forms, probe::Probe};

const PROMPT: &str = "This program is free";
/// What the demo knows how to go on with.
const COUNT: &str = "<|im_start|>user\nCount from 1 to 10.<|im_end|>\n<|im_start|>assistant\n";
const STORY: &str = "<|im_start|>user\nTell me a long story.<|im_end|>\n<|im_start|>assistant\n";

/// A field of a completion with this model.
fn of(model: &str, field: &'static str, value: &Value) -> Probe {
    let base = json!({"model": model, "prompt": PROMPT, "max_tokens": 12});
    Probe::new("/v1/completions", &base, field, value)
}

/// Those that only a server of OpenAI's API may know.
fn foreign() -> [(&'static str, Value); 4] {
    [
        ("user", json!("somebody")),
        ("num_ctx", json!(4096)),
        ("keep_alive", json!("5m")),
        ("options", json!({"num_ctx": 4096})),
    ]
}

/// Those that Ollama has a word for, at this place of its requests; they go to any other server as they came.
fn words() -> [(&'static str, Value, &'static str); 11] {
    [
        ("frequency_penalty", json!(0.5), "/options/frequency_penalty"),
        ("presence_penalty", json!(0.75), "/options/presence_penalty"),
        ("repeat_penalty", json!(1.25), "/options/repeat_penalty"),
        ("repetition_penalty", json!(1.25), "/options/repeat_penalty"),
        ("logprobs", json!(2), "/top_logprobs"),
        ("max_tokens", json!(3), "/options/num_predict"),
        ("seed", json!(7), "/options/seed"),
        ("temperature", json!(0.5), "/options/temperature"),
        ("top_p", json!(0.25), "/options/top_p"),
        ("top_k", json!(5), "/options/top_k"),
        ("min_p", json!(0.125), "/options/min_p"),
    ]
}

/// What is refused wherever no server of OpenAI's API may know it, and by all of them.
fn chat_s() -> [(&'static str, Value); 3] {
    [
        ("response_format", json!({"type": "json_object"})),
        ("messages", json!([{"role": "user", "content": "Hello"}])),
        ("max_completion_tokens", json!(3)),
    ]
}

/// What would change an answer, and is refused wherever no server of OpenAI's API may know it.
fn foreign_forms() -> impl Iterator<Item = (&'static str, Value)> {
    let function = json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}});
    forms().into_iter().chain([("tools", json!([function]))])
}

fn echoes(scene: &Scene) -> bool {
    scene.text().starts_with(PROMPT)
}

pub(super) fn ollama() -> Vec<Probe> {
    let tiny = |field, value| of("tiny", field, &value);
    let dead =
        foreign().into_iter().chain(chat_s()).chain(foreign_forms()).map(|(field, value)| tiny(field, value));
    let words = words().map(|(field, value, pointer)| tiny(field, value.clone()).on_wire(pointer, value));
    let prompts = json!([PROMPT, "This program", "The licence"]);
    let streamed = json!({"stream": true});
    let others = [
        tiny("model", json!("tiny-think")).on_wire("/model", json!("tiny-think:latest")),
        tiny("prompt", prompts.clone()).emulated(move |scene| {
            let sent: Vec<&Value> = scene.wire.iter().map(|body| &body["prompt"]).collect();
            scene.count("/choices") == 3 && json!(sent) == prompts
        }),
        tiny("best_of", json!(2)),
        tiny("echo", json!(true)).emulated(echoes),
        tiny("logit_bias", json!({"5": 1})),
        tiny("n", json!(3)).emulated(|scene| scene.count("/choices") == 3 && scene.wire.len() == 3),
        tiny("stop", json!([" of", "x"])).on_wire("/options/stop", json!([" of", "x"])),
        tiny("stream", json!(true)).works(Scene::is_stream),
        tiny("stream_options", json!({"include_usage": true})).beside(&streamed).works(Scene::has_usage),
        tiny("stream_options.include_obfuscation", json!(true)).beside(&streamed),
        tiny("suffix", json!(" software."))
            .beside(&json!({"model": "tiny-fill"}))
            .on_wire("/suffix", json!(" software.")),
    ];
    dead.chain(words).chain(others).collect()
}

pub(super) fn openai() -> Vec<Probe> {
    let large = |field, value| of("large", field, &value);
    let words = words().map(|(field, value, _)| (field, value));
    let passed = foreign()
        .into_iter()
        .chain(foreign_forms())
        .chain(words)
        .map(|(field, value)| large(field, value).unchanged());
    let streamed = json!({"stream": true});
    let small = json!({"model": "small"});
    let [(format, wanted), (messages, said), (tokens, most)] = chat_s();
    let others = [
        large(format, wanted).unchanged(),
        large(messages, said),
        large(tokens, most),
        large("model", json!("other-large")).passed(|scene| {
            scene.at("/model") == "other-large" && scene.wire.iter().all(|body| body["model"] == "large")
        }),
        large("prompt", json!(["This program", "The licence"])).unchanged(),
        large("best_of", json!(2)).unchanged(),
        large("echo", json!(true)).unchanged(),
        large("logit_bias", json!({"5": 1})).unchanged(),
        large("n", json!(3))
            .beside(&small)
            .emulated(|scene| scene.count("/choices") == 3 && scene.wire.len() == 3),
        large("stop", json!([" of", "x"])).unchanged(),
        large("stream", json!(true)).unchanged(),
        // The daemon asks for the counts of any stream, and gives them to whoever wants them.
        large("stream_options", json!({"include_usage": true})).beside(&streamed).passed(Scene::has_usage),
        large("stream_options.include_obfuscation", json!(true)).beside(&streamed).unchanged(),
        large("suffix", json!(" software.")).beside(&small).unchanged(),
    ];
    passed.chain(others).collect()
}

/// A field of a completion that is always the same, if the field does not change that.
fn demo(field: &'static str, value: &Value) -> Probe {
    of("ghostllm-demo", field, value).beside(&json!({"prompt": COUNT, "temperature": 0}))
}

/// The same of a question to which the demo has more than one answer.
fn story(field: &'static str, value: &Value) -> Probe {
    demo(field, value).beside(&json!({"prompt": STORY, "max_tokens": 48}))
}

/// The same, with the likelihoods of the model itself, which show what is done to them afterwards.
fn weighed(field: &'static str, value: &Value) -> Probe {
    story(field, value).beside(&json!({"logprobs": 1}))
}

/// The same, of an answer by chance.
fn wild(field: &'static str, value: &Value) -> Probe {
    weighed(field, value).beside(&json!({"temperature": 2, "seed": 7}))
}

/// The probabilities of the first answer.
fn told(scene: &Scene, list: &str) -> Vec<Value> {
    scene.at(&format!("/choices/0/logprobs/{list}")).as_array().cloned().unwrap_or_default()
}

/// Whether each token is the one that the model thinks the likeliest: of the alternatives none is likelier.
fn all_likeliest(scene: &Scene) -> bool {
    let (own, best) = (told(scene, "token_logprobs"), told(scene, "top_logprobs"));
    let likeliest = |(own, best): (&Value, &Value)| {
        best.as_object().is_some_and(|best| best.values().all(|other| other.as_f64() <= own.as_f64()))
    };
    own.len() > 4 && own.iter().zip(&best).all(likeliest)
}

fn strays(scene: &Scene) -> bool {
    told(scene, "tokens").len() > 4 && !all_likeliest(scene)
}

/// Our own engine, the real one: by what its answers are.
pub(super) fn engine() -> Vec<Probe> {
    let dead = foreign()
        .into_iter()
        .chain(chat_s())
        .chain(foreign_forms())
        .map(|(field, value)| demo(field, &value));
    dead.chain(requests()).chain(numbers()).chain(answers()).collect()
}

fn requests() -> [Probe; 7] {
    let streamed = json!({"stream": true});
    [
        demo("model", &json!("other-demo")).works(|scene| scene.at("/model") == "other-demo"),
        // Of itself the daemon asks for one after the other.
        demo("prompt", &json!([COUNT, "Count from 3 to 9."])).emulated(|scene| scene.count("/choices") == 2),
        demo("best_of", &json!(2)),
        demo("logit_bias", &json!({"5": 1})),
        demo("stream", &json!(true)).works(Scene::is_stream),
        demo("stream_options", &json!({"include_usage": true})).beside(&streamed).works(Scene::has_usage),
        demo("stream_options.include_obfuscation", &json!(true)).beside(&streamed),
    ]
}

fn numbers() -> [Probe; 10] {
    let three = |scene: &Scene| {
        scene.number("/usage/completion_tokens") == 3 && scene.at("/choices/0/finish_reason") == "length"
    };
    let the_same = |scene: &Scene| {
        let text = |answer: &Answer| answer.json().map(|json| json["choices"][0]["text"].clone()).ok();
        scene.answers.windows(2).all(|two| text(&two[0]) == text(&two[1]))
    };
    [
        weighed("frequency_penalty", &json!(2)).works(strays),
        weighed("presence_penalty", &json!(2)).works(strays),
        weighed("repeat_penalty", &json!(5)).works(strays),
        weighed("repetition_penalty", &json!(5)).works(strays),
        demo("max_tokens", &json!(3)).works(three),
        story("seed", &json!(7)).beside(&json!({"temperature": 2})).twice().works(the_same),
        wild("temperature", &json!(0)).works(all_likeliest),
        wild("top_p", &json!(0.01)).works(all_likeliest),
        wild("top_k", &json!(1)).works(all_likeliest),
        wild("min_p", &json!(1)).works(all_likeliest),
    ]
}

fn answers() -> [Probe; 5] {
    [
        demo("echo", &json!(true)).works(|scene| scene.text().starts_with(COUNT)),
        demo("logprobs", &json!(2)).works(|scene| {
            let best = told(scene, "top_logprobs");
            best.len() == 12 && best.iter().all(|best| best.as_object().is_some_and(|best| best.len() >= 2))
        }),
        // Each answer has its own seed.
        demo("n", &json!(2)).emulated(|scene| scene.count("/choices") == 2),
        demo("stop", &json!([" "]))
            .works(|scene| !scene.text().contains(' ') && scene.at("/choices/0/finish_reason") == "stop"),
        // The file names the tokens of filling in; three of them and the suffix's are read beside the prompt's.
        demo("suffix", &json!(" and 10."))
            .beside(&json!({"model": "fill"}))
            .works_against(|with, without| prompt(with) > prompt(without) + 3),
    ]
}

fn prompt(scene: &Scene) -> u64 {
    scene.number("/usage/prompt_tokens")
}
