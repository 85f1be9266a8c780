//! A client that leaves drops the work behind it: on every version, streaming or not.

use anyhow::{Result, ensure};
use ghostllm_tests::{
    client::{Caller, Family, Request, Version},
    script::Sin,
};

use crate::{FRANCE, PARIS, on_every_version, sinner};

on_every_version!(leaving_mid_stream, leaving_before_the_answer, leaving_while_the_stream_is_silent);

async fn leaving_mid_stream(version: Version) -> Result<()> {
    let (double, daemon) = sinner(Sin::StallAfter(2), "", "").await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let mut stream = caller.open(&Request::chat("tiny", FRANCE, true)).await?;
    stream.until(" capital").await?;
    let _left = stream.leave().await?;
    double.wait_left("/api/chat").await;
    // Only that work: the daemon answers the next one.
    double.behave("tiny");
    let answer = caller.send(&Request::chat("tiny", FRANCE, false)).await?;
    ensure!(answer.status == 200 && answer.text().contains(PARIS), "{}", answer.text());
    daemon.stop().await
}

async fn leaving_before_the_answer(version: Version) -> Result<()> {
    for stream in [false, true] {
        let (double, daemon) = sinner(Sin::HangBeforeHeaders, "", "").await?;
        let caller = Caller::new(&daemon, version, Family::V6).await?;
        let asked = double.wait_asked("/api/chat");
        let _left = caller.leave_headless(&Request::chat("tiny", FRANCE, stream), asked).await?;
        double.wait_left("/api/chat").await;
        daemon.stop().await?;
    }
    Ok(())
}

async fn leaving_while_the_stream_is_silent(version: Version) -> Result<()> {
    let (double, daemon) =
        sinner(Sin::HangBeforeHeaders, "header_wait = \"50ms\"\nsse_keep_alive = \"10s\"", "").await?;
    let caller = Caller::new(&daemon, version, Family::V4).await?;
    let stream = caller.open(&Request::chat("tiny", FRANCE, true)).await?;
    let _left = stream.leave().await?;
    double.wait_left("/api/chat").await;
    daemon.stop().await
}
