//! The OpenAI doubles: three engines that speak OpenAI's wire, each in its own manner, as recorded.
//!
//! Knows how llama.cpp's server, vLLM and transformers differ: key order, header case, the first chunk, numeric error
//! codes, `[DONE]` or none. Refuses to know sockets. Invariant: all three say the same text to the same prompt.

mod completions;
mod embeddings;

use serde_json::{Value, json};

use crate::{
    double::Voice,
    ollama::{Ask, Call, Thought, think},
    script::{Body, Header, Reply},
    wire::Incoming,
};

/// The engine that a double imitates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// llama.cpp's server b11669: answers to any model name, numeric error codes.
    Llama,
    /// vLLM 0.32: unknown models are 404 with a numeric code.
    Vllm,
    /// transformers serve 5.23: no `[DONE]`, usage in the finish chunk, errors as `{"detail": ...}`, calls of functions in the text.
    Transformers,
}

/// An answer or a chunk of vLLM's with the logarithms of its text's probabilities, where they are asked for: the text counts as one token.
fn with_odds(said: &str, body: &Value) -> String {
    let read: Value = serde_json::from_str(said).unwrap_or_default();
    let choice = &read["choices"][0];
    let text =
        choice["delta"]["content"].as_str().or(choice["message"]["content"].as_str()).unwrap_or_default();
    if body["logprobs"] != true || text.is_empty() {
        return said.to_owned();
    }
    let token = json!({"token": text, "logprob": -0.25, "bytes": text.as_bytes(), "top_logprobs": []});
    said.replacen("\"logprobs\":null", &format!("\"logprobs\":{}", json!({ "content": [token] })), 1)
}

/// An engine of that manner with one model.
#[derive(Debug, Clone)]
pub struct OpenAi {
    style: Style,
    model: String,
    /// It was started for embeddings.
    embeds: bool,
    /// What it is told of counts, and tells.
    counts: Counting,
}

/// What an engine does about counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counting {
    /// As the most do.
    Plain,
    /// It also tells how many tokens of the prompt it had, all but the last, and that three of the answer were thought.
    Details,
    /// Asked for the counts of a stream, it has null for them in each chunk but the last, as OpenAI does.
    Nulls,
    /// It knows no `stream_options`, and refuses what it does not know.
    Refused,
}

impl OpenAi {
    /// An engine that serves `model`.
    #[must_use]
    pub fn new(style: Style, model: &str) -> Self {
        Self { style, model: model.into(), embeds: false, counts: Counting::Plain }
    }

    /// An engine that serves `model`, and tells which tokens it had from before, and which were thought.
    #[must_use]
    pub fn detailed(style: Style, model: &str) -> Self {
        Self { counts: Counting::Details, ..Self::new(style, model) }
    }

    /// An engine that serves `model`, and has null in the place of the counts that a stream is asked for until they come.
    #[must_use]
    pub fn counting_late(style: Style, model: &str) -> Self {
        Self { counts: Counting::Nulls, ..Self::new(style, model) }
    }

    /// An engine that serves `model`, and refuses to be asked for the counts of a stream.
    #[must_use]
    pub fn uncounted(style: Style, model: &str) -> Self {
        Self { counts: Counting::Refused, ..Self::new(style, model) }
    }

    /// An engine that serves `model`, and makes embeddings of what it is given.
    #[must_use]
    pub fn embedding(style: Style, model: &str) -> Self {
        Self { embeds: true, ..Self::new(style, model) }
    }
}

impl Voice for OpenAi {
    fn answer(&self, request: &Incoming) -> Reply {
        let mut reply = match (request.method.as_str(), request.path()) {
            ("GET" | "HEAD", "/v1/models") => self.whole("200 OK", &self.models()),
            ("GET" | "HEAD", "/health") => self.whole("200 OK", "{\"status\":\"ok\"}"),
            ("POST", "/v1/chat/completions") => self.chat(request),
            ("POST", "/v1/completions") => completions::answer(self, request),
            ("POST", "/v1/embeddings") => embeddings::answer(self, request),
            _ => self.whole("404 Not Found", self.no_route()),
        };
        reply.headless = request.method == "HEAD";
        reply
    }
}

impl OpenAi {
    fn chat(&self, request: &Incoming) -> Reply {
        let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
            return self.refuse("400 Bad Request", 400, "JSON decode error", "invalid_request_error");
        };
        let name = body["model"].as_str().unwrap_or_default();
        if name != self.model && self.style != Style::Llama {
            let text = format!("The model `{name}` does not exist. Valid aliases: {}.", self.model);
            return self.refuse("404 Not Found", 404, &text, "NotFoundError");
        }
        if let Some(refused) = self.refuses_counts(&body) {
            return refused;
        }
        let mut thought = think(&Ask::from_openai(&body));
        // Told to call nothing, a model that calls all the same is not read by the others either.
        if self.style == Style::Transformers || body["tool_choice"] == "none" {
            thought = unread(thought);
        }
        // transformers gives one, whatever it is asked for.
        let count = if self.style == Style::Transformers { 1 } else { body["n"].as_u64().unwrap_or(1) };
        let mut reply = if body["stream"] == true {
            let chunks = self.chunks(&thought, body["stream_options"]["include_usage"] == true);
            let chunks = chunks.iter().map(|chunk| with_odds(chunk, &body)).collect::<Vec<_>>();
            self.stream(chunks.iter().flat_map(|chunk| of_each_choice(chunk, count)).collect())
        } else {
            self.whole("200 OK", &with_choices(&with_odds(&self.completion(&thought), &body), count))
        };
        reply.generated = true;
        reply
    }

    fn models(&self) -> String {
        let model = Value::from(self.model.as_str());
        match self.style {
            Style::Llama => format!(
                "{{\"models\":[{{\"name\":{model},\"model\":{model},\"type\":\"model\",\"capabilities\":[\"completion\"]}}],\
                 \"object\":\"list\",\"data\":[{{\"id\":{model},\"aliases\":[{model}],\"tags\":[],\"object\":\"model\",\
                 \"created\":1795431450,\"owned_by\":\"llamacpp\",\"meta\":{{\"n_ctx\":2048}}}}]}}"
            ),
            Style::Vllm => format!(
                "{{\"object\":\"list\",\"data\":[{{\"id\":{model},\"object\":\"model\",\"created\":1795431484,\
                 \"owned_by\":\"vllm\",\"root\":{model},\"parent\":null,\"max_model_len\":2048,\"permission\":[]}}]}}"
            ),
            Style::Transformers => format!(
                "{{\"object\":\"list\",\"data\":[{{\"id\":{model},\"object\":\"model\",\"created\":1795431484,\
                 \"owned_by\":\"transformers\"}}]}}"
            ),
        }
    }

    fn no_route(&self) -> &'static str {
        match self.style {
            Style::Llama => {
                "{\"error\":{\"message\":\"File Not Found\",\"type\":\"not_found_error\",\"code\":404}}"
            }
            Style::Vllm | Style::Transformers => "{\"detail\":\"Not Found\"}",
        }
    }

    fn refuse(&self, status: &'static str, code: u16, text: &str, kind: &str) -> Reply {
        let text = Value::from(text);
        match self.style {
            Style::Llama => self.whole(
                status,
                &format!("{{\"error\":{{\"code\":{code},\"message\":{text},\"type\":\"{kind}\"}}}}"),
            ),
            Style::Vllm => self.whole(
                status,
                &format!(
                    "{{\"error\":{{\"message\":{text},\"type\":\"{kind}\",\"param\":\"model\",\"code\":{code}}}}}"
                ),
            ),
            Style::Transformers => self.whole("400 Bad Request", &format!("{{\"detail\":{text}}}")),
        }
    }

    fn refuses_counts(&self, body: &Value) -> Option<Reply> {
        let asked = self.counts == Counting::Refused && body.get("stream_options").is_some();
        let unknown = json!({"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"],
            "msg": "Extra inputs are not permitted"}]});
        asked.then(|| self.whole("422 Unprocessable Entity", &unknown.to_string()))
    }

    fn usage(&self, thought: &Thought) -> String {
        let (prompt, completion) = (thought.prompt_count, thought.eval_count);
        let (total, details) = (prompt + completion, self.counts == Counting::Details);
        let cached = if details { prompt - 1 } else { 0 };
        let thoughts = if details { ",\"completion_tokens_details\":{\"reasoning_tokens\":3}" } else { "" };
        format!(
            "{{\"completion_tokens\":{completion},\"prompt_tokens\":{prompt},\"total_tokens\":{total},\
             \"prompt_tokens_details\":{{\"cached_tokens\":{cached}}}{thoughts}}}"
        )
    }

    fn completion(&self, thought: &Thought) -> String {
        let model = Value::from(self.model.as_str());
        let content = Value::from(thought.content.concat());
        let (reason, calls) = match &thought.call {
            Some(call) => ("tool_calls", format!(",\"tool_calls\":[{}]", whole_call(call))),
            None => (thought.reason, String::new()),
        };
        let usage = self.usage(thought);
        match self.style {
            Style::Llama => format!(
                "{{\"choices\":[{{\"finish_reason\":\"{reason}\",\"index\":0,\"message\":{{\"role\":\"assistant\",\
                 \"content\":{content}{calls}}}}}],\"created\":1795431450,\"model\":{model},\
                 \"system_fingerprint\":\"b11669-Debian\",\"object\":\"chat.completion\",\"usage\":{usage},\
                 \"id\":\"chatcmpl-JMnypnob0OL1x9UynWFh6X1fzPRL8HnR\",\"timings\":{{\"prompt_ms\":2.169}}}}"
            ),
            Style::Vllm => format!(
                "{{\"id\":\"chatcmpl-9f4f4dbca126abee\",\"object\":\"chat.completion\",\"created\":1795431484,\
                 \"model\":{model},\"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":{content},\
                 \"refusal\":null,\"reasoning\":null{calls}}},\"logprobs\":null,\"finish_reason\":\"{reason}\",\
                 \"stop_reason\":null}}],\"service_tier\":null,\"system_fingerprint\":\"vllm-0.32.0-74c9ab2e\",\
                 \"usage\":{usage},\"kv_transfer_params\":null}}"
            ),
            Style::Transformers => format!(
                "{{\"id\":\"1c72dea1-c81c-438d-aedd-cd86a7781bd6\",\"choices\":[{{\"finish_reason\":\"{reason}\",\
                 \"index\":0,\"message\":{{\"content\":{content},\"role\":\"assistant\"{calls}}}}}],\"created\":1795431485,\
                 \"model\":{model},\"object\":\"chat.completion\",\"usage\":{usage}}}"
            ),
        }
    }

    /// Every event's data, in order, without `[DONE]`.
    fn chunks(&self, thought: &Thought, include_usage: bool) -> Vec<String> {
        let role = match self.style {
            Style::Llama => json!({"role": "assistant", "content": null}),
            Style::Vllm => json!({"role": "assistant", "content": ""}),
            Style::Transformers => json!({"role": "assistant"}),
        };
        let mut chunks = vec![self.chunk(&role, None, None)];
        chunks.extend(thought.content.iter().map(|token| self.chunk(&json!({"content": token}), None, None)));
        if let Some(call) = &thought.call {
            chunks.extend(call_deltas(call).iter().map(|delta| self.chunk(delta, None, None)));
        }
        let reason = if thought.call.is_some() { "tool_calls" } else { thought.reason };
        let usage = self.usage(thought);
        let in_finish = (self.style == Style::Transformers).then_some(usage.as_str());
        chunks.push(self.chunk(&json!({}), Some(reason), in_finish));
        if include_usage && self.style != Style::Transformers {
            if self.counts == Counting::Nulls {
                for chunk in &mut chunks {
                    chunk.truncate(chunk.len() - 1);
                    chunk.push_str(",\"usage\":null}");
                }
            }
            chunks.push(self.last_usage(&usage));
        }
        if let Some(last) = chunks.last_mut().filter(|_| self.style == Style::Llama) {
            last.truncate(last.len() - 1);
            last.push_str(TIMINGS);
        }
        chunks
    }

    fn chunk(&self, delta: &Value, reason: Option<&str>, usage: Option<&str>) -> String {
        let model = Value::from(self.model.as_str());
        let reason = reason.map_or_else(|| "null".to_owned(), |reason| format!("\"{reason}\""));
        let usage = usage.map(|usage| format!(",\"usage\":{usage}")).unwrap_or_default();
        match self.style {
            Style::Llama => format!(
                "{{\"choices\":[{{\"finish_reason\":{reason},\"index\":0,\"delta\":{delta}}}],\"created\":1795431450,\
                 \"id\":\"chatcmpl-alErqgNfz2Z6jiw3BHbsimuirSqZ9b0k\",\"model\":{model},\
                 \"system_fingerprint\":\"b11669-Debian\",\"object\":\"chat.completion.chunk\"}}"
            ),
            Style::Vllm => format!(
                "{{\"id\":\"chatcmpl-b7e9ca22bac8a859\",\"object\":\"chat.completion.chunk\",\"created\":1795431486,\
                 \"model\":{model},\"choices\":[{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\
                 \"finish_reason\":{reason},\"token_ids\":null}}]}}"
            ),
            Style::Transformers => {
                let reason =
                    if reason == "null" { String::new() } else { format!(",\"finish_reason\":{reason}") };
                format!(
                    "{{\"id\":\"03ff60b3-3118-4d27-9c30-0cf1f9131290\",\"choices\":[{{\"delta\":{delta},\"index\":0{reason}}}],\
                     \"created\":1795431485,\"model\":{model},\"object\":\"chat.completion.chunk\",\
                     \"system_fingerprint\":\"\"{usage}}}"
                )
            }
        }
    }

    fn last_usage(&self, usage: &str) -> String {
        let model = Value::from(self.model.as_str());
        format!(
            "{{\"choices\":[],\"created\":1795431450,\"id\":\"chatcmpl-alErqgNfz2Z6jiw3BHbsimuirSqZ9b0k\",\"model\":{model},\
             \"object\":\"chat.completion.chunk\",\"usage\":{usage}}}"
        )
    }

    fn stream(&self, chunks: Vec<String>) -> Reply {
        let mut events: Vec<Vec<u8>> =
            chunks.into_iter().map(|chunk| format!("data: {chunk}\n\n").into_bytes()).collect();
        if self.style != Style::Transformers {
            events.push(b"data: [DONE]\n\n".to_vec());
        }
        let kind =
            if self.style == Style::Llama { "text/event-stream" } else { "text/event-stream; charset=utf-8" };
        Reply { body: Body::Stream(events), ..self.reply("200 OK", kind) }
    }

    fn whole(&self, status: &'static str, body: &str) -> Reply {
        let kind =
            if self.style == Style::Llama { "application/json; charset=utf-8" } else { "application/json" };
        Reply { body: Body::Whole(body.as_bytes().to_vec()), ..self.reply(status, kind) }
    }

    fn reply(&self, status: &'static str, kind: &str) -> Reply {
        let pair = |name, value: &str| Header::Pair(name, value.into());
        let headers = match self.style {
            Style::Llama => vec![
                pair("Server", "llama.cpp"),
                pair("Access-Control-Allow-Origin", ""),
                pair("Content-Type", kind),
                Header::Length,
                Header::Chunked,
                Header::Close,
            ],
            Style::Vllm | Style::Transformers => vec![
                pair("Server", "uvicorn"),
                Header::Length,
                pair("Content-Type", kind),
                Header::Close,
                Header::Chunked,
            ],
        };
        let lowercase = self.style != Style::Llama;
        Reply { status, headers, lowercase, body: Body::None, headless: false, generated: false }
    }
}

/// What llama.cpp's server ends the last chunk of a stream with, be it that of the counts or the one before.
const TIMINGS: &str = ",\"timings\":{\"prompt_ms\":2.169}}";

/// The same chunk for each of so many choices.
fn of_each_choice(chunk: &str, count: u64) -> Vec<String> {
    let mut parsed: Value = serde_json::from_str(chunk).unwrap();
    if count == 1 || parsed["choices"] == json!([]) {
        return vec![chunk.to_owned()];
    }
    let numbered = |index: u64| {
        parsed["choices"][0]["index"] = json!(index);
        parsed.to_string()
    };
    (0..count).map(numbered).collect()
}

/// The same answer with so many choices; the counts are those of one.
fn with_choices(answer: &str, count: u64) -> String {
    if count == 1 {
        return answer.to_owned();
    }
    let mut parsed: Value = serde_json::from_str(answer).unwrap();
    let numbered = |index: u64| {
        let mut choice = parsed["choices"][0].clone();
        choice["index"] = json!(index);
        choice
    };
    parsed["choices"] = (0..count).map(numbered).collect();
    parsed.to_string()
}

/// The same with its call in its text, as the model of the recordings has written it.
fn unread(thought: Thought) -> Thought {
    let Some(call) = thought.call else { return thought };
    let text = format!("{{\"name\": \"{}\", \"arguments\": {}}}", call.name, spaced(&call.arguments));
    let letters: Vec<char> = text.chars().collect();
    let mut content = vec!["<tool_call>".to_owned(), "\n".to_owned()];
    content.extend(letters.chunks(3).map(|token| token.iter().collect::<String>()));
    content.extend(["\n".to_owned(), "</tool_call>".to_owned()]);
    Thought { content, call: None, ..thought }
}

/// JSON as Python writes it.
fn spaced(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{}: {}", json!(name), spaced(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(spaced).collect::<Vec<_>>().join(", ")),
        one => one.to_string(),
    }
}

fn whole_call(call: &Call) -> String {
    let arguments = Value::from(call.arguments.to_string());
    format!(
        "{{\"type\":\"function\",\"function\":{{\"name\":\"{}\",\"arguments\":{arguments}}},\"id\":\"{}\"}}",
        call.name, call.id
    )
}

/// The name first, then the arguments in pieces of three bytes, as llama.cpp and vLLM give them.
fn call_deltas(call: &Call) -> Vec<Value> {
    let head = json!({"index": 0, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}});
    let text: Vec<char> = call.arguments.to_string().chars().collect();
    let pieces = text.chunks(3).map(|piece| piece.iter().collect::<String>());
    std::iter::once(json!({"tool_calls": [head]}))
        .chain(pieces.map(|piece| json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})))
        .collect()
}
