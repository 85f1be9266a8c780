//! What it costs to watch eight cards once a second: the share of a core that is ours, beside what the driver's library takes.
//!
//! Knows the threads of this process by what the kernel counts for them, and what the stand-in for NVML has taken by its own word (reading a
//! text file at each call, it is dearer than a driver). Invariants: what is judged is the median of rounds, beside what is promised and beside the
//! same rounds with nothing watched; fails where it is beyond the promise by more than the rounds differ.
#![expect(clippy::print_stdout, reason = "figures are printed")]
#![expect(unsafe_code, reason = "what the stand-in has taken is asked of it by a C call")]

use std::{
    env, fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use ghostllm_gpu::{Options, Sampler, Seen};
use libloading::Library;

/// What is promised: so much of a core, in percent, without the library's time.
const PROMISED: f64 = 0.2;
const CARDS: u32 = 8;
/// So many rounds of so many seconds, after as long as the cards take to be found.
const ROUNDS: usize = 9;
const SECONDS: u64 = 5;
const SETTLED: Duration = Duration::from_secs(5);

type Failing<T> = Result<T, Box<dyn std::error::Error>>;

/// Nanoseconds of processors.
#[derive(Clone, Copy)]
struct Spent {
    all: u64,
    library: u64,
}

/// A round.
struct Round {
    /// What is ours of a core, in percent.
    ours: f64,
    /// What the library has taken, likewise.
    library: f64,
    answers: u64,
}

fn main() -> Failing<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("libnvidia-ml.so.1");
    fs::write(&path, stand_in()?)?;
    fs::write(folder.path().join("libnvidia-ml.so.1.state"), cards())?;
    // The very one that the sampler will load: the loader gives the same for the same path.
    // SAFETY: the library is our own stand-in; what it does when it is loaded is nothing.
    let library = unsafe { Library::new(&path) }?;
    let mut seen = Vec::with_capacity(CARDS as usize);
    let nothing = rounds(&library, None, &mut seen)?;
    let options = Options { nvml_library: path, sysfs_root: folder.path().join("sys"), ..Options::default() };
    let sampler = Sampler::start(options, Instant::now())?;
    thread::sleep(SETTLED);
    sampler.read(&mut seen);
    assert_eq!(seen.len(), CARDS as usize, "the cards do not answer");
    let watching = rounds(&library, Some(&sampler), &mut seen)?;
    judged(&nothing, &watching);
    Ok(())
}

/// Prints both, and fails where the promise is not kept.
fn judged(nothing: &[Round], watching: &[Round]) {
    let spread = |rounds: &[Round]| {
        let (least, middle, most) = ends(rounds.iter().map(|round| round.ours));
        (middle, (middle - least).max(most - middle))
    };
    let ((idle, idle_off), (ours, off)) = (spread(nothing), spread(watching));
    let answers: u64 = watching.iter().map(|round| round.answers).sum();
    let seconds = ROUNDS as u64 * SECONDS;
    let (_, library, _) = ends(watching.iter().map(|round| round.library));
    let noise = idle_off.max(off);
    println!(
        "{CARDS} cards once a second, {ROUNDS} rounds of {SECONDS} s, {answers} answers; medians, and how far a round is from them\n\
         with nothing watched:  {idle:.4} % of a core (+- {idle_off:.4})\n\
         ours:                  {ours:.4} % of a core (+- {off:.4}), {:.0} us an answer\n\
         the library's:         {library:.4} % (a stand-in that reads a text file at each call)\n\
         measured: {ours:.4} %, noise floor {noise:.4} %; promised: {PROMISED} %",
        ours / 100.0 * seconds as f64 / answers.max(1) as f64 * 1e6,
    );
    assert!(answers >= u64::from(CARDS) * (seconds - ROUNDS as u64), "they did not answer once a second");
    assert!(ours <= PROMISED + noise, "beyond what is promised by more than the noise");
}

/// The least, the middle and the most of them.
fn ends(values: impl Iterator<Item = f64>) -> (f64, f64, f64) {
    let mut all: Vec<f64> = values.collect();
    all.sort_by(f64::total_cmp);
    let at = |place: usize| all.get(place).copied().unwrap_or(f64::NAN);
    (at(0), at(all.len() / 2), at(all.len().saturating_sub(1)))
}

/// What the rounds cost, in which the daemon's part of it is done: by this sampler, or by none.
fn rounds(library: &Library, sampler: Option<&Sampler>, seen: &mut Vec<Seen>) -> Failing<Vec<Round>> {
    let round = |_: usize| -> Failing<Round> {
        let (begun, before) = (Instant::now(), spent(library)?);
        let answers = watch(sampler, seen);
        let (took, after) = (begun.elapsed().as_nanos() as f64, spent(library)?);
        let share = |nanoseconds: u64| nanoseconds as f64 / took * 100.0;
        let theirs = after.library - before.library;
        let ours = (after.all - before.all).saturating_sub(theirs);
        Ok(Round { ours: share(ours), library: share(theirs), answers })
    };
    (0..ROUNDS).map(round).collect()
}

/// Reads what is new as the daemon does, and counts the answers.
fn watch(sampler: Option<&Sampler>, seen: &mut Vec<Seen>) -> u64 {
    let count = |seen: &[Seen]| seen.iter().map(|seen| seen.number).sum::<u64>();
    let (begun, first, mut known) = (Instant::now(), count(seen), 0);
    while begun.elapsed() < Duration::from_secs(SECONDS) {
        match sampler {
            Some(sampler) => {
                known = sampler.news(known, Duration::from_secs(1));
                sampler.read(seen);
            }
            // As long as once a second would take.
            None => thread::sleep(Duration::from_secs(1)),
        }
        // As the daemon, which looks at once at what several cards say at once.
        thread::sleep(Duration::from_millis(25));
    }
    count(seen) - first
}

fn spent(library: &Library) -> Failing<Spent> {
    // SAFETY: that is its signature in the stand-in, `extern "C" fn() -> u64`.
    let ask = unsafe { library.get::<extern "C" fn() -> u64>(b"ghostllm_fake_nvml_spent") }?;
    Ok(Spent { all: threads()?, library: ask() })
}

/// Of all threads of this process (proc(5), `schedstat`: nanoseconds on a processor first).
fn threads() -> Failing<u64> {
    let on_processor = |task: &Path| -> Option<u64> {
        fs::read_to_string(task.join("schedstat")).ok()?.split(' ').next()?.parse().ok()
    };
    let tasks = fs::read_dir("/proc/self/task")?;
    Ok(tasks.flatten().filter_map(|task| on_processor(&task.path())).sum())
}

/// The stand-in's file, where cargo has put it.
fn stand_in() -> Failing<Vec<u8>> {
    let built = env::current_exe()?.with_file_name("libghostllm_fake_nvml.so");
    // Whole, with all its symbols; asked so that cargo builds it.
    Ok(ghostllm_fake_nvml::without(fs::read(built)?, &[])?)
}

fn cards() -> String {
    let card = |card: u32| {
        format!(
            "{card}.name=Card\n{card}.temperature=50\n{card}.gpu_max=90\n{card}.slowdown=95\n{card}.shutdown=110\n\
             {card}.memory=25769803776\n{card}.reasons=4\n{card}.power=100000\n{card}.limit=300000\n{card}.fan=30\n\
             {card}.sm=1500\n{card}.mem=9000\n{card}.busy=80\n{card}.energy=1000\n{card}.processes=1:2,3:4\n"
        )
    };
    format!("driver=580.95.05\ncount={CARDS}\n{}", (0..CARDS).map(card).collect::<String>())
}
