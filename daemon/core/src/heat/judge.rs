//! Which state a card is in.
//!
//! Knows what a sample means and how long a state is kept. Refuses to know what is done about it. Invariant: a graver state is entered with
//! the sample that shows it; a milder one only [`Bounds::hold`] after the last change. So no state is entered twice within that time.

use std::{fmt, time::Duration};

use ghostllm_readings::{Margins, Reason, Sample, Throttles};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// What a card is.
// The gravest last, by which they are compared. The admin API's form of it as well: its words are the metrics' (`State::name`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "GpuState")]
pub enum State {
    /// Far from its limits.
    Cool,
    /// Held at its power limit alone, as busy cards are: no heat, and no reason for alarm.
    // llm-rig#97 saw it in 40 % of the samples.
    ThrottledByPower,
    /// Near the temperature at which it gets slower.
    Warm,
    /// It answers and tells nothing of its heat, or has not answered yet.
    Unknown,
    /// It has not answered for a while.
    // So long: `Bounds::stale`.
    Stale,
    /// Slowed down from outside, by the machine's power supply.
    ThrottledByBrake,
    /// Slowed down because it is hot.
    ThrottledByHeat,
    /// Fallen off the bus.
    Lost,
}

/// Where the judge draws its lines.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// A card is warm at so many degrees Celsius below where it gets slower, or fewer. 10: at the 0.5 °C/s of llm-rig#97 (85 to 90 °C in
    /// 10 s) twenty seconds before.
    pub warm: f32,
    /// And is so until it is so many degrees cooler than that.
    pub hysteresis: f32,
    /// How long a milder state waits for its turn.
    pub hold: Duration,
    /// From this age on a reading says nothing of now: four rounds of one second missed, and the fifth under way.
    pub stale: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { warm: 10.0, hysteresis: 5.0, hold: Duration::from_secs(30), stale: Duration::from_secs(5) }
    }
}

/// What the judge says of a card at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// The state, which is kept for a while.
    pub state: State,
    /// What the last reading alone says; what is fast goes by this.
    pub now: State,
    /// Since when it is in that state.
    pub since: Duration,
    /// How old the last reading is; none where there was none.
    pub age: Option<Duration>,
    /// The margins of the last reading.
    pub margins: Margins,
    /// The reasons of the last reading.
    pub throttles: Option<Throttles>,
}

/// Says which state a card is in.
#[derive(Debug, Clone)]
pub struct Judge {
    bounds: Bounds,
    state: State,
    /// When that state was entered; none before the first reading.
    changed: Option<Duration>,
    /// When a reading last showed this state or a graver one.
    shown: Duration,
    /// It was warm at the last reading, or has not cooled enough since.
    warm: bool,
    /// When the last reading was taken, and what it says.
    last: Option<(Duration, State, Margins, Option<Throttles>)>,
}

impl State {
    /// All of them, the mildest first.
    pub const ALL: [Self; 8] = [
        Self::Cool,
        Self::ThrottledByPower,
        Self::Warm,
        Self::Unknown,
        Self::Stale,
        Self::ThrottledByBrake,
        Self::ThrottledByHeat,
        Self::Lost,
    ];

    /// Its short name, for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cool => "cool",
            Self::ThrottledByPower => "throttled_by_power",
            Self::Warm => "warm",
            Self::Unknown => "unknown",
            Self::Stale => "stale",
            Self::ThrottledByBrake => "throttled_by_brake",
            Self::ThrottledByHeat => "throttled_by_heat",
            Self::Lost => "lost",
        }
    }

    /// What it means, for people, in a few words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Cool => "cool",
            Self::ThrottledByPower => "at its power limit",
            Self::Warm => "warm",
            Self::Unknown => "of unknown heat",
            Self::Stale => "not answering",
            Self::ThrottledByBrake => "slowed down by the machine's power supply",
            Self::ThrottledByHeat => "slowed down by its heat",
            Self::Lost => "lost",
        }
    }

    /// Nothing is known of its heat now.
    #[must_use]
    pub fn is_blind(self) -> bool {
        matches!(self, Self::Unknown | Self::Stale | Self::Lost)
    }

    /// Whether it goes by readings that come and go, so that it is kept for a while after the last that has shown it. That a card answers
    /// again is seen by one answer.
    fn is_kept(self) -> bool {
        !self.is_blind()
    }
}

impl Judge {
    /// One that has seen nothing.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, state: State::Unknown, changed: None, shown: Duration::ZERO, warm: false, last: None }
    }

    /// What is to be said at this moment, with a reading where there is a new one. Without one it is to be asked once a second as well,
    /// since that nothing comes is news too.
    pub fn look(&mut self, now: Duration, sample: Option<&Sample>) -> Verdict {
        if let Some(sample) = sample {
            let margins = sample.margins();
            let said = self.said(sample, margins);
            self.last = Some((sample.at, said, margins, sample.throttles.ok()));
        }
        let Some((at, said, margins, throttles)) = self.last else {
            return self.verdict(State::Unknown, None, Margins::default(), None);
        };
        let age = now.saturating_sub(at);
        // A lost card answers no more; it is not stale for that.
        let raw = if age >= self.bounds.stale && said != State::Lost { State::Stale } else { said };
        self.settle(now, raw);
        self.verdict(raw, Some(age), margins, throttles)
    }

    fn verdict(
        &self,
        now: State,
        age: Option<Duration>,
        margins: Margins,
        throttles: Option<Throttles>,
    ) -> Verdict {
        let since = self.changed.unwrap_or_default();
        Verdict { state: self.state, now, since, age, margins, throttles }
    }

    /// What this reading alone says.
    fn said(&mut self, sample: &Sample, margins: Margins) -> State {
        if sample.is_lost() {
            return State::Lost;
        }
        let below = self.bounds.warm + if self.warm { self.bounds.hysteresis } else { 0.0 };
        // A reading without a margin changes nothing of what was known.
        self.warm =
            margins.slower.map_or(self.warm, |degrees| degrees < below || degrees <= self.bounds.warm);
        let reasons = sample.throttles.ok();
        if reasons.is_none() && margins.slower.is_none() {
            return State::Unknown;
        }
        if is_hot(reasons, margins) {
            return State::ThrottledByHeat;
        }
        let has = |reason| reasons.is_some_and(|reasons| reasons.has(reason));
        if has(Reason::Brake) || has(Reason::Slowdown) {
            State::ThrottledByBrake
        } else if self.warm {
            State::Warm
        } else if margins.slower.is_none() && has(Reason::Other) {
            State::Unknown
        } else if has(Reason::PowerCap) || has(Reason::Current) {
            State::ThrottledByPower
        } else {
            State::Cool
        }
    }

    fn settle(&mut self, now: Duration, raw: State) {
        if raw >= self.state {
            self.shown = now;
        }
        let Some(changed) = self.changed else {
            (self.state, self.changed, self.shown) = (raw, Some(now), now);
            return;
        };
        let waited = |since: Duration| now.saturating_sub(since) >= self.bounds.hold;
        let milder = raw < self.state && waited(changed) && (!self.state.is_kept() || waited(self.shown));
        if raw > self.state || milder {
            (self.state, self.changed, self.shown) = (raw, Some(now), now);
        }
    }
}

/// How near to its threshold a card is that was slowed down by its heat, and does not say so: the width of the hysteresis of the
/// hardware's own comparators (`tempN_crit_hyst` of hwmon is 5 °C below where it is given).
const NEAR: f32 = 5.0;

/// Whether it is slower for its heat: it says so; its hardware's limit is reached, whatever it says; or its hardware has slowed it down for
/// a reason that it does not tell, and it is near that limit (an old driver's `HwSlowdown` alone, which may be a brake as well).
fn is_hot(reasons: Option<Throttles>, margins: Margins) -> bool {
    let within = |margin: Option<f32>, degrees: f32| margin.is_some_and(|margin| margin <= degrees);
    let Some(reasons) = reasons else { return within(margins.slower, 0.0) };
    let says = reasons.has(Reason::SoftHeat) || reasons.has(Reason::HardHeat);
    let hidden =
        reasons.has(Reason::Slowdown) && !reasons.has(Reason::Brake) && within(margins.slowdown, NEAR);
    says || hidden || within(margins.slowdown, 0.0)
}

/// `warm, 4 °C below where it gets slower`; the margin where one is known.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.state.words())?;
        if self.state == State::Stale || self.state == State::Lost {
            return self.age.map_or(Ok(()), |age| write!(f, " (its last word is {} s old)", age.as_secs()));
        }
        match self.margins.slower {
            Some(degrees) if degrees >= 0.0 => write!(f, ", {degrees:.0} °C below where it gets slower"),
            Some(degrees) => write!(f, ", {:.0} °C above where it gets slower", -degrees),
            None => Ok(()),
        }
    }
}
