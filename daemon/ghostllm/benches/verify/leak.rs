//! dudect: whether two classes of keys can be told apart by the time that their answer takes.
//!
//! Knows Welch's t-test, as a whole and with the longest samples left out at a hundred percentiles, as dudect's own program
//! has it; the worst of them counts. Refuses to know what is timed. Invariant: the same harness is held against a comparison
//! that ends at the first difference, and must see it.
//!
//! The crate `dudect-bencher` prints its figures and gives none back, and brings clap 2 and atty, which have advisories.

use std::{hint::black_box, time::Instant};

use anyhow::{Result, ensure};

use super::box_of_keys::{BoxOfKeys, Draw, SECRET};

/// Samples of two classes together (R8 of the research on security).
const SAMPLES: usize = 1_000_000;
/// Above it two classes are told apart (dudect's own threshold is 4.5 as well).
const BOUND: f64 = 4.5;
/// Where one test looks at the shortest samples only: this many percentiles.
const CROPS: i32 = 100;
/// Fewer samples of a class say nothing.
const FEWEST: usize = 10_000;

/// Nanoseconds of two classes.
type Times = [Vec<u64>; 2];

/// Times `ask` on either class in an order by chance, each text in the same buffer.
fn time<T>(classes: [&[String]; 2], draw: &mut Draw, ask: impl Fn(&str, usize) -> T) -> Times {
    let mut times = [Vec::with_capacity(SAMPLES), Vec::with_capacity(SAMPLES)];
    let mut buffer = String::with_capacity(128);
    for _ in 0..SAMPLES {
        let (class, at) = (draw.below(2), draw.below(classes[0].len()));
        buffer.clear();
        buffer.push_str(&classes[class][at]);
        let text = black_box(buffer.as_str());
        let begun = Instant::now();
        drop(black_box(ask(text, at)));
        times[class].push(begun.elapsed().as_nanos() as u64);
    }
    times
}

/// Welch's t of the samples that are not longer than `longest`; none where they are too few.
fn welch(times: &Times, longest: u64) -> Option<f64> {
    let [one, other] = times.each_ref().map(|times| {
        let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
        for time in times.iter().filter(|time| **time <= longest) {
            // Welford's way, which does not lose the small difference of large numbers.
            count += 1.0;
            let time = *time as f64;
            let before = time - mean;
            mean += before / count;
            squares += before * (time - mean);
        }
        (count, mean, squares / (count - 1.0))
    });
    let enough = one.0.min(other.0) >= FEWEST as f64;
    let spread = (one.2 / one.0 + other.2 / other.0).sqrt();
    (enough && spread > 0.0).then(|| (one.1 - other.1) / spread)
}

/// The largest |t| of all crops, and the medians' difference in nanoseconds.
fn worst(times: &Times) -> (f64, i64) {
    let mut all: Vec<u64> = times.concat();
    all.sort_unstable();
    let crops = (1..=CROPS).map(|crop| 1.0 - 0.5_f64.powf(10.0 * f64::from(crop) / f64::from(CROPS)));
    let longest = crops.map(|share| all[((all.len() - 1) as f64 * share) as usize]).chain([u64::MAX]);
    let t = longest.filter_map(|longest| welch(times, longest)).fold(0.0, |most: f64, t| most.max(t.abs()));
    let [one, other] = times.each_ref().map(|times| {
        let mut times = times.clone();
        times.sort_unstable();
        times[times.len() / 2].cast_signed()
    });
    (t, one - other)
}

fn told(words: &str, times: &Times) -> f64 {
    let (t, apart) = worst(times);
    println!("{words:60} max |t| {t:8.2}, medians {apart:+} ns apart");
    t
}

/// Whether the secrets differ, said as soon as it is known: what must not be.
fn naive(shown: &str, stored: &str) -> bool {
    let pairs = shown.as_bytes()[SECRET].iter().zip(&stored.as_bytes()[SECRET]);
    for (one, other) in pairs {
        if black_box(one) != black_box(other) {
            return false;
        }
    }
    true
}

/// # Errors
/// If a right key can be told from a wrong one, or where a key is wrong; or if this harness sees nothing at all.
pub(crate) fn look(keys: &BoxOfKeys, draw: &mut Draw) -> Result<()> {
    println!("dudect, {SAMPLES} samples each, bound {BOUND}");
    let verify = |text: &str, _at: usize| keys.opens(text);
    let same = told("right keys and right keys", &time([&keys.right, &keys.right], draw, verify));
    let secret = told("right keys and wrong secrets", &time([&keys.right, &keys.wrong], draw, verify));
    let place =
        told("wrong in the first digit and in the last", &time([&keys.first, &keys.last], draw, verify));
    let leaky = |text: &str, at: usize| naive(text, &keys.right[at]);
    let planted = told(
        "the same two, by a comparison that ends at a difference",
        &time([&keys.first, &keys.last], draw, leaky),
    );
    ensure!(planted > 10.0 * BOUND, "this harness does not see a leak that is planted");
    ensure!(same < BOUND, "this machine is too uneven to tell: the same against itself is {same:.2}");
    ensure!(place < BOUND, "the time tells where a key is wrong");
    ensure!(secret < BOUND, "the time tells a right key from a wrong one");
    Ok(())
}
