//! Request ids: unique in this box's log, and telling nothing.

use std::{
    fmt,
    num::ParseIntError,
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use aws_lc_rs::{error::Unspecified, rand};

/// The source of this process's ids.
#[derive(Debug)]
pub(super) struct Ids {
    seed: [u64; 2],
    count: AtomicU64,
}

/// 128 bits as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Id(u64, u64);

impl Ids {
    pub(super) fn new() -> Result<Self, Unspecified> {
        let mut bytes = [[0; 8]; 2];
        rand::fill(bytes.as_flattened_mut())?;
        Ok(Self { seed: bytes.map(u64::from_ne_bytes), count: AtomicU64::new(0) })
    }

    pub(super) fn next(&self) -> Id {
        let count = self.count.fetch_add(1, Relaxed);
        let [left, right] = self.seed;
        Id(mixed(left.wrapping_add(count)), mixed(right ^ count))
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014): a bijection, so that no two counts collide.
fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

impl Id {
    /// As a number.
    pub(super) fn number(self) -> u128 {
        (u128::from(self.0) << 64) | u128::from(self.1)
    }
}

impl FromStr for Id {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        let (left, right) = text.split_at_checked(16).filter(|_| text.len() == 32).unwrap_or_default();
        Ok(Self(u64::from_str_radix(left, 16)?, u64::from_str_radix(right, 16)?))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_id_comes_twice() {
        let ids = Ids::new().unwrap();
        let seen: HashSet<String> = (0..10_000).map(|_| ids.next().to_string()).collect();
        assert_eq!(seen.len(), 10_000);
        assert!(seen.iter().all(|id| id.len() == 32));
    }
}
