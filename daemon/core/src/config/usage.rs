//! The `[usage]`: what is kept of what requests have used.

use std::time::Duration;

use super::{rule::Rule, section::section};

/// Ten years; a box of a few people takes a few megabytes for them.
fn days() -> Rule<usize> {
    Rule::amount::<1, 3660>("a number from 1 to 3660")
}

/// After a crash no more than a minute may be missing.
fn up_to_a_minute() -> Rule<Duration> {
    Rule::amount::<1, 60_000>("a time longer than 0 and at most 60s")
}

section! {
    /// What requests have used of the models, which `ghostctl usage` shows.
    pub struct Usage ("[usage]") {
        /// So many days are kept, the last up to today on which a model was asked: days without requests do not count, however
        /// many they are. Days after today, which a clock that ran ahead has shown, are kept beside them, at most as many again,
        /// and take no other day's place once the clock is right. A clock that is ahead drops at most a day for each day that
        /// it shows.
        days: usize = 400 => days();
        /// How often what was counted is written down, where there is anything new: so much of it may be missing after a crash.
        write_interval: Duration = Duration::from_secs(30) => up_to_a_minute();
    }
}
