//! The engines that a client is put before, each behind a daemon of its own, with what the client is ordered to do there.
//!
//! Knows which models each engine has and how it is seen that an answer was given up. Refuses to know the clients.
//! Invariant: where a double stands for the engine, the order's failing model fails mid-stream and its hanging one falls silent;
//! before a real engine, the hanging one would not end by itself, or stands behind a wire that falls silent.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use ghostllm_tests::{
    client::{Caller, Family, Version},
    daemon::{Daemon, Setup},
    double::Double,
    engine::{self, Engine},
    expect::{FRANCE, PARIS},
    ollama::{Model, Ollama},
    openai::{OpenAi, Style},
    script::Sin,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::silence::Silence;

/// The kind of engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leg {
    /// The double of Ollama's wire.
    Ollama,
    /// A double of OpenAI's wire, in this manner.
    OpenAi(Style),
    /// llama.cpp's real server; its URL stands in `LLAMA_SERVER_URL`.
    LlamaServer,
    /// The project's own engine with its demo model.
    Embedded,
}

/// What is to become JSON: the doubles say it, real engines are held to the schema.
const FACT: &str = r#"Echo: {"capital":"Paris","large":true}"#;
/// What the tool tells; the doubles' model makes a sentence of it.
const WEATHER: &str = "sunny, 21 degrees";
/// What the client asks that then leaves.
pub(crate) const STORY: &str = "Tell me a long story.";
/// One that no engine here sees anything in.
pub(crate) const PICTURE: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg==";
/// After so many pieces a double breaks off or falls silent: a role and two words, or three words.
const PIECES: usize = 3;
/// One vector of all that a text's tokens make (`LLAMA_POOLING_TYPE_MEAN`, in llama.cpp's `llama.h`).
const MEAN: u32 = 1;

/// A daemon before an engine.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) daemon: Daemon,
    pub(crate) leg: Leg,
    pub(crate) order: Value,
    /// The box's CA, as PEM.
    pub(crate) ca: Vec<u8>,
    /// What the client is answered by; none where the engine is real.
    pub(crate) double: Option<Double>,
    hanging: Hanging,
    _failing: Option<Double>,
}

/// How it is seen that the client who left has ended the work behind it.
#[derive(Debug)]
enum Hanging {
    Double(Double, &'static str),
    Real(Silence),
    Embedded { socket: PathBuf, _engine: Engine, _directory: TempDir },
}

impl Stage {
    /// Starts the engine, or its double, and a daemon before it.
    pub(crate) async fn start(leg: Leg) -> Result<Self> {
        let mut double = None;
        let mut failing = None;
        let (setup, hanging) = match leg {
            Leg::Ollama | Leg::OpenAi(_) => {
                let (kind, path) = leg.wire();
                let model = leg.double(&["tiny", "tiny-embed"]).await;
                let broken = leg.double(&["failing"]).await;
                broken.misbehave("failing", Sin::FinAfter(PIECES));
                let silent = leg.double(&["hanging"]).await;
                silent.misbehave("hanging", Sin::StallAfter(PIECES));
                let setup = Setup::backend(kind, &model.url());
                let setup = setup.with_backend("failing", kind, &broken.url(), "");
                let setup = setup.with_backend("hanging", kind, &silent.url(), "");
                (double, failing) = (Some(model), Some(broken));
                (setup, Hanging::Double(silent, path))
            }
            Leg::LlamaServer => {
                let url = std::env::var("LLAMA_SERVER_URL")
                    .context("LLAMA_SERVER_URL must hold the URL of a llama-server with the model `tiny`")?;
                let silence = Silence::before(&url, STORY, PIECES).await?;
                (without_chance(Setup::backend("openai", &silence.url()), "tiny"), Hanging::Real(silence))
            }
            Leg::Embedded => embedded().await?,
        };
        let daemon = Daemon::start(&setup).await?;
        let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
        let mut order = leg.models();
        order["base_url"] = format!("https://localhost:{}/v1", daemon.tls).into();
        order["key"] = daemon.key.clone().context("no key")?.into();
        for (name, text) in [
            ("prompt", FRANCE),
            ("question", "What is the weather in Berlin?"),
            ("result", WEATHER),
            ("fact", FACT),
            ("story", STORY),
            ("text", "This program is free"),
            ("picture", PICTURE),
        ] {
            order[name] = text.into();
        }
        order["texts"] = json!(["hello", "world"]);
        order["limit"] = 64.into();
        Ok(Self { daemon, leg, order, double, hanging, ca: caller.ca().into(), _failing: failing })
    }

    /// Waits until the engine works for nobody any more.
    pub(crate) async fn wait_left(&self) -> Result<()> {
        match &self.hanging {
            Hanging::Double(double, path) => {
                double.wait_left(path).await;
                Ok(())
            }
            Hanging::Real(silence) => silence.wait_left().await,
            Hanging::Embedded { socket, .. } => {
                let free = |status: &Value| status["running"] == 0 && status["queued"] == 0;
                engine::wait_status(socket, free).await
            }
        }
    }
}

impl Leg {
    /// The models that there are, and whether a call can be had of the first by force alone.
    fn models(self) -> Value {
        let embedding = if self == Self::Ollama { "tiny-embed" } else { "tiny" };
        match self {
            Self::Ollama | Self::OpenAi(_) => {
                json!({"model": "tiny", "failing": "failing", "hanging": "hanging",
                "embedding": embedding, "choice": "auto"})
            }
            // Of itself so small a model calls nothing, here and below.
            Self::LlamaServer => {
                json!({"model": "tiny", "failing": null, "hanging": "tiny", "embedding": "tiny",
                "choice": "required"})
            }
            Self::Embedded => json!({"model": "ghostllm-demo", "failing": null, "hanging": "endless",
                "embedding": "embedding", "choice": "required"}),
        }
    }

    /// What the engine's model says to [`FRANCE`], where that is known.
    pub(crate) fn says(self) -> Option<&'static str> {
        (self != Self::Embedded).then_some(PARIS)
    }

    /// Whether a double stands for the engine.
    pub(crate) fn is_double(self) -> bool {
        matches!(self, Self::Ollama | Self::OpenAi(_))
    }

    /// The backend's kind, and where a chat is asked for there.
    pub(crate) fn wire(self) -> (&'static str, &'static str) {
        if self == Self::Ollama { ("ollama", "/api/chat") } else { ("openai", "/v1/chat/completions") }
    }

    /// A double with these models; one of OpenAI's wire has the first, which makes embeddings too where the engine can.
    async fn double(self, models: &[&str]) -> Double {
        match self {
            Self::OpenAi(Style::Transformers) => {
                Double::start(OpenAi::new(Style::Transformers, models[0])).await
            }
            Self::OpenAi(style) => Double::start(OpenAi::embedding(style, models[0])).await,
            _ => {
                Double::start(Ollama::with(models.iter().map(|name| Model::new(name, false)).collect())).await
            }
        }
    }
}

/// An engine with the demo model, one that does not end its answers, and one that makes embeddings.
async fn embedded() -> Result<(Setup, Hanging)> {
    let directory = TempDir::new()?;
    let (socket, models) = (directory.path().join("engine.sock"), directory.path().join("models"));
    fs::create_dir(&models)?;
    fs::copy(engine::demo(), models.join("ghostllm-demo.gguf"))?;
    fs::write(models.join("endless.gguf"), engine::endless())?;
    fs::write(models.join("embedding.gguf"), engine::numbered(&[("llama.pooling_type", MEAN)]))?;
    let models = models.to_str().context("a path of text")?;
    let engine = Engine::start(&socket, &["--models", models, "--context", "50000"]).await?;
    let setup = Setup::default().with_engine(&format!("socket = \"{}\"", socket.display()));
    let setup = without_chance(setup, "ghostllm-demo");
    Ok((setup, Hanging::Embedded { socket, _engine: engine, _directory: directory }))
}

/// Not each client says how bold this model is to be, and by chance so small a one says anything.
fn without_chance(mut setup: Setup, model: &str) -> Setup {
    setup.config += &format!("\n[[models]]\nname = \"{model}\"\ntemperature = 0\n");
    setup
}
