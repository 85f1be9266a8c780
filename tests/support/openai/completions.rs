//! `POST /v1/completions`, as each engine was recorded.
//!
//! Knows how they differ: which take lists, which give prompts back, in which form probabilities come, which prompts are counted.
//! Refuses to know what the model says. Invariant: the choices of a stream and of a whole answer carry the same text.

use serde_json::{Value, json};

use super::{Counting, OpenAi, Style};
use crate::{
    ollama::{Ask, Thought, think},
    script::Reply,
    wire::Incoming,
};

const NO_PROMPT: &str = "{\"error\":{\"code\":400,\"message\":\"[json.exception.out_of_range.403] key 'prompt' not found\",\
    \"type\":\"invalid_request_error\"}}";
const NO_SUFFIX: &str = "{\"error\":{\"message\":\"suffix is only supported for models with FIM completion rendering\",\
    \"type\":\"BadRequestError\",\"param\":\"suffix\",\"code\":400}}";
const NEITHER: &str = "{\"error\":{\"message\":\"Either prompt or prompt_embeds must be provided and non-empty. \
    (parameter=prompt)\",\"type\":\"BadRequestError\",\"param\":\"prompt\",\"code\":400}}";

pub(super) fn answer(engine: &OpenAi, request: &Incoming) -> Reply {
    let body = request.json();
    if let Some(refused) = refuses(engine, &body) {
        return refused;
    }
    let prompts = prompts(&body["prompt"]);
    // transformers gives one, whatever it is asked for.
    let count = if engine.style == Style::Transformers { 1 } else { body["n"].as_u64().unwrap_or(1) };
    let said: Vec<(String, Thought)> = prompts
        .into_iter()
        .flat_map(|prompt| (0..count).map(move |_| prompt.clone()))
        .map(|prompt| {
            let thought = think(&Ask::from_completion(&body, &prompt));
            (prompt, thought)
        })
        .collect();
    let mut reply = if body["stream"] == true {
        let chunks = chunks(engine, &body, &said);
        engine.stream(chunks.iter().map(Value::to_string).collect())
    } else {
        let choices: Vec<Value> = said
            .iter()
            .enumerate()
            .map(|(index, (prompt, thought))| {
                let echo = if echoes(engine, &body) { prompt.as_str() } else { "" };
                let text = format!("{echo}{}", thought.content.concat());
                choice(engine, &body, index, &text, &thought.content, Some(thought.reason))
            })
            .collect();
        let mut whole = object(engine, &Value::from(choices));
        whole["usage"] = usage(engine, &said);
        if engine.style == Style::Llama {
            whole["timings"] = json!({"prompt_ms": 0.538});
        }
        engine.whole("200 OK", &whole.to_string())
    };
    reply.generated = true;
    reply
}

fn refuses(engine: &OpenAi, body: &Value) -> Option<Reply> {
    let name = body["model"].as_str().unwrap_or_default();
    let bad = |text: &str| Some(engine.whole("400 Bad Request", text));
    if let Some(refused) = engine.refuses_counts(body) {
        return Some(refused);
    }
    match engine.style {
        Style::Llama if body["prompt"].is_null() => bad(NO_PROMPT),
        Style::Vllm if name != engine.model => {
            let text = format!("The model `{name}` does not exist. Valid aliases: {}.", engine.model);
            Some(engine.refuse("404 Not Found", 404, &text, "NotFoundError"))
        }
        Style::Vllm if body["prompt"].is_null() => bad(NEITHER),
        Style::Vllm if body["suffix"].is_string() => bad(NO_SUFFIX),
        Style::Transformers if name != engine.model => {
            let text = format!("Server is pinned to '{}'; requested '{name}'.", engine.model);
            bad(&json!({ "detail": text }).to_string())
        }
        Style::Transformers if !body["prompt"].is_string() => {
            bad("{\"detail\":\"prompt must be a string.\"}")
        }
        Style::Llama | Style::Vllm | Style::Transformers => None,
    }
}

/// Each prompt, a list of token ids as a text that tells them.
fn prompts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(all) if all.first().is_some_and(Value::is_number) => vec![value.to_string()],
        Value::Array(all) => all.iter().flat_map(prompts).collect(),
        Value::String(text) => vec![text.clone()],
        _ => Vec::new(),
    }
}

/// vLLM alone gives the prompt back.
fn echoes(engine: &OpenAi, body: &Value) -> bool {
    engine.style == Style::Vllm && body["echo"] == true
}

fn chunks(engine: &OpenAi, body: &Value, said: &[(String, Thought)]) -> Vec<Value> {
    let mut chunks = Vec::new();
    for (index, (prompt, thought)) in said.iter().enumerate() {
        let piece = |text: &str, reason| {
            object(engine, &json!([choice(engine, body, index, text, &[text.to_owned()], reason)]))
        };
        if echoes(engine, body) {
            chunks.push(piece(prompt, None));
        }
        let last = thought.content.len().saturating_sub(1);
        for (place, token) in thought.content.iter().enumerate() {
            // vLLM says with the last token why it was.
            let reason = (engine.style == Style::Vllm && place == last).then_some(thought.reason);
            chunks.push(piece(token, reason));
        }
        if engine.style != Style::Vllm || thought.content.is_empty() {
            let mut end = piece("", Some(thought.reason));
            // Both tell the counts there, llama.cpp's server whether it was asked to or not.
            end["usage"] = usage(engine, std::slice::from_ref(&(prompt.clone(), thought.clone())));
            chunks.push(end);
        }
    }
    if engine.style == Style::Vllm && body["stream_options"]["include_usage"] == true {
        for chunk in chunks.iter_mut().filter(|_| engine.counts == Counting::Nulls) {
            chunk["usage"] = Value::Null;
        }
        let mut counts = object(engine, &json!([]));
        counts["usage"] = usage(engine, said);
        chunks.push(counts);
    }
    chunks
}

fn object(engine: &OpenAi, choices: &Value) -> Value {
    let id = match engine.style {
        Style::Llama => "chatcmpl-6pceH6jrbqgV2PkT4jA2PVuQ6UByFLcr",
        Style::Vllm => "cmpl-b8650a26fec2eaed",
        Style::Transformers => "04dc0560-e663-41af-8384-4b741d6554b4",
    };
    json!({"id": id, "object": "text_completion", "created": 1_795_431_524, "model": engine.model, "choices": choices})
}

fn choice(
    engine: &OpenAi,
    body: &Value,
    index: usize,
    text: &str,
    tokens: &[String],
    reason: Option<&str>,
) -> Value {
    let mut choice = json!({"index": index, "text": text});
    if engine.style != Style::Transformers {
        choice["logprobs"] = Value::Null;
        choice["finish_reason"] = json!(reason);
    } else if let Some(reason) = reason {
        choice["finish_reason"] = json!(reason);
    }
    match engine.style {
        Style::Llama if body["logprobs"].is_u64() => {
            let of = |token: &String| json!({"id": 1, "token": token, "bytes": token.as_bytes(), "logprob": -0.25, "top_logprobs": []});
            choice["logprobs"] = json!({"content": tokens.iter().map(of).collect::<Vec<_>>()});
        }
        Style::Vllm if body["logprobs"].is_u64() => {
            let top = |token: &String| json!({ token: -0.25 });
            choice["logprobs"] = json!({
                "text_offset": vec![0; tokens.len()], "token_logprobs": vec![-0.25; tokens.len()], "tokens": tokens,
                "top_logprobs": tokens.iter().map(top).collect::<Vec<_>>(),
            });
        }
        Style::Llama | Style::Vllm | Style::Transformers => {}
    }
    choice
}

/// llama.cpp's server tells those of the last prompt alone.
fn usage(engine: &OpenAi, said: &[(String, Thought)]) -> Value {
    let told =
        if engine.style == Style::Llama { said.get(said.len().saturating_sub(1)..) } else { Some(said) };
    let (mut prompt, mut completion, mut before) = (0, 0, None);
    for (text, thought) in told.unwrap_or_default() {
        if before != Some(text) {
            prompt += thought.prompt_count;
        }
        completion += thought.eval_count;
        before = Some(text);
    }
    json!({"completion_tokens": completion, "prompt_tokens": prompt, "total_tokens": prompt + completion})
}
