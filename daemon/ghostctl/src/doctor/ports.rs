//! Ports: whose those of the daemon are, and who can reach Ollama.
//!
//! Knows the kernel's lists under /proc. Invariant: a port is the daemon's own only where the daemon has said so.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use super::{Check, Finding, Needs, ask, seen::Seen};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "ports",
        looks_at: "no other program has port 11443 or 11430",
        needs: Needs::Nothing,
        look: taken,
    },
    Check {
        id: "ollama",
        looks_at: "Ollama answers at 127.0.0.1:11434",
        needs: Needs::Nothing,
        look: ollama,
    },
    Check {
        id: "ollama_exposed",
        looks_at: "Ollama listens to this box alone",
        needs: Needs::Nothing,
        look: exposed,
    },
];

/// The daemon's ports where nothing else is set: the file of the kernel's list, and the port.
const PORTS: [(&str, u16); 3] = [("tcp", 11443), ("udp", 11443), ("tcp", 11430)];
/// Ollama's.
const OLLAMA: u16 = 11434;
/// As the kernel writes the state of one that listens, and of a UDP socket without a peer.
const LISTENS: &str = "0A";
const UNCONNECTED: &str = "07";

/// A socket that waits for whoever comes.
struct Bound {
    address: SocketAddr,
    inode: String,
}

fn bound(seen: &Seen, protocol: &str) -> Vec<Bound> {
    let wanted = if protocol == "tcp" { LISTENS } else { UNCONNECTED };
    let mut all = Vec::new();
    for file in [format!("/proc/net/{protocol}"), format!("/proc/net/{protocol}6")] {
        let text = seen.read(&file).unwrap_or_default();
        for line in text.lines().skip(1) {
            let mut words = line.split_whitespace();
            let (address, state) = (words.nth(1).and_then(address), words.nth(1));
            let inode = words.nth(5).unwrap_or_default().to_owned();
            if let Some(address) = address.filter(|_| state == Some(wanted)) {
                all.push(Bound { address, inode });
            }
        }
    }
    all
}

/// `0100007F:2CB3`: words of the machine's own byte order, and a port.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |place: usize| {
        let word = u32::from_str_radix(host.get(place * 8..place * 8 + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    let ip = match host.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
            IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(words).ok()?)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Number and name of the process that has the socket; none where it is another user's.
fn holder(seen: &Seen, inode: &str) -> Option<(u32, String)> {
    let wanted = format!("socket:[{inode}]");
    for process in fs::read_dir(seen.path("/proc")).ok()?.flatten() {
        let Some(number) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let descriptors = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        let mut targets = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
        if targets.any(|target| target.as_os_str() == wanted.as_str()) {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some((number, name.trim().to_owned()));
        }
    }
    None
}

fn taken(seen: &Seen) -> Vec<Finding> {
    let own = seen.known().map(|daemon| daemon.status.what.pid);
    // A daemon that serves elsewhere needs none of these.
    let needed = |port: u16| {
        seen.known().is_none_or(|daemon| {
            let mut listeners = daemon.status.what.listeners.iter();
            listeners.any(|listener| !listener.serves && listener.address.ends_with(&format!(":{port}")))
        })
    };
    let mut found: Vec<Finding> = Vec::new();
    for (protocol, port) in PORTS.into_iter().filter(|(_, port)| needed(*port)) {
        let Some(socket) = bound(seen, protocol).into_iter().find(|socket| socket.address.port() == port)
        else {
            continue;
        };
        let holder = holder(seen, &socket.inode);
        if holder.as_ref().is_some_and(|(process, _)| Some(*process) == own) {
            continue;
        }
        let who = match &holder {
            Some((process, name)) => format!("process {process} ({name})"),
            None => "a process of another user".to_owned(),
        };
        let look = match &holder {
            Some((process, _)) => format!("ps -fp {process}"),
            None => format!("sudo ss -lnp 'sport = :{port}'"),
        };
        found.push(Finding::error(
            format!("{who} has the {} port {port}", protocol.to_uppercase()),
            "the daemon cannot serve there",
            format!("{look}; end that one, or set another port under [listen]"),
        ));
    }
    found
}

fn ollama(seen: &Seen) -> Vec<Finding> {
    let listens = bound(seen, "tcp").iter().any(|socket| socket.address.port() == OLLAMA);
    let answers = || ask::answers(SocketAddr::from((Ipv4Addr::LOCALHOST, OLLAMA)));
    // Elsewhere, what listens here says nothing.
    if listens && (seen.path("/") != std::path::Path::new("/") || answers()) {
        return Vec::new();
    }
    vec![Finding::note(
        "nobody answers at 127.0.0.1:11434, where Ollama would be",
        "its models are not to be had; nothing is amiss where other backends are configured",
        "ollama serve, or systemctl start ollama",
    )]
}

fn exposed(seen: &Seen) -> Vec<Finding> {
    let open = bound(seen, "tcp")
        .into_iter()
        .find(|socket| socket.address.port() == OLLAMA && !socket.address.ip().is_loopback());
    let Some(socket) = open else { return Vec::new() };
    vec![Finding::warning(
        format!("Ollama's port listens at {}, not only to this box", socket.address),
        "whoever reaches that address uses and deletes its models without a key, past GhostLLM",
        "set OLLAMA_HOST=127.0.0.1 where Ollama is started (systemctl edit ollama), then systemctl restart ollama",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn the_kernels_addresses_are_read_in_both_families() {
        let read = |text: &str| address(text).map(|address| address.to_string());
        assert_eq!(read("0100007F:2CB3").as_deref(), Some("127.0.0.1:11443"));
        assert_eq!(read("00000000000000000000000001000000:2CAA").as_deref(), Some("[::1]:11434"));
        assert_eq!(read("00000000000000000000000000000000:2CAA").as_deref(), Some("[::]:11434"));
        assert_eq!(read("0000000000000000FFFF00000100007F:2CAA").as_deref(), Some("127.0.0.1:11434"));
        for odd in ["", "0100007F", "0100007F:", "01:2CAA", "zz00007F:2CAA"] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }
}
