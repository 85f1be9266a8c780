//! How much the chats that are in may still grow.
//!
//! Knows how much memory is used, and how many are in. Refuses to know who holds how much, which nobody does: a chat whose engine is silent,
//! or whose reader takes all that comes, holds a sixth of what it may. Invariant: what is used beside the chats is not said to be more than
//! it can be, so that all of them find room when they grow at once.

use ghostllm_edge::room::{CHAT, IDLE, Load, WAITING};

/// What is used beside the chats is found higher than it was by one part in so many of the difference at each look, of which there are ten a
/// second: half a minute, since it may as well be chats that have grown.
const SLOWLY: u64 = 300;

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct Growth(Option<Beside>);

/// What was used beside the chats, as little as that can be, and what there was besides then.
#[derive(Debug, Clone, Copy)]
struct Beside {
    bytes: u64,
    connections: u64,
    gathered: u64,
}

impl Growth {
    /// So many bytes are used, by so many connections among others: how many more the chats may come to hold.
    pub(super) fn of(&mut self, used: u64, load: Load, connections: u64) -> u64 {
        let Load { chats, gathered } = load;
        let [least, most] = [WAITING, CHAT].map(|each| chats.saturating_mul(each));
        // It is no more than this, and no less than that.
        let (above, below) = (used.saturating_sub(least), used.saturating_sub(most));
        let before = self.0.map_or(above, |known| {
            let came = connections.saturating_sub(known.connections).saturating_mul(IDLE);
            known.bytes.saturating_add(came).saturating_add(gathered.saturating_sub(known.gathered))
        });
        let slowly = before.saturating_add(above.saturating_sub(before) / SLOWLY);
        let bytes = slowly.min(above).max(below);
        self.0 = Some(Beside { bytes, connections, gathered });
        bytes.saturating_add(most).saturating_sub(used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BESIDE: u64 = 20 << 20;

    fn load(chats: u64) -> Load {
        Load { chats, gathered: 0 }
    }

    #[test]
    fn chats_that_hold_little_may_grow_and_those_that_hold_all_may_not() {
        let mut growth = Growth::default();
        assert_eq!(growth.of(BESIDE, load(0), 0), 0);
        let silent = BESIDE + 100 * WAITING;
        assert_eq!(growth.of(silent, load(100), 0), 100 * (CHAT - WAITING));
        // They speak, their readers take all, and then nothing more.
        let (half, full) = (BESIDE + 50 * CHAT, BESIDE + 100 * CHAT);
        for _ in 0..10 {
            let left = growth.of(half, load(100), 0);
            assert!((50 * CHAT..52 * CHAT).contains(&left), "{left}");
        }
        for _ in 0..10 {
            let left = growth.of(full, load(100), 0);
            assert!(left < 8 * CHAT, "{left}");
        }
        assert!(growth.of(BESIDE + 40 * CHAT, load(40), 0) < 8 * CHAT, "most have left");
    }

    #[test]
    fn what_is_used_beside_them_counts_at_once_where_it_is_known_and_slowly_where_it_is_not() {
        let mut growth = Growth::default();
        growth.of(BESIDE, load(0), 0);
        let used = BESIDE + 1000 * IDLE + (5 << 20) + 10 * WAITING;
        let mut beside = Growth(growth.0);
        let load = Load { chats: 10, gathered: 5 << 20 };
        assert_eq!(beside.of(used, load, 1000), 10 * (CHAT - WAITING), "connections, and what is gathered");
        // Another program's, as far as ten chats cannot hold it.
        let mut others = Growth(growth.0);
        assert_eq!(others.of(used, self::load(10), 0), 0);
        let mut left = 0;
        for _ in 0..3000 {
            left = others.of(used, self::load(10), 0);
        }
        assert!(left > 9 * (CHAT - WAITING), "{left}");
        // And gone again.
        assert_eq!(others.of(BESIDE + 10 * WAITING, self::load(10), 0), 10 * (CHAT - WAITING));
    }
}
