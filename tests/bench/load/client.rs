//! The client process: one run, as ordered on standard input, reported on standard output.
//!
//! Knows how a run is made. Refuses to know whom it asks. Invariants: one thread, so that it takes as little as can be of
//! what the proxy needs; a request that fails ends the run, since a figure with failures in it says nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures_util::{StreamExt as _, future::try_join_all, stream};
use ghostllm_tests::kept::{Body, Dialer, Sender};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    sync::{Mutex, mpsc},
};

use crate::{
    clock,
    order::{Line, Order, Outcome, Run, Version},
};

/// Until a run is measured: connections are made, pools filled.
const WARM_UP: Duration = Duration::from_millis(300);
/// How many streams are opened at the same time.
const OPENING: usize = 32;
/// How many connections. The packets of more handshakes than that may not fit into a UDP socket's receive buffer (212 KiB where
/// nobody has raised `net.core.rmem_max`) while its reader waits for a processor.
const DIALLING: usize = 8;
/// Requests at the same time, at the most, where a rate is kept.
const PACED_CROWD: usize = 64;

/// Takes an order from standard input, and obeys.
pub(crate) async fn serve() -> Result<()> {
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    let order: Order = serde_json::from_str(&input.next_line().await?.context("no order")?)?;
    let dialer = Dialer::new(&order.place)?;
    let version = order.place.version;
    let outcome = match order.run {
        Run::Closed { crowd, seconds } => closed(&dialer, version, crowd, seconds).await?,
        Run::Paced { rate, seconds } => paced(&dialer, version, rate, seconds).await?,
        Run::Events { streams, events, apart_ms } => {
            let model = format!("events-{events}-{apart_ms}");
            let senders = senders(&dialer, version.connections(streams), streams).await?;
            say(&Line::Begun)?;
            events_of(&dialer, senders, &model, false).await?
        }
        Run::Burst { streams } => {
            let senders = senders(&dialer, version.fewest(streams), streams).await?;
            say(&Line::Begun)?;
            events_of(&dialer, senders, "events-2-20", true).await?
        }
        Run::Prompts { bytes, count } => prompts(&dialer, bytes, count).await?,
        Run::Hold { streams } => {
            let senders = senders(&dialer, version.fewest(streams), streams).await?;
            let held = hold(&dialer, senders).await?;
            say(&Line::Held)?;
            input.next_line().await?;
            drop(held);
            Outcome::default()
        }
        Run::Idle { connections } => {
            let senders = senders(&dialer, connections, connections).await?;
            let asked =
                stream::iter(&senders).map(|sender| ask_whole(&dialer, sender)).buffer_unordered(OPENING);
            asked.collect::<Vec<_>>().await.into_iter().collect::<Result<Vec<_>>>()?;
            say(&Line::Held)?;
            input.next_line().await?;
            drop(senders);
            Outcome::default()
        }
    };
    say(&Line::Done(outcome))
}

fn say(line: &Line) -> Result<()> {
    crate::say(&serde_json::to_string(line)?)
}

/// A chat request's body; everything that a client usually says, and no more.
fn chat(model: &str, prompt: &str, stream: bool) -> Bytes {
    let body = serde_json::json!({
        "model": model, "stream": stream, "temperature": 0.7, "max_tokens": 64,
        "messages": [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": prompt}],
    });
    Bytes::from(body.to_string())
}

/// So many connections, dealt out to so many workers.
async fn senders(dialer: &Dialer, connections: usize, workers: usize) -> Result<Vec<Sender>> {
    let dialled = stream::iter(0..connections).map(|_| dialer.dial()).buffer_unordered(DIALLING);
    let dialled: Vec<Sender> = dialled.collect::<Vec<_>>().await.into_iter().collect::<Result<_>>()?;
    Ok(dialled.into_iter().cycle().take(workers).collect())
}

async fn ask_whole(dialer: &Dialer, sender: &Sender) -> Result<()> {
    let mut body =
        sender.ask(dialer.request(&chat("whole", "What is the capital of France?", false))?).await?;
    ensure!(body.finish().await? > 100, "the answer is too short");
    Ok(())
}

/// Where a run is: warming up, measured, over.
#[derive(Default)]
struct Phase {
    measured: AtomicBool,
    over: AtomicBool,
}

impl Phase {
    /// Lasts as long as the run does; gives the measured time in seconds.
    async fn pass(&self, seconds: f64) -> Result<f64> {
        tokio::time::sleep(WARM_UP).await;
        self.measured.store(true, Relaxed);
        say(&Line::Begun)?;
        let begun = Instant::now();
        tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        self.over.store(true, Relaxed);
        Ok(begun.elapsed().as_secs_f64())
    }
}

async fn closed(dialer: &Dialer, version: Version, crowd: usize, seconds: f64) -> Result<Outcome> {
    let senders = senders(dialer, version.connections(crowd), crowd).await?;
    let phase = Phase::default();
    let workers = try_join_all(senders.iter().map(|sender| async {
        let mut taken = Vec::new();
        while !phase.over.load(Relaxed) {
            let begun = Instant::now();
            ask_whole(dialer, sender).await?;
            if phase.measured.load(Relaxed) && !phase.over.load(Relaxed) {
                taken.push(micros(begun));
            }
        }
        anyhow::Ok(taken)
    }));
    let (taken, seconds) = tokio::try_join!(workers, phase.pass(seconds))?;
    Ok(Outcome::of(taken.concat(), seconds))
}

async fn paced(dialer: &Dialer, version: Version, rate: u32, seconds: f64) -> Result<Outcome> {
    let senders = senders(dialer, version.connections(PACED_CROWD), PACED_CROWD).await?;
    let phase = Arc::new(Phase::default());
    let due = Mutex::new(pace(rate, Arc::clone(&phase)));
    let workers = try_join_all(senders.iter().map(|sender| async {
        let mut taken = Vec::new();
        loop {
            let next = due.lock().await.recv().await;
            let Some(begun) = next else { return anyhow::Ok(taken) };
            let measured = phase.measured.load(Relaxed);
            ask_whole(dialer, sender).await?;
            if measured {
                taken.push(micros(begun));
            }
        }
    }));
    let (taken, seconds) = tokio::try_join!(workers, phase.pass(seconds))?;
    Ok(Outcome::of(taken.concat(), seconds))
}

/// Tells when each request is due. A thread of its own, since the runtime's clock ticks in milliseconds.
fn pace(rate: u32, phase: Arc<Phase>) -> mpsc::UnboundedReceiver<Instant> {
    let (say, due) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let mut next = Instant::now();
        while !phase.over.load(Relaxed) && say.send(next).is_ok() {
            next += Duration::from_secs(1) / rate;
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    });
    due
}

/// Times each event, or the first of each stream alone.
async fn events_of(dialer: &Dialer, senders: Vec<Sender>, model: &str, first: bool) -> Result<Outcome> {
    let request = chat(model, "Count.", true);
    let begun = Instant::now();
    let streams = try_join_all(senders.iter().map(|sender| async {
        let mut body = sender.ask(dialer.request(&request)?).await?;
        let (mut taken, mut unread) = (Vec::new(), String::new());
        while let Some(piece) = body.piece().await? {
            unread.push_str(std::str::from_utf8(&piece)?);
            taken.extend(marks(&mut unread));
        }
        ensure!(!taken.is_empty(), "a stream without an event");
        taken.truncate(if first { 1 } else { usize::MAX });
        Ok(taken)
    }));
    Ok(Outcome::of(streams.await?.concat(), begun.elapsed().as_secs_f64()))
}

/// How long ago the events of this text were written: each has the time between two at-signs. A packet ends anywhere: the
/// half of one stays for the next piece.
fn marks(text: &mut String) -> Vec<f64> {
    let half = (text.matches('@').count() % 2 == 1).then(|| text.rfind('@')).flatten();
    let unread = text.split_off(half.unwrap_or(text.len()));
    let whole = std::mem::replace(text, unread);
    let marks = whole.split('@').skip(1).step_by(2);
    marks.filter_map(|mark| Some(clock::micros_since(mark.parse().ok()?))).collect()
}

async fn prompts(dialer: &Dialer, bytes: usize, count: usize) -> Result<Outcome> {
    let sender = dialer.dial().await?;
    // Not one byte over and over: a prompt is text.
    let prompt = "The quick brown fox jumps over the lazy dog. \"Twice\"\n".repeat(bytes / 50 + 1);
    let request = chat("whole", prompt.get(..bytes).context("too short")?, false);
    let mut taken = Vec::new();
    let mut begun = Instant::now();
    for nth in 0..=count {
        if nth == 1 {
            say(&Line::Begun)?;
            begun = Instant::now();
        }
        let asked = Instant::now();
        sender.ask(dialer.request(&request)?).await?.finish().await?;
        if nth > 0 {
            taken.push(micros(asked));
        }
    }
    Ok(Outcome::of(taken, begun.elapsed().as_secs_f64()))
}

async fn hold(dialer: &Dialer, senders: Vec<Sender>) -> Result<Vec<(Body, Sender)>> {
    let request = chat("hold", "Wait.", true);
    let request = &request;
    let opened = stream::iter(senders).map(|sender| async move {
        let mut body = sender.ask(dialer.request(request)?).await?;
        ensure!(body.piece().await?.is_some(), "a stream without an event");
        Ok((body, sender))
    });
    opened.buffer_unordered(OPENING).collect::<Vec<_>>().await.into_iter().collect()
}

fn micros(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e6
}
