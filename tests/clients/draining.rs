//! The daemon's end under open streams, on connections that say goodbye: what ends in time is whole, and what does not is told.
//!
//! Knows the clients as `failures` runs them. Refuses to know how they read. Invariant: not one stream of fifty is cut short.
//! httpx is not among them over HTTP/2: h2, beneath it, takes a goodbye for the end of all streams (4.4: `RECV_PING in state
//! CLOSED`), whoever sends it.

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    client::Version,
    daemon::{Daemon, Setup},
    double::Double,
    ollama::{Model, Ollama},
    script::Sin,
    sse::Chat,
};

use crate::{
    curl::Curl,
    failures::{Ask, Client, Run, Way, ask, judge_end, judge_event},
};

const STREAMS: usize = 50;
/// One token of eight bytes before what happens then.
const WAY: Way = Way { model: "first", tokens: (1, 8), runs: STREAMS, parallel: STREAMS, slow: false };

struct Open {
    double: Double,
    daemon: Daemon,
    ask: Ask,
}

impl Open {
    async fn before(sin: Sin, version: Version, grace: &str) -> Result<Self> {
        let double = Double::start(Ollama::with(vec![Model::new(WAY.model, false)])).await;
        double.misbehave(WAY.model, sin);
        let setup =
            Setup::backend("ollama", &double.url()).with_limits(&format!("drain_grace = \"{grace}\""));
        let daemon = Daemon::start(&setup).await?;
        let ask = ask(&daemon, version, &WAY).await?;
        Ok(Self { double, daemon, ask })
    }

    /// Tells the daemon to stop once every stream has reached the engine.
    async fn stop(&self) -> Result<()> {
        let all = self.double.wait("every stream", |seen| {
            (seen.iter().filter(|seen| seen.request.path() == "/api/chat").count() == STREAMS).then_some(())
        });
        all.await;
        self.daemon.terminate()?;
        self.daemon.wait_stopping().await
    }

    async fn ended(self) -> Result<()> {
        let ended = self.daemon.wait().await?;
        ensure!(ended.code == Some(0), "exit code {:?}:\n{}", ended.code, ended.stderr);
        Ok(())
    }
}

/// Streams that end within the grace time.
async fn check_whole(client: &Client, version: Version) -> Result<()> {
    let open = Open::before(Sin::Gated, version, "30s").await?;
    let end = async {
        open.stop().await?;
        open.double.release(100 * STREAMS);
        Ok(())
    };
    let ((name, runs), ()) = tokio::try_join!(client.run(&open.ask, &WAY), end)?;
    ensure!(runs.len() == STREAMS, "{name}: {} answers to {STREAMS} requests", runs.len());
    for run in &runs {
        let why = || format!("{name}: {} {}: {}", run.end, run.why, run.text);
        let chat = Chat::read(run.text.as_bytes()).with_context(why)?;
        ensure!(run.status == 200 && chat.done && run.end == "clean", "{}", why());
        ensure!(chat.text() == WAY.text(WAY.tokens.0 + 8), "{}", why());
    }
    println!("{name}: {version:?}, while the daemon drains: {STREAMS} of {STREAMS} read their end");
    open.ended().await
}

/// Streams that outlast it, and the end that their client sees.
async fn check_told(client: &Client, version: Version, end: impl Fn(&Run) -> Result<()>) -> Result<()> {
    let open = Open::before(Sin::StallAfter(WAY.tokens.0), version, "2s").await?;
    let ((name, runs), ()) = tokio::try_join!(client.run(&open.ask, &WAY), open.stop())?;
    ensure!(runs.len() == STREAMS, "{name}: {} answers to {STREAMS} requests", runs.len());
    for run in &runs {
        let judged = judge_event(run, &WAY.text(WAY.tokens.0), "backend_unavailable");
        judged.and_then(|()| end(run)).with_context(|| name.clone())?;
    }
    println!("{name}: {version:?}, at the daemon's end: {STREAMS} of {STREAMS} read their error event");
    open.ended().await
}

#[tokio::test]
async fn curl_h1() -> Result<()> {
    let client = Client::Curl(Curl::here("--http1.1"));
    check_whole(&client, Version::H1).await?;
    check_told(&client, Version::H1, |run| judge_end(run, None)).await
}

/// On a connection that has said goodbye, curl 7.88 tells the reset in three ways: as one (92), as a partial file (18), and not at
/// all (`should_close_session` in its http2.c). That it has read the event is what counts.
#[tokio::test]
async fn curl_h2() -> Result<()> {
    let client = Client::Curl(Curl::here("--http2"));
    check_whole(&client, Version::H2).await?;
    check_told(&client, Version::H2, |_any| Ok(())).await
}

#[tokio::test]
async fn httpx_h1() -> Result<()> {
    let client = Client::Script("streams_httpx.py", "h1");
    check_whole(&client, Version::H1).await?;
    check_told(&client, Version::H1, |run| judge_end(run, None)).await
}

#[tokio::test]
async fn node_http2_h2() -> Result<()> {
    let client = Client::Script("streams_http2.mjs", "h2");
    check_whole(&client, Version::H2).await?;
    check_told(&client, Version::H2, |run| judge_end(run, Some("NGHTTP2_INTERNAL_ERROR"))).await
}

#[tokio::test]
async fn aioquic_h3() -> Result<()> {
    let client = Client::Script("streams_aioquic.py", "h3");
    check_whole(&client, Version::H3).await?;
    check_told(&client, Version::H3, |run| judge_end(run, Some("reset 0x102"))).await
}
