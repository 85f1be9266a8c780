//! How many requests may run at once, by how hot a card is.
//!
//! Knows a verdict, a prediction and how many requests run and wait. Refuses to know the queue, the engine and the clock. Invariant: a
//! request that runs is never ended; what is lowered is what may begin. Less is allowed at once, more after [`Policy::wait`] without a
//! reason for less, and then little by little, so that limits do not swing.
//!
//! A share between 0 and 1 stands for all limits: from 1 to a half the background gives way, below that the interactive requests, of which
//! one may always run. What brings it down: a margin below [`Policy::easy`], a slowdown foretold within [`Policy::lead`], and a card that
//! says that its heat has slowed it down (then it is halved every [`Policy::halve`]). Where a card comes near to switching itself off, the
//! gate closes: new requests wait, and after a while, or nearer still, they are refused.

use std::time::Duration;

use ghostllm_readings::Margins;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    judge::{State, Verdict},
    predict::{Outlook, Prediction},
};

mod ladder;
mod policy;
mod words;

#[cfg(test)]
mod tests;

pub(super) use ladder::is_at_slowdown;
use ladder::{is_beyond, reserve};
pub use policy::Policy;

/// One value for each kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ByClass<T> {
    /// Requests that somebody waits for.
    pub interactive: T,
    /// Requests that have time.
    pub background: T,
}

/// What is done with requests that have not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gate {
    /// They begin as the limits allow.
    Open,
    /// None begins; they wait in the queue.
    Hold,
    /// New ones are answered with 503 `gpu_thermal`; those that wait already go on waiting.
    Refuse {
        /// `Retry-After`, in seconds: 1 to [`Policy::retry_most`].
        retry_after: u32,
    },
}

/// Why the limits are what they are.
// The admin API's form of it as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "GpuCause")]
pub enum Cause {
    /// Nothing is in the way.
    #[serde(rename = "none")]
    Free,
    /// A card is near to where it gets slower.
    Margin,
    /// It is going to be there soon.
    Foretold,
    /// Its heat has slowed it down.
    Heat,
    /// It is near to switching itself off.
    Shutdown,
    /// It has been so for so long that waiting has no end in sight.
    HeldLong,
    /// It is cooler, and limits rise again.
    Recovering,
    /// Nothing is known of its heat now: limits stay as they were, and rise little by little after [`Policy::blind`].
    Blind,
    // The last, since the flight recorder's files know them by their place.
    /// It was near to switching itself off, and has to stay cooler for [`Policy::wait`] until requests begin again.
    Cooling,
}

/// What is decided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// How many may run at once. Fewer than run already ends none of these.
    pub limits: ByClass<u32>,
    /// Of how many.
    pub most: ByClass<u32>,
    /// What is done with those that have not begun.
    pub gate: Gate,
    /// Why.
    pub cause: Cause,
    /// The card's margins, for the words.
    pub margins: Margins,
    /// When it gets slower, for the words.
    pub slower: Outlook,
    /// How many run, for the words.
    pub running: u32,
}

impl Decision {
    /// The limits that it sets: for a class of which it lowers nothing there is none, unless none of it begins.
    #[must_use]
    pub fn lowered(&self) -> ByClass<Option<u32>> {
        let shut = self.gate > Gate::Open;
        self.limits.with(self.most, |limit, most| (shut || limit < most).then_some(limit))
    }

    /// What both allow, for a backend whose model lies on several cards; the words are those of the stricter one, or of the one that is
    /// nearer to where it gets slower.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let rank = |decision: &Self| {
            (decision.gate, u32::MAX - decision.limits.interactive, u32::MAX - decision.limits.background)
        };
        let margin = |decision: &Self| decision.margins.slower.unwrap_or(f32::INFINITY);
        let limits = ByClass {
            interactive: self.limits.interactive.min(other.limits.interactive),
            background: self.limits.background.min(other.limits.background),
        };
        let is_nearer = rank(&other) == rank(&self) && margin(&other) < margin(&self);
        let stricter = if rank(&other) > rank(&self) || is_nearer { other } else { self };
        Self { limits, ..stricter }
    }
}

/// What is known at a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment<'a> {
    /// Now, by the caller's clock.
    pub now: Duration,
    /// What the judge says.
    pub verdict: &'a Verdict,
    /// What is foretold.
    pub prediction: Prediction,
    /// How many requests run.
    pub running: ByClass<u32>,
    /// How many wait.
    pub queued: ByClass<u32>,
}

/// The longest time for which limits rise at one step, however long ago the last was.
pub(crate) const STEP_MOST: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Open,
    Hold,
    Refuse,
}

/// Decides for one card.
#[derive(Debug, Clone)]
pub struct Governor {
    policy: Policy,
    /// 0 to 1.
    share: f32,
    /// When something last spoke for less, or against more: a card that its heat slows down does, whatever is allowed.
    lowered: Option<Duration>,
    /// When the share last fell.
    fell: Option<Duration>,
    /// When the share was last halved so far that fewer interactive requests may run. What the background alone gives way is no halving: a
    /// card that its driver has slowed down already is halved as soon as any when its hardware no longer holds it.
    halved: Option<Duration>,
    stage: Stage,
    /// Since when the gate is closed.
    closed: Duration,
    /// When something last spoke for closing it.
    pressed: Duration,
    /// When a reading was last there.
    seen: Duration,
    /// The last step.
    last: Option<Duration>,
    cause: Cause,
}

impl Governor {
    /// One that allows all.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        let policy = Policy {
            most: ByClass { interactive: policy.most.interactive.max(1), ..policy.most },
            retry_most: policy.retry_most.max(1),
            ..policy
        };
        let none = Duration::ZERO;
        Self {
            policy,
            share: 1.0,
            lowered: None,
            fell: None,
            halved: None,
            stage: Stage::Open,
            closed: none,
            pressed: none,
            seen: none,
            last: None,
            cause: Cause::Free,
        }
    }

    /// From now on as many may run at once, when nothing is in the way; what is lowered is so by the same share.
    pub fn allow(&mut self, most: ByClass<u32>) {
        self.policy.most = ByClass { interactive: most.interactive.max(1), ..most };
    }

    /// From now on interactive requests beyond those that may run wait, or none does ([`Policy::waits`]).
    pub fn waits(&mut self, waits: bool) {
        self.policy.waits = waits;
    }

    /// Decides, for this moment. To be asked once a second, and with every reading.
    pub fn decide(&mut self, moment: &Moment<'_>) -> Decision {
        let now = moment.now;
        let passed = self.last.map_or(Duration::ZERO, |last| now.saturating_sub(last)).min(STEP_MOST);
        self.last = Some(now);
        if moment.verdict.now.is_blind() {
            self.wait_for_sight(now, passed);
        } else {
            self.seen = now;
            self.gate(moment);
            self.share(moment, passed);
        }
        self.decision(moment)
    }

    /// Without readings nothing is lowered, and for [`Policy::blind`] nothing is raised: a card that is lost, or a driver that hangs until
    /// the next restart, does not keep the box low for good.
    fn wait_for_sight(&mut self, now: Duration, passed: Duration) {
        if now.saturating_sub(self.seen) >= self.policy.blind {
            self.stage = Stage::Open;
            self.share = (self.share + self.risen(passed)).min(1.0);
        }
        self.cause = if self.share < 1.0 || self.stage > Stage::Open { Cause::Blind } else { Cause::Free };
    }

    fn gate(&mut self, moment: &Moment<'_>) {
        let (now, policy) = (moment.now, &self.policy);
        let Some(reserve) = reserve(moment.verdict.margins) else {
            // A card that has never told how far it is from its end has never closed the gate; one that no longer does may not keep it so.
            if self.stage > Stage::Open && now.saturating_sub(self.pressed) >= policy.wait {
                self.stage = Stage::Open;
            }
            return;
        };
        let slowed = is_at_slowdown(moment.verdict.margins);
        let wanted = if slowed && reserve <= policy.refuse {
            Stage::Refuse
        } else if slowed && reserve <= policy.hold {
            Stage::Hold
        } else {
            Stage::Open
        };
        if wanted > Stage::Open {
            self.pressed = now;
        }
        if wanted > self.stage {
            if self.stage == Stage::Open {
                self.closed = now;
            }
            (self.stage, self.cause) = (wanted, Cause::Shutdown);
            // It opens for as few as can be.
            (self.share, self.lowered, self.fell) = (self.least(), Some(now), Some(now));
        } else if self.stage > Stage::Open && wanted == Stage::Open && self.has_rested(now, reserve) {
            self.stage = Stage::Open;
        } else if self.stage == Stage::Hold
            && reserve < policy.hold + policy.hysteresis
            && now.saturating_sub(self.closed) >= policy.held_most
        {
            (self.stage, self.cause, self.pressed) = (Stage::Refuse, Cause::HeldLong, now);
        } else if wanted > Stage::Open && self.cause != Cause::HeldLong {
            self.cause = Cause::Shutdown;
        } else if self.stage > Stage::Open && wanted == Stage::Open && self.is_cooler(reserve) {
            self.cause = Cause::Cooling;
        }
    }

    fn is_cooler(&self, reserve: f32) -> bool {
        reserve >= self.policy.hold + self.policy.hysteresis
    }

    /// Whether nothing has spoken for closing it for long enough: twice as long where it is hardly cooler, as a card is that its driver
    /// holds right there for as long as it works, for whomever.
    fn has_rested(&self, now: Duration, reserve: f32) -> bool {
        let times = if self.is_cooler(reserve) { 1 } else { 2 };
        now.saturating_sub(self.pressed) >= self.policy.wait * times
    }

    /// By how much limits rise in this time.
    fn risen(&self, passed: Duration) -> f32 {
        passed.as_secs_f32() / self.policy.recovery.as_secs_f32().max(1.0)
    }

    fn share(&mut self, moment: &Moment<'_>, passed: Duration) {
        if self.stage > Stage::Open {
            return;
        }
        let now = moment.now;
        let (allowed, why) = self.allowed(moment, 0.0);
        let heat = moment.verdict.now == State::ThrottledByHeat;
        if heat {
            self.lowered = Some(now);
            self.cause = Cause::Heat;
            if self.halved.is_none_or(|halved| now.saturating_sub(halved) >= self.policy.halve) {
                self.halve(moment);
            }
        }
        if allowed < self.share {
            (self.share, self.lowered, self.fell) = (allowed, Some(now), Some(now));
            self.cause = if heat { Cause::Heat } else { why };
        } else {
            self.rise(moment, heat, passed);
        }
        self.share = self.share.clamp(self.least(), 1.0);
    }

    fn halve(&mut self, moment: &Moment<'_>) {
        let (half, before) = (self.halved(moment), self.interactive());
        if half < self.share {
            (self.share, self.fell) = (half, Some(moment.now));
        }
        if self.interactive() < before {
            self.halved = Some(moment.now);
        }
    }

    fn has_waited(&self, now: Duration, since: Option<Duration>, times: u32) -> bool {
        since.is_none_or(|since| now.saturating_sub(since) >= self.policy.wait * times)
    }

    fn rise(&mut self, moment: &Moment<'_>, heat: bool, passed: Duration) {
        let (allowed, why) = self.allowed(moment, self.policy.hysteresis);
        let next = self.share + self.risen(passed);
        let free = !heat && self.has_waited(moment.now, self.lowered, 1);
        if free {
            self.cause = if next >= 1.0 && allowed >= 1.0 {
                Cause::Free
            } else if allowed < next {
                why
            } else {
                Cause::Recovering
            };
        } else if !heat && self.cause == Cause::Heat {
            self.cause = if allowed > self.share { Cause::Recovering } else { why };
        }
        let most = if free { allowed } else { 0.0 }.max(self.held(moment));
        self.share = self.share.max(next.min(most));
    }

    /// The share of a card that its driver holds where it is, well below where its hardware would: once nothing has spoken for less for twice as
    /// long as else, it is let up to that again, though its heat slows it down. It would else stay at what the gate left when it opened, for
    /// as long as it works. Nearer to the hardware's limit it does: let up there, a simulated V100 with a failed fan switched itself off.
    fn held(&self, moment: &Moment<'_>) -> f32 {
        if !self.has_waited(moment.now, self.fell, 2) {
            return 0.0;
        }
        self.policy.floor(moment.verdict.margins, self.policy.hysteresis, moment.queued)
    }

    /// The share that a margin allows if it were so many degrees smaller, and what is in the way of more.
    fn allowed(&self, moment: &Moment<'_>, less: f32) -> (f32, Cause) {
        let (policy, margins) = (&self.policy, moment.verdict.margins);
        let Some(margin) = margins.slower else { return (1.0, Cause::Free) };
        let least = policy.floor(margins, less, moment.queued);
        let by_margin = policy.by_margin(margins, less, moment.queued);
        let soon = moment.prediction.slower.seconds().filter(|_| margin - less <= policy.near);
        let by_time = soon.map_or(1.0, |seconds| (seconds / policy.lead.as_secs_f32()).clamp(least, 1.0));
        if by_margin >= 1.0 && by_time >= 1.0 {
            (1.0, Cause::Free)
        } else if by_margin <= by_time {
            (by_margin, Cause::Margin)
        } else {
            (by_time, Cause::Foretold)
        }
    }

    /// Half of what is allowed, and half of what runs where that is less: a limit that nobody reaches cools nothing. While it is held, no less
    /// than the floor.
    fn halved(&self, moment: &Moment<'_>) -> f32 {
        let kept = moment.running.interactive.min(self.policy.most.interactive).div_ceil(2).max(1);
        let half = (self.share / 2.0).min(self.share_of(kept));
        let margins = moment.verdict.margins;
        if is_beyond(margins) { half } else { half.max(self.policy.floor(margins, 0.0, moment.queued)) }
    }

    /// The share at which so many interactive requests may run.
    fn share_of(&self, interactive: u32) -> f32 {
        ratio(interactive, self.policy.most.interactive) / 2.0
    }

    fn least(&self) -> f32 {
        self.share_of(1)
    }

    fn limits(&self) -> ByClass<u32> {
        if self.stage == Stage::Refuse {
            return ByClass::default();
        }
        let background = near(self.policy.most.background, self.share * 2.0 - 1.0);
        ByClass { interactive: self.interactive(), background }
    }

    fn interactive(&self) -> u32 {
        part(self.policy.most.interactive, self.share * 2.0).max(1)
    }

    fn decision(&self, moment: &Moment<'_>) -> Decision {
        let ByClass { interactive, background } = moment.running;
        Decision {
            limits: self.limits(),
            most: self.policy.most,
            gate: match self.stage {
                Stage::Open => Gate::Open,
                Stage::Hold => Gate::Hold,
                Stage::Refuse => Gate::Refuse { retry_after: self.retry_after(moment) },
            },
            cause: self.cause,
            // The last that was read is not what it is now.
            margins: if moment.verdict.now.is_blind() { Margins::default() } else { moment.verdict.margins },
            slower: moment.prediction.slower,
            running: interactive.saturating_add(background),
        }
    }

    /// Until it is cool by what is foretold, but not before the gate may open; then those that wait come first, a second each.
    fn retry_after(&self, moment: &Moment<'_>) -> u32 {
        let ByClass { interactive, background } = moment.queued;
        let policy = &self.policy;
        let cool = match moment.prediction.cooled.seconds() {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "clamped to 0 to a year's seconds"
            )]
            Some(seconds) => seconds.ceil().clamp(0.0, 31_536_000.0) as u32,
            None => policy.retry,
        };
        let closed = (self.pressed + policy.wait).saturating_sub(moment.now).as_secs();
        let closed = u32::try_from(closed).unwrap_or(u32::MAX);
        cool.max(closed).saturating_add(interactive).saturating_add(background).clamp(1, policy.retry_most)
    }
}

/// The share at which one background request of so many gives way; all of it where there are fewer than two.
fn one_of(background: u32) -> f32 {
    if background < 2 { 1.0 } else { 1.0 - ratio(1, background) / 2.0 }
}

fn ratio(part: u32, whole: u32) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "a count of requests; 16 million of them are exact")]
    let ratio = part as f32 / whole.max(1) as f32;
    ratio
}

/// So much of a count, rounded down; all of it for 1 and more.
fn part(whole: u32, share: f32) -> u32 {
    // What a sum of floats lacks of a whole number is no request less.
    const SLACK: f64 = 1e-4;
    let share = f64::from(share.clamp(0.0, 1.0));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to the count itself")]
    let part = (f64::from(whole) * share + SLACK).floor() as u32;
    part.min(whole)
}

/// So much of a count, to the nearest: of two or three, one is more than a little.
fn near(whole: u32, share: f32) -> u32 {
    part(2 * whole.min(u32::MAX / 2), share).div_ceil(2)
}
