//! The main job: {HTTP/1.1, HTTP/2, HTTP/3} × {engine} × {stream, whole} × {127.0.0.1, ::1}.
//!
//! Knows OpenAI's shapes. Invariant: every cell is a test of its own name; a leg that cannot run here is skipped by name
//! and counted.

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    client::{Answer, Caller, End, Family, Request, Version},
    daemon::{Daemon, Setup},
    double::Double,
    ollama::Ollama,
    sse::Chat,
};
use serde_json::{Value, json};

use crate::{FRANCE, PARIS};

/// The engine behind the daemon.
#[derive(Debug, Clone, Copy)]
enum Leg {
    /// The double of Ollama's wire.
    OllamaDouble,
    /// llama.cpp's real server; its URL stands in `LLAMA_SERVER_URL`.
    LlamaServer,
    /// The daemon's own engine with its demo model.
    Embedded,
}

/// A daemon before a leg's engine.
struct Running {
    daemon: Daemon,
    model: &'static str,
    /// What the model is known to say.
    says: Option<&'static str>,
    _double: Option<Double>,
}

impl Leg {
    async fn start(self) -> Result<Running> {
        match self {
            Self::OllamaDouble => {
                let double = Double::start(Ollama::default()).await;
                let daemon = Daemon::start(&Setup::backend("ollama", &double.url())).await?;
                Ok(Running { daemon, model: "tiny", says: Some(PARIS), _double: Some(double) })
            }
            Self::LlamaServer => {
                let url = std::env::var("LLAMA_SERVER_URL")
                    .context("LLAMA_SERVER_URL must hold the URL of a llama-server with the model `tiny`")?;
                let daemon = Daemon::start(&Setup::backend("openai", &url)).await?;
                Ok(Running { daemon, model: "tiny", says: Some(PARIS), _double: None })
            }
            Self::Embedded => {
                let daemon = Daemon::start(&Setup::default()).await?;
                Ok(Running { daemon, model: "ghostllm-demo", says: None, _double: None })
            }
        }
    }
}

async fn cell(leg: Leg, version: Version, stream: bool, family: Family) -> Result<()> {
    let running = leg.start().await?;
    let caller = Caller::new(&running.daemon, version, family).await?;
    let mut body = json!({
        "model": running.model, "messages": [{"role": "user", "content": FRANCE}], "stream": stream,
        "temperature": 0, "max_tokens": 32,
    });
    if stream {
        body["stream_options"] = json!({"include_usage": true});
    }
    let answer = caller.send(&Request::post("/v1/chat/completions", &body)).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    ensure!(answer.end == End::Clean, "{:?}", answer.end);
    let text = if stream { check_stream(&answer)? } else { check_whole(&answer, running.model)? };
    match running.says {
        Some(says) => ensure!(text == says, "it said {text:?}"),
        None => ensure!(!text.trim().is_empty(), "it said nothing"),
    }
    check_alt_svc(&answer, version, &running.daemon)?;
    running.daemon.stop().await
}

fn check_whole(answer: &Answer, model: &str) -> Result<String> {
    let kind = answer.header("content-type").unwrap_or_default();
    ensure!(kind.starts_with("application/json"), "content-type {kind}");
    let json = answer.json()?;
    let choice = &json["choices"][0];
    ensure!(json["object"] == "chat.completion" && json["model"] == model, "{json}");
    ensure!(json["id"].as_str().is_some_and(|id| id.starts_with("chatcmpl-")), "{json}");
    ensure!(json["created"].as_u64().is_some_and(|at| at > 1_700_000_000), "{json}");
    ensure!(choice["index"] == 0 && choice["message"]["role"] == "assistant", "{json}");
    ensure!(choice["finish_reason"] == "stop", "{json}");
    check_usage(&json["usage"])?;
    Ok(choice["message"]["content"].as_str().unwrap_or_default().to_owned())
}

fn check_stream(answer: &Answer) -> Result<String> {
    let kind = answer.header("content-type").unwrap_or_default();
    ensure!(kind.starts_with("text/event-stream"), "content-type {kind}");
    let chat = Chat::read(&answer.body)?;
    let text = answer.text();
    ensure!(chat.done, "no [DONE]: {text}");
    let first = &chat.chunks.first().context("no chunk")?["choices"][0]["delta"];
    ensure!(first["role"] == "assistant", "the first delta bears no role: {text}");
    ensure!(chat.finishes() == ["stop"], "finish reasons {:?}: {text}", chat.finishes());
    let id = &chat.chunks[0]["id"];
    ensure!(chat.chunks.iter().all(|chunk| chunk["id"] == *id), "ids differ: {text}");
    ensure!(chat.chunks.iter().all(|chunk| chunk["object"] == "chat.completion.chunk"), "{text}");
    let last = chat.chunks.last().context("no chunk")?;
    ensure!(last["choices"] == json!([]), "the chunk of the usage must have no choices: {text}");
    check_usage(&last["usage"])?;
    Ok(chat.text())
}

fn check_usage(usage: &Value) -> Result<()> {
    let count = |key: &str| usage[key].as_u64().with_context(|| format!("no {key} in {usage}"));
    let (prompt, completion, total) =
        (count("prompt_tokens")?, count("completion_tokens")?, count("total_tokens")?);
    ensure!(prompt > 0 && completion > 0 && total == prompt + completion, "{usage}");
    Ok(())
}

/// TCP answers name the UDP port while HTTP/3 is up.
fn check_alt_svc(answer: &Answer, version: Version, daemon: &Daemon) -> Result<()> {
    if version == Version::H3 {
        return Ok(());
    }
    let port = daemon.quic.context("no HTTP/3")?;
    let offered = answer.header("alt-svc").unwrap_or_default();
    ensure!(offered.contains(&format!("h3=\":{port}\"")), "Alt-Svc is {offered:?}, UDP port {port}");
    Ok(())
}

/// One test for each cell of a leg; `$skip` is the reason why the leg is passed over, if it is.
macro_rules! leg {
    ($module:ident, $leg:ident $(, #[$skip:meta])?) => {
        mod $module {
            leg!(@ $leg [$(#[$skip])?]
                h1_stream_v4 H1 true V4, h1_stream_v6 H1 true V6, h1_whole_v4 H1 false V4, h1_whole_v6 H1 false V6,
                h2_stream_v4 H2 true V4, h2_stream_v6 H2 true V6, h2_whole_v4 H2 false V4, h2_whole_v6 H2 false V6,
                h3_stream_v4 H3 true V4, h3_stream_v6 H3 true V6, h3_whole_v4 H3 false V4, h3_whole_v6 H3 false V6
            );
        }
    };
    (@ $leg:ident $skip:tt $($name:ident $version:ident $stream:literal $family:ident),+) => {
        $(leg!(% $leg $skip $name $version $stream $family);)+
    };
    (% $leg:ident [$(#[$skip:meta])?] $name:ident $version:ident $stream:literal $family:ident) => {
        #[tokio::test]
        $(#[$skip])?
        async fn $name() -> anyhow::Result<()> {
            use ghostllm_tests::client::{Family, Version};
            super::cell(super::Leg::$leg, Version::$version, $stream, Family::$family).await
        }
    };
}

leg!(ollama_double, OllamaDouble);
leg!(llama_server, LlamaServer, #[ignore = "needs llama.cpp's server from a moving distribution: LLAMA_SERVER_URL"]);
leg!(embedded, Embedded);
