//! Which peers are answered at all, before a byte of theirs is read.
//!
//! Knows address ranges. Refuses to know interfaces: their prefixes come with the rules. Invariant: an address
//! that the whole internet can have is answered only when it is on one of our own links, or all are.

use std::net::{IpAddr, Ipv4Addr};

use super::Rules;

/// Whether a peer at this address is answered: loopback, link-local, private (RFC 1918), shared (RFC 6598, where
/// overlay networks live), unique local (RFC 4193) and on-link addresses; all of them with `exposure_everywhere`.
pub fn source_allowed(ip: IpAddr, rules: &Rules) -> bool {
    let ip = ip.to_canonical();
    let near = match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_link_local() || ip.is_private() || is_shared(ip),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unique_local(),
    };
    rules.exposure_everywhere || near || rules.on_link.iter().any(|prefix| is_within(ip, *prefix))
}

/// 100.64.0.0/10.
fn is_shared(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    first == 100 && second & 0xc0 == 0x40
}

/// A prefix of no bits would be everyone, which is the other setting's to say; one that is too long is none.
fn is_within(ip: IpAddr, (network, bits): (IpAddr, u8)) -> bool {
    match (ip, network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) if (1..=32).contains(&bits) => {
            (ip.to_bits() ^ network.to_bits()) >> (32 - bits) == 0
        }
        (IpAddr::V6(ip), IpAddr::V6(network)) if (1..=128).contains(&bits) => {
            (ip.to_bits() ^ network.to_bits()) >> (128 - bits) == 0
        }
        _ => false,
    }
}
