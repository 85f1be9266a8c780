//! How well it is foretold when a card gets slower: the error over curves of different cards, in seconds.
//!
//! Knows the core's predictor and curves. Refuses to know the governor. Each curve is run with noise of a third of a degree (a recorded
//! one with its own), rounded to whole degrees, read once a second; what is foretold at each second of the last two minutes before it
//! gets slower is compared with when the curve without noise gets there. Curves that never do are asked as well: at how many seconds no
//! slowdown is foretold within a minute. Invariant: the same figures at every run.

use std::{fmt::Write as _, ops::Range, time::Duration};

use ghostllm_core::heat::{Outlook, Predictor};

use crate::claim::percentile;

mod curves;

pub use curves::{Curve, curves, sources};

/// Runs of each curve, each with its own noise and its own phase against the whole degrees.
const RUNS: u64 = 50;
/// So soon after its load has begun, in seconds, nobody can tell a curve.
const BEGUN: f64 = 5.0;
/// What lies so many seconds ahead is looked at together.
pub const AHEAD: [Range<f64>; 4] = [0.0..10.0, 10.0..30.0, 30.0..60.0, 60.0..120.0];
/// Of what lies further than this, a prediction may well say nothing.
const NEAR: f64 = 30.0;
/// A slowdown within so many seconds is a false alarm where there is none.
const ALARM: f64 = 60.0;

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

/// How far off what was foretold of one curve is.
#[derive(Debug, Clone, Default)]
pub struct Errors {
    /// Seconds ahead, and seconds off.
    off: Vec<(f64, f64)>,
    /// It lay between the earliest and the latest.
    within: usize,
    /// Nothing was foretold: of what lay up to half a minute ahead, and of what lay further. Of a curve that never gets slower the first
    /// counts when no slowdown was foretold within a minute.
    silent: [usize; 2],
    asked: [usize; 2],
}

impl Errors {
    /// Of all runs of this curve.
    #[must_use]
    pub fn of(curve: &Curve) -> Self {
        let mut errors = Self::default();
        (1..=RUNS).for_each(|seed| errors.run(curve, seed));
        errors
    }

    fn run(&mut self, curve: &Curve, seed: u64) {
        let mut noise = Noise(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let mut predictor = Predictor::new();
        // A phase of its own for each run, so that rounding does not fall the same.
        let mut at = noise.draw();
        while at < curve.ends() {
            let read = (curve.celsius(at) + curve.noise * noise.normal()).round();
            #[expect(clippy::cast_possible_truncation, reason = "whole degrees")]
            let margin = (curve.slower - read) as f32;
            let now = Duration::from_secs_f64(at);
            predictor.push(now, margin);
            let foretold = predictor.look(now).slower;
            match curve.gets_slower() {
                Some(when) if at > curve.begins + BEGUN && when - at <= 120.0 => {
                    self.take(foretold, when - at);
                }
                None if at > BEGUN => {
                    self.asked[0] += 1;
                    let is_quiet = foretold.seconds().is_none_or(|seconds| f64::from(seconds) > ALARM);
                    self.silent[0] += usize::from(is_quiet);
                }
                _ => {}
            }
            at += 1.0;
        }
    }

    fn take(&mut self, foretold: Outlook, truth: f64) {
        let place = usize::from(truth > NEAR);
        if let Some(asked) = self.asked.get_mut(place) {
            *asked += 1;
        }
        let Some(seconds) = foretold.seconds() else {
            if let Some(silent) = self.silent.get_mut(place) {
                *silent += 1;
            }
            return;
        };
        self.off.push((truth, f64::from(seconds) - truth));
        if let Outlook::In(span) = foretold {
            self.within += usize::from((f64::from(span.earliest)..=f64::from(span.latest)).contains(&truth));
        }
    }

    /// The median and the 90th percentile of the seconds that it is off by, of what lay so far ahead; none where nothing was foretold of
    /// that.
    #[must_use]
    pub fn off(&self, ahead: &Range<f64>) -> Option<[f64; 2]> {
        let off: Vec<f64> =
            self.off.iter().filter(|(truth, _)| ahead.contains(truth)).map(|(_, off)| off.abs()).collect();
        (!off.is_empty()).then(|| [50, 90].map(|percent| percentile(&off, percent)))
    }

    /// Percent of what was foretold that lay within its span; of what lay within half a minute, and beyond it, of which nothing was
    /// foretold.
    #[must_use]
    pub fn percent(&self) -> [f64; 3] {
        let [near, far] = [0, 1].map(|place: usize| {
            let of = |counts: &[usize; 2]| counts.get(place).copied().unwrap_or_default();
            share(of(&self.silent), of(&self.asked))
        });
        [share(self.within, self.off.len()), near, far]
    }
}

fn share(part: usize, whole: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let (part, whole) = (part as f64, whole.max(1) as f64);
    100.0 * part / whole
}

/// The tables, in Markdown.
#[must_use]
pub fn report() -> String {
    let (slower, never): (Vec<Curve>, Vec<Curve>) =
        curves().into_iter().partition(|curve| curve.gets_slower().is_some());
    let mut out = "## How far off it is foretold when a card gets slower\n\n\
        Seconds, median and 90th percentile, of what lay so many seconds ahead; *in its span*: between the earliest and the latest that \
        were foretold with it; *silent*: nothing was foretold.\n\n\
        | card | 0 to 10 s | 10 to 30 s | 30 to 60 s | 60 to 120 s | in its span | silent up to 30 s | silent beyond |\n\
        |---|---:|---:|---:|---:|---:|---:|---:|\n"
        .to_owned();
    for curve in &slower {
        let errors = Errors::of(curve);
        let [a, b, c, d] = AHEAD.each_ref().map(|ahead| {
            errors
                .off(ahead)
                .map_or_else(|| "none".to_owned(), |[median, most]| format!("{median:.1}, {most:.1}"))
        });
        let [within, near, far] = errors.percent();
        let _ = writeln!(
            out,
            "| {} | {a} | {b} | {c} | {d} | {within:.0} % | {near:.0} % | {far:.0} % |",
            curve.name
        );
    }
    out.push_str("\n| card that never gets slower | no slowdown foretold within a minute |\n|---|---:|\n");
    for curve in &never {
        let [_, quiet, _] = Errors::of(curve).percent();
        let _ = writeln!(out, "| {} | {quiet:.1} % of the time |", curve.name);
    }
    let _ = writeln!(out, "\nWhere the recorded and the published ones come from:\n\n{}", sources());
    out
}
