//! What may be sent to addresses that nobody has proved to be theirs: no more than three times what came from them (RFC 9000
//! section 8.1).
//!
//! Knows addresses and bytes. Refuses to know packets. Invariant: an address with a connection that stands is not held up, or
//! whoever names it as a source could hold up its owner. quinn keeps count as well, but begins a datagram while a single byte
//! is left (quinn-proto 0.11.19, `Connection::poll_transmit`): a client that never answers got 3738 bytes for 1200.
//!
//! Addresses that a client moves to later (RFC 9000 sections 8.2 and 9.3) have no account: only quinn would know when one is
//! proved, and so the endpoint follows nobody there (`migration(false)`).

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// RFC 9000 section 8.1.
const TIMES: usize = 3;
/// What a first packet comes in, at the least (RFC 9000 section 14.1); smaller ones are not heard.
const INITIAL: usize = 1200;
/// Packets of strangers that are remembered: a first flight of several comes before the handshake is begun that it belongs to.
const RECENT: usize = 64;

/// The accounts of all addresses with a handshake that waits, or with a connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Unproved(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    ledger: Mutex<Ledger>,
    /// Accounts by which anything is held up, so that a box without handshakes takes no lock for a packet.
    held: AtomicUsize,
}

#[derive(Debug, Default)]
struct Ledger {
    accounts: HashMap<SocketAddr, Account>,
    /// Who sent how much without having an account.
    recent: VecDeque<(SocketAddr, usize)>,
}

#[derive(Debug, Default)]
struct Account {
    waiting: usize,
    standing: usize,
    came: usize,
    gone: usize,
}

impl Account {
    fn holds(&self) -> bool {
        self.waiting > 0 && self.standing == 0
    }
}

/// One handshake or connection of an address, until this is dropped.
#[derive(Debug)]
pub(super) struct Peer {
    unproved: Unproved,
    address: SocketAddr,
    proved: bool,
}

impl Unproved {
    /// A handshake begins; `proved` if its address has been, by the token of a Retry.
    pub(super) fn begin(&self, address: SocketAddr, proved: bool) -> Peer {
        let mut ledger = self.ledger();
        let Ledger { accounts, recent } = &mut *ledger;
        accounts.entry(address).or_insert_with(|| {
            let came = recent.iter().filter(|(from, _)| *from == address).map(|(_, bytes)| bytes).sum();
            recent.retain(|(from, _)| *from != address);
            Account { came: INITIAL.max(came), ..Account::default() }
        });
        self.change(&mut ledger, address, |account| *account.of(proved) += 1);
        Peer { unproved: self.clone(), address, proved }
    }

    /// So many bytes came from there, in packets of a handshake or of a connection.
    pub(super) fn came(&self, address: SocketAddr, bytes: usize, handshake: bool) {
        if !handshake && self.0.held.load(Relaxed) == 0 {
            return;
        }
        let mut ledger = self.ledger();
        if let Some(account) = ledger.accounts.get_mut(&address) {
            account.came = account.came.saturating_add(bytes);
        } else if handshake {
            ledger.recent.push_back((address, bytes));
            if ledger.recent.len() > RECENT {
                ledger.recent.pop_front();
            }
        }
    }

    /// How many of these bytes may go there, in whole datagrams of `size`; they count as gone.
    pub(super) fn go(&self, address: SocketAddr, bytes: usize, size: usize) -> usize {
        if self.0.held.load(Relaxed) == 0 {
            return bytes;
        }
        let mut ledger = self.ledger();
        let account = ledger.accounts.get_mut(&address).filter(|account| account.holds());
        let Some(account) = account else { return bytes };
        let left = account.came.saturating_mul(TIMES).saturating_sub(account.gone);
        let may = if bytes <= left { bytes } else { left - left.checked_rem(size).unwrap_or(left) };
        account.gone += may;
        may
    }

    /// They did not go.
    pub(super) fn stayed(&self, address: SocketAddr, bytes: usize) {
        if let Some(account) = self.ledger().accounts.get_mut(&address) {
            account.gone = account.gone.saturating_sub(bytes);
        }
    }

    fn change(&self, ledger: &mut Ledger, address: SocketAddr, change: impl FnOnce(&mut Account)) {
        let account = ledger.accounts.entry(address).or_default();
        let before = account.holds();
        change(account);
        match (before, account.holds()) {
            (false, true) => self.0.held.fetch_add(1, Relaxed),
            (true, false) => self.0.held.fetch_sub(1, Relaxed),
            _ => 0,
        };
        if account.waiting + account.standing == 0 {
            ledger.accounts.remove(&address);
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    fn of(&mut self, proved: bool) -> &mut usize {
        if proved { &mut self.standing } else { &mut self.waiting }
    }
}

impl Peer {
    /// The handshake is over, so that the address is its peer's.
    pub(super) fn proved(&mut self) {
        if !std::mem::replace(&mut self.proved, true) {
            self.unproved.change(&mut self.unproved.ledger(), self.address, |account| {
                account.waiting -= 1;
                account.standing += 1;
            });
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let (unproved, proved) = (&self.unproved, self.proved);
        unproved.change(&mut unproved.ledger(), self.address, |account| *account.of(proved) -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> SocketAddr {
        "192.0.2.1:1".parse().unwrap()
    }

    #[test]
    fn three_times_as_much_goes_and_not_one_datagram_more() {
        let unproved = Unproved::default();
        let peer = unproved.begin(address(), false);
        assert_eq!(unproved.go(address(), 3 * 1200 - 1, 1200), 3 * 1200 - 1);
        assert_eq!(unproved.go(address(), 2, 2), 0, "one byte is left");
        assert_eq!(unproved.go(address(), 1, 1), 1);
        assert_eq!(unproved.go(address(), 1, 1), 0);
        unproved.came(address(), 400, false);
        // Of three datagrams in one, the first two fit.
        assert_eq!(unproved.go(address(), 1500, 500), 1000);
        assert_eq!(unproved.go("192.0.2.2:1".parse().unwrap(), 9000, 1200), 9000, "another address");
        drop(peer);
        assert_eq!(unproved.go(address(), 9000, 1200), 9000);
        assert!(unproved.ledger().accounts.is_empty());
    }

    #[test]
    fn what_came_before_the_handshake_began_counts_and_is_not_kept_for_ever() {
        let unproved = Unproved::default();
        unproved.came(address(), 1200, true);
        unproved.came(address(), 800, true);
        let peer = unproved.begin(address(), false);
        assert_eq!(unproved.go(address(), 6000, 1), 6000);
        assert_eq!(unproved.go(address(), 1, 1), 0);
        unproved.stayed(address(), 1000);
        assert_eq!(unproved.go(address(), 1001, 1), 1000);
        drop(peer);
        unproved.came(address(), 9000, true);
        for port in 0..64 {
            unproved.came(SocketAddr::new("192.0.2.3".parse().unwrap(), port), 1200, true);
        }
        let _peer = unproved.begin(address(), false);
        assert_eq!(unproved.go(address(), 6000, 1), 3600);
        assert_eq!(unproved.ledger().recent.len(), 64);
    }

    #[test]
    fn whoever_is_proved_is_not_held_up_by_who_names_its_address() {
        let unproved = Unproved::default();
        let mut owner = unproved.begin(address(), false);
        owner.proved();
        let thief = unproved.begin(address(), false);
        assert_eq!(unproved.go(address(), 1 << 20, 1200), 1 << 20);
        drop(owner);
        assert_eq!(unproved.go(address(), 1 << 20, 1200), 3600, "nobody's any more");
        let _token = unproved.begin(address(), true);
        assert_eq!(unproved.go(address(), 1 << 20, 1200), 1 << 20);
        drop(thief);
        assert_eq!(unproved.0.held.load(Relaxed), 0);
    }
}
