//! A request that is refused before its body is read: curl reads the answer, however much it sends.
//!
//! Knows what is refused and how long bodies are. Refuses to know how curl sends. Invariant: one answer in all that is not read
//! fails the test.

use std::{io::Write as _, process::Stdio};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    client::{Caller, Family, Version},
    daemon::{Daemon, Setup},
    double::Double,
    ollama::Ollama,
};
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::process::Command;

/// How often each is sent.
const TIMES: usize = 10;
/// A short request, one beyond a socket's buffer, and one beyond every window of HTTP/2 and as long as a body may be at most.
const LENGTHS: [usize; 4] = [80, 50_000, 3_000_000, 32 << 20];

/// A refusal: its path, its header, and the status that it gets.
const REFUSALS: [(&str, &str, u16); 4] = [
    ("/v1/chat/completions", "Authorization: Bearer gllm_wrong", 401),
    ("/chat/completions", "X-None: none", 401),
    ("/v1/chat/completions", "Origin: https://evil.example", 403),
    ("/healthz", "X-None: none", 405),
];

async fn refused(option: &'static str) -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    let setup = Setup::backend("ollama", &double.url()).with_limits("wrong_keys = 1000");
    let daemon = Daemon::start(&setup).await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let mut ca = NamedTempFile::new()?;
    ca.write_all(caller.ca())?;
    let (mut read, mut lost) = (0, Vec::new());
    for length in LENGTHS {
        let mut body = NamedTempFile::new()?;
        body.write_all(&vec![b' '; length])?;
        for (path, header, status) in REFUSALS {
            // The longest ones are slow, and only ever lost by all or by none.
            for _ in 0..if length > 10_000_000 { 1 } else { TIMES } {
                let output = Command::new("curl")
                    .args([option, "-sS", "-m", "30", "--cacert"])
                    .arg(ca.path())
                    .args([
                        "-H",
                        "Content-Type: application/json",
                        "-H",
                        "Expect:",
                        "-H",
                        header,
                        "-w",
                        "\n%{http_code}",
                    ])
                    .arg("--data-binary")
                    .arg(format!("@{}", body.path().display()))
                    .arg(format!("https://localhost:{}{path}", caller.address().port()))
                    .stdin(Stdio::null())
                    .output()
                    .await
                    .context("curl does not start")?;
                let (said, error) =
                    (String::from_utf8(output.stdout)?, String::from_utf8_lossy(&output.stderr).into_owned());
                let (answer, code) = said.rsplit_once('\n').context("no status")?;
                let answer: Value = serde_json::from_str(answer).unwrap_or_default();
                if output.status.success()
                    && code == status.to_string()
                    && answer["error"]["message"].is_string()
                {
                    read += 1;
                } else {
                    lost.push(format!("{path} {header}, {length} bytes: {code} {answer} {error}"));
                }
            }
        }
    }
    println!("curl {option}: {read} refusals read, {} lost", lost.len());
    ensure!(lost.is_empty(), "{}", lost.join("\n"));
    daemon.stop().await
}

#[tokio::test]
async fn curl_reads_every_refusal_over_http_1_1() -> Result<()> {
    refused("--http1.1").await
}

#[tokio::test]
async fn curl_reads_every_refusal_over_http_2() -> Result<()> {
    refused("--http2").await
}
