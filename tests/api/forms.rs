//! What is asked and answered is of the forms that `/openapi.json` promises: each endpoint, whole and streamed, its failures as well,
//! before every kind of engine.
//!
//! Knows which form each endpoint has. Refuses to know what the answers say. Invariant: what GhostLLM writes has no field that the document
//! has not; engines of OpenAI's language may add their own, as the document says.

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    client::{Caller, Family, Request, Version},
    daemon::{Daemon, Setup},
    double::Double,
    engine,
    ollama::{Model, Ollama},
    openai::{OpenAi, Style},
    schema::{self, Others},
    script::Sin,
    sse::{Event, events},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{FRANCE, responses::weather};

/// The kind of engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ollama,
    OpenAi(Style),
    Engine,
}

/// A daemon before an engine, and its document.
struct Stage {
    kind: Kind,
    daemon: Daemon,
    caller: Caller,
    document: Value,
    _doubles: Vec<Double>,
    _files: TempDir,
}

/// An endpoint: its path, and the forms of its request, its answer and its events.
struct Endpoint {
    path: &'static str,
    asked: &'static str,
    whole: &'static str,
    piece: &'static str,
}

const CHAT: Endpoint = Endpoint {
    path: "/v1/chat/completions",
    asked: "ChatCompletionRequest",
    whole: "ChatCompletion",
    piece: "ChatCompletionChunk",
};
const COMPLETIONS: Endpoint = Endpoint {
    path: "/v1/completions",
    asked: "CompletionRequest",
    whole: "Completion",
    piece: "Completion",
};
const RESPONSES: Endpoint =
    Endpoint { path: "/v1/responses", asked: "ResponseRequest", whole: "Response", piece: "ResponseEvent" };
const EMBEDDINGS: Endpoint =
    Endpoint { path: "/v1/embeddings", asked: "EmbeddingRequest", whole: "Embeddings", piece: "" };

impl Stage {
    async fn start(kind: Kind) -> Result<Self> {
        let (mut doubles, files) = (Vec::new(), TempDir::new()?);
        let setup = match kind {
            Kind::Ollama => {
                let names = [("tiny", false), ("think", true), ("tiny-embed", false)];
                let models = names.map(|(name, thinks)| Model::new(name, thinks)).into();
                doubles.push(Double::start(Ollama::with(models)).await);
                doubles.push(Double::start(Ollama::with(vec![Model::new("failing", false)])).await);
                Setup::default().with_backend("box", "ollama", &doubles[0].url(), "").with_backend(
                    "other",
                    "ollama",
                    &doubles[1].url(),
                    "",
                )
            }
            Kind::OpenAi(style) => {
                let model = match style {
                    Style::Transformers => OpenAi::new(style, "tiny"),
                    Style::Llama | Style::Vllm => OpenAi::embedding(style, "tiny"),
                };
                doubles.push(Double::start(model).await);
                doubles.push(Double::start(OpenAi::new(style, "failing")).await);
                Setup::default().with_backend("box", "openai", &doubles[0].url(), "").with_backend(
                    "other",
                    "openai",
                    &doubles[1].url(),
                    "",
                )
            }
            Kind::Engine => {
                let file = files.path().join("tiny.gguf");
                std::fs::copy(engine::demo(), &file)?;
                Setup::default().with_file("tiny", &file)
            }
        };
        if let Some(failing) = doubles.get(1) {
            failing.misbehave("failing", Sin::FinAfter(2));
        }
        let daemon = Daemon::start(&setup).await?;
        let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
        let document = caller.send(&Request::get("/openapi.json")).await?.json()?;
        Ok(Self { kind, daemon, caller, document, _doubles: doubles, _files: files })
    }

    /// Sends it whole and as a stream, and gives back how many events there were.
    async fn ask(&self, endpoint: &Endpoint, body: &Value) -> Result<usize> {
        self.whole(endpoint, body).await?;
        let mut body = body.clone();
        body["stream"] = true.into();
        if endpoint.path != RESPONSES.path {
            body["stream_options"] = json!({"include_usage": true});
        }
        let pieces = self.pieces(endpoint, &body).await?;
        ensure!(pieces.iter().all(|piece| !piece["error"].is_object()), "{pieces:#?}");
        Ok(pieces.len())
    }

    async fn whole(&self, endpoint: &Endpoint, body: &Value) -> Result<Value> {
        self.is_asked(endpoint, body)?;
        let answer = self.caller.send(&Request::post(endpoint.path, body)).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        let answer = answer.json()?;
        schema::is_of(&self.document, endpoint.whole, &answer, self.others(endpoint))
            .with_context(|| format!("{body}\n{answer:#}"))?;
        Ok(answer)
    }

    /// Every event, of which an error is one.
    async fn pieces(&self, endpoint: &Endpoint, body: &Value) -> Result<Vec<Value>> {
        self.is_asked(endpoint, body)?;
        let answer = self.caller.send(&Request::post(endpoint.path, body)).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        // An event of Responses has its name before its data.
        let text = answer.text();
        let data: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        if endpoint.path != RESPONSES.path {
            let told = events(&answer.body)?.into_iter().filter(|event| matches!(event, Event::Data(_)));
            ensure!(told.count() == data.len(), "{text}");
        }
        let mut pieces = Vec::new();
        for data in data.into_iter().filter(|data| *data != "[DONE]") {
            let piece: Value = serde_json::from_str(data)?;
            let fails = endpoint.path != RESPONSES.path && piece["error"].is_object();
            let (form, others) =
                if fails { ("Error", Others::Wrong) } else { (endpoint.piece, self.others(endpoint)) };
            schema::is_of(&self.document, form, &piece, others)
                .with_context(|| format!("{body}\n{piece:#}"))?;
            pieces.push(piece);
        }
        Ok(pieces)
    }

    fn is_asked(&self, endpoint: &Endpoint, body: &Value) -> Result<()> {
        schema::is_of(&self.document, endpoint.asked, body, Others::Wrong).with_context(|| body.to_string())
    }

    /// Chats and completions are passed on as an engine of OpenAI's language writes them; all else is written here.
    fn others(&self, endpoint: &Endpoint) -> Others {
        let passed = [CHAT.path, COMPLETIONS.path, EMBEDDINGS.path].contains(&endpoint.path);
        if passed && matches!(self.kind, Kind::OpenAi(_)) { Others::Passed } else { Others::Wrong }
    }

    /// That it is refused, in the form of an error.
    async fn refuses(&self, endpoint: &Endpoint, body: &Value, status: u16) -> Result<()> {
        let answer = self.caller.send(&Request::post(endpoint.path, body)).await?;
        ensure!(answer.status == status, "{body}\n{} {}", answer.status, answer.text());
        schema::is_of(&self.document, "Error", &answer.json()?, Others::Wrong).with_context(|| answer.text())
    }
}

/// Chats of which each has other fields of the form.
fn chats() -> Vec<Value> {
    let tool = weather()[0].take();
    let function =
        json!({"name": tool["name"], "description": tool["description"], "parameters": tool["parameters"]});
    let tools = json!([{"type": "function", "function": function}]);
    let asked = json!({"role": "user", "content": FRANCE});
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\":\"Paris\"}"}});
    vec![
        json!({"model": "tiny", "messages": [asked], "temperature": 0, "max_completion_tokens": 32, "logprobs": true,
            "top_logprobs": 2, "seed": 1, "stop": ["zzz"], "n": 1, "user": "me", "metadata": {"a": "b"}, "store": false}),
        json!({"model": "tiny", "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "name": "Grace", "content": [{"type": "text", "text": FRANCE}]},
            {"role": "assistant", "content": null, "refusal": "I will not say."}, asked,
        ], "temperature": 0, "max_tokens": 32, "reasoning_effort": null}),
        json!({"model": "tiny", "messages": [{"role": "user", "content": "What is the weather in Paris?"}], "tools": tools,
            "tool_choice": {"type": "function", "function": {"name": "get_weather"}}, "parallel_tool_calls": false, "temperature": 0,
            "max_tokens": 128}),
        json!({"model": "tiny", "messages": [
            {"role": "user", "content": "What is the weather in Paris?"},
            {"role": "assistant", "content": null, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
        ], "tools": tools, "temperature": 0, "max_tokens": 32}),
        json!({"model": "tiny", "messages": [{"role": "user", "content": "Echo: {\"capital\":\"Paris\"}"}], "temperature": 0,
        "max_tokens": 64, "response_format": {"type": "json_schema", "json_schema": {
            "name": "fact", "description": "A fact", "strict": true, "schema": {
                "type": "object", "properties": {"capital": {"type": "string", "enum": ["Paris", "Oslo"]}},
                "required": ["capital"], "additionalProperties": false,
            }}}}),
    ]
}

/// The same of Responses.
fn responses() -> Vec<Value> {
    vec![
        json!({"model": "tiny", "input": FRANCE, "temperature": 0, "max_output_tokens": 32, "instructions": "Be brief.",
            "include": ["message.output_text.logprobs"], "top_logprobs": 1, "metadata": {"a": "b"}, "store": false,
            "reasoning": {"summary": "auto"}, "text": {"format": {"type": "text"}}, "truncation": "disabled", "user": "me"}),
        json!({"model": "tiny", "input": "What is the weather in Paris?", "tools": weather(), "temperature": 0,
            "tool_choice": {"type": "function", "name": "get_weather"}, "max_output_tokens": 128}),
        json!({"model": "tiny", "temperature": 0, "max_output_tokens": 32, "tools": weather(), "tool_choice": "auto", "input": [
            {"role": "developer", "content": "Be brief."},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "What is the weather in Paris?"}]},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Look."}]},
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": "I look.", "annotations": [], "logprobs": []}]},
            {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "get_weather", "arguments": "{\"city\":\"Paris\"}",
                "status": "completed"},
            {"type": "function_call_output", "call_id": "call_1", "output": "sunny"},
        ]}),
        json!({"model": "tiny", "input": "Echo: {\"capital\":\"Paris\"}", "temperature": 0, "max_output_tokens": 64,
        "text": {"format": {"type": "json_schema", "name": "fact", "strict": true, "schema": {
            "type": "object", "properties": {"capital": {"type": "string", "enum": ["Paris", "Oslo"]}},
            "required": ["capital"], "additionalProperties": false,
        }}}}),
    ]
}

async fn check(kind: Kind) -> Result<()> {
    let stage = Stage::start(kind).await?;
    for body in chats() {
        ensure!(stage.ask(&CHAT, &body).await? > 1, "{body}");
    }
    for body in responses() {
        ensure!(stage.ask(&RESPONSES, &body).await? > 5, "{body}");
    }
    let mut body =
        json!({"model": "tiny", "prompt": "This program is free", "temperature": 0, "max_tokens": 8});
    if matches!(kind, Kind::Ollama | Kind::Engine) {
        // The others tell them in forms of their own, or not at all.
        body["logprobs"] = 1.into();
    }
    ensure!(stage.ask(&COMPLETIONS, &body).await? > 1, "{body}");
    if kind == Kind::Ollama {
        let body = json!({"model": "think", "messages": [{"role": "user", "content": FRANCE}], "reasoning_effort": "high"});
        ensure!(stage.ask(&CHAT, &body).await? > 2, "{body}");
        let answer = stage.whole(&CHAT, &body).await?;
        ensure!(answer["choices"][0]["message"]["reasoning"].is_string(), "it did not think: {answer}");
        let body = json!({"model": "think", "input": FRANCE, "reasoning": {"effort": "high"}});
        ensure!(stage.ask(&RESPONSES, &body).await? > 5, "{body}");
    }
    vectors(&stage).await?;
    lists(&stage).await?;
    failures(&stage).await?;
    stage.daemon.stop().await
}

async fn vectors(stage: &Stage) -> Result<()> {
    let model = if stage.kind == Kind::Ollama { "tiny-embed" } else { "tiny" };
    for encoding in ["float", "base64"] {
        let body =
            json!({"model": model, "input": ["hello", "world"], "encoding_format": encoding, "user": "me"});
        match stage.kind {
            // The demo is a model that talks, and transformers has no such path.
            Kind::Engine | Kind::OpenAi(Style::Transformers) => {
                stage.refuses(&EMBEDDINGS, &body, 400).await?;
            }
            Kind::Ollama | Kind::OpenAi(_) => {
                let answer = stage.whole(&EMBEDDINGS, &body).await?;
                let is_text = answer["data"][1]["embedding"].is_string();
                ensure!(is_text == (encoding == "base64"), "{answer}");
            }
        }
    }
    Ok(())
}

async fn lists(stage: &Stage) -> Result<()> {
    for (path, form) in [("/v1/models", "Models"), ("/v1/models/tiny", "Model")] {
        let answer = stage.caller.send(&Request::get(path)).await?;
        ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.text());
        schema::is_of(&stage.document, form, &answer.json()?, Others::Wrong)
            .with_context(|| answer.text())?;
    }
    Ok(())
}

/// What is refused before an engine is asked, and what fails behind some of an answer.
async fn failures(stage: &Stage) -> Result<()> {
    let prompt =
        json!({"messages": [{"role": "user", "content": FRANCE}], "prompt": FRANCE, "input": FRANCE});
    let fields =
        [(&CHAT, "messages"), (&COMPLETIONS, "prompt"), (&RESPONSES, "input"), (&EMBEDDINGS, "input")];
    for (endpoint, field) in fields {
        let unknown = json!({"model": "no-such-model", field: prompt[field]});
        stage.refuses(endpoint, &unknown, 404).await?;
        stage.refuses(endpoint, &json!({"model": "tiny", field: 5}), 400).await?;
        if endpoint.path != EMBEDDINGS.path && stage.kind != Kind::Engine {
            let failing = json!({"model": "failing", field: prompt[field], "stream": true});
            let pieces = stage.pieces(endpoint, &failing).await?;
            let last = pieces.last().context("no event")?;
            ensure!(last["error"]["code"] == "backend_error", "{last}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn before_ollama() -> Result<()> {
    check(Kind::Ollama).await
}

#[tokio::test]
async fn before_llama() -> Result<()> {
    check(Kind::OpenAi(Style::Llama)).await
}

#[tokio::test]
async fn before_vllm() -> Result<()> {
    check(Kind::OpenAi(Style::Vllm)).await
}

#[tokio::test]
async fn before_transformers() -> Result<()> {
    check(Kind::OpenAi(Style::Transformers)).await
}

#[tokio::test]
async fn before_our_own_engine() -> Result<()> {
    check(Kind::Engine).await
}
