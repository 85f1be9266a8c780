//! How soon a card will get slower.
//!
//! Knows that under an even load a body goes to a temperature of its own exponentially: with `m` the margin, `m(t) = end + (m(0) - end)
//! e^(-t/tau)` (Newton's law of cooling). Refuses to know the card: its time constant and where it ends are fitted to the last readings
//! by least squares. Invariant: fixed memory, and a bounded count of sums for each second of readings.
//!
//! Whole degrees of some twenty seconds do not tell one time constant from another. So a row of them is fitted, and each has a
//! say by how well it fits: what is foretold is the median of what they foretell, and its span what four of five say. A load that has
//! just changed is seen by readings that no curve fits: then the older ones are left out. Where a card has two masses, the quick one hides
//! the slow one at first, and nothing is foretold until it has settled (`tests/heat/foretold.rs` counts it).

use std::time::Duration;

use heapless::Deque;

mod fit;
#[cfg(test)]
mod tests;

use fit::Fit;

/// What lies further ahead is not foretold.
pub const HORIZON: Duration = Duration::from_secs(600);
/// Readings that are kept, in seconds; the longest window.
const KEPT: usize = 90;
/// How many of the last readings are fitted, the most that fit: a card's sink takes a minute or more to warm, its chip seconds.
const WINDOWS: [usize; 5] = [KEPT, 60, 40, 24, 12];
/// The fewest that say anything.
const FEWEST: usize = 5;
/// Readings nearer together than this are one, their mean: 10 readings a second tell no more than their mean does.
const APART: f64 = 0.95;
/// After a pause so long, in seconds, what was before says nothing.
const PAUSE: f64 = 30.0;
/// A card is cool again at this margin, in degrees Celsius: where [`Bounds`](super::Bounds) has it no longer near.
const COOLED: f32 = 10.0;

/// When something will have come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outlook {
    /// Too few readings for a word.
    Unknown,
    /// Not within [`HORIZON`], as it goes.
    Never,
    /// So soon.
    In(Span),
    /// It is so already.
    Reached,
}

/// Seconds from now: as it seems, and between which two four of five fitted curves put it, with half a degree on either side. What lies
/// beyond [`HORIZON`] is that.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// The median.
    pub seconds: f32,
    /// At the earliest.
    pub earliest: f32,
    /// At the latest.
    pub latest: f32,
}

/// What a card is going to do, if its load and its fan stay as they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// When it gets slower.
    pub slower: Outlook,
    /// When it is 10 °C cooler than that.
    pub cooled: Outlook,
}

/// Readings that lie close together.
#[derive(Debug, Clone, Copy)]
struct Point {
    /// The first one's moment, in seconds.
    begun: f64,
    /// The mean of their moments.
    at: f64,
    /// The mean of their margins, in degrees Celsius.
    margin: f64,
    readings: f64,
}

/// Foretells when a card gets slower, from its margins.
#[derive(Debug, Clone, Default)]
pub struct Predictor {
    points: Deque<Point, KEPT>,
    fit: Option<Fit>,
}

impl Outlook {
    /// The seconds that are left: 0 where it is so already, none where it is not foretold.
    #[must_use]
    pub fn seconds(self) -> Option<f32> {
        match self {
            Self::Reached => Some(0.0),
            Self::In(span) => Some(span.seconds),
            Self::Never | Self::Unknown => None,
        }
    }
}

impl Prediction {
    /// That of a card of which nothing is known.
    pub const UNKNOWN: Self = Self { slower: Outlook::Unknown, cooled: Outlook::Unknown };
}

impl Predictor {
    /// One that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a reading: how many degrees Celsius it was below where it gets slower ([`Margins::slower`](super::Margins::slower)).
    /// One that is older than the last is left out, and so is one that is no number.
    pub fn push(&mut self, at: Duration, margin: f32) {
        let (at, margin) = (at.as_secs_f64(), f64::from(margin));
        let last = self.points.back().copied();
        if !margin.is_finite() || last.is_some_and(|last| at < last.at) {
            return;
        }
        match self.points.back_mut() {
            Some(point) if at - point.begun < APART => {
                point.readings += 1.0;
                point.at += (at - point.at) / point.readings;
                point.margin += (margin - point.margin) / point.readings;
            }
            last => {
                if last.is_some_and(|last| at - last.at > PAUSE) {
                    self.points.clear();
                }
                if self.points.is_full() {
                    self.points.pop_front();
                }
                // It has room: one was taken out.
                let _ = self.points.push_back(Point { begun: at, at, margin, readings: 1.0 });
                self.fit = self.fitted();
            }
        }
    }

    /// What comes, seen from this moment.
    #[must_use]
    pub fn look(&self, now: Duration) -> Prediction {
        let (Some(fit), Some(last)) = (&self.fit, self.points.back()) else { return Prediction::UNKNOWN };
        let ahead = now.as_secs_f64() - last.at;
        if ahead > PAUSE {
            return Prediction::UNKNOWN;
        }
        Prediction {
            // A curve through whole degrees may lag behind a card that has just got there.
            slower: if last.margin <= 0.0 { Outlook::Reached } else { fit.reaches(0.0, ahead, false) },
            cooled: fit.reaches(f64::from(COOLED), ahead, true),
        }
    }

    /// How fast it nears or leaves the point where it gets slower, in degrees Celsius a second; below 0 it gets hotter.
    #[must_use]
    pub fn slope(&self) -> Option<f32> {
        self.fit.as_ref().map(Fit::slope)
    }

    fn fitted(&self) -> Option<Fit> {
        let have = self.points.len();
        if have < FEWEST {
            return None;
        }
        let mut found = None;
        for (place, window) in WINDOWS.into_iter().enumerate() {
            // A window that is not full is the shorter one over again, unless it is the first of these.
            let seen = window.min(have);
            if place > 0 && WINDOWS.get(place - 1).is_some_and(|longer| (*longer).min(have) == seen) {
                continue;
            }
            let (older, newer) = self.points.as_slices();
            let fit = Fit::of(older.iter().chain(newer).skip(have - seen))?;
            let fits = fit.fits();
            found = Some(fit);
            if fits {
                break;
            }
        }
        found
    }
}
