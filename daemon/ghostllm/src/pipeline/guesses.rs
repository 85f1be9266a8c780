//! How often each source has shown a wrong key.
//!
//! Knows sources and their last minutes. Refuses to know keys. Invariants: whoever shows a right key is let in, whatever others
//! at the same address do; the table is bounded, and forgets whoever has been good the longest.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// What `limits.wrong_keys` is counted over.
const WINDOW: Duration = Duration::from_secs(60);

/// So many sources are remembered, 200 kB. An attacker with more of them (each an IPv6 /64) makes others forgotten, which lets
/// in nobody: it only answers 401 where it would have been 429.
const SOURCES: usize = 4096;

/// The count of all sources.
#[derive(Debug, Default)]
pub(super) struct Guesses(Mutex<HashMap<IpAddr, Minute>>);

/// One source's wrong keys since then.
#[derive(Debug, Clone, Copy)]
struct Minute {
    wrong: usize,
    since: Instant,
}

/// What a wrong key brings about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was wrong.
    Wrong,
    /// It was wrong, and so were too many before it; a right one is still let in.
    TooMany {
        /// Until wrong ones are told so again, in seconds.
        wait: u32,
        /// Whether it is the first of its minute.
        first: bool,
    },
}

impl Guesses {
    /// Counts a wrong key of `source` (an address, or the first one of an IPv6 /64); `most` in a minute are told that they are
    /// wrong.
    pub(super) fn wrong(&self, source: IpAddr, most: usize, now: Instant) -> Verdict {
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.len() >= SOURCES && !sources.contains_key(&source) {
            make_room(&mut sources, now);
        }
        let minute = sources.entry(source).or_insert(Minute { wrong: 0, since: now });
        if now.duration_since(minute.since) >= WINDOW {
            *minute = Minute { wrong: 0, since: now };
        }
        minute.wrong += 1;
        if minute.wrong <= most {
            return Verdict::Wrong;
        }
        let left = WINDOW.saturating_sub(now.duration_since(minute.since));
        let wait = u32::try_from(left.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
        Verdict::TooMany { wait, first: minute.wrong == most + 1 }
    }
}

/// Forgets those whose minute is over, or else the oldest.
fn make_room(sources: &mut HashMap<IpAddr, Minute>, now: Instant) {
    sources.retain(|_, minute| now.duration_since(minute.since) < WINDOW);
    let oldest = sources.iter().min_by_key(|(_, minute)| minute.since).map(|(source, _)| *source);
    if sources.len() >= SOURCES
        && let Some(oldest) = oldest
    {
        sources.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[test]
    fn the_limit_is_told_and_one_more_has_to_wait_until_its_minute_is_over() {
        let (guesses, begun) = (Guesses::default(), Instant::now());
        let at = |seconds| guesses.wrong(source(1), 2, begun + Duration::from_secs(seconds));
        assert_eq!([at(0), at(1)], [Verdict::Wrong; 2]);
        assert_eq!(at(2), Verdict::TooMany { wait: 59, first: true });
        assert_eq!(at(59), Verdict::TooMany { wait: 2, first: false });
        assert_eq!(guesses.wrong(source(2), 2, begun), Verdict::Wrong, "another source");
        assert_eq!(at(60), Verdict::Wrong);
    }

    #[test]
    fn the_table_is_bounded() {
        let (guesses, begun) = (Guesses::default(), Instant::now());
        for number in 0..u32::try_from(SOURCES).unwrap() + 10 {
            guesses.wrong(source(number), 1, begun + Duration::from_millis(number.into()));
        }
        assert_eq!(guesses.0.lock().unwrap().len(), SOURCES);
        let last = u32::try_from(SOURCES).unwrap() + 9;
        let verdict = guesses.wrong(source(last), 1, begun + Duration::from_secs(5));
        assert!(matches!(verdict, Verdict::TooMany { .. }), "the newest are remembered");
    }
}
