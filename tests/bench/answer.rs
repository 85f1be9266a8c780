//! How long the demo model takes to answer with 16 tokens, over HTTP/2 through the whole daemon, and side by side the same
//! request straight to the engine's socket: the difference is the daemon's own share.
//!
//! Knows the daemon from outside. Invariant: fails only beyond ten times the figure that it is judged by, so that a busy
//! machine does not make it lie.
#![expect(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a figure is printed; a missing key is null"
)]

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ghostllm_tests::{
    client::{Caller, Family, Request, Version},
    daemon::{Daemon, Setup},
    engine,
};
use serde_json::json;

/// The mean answer that is promised on an idle machine (issue 3).
const PROMISED: Duration = Duration::from_millis(100);
/// Answers measured, after as many to warm up as there are connections in a small pool.
const ROUNDS: u32 = 50;
const WARM_UP: u32 = 5;

#[tokio::main]
async fn main() -> Result<()> {
    let daemon = Daemon::start(&Setup::default()).await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
    let body = json!({
        "model": "ghostllm-demo", "max_tokens": 16, "temperature": 0,
        "messages": [{"role": "user", "content": "Tell me a long story."}],
    });
    let (request, body) = (Request::post("/v1/chat/completions", &body), body.to_string());
    let socket = daemon.state("run/engine.sock");
    let (mut through, mut straight) = (Duration::ZERO, Duration::ZERO);
    // In turn, so that whatever else the machine does meets both alike.
    for round in 0..WARM_UP + ROUNDS {
        let begun = Instant::now();
        let answer = caller.send(&request).await?;
        let between = Instant::now();
        let (status, alone) = engine::ask(&socket, "POST", "/v1/chat/completions", body.as_bytes()).await?;
        if round >= WARM_UP {
            through += between - begun;
            straight += between.elapsed();
        }
        ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        ensure!(answer.json()?["usage"]["completion_tokens"] == 16, "{}", answer.text());
        ensure!(status == 200 && alone["usage"]["completion_tokens"] == 16, "{status} {alone}");
    }
    daemon.stop().await?;
    let (mean, alone) = (through / ROUNDS, straight / ROUNDS);
    println!(
        "demo model, 16 tokens, a new HTTP/2 connection each: mean {mean:?} of {ROUNDS}; promised {PROMISED:?}\n\
         the same straight to the engine, a new connection each: mean {alone:?}; ratio {:.2}, the daemon's share {:?}",
        mean.as_secs_f64() / alone.as_secs_f64(),
        mean.saturating_sub(alone)
    );
    ensure!(mean < PROMISED * 10, "more than ten times of what is promised");
    Ok(())
}
