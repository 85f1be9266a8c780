//! What sampling allocates: nothing.
//!
//! Invariant: alone in its program, since what allocates is counted for all threads. The stand-in for NVML has an allocator of its own, so
//! that what it does is not counted, as what the real one does would not be.

use std::{
    alloc::System,
    env, fs,
    time::{Duration, Instant},
};

use ghostllm_fake_nvml as _;
use ghostllm_gpu::{Options, Sampler, Seen};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Waits until each has answered so often.
fn until(sampler: &Sampler, seen: &mut Vec<Seen>, number: u64) {
    let (began, mut news) = (Instant::now(), 0);
    loop {
        sampler.read(seen);
        if seen.len() == 8 && seen.iter().all(|seen| seen.number >= number) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "they do not answer");
        news = sampler.news(news, Duration::from_millis(50));
    }
}

#[test]
fn rounds_of_eight_cards_allocate_nothing_also_when_questions_fail() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libnvidia-ml.so.1");
    let built = fs::read(env::current_exe().unwrap().with_file_name("libghostllm_fake_nvml.so")).unwrap();
    // Two that an old driver lacks: the wrapper makes a text of that, which is to be done once.
    let lacking = ["nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetNumFans"];
    fs::write(&library, ghostllm_fake_nvml::without(built, &lacking).unwrap()).unwrap();
    let cards: String = (0..8)
        .map(|card| {
            format!(
                "{card}.name=Card\n{card}.temperature=60\n{card}.margin=30\n{card}.memory=1000\n{card}.reasons=4\n\
                 {card}.processes=1:2,3:4\n{card}.mig=2\n{card}.power=1\n{card}.remapped=0\n{card}.retired=3\n{card}.fan=5\n"
            )
        })
        .collect();
    fs::write(folder.path().join("libnvidia-ml.so.1.state"), format!("driver=580.95.05\ncount=8\n{cards}"))
        .unwrap();
    let options = Options {
        nvml_library: library,
        sysfs_root: folder.path().join("sys"),
        every: Duration::from_millis(10),
        whole_every: Duration::ZERO,
        ..Options::default()
    };
    let sampler = Sampler::start(options, Instant::now()).unwrap();
    let mut seen = Vec::with_capacity(8);
    until(&sampler, &mut seen, 3);
    let counted = Region::new(COUNTED);
    until(&sampler, &mut seen, 23);
    let change = counted.change();
    println!("20 whole rounds of 8 cards: {change:?}");
    assert_eq!((change.allocations, change.reallocations, change.bytes_allocated), (0, 0, 0));
    assert!(seen.iter().all(|seen| seen.sample.tenants.instances == Ok(2)), "{seen:?}");
}
