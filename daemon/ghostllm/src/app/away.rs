//! Addresses and families that are listened for and not there, as they come and go.
//!
//! Knows where it listens. Refuses to bind: what is bound is served as soon as the box has its address. Invariant: the log hears of each
//! once when it goes and once when it comes.

use std::net::SocketAddr;

use ghostllm_edge::bind;

use super::{
    Addresses,
    listeners::PLAIN_AT,
    standing::{Away, Standing},
};

/// What is listened for, and what of it is away.
pub(super) struct Wanted {
    tls: SocketAddr,
    plain: Vec<SocketAddr>,
    away: Vec<Away>,
}

impl Wanted {
    pub(super) fn new(addresses: &Addresses) -> Self {
        Self { tls: addresses.tls, plain: addresses.plain.clone(), away: Vec::new() }
    }

    /// Looks what is there now, and tells what has changed.
    pub(super) fn look(&mut self, standing: &Standing) {
        let away = self.found(bind::ipv6_is_disabled(), bind::has);
        for gone in away.iter().filter(|away| !self.away.contains(away)) {
            tracing::warn!("{} is not served now: {}. {}", gone.what, gone.why, gone.next);
        }
        for back in self.away.iter().filter(|before| !away.contains(before)) {
            tracing::info!("{} is served: this box has it now", back.what);
        }
        self.away = away;
        standing.away(&self.away);
    }

    /// What is away where IPv6 is off or not, and the box has these addresses.
    fn found(&self, no_ipv6: bool, has: impl Fn(SocketAddr) -> bool) -> Vec<Away> {
        let all = self.tls.is_ipv6() && self.tls.ip().is_unspecified();
        let specific = |address: &SocketAddr| !address.ip().is_unspecified() && !has(*address);
        let tls =
            [self.tls].into_iter().filter(specific).map(|at| (format!("HTTPS at {at}"), at, "listen.tls"));
        let plain = self.plain.iter().copied().filter(specific);
        let plain = plain.map(|at| (format!("{PLAIN_AT}{at}"), at, "listen.plain"));
        if !(all && no_ipv6) {
            return tls.chain(plain).map(|(what, at, setting)| absent(what, at, setting)).collect();
        }
        // That it has none says all of its addresses.
        let (six, four): (Vec<_>, Vec<_>) = plain.partition(|(_, at, _)| at.is_ipv6());
        let disabled = Away {
            what: "IPv6".to_owned(),
            at: six.into_iter().map(|(_, at, _)| at).collect(),
            why: "it is disabled, and IPv4 alone is served".to_owned(),
            next: "To have it: sysctl net.ipv6.conf.all.disable_ipv6=0; it is served then by itself"
                .to_owned(),
        };
        [disabled]
            .into_iter()
            .chain(four.into_iter().map(|(what, at, setting)| absent(what, at, setting)))
            .collect()
    }
}

fn absent(what: String, at: SocketAddr, setting: &str) -> Away {
    Away {
        what,
        at: vec![at],
        why: format!("no interface has {} yet, or no more", at.ip()),
        next: format!(
            "It is served by itself once one has it (ip address show); or give {setting} another address"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(tls: &str, plain: &[&str]) -> Wanted {
        let plain = plain.iter().map(|at| at.parse().unwrap()).collect();
        Wanted { tls: tls.parse().unwrap(), plain, away: Vec::new() }
    }

    fn found(wanted: &Wanted, no_ipv6: bool, has: &[&str]) -> Vec<String> {
        let found = wanted.found(no_ipv6, |address| has.contains(&address.ip().to_string().as_str()));
        found.into_iter().map(|away| away.what).collect()
    }

    #[test]
    fn each_address_is_told_where_no_interface_has_it() {
        let all = wanted("[::]:443", &["127.0.0.1:80", "[::1]:80"]);
        assert!(found(&all, false, &["127.0.0.1", "::1"]).is_empty());
        assert_eq!(found(&all, false, &["::1"]), ["plain HTTP at 127.0.0.1:80"]);
        let one = wanted("192.168.7.1:443", &[]);
        assert_eq!(found(&one, false, &[]), ["HTTPS at 192.168.7.1:443"]);
        assert!(found(&one, true, &["192.168.7.1"]).is_empty(), "nobody has asked for IPv6");
    }

    #[test]
    fn ipv6_that_is_disabled_is_told_once_for_all_its_addresses() {
        let all = wanted("[::]:443", &["127.0.0.1:80", "[::1]:80"]);
        assert_eq!(found(&all, true, &["127.0.0.1"]), ["IPv6"]);
        let away = all.found(true, |address| address.is_ipv4());
        assert_eq!(away[0].at, ["[::1]:80".parse().unwrap()]);
        assert_eq!(found(&all, true, &[]), ["IPv6", "plain HTTP at 127.0.0.1:80"]);
    }
}
