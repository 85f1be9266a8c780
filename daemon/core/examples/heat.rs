//! How well it is foretold when a card gets slower: the error over curves of different cards, in seconds.
//!
//! `cargo run --release -p ghostllm-core --example heat`. Each curve is run with noise of a third of a degree, rounded to whole degrees, read
//! once a second; what is foretold at each second of the last two minutes before it gets slower is compared with when the curve without noise
//! gets there. Curves that never do are asked as well: at how many seconds no slowdown is foretold within a minute.
#![expect(
    clippy::disallowed_methods,
    reason = "what it costs is measured, by a clock that the core itself does not look at"
)]
#![expect(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "figures are printed, and a panic is a failed run"
)]

use std::time::{Duration, Instant};

use ghostllm_core::heat::{Outlook, Predictor};

/// A card under one load: up to two masses, the chip in front of the sink. Temperatures are in °C, times in seconds.
struct Card {
    name: &'static str,
    /// Where its numbers come from, and which of them are chosen.
    source: &'static str,
    /// At the beginning.
    idle: f64,
    /// How much of what it warms by is quick, and how quick.
    chip: (f64, f64),
    /// The same of the slow rest.
    sink: (f64, f64),
    /// Where it gets slower.
    slower: f64,
    /// Seconds after the first reading until the load begins.
    begins: f64,
}

const CARDS: [Card; 8] = [
    Card {
        name: "RTX A4000-like, 140 W",
        source: "rammsguns/llm-rig#97: 58 °C at 0 s, 85 at 78 s, 90 at 88 s, flag at 105 s, 92 at most; first order, the end at 100 °C \
                 chosen, tau from 85 °C at 78 s (the points behind it rise faster than any one load does)",
        idle: 58.0,
        chip: (0.0, 1.0),
        sink: (42.0, 75.7),
        slower: 92.0,
        begins: 0.0,
    },
    Card {
        name: "the same, its load after a minute",
        source: "as above; the pause before is chosen",
        idle: 58.0,
        chip: (0.0, 1.0),
        sink: (42.0, 75.7),
        slower: 92.0,
        begins: 60.0,
    },
    Card {
        name: "the same, two masses",
        source: "as above; a third of the rise by the chip within 5 s is chosen",
        idle: 58.0,
        chip: (14.0, 5.0),
        sink: (28.0, 95.0),
        slower: 92.0,
        begins: 20.0,
    },
    Card {
        name: "V100, fan fails",
        source: "bradrlaw/ai-server#15: 41 to 78 °C (memory) within 60 s at 175 W, slower at 85; an end at 95 without its fan is chosen",
        idle: 41.0,
        chip: (12.0, 6.0),
        sink: (42.0, 60.0),
        slower: 85.0,
        begins: 15.0,
    },
    Card {
        name: "RTX 3090, second of two",
        source: "noonghunna/club-3090#178: 49 °C cold, 80 in the first burst, 90 to 91 after 210 s; tau from these; slower at 90",
        idle: 49.0,
        chip: (24.0, 8.0),
        sink: (19.0, 70.0),
        slower: 90.0,
        begins: 10.0,
    },
    Card {
        name: "MI100, its memory",
        source: "ROCm/legacy-rocm-build#1468: 55 °C at rest, slower at 94 (crit), reached; time constants and the end at 99 are chosen",
        idle: 55.0,
        chip: (15.0, 10.0),
        sink: (29.0, 120.0),
        slower: 94.0,
        begins: 10.0,
    },
    Card {
        name: "V100, its fan works (never)",
        source: "bradrlaw/ai-server#15: 41 to 78 °C within 60 s, and no further; slower at 85",
        idle: 41.0,
        chip: (12.0, 6.0),
        sink: (25.0, 22.0),
        slower: 85.0,
        begins: 15.0,
    },
    Card {
        name: "GeForce, 77 °C (never)",
        source: "ollama/ollama#6163: 77 °C under load, slower at 88 (GPU_MAX); idle at 45 and its time constants are chosen",
        idle: 45.0,
        chip: (12.0, 5.0),
        sink: (20.0, 80.0),
        slower: 88.0,
        begins: 15.0,
    },
];

impl Card {
    fn celsius(&self, at: f64) -> f64 {
        let under = (at - self.begins).max(0.0);
        let rise = |(degrees, tau): (f64, f64)| degrees * (1.0 - (-under / tau).exp());
        self.idle + rise(self.chip) + rise(self.sink)
    }

    /// When the curve is there, to a hundredth of a second; none within 20 minutes.
    fn gets_slower(&self) -> Option<f64> {
        (0..120_000).map(|step| f64::from(step) / 100.0).find(|at| self.celsius(*at) >= self.slower)
    }
}

/// Noise that is the same at every run: Marsaglia's xorshift, and the sum of twelve draws for a normal one.
struct Noise(u64);

impl Noise {
    fn draw(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        f64::from(u32::try_from(self.0 >> 32).unwrap_or(0)) / f64::from(u32::MAX)
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.draw()).sum::<f64>() - 6.0
    }
}

/// Seconds off, by how far ahead it was; and how often nothing was foretold.
#[derive(Default)]
struct Errors {
    off: Vec<(f64, f64)>,
    /// It lay between the earliest and the latest.
    within: usize,
    /// Nothing was foretold: of what lay up to half a minute ahead, and of what lay further.
    silent: [usize; 2],
    asked: [usize; 2],
}

const RUNS: u64 = 50;
const NOISE: f64 = 0.33;

fn run(card: &Card, seed: u64, errors: &mut Errors) {
    let mut noise = Noise(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let when = card.gets_slower();
    let mut predictor = Predictor::new();
    let last = when.unwrap_or(300.0);
    // A phase of its own for each run, so that rounding does not fall the same.
    let mut at = noise.draw();
    while at < last {
        let read = (card.celsius(at) + NOISE * noise.normal()).round();
        #[expect(clippy::cast_possible_truncation, reason = "whole degrees")]
        let margin = (card.slower - read) as f32;
        let now = Duration::from_secs_f64(at);
        predictor.push(now, margin);
        let foretold = predictor.look(now).slower;
        match when {
            Some(when) if at > card.begins + 5.0 && when - at <= 120.0 => errors.take(foretold, when - at),
            None if at > 5.0 => {
                errors.asked[0] += 1;
                errors.silent[0] += usize::from(foretold.seconds().is_none_or(|seconds| seconds > 60.0));
            }
            _ => {}
        }
        at += 1.0;
    }
}

impl Errors {
    fn take(&mut self, foretold: Outlook, truth: f64) {
        let place = usize::from(truth > 30.0);
        self.asked[place] += 1;
        let Some(seconds) = foretold.seconds() else {
            self.silent[place] += 1;
            return;
        };
        self.off.push((truth, f64::from(seconds) - truth));
        if let Outlook::In(span) = foretold {
            self.within += usize::from((f64::from(span.earliest)..=f64::from(span.latest)).contains(&truth));
        }
    }

    /// The median and the 90th percentile of what it is off by, of what lay so far ahead.
    fn off(&self, ahead: std::ops::Range<f64>) -> String {
        let mut off: Vec<f64> =
            self.off.iter().filter(|(truth, _)| ahead.contains(truth)).map(|(_, off)| off.abs()).collect();
        off.sort_unstable_by(f64::total_cmp);
        let at = |percent: usize| off.get((off.len() * percent / 100).min(off.len().saturating_sub(1)));
        match (at(50), at(90)) {
            (Some(median), Some(most)) => format!("{median:5.1} / {most:5.1}"),
            _ => "    - /     -".to_owned(),
        }
    }
}

/// Microseconds for a reading of the first card, looked at as well, with a fit for each: a second's work for one card.
fn cost() -> f64 {
    let mut predictor = Predictor::new();
    let (readings, card) = (20_000_u32, &CARDS[0]);
    let begun = Instant::now();
    for second in 0..readings {
        let at = f64::from(second);
        #[expect(clippy::cast_possible_truncation, reason = "whole degrees")]
        let margin = (card.slower - card.celsius(at % 200.0).round()) as f32;
        let now = Duration::from_secs_f64(at);
        predictor.push(now, margin);
        std::hint::black_box(predictor.look(now));
    }
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(readings)
}

fn main() {
    println!("seconds off, median / 90th percentile, of what lay so many seconds ahead");
    println!(
        "{:34} {:>13} {:>13} {:>13} {:>13}  in span  silent to 30 s, beyond",
        "", "0-10", "10-30", "30-60", "60-120"
    );
    let percent = |part: usize, whole: usize| 100 * part / whole.max(1);
    for card in CARDS.iter().filter(|card| card.gets_slower().is_some()) {
        let mut errors = Errors::default();
        (1..=RUNS).for_each(|seed| run(card, seed, &mut errors));
        let [a, b, c, d] = [0.0..10.0, 10.0..30.0, 30.0..60.0, 60.0..120.0].map(|ahead| errors.off(ahead));
        let within = percent(errors.within, errors.off.len());
        let [near, far] = [0, 1].map(|place| percent(errors.silent[place], errors.asked[place]));
        println!("{:34} {a:>13} {b:>13} {c:>13} {d:>13}  {within:5} %  {near:3} % {far:3} %", card.name);
    }
    println!("\nof cards that never get slower: seconds at which none was foretold within a minute");
    for card in CARDS.iter().filter(|card| card.gets_slower().is_none()) {
        let mut errors = Errors::default();
        (1..=RUNS).for_each(|seed| run(card, seed, &mut errors));
        println!("{:34} {} of {}", card.name, errors.silent[0], errors.asked[0]);
    }
    println!("\na second of one card costs {:.0} µs; a load that changes every 200 s", cost());
    println!("\nthe curves");
    for card in &CARDS {
        println!("{}: {}", card.name, card.source);
    }
}
