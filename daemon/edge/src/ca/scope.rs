//! For whom a CA may vouch: names and networks, and what of a box's names and addresses lies outside.
//!
//! Knows the syntax of DNS names and the matching rules of RFC 5280 4.2.1.10 on which OpenSSL, rustls, NSS and
//! Go agree. Refuses to know certificates. Invariant: [`Scope::sort`] keeps nothing that one of them would
//! refuse, because one name outside makes a client refuse the whole leaf.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Names in one leaf, at the most. The leaf has to fit into the first packets of a QUIC handshake
/// (RFC 9000 8.1: three times what the client sent), and a box with more names than this has one by mistake.
pub const NAMES: usize = 32;
/// Addresses in one leaf, at the most; a box with many bridges and containers passes it.
pub const ADDRESSES: usize = 64;

/// What every CA of this program permits: reserved for private use, so nobody else's name can be among them
/// (RFC 6761, RFC 6762, RFC 8375, ICANN's `.internal`). A constraint permits the name and all below it.
const NAMES_FOR_ALL: [&str; 4] = ["localhost", "local", "internal", "home.arpa"];

/// Networks that every CA permits: loopback, RFC 1918, link-local, shared (RFC 6598), unique local.
const NETWORKS_FOR_ALL: [(IpAddr, u8); 9] = [
    (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
    (IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
    (IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16),
    (IpAddr::V4(Ipv4Addr::new(100, 64, 0, 0)), 10),
    (IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
    (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
    (IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
];

/// Addresses that share the bits of a mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    /// Any address of it.
    pub base: IpAddr,
    /// Of the same family.
    pub mask: IpAddr,
}

impl Network {
    fn new(base: IpAddr, prefix: u8) -> Self {
        let host = u32::from(prefix);
        let mask = match base {
            IpAddr::V4(_) => Ipv4Addr::from_bits(!u32::MAX.checked_shr(host).unwrap_or(0)).into(),
            IpAddr::V6(_) => Ipv6Addr::from_bits(!u128::MAX.checked_shr(host).unwrap_or(0)).into(),
        };
        Self { base, mask }
    }

    fn contains(&self, address: IpAddr) -> bool {
        match (self.base, self.mask, address) {
            (IpAddr::V4(base), IpAddr::V4(mask), IpAddr::V4(address)) => base & mask == address & mask,
            (IpAddr::V6(base), IpAddr::V6(mask), IpAddr::V6(address)) => base & mask == address & mask,
            _ => false,
        }
    }
}

/// What a CA permits; a name stands for itself and all names below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// DNS names in lower case, without a dot at either end.
    pub names: Vec<String>,
    /// Networks.
    pub networks: Vec<Network>,
}

/// A box's names and addresses, or those that a leaf bears.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subjects {
    /// DNS names; one that reads as an address counts as that address.
    pub names: Vec<String>,
    /// Addresses.
    pub addresses: Vec<IpAddr>,
}

/// A name or an address that no leaf of this CA can bear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The name or address as it was given.
    pub subject: String,
    /// Why.
    pub reason: Reason,
}

/// Why a name or an address is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A name that this CA was not made for, such as a host name given since.
    NameOutside,
    /// An address that this CA was not made for, such as a global one.
    AddressOutside,
    /// Not a name that a certificate can bear; the text says what is wrong with it.
    NotAName(&'static str),
    /// More than [`NAMES`] names or [`ADDRESSES`] addresses.
    TooMany,
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameOutside => out.write_str("the local CA was not made for this name"),
            Self::AddressOutside => out.write_str("the local CA was not made for this address"),
            Self::NotAName(why) => out.write_str(why),
            Self::TooMany => {
                write!(out, "a certificate bears {NAMES} names and {ADDRESSES} addresses at the most")
            }
        }
    }
}

impl Scope {
    /// The private names and networks, and these names (addresses among them are taken as such). What is not
    /// a name is passed over here; [`Scope::sort`] says so of the same name later.
    pub fn with(names: &[String]) -> Self {
        let mut scope = Self {
            names: NAMES_FOR_ALL.map(str::to_owned).to_vec(),
            networks: NETWORKS_FOR_ALL.map(|(base, prefix)| Network::new(base, prefix)).to_vec(),
        };
        for name in names {
            if let Ok(address) = name.parse::<IpAddr>() {
                if !scope.permits_address(address) {
                    let whole = if address.is_ipv4() { 32 } else { 128 };
                    scope.networks.push(Network::new(address, whole));
                }
            } else if let Ok(name) = dns_name(name)
                && !scope.permits_name(&name)
            {
                scope.names.push(name);
            }
        }
        scope
    }

    /// Whether a leaf may bear this name; it must be in lower case.
    pub fn permits_name(&self, name: &str) -> bool {
        self.names.iter().any(|permitted| {
            name.strip_suffix(permitted.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    }

    /// Whether a leaf may bear this address.
    pub fn permits_address(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }

    /// Parts what a leaf of this CA can bear, sorted and each once, from what it cannot. Of too many names the
    /// last ones go.
    pub fn sort(&self, wanted: &Subjects) -> (Subjects, Vec<LeftOut>) {
        let mut kept = Subjects::default();
        let mut left_out = Vec::new();
        let mut addresses = wanted.addresses.clone();
        for given in &wanted.names {
            if let Ok(address) = given.parse() {
                addresses.push(address);
                continue;
            }
            match dns_name(given) {
                Ok(name) if kept.names.contains(&name) => {}
                Ok(name) if self.permits_name(&name) => kept.names.push(name),
                Ok(_) => left_out.push(LeftOut { subject: given.clone(), reason: Reason::NameOutside }),
                Err(why) => left_out.push(LeftOut { subject: given.clone(), reason: Reason::NotAName(why) }),
            }
        }
        addresses.sort_by_key(|address| (is_link_local(*address), *address));
        addresses.dedup();
        for address in addresses {
            if self.permits_address(address) {
                kept.addresses.push(address);
            } else {
                left_out.push(LeftOut { subject: address.to_string(), reason: Reason::AddressOutside });
            }
        }
        let many_names = kept.names.split_off(NAMES.min(kept.names.len())).into_iter();
        let many_addresses = kept.addresses.split_off(ADDRESSES.min(kept.addresses.len())).into_iter();
        let many = many_names.chain(many_addresses.map(|address| address.to_string()));
        left_out.extend(many.map(|subject| LeftOut { subject, reason: Reason::TooMany }));
        kept.names.sort();
        (kept, left_out)
    }
}

/// Link-local addresses come last, so that a box with too many addresses loses those first.
fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// The name in lower case without a closing dot, if certificates can bear it (RFC 1123 2.1, and the underscore,
/// which host names have in practice and which all four verifiers take).
fn dns_name(given: &str) -> Result<String, &'static str> {
    let name = given.strip_suffix('.').unwrap_or(given).to_ascii_lowercase();
    if name.contains('*') {
        return Err("a certificate of the local CA bears no wildcards; name each host");
    }
    if !name.is_ascii() {
        return Err("it is not in ASCII; write it in its xn-- form");
    }
    if name.is_empty() || name.len() > 253 {
        return Err("a DNS name has 1 to 253 characters");
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if !name.split('.').all(label) {
        return Err("it is not a DNS name: each part has 1 to 63 letters, digits, hyphens or underscores");
    }
    // A name that ends in a number would be read as an IPv4 address (RFC 1123 2.1; rustls refuses it).
    if name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err("it ends in a number, so clients would read it as an address");
    }
    Ok(name)
}
