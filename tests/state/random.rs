//! Numbers that differ from run to run, from a seed that is printed.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// xorshift64: nothing here is secret.
pub(crate) struct Random(u64);

impl Random {
    /// From a new seed, which a failed test shows.
    pub(crate) fn new() -> Self {
        let seed = RandomState::new().hash_one(0) | 1;
        println!("seed {seed}");
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[3]
    }

    pub(crate) fn time(&mut self, end: Duration) -> Duration {
        end.mul_f64(self.below(1 << 20) as f64 / f64::from(1 << 20))
    }
}
