//! SIGKILL at random points of a write load: nothing that was acknowledged is lost, and nothing is torn.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::binary;

use crate::{Steps, names, random::Random};

const KILLS: usize = 1000;
/// Each has a directory of its own; most of the time goes by in waiting for the disk.
const WORKERS: usize = 8;
/// About three writes of a file of 10 kB, so that every point of one is met.
const SPAN: Duration = Duration::from_millis(12);
/// About what a start takes: one kill of eight falls into it.
const START: Duration = Duration::from_millis(30);

/// What was seen.
#[derive(Debug, Default)]
struct Seen {
    kills: usize,
    acknowledged: u64,
    /// Kills that left a half-done write behind: a new file beside the old one, or a copy that is behind.
    within: usize,
    /// Writes that were on the disk before anybody was told.
    untold: usize,
    lost: usize,
    torn: usize,
}

impl Seen {
    fn add(&mut self, other: &Self) {
        self.kills += other.kills;
        self.acknowledged += other.acknowledged;
        self.within += other.within;
        self.untold += other.untold;
        self.lost += other.lost;
        self.torn += other.torn;
    }
}

/// The number in a line of that kind.
fn number(line: &str, kind: &str) -> Option<u64> {
    line.strip_prefix(kind)?.trim().parse().ok()
}

/// One life: what it said, and its log.
fn live_and_die(directory: &Path, random: &mut Random) -> Result<(Vec<String>, String)> {
    let mut child = Command::new(binary("store-writer"))
        .arg("load")
        .arg(directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut output = BufReader::new(child.stdout.take().context("its output")?);
    let mut lines = Vec::new();
    if random.below(8) == 0 {
        thread::sleep(random.time(START));
    } else {
        // It found, and it saved once.
        for _ in 0..2 {
            let mut line = String::new();
            output.read_line(&mut line)?;
            lines.push(line);
        }
        thread::sleep(random.time(SPAN));
    }
    child.kill()?;
    let (mut rest, mut log) = (String::new(), String::new());
    output.read_to_string(&mut rest)?;
    child.stderr.take().context("its log")?.read_to_string(&mut log)?;
    child.wait()?;
    lines.extend(rest.split_inclusive('\n').map(str::to_owned));
    // A line that was cut off has told nobody anything.
    lines.retain(|line| line.ends_with('\n'));
    Ok((lines, log))
}

fn judge(lines: &[String], log: &str, told: &mut u64, seen: &mut Seen) {
    if let Some(found) = lines.iter().find_map(|line| number(line, "found ")) {
        seen.lost += usize::from(found < *told);
        // What nobody was told of may be there; more than the one write that was going on may not.
        seen.torn += usize::from(found > *told + 1);
        seen.untold += usize::from(found == *told + 1);
        *told = found;
    }
    // It says loudly what it cannot read, and takes the copy.
    seen.torn += usize::from(!log.is_empty());
    if let Some(saved) = lines.iter().rev().find_map(|line| number(line, "saved ")) {
        seen.acknowledged += saved - *told;
        *told = saved;
    }
}

fn worker(kills: usize) -> Result<Seen> {
    let scratch = tempfile::tempdir()?;
    let directory = scratch.path().join("state");
    let mut random = Random::new();
    let (mut seen, mut told) = (Seen::default(), 0);
    for _ in 0..kills {
        let (lines, log) = live_and_die(&directory, &mut random)?;
        judge(&lines, &log, &mut told, &mut seen);
        seen.kills += 1;
        ensure!(seen.lost + seen.torn == 0, "told {told}, then it said {lines:?} and wrote:\n{log}");
        let there = names(&directory).unwrap_or_default();
        let text = |name: &str| fs::read(directory.join(name)).ok();
        let half = there.iter().any(|name| name.starts_with(".load"));
        seen.within += usize::from(half || text("load.json") != text("load.json.last"));
        ensure!(!there.iter().any(|name| name.contains(".bad-")), "something was set aside: {there:?}");
    }
    let mut last = Steps::start(&[], &directory)?;
    last.expect("save", "saved ")?;
    last.end()?;
    let there = names(&directory)?;
    ensure!(there == ["load.json", "load.json.last", "lock"], "a write later it is tidy: {there:?}");
    Ok(seen)
}

#[test]
fn a_thousand_kills_lose_nothing_and_tear_nothing() -> Result<()> {
    let begun = Instant::now();
    let workers: Vec<_> = (0..WORKERS).map(|_| thread::spawn(|| worker(KILLS / WORKERS))).collect();
    let mut all = Seen::default();
    for worker in workers {
        all.add(&worker.join().map_err(|_panic| anyhow::anyhow!("a worker panicked"))??);
    }
    println!(
        "{} kills in {:.1} s, {} writes acknowledged; {} kills within a write, {} writes on the disk that nobody was told \
         of; {} lost, {} torn",
        all.kills,
        begun.elapsed().as_secs_f64(),
        all.acknowledged,
        all.within,
        all.untold,
        all.lost,
        all.torn
    );
    ensure!(all.kills == KILLS && all.lost == 0 && all.torn == 0, "{all:?}");
    // Else the kills have met nothing worth killing.
    ensure!(all.within >= KILLS / 10 && all.acknowledged >= KILLS as u64 / 2, "{all:?}");
    Ok(())
}
