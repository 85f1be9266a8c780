//! What time it is at least, whatever the clock shows.
//!
//! Knows moments that the state bears witness to. Refuses to ask a clock for the date: that enters as an argument. Invariant: it
//! never goes back, so that a key whose time was over does not open again where a box has lost its clock.

use std::{
    sync::atomic::{AtomicI64, Ordering::Relaxed},
    time::Instant,
};

use time::{Duration, OffsetDateTime};

/// A clock that is set right by so little was not lost.
const SMALL: Duration = Duration::minutes(5);

/// The least that it can be.
#[derive(Debug)]
pub(super) struct Known {
    begun: Instant,
    /// In Unix milliseconds, when `begun` was.
    least: AtomicI64,
}

impl Known {
    /// No clock that is right shows less than `least`.
    pub(super) fn new(least: OffsetDateTime) -> Self {
        let known = Self { begun: Instant::now(), least: AtomicI64::new(i64::MIN / 2) };
        known.witness(least);
        known
    }

    /// It has been this moment already.
    pub(super) fn witness(&self, moment: OffsetDateTime) {
        self.least.fetch_max(milliseconds(moment).saturating_sub(self.elapsed()), Relaxed);
    }

    /// What time it is, where the clock shows `now`.
    pub(super) fn at(&self, now: OffsetDateTime) -> OffsetDateTime {
        let least = self.least.load(Relaxed).saturating_add(self.elapsed());
        if milliseconds(now) >= least {
            return now;
        }
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(least) * 1_000_000).unwrap_or(now)
    }

    /// What time it is at least, where the clock shows far less.
    pub(super) fn lost(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        let known = self.at(now);
        (known - now > SMALL).then_some(known)
    }

    fn elapsed(&self) -> i64 {
        i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

fn milliseconds(moment: OffsetDateTime) -> i64 {
    i64::try_from(moment.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_counts_where_it_shows_more_than_is_known_and_goes_on_where_it_does_not() {
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap();
        let known = Known::new(at(1000));
        assert_eq!(known.at(at(5000)), at(5000));
        assert!(known.at(at(0)) >= at(1000) && known.at(at(0)) < at(1100));
        known.witness(at(900));
        known.witness(at(3000));
        assert!(known.at(at(2000)) >= at(3000));
        assert!(known.lost(at(2900)).is_none() && known.lost(at(0)) >= Some(at(3000)));
        let before = known.at(at(0));
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert!(known.at(at(0)) > before, "time goes on without a clock");
    }
}
