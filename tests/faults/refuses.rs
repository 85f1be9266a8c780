//! The engine is down: its port is closed.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ghostllm_tests::{
    client::Request,
    expect::{FRANCE, check_whole},
    script::Sin,
};

use crate::{Cell, UNREACHABLE, check_refused, in_every_cell};

in_every_cell!(is_said_at_once_and_ends_when_it_is_back, is_said_to_a_hundred_as_fast);

async fn is_said_at_once_and_ends_when_it_is_back(cell: Cell) -> Result<()> {
    let mut case = cell.case(Sin::LateBy(Duration::ZERO)).await?;
    check_whole(&case.ask(false).await?, false)?;
    case.double.refuse().await;
    for stream in [false, true] {
        let asked = Instant::now();
        let answer = case.refused(stream, UNREACHABLE).await?;
        // With the client's handshake, and for HTTP/3 its start.
        ensure!(asked.elapsed() < ONE_SAID, "it was said after {:?}", asked.elapsed());
        let wait = answer.header("retry-after").and_then(|wait| wait.parse::<u32>().ok());
        ensure!(wait.is_some_and(|wait| wait > 0), "Retry-After is {:?}", answer.header("retry-after"));
    }
    case.double.come_back().await;
    let back = Instant::now();
    check_whole(&case.ask(false).await?, false)?;
    // F-56 wants an answer within two seconds; a client that asks at once must not be told of the past.
    ensure!(back.elapsed() < Duration::from_secs(2), "{:?} after the port opened", back.elapsed());
    case.recovers().await
}

/// F-51 wants 100 ms of the daemon alone.
const ONE_SAID: Duration = Duration::from_secs(1);
/// A hundred at once, with their handshakes, have less than what a connection to an engine may
/// take: nobody waits for that.
const SAID: Duration = Duration::from_secs(2);

async fn is_said_to_a_hundred_as_fast(cell: Cell) -> Result<()> {
    let mut case = cell.case(Sin::LateBy(Duration::ZERO)).await?;
    case.double.refuse().await;
    for stream in [false, true] {
        let asked = Instant::now();
        for answer in case.caller().open_many(&Request::chat("tiny", FRANCE, stream), 100).await? {
            check_refused(&answer.finish().await?, UNREACHABLE)?;
        }
        println!("a hundred were refused within {:?}", asked.elapsed());
        ensure!(asked.elapsed() < SAID, "a hundred were refused after {:?}", asked.elapsed());
    }
    case.double.come_back().await;
    case.recovers().await
}
