//! The driver: starts everybody, gives each subject its turn, and gathers the figures.

use std::{io::Write as _, net::SocketAddr, path::PathBuf, process::Stdio};

use anyhow::{Context, Result, bail, ensure};
use ghostllm_tests::daemon::{Daemon, Setup};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::{
    memory,
    order::{Line, Order, Outcome, Run, Version},
    results::{self, Figure, Results},
    subject::{Kind, Stage, Subject},
};

/// Requests in flight where throughput is measured.
const CROWD: usize = 32;
/// Streams whose events are timed, of 100 events each, 20 ms apart.
const STREAMS: usize = 32;
const EVENTS: usize = 100;
const APART_MS: u64 = 20;
/// Streams that are opened at once while no connection to the engine rests.
const COLD: usize = 200;

/// How much is measured.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
    /// Streams held open, on HTTP/1.1 half as many: each takes two descriptors of a proxy's 20,000.
    pub(crate) streams: usize,
    pub(crate) write: bool,
    /// No more than these, by a part of their name; all if empty.
    pub(crate) only: Vec<String>,
    /// The daemon to measure, where it is not the one beside this.
    pub(crate) program: Option<PathBuf>,
    /// Without what is measured once: memory, start.
    pub(crate) turns_only: bool,
}

impl Plan {
    /// Of the command line. What Cargo adds (`--bench`) is passed over.
    pub(crate) fn from_arguments() -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let has = |name: &str| arguments.iter().any(|argument| argument == name);
        let only =
            arguments.iter().filter_map(|argument| argument.strip_prefix("--only=")).map(str::to_owned);
        let value =
            |name: &str| arguments.iter().find_map(|argument| argument.strip_prefix(name)?.strip_prefix('='));
        let (rounds, seconds, streams) = if has("--quick") { (1, 0.5, 1000) } else { (5, 2.0, 10_000) };
        Self {
            rounds: value("--rounds").and_then(|text| text.parse().ok()).unwrap_or(rounds),
            seconds: value("--seconds").and_then(|text| text.parse().ok()).unwrap_or(seconds),
            streams,
            write: has("--write"),
            only: only.collect(),
            program: value("--program").map(PathBuf::from),
            turns_only: has("--turns"),
        }
    }

    pub(crate) fn wants(&self, kind: Kind) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| kind.to_string().contains(name.as_str()))
    }
}

/// One run of a client, and what it cost the subject.
pub(crate) struct Measured {
    pub(crate) outcome: Outcome,
    pub(crate) cpu_micros: f64,
}

pub(crate) async fn drive(plan: &Plan) -> Result<()> {
    let (backend, address) = spawn_backend().await?;
    let scratch = tempfile::tempdir()?;
    // A daemon's certificate serves all.
    let authority = Daemon::start(&Setup::backend("openai", &format!("http://{address}"))).await?;
    let (certificate, ca) = (authority.state("ca/server.pem"), authority.state("ca/ca.pem"));
    let stage = Stage {
        backend: address,
        program: plan.program.clone(),
        backend_id: backend.id().context("the engine has ended")?,
        certificate: &certificate,
        ca: &ca,
        scratch: scratch.path(),
    };
    let mut results = Results::default();
    rounds(plan, &stage, &mut results).await?;
    if !plan.turns_only {
        // What follows takes as long again: whoever ends it early has this.
        results::show(&results);
        memory::measure(plan, &stage, &mut results).await?;
    }
    results::tell(plan, &results)?;
    drop(authority);
    Ok(())
}

async fn spawn_backend() -> Result<(Child, SocketAddr)> {
    let mut backend = Command::new(std::env::current_exe()?)
        .arg("backend")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("the engine does not start")?;
    let mut lines = BufReader::new(backend.stdout.take().context("standard output")?).lines();
    let address = lines.next_line().await?.context("the engine has ended")?.parse()?;
    Ok((backend, address))
}

async fn rounds(plan: &Plan, stage: &Stage<'_>, results: &mut Results) -> Result<()> {
    let mut subjects = Vec::new();
    for kind in
        [Kind::Direct, Kind::Passthrough, Kind::OneThread, Kind::Translated, Kind::Nginx, Kind::Haproxy]
    {
        if kind == Kind::Direct || plan.wants(kind) {
            subjects.push(Subject::start(kind, stage).await.with_context(|| kind.to_string())?);
        }
    }
    for round in 1..=plan.rounds {
        print!("round {round} of {}:", plan.rounds);
        for subject in &subjects {
            for version in subject.kind.versions() {
                print!(" {} {version}", subject.kind);
                std::io::stdout().flush()?;
                turn(plan, subject, *version, results)
                    .await
                    .with_context(|| format!("{} {version}", subject.kind))?;
            }
        }
        println!();
        results.add_to_direct();
    }
    Ok(())
}

/// Everything that is measured again and again, of one subject on one version.
async fn turn(plan: &Plan, subject: &Subject, version: Version, results: &mut Results) -> Result<()> {
    let mut add = |figure, value| results.add(figure, subject.kind, version, value);
    let seconds = plan.seconds;
    // First, since nothing may have warmed up the connections to the engine for it.
    let cold = run(subject, version, Run::Burst { streams: COLD }).await?.outcome;
    add(Figure::ColdP50, cold.p50 / 1000.0);
    add(Figure::ColdLongest, cold.longest / 1000.0);
    let closed = run(subject, version, Run::Closed { crowd: CROWD, seconds }).await?;
    add(Figure::Rate, closed.outcome.count as f64 / closed.outcome.seconds);
    add(Figure::CpuRequest, closed.cpu_micros / closed.outcome.count as f64);
    for (rate, p50, p99) in
        [(100, Figure::P50At100, Figure::P99At100), (1000, Figure::P50At1000, Figure::P99At1000)]
    {
        let paced = run(subject, version, Run::Paced { rate, seconds }).await?;
        add(p50, paced.outcome.p50);
        add(p99, paced.outcome.p99);
        if rate == 1000 {
            add(Figure::CpuPaced, paced.cpu_micros / paced.outcome.count as f64);
        }
    }
    let events = Run::Events { streams: STREAMS, events: EVENTS, apart_ms: APART_MS };
    let events = run(subject, version, events).await?;
    add(Figure::EventP50, events.outcome.p50);
    add(Figure::EventP99, events.outcome.p99);
    add(Figure::CpuEvent, events.cpu_micros / events.outcome.count as f64);
    let prompts = run(subject, version, Run::Prompts { bytes: 1_000_000, count: 20 }).await?;
    add(Figure::CpuPrompt, prompts.cpu_micros / prompts.outcome.count as f64 / 1000.0);
    Ok(())
}

async fn run(subject: &Subject, version: Version, run: Run) -> Result<Measured> {
    let mut client = Client::start(subject, version, run).await?;
    ensure!(matches!(client.next().await?, Line::Begun), "the client did not begin");
    let before = subject.tree.cpu_micros()?;
    let Line::Done(outcome) = client.next().await? else { bail!("the client did not end") };
    let cpu_micros = subject.tree.cpu_micros()? - before;
    ensure!(outcome.count > 0, "nothing was measured");
    Ok(Measured { outcome, cpu_micros })
}

/// A client process.
pub(crate) struct Client {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Client {
    pub(crate) async fn start(subject: &Subject, version: Version, run: Run) -> Result<Self> {
        let order = Order { place: subject.place(version)?.clone(), run };
        let mut child = Command::new(std::env::current_exe()?)
            .arg("client")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("the client does not start")?;
        let mut input = child.stdin.take().context("standard input")?;
        input.write_all(format!("{}\n", serde_json::to_string(&order)?).as_bytes()).await?;
        let lines = BufReader::new(child.stdout.take().context("standard output")?).lines();
        Ok(Self { child, input, lines })
    }

    pub(crate) async fn next(&mut self) -> Result<Line> {
        let line = self.lines.next_line().await?.context("the client has failed; its error stands above")?;
        Ok(serde_json::from_str(&line)?)
    }

    /// Lets it end what it holds, and waits until it has.
    pub(crate) async fn go_on(mut self) -> Result<()> {
        self.input.write_all(b"\n").await?;
        ensure!(matches!(self.next().await?, Line::Done(_)), "the client did not end");
        self.child.wait().await?;
        Ok(())
    }
}
