//! Requests in early data (0-RTT), which whoever has seen them can send once more (RFC 8446 section 8): over QUIC by aioquic, over
//! TLS by OpenSSL. Both are made to send it although no ticket has allowed it. Judged by how often the engine is asked.

use anyhow::{Context, Result, ensure};
use ghostllm_tests::client::Version;
use serde_json::json;

use crate::support::{Place, python};

const BODY: &str = r#"{"model":"tiny","messages":[{"role":"user","content":"Hello"}]}"#;

async fn refused(how: &str, version: Version) -> Result<()> {
    let place = Place::new("").await?;
    let (key, caller) = (place.daemon.key.clone().context("no key")?, place.caller(version).await?);
    let directory = tempfile::Builder::new().prefix("ghostllm-test-").tempdir()?;
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, caller.ca())?;
    let order = json!({
        "how": how, "host": "127.0.0.1", "port": caller.address().port(), "ca": ca, "directory": directory.path(),
        "path": "/v1/chat/completions", "body": BODY,
        "fields": [["content-type", "application/json"], ["authorization", format!("Bearer {key}")]],
    });
    let came = python::run("early_data.py", &order).await?;
    let chats = place.chats();
    println!("{came}; the engine was asked {chats} times");
    ensure!(came["ticket"] == 0, "the ticket allows early data: {came}");
    ensure!(came["sent"] == true, "no early data was sent, so that nothing is shown: {came}");
    ensure!(came["accepted"] == false, "early data was taken: {came}");
    ensure!(came["status"] == 200 && chats == 1, "asked {chats} times: {came}");
    place.end().await
}

#[tokio::test]
async fn quic_takes_no_early_data() -> Result<()> {
    refused("quic", Version::H3).await
}

#[tokio::test]
async fn tls_takes_no_early_data() -> Result<()> {
    refused("tls", Version::H1).await
}
