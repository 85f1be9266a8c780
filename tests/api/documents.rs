//! The description of the API: for everybody, on every version, and as it was generated.

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    client::{Answer, Caller, Family, Request, Version, plain},
    daemon::{Daemon, Setup},
    root,
};

use crate::on_every_version;

on_every_version!(everybody_gets_it_with_a_tag);

/// Where each is served, and what is.
const DOCUMENTS: [(&str, &str, &str); 2] = [
    ("/openapi.json", "packaging/docs/openapi.json", "application/json"),
    ("/docs", "packaging/docs/api.html", "text/html; charset=utf-8"),
];

fn header<'a>(answer: &'a Answer, name: &str) -> Result<&'a str> {
    answer.header(name).with_context(|| format!("no {name}"))
}

async fn everybody_gets_it_with_a_tag(version: Version) -> Result<()> {
    let daemon = Daemon::start(&Setup::backend("openai", "http://127.0.0.1:1")).await?;
    let caller = Caller::keyless(&daemon, version, Family::V4).await?;
    for (path, file, kind) in DOCUMENTS {
        let whole = caller.send(&Request::get(path)).await?;
        ensure!(whole.status == 200 && header(&whole, "content-type")? == kind, "{path}: {}", whole.status);
        ensure!(whole.body == std::fs::read(root().join(file))?, "{path} is not what {file} has");
        ensure!(header(&whole, "cache-control")? == "no-cache", "{path}");
        ensure!(header(&whole, "content-security-policy")?.starts_with("default-src 'none';"), "{path}");
        let tag = header(&whole, "etag")?;
        let again = caller.send(&Request::get(path).with("if-none-match", tag)).await?;
        ensure!(again.status == 304 && again.body.is_empty(), "{path}: {}", again.status);
        let other = caller.send(&Request::get(path).with("if-none-match", "\"x\"")).await?;
        ensure!(other.status == 200 && other.body == whole.body, "{path}: {}", other.status);
        let wrong = caller.send(&Request::post(path, &serde_json::json!({}))).await?;
        ensure!(wrong.status == 405, "{path}: {}", wrong.status);
    }
    daemon.stop().await
}

#[tokio::test]
async fn the_plain_port_has_it_too_and_the_page_leads_to_it() -> Result<()> {
    let daemon = Daemon::start(&Setup::backend("openai", "http://127.0.0.1:1")).await?;
    for (path, file, _) in DOCUMENTS {
        let answer = plain(daemon.plain(false)?, &Request::get(path)).await?;
        ensure!(answer.status == 200 && answer.body == std::fs::read(root().join(file))?, "{path}");
    }
    let page = plain(daemon.plain(false)?, &Request::get("/")).await?.text();
    ensure!(page.contains("href=\"/docs\"") && page.contains("href=\"/openapi.json\""), "{page}");
    daemon.stop().await
}
