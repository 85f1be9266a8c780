//! What is drawn, the same for the same seed.

use std::time::Duration;

/// `SplitMix64` (Steele, Lea and Flood 2014): any seed will do, and each worker has one of its own.
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    /// That of this worker, out of the run's seed.
    pub(crate) fn new(seed: u64, worker: u64) -> Self {
        let mut chance = Self(seed);
        Self(chance.next() ^ Self(worker).next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// From the first to the last of these.
    pub(crate) fn between(&mut self, first: usize, last: usize) -> usize {
        let span = (last - first) as u64 + 1;
        first + usize::try_from(self.next() % span).unwrap_or_default()
    }

    /// Once in so many times.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.between(1, times) == 1
    }

    pub(crate) fn millis(&mut self, first: u64, last: u64) -> Duration {
        Duration::from_millis(first + self.next() % (last - first + 1))
    }

    pub(crate) fn of<T: Copy>(&mut self, some: &[T]) -> Option<T> {
        some.get(self.between(0, some.len().checked_sub(1)?)).copied()
    }
}
