//! The curves that are foretold: one that a real card was recorded with, of published cards by their formulas, and of the simulated ones.
//!
//! Knows where each number comes from, and which are chosen. Refuses to know the predictor. Invariant: a curve is as it is without noise,
//! in steps of [`TICK`]; a recorded one has its own.

use std::borrow::Cow;

use crate::{
    claim::Trial,
    sim::{A4000, CARDS, Case, Device, Load, TICK},
};

/// Seconds that a curve is followed: twenty minutes for one that gets slower.
const LONGEST: f64 = 1200.0;
/// And so many for one that never does.
const NEVER: f64 = 300.0;
/// A full load of a simulated card, as its cases are made for it (`sim/case.rs`): tokens for 24 requests, and a third of the time a prompt.
const FULL: Load = Load { busy: 1.0, prefill: 0.33, decoding: 24.0 };
/// Prompts alone, by which llm-rig#97 was measured.
const PROMPT: Load = Load { busy: 1.0, prefill: 1.0, decoding: 0.0 };

/// How warm a card is, step by step, up to where it gets slower.
#[derive(Debug, Clone)]
pub struct Curve {
    /// Whose.
    pub name: Cow<'static, str>,
    /// °C where it gets slower.
    pub slower: f64,
    /// Seconds until its load begins.
    pub begins: f64,
    /// What a reading of it is off by, in °C.
    pub noise: f64,
    celsius: Vec<f64>,
    gets_slower: bool,
}

/// Of a reading, in °C, where a curve is a formula's.
const NOISE: f64 = 0.33;

impl Curve {
    /// °C at that second.
    #[must_use]
    pub fn celsius(&self, at: f64) -> f64 {
        let step = (at / TICK).max(0.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "some thousands of steps"
        )]
        let before = (step as usize).min(self.celsius.len().saturating_sub(1));
        let part = (step - step.floor()).min(1.0);
        let of = |place: usize| self.celsius.get(place).or(self.celsius.last()).copied().unwrap_or(f64::NAN);
        of(before) + part * (of(before + 1) - of(before))
    }

    /// The second at which it gets slower; none where it never does.
    #[must_use]
    pub fn gets_slower(&self) -> Option<f64> {
        self.gets_slower.then(|| self.ends())
    }

    /// The second at which it ends.
    #[must_use]
    pub fn ends(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "some thousands of steps")]
        let steps = self.celsius.len().saturating_sub(1) as f64;
        steps * TICK
    }

    /// Of a temperature that is asked at each step, and whether the card is slower there.
    fn of(
        name: Cow<'static, str>,
        slower: f64,
        begins: f64,
        mut next: impl FnMut(f64) -> (f64, bool),
    ) -> Self {
        let (mut celsius, mut now, mut gets_slower) = (Vec::new(), 0.0, false);
        while now < LONGEST && !gets_slower {
            let (warm, is_slower) = next(now);
            gets_slower = is_slower;
            celsius.push(warm);
            now += TICK;
        }
        if !gets_slower {
            celsius.truncate(
                celsius.iter().zip(0..).take_while(|(_, step)| f64::from(*step) * TICK <= NEVER).count(),
            );
        }
        Self { name, slower, begins, noise: NOISE, celsius, gets_slower }
    }
}

/// An H100 of 700 W, ten times a second, in whole degrees as its driver tells them (`tests/recordings/nvml`): at rest, under matrices for
/// two minutes, at rest again. Its load begins at 20.9 s by its power.
const RECORDED: &str = include_str!("../../recordings/nvml/h100/curve.csv");
const RECORDED_BEGINS: f64 = 20.9;
/// Where it gets slower, in °C, by its own driver; it came to 73.
const RECORDED_SLOWER: f64 = 89.0;
/// And where it is asked for as if it did, since it has been there.
const RECORDED_LINES: [f64; 2] = [65.0, 70.0];

/// Seconds, and °C, up to the end of the load.
fn recorded() -> Vec<(f64, f64)> {
    let row = |line: &str| {
        let mut cells = line.split(',');
        let (at, phase) = (cells.next()?.parse().ok()?, cells.next()?);
        let celsius = cells.nth(1)?.parse().ok()?;
        (phase != "cool").then_some((at, celsius))
    };
    RECORDED.lines().skip(1).map_while(row).collect()
}

/// The recorded card, as one that gets slower there; none where it never came there.
fn as_recorded(slower: f64) -> Option<Curve> {
    let rows = recorded();
    let comes = rows.iter().find(|(_, celsius)| *celsius >= slower).map(|(at, _)| *at);
    let ends = comes.or(rows.last().map(|(at, _)| *at))?;
    let name = if comes.is_some() {
        format!("H100, recorded, as if it got slower at {slower:.0} °C")
    } else {
        format!("H100, recorded, slower at {slower:.0} °C (never)")
    };
    let mut left = rows.into_iter().peekable();
    let (mut celsius, mut last, mut now) = (Vec::new(), f64::NAN, 0.0);
    while now <= ends + TICK / 2.0 {
        while let Some((_, read)) = left.next_if(|(at, _)| *at <= now + TICK / 2.0) {
            last = read;
        }
        celsius.push(last);
        now += TICK;
    }
    let gets_slower = comes.is_some();
    Some(Curve { name: name.into(), slower, begins: RECORDED_BEGINS, noise: 0.0, celsius, gets_slower })
}

/// A published card under one load: up to two masses, the chip in front of the sink. Temperatures are in °C, times in seconds.
struct Published {
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

const PUBLISHED: [Published; 8] = [
    Published {
        name: "RTX A4000-like, 140 W",
        source: "rammsguns/llm-rig#97: 58 °C at 0 s, 85 at 78 s, 90 at 88 s, flag at 105 s, 92 at most; first order, the end at 100 °C \
                 chosen, tau from 85 °C at 78 s (the points behind it rise faster than any one load does)",
        idle: 58.0,
        chip: (0.0, 1.0),
        sink: (42.0, 75.7),
        slower: 92.0,
        begins: 0.0,
    },
    Published {
        name: "the same, its load after a minute",
        source: "as above; the pause before is chosen",
        idle: 58.0,
        chip: (0.0, 1.0),
        sink: (42.0, 75.7),
        slower: 92.0,
        begins: 60.0,
    },
    Published {
        name: "the same, two masses",
        source: "as above; a third of the rise by the chip within 5 s is chosen",
        idle: 58.0,
        chip: (14.0, 5.0),
        sink: (28.0, 95.0),
        slower: 92.0,
        begins: 20.0,
    },
    Published {
        name: "V100, fan fails",
        source: "bradrlaw/ai-server#15: 41 to 78 °C (memory) within 60 s at 175 W, slower at 85; an end at 95 without its fan is chosen",
        idle: 41.0,
        chip: (12.0, 6.0),
        sink: (42.0, 60.0),
        slower: 85.0,
        begins: 15.0,
    },
    Published {
        name: "RTX 3090, second of two",
        source: "noonghunna/club-3090#178: 49 °C cold, 80 in the first burst, 90 to 91 after 210 s; tau from these; slower at 90",
        idle: 49.0,
        chip: (24.0, 8.0),
        sink: (19.0, 70.0),
        slower: 90.0,
        begins: 10.0,
    },
    Published {
        name: "MI100, its memory",
        source: "ROCm/legacy-rocm-build#1468: 55 °C at rest, slower at 94 (crit), reached; time constants and the end at 99 are chosen",
        idle: 55.0,
        chip: (15.0, 10.0),
        sink: (29.0, 120.0),
        slower: 94.0,
        begins: 10.0,
    },
    Published {
        name: "V100, its fan works (never)",
        source: "bradrlaw/ai-server#15: 41 to 78 °C within 60 s, and no further; slower at 85",
        idle: 41.0,
        chip: (12.0, 6.0),
        sink: (25.0, 22.0),
        slower: 85.0,
        begins: 15.0,
    },
    Published {
        name: "GeForce, 77 °C (never)",
        source: "ollama/ollama#6163: 77 °C under load, slower at 88 (GPU_MAX); idle at 45 and its time constants are chosen",
        idle: 45.0,
        chip: (12.0, 5.0),
        sink: (20.0, 80.0),
        slower: 88.0,
        begins: 15.0,
    },
];

/// Seconds of rest before a simulated card's load.
const RESTS: f64 = 20.0;

impl Published {
    fn celsius(&self, at: f64) -> f64 {
        let under = (at - self.begins).max(0.0);
        let rise = |(degrees, tau): (f64, f64)| degrees * (1.0 - (-under / tau).exp());
        self.idle + rise(self.chip) + rise(self.sink)
    }
}

/// Under that load, after some rest.
fn simulated(name: String, mut device: Device, load: &Load) -> Curve {
    let slower = device.card().limits.slower();
    Curve::of(name.into(), slower, RESTS, move |now| {
        let load = if now < RESTS { Load::default() } else { *load };
        device.step(&load);
        // A driver reads whole degrees, and has it slower half a degree before.
        let slowdown = device.slowdown();
        (device.celsius(), slowdown.soft || slowdown.hard)
    })
}

/// All of them: the one that was recorded, those that were published, llm-rig#97 as it is simulated, and each simulated card in a case
/// that is too warm for it and in one that is not, the one that is held back among them, since nothing is tuned here.
#[must_use]
pub fn curves() -> Vec<Curve> {
    let published = PUBLISHED.iter().map(|card| {
        Curve::of(card.name.into(), card.slower, card.begins, |at| {
            (card.celsius(at), card.celsius(at) >= card.slower)
        })
    });
    let measured = Device::idle(&A4000, &Case::measured(&A4000));
    let measured = simulated(format!("{}, simulated, as measured", A4000.name), measured, &PROMPT);
    let ending = |above: f64, place: &'static str| {
        CARDS.iter().map(move |card| {
            let device = Device::idle(card, &Case::ending_at(card, card.limits.slower() + above));
            simulated(format!("{}, simulated, {place}", card.name), device, &FULL)
        })
    };
    let warm = ending(Trial::TOO_WARM, "6 °C too warm");
    let recorded = RECORDED_LINES.into_iter().chain([RECORDED_SLOWER]).filter_map(as_recorded);
    recorded
        .chain(published)
        .chain([measured])
        .chain(warm)
        .chain(ending(-Trial::COOL_BELOW, "10 °C below"))
        .collect()
}

/// Where the recorded and the published curves come from, a line for each.
#[must_use]
pub fn sources() -> String {
    let published = PUBLISHED.iter().map(|card| format!("- {}: {}\n", card.name, card.source));
    let recorded = "- H100: recorded by this project (`tests/recordings/nvml`), its own readings and no formula; it came to 73 °C, and where \
                    it is asked for as if it got slower are two lines on the way, chosen before any error was seen\n";
    [recorded.to_owned()].into_iter().chain(published).collect()
}
