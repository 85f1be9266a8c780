//! What came of a run.
//!
//! Knows counts, times and energy. Refuses to know why. Invariant: tokens count only where their request was finished, and a request that
//! was never answered counts among the slowest, as never.

use crate::sim::{Class, Device, Done, Job, TICK};

/// Figures of one run, or of several one after the other.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Seconds.
    pub seconds: f64,
    /// Tokens of answers that were finished: interactive, background.
    pub tokens: [f64; 2],
    /// Joules of the card.
    pub joules: f64,
    /// Seconds in which anything ran.
    pub busy: f64,
    /// Seconds in which the driver, and the hardware, had slowed it down for its heat.
    pub slow: [f64; 2],
    /// How often it switched itself off.
    pub shutdowns: u32,
    /// Interactive requests that were never answered: refused for good, given up, lost with the card.
    pub unanswered: u32,
    /// The highest temperature, in °C.
    pub hottest: f64,
    /// MHz times seconds in which anything ran.
    clocks: f64,
    /// Seconds of interactive requests, to the first token and to the last.
    first: Vec<f64>,
    last: Vec<f64>,
    /// And of background requests, to the first.
    behind: Vec<f64>,
}

impl Tally {
    /// One step of the card, with what part of it anything ran.
    pub fn tick(&mut self, device: &Device, busy: f64) {
        self.seconds += TICK;
        let slowdown = device.slowdown();
        let [soft, hard] = [slowdown.soft, slowdown.hard].map(|is| if is { TICK } else { 0.0 });
        self.slow = [self.slow[0] + soft, self.slow[1] + hard];
        self.hottest = self.hottest.max(device.celsius());
        self.busy += busy * TICK;
        self.clocks += device.mhz() * busy * TICK;
    }

    /// One was answered.
    pub fn done(&mut self, done: &Done) {
        let Done { job, at } = done;
        match job.class {
            Class::Interactive => {
                self.tokens[0] += job.answer;
                self.first.push(job.first.unwrap_or(*at) - job.asked);
                self.last.push(at - job.asked);
            }
            Class::Background => {
                self.tokens[1] += job.answer;
                self.behind.push(job.first.unwrap_or(*at) - job.asked);
            }
        }
    }

    /// One never was.
    pub fn never(&mut self, job: &Job) {
        match job.class {
            Class::Interactive => {
                self.unanswered += 1;
                self.first.push(f64::INFINITY);
                self.last.push(f64::INFINITY);
            }
            Class::Background => self.behind.push(f64::INFINITY),
        }
    }

    /// This run and another one.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.seconds += other.seconds;
        self.tokens = [self.tokens[0] + other.tokens[0], self.tokens[1] + other.tokens[1]];
        self.joules += other.joules;
        self.busy += other.busy;
        self.clocks += other.clocks;
        self.slow = [self.slow[0] + other.slow[0], self.slow[1] + other.slow[1]];
        self.shutdowns += other.shutdowns;
        self.unanswered += other.unanswered;
        self.hottest = self.hottest.max(other.hottest);
        self.first.extend_from_slice(&other.first);
        self.last.extend_from_slice(&other.last);
        self.behind.extend_from_slice(&other.behind);
        self
    }

    /// Tokens finished in an hour.
    #[must_use]
    pub fn an_hour(&self) -> f64 {
        self.tokens.iter().sum::<f64>() * 3600.0 / self.seconds.max(TICK)
    }

    /// Tokens finished for a joule.
    #[must_use]
    pub fn a_joule(&self) -> f64 {
        self.tokens.iter().sum::<f64>() / self.joules.max(1.0)
    }

    /// The part of the time in which anything ran.
    #[must_use]
    pub fn utilisation(&self) -> f64 {
        self.busy / self.seconds.max(TICK)
    }

    /// MHz while anything ran, in the mean.
    #[must_use]
    pub fn mhz(&self) -> f64 {
        self.clocks / self.busy.max(TICK)
    }

    /// The 99th percentile of seconds to the first token; infinite where more than one of a hundred had no answer.
    #[must_use]
    pub fn first(&self) -> f64 {
        percentile(&self.first, 99)
    }

    /// The same to the last token.
    #[must_use]
    pub fn last(&self) -> f64 {
        percentile(&self.last, 99)
    }

    /// Seconds to the first token of background requests, so many percent of which had theirs sooner; infinite where more had none.
    #[must_use]
    pub fn behind(&self, percent: usize) -> f64 {
        percentile(&self.behind, percent)
    }

    /// The median of seconds to the last token.
    #[must_use]
    pub fn median(&self) -> f64 {
        percentile(&self.last, 50)
    }
}

/// The value below which so many percent of these lie; 0 of none.
pub(crate) fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let place = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(place).copied().unwrap_or(0.0)
}
