//! Who asks when, and for how much.
//!
//! Knows rates as parts of what the card can do when cool, so that cards of different speed are under the same load. Refuses to know the
//! governor. Invariant: a seed fixes every draw.

use ghostllm_core::heat::ByClass;

use crate::sim::{Card, Case, Class, Device, Job, TICK};

/// How requests come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Arrivals {
    /// At random, evenly: these parts of what the card can do, by class. Together 1.1: there is always more to do than can be done.
    Steady,
    /// Three minutes of a rush, five of little; background work that fits in between.
    Bursts,
    /// So many of each class that each ask again as soon as they are answered.
    Closed(ByClass<u32>),
}

/// Draws requests.
#[derive(Debug, Clone)]
pub struct Mix {
    arrivals: Arrivals,
    random: fastrand::Rng,
    /// Requests a second that the card can do when cool.
    capacity: f64,
    /// How many of them a background request is worth.
    background: f64,
    /// Of a closed loop: who asks at the next step.
    free: ByClass<u32>,
}

/// Tokens of a prompt and of an answer, the least and the most of an even draw of the logarithm; mean prompts of 1,270 and 2,700 tokens
/// and answers of 222 and 497. A chat with its history, and a document to go through: assumed.
const INTERACTIVE: [(f64, f64); 2] = [(200.0, 4000.0), (50.0, 600.0)];
const BACKGROUND: [(f64, f64); 2] = [(500.0, 8000.0), (200.0, 1000.0)];
/// The part of all that may run at once that does when the card does what it can: 16 of 24.
const AT_ONCE: f64 = 2.0 / 3.0;

impl Arrivals {
    /// The parts of what the card can do, interactive and background, at a moment.
    fn parts(self, now: f64) -> (f64, f64) {
        match self {
            Self::Steady => (0.6, 0.5),
            Self::Bursts if now % 480.0 < 180.0 => (0.95, 0.2),
            Self::Bursts => (0.1, 0.2),
            Self::Closed(_) => (0.0, 0.0),
        }
    }

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady, more than it can do",
            Self::Bursts => "bursts",
            Self::Closed(_) => "closed loop",
        }
    }
}

fn mean((least, most): (f64, f64)) -> f64 {
    (most - least) / (most / least).ln()
}

/// Seconds of the card that a request of this size takes, at the clock that a full load leaves it when it is cool.
fn seconds(card: &Card, at_once: f64, [prompt, answer]: [(f64, f64); 2]) -> f64 {
    let clock = Device::idle(card, &Case::measured(card)).clock_full();
    mean(prompt) / card.speed.prefill(clock) + mean(answer) * card.speed.step(at_once, clock) / at_once
}

impl Mix {
    /// Those for this card, of which so many run at once.
    #[must_use]
    pub fn new(arrivals: Arrivals, card: &Card, most: ByClass<u32>, seed: u64) -> Self {
        let at_once = AT_ONCE * f64::from(most.interactive + most.background);
        let [one, background] = [INTERACTIVE, BACKGROUND].map(|sizes| seconds(card, at_once, sizes));
        let random = fastrand::Rng::with_seed(seed);
        let free = if let Arrivals::Closed(all) = arrivals { all } else { ByClass::default() };
        Self { arrivals, random, capacity: 1.0 / one, background: background / one, free }
    }

    fn drawn(&mut self, (least, most): (f64, f64)) -> f64 {
        (least * (most / least).powf(self.random.f64())).round()
    }

    fn job(&mut self, class: Class, now: f64) -> Job {
        let [prompt, answer] = if class == Class::Interactive { INTERACTIVE } else { BACKGROUND };
        Job::new(class, now, self.drawn(prompt), self.drawn(answer))
    }

    /// One of this class has been answered, or never will be.
    pub fn answered(&mut self, class: Class) {
        let free = match class {
            Class::Interactive => &mut self.free.interactive,
            Class::Background => &mut self.free.background,
        };
        *free += 1;
    }

    /// Those that come in the step that ends now.
    pub fn come(&mut self, now: f64) -> Vec<Job> {
        let ByClass { interactive, background } = std::mem::take(&mut self.free);
        if let Arrivals::Closed(_) = self.arrivals {
            let classes = [(Class::Interactive, interactive), (Class::Background, background)];
            return classes
                .into_iter()
                .flat_map(|(class, count)| (0..count).map(move |_| class))
                .map(|class| self.job(class, now))
                .collect();
        }
        let mut jobs = Vec::new();
        let (interactive, background) = self.arrivals.parts(now);
        let background = background / self.background;
        for (class, part) in [(Class::Interactive, interactive), (Class::Background, background)] {
            // At most one of a class in a tenth of a second: the rates here are far below ten a second.
            if self.random.f64() < part * self.capacity * TICK {
                jobs.push(self.job(class, now));
            }
        }
        jobs
    }
}
