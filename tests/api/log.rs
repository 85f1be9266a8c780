//! What the log says, as its reader gets it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    client::{Caller, Family, Request, Version},
    daemon::{Daemon, Setup},
    script::Sin,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{FRANCE, check_error, sinner};

/// How long one answer may take on a busy machine; where somebody waits for the log, it takes for ever.
const SOON: Duration = Duration::from_secs(10);
/// More records than a pipe takes, the log's queue, and what its thread has in hand.
const MANY: usize = 15_000;

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

/// Asks whether it serves, so many times on one connection; the longest time that an answer took.
async fn ask_on(daemon: &Daemon, times: usize) -> Result<Duration> {
    let mut stream = TcpStream::connect(daemon.plain(false)?).await?;
    stream.set_nodelay(true)?;
    let (mut longest, mut buffer) = (Duration::ZERO, vec![0; 65536]);
    for time in 0..times {
        let begun = Instant::now();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
        let mut answer = 0;
        while !buffer[..answer].ends_with(b"the edge serves\n") {
            let read = timeout(SOON, stream.read(&mut buffer[answer..])).await;
            let count = read.with_context(|| format!("no answer to request {time}"))??;
            ensure!(count > 0, "the connection has ended before the answer to request {time}");
            answer += count;
        }
        ensure!(buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer[..answer]));
        longest = longest.max(begun.elapsed());
    }
    Ok(longest)
}

#[tokio::test]
async fn nobody_who_reads_it_holds_requests_up_and_what_is_lost_is_told() -> Result<()> {
    let setup = Setup::default().with_environment("GHOSTLLM_LOG__LEVEL", "debug");
    let daemon = Daemon::start(&setup).await?;
    let at_rest = ask_on(&daemon, 500).await?;
    daemon.leave_unread(true);
    let meanwhile = ask_on(&daemon, MANY).await?;
    daemon.leave_unread(false);
    println!(
        "the longest answer of 500 at rest: {at_rest:?}, of {MANY} with a log that nobody reads: {meanwhile:?}"
    );
    daemon.wait_said("records of the log were lost").await?;
    // What comes next is written as ever.
    ask_on(&daemon, 1).await?;
    let said = daemon.stderr();
    let lines: Vec<Value> = said.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let lost = lines.iter().filter_map(|line| line["lost"].as_u64()).sum::<u64>();
    let told = lines.iter().filter(|line| line["route"] == "/healthz").count() as u64;
    println!("{told} records of requests were written and {lost} lost");
    // All of them are records of these requests, but for a few of what the daemon does beside.
    let all = (MANY + 500) as u64;
    ensure!(told < all && (all..all + 50).contains(&(told + lost)), "{told} and {lost} of {all}");
    daemon.stop().await
}
