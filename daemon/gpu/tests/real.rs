//! The cards of this very machine, where it has any.
//!
//! Invariant: it never passes in silence; what this machine has not is named as what was skipped.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use ghostllm_gpu::{Card, Missing, Options, Sampler, Seen, cards, sentence};

#[test]
fn this_machines_cards_answer_or_are_missing_for_a_reason() {
    let found = cards(None);
    println!("{}", sentence(&found));
    let cards = match found {
        Ok(cards) => cards,
        Err(missing @ Missing::NoLibrary { .. }) => {
            return println!("skipped: a real card's answers, since {missing}");
        }
        // A driver without cards, or one that does not work, is this machine's affair: that it is said is all we promise.
        Err(missing) => return println!("no card: {missing}"),
    };
    for card in cards.iter().filter(|card| card.fault.is_none()) {
        println!("{card:?}");
        assert!(card.name.len() > 3, "{card:?}");
        assert!(card.uuid.starts_with("GPU-") && card.uuid.len() == "GPU-".len() + 36, "{card:?}");
        assert!(card.memory.is_none_or(|bytes| bytes > 1 << 28), "{card:?}");
        assert!(card.free <= card.memory && card.free.is_some() == card.memory.is_some(), "{card:?}");
        assert!(card.below_slowdown.is_none_or(|degrees| (-20..100).contains(&degrees)), "{card:?}");
        assert!(card.driver.split('.').all(|part| part.parse::<u32>().is_ok()), "{card:?}");
    }
    // Another round gets the same answers, but for what changes by itself: the library was let go and is opened anew.
    let lasting = |card: Card| Card { free: None, below_slowdown: None, ..card };
    let again = ghostllm_gpu::cards(None).unwrap();
    assert!(again.into_iter().map(lasting).eq(cards.into_iter().map(lasting)));
}

#[test]
fn what_this_machines_kernel_tells_is_sound_or_missing_for_a_reason() {
    let options = Options { nvml_library: PathBuf::from("/none"), ..Options::default() };
    let sampler = Sampler::start(options, Instant::now()).unwrap();
    let (began, mut seen, mut news) = (Instant::now(), Vec::new(), 0);
    // Where there is neither a card nor a thermal zone nobody ever answers.
    while began.elapsed() < Duration::from_secs(3) && !seen.iter().any(|seen: &Seen| seen.number > 1) {
        news = sampler.news(news, Duration::from_millis(100));
        sampler.read(&mut seen);
    }
    if seen.is_empty() {
        return println!(
            "skipped: a real card's files, since /sys has none that is read here, and no zone of a processor"
        );
    }
    for Seen { identity, sample, late, .. } in &seen {
        println!("{identity:?}: {sample:?}, late {late:?}");
        for sensor in [sample.gpu, sample.memory_heat, sample.hotspot] {
            assert!(
                sensor.celsius.is_err()
                    || sensor.celsius.is_ok_and(|degrees| (-20.0..130.0).contains(&degrees))
            );
        }
        if let (Ok(total), Ok(used)) = (sample.memory.total, sample.memory.used) {
            assert!(total > 0 && used <= total, "{sample:?}");
        }
    }
}
