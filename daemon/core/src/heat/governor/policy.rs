//! How the governor goes about it.
//!
//! Knows the figures and where they come from. Invariant: at least one interactive request may run.

use std::time::Duration;

use super::ByClass;

/// How the governor goes about it. Degrees are Celsius. What has no source here was chosen by simulated hours of three cards (`tests/heat`;
/// its figures stand in `tests/heat/RESULTS.md`, with a fourth card's that no choice was made by).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// The most that may run at once, when nothing is in the way. Of interactive requests at least 1.
    pub most: ByClass<u32>,
    /// Below this margin to where the card gets slower less is allowed, in proportion, down to [`Policy::held_least`]. F-60 has 3 °C.
    pub easy: f32,
    /// While its driver or its hardware holds a card at its temperature, the share is never below this: one background request in eight
    /// gives way where it is [`Policy::press`]ed for it, and no interactive one. Of two to four it is one while the hardware holds it,
    /// and none while the driver does: there one of two would cost an RTX 3090 11 % of its tokens, where 2 % is the most.
    ///
    /// F-60 has the requests halved every 5 s. Simulated hours (`tests/heat`) say that this costs what it should save. A card that makes
    /// tokens for one request alone draws nearly what it draws for twenty-four (285 W of 350: noonghunna/club-3090#104;
    /// rammsguns/llm-rig#97 and its TUNING.md: at the power limit, or at the thermal one, whatever it does), so that fewer at once make
    /// fewer tokens and hardly less heat. With halving, an RTX A4000 that its hardware slowed down for 43 % of the time finished 58 % fewer
    /// tokens and was slow for as long; with no background under the driver's heat, an RTX 3090 lost 36 %. This share costs 1.3 % at most
    /// under the driver's heat on the cards that it was chosen by, 0.3 % on the one that was held back, and lowers the p99 of those who are
    /// waited for by 1 to 26 %. Behind a gate that was closed it is less until the card has been held for a while, well below where its
    /// hardware slows it down.
    pub held_least: f32,
    /// The background gives way where so many times as many interactive requests wait as may run: where fewer do they have little of it,
    /// and where nobody does it would be for nobody. At 0, which was so at first, an RTX 3090 that is always busy lost 2.1 % of its tokens
    /// for a p99 of 51 and not 58 s; at 0.5 it is 0.6 % for 52 s, and at 1, 0.2 % for 55 s.
    pub press: f32,
    /// Whether interactive requests wait for one another when nothing is in the way. Where all of them run at once nobody can be counted
    /// who waits, and the background gives way to those that run.
    pub waits: bool,
    /// [`Policy::held_least`] while so many interactive requests wait that it is a [`Policy::rush`]: half of the background gives way to
    /// them, which has time until the rush is over.
    pub rush_least: f32,
    /// It is a rush when so many times as many interactive requests wait as may run. At 2 a box with few places that is always busy is
    /// often in one, and each place that it loses is a sixth of what it does; at 6 no rush is seen as one.
    pub rush: u32,
    /// A slowdown foretold within this time lowers as well, in proportion: as long as most answers take, since these are not ended.
    pub lead: Duration,
    /// But only from this margin on: the curve of a card that was idle until now tells little in its first seconds.
    pub near: f32,
    /// How long a card that its hardware no longer holds has until its requests are halved again. F-60: 5 s.
    pub halve: Duration,
    /// At this margin to its shutdown nothing begins, if it is also where its hardware slows it down: an RTX 3090 or an H100 that its
    /// driver holds is as near to its end. 4, since what runs goes on and heats it further: at 2, and where the hardware's slowdown had to
    /// be passed by a degree, a simulated V100 switched itself off.
    pub hold: f32,
    /// At this margin to its shutdown new ones are refused, as above. F-60: 2 °C.
    pub refuse: f32,
    /// More is allowed only at a margin that would allow it if it were so many degrees smaller.
    pub hysteresis: f32,
    /// How long nothing must have spoken for less until more is allowed. F-60: 30 s.
    pub wait: Duration,
    /// How long it takes from the least to all.
    pub recovery: Duration,
    /// How long requests are held until new ones are refused: longer, and clients give up without a word.
    pub held_most: Duration,
    /// Without readings the gate opens after this time, with the least allowed, and from then on more is: a driver that hangs must not
    /// close the box for ever, and the card still guards itself.
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
            held_least: 0.94,
            press: 0.5,
            waits: true,
            rush_least: 0.75,
            rush: 4,
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
