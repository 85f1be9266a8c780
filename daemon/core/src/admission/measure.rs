//! What a governor counts down from where nobody has set a limit: the most that ran at once of late.
//!
//! Knows ten minutes, each by its most. Refuses to know why limits are lowered. Invariant: fixed memory; what is set is what counts, and
//! without it never fewer than [`LEAST`].

use std::time::Duration;

use crate::heat::ByClass;

/// What is remembered.
const MINUTES: usize = 10;

/// As many as engines answer at once by themselves, and for the background half of it: a box that was idle until now must not be held
/// to one request by the first degree (`OLLAMA_NUM_PARALLEL` is up to 4 where memory allows, and `--parallel` of llama.cpp's server 4).
pub const LEAST: ByClass<u32> = ByClass { interactive: 4, background: 2 };

/// The most that ran at once in each of the last minutes. What runs under a lowered limit says nothing of what would come without it: of such
/// a class it is told what it said itself.
#[derive(Debug, Clone, Default)]
pub struct Measure {
    minutes: [ByClass<u32>; MINUTES],
    /// The last one, counted from the caller's first instant.
    minute: u64,
}

impl Measure {
    /// So many ran at once since it was told last.
    pub fn push(&mut self, now: Duration, peak: ByClass<u32>) {
        let minute = now.as_secs() / 60;
        let passed = minute.saturating_sub(self.minute);
        self.minute = self.minute.max(minute);
        for over in (0..passed).take(MINUTES) {
            *self.at(minute.saturating_sub(over)) = ByClass::default();
        }
        let place = self.at(minute);
        *place = place.with(peak, u32::max);
    }

    /// What is counted down from: what is set, else what was seen.
    #[must_use]
    pub fn most(&self, set: ByClass<Option<u32>>) -> ByClass<u32> {
        let seen = self.minutes.iter().fold(LEAST, |most, minute| most.with(*minute, u32::max));
        set.with(seen, Option::unwrap_or)
    }

    fn at(&mut self, minute: u64) -> &mut ByClass<u32> {
        let [first, rest @ ..] = &mut self.minutes;
        let place = usize::try_from(minute % MINUTES as u64).unwrap_or_default();
        match place.checked_sub(1).and_then(|place| rest.get_mut(place)) {
            Some(minute) => minute,
            None => first,
        }
    }
}
