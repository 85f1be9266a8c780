//! How the governor goes about it.
//!
//! Knows the figures and where they come from. Invariant: at least one interactive request may run.

use std::time::Duration;

use super::ByClass;

/// How the governor goes about it. Degrees are Celsius. What has no source here was chosen, and is to be tuned by whoever simulates cards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// The most that may run at once, when nothing is in the way. Of interactive requests at least 1.
    pub most: ByClass<u32>,
    /// Below this margin to where the card gets slower less is allowed, in proportion; at 0 the least. F-60 has 3 °C.
    pub easy: f32,
    /// Where it is the driver that makes it slower, and the hardware is far from it, the share is never below this: a driver holds a
    /// temperature at the cost of a few percent (5 % in noonghunna/club-3090#178), which fewer requests at once would cost many times over.
    /// A half is all interactive requests and no background.
    pub soft_least: f32,
    /// A slowdown foretold within this time lowers as well, in proportion: as long as most answers take, since these are not ended.
    pub lead: Duration,
    /// But only from this margin on: the curve of a card that was idle until now tells little in its first seconds.
    pub near: f32,
    /// How long a card that is slowed down by its heat has until its requests are halved again. F-60: 5 s.
    pub halve: Duration,
    /// At this margin to its shutdown nothing begins.
    pub hold: f32,
    /// At this margin to its shutdown new ones are refused. F-60: 2 °C.
    pub refuse: f32,
    /// More is allowed only at a margin that would allow it if it were so many degrees smaller.
    pub hysteresis: f32,
    /// How long nothing must have spoken for less until more is allowed. F-60: 30 s.
    pub wait: Duration,
    /// How long it takes from the least to all.
    pub recovery: Duration,
    /// How long requests are held until new ones are refused: longer, and clients give up without a word.
    pub held_most: Duration,
    /// Without readings the gate opens after this time, with the least allowed: a driver that hangs must not close the box for ever, and
    /// the card still guards itself.
    pub blind: Duration,
    /// `Retry-After` where nothing is foretold, in seconds.
    pub retry: u32,
    /// The longest `Retry-After`, in seconds.
    pub retry_most: u32,
}

impl Policy {
    /// The usual one, for so many at once.
    #[must_use]
    pub fn new(most: ByClass<u32>) -> Self {
        Self {
            most,
            easy: 4.0,
            soft_least: 0.5,
            lead: Duration::from_secs(45),
            near: 12.0,
            halve: Duration::from_secs(5),
            hold: 4.0,
            refuse: 2.0,
            hysteresis: 3.0,
            wait: Duration::from_secs(30),
            recovery: Duration::from_secs(60),
            held_most: Duration::from_secs(20),
            blind: Duration::from_secs(60),
            retry: 30,
            retry_most: 120,
        }
    }
}
