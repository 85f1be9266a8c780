//! What this box is called and where it can be reached: the same list for the certificate and for the guard.
//!
//! Knows the host name, resolv.conf and the interfaces. Refuses to ask the network, because a start must not
//! wait for a name server. Invariant: `localhost`, 127.0.0.1 and ::1 are always in it, whatever fails.

#[cfg(test)]
mod tests;

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
};

use nix::{ifaddrs::getifaddrs, sys::socket::SockaddrStorage, unistd::gethostname};

/// The names and addresses of this box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The host name's first part, or `localhost` when it has none.
    pub short: String,
    /// Every own name, in lower case, each once, the most used first: `localhost`, short, full (as set and with
    /// each search domain), `<short>.local`.
    pub names: Vec<String>,
    /// Every own address, each once, loopback first.
    pub addresses: Vec<IpAddr>,
}

/// One address of one interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local {
    /// The address.
    pub address: IpAddr,
    /// The interface is a port of a bridge or a bond, which is where its traffic goes.
    pub enslaved: bool,
}

impl Host {
    /// Asks the system. What cannot be read counts as absent: the box is then `localhost`.
    pub fn read() -> Self {
        let name = gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default();
        let resolver = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        Self::new(&name, &resolver, &locals())
    }

    /// The same from facts: the host name as set, the text of resolv.conf, the interfaces' addresses.
    pub fn new(name: &str, resolv_conf: &str, locals: &[Local]) -> Self {
        let full = name.trim().trim_end_matches('.').to_ascii_lowercase();
        // A kernel without a name says "(none)".
        let short = full.split('.').next().filter(|part| !part.is_empty() && *part != "(none)");
        let short = short.unwrap_or("localhost").to_owned();
        let mut names = vec!["localhost".to_owned()];
        if short != "localhost" {
            names.extend([short.clone(), full]);
            names.extend(search_domains(resolv_conf).into_iter().map(|domain| format!("{short}.{domain}")));
            names.push(format!("{short}.local"));
        }
        let mut addresses = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        addresses.extend(locals.iter().filter(|local| is_reachable(local)).map(|local| local.address));
        Self { short, names: each_once(names), addresses: each_once(addresses) }
    }
}

/// The prefixes of the box's own networks, each as one of its addresses and a length in bits: who is in one of them
/// is on the same link.
pub fn on_link() -> Vec<(IpAddr, u8)> {
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    let prefix = |interface: nix::ifaddrs::InterfaceAddress| {
        let (address, mask) = (ip(&interface.address?)?, ip(&interface.netmask?)?);
        let length = match mask {
            IpAddr::V4(mask) => mask.to_bits().leading_ones(),
            IpAddr::V6(mask) => mask.to_bits().leading_ones(),
        };
        // A prefix of no bits would be the whole world.
        Some((address, u8::try_from(length).ok().filter(|length| *length > 0)?))
    };
    interfaces.filter_map(prefix).collect()
}

/// The domains of the last `search` or `domain` line, which is the one that counts (resolv.conf(5)).
fn search_domains(text: &str) -> Vec<String> {
    let line = text.lines().rev().find_map(|line| {
        let mut words = line.split_whitespace();
        matches!(words.next(), Some("search" | "domain")).then(|| words.collect::<Vec<_>>())
    });
    let domains =
        line.unwrap_or_default().into_iter().map(|word| word.trim_matches('.').to_ascii_lowercase());
    // A lone dot means that there is no search domain (systemd-resolved writes it).
    domains.filter(|domain| !domain.is_empty()).collect()
}

/// A container's end of a bridge has a link-local address that nobody reaches the box by; each container that
/// starts or ends would renew the certificate.
fn is_reachable(local: &Local) -> bool {
    let link_local = match local.address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    let nobodys =
        local.address.is_unspecified() || local.address.is_multicast() || (link_local && local.enslaved);
    !nobodys
}

fn locals() -> Vec<Local> {
    let Ok(list) = getifaddrs() else { return Vec::new() };
    list.filter_map(|entry| {
        let address = entry.address.as_ref().and_then(ip)?;
        let master = Path::new("/sys/class/net").join(&entry.interface_name).join("master");
        Some(Local { address, enslaved: master.exists() })
    })
    .collect()
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let four = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    four.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

/// Keeps the first of each.
fn each_once<T: PartialEq>(list: Vec<T>) -> Vec<T> {
    list.into_iter().fold(Vec::new(), |mut kept, item| {
        if !kept.contains(&item) {
            kept.push(item);
        }
        kept
    })
}
