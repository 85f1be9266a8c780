//! What it costs to watch eight cards once a second: the share of a core that is ours, beside what the driver's library takes.
//!
//! Knows the threads of this process by what the kernel counts for them, and what the stand-in for NVML has taken by its own word (reading a
//! text file at each call, it is dearer than a driver). Invariant: fails only far beyond what is promised.
#![expect(clippy::print_stdout, reason = "figures are printed")]
#![allow(unsafe_code, reason = "what the stand-in has taken is asked of it by a C call")]

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
/// So long it is measured, after as long as the cards take to be found.
const SECONDS: u64 = 30;
const SETTLED: Duration = Duration::from_secs(5);

type Failing<T> = Result<T, Box<dyn std::error::Error>>;

/// Nanoseconds of processors.
#[derive(Clone, Copy)]
struct Spent {
    all: u64,
    library: u64,
}

fn main() -> Failing<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("libnvidia-ml.so.1");
    fs::write(&path, stand_in()?)?;
    fs::write(folder.path().join("libnvidia-ml.so.1.state"), cards())?;
    let sampler = Sampler::start(
        Options { nvml_library: path.clone(), sysfs_root: folder.path().join("sys"), ..Options::default() },
        Instant::now(),
    )?;
    thread::sleep(SETTLED);
    let mut seen = Vec::with_capacity(CARDS as usize);
    sampler.read(&mut seen);
    assert_eq!(seen.len(), CARDS as usize, "the cards do not answer");
    // The very one that the sampler has loaded: the loader gives the same for the same path.
    // SAFETY: the library is our own stand-in; what it does when it is loaded is nothing.
    let library = unsafe { Library::new(&path) }?;
    let before = spent(&library)?;
    let answers = watch(&sampler, &mut seen);
    let after = spent(&library)?;
    let share = |nanoseconds: u64| nanoseconds as f64 / (SECONDS as f64 * 1e9) * 100.0;
    let library = after.library - before.library;
    let ours = (after.all - before.all).saturating_sub(library);
    println!(
        "{CARDS} cards once a second, {SECONDS} s, {answers} answers: ours {:.3} % of a core ({:.0} us an answer); promised {PROMISED} %\n\
         the library's (a stand-in that reads a text file at each call): {:.3} %",
        share(ours),
        ours as f64 / answers.max(1) as f64 / 1e3,
        share(library),
    );
    assert!(answers >= u64::from(CARDS) * (SECONDS - 2), "they did not answer once a second");
    assert!(share(ours) < PROMISED * 10.0, "more than ten times of what is promised");
    Ok(())
}

/// Reads what is new as the daemon does, and counts the answers.
fn watch(sampler: &Sampler, seen: &mut Vec<Seen>) -> u64 {
    let count = |seen: &[Seen]| seen.iter().map(|seen| seen.number).sum::<u64>();
    let (begun, first, mut known) = (Instant::now(), count(seen), 0);
    while begun.elapsed() < Duration::from_secs(SECONDS) {
        known = sampler.news(known, Duration::from_secs(1));
        sampler.read(seen);
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
