//! Leaving over HTTP/3, by aioquic: many requests on one connection, left one after the other at moments that the client
//! names by the clock that all processes of a machine share.

use std::{
    collections::HashSet,
    io::Write as _,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::root;
use nix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{ChildStdout, Command},
    time::timeout,
};

use crate::{Moment, Stage, Way};

/// Requests of one connection. A connection costs its client tens of milliseconds.
const CROWD: usize = 25;
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn kills(
    stage: &mut Stage,
    way: Way,
    moment: Moment,
    kills: usize,
) -> Result<Vec<Duration>> {
    let mut taken = Vec::with_capacity(kills);
    while taken.len() < kills {
        taken.extend(crowd(stage, way, moment, CROWD.min(kills - taken.len())).await?);
    }
    Ok(taken)
}

async fn crowd(stage: &mut Stage, way: Way, moment: Moment, count: usize) -> Result<Vec<Duration>> {
    let mut ca = tempfile::NamedTempFile::new()?;
    ca.write_all(stage.caller.ca())?;
    let mut client = Command::new(root().join(".tools/venv/bin/python"))
        .arg(root().join("tests/clients/h3.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("the HTTP/3 client does not start: run `just setup`")?;
    let mut say = client.stdin.take().context("standard input")?;
    let mut lines = BufReader::new(client.stdout.take().context("standard output")?).lines();
    say.write_all(format!("{}\n", order(stage, moment, count, ca.path())).as_bytes()).await?;
    if moment.is_read() {
        let mut read = HashSet::new();
        while read.len() < count {
            read.insert(said(&mut lines, "data").await?["index"].as_u64());
        }
    }
    stage.asked(count).await?;
    let clock = Clock::read()?;
    say.write_all(match way {
        Way::Close => b"close\n",
        Way::StopReading => b"stop\n",
        _ => b"leave\n",
    })
    .await?;
    let left = said(&mut lines, "left").await?["at"].as_array().context("no times")?.clone();
    let left: Vec<f64> = left.iter().filter_map(Value::as_f64).collect();
    ensure!(left.len() == count, "{} of {count} were left", left.len());
    // Which stream is which at the engine is not known; they are left in one order and freed in about the same.
    let mut freed = stage.freed(count).await?;
    freed.sort_unstable();
    drop(say);
    let ended = timeout(PATIENCE, client.wait()).await.context("the client does not end")??;
    ensure!(ended.success(), "the client ended with {ended}");
    let left = left.into_iter().map(|left| clock.instant(left));
    Ok(freed.into_iter().zip(left).map(|(freed, left)| freed.saturating_duration_since(left)).collect())
}

fn order(stage: &Stage, moment: Moment, count: usize, ca: &std::path::Path) -> Value {
    let (request, address) = (moment.request(), stage.caller.address());
    let body: String = request.body.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = format!("Bearer {}", stage.key);
    json!({
        "host": address.ip().to_string(), "port": address.port(), "ca": ca, "method": "POST", "path": request.path,
        "authority": "localhost", "body": body, "count": count,
        "headers": [["authorization", key], ["content-type", "application/json"]],
    })
}

/// The next line of that kind; others are passed over, but the connection's end is an error.
async fn said(lines: &mut Lines<BufReader<ChildStdout>>, event: &str) -> Result<Value> {
    loop {
        let line =
            timeout(PATIENCE, lines.next_line()).await.with_context(|| format!("no {event:?} in time"))??;
        let line: Value = serde_json::from_str(&line.context("the client has ended")?)?;
        ensure!(line["event"] != "closed" || event == "closed", "the connection was closed: {line}");
        if line["event"] == event {
            return Ok(line);
        }
    }
}

/// Another process's CLOCK_MONOTONIC as an instant of ours, which is of that clock but does not tell it.
struct Clock {
    instant: Instant,
    seconds: f64,
}

impl Clock {
    fn read() -> Result<Self> {
        let time = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?);
        Ok(Self { instant: Instant::now(), seconds: time.as_secs_f64() })
    }

    fn instant(&self, seconds: f64) -> Instant {
        self.instant + Duration::from_secs_f64((seconds - self.seconds).max(0.0))
    }
}
