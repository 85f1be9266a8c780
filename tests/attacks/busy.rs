//! Every processor is busy with something else, or the daemon's own threads with large bodies: `/healthz` is answered all the same, over
//! each way of the network and to the service manager's watchdog, which asks it on each thread.

use std::{
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread::available_parallelism,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin,
    client::{Caller, Family, Request, VERSIONS, plain},
    daemon::{Daemon, Setup},
};
use tokio::task::JoinSet;

use crate::support::h3;

/// F-25 of the research on security.
const ANSWERED: Duration = Duration::from_secs(1);
/// Programs that do nothing but use a processor, on each of them.
const EACH: usize = 4;
/// Chats of this size, so many at a time, keep the daemon's own threads busy: each is read whole before it is found that nobody has its
/// model.
const BODY: usize = 1 << 20;
const BODIES: usize = 4;
/// How long it is asked.
const LONG: Duration = Duration::from_secs(5);

/// Programs at work, until this is dropped.
struct Spinning(Vec<Child>);

impl Spinning {
    fn start() -> Result<Self> {
        let count = available_parallelism()?.get() * EACH;
        let mut spinning = Self(Vec::new());
        for _ in 0..count {
            let mut command = Command::new("sh");
            let child = command.args(["-c", "while :; do :; done"]).stdin(Stdio::null()).spawn()?;
            spinning.0.push(child);
        }
        Ok(spinning)
    }
}

impl Drop for Spinning {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // It has not ended by itself.
            let _killed = child.kill();
            let _status = child.wait();
        }
    }
}

/// A daemon of two threads, with a caller for each version. It asks itself four times in the watchdog's time, and names in its status
/// whatever does not answer in a quarter of it.
async fn place() -> Result<(Daemon, Vec<Caller>)> {
    let setup = Setup::backend("ollama", "http://127.0.0.1:1").with_limits("threads = 2");
    let daemon = Daemon::start(&setup.with_environment("WATCHDOG_USEC", "4000000")).await?;
    let mut callers = Vec::new();
    for version in VERSIONS {
        callers.push(Caller::new(&daemon, version, Family::V4).await?);
    }
    Ok((daemon, callers))
}

/// How long an answer takes over HTTP/3 with a new connection, from within this process: the client that other tests use is one of its
/// own, whose start takes a busy machine longer than the answer.
async fn over_quic(caller: &Caller) -> Result<Duration> {
    let begun = Instant::now();
    let quic = h3::dial(caller).await?;
    let _control = h3::control(&quic).await?;
    let came = h3::ask(&quic, &h3::get("/healthz")).await?;
    ensure!(came == h3::Came::Answer(200), "HTTP/3: {came:?}");
    Ok(begun.elapsed())
}

/// Asks for so long, with a new connection each time, and judges the slowest answers over each way.
async fn judge(what: &str, daemon: Daemon, callers: &[Caller]) -> Result<()> {
    let (address, request) = (daemon.plain(false)?, Request::get("/healthz"));
    let (begun, mut asked, mut slowest) = (Instant::now(), 0, [Duration::ZERO; 3]);
    while begun.elapsed() < LONG {
        let one = Instant::now();
        let answer = plain(address, &request).await?;
        ensure!(answer.status == 200, "{}", answer.status);
        slowest[0] = slowest[0].max(one.elapsed());
        asked += 1;
        let (caller, one) = (&callers[asked % 2], Instant::now());
        ensure!(caller.send(&request).await?.status == 200, "{:?}", caller.version());
        slowest[1] = slowest[1].max(one.elapsed());
        slowest[2] = slowest[2].max(over_quic(&callers[2]).await?);
    }
    let [plain, tls, quic] = slowest;
    println!(
        "{what}: of {asked} answers of /healthz each the slowest took {plain:.1?} over the plain port, {tls:.1?} over TLS and {quic:.1?} \
         over HTTP/3, all with new connections"
    );
    ensure!(asked >= 5, "{what}: {asked} were asked for");
    ensure!(slowest.iter().all(|slowest| *slowest <= ANSWERED), "{what}: {slowest:?}");
    ensure!(
        !daemon.stderr().contains("no sign of life"),
        "{what}: the watchdog was late:\n{}",
        daemon.stderr()
    );
    let status = admin::read(&daemon, "status").await?;
    let causes = status["causes"].as_array().context("no causes")?;
    ensure!(causes.iter().all(|cause| cause["code"] != "hangs"), "{what}: {causes:?}");
    daemon.stop().await
}

#[tokio::test]
async fn healthz_is_answered_within_a_second_with_every_processor_busy() -> Result<()> {
    let (daemon, callers) = place().await?;
    let _spinning = Spinning::start()?;
    judge(&format!("{EACH} busy programs on each processor"), daemon, &callers).await
}

#[tokio::test]
async fn healthz_is_answered_within_a_second_beside_large_bodies() -> Result<()> {
    let (daemon, callers) = place().await?;
    let request = Request::chat("tiny", &"x".repeat(BODY), false);
    let (mut load, taken) = (JoinSet::new(), Arc::<AtomicUsize>::default());
    for _ in 0..BODIES {
        let (caller, request, taken) = (callers[0].clone(), request.clone(), Arc::clone(&taken));
        load.spawn(async move {
            while caller.send(&request).await.is_ok() {
                taken.fetch_add(1, Relaxed);
            }
        });
    }
    judge(&format!("{BODIES} bodies of 1 MiB at a time"), daemon, &callers).await?;
    let taken = taken.load(Relaxed);
    println!("{taken} bodies were read meanwhile");
    ensure!(taken >= BODIES * 2, "{taken} bodies were read");
    Ok(())
}
