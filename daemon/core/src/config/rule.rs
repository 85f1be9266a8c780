//! What a value must keep to beyond its type.
//!
//! Knows amounts and their bounds. Refuses to know which setting has which rule. Invariant: the words of a rule say the
//! same as its bounds, which the schema is made of.

use std::time::Duration;

use super::values::ByteSize;

/// A rule for values of a type.
pub(super) struct Rule<T> {
    /// What is wanted, in words that fit after "expected".
    pub(super) wanted: &'static str,
    /// Whether a value keeps to it.
    pub(super) holds: fn(&T) -> bool,
    /// The least and the most, in the smallest unit.
    pub(super) bounds: (u64, u64),
}

impl<T: Amount> Rule<T> {
    /// From `LEAST` to `MOST`, both included; nothing keeps to it as well where nothing is set.
    pub(super) fn amount<const LEAST: u64, const MOST: u64>(wanted: &'static str) -> Self {
        let holds = |value: &T| value.amount().is_none_or(|amount| (LEAST..=MOST).contains(&amount));
        Self { wanted, holds, bounds: (LEAST, MOST) }
    }
}

/// A type that is so much of something.
pub(super) trait Amount {
    /// How much, in the smallest unit: one, a byte, a millisecond.
    fn amount(&self) -> Option<u64>;
}

impl Amount for u32 {
    fn amount(&self) -> Option<u64> {
        Some(u64::from(*self))
    }
}

impl Amount for usize {
    fn amount(&self) -> Option<u64> {
        Some(u64::try_from(*self).unwrap_or(u64::MAX))
    }
}

impl Amount for ByteSize {
    fn amount(&self) -> Option<u64> {
        Some(self.bytes())
    }
}

impl Amount for Duration {
    fn amount(&self) -> Option<u64> {
        Some(u64::try_from(self.as_millis()).unwrap_or(u64::MAX))
    }
}

impl<T: Amount> Amount for Option<T> {
    fn amount(&self) -> Option<u64> {
        self.as_ref().and_then(T::amount)
    }
}
