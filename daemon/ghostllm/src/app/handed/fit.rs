//! Whether a socket that was bound by somebody else is the one that is wanted.
//!
//! Knows two addresses. Refuses to know the sockets. Invariant: what fits never takes more peers than what is wanted would.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How well it fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    /// It is that address.
    Same,
    /// All addresses are wanted, and it is at all of IPv4. Who has bound it holds that port, so that nothing more can be had there;
    /// systemd binds it so where there is no IPv6.
    Narrower,
}

/// Whether the one at `got` will do where `wanted` is. Where any port will do, none that is given will.
pub(super) fn fits(wanted: SocketAddr, got: SocketAddr) -> Option<Fit> {
    if wanted.port() == 0 || wanted.port() != got.port() || scope(wanted) != scope(got) {
        return None;
    }
    let (wanted, got) = (wanted.ip(), got.ip());
    if wanted.to_canonical() == got.to_canonical() {
        return Some(Fit::Same);
    }
    let all = wanted == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && got.to_canonical() == Ipv4Addr::UNSPECIFIED;
    all.then_some(Fit::Narrower)
}

/// Which network a link-local address is of.
fn scope(address: SocketAddr) -> u32 {
    match address {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(six) => six.scope_id(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Fit, fits};

    fn check(wanted: &str, got: &str, fit: Option<Fit>) {
        assert_eq!(fits(wanted.parse().unwrap(), got.parse().unwrap()), fit, "{wanted} and {got}");
    }

    #[test]
    fn the_same_address_fits_however_it_is_written() {
        for at in ["[::]:443", "0.0.0.0:443", "127.0.0.1:443", "[::1]:443", "[fe80::1%2]:443"] {
            check(at, at, Some(Fit::Same));
        }
        check("127.0.0.1:443", "[::ffff:127.0.0.1]:443", Some(Fit::Same));
        check("[::ffff:127.0.0.1]:443", "127.0.0.1:443", Some(Fit::Same));
    }

    #[test]
    fn all_of_ipv4_is_less_than_all_and_what_is_more_does_not_fit() {
        check("[::]:443", "0.0.0.0:443", Some(Fit::Narrower));
        check("0.0.0.0:443", "[::]:443", None);
        check("127.0.0.1:443", "0.0.0.0:443", None);
        check("[::1]:443", "[::]:443", None);
    }

    #[test]
    fn another_port_or_address_does_not_fit_nor_any_where_any_port_will_do() {
        check("[::]:443", "[::]:444", None);
        check("[::]:443", "[::1]:443", None);
        check("[::]:443", "127.0.0.1:443", None);
        check("[::]:0", "[::]:443", None);
        check("[fe80::1%2]:443", "[fe80::1%3]:443", None);
    }
}
