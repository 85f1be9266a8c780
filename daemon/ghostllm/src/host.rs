//! What this box is called and where it can be reached: the same list for the certificate and for the guard.
//!
//! Knows the host name, resolv.conf and the interfaces. Refuses to ask the network, because a start must not
//! wait for a name server. Invariant: `localhost`, 127.0.0.1 and ::1 are always in it, whatever fails.

#[cfg(test)]
mod tests;

use std::{
    fs, io,
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
    /// The prefixes of its own networks, each as one of its addresses and a length in bits: who is in one of them is on
    /// the same link.
    pub on_link: Vec<(IpAddr, u8)>,
}

/// One address of one interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local {
    /// The address.
    pub address: IpAddr,
    /// The length of its network's prefix in bits; none where the interface has no network, or it would be the world.
    pub prefix: Option<u8>,
    /// The interface is a port of a bridge or a bond, which is where its traffic goes.
    pub enslaved: bool,
}

impl Host {
    /// Asks the system. What cannot be read counts as absent: the box is then `localhost`.
    pub fn read() -> Self {
        Self::new(&name(), &resolv_conf().unwrap_or_default(), &locals().unwrap_or_default())
    }

    /// The same for a box that is known already: none if something cannot be read, for want of descriptors say, which
    /// does not mean that it has gone.
    pub fn read_whole() -> Option<Self> {
        Some(Self::new(&name(), &resolv_conf().ok()?, &locals().ok()?))
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
        let on_link = locals.iter().filter_map(|local| Some((local.address, local.prefix?))).collect();
        Self { short, names: each_once(names), addresses: each_once(addresses), on_link }
    }
}

fn name() -> String {
    gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default()
}

/// The file's text; a box without one asks no name server.
fn resolv_conf() -> io::Result<String> {
    match fs::read_to_string("/etc/resolv.conf") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read,
    }
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

fn locals() -> nix::Result<Vec<Local>> {
    let locals = getifaddrs()?.filter_map(|entry| {
        let address = entry.address.as_ref().and_then(ip)?;
        let master = Path::new("/sys/class/net").join(&entry.interface_name).join("master");
        let prefix = entry.netmask.as_ref().and_then(ip).map(length).filter(|length| *length > 0);
        Some(Local { address, prefix, enslaved: master.exists() })
    });
    Ok(locals.collect())
}

fn length(mask: IpAddr) -> u8 {
    let bits = match mask {
        IpAddr::V4(mask) => mask.to_bits().leading_ones(),
        IpAddr::V6(mask) => mask.to_bits().leading_ones(),
    };
    u8::try_from(bits).unwrap_or_default()
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
