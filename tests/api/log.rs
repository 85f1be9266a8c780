//! What the log says, as its reader gets it.

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    client::{Caller, Family, Request, Version},
    script::Sin,
};
use serde_json::Value;

use crate::{FRANCE, check_error, sinner};

/// Quotes and a backslash, which JSON escapes, and nobody before it.
const KIND: &str = r#"text/"a\b""#;

#[tokio::test]
async fn is_json_in_lines_that_escape_each_text_once() -> Result<()> {
    let (_double, daemon) = sinner(Sin::Type(Some(KIND)), "", "").await?;
    let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
    let answer = caller.send(&Request::chat("tiny", FRANCE, false)).await?;
    check_error(&answer, 502, Some("backend_error"))?;
    daemon.wait_said("a chat failed").await?;
    let said = daemon.stderr();
    let lines: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| line.to_owned()))
        .collect::<Result<_>>()?;
    let failed = lines.iter().find(|line| line["message"] == "a chat failed").context("no such line")?;
    let cause = failed["cause"].as_str().unwrap_or_default();
    ensure!(cause.contains(&format!("a body of type \"{KIND}\" instead of")), "{cause}");
    // A number is one.
    ensure!(failed["status"] == 502 && failed["model"] == "tiny", "{failed}");
    daemon.stop().await
}
