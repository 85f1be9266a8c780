//! The ways in which connections speak HTTP, and how many speak in each.
//!
//! Knows listeners and versions. Invariant: a connection counts from when its version is agreed on until it is dropped, in a panic too.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use http::Version;

use crate::Transport;

/// Every way there is.
pub const WAYS: [(Transport, Version); 5] = [
    (Transport::Tls, Version::HTTP_11),
    (Transport::Tls, Version::HTTP_2),
    (Transport::Quic, Version::HTTP_3),
    (Transport::Plain, Version::HTTP_11),
    (Transport::Unix, Version::HTTP_11),
];

/// How many speak in each. Clones are the same counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ways(Arc<[AtomicUsize; WAYS.len()]>);

/// Counts one connection until it is dropped.
#[derive(Debug)]
pub(crate) struct Speaking {
    ways: Ways,
    place: usize,
}

impl Ways {
    /// One more speaks so; none for a way that is not in the list.
    pub(crate) fn one_more(&self, transport: Transport, version: Version) -> Option<Speaking> {
        let place = WAYS.iter().position(|way| *way == (transport, version))?;
        self.0.get(place)?.fetch_add(1, Relaxed);
        Some(Speaking { ways: self.clone(), place })
    }

    /// How many speak in each, in the order of [`WAYS`].
    pub(crate) fn now(&self) -> [usize; WAYS.len()] {
        self.0.each_ref().map(|count| count.load(Relaxed))
    }
}

impl Drop for Speaking {
    fn drop(&mut self) {
        if let Some(count) = self.ways.0.get(self.place) {
            count.fetch_sub(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_has_a_count_of_its_own() {
        let ways = Ways::default();
        let all: Vec<_> = WAYS.map(|(over, version)| ways.one_more(over, version)).into();
        let second = ways.one_more(Transport::Tls, Version::HTTP_2);
        assert!(
            all.iter().all(Option::is_some) && ways.one_more(Transport::Plain, Version::HTTP_2).is_none()
        );
        assert_eq!(ways.now(), [1, 2, 1, 1, 1]);
        drop((all, second));
        assert_eq!(ways.now(), [0; 5]);
    }
}
