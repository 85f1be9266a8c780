//! The memory that a peak leaves behind.
//!
//! Knows how many connections there were and are, and what the process holds. Refuses to know what held it. Invariant: spare memory is
//! given back after a peak, and not all the time.

use std::time::Duration;

use tokio::time::Instant;

/// A peak leaves up to hundreds of megabytes behind in the allocator (30 to 100 kB a stream were measured). Giving them back at
/// most this often costs nothing that is felt.
const TRIM_EVERY: Duration = Duration::from_secs(60);
/// Clients that keep their connections open never fall below half of their number.
const TRIM_ANYWAY: Duration = Duration::from_secs(600);
/// Connections are gone a little before what they held: 10,000 streams over HTTP/3 were seen to leave 270 MB behind a trim
/// that fell between the two. So often it is tried after one peak.
const TRIMS: u32 = 3;
/// So much more than at rest is worth it, in bytes.
const SPARE: u64 = 2 << 20;

/// Gives the allocator's spare memory back after a peak: glibc keeps it, and nothing else asks for it.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// What the process held when it was first looked at, and when that was.
    rest: Option<(u64, Instant)>,
    peak: usize,
    /// How often it was given back since that peak.
    times: u32,
    trimmed: Option<Instant>,
}

impl Memory {
    pub(super) fn look(&mut self, open: usize, most: usize, resident: u64) {
        if self.is_due(open, most, resident) {
            let given = ghostllm_sys::trim();
            tracing::debug!(peak = self.peak, open, resident, given, "spare memory was given back");
            (self.times, self.trimmed) = (self.times + 1, Some(Instant::now()));
            if self.times >= TRIMS {
                (self.peak, self.times) = (open, 0);
            }
        }
    }

    /// Whether much is held that a peak has left, and that was not given back a short time ago.
    fn is_due(&mut self, open: usize, most: usize, resident: u64) -> bool {
        if most > self.peak {
            (self.peak, self.times) = (most, 0);
        }
        let (rest, begun) = *self.rest.get_or_insert((resident, Instant::now()));
        let rested = self.trimmed.is_none_or(|trimmed| trimmed.elapsed() >= TRIM_EVERY);
        let over = self.peak > 0 && open <= self.peak / 2;
        let anyway = self.trimmed.unwrap_or(begun).elapsed() >= TRIM_ANYWAY;
        resident > rest.saturating_add(SPARE) && (over && rested || anyway)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn memory_is_given_back_after_a_peak_and_not_all_the_time() {
        let mut memory = Memory::default();
        let (rest, much) = (7 << 20, 300 << 20);
        assert!(!memory.is_due(0, 0, rest));
        // A peak that rose and fell between two looks; on HTTP/2 it may be one connection.
        assert!(!memory.is_due(1, 1, much), "it is not over");
        assert!(memory.is_due(0, 1, much));
        (memory.peak, memory.trimmed) = (0, Some(Instant::now()));
        assert!(!memory.is_due(0, 5000, much), "a moment later");
        tokio::time::advance(TRIM_EVERY).await;
        assert!(!memory.is_due(0, 0, rest + SPARE), "nothing to give");
        assert!(memory.is_due(0, 0, much));
        assert!(!memory.is_due(4000, 0, much), "most are still there");
        tokio::time::advance(TRIM_ANYWAY).await;
        assert!(memory.is_due(4000, 0, much));
        // One client, which stays from the start on.
        let mut memory = Memory::default();
        assert!(!memory.is_due(1, 1, rest) && !memory.is_due(1, 1, much));
        tokio::time::advance(TRIM_ANYWAY).await;
        assert!(memory.is_due(1, 1, much));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_still_held_at_the_first_time_is_given_back_at_another() {
        let mut memory = Memory::default();
        let (rest, much) = (7 << 20, 300 << 20);
        memory.look(0, 0, rest);
        memory.look(5000, 5000, much);
        for _ in 0..TRIMS {
            assert!(memory.is_due(0, 0, much));
            memory.look(0, 0, much);
            assert!(!memory.is_due(0, 0, much), "a moment later");
            tokio::time::advance(TRIM_EVERY).await;
        }
        assert!(!memory.is_due(0, 0, much), "it is not given back at all");
        memory.look(10, 10, much);
        assert!(memory.is_due(0, 0, much), "another peak");
    }
}
