//! The daemon from outside: every HTTP version, both address families, real sockets, clients that are not our code.
//!
//! Knows the command line, the configuration's names and the wire. Refuses to know the daemon's code. Invariant: each
//! test has its own daemon and its own doubles, and ends by stopping the daemon with SIGTERM and seeing it exit with 0.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test crate: a panic is a failed test")]

mod adapter;
mod cancel;
mod clients;
mod errors;
mod faults;
mod guard;
mod life;
mod matrix;
mod models;
mod passthrough;
mod start;

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    client::Answer,
    daemon::{Daemon, Setup},
    double::Double,
    ollama::Ollama,
    script::Sin,
};

/// What the model says to [`FRANCE`].
pub(crate) const PARIS: &str = "The capital of France is Paris.";
/// The prompt of most tests.
pub(crate) const FRANCE: &str = "What is the capital of France?";

/// Makes one test for each HTTP version out of functions that take a version.
macro_rules! on_every_version {
    ($($test:ident),+ $(,)?) => {
        on_every_version!(@ h1 H1 $($test)+);
        on_every_version!(@ h2 H2 $($test)+);
        on_every_version!(@ h3 H3 $($test)+);
    };
    (@ $module:ident $version:ident $($test:ident)+) => {
        mod $module {
            $(
                #[tokio::test]
                async fn $test() -> anyhow::Result<()> {
                    super::$test(ghostllm_tests::client::Version::$version).await
                }
            )+
        }
    };
}
pub(crate) use on_every_version;

/// An Ollama double and a daemon before it.
pub(crate) async fn ollama() -> Result<(Double, Daemon)> {
    ollama_with("", "").await
}

/// The same, with lines of `[limits]` and of the backend's table.
pub(crate) async fn ollama_with(limits: &str, backend: &str) -> Result<(Double, Daemon)> {
    let double = Double::start(Ollama::default()).await;
    let setup = Setup::default().with_backend("box", "ollama", &double.url(), backend).with_limits(limits);
    let daemon = Daemon::start(&setup).await?;
    Ok((double, daemon))
}

/// The same, with the model `tiny` sinning.
pub(crate) async fn sinner(sin: Sin, limits: &str, backend: &str) -> Result<(Double, Daemon)> {
    let (double, daemon) = ollama_with(limits, backend).await?;
    double.misbehave("tiny", sin);
    Ok((double, daemon))
}

/// Checks an answer that is an error: its status, its code, OpenAI's four keys, and a text for people.
pub(crate) fn check_error(answer: &Answer, status: u16, code: Option<&str>) -> Result<String> {
    let text = answer.text();
    ensure!(answer.status == status, "status {} instead of {status}: {text}", answer.status);
    let json = answer.json()?;
    check_error_object(&json["error"], code).with_context(|| text.clone())?;
    Ok(json["error"]["message"].as_str().unwrap_or_default().to_owned())
}

/// Checks an error object wherever it stands.
pub(crate) fn check_error_object(error: &serde_json::Value, code: Option<&str>) -> Result<()> {
    let keys = error.as_object().context("no error object")?;
    for key in ["message", "type", "param", "code"] {
        ensure!(keys.contains_key(key), "no {key} in {error}");
    }
    ensure!(error["message"].as_str().is_some_and(|text| text.len() > 10), "no text for people in {error}");
    if let Some(code) = code {
        ensure!(error["code"] == code, "code {} instead of {code}", error["code"]);
    }
    Ok(())
}
