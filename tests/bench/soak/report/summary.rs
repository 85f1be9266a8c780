//! The table at the end, and what is judged: each judgement with the figure that it is judged by.

use std::time::Duration;

use ghostllm_tests::soak::slope::{Slope, theil_sen};

use super::{GROWTH, POOL, Run, minutes};
use crate::{
    chaos::REFUSED,
    mix::Kind,
    stage::Stage,
    watch::{Sample, Watch},
};

/// Of a thousand answers, so many must be as they should be.
const RIGHT: f64 = 999.0;
/// Of memory, in MiB an hour; a run that is shorter than this tells too little of it.
const SLOPE: f64 = 1.0;
const LONG: Duration = Duration::from_secs(30 * 60);

const KINDS: [Kind; 16] = [
    Kind::Whole,
    Kind::Streamed,
    Kind::Slow,
    Kind::Leaves,
    Kind::Fails,
    Kind::Mortal,
    Kind::Spare,
    Kind::Reads,
    Kind::WrongKey,
    Kind::Malformed,
    Kind::TooLarge,
    Kind::Unknown,
    Kind::Keys,
    Kind::Cancelled,
    Kind::Admin,
    Kind::Reload,
];
const COLUMNS: [&str; 5] = ["plain", "h1", "h2", "h3", "socket"];

/// Prints all of it; how many judgements have failed.
pub(super) fn tell(stage: &Stage, watch: &Watch, run: &Run) -> usize {
    let lasted = Duration::from_secs_f64((run.load.1 - run.load.0).max(0.0));
    let early = if run.early { ", ended early" } else { "" };
    println!("\n{} of {}{early}, seed {}", minutes(lasted), minutes(run.asked_for), stage.seed);
    so_far(stage);
    let judged = [answers(stage, lasted), records(stage, watch, run), resources(watch, run, lasted)].concat();
    for Judged(fine, text) in &judged {
        println!("{}  {text}", if *fine { "ok    " } else { "FAILED" });
    }
    judged.iter().filter(|judged| !judged.0).count()
}

/// What was asked, what was done meanwhile, and what was wrong.
pub(super) fn so_far(stage: &Stage) {
    println!();
    table(stage);
    let score = stage.score();
    let done: Vec<String> = score.done.iter().map(|(what, times)| format!("{times} {what}")).collect();
    println!("\nmeanwhile: {}", done.join(", "));
    score.wrong.iter().for_each(|wrong| println!("\n{wrong}"));
    println!();
}

fn table(stage: &Stage) {
    let score = stage.score();
    let count =
        |kind, column: &str| score.counts.get(&(kind, column.to_owned())).map_or(0, |count| count.asked);
    println!(
        "{:<32}{:>9}{:>9}{:>9}{:>9}{:>9}{:>10}{:>7}",
        "asked over", "plain", "h1", "h2", "h3", "socket", "all", "wrong"
    );
    for kind in KINDS {
        let all = score.total(Some(kind));
        print!("{:<32}", kind.words());
        COLUMNS.iter().for_each(|column| print!("{:>9}", count(kind, column)));
        println!("{:>10}{:>7}", all.asked, all.asked - all.right);
    }
    let all = score.total(None);
    print!("{:<32}", "all");
    for column in COLUMNS {
        print!("{:>9}", KINDS.iter().map(|kind| count(*kind, column)).sum::<u64>());
    }
    println!("{:>10}{:>7}", all.asked, all.asked - all.right);
}

/// Whether it is fine, and in words.
#[derive(Clone)]
struct Judged(bool, String);

fn answers(stage: &Stage, lasted: Duration) -> Vec<Judged> {
    let score = stage.score();
    let all = score.total(None);
    let part = all.right as f64 / all.asked as f64 * 1000.0;
    let rate = all.asked as f64 / (lasted + super::WARM_UP).as_secs_f64();
    vec![
        Judged(
            part >= RIGHT,
            format!(
                "{} of {} answers as they should be, {:.3} % (wanted {:.1}); {rate:.0} a second",
                all.right,
                all.asked,
                part / 10.0,
                RIGHT / 10.0
            ),
        ),
        Judged(
            score.lost == 0,
            format!("{} streams or answers with something missing, twice or out of place", score.lost),
        ),
    ]
}

fn records(stage: &Stage, watch: &Watch, run: &Run) -> Vec<Judged> {
    let [first, last] = &run.sheets;
    let amiss = stage.ledger.unrecorded();
    let (miscounted, unheard) = (stage.ledger.miscounted(first, last), stage.ledger.unheard());
    let (sent, records) = (stage.ledger.sent(), stage.ledger.records());
    let (events, gaps, panics, unread) =
        watch.read(|read| (read.events, read.gaps, read.panics, read.unread));
    let (levels, odd, refusals) = watch.read(|read| (read.levels.clone(), read.odd.clone(), read.refusals));
    let refused = stage.score().done.get(REFUSED).copied().unwrap_or_default();
    let sum = |name: &str| last.sum(name, &[]);
    let lost = sum("ghostllm_log_records_lost_total");
    let told_lost = sum("ghostllm_events_lost_total");
    let panicked = sum("ghostllm_request_panics_total");
    let (restarts, failing) = (sum("ghostllm_task_restarts_total"), sum("ghostllm_tasks_failing"));
    vec![
        Judged(
            amiss.is_empty() && lost == 0.0,
            format!(
                "{sent} requests, {records} records of them, {lost} lost by the log; {unheard} left before their heads were read{}",
                list(&amiss)
            ),
        ),
        Judged(miscounted.is_empty(), format!("its counters agree with what was sent{}", list(&miscounted))),
        Judged(
            gaps == 0 && told_lost == 0.0,
            format!(
                "{events} events for the admin, {gaps} gaps between them, {told_lost} lost by its own count"
            ),
        ),
        Judged(
            panicked == 0.0 && panics == 0 && restarts == 0.0 && failing == 0.0,
            format!(
                "{panicked} requests panicked, {panics} lines of panics, {restarts} tasks restarted, {failing} failing"
            ),
        ),
        Judged(odd.is_empty(), format!("lines of the log by level: {levels:?}{}", list(&odd))),
        Judged(
            refusals as u64 == refused,
            format!(
                "{refusals} of the errors name a configuration that was not taken, of which there were {refused}"
            ),
        ),
        Judged(unread == 0, format!("{unread} of its figures could not be read")),
    ]
}

fn list(texts: &[String]) -> String {
    texts.iter().map(|text| format!("\n          {text}")).collect()
}

fn resources(watch: &Watch, run: &Run, lasted: Duration) -> Vec<Judged> {
    let [before, after] = run.rests;
    let (begun, ended) = run.load;
    let (samples, most) = watch.read(|read| {
        let loaded: Vec<Sample> =
            read.samples.iter().filter(|sample| (begun..=ended).contains(&sample.at)).copied().collect();
        let most = loaded.iter().fold(Sample::default(), |most, sample| Sample {
            rss: most.rss.max(sample.rss),
            files: most.files.max(sample.files),
            connections: most.connections.max(sample.connections),
            threads: most.threads.max(sample.threads),
            ..most
        });
        (loaded, most)
    });
    let half = samples.iter().filter(|sample| sample.at > f64::midpoint(begun, ended));
    let slope = theil_sen(&half.map(|sample| (sample.at, sample.rss)).collect::<Vec<_>>());
    let same = |name: &str, more: f64, before: f64, most: f64, after: f64| {
        let may = if more > 0.0 { format!(" (no more than {more} more)") } else { String::new() };
        let text = format!("{name} at rest: {before} before, {after} after{may}, {most} at the most");
        Judged(after <= before + more, text)
    };
    let busy = (after.cpu_seconds - before.cpu_seconds) / lasted.as_secs_f64().max(1.0) * 100.0;
    vec![
        same("files", 0.0, before.files, most.files, after.files),
        same("connections", 0.0, before.connections, most.connections, after.connections),
        same("threads", POOL, before.threads, most.threads, after.threads),
        Judged(
            after.rss <= before.rss + GROWTH,
            format!(
                "memory at rest: {:.1} MiB before, {:.1} after (no more than {GROWTH} more), {:.1} at the most",
                before.rss, after.rss, most.rss
            ),
        ),
        slope_of(slope, lasted),
        Judged(true, format!("the daemon took {busy:.0} % of one processor")),
    ]
}

fn slope_of(slope: Option<Slope>, lasted: Duration) -> Judged {
    let Some(Slope { per_hour, low, high }) = slope else {
        return Judged(true, "memory's slope: too few samples".to_owned());
    };
    let long = lasted >= LONG;
    let text = if long { format!("wanted below {SLOPE}") } else { "too short a run to judge".to_owned() };
    Judged(
        !long || per_hour < SLOPE,
        format!(
            "memory over the second half: {per_hour:+.2} MiB an hour, with 95 % {low:+.2} to {high:+.2} ({text})"
        ),
    )
}
