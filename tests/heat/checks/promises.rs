//! The claim, one hour of each trial: a promise that is kept today is kept tomorrow.

use ghostllm_core::heat::Policy;
use ghostllm_heat_claim::{
    claim::{MOST, Pair, Regime, Verdict, judge, trials},
    sim::{A4000, BLACKWELL, RTX_3090},
};

/// What is broken with the one seed that is looked at here, since more would take minutes, by regime, card, load and promise;
/// `tests/heat/RESULTS.md` says why and what lever would be needed. It has three seeds, so that the lists may differ in what is near to its
/// promise: an RTX 3090 whose fan fails finishes 0.1 % fewer tokens of bursts there, and no fewer with this seed.
const BROKEN: &[(Regime, &str, &str, &str, &str)] = &[
    (Regime::Hard, A4000.name, "as measured", STEADY, "more tokens finished"),
    (Regime::Hard, RTX_3090.name, "fan fails for 20 minutes", STEADY, "more tokens finished"),
    (Regime::Hard, BLACKWELL.name, "fan fails for 20 minutes", STEADY, "more tokens finished"),
    (Regime::Hard, BLACKWELL.name, "fan fails for 20 minutes", BURSTS, "more tokens finished"),
];
const STEADY: &str = "steady, more than it can do";
const BURSTS: &str = "bursts";

#[test]
fn what_the_governor_keeps_of_its_promises_it_goes_on_keeping() {
    let mut seen = Vec::new();
    for trial in trials() {
        let pair = Pair::of(&trial, Policy::new(MOST), 1, 3600.0);
        for promise in judge(trial.regime, &pair) {
            let what = (trial.regime, trial.card.name, trial.place, trial.arrivals.name(), promise.promised);
            println!("{what:?}: {} {:?}", promise.seen, promise.verdict);
            if promise.verdict == Verdict::Broken {
                seen.push(what);
            }
        }
    }
    let new: Vec<_> = seen.iter().filter(|what| !BROKEN.contains(what)).collect();
    assert!(new.is_empty(), "broken, and kept until now: {new:#?}");
    let mended: Vec<_> = BROKEN.iter().filter(|what| !seen.contains(what)).collect();
    assert!(mended.is_empty(), "kept now: take it off the list here and renew RESULTS.md: {mended:#?}");
}

#[test]
fn the_same_seed_gives_the_same_hour() {
    let trial = trials()[0];
    let hour = || Pair::of(&trial, Policy::new(MOST), 1, 600.0);
    let (one, other) = (hour(), hour());
    assert_eq!(one.with.tokens, other.with.tokens);
    assert_eq!(one.without.joules.to_bits(), other.without.joules.to_bits());
}
