//! The run from its beginning to its end: rest, load, rest again, and the sentence.
//!
//! Knows the order. Invariant: whatever ends the load early, what was until then is told, and a failure of the harness is a failure.

mod summary;

use std::{
    io::{IsTerminal as _, Write as _},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use ghostllm_tests::sheet::Sheet;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::{sleep, sleep_until},
};

use crate::{
    Plan, chaos, lane,
    stage::Stage,
    watch::{Sample, Watch, notices},
};

/// Everything happens once before the first rest: what is made at its first use is no leak.
const WARM_UP: Duration = Duration::from_secs(20);
/// For engines' connections that rest (`backend_keep_alive`), and for the figures, which may be a second old.
const REST: Duration = Duration::from_secs(5);
/// Until the last connection is gone, and memory has been given back, which is done once a minute.
const LONGEST_REST: Duration = Duration::from_secs(80);
/// What memory at rest may have grown by, in MiB: parts of the heap that are not free as a whole (tests/bench/RESULTS.md has 2 to 3),
/// and a third of it again for the names, series and lists that a longer load fills.
pub(crate) const GROWTH: f64 = 4.0;
/// Threads of the pool for what blocks, such as a look at memory: each ends ten seconds after it was woken last, and two may take turns.
pub(crate) const POOL: f64 = 2.0;
/// A line so often, where nobody looks at a terminal.
const TOLD: Duration = Duration::from_secs(30);

/// How a run went.
pub(crate) struct Run {
    pub(crate) asked_for: Duration,
    /// When the load began and ended.
    pub(crate) load: (f64, f64),
    pub(crate) rests: [Sample; 2],
    pub(crate) sheets: [Sheet; 2],
    pub(crate) early: bool,
}

pub(crate) async fn drive(plan: &Plan) -> Result<()> {
    let stage = Arc::new(Stage::start(plan).await?);
    println!("soak of {}, seed {}; each line is of one moment", minutes(plan.load), plan.seed);
    let (watch, reloads) = (Watch::default(), watch::Sender::new(0));
    let run = tokio::select! {
        run = phases(plan, &stage, &watch, &reloads) => run,
        Err(error) = notices(&stage, &reloads) => Err(error),
        Err(error) = watch.go_on(&stage) => Err(error),
        Err(error) = watch.follow(&stage) => Err(error),
    };
    let run = match run {
        Ok(run) => run,
        Err(error) => {
            stage.set_over(true);
            summary::so_far(&stage);
            return Err(error);
        }
    };
    let mut failed = summary::tell(&stage, &watch, &run);
    let stage = Arc::into_inner(stage).context("somebody still asks")?;
    if let Err(error) = stage.daemon.stop().await {
        println!("FAILED  the daemon does not stop as it should: {error:#}");
        failed += 1;
    }
    ensure!(failed == 0, "{failed} judgements failed");
    Ok(())
}

async fn phases(plan: &Plan, stage: &Arc<Stage>, watch: &Watch, reloads: &watch::Sender<u64>) -> Result<Run> {
    let first = Sheet::of(&stage.daemon).await?;
    let mut early = load(stage, watch, reloads, WARM_UP, 0).await?;
    let before = rest(stage, watch, None).await?;
    let begun = stage.now().as_secs_f64();
    if !early {
        early = load(stage, watch, reloads, plan.load, 1).await?;
    }
    let ended = stage.now().as_secs_f64();
    let after = rest(stage, watch, Some(before)).await?;
    watch.log(stage)?;
    let last = Sheet::of(&stage.daemon).await?;
    let (rests, sheets) = ([before, after], [first, last]);
    Ok(Run { asked_for: plan.load, load: (begun, ended), rests, sheets, early })
}

/// Callers and chaos, for so long; whether somebody has ended it early.
async fn load(
    stage: &Arc<Stage>,
    watch: &Watch,
    reloads: &watch::Sender<u64>,
    lasts: Duration,
    round: u64,
) -> Result<bool> {
    stage.set_over(false);
    let notices = reloads.subscribe();
    let end = tokio::time::Instant::now() + lasts;
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let clock = async {
        let early = tokio::select! {
            () = sleep_until(end) => false,
            _ = interrupt.recv() => true,
            _ = terminate.recv() => true,
            () = progress(stage, watch) => false,
        };
        stage.set_over(true);
        anyhow::Ok(early)
    };
    let work = async {
        let chaos = async {
            let done = chaos::all(stage, &notices, round).await;
            // Nobody asks for more where it has failed.
            stage.set_over(true);
            done
        };
        let (asked, done) = tokio::join!(lane::all(stage, round), chaos);
        asked.and(done)
    };
    let (early, _) = tokio::try_join!(clock, work)?;
    Ok(early)
}

/// Waits until nothing is open any more and, where it is known how that was before, all has come back to it.
async fn rest(stage: &Stage, watch: &Watch, before: Option<Sample>) -> Result<Sample> {
    let begun = Instant::now();
    loop {
        sleep(REST).await;
        let sample = watch.read(|read| read.samples.last().copied()).context("no sample was taken")?;
        // The one who asks, and the admin's follower.
        let quiet = sample.connections <= 2.0 && sample.resting == 0.0 && sample.streams <= 2.0;
        let back = before.is_none_or(|before| {
            sample.files <= before.files
                && sample.threads <= before.threads + POOL
                && sample.rss <= before.rss + GROWTH
        });
        if (quiet && back) || begun.elapsed() > LONGEST_REST {
            stage.daemon.id()?;
            return Ok(sample);
        }
    }
}

/// How it goes, for whoever waits; never ends.
async fn progress(stage: &Stage, watch: &Watch) {
    let live = std::io::stdout().is_terminal();
    let mut before = (stage.now(), stage.ledger.sent());
    loop {
        sleep(if live { Duration::from_secs(1) } else { TOLD }).await;
        let now = (stage.now(), stage.ledger.sent());
        let rate = (now.1 - before.1) as f64 / (now.0 - before.0).as_secs_f64();
        before = now;
        let sample = watch.read(|read| read.samples.last().copied()).unwrap_or_default();
        let all = stage.score().total(None);
        let line = format!(
            "{:>7}  {} of {} as they should be, {rate:.0} a second; {:.1} MiB, {} files, {} connections",
            clock(now.0),
            all.right,
            all.asked,
            sample.rss,
            sample.files,
            sample.connections
        );
        if live {
            print!("\r{line}\x1b[K");
            // Whoever has closed the terminal reads nothing of it.
            drop(std::io::stdout().flush());
        } else {
            println!("{line}");
        }
    }
}

fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

pub(crate) fn minutes(time: Duration) -> String {
    format!("{} min {} s", time.as_secs() / 60, time.as_secs() % 60)
}
