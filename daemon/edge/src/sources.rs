//! How many connections each source holds open, over all transports.
//!
//! Knows addresses and the limits. Invariants: loopback is counted in the whole but has no share of its own, since every
//! program on the box comes from there; what comes over the Unix socket is counted apart, so that no flood keeps it out.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{Limits, connection::canonical};

/// The count that all listeners share.
#[derive(Debug, Clone)]
pub struct Sources(Arc<Mutex<Open>>);

/// How many there may be.
#[derive(Debug)]
struct Most {
    per_source: usize,
    in_all: usize,
    admin: usize,
    handshakes: usize,
}

impl Most {
    fn of(limits: &Limits) -> Self {
        Self {
            per_source: limits.connections_per_source,
            in_all: limits.connections,
            admin: limits.admin_connections,
            handshakes: limits.handshakes,
        }
    }
}

#[derive(Debug)]
struct Open {
    most: Most,
    all: usize,
    admin: usize,
    handshakes: usize,
    by_source: HashMap<IpAddr, usize>,
}

/// One connection that counts until this is dropped.
#[derive(Debug)]
pub struct Share {
    sources: Sources,
    source: Option<IpAddr>,
}

/// One TLS handshake that counts until this is dropped.
#[derive(Debug)]
pub struct Handshake(Sources);

/// One connection over the Unix socket that counts until this is dropped.
#[derive(Debug)]
pub struct AdminShare(Sources);

impl Drop for AdminShare {
    fn drop(&mut self) {
        self.0.open().admin -= 1;
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.0.open().handshakes -= 1;
    }
}

impl Sources {
    /// A count with the limits `connections`, `connections_per_source`, `admin_connections` and `handshakes`.
    pub fn new(limits: &Limits) -> Self {
        let most = Most::of(limits);
        let by_source = HashMap::new();
        Self(Arc::new(Mutex::new(Open { most, all: 0, admin: 0, handshakes: 0, by_source })))
    }

    /// Counts by these limits from now on; what is open beyond them stays open.
    pub fn limit(&self, limits: &Limits) {
        self.open().most = Most::of(limits);
    }

    /// Counts a connection from `peer`; none when a limit is reached.
    pub fn take(&self, peer: SocketAddr) -> Option<Share> {
        let ip = canonical(peer).ip();
        let source = (!ip.is_loopback()).then(|| network(ip));
        let mut open = self.open();
        if open.all >= open.most.in_all {
            return None;
        }
        if let Some(source) = source {
            let most = open.most.per_source;
            let count = open.by_source.entry(source).or_insert(0);
            if *count >= most {
                return None;
            }
            *count += 1;
        }
        open.all += 1;
        drop(open);
        Some(Share { sources: self.clone(), source })
    }

    /// Counts a connection over the Unix socket; none beyond its limit, whatever else is open.
    pub fn admin(&self) -> Option<AdminShare> {
        let mut open = self.open();
        if open.admin >= open.most.admin {
            return None;
        }
        open.admin += 1;
        Some(AdminShare(self.clone()))
    }

    /// Counts a TLS handshake, which costs a signature before anything is known of its peer; none beyond the limit.
    pub fn handshake(&self) -> Option<Handshake> {
        let mut open = self.open();
        if open.handshakes >= open.most.handshakes {
            return None;
        }
        open.handshakes += 1;
        Some(Handshake(self.clone()))
    }

    /// Whether no connection more would be taken from any address.
    pub fn is_full(&self) -> bool {
        let open = self.open();
        open.all >= open.most.in_all
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut open = self.sources.open();
        open.all -= 1;
        if let Some(source) = self.source
            && let Some(count) = open.by_source.get_mut(&source)
        {
            *count -= 1;
            if *count == 0 {
                open.by_source.remove(&source);
            }
        }
    }
}

/// The source that an address belongs to: an IPv6 host commands its whole /64 (RFC 7084), so that is one.
#[must_use]
pub fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(per_source: usize, in_all: usize) -> Sources {
        Sources::new(&Limits { connections_per_source: per_source, connections: in_all, ..Limits::default() })
    }

    #[test]
    fn the_limit_passes_and_one_more_does_not() {
        let sources = sources(2, 10);
        let peer = |text: &str| text.parse().unwrap();
        let first = sources.take(peer("[fd00::1]:1")).unwrap();
        let _second = sources.take(peer("[fd00::2]:1")).unwrap();
        assert!(sources.take(peer("[fd00::3]:1")).is_none(), "one /64 is one source");
        let _other = sources.take(peer("[fd00:0:0:1::1]:1")).unwrap();
        drop(first);
        assert!(sources.take(peer("[fd00::3]:1")).is_some());
    }

    #[test]
    fn other_limits_hold_for_those_that_come_afterwards() {
        let (sources, peer) = (sources(1, 10), "[fd00::1]:1".parse().unwrap());
        let open: Vec<_> = sources.take(peer).into_iter().collect();
        assert!(open.len() == 1 && sources.take(peer).is_none());
        sources.limit(&Limits {
            connections_per_source: 2,
            connections: 2,
            handshakes: 0,
            ..Limits::default()
        });
        let another = sources.take(peer).unwrap();
        assert!(sources.is_full() && sources.handshake().is_none());
        sources.limit(&Limits { connections_per_source: 1, connections: 10, ..Limits::default() });
        drop(another);
        assert!(sources.take(peer).is_none(), "the first one is still open");
        drop(open);
        assert!(sources.take(peer).is_some() && sources.handshake().is_some());
    }

    #[test]
    fn loopback_has_no_share_but_counts_in_all() {
        let sources = sources(1, 3);
        let local = "127.0.0.1:1".parse().unwrap();
        let held: Vec<_> = (0..3).map(|_| sources.take(local).unwrap()).collect();
        assert!(sources.take(local).is_none());
        drop(held);
        assert!(sources.open().by_source.is_empty());
        assert!(sources.take(local).is_some());
    }

    #[test]
    fn the_unix_socket_has_a_limit_of_its_own_and_takes_nobody_s_share() {
        let limits = Limits { connections: 1, admin_connections: 2, ..Limits::default() };
        let (sources, local) = (Sources::new(&limits), "127.0.0.1:1".parse().unwrap());
        let all = sources.take(local).unwrap();
        assert!(sources.is_full());
        let (first, _second) = (sources.admin().unwrap(), sources.admin().unwrap());
        assert!(sources.admin().is_none(), "the limit passes, one more does not");
        drop(all);
        assert!(sources.take(local).is_some(), "they are not counted in the whole");
        drop(first);
        assert!(sources.admin().is_some());
        sources.limit(&Limits { admin_connections: 1, ..limits });
        assert!(sources.admin().is_none(), "the second is still open");
    }

    #[test]
    fn handshakes_have_a_limit_of_their_own() {
        let sources = Sources::new(&Limits { handshakes: 1, ..Limits::default() });
        let first = sources.handshake().unwrap();
        assert!(sources.handshake().is_none());
        drop(first);
        assert!(sources.handshake().is_some());
    }
}
