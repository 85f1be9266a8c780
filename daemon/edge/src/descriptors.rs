//! How many descriptors this process has left.
//!
//! Knows the system's limit and count. Refuses to know who opens what. Invariant: connections, and what requests need for their
//! backends, leave a reserve: whoever repairs a flooded box gets in, and state can be written.

use std::{
    fs, io,
    sync::{
        Mutex, TryLockError,
        atomic::{
            AtomicI64,
            Ordering::{AcqRel, Relaxed},
        },
    },
    time::{Duration, Instant},
};

use nix::sys::resource::{Resource, getrlimit};

/// For the admin's connections (16 by default), their requests' files, the state and the log.
const RESERVE: u64 = 32;
/// Of the limit, in percent, that connections may use; what is between this and the reserve is for what their requests open.
const CONNECTIONS: u64 = 90;
/// Where the links of this directory are its descriptors.
const OPEN: &str = "/proc/self/fd";
/// What was counted stays for so long, at least: who took one may not have it open yet.
const COUNTED: Duration = Duration::from_millis(20);
/// One by one, ten thousand take some milliseconds: no more than a fiftieth of the time goes into it.
const SHARE: u32 = 50;
/// But they are not doubted for longer than this, however long that took: recovery is promised within a second (F-23 of the research
/// on security).
const LONGEST: Duration = Duration::from_millis(500);

/// What is left of them, as they were counted last and taken since. What was given back is seen at the next count, so that there is
/// never less than that.
#[derive(Debug)]
pub(crate) struct Descriptors {
    /// Before the reserve begins.
    left: AtomicI64,
    /// Of these, what connections leave to requests.
    kept: AtomicI64,
    /// Taken by those who have not opened theirs yet: who counts does not see them.
    awaited: AtomicI64,
    /// Half of what was left when they were counted: who takes of the other half counts them again, since most of those who took the
    /// first may have gone.
    half: AtomicI64,
    /// When they may be counted again.
    again: Mutex<Option<Instant>>,
}

impl Default for Descriptors {
    fn default() -> Self {
        Self {
            left: AtomicI64::new(i64::MAX),
            kept: AtomicI64::new(0),
            awaited: AtomicI64::new(0),
            half: AtomicI64::new(0),
            again: Mutex::new(None),
        }
    }
}

impl Descriptors {
    /// Whether one more connection may be accepted.
    pub(crate) fn may_accept(&self) -> bool {
        let may = || self.left.load(Relaxed) > self.kept.load(Relaxed);
        may() || self.count().is_ok() && may()
    }

    /// One was accepted.
    pub(crate) fn accepted(&self) {
        let _left = self.less();
    }

    /// Takes one for a request's backend, if there is one left before the reserve. Until it is opened, or given up, it is awaited.
    pub(crate) fn take(&self) -> bool {
        // First, so that no count in between forgets it.
        self.awaited.fetch_add(1, AcqRel);
        let taken = self.less() > 0 || self.count().is_ok() && self.less() > 0;
        if !taken {
            self.opened();
        }
        taken
    }

    /// One that was taken is open, or is not wanted any more: the next count sees how that is.
    pub(crate) fn opened(&self) {
        self.awaited.fetch_sub(1, AcqRel);
    }

    /// Takes one; how many were left before.
    fn less(&self) -> i64 {
        let left = self.left.fetch_sub(1, AcqRel);
        if (1..=self.half.load(Relaxed)).contains(&left) {
            // While another thread counts, there are enough still.
            let _counted = self.count();
        }
        left
    }

    /// Counts those that are open, unless that was done a moment ago, or another thread is at it: none waits for another's milliseconds.
    ///
    /// # Errors
    /// The system's, or it was.
    pub(crate) fn count(&self) -> io::Result<()> {
        let mut again = match self.again.try_lock() {
            Ok(again) => again,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
        };
        let begun = Instant::now();
        if again.is_some_and(|again| begun < again) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let (limit, _hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        // Whoever opens his meanwhile was awaited before, and whoever is let in is awaited behind.
        let before = self.awaited.load(Relaxed);
        let open = open();
        // Where none is left to count them with, none is left.
        let open = open.or_else(|error| if is_out(&error) { Ok(limit) } else { Err(error) })?;
        let (connections, requests) = shares(limit);
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.kept.store(signed(requests - connections), Relaxed);
        let left = signed(requests) - signed(open) - self.awaited.load(Relaxed).max(before);
        self.half.store(left / 2, Relaxed);
        self.left.store(left, Relaxed);
        *again = Some(begun + rest(begun.elapsed()));
        Ok(())
    }
}

/// How long what was counted stays, where counting took so long.
fn rest(took: Duration) -> Duration {
    took.saturating_mul(SHARE).clamp(COUNTED, LONGEST)
}

/// How many may be open before no connection is accepted, and before no request is given one.
fn shares(limit: u64) -> (u64, u64) {
    let requests = limit.saturating_sub(RESERVE);
    (requests.min(limit / 100 * CONNECTIONS + limit % 100 * CONNECTIONS / 100), requests)
}

/// How many are open. Linux 6.2 and newer say it as the directory's size, at no cost; before, that is 0.
fn open() -> io::Result<u64> {
    match fs::metadata(OPEN)?.len() {
        // The one by which the directory is read is no longer there.
        0 => Ok(fs::read_dir(OPEN)?.count().saturating_sub(1) as u64),
        open => Ok(open),
    }
}

/// The process, or the system, has no descriptor left.
pub fn is_out(error: &io::Error) -> bool {
    use nix::libc::{EMFILE, ENFILE};
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Descriptors {
        pub(crate) fn awaited(&self) -> i64 {
            self.awaited.load(Relaxed)
        }

        /// None is left, and nobody counts them again for an hour.
        pub(crate) fn exhaust(&self) {
            *self.again.lock().unwrap() = Some(Instant::now() + Duration::from_secs(3600));
            self.left.store(0, Relaxed);
        }
    }

    #[test]
    fn connections_have_nine_tenths_and_nobody_has_the_reserve() {
        for (limit, expected) in [
            (0, (0, 0)),
            (32, (0, 0)),
            (100, (68, 68)),
            (256, (224, 224)),
            (1024, (921, 992)),
            (65_536, (58_982, 65_504)),
            (u64::MAX, (u64::MAX / 100 * 90 + 13, u64::MAX - 32)),
        ] {
            assert_eq!(shares(limit), expected, "{limit}");
        }
    }

    #[test]
    fn both_ways_of_counting_agree() {
        let _held: Vec<_> = (0..50).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        // Other tests run in other processes (nextest), and under `cargo test` open a few meanwhile.
        let (said, seen) = (open().unwrap(), fs::read_dir(OPEN).unwrap().count() as u64 - 1);
        assert!(said >= 53 && said.abs_diff(seen) <= 20, "{said} {seen}");
    }

    #[test]
    fn counting_takes_a_share_of_the_time_and_holds_nobody_up() {
        let ms = Duration::from_millis;
        for (took, rests) in [(0, 20), (1, 50), (5, 250), (10, 500), (2000, 500)] {
            assert_eq!(rest(ms(took)), ms(rests), "{took}");
        }
        let descriptors = Descriptors::default();
        let _counting = descriptors.again.lock().unwrap();
        assert_eq!(descriptors.count().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn what_is_taken_is_gone_until_it_is_counted() {
        let descriptors = Descriptors::default();
        descriptors.count().unwrap();
        let left = descriptors.left.load(Relaxed);
        assert!(left > 0 && descriptors.may_accept() && descriptors.take());
        assert_eq!(descriptors.left.load(Relaxed), left - 1);
        // Counted a moment ago, none of this is doubted yet.
        let later = Some(Instant::now() + Duration::from_secs(3600));
        *descriptors.again.lock().unwrap() = later;
        descriptors.left.store(0, Relaxed);
        assert!(!descriptors.may_accept() && !descriptors.take());
        *descriptors.again.lock().unwrap() = None;
        assert!(descriptors.may_accept() && descriptors.take());
    }

    #[test]
    fn who_takes_of_the_second_half_counts_them_again() {
        let descriptors = Descriptors::default();
        descriptors.count().unwrap();
        let (left, half) = (descriptors.left.load(Relaxed), descriptors.half.load(Relaxed));
        assert_eq!(half, left / 2);
        // Counted a moment ago, and a while ago.
        descriptors.left.store(half, Relaxed);
        assert!(descriptors.take());
        assert_eq!(descriptors.left.load(Relaxed), half - 1);
        *descriptors.again.lock().unwrap() = None;
        descriptors.accepted();
        assert!(descriptors.left.load(Relaxed) > half);
    }

    #[test]
    fn what_is_taken_and_not_opened_yet_is_gone_for_who_counts() {
        let descriptors = Descriptors::default();
        let count = || {
            *descriptors.again.lock().unwrap() = None;
            descriptors.count().unwrap();
            descriptors.left.load(Relaxed)
        };
        let before = count();
        assert!((0..500).all(|_| descriptors.take()));
        // Other tests may open a few meanwhile.
        let during = count();
        assert!((400..=600).contains(&(before - during)), "{before} {during}");
        (0..500).for_each(|_| descriptors.opened());
        assert!(count() > before - 100);
        // Whoever is refused awaits nothing.
        descriptors.exhaust();
        assert!(!descriptors.take());
        assert_eq!(descriptors.awaited.load(Relaxed), 0);
    }
}
