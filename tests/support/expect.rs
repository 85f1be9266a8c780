//! What tests expect of every answer: an error's shape, a broken stream's end.
//!
//! Knows OpenAI's error object and how each HTTP version ends a stream that failed. Refuses to know what was asked.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    client::{Answer, End, Version},
    sse::Chat,
};

/// What the model says to [`FRANCE`].
pub const PARIS: &str = "The capital of France is Paris.";
/// The prompt of most tests.
pub const FRANCE: &str = "What is the capital of France?";

/// Makes one test for each HTTP version out of functions that take a version.
#[macro_export]
macro_rules! on_every_version {
    ($($test:ident),+ $(,)?) => {
        $crate::on_every_version!(@ h1 H1 $($test)+);
        $crate::on_every_version!(@ h2 H2 $($test)+);
        $crate::on_every_version!(@ h3 H3 $($test)+);
    };
    (@ $module:ident $version:ident $($test:ident)+) => {
        mod $module {
            $(
                #[tokio::test]
                async fn $test() -> anyhow::Result<()> {
                    super::$test($crate::client::Version::$version).await
                }
            )+
        }
    };
}

/// Checks an answer that is an error: its status, its code, OpenAI's four keys, and a text for people, which it gives.
///
/// # Errors
/// When anything differs; the text holds the whole answer.
pub fn check_error(answer: &Answer, status: u16, code: Option<&str>) -> Result<String> {
    let text = answer.text();
    ensure!(answer.status == status, "status {} instead of {status}: {text}", answer.status);
    let json = answer.json()?;
    check_error_object(&json["error"], code).with_context(|| text.clone())?;
    Ok(json["error"]["message"].as_str().unwrap_or_default().to_owned())
}

/// Checks an error object wherever it stands.
///
/// # Errors
/// When a key, the text or the code is missing.
pub fn check_error_object(error: &Value, code: Option<&str>) -> Result<()> {
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

/// Checks a stream that failed: the text so far, which is the beginning of [`PARIS`] and at least `said`; the error as the
/// last event; no `[DONE]`; on HTTP/2 and 3 a reset behind it.
///
/// # Errors
/// When the stream looks complete, or is cut without a word.
pub fn check_failed(version: Version, body: &[u8], end: &End, said: &str, code: &str) -> Result<()> {
    let text = String::from_utf8_lossy(body);
    let chat = Chat::read(body)?;
    ensure!(chat.text().starts_with(said) && PARIS.starts_with(&chat.text()), "{text}");
    ensure!(!chat.done && chat.finishes().is_empty(), "it looks complete: {text}");
    check_error_object(chat.error().with_context(|| format!("no error event: {text}"))?, Some(code))?;
    match version {
        Version::H1 => ensure!(*end == End::Clean, "HTTP/1.1 must end the body cleanly: {end:?}"),
        Version::H2 | Version::H3 => ensure!(matches!(end, End::Broken(_)), "a reset must follow: {end:?}"),
    }
    Ok(())
}

/// Checks an answer that is whole: [`PARIS`], with everything that tells a complete one.
///
/// # Errors
/// When anything of it is missing.
pub fn check_whole(answer: &Answer, stream: bool) -> Result<()> {
    let text = answer.text();
    ensure!(answer.status == 200 && answer.end == End::Clean, "{} {:?} {text}", answer.status, answer.end);
    if stream {
        let chat = Chat::read(&answer.body)?;
        ensure!(chat.text() == PARIS && chat.done && chat.finishes() == ["stop"], "{text}");
    } else {
        let choice = &answer.json()?["choices"][0];
        ensure!(choice["message"]["content"] == PARIS && choice["finish_reason"] == "stop", "{text}");
    }
    Ok(())
}
