//! Ports: who has those that the daemon wants.
//!
//! Knows the kernel's lists under /proc, and which process has a socket and of which service it is. Invariant: a port is the daemon's own
//! only where the daemon has said so, or systemd holds it for a socket unit of ours.

use std::{
    fmt, fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use super::{
    Check, Finding, Needs,
    seen::Seen,
    service::{installed, is_active},
};

pub(super) const CHECKS: &[Check] = &[Check {
    id: "ports",
    looks_at: "no other program has a port of the daemon's",
    needs: Needs::Nothing,
    look: taken,
}];

/// The daemon's ports where nothing else is set, by the kind of their listener and their unit.
pub(super) const PORTS: [(&str, u16); 3] = [("tls", 11443), ("quic", 11443), ("plain", 11430)];
/// The first process, which holds the ports of socket units.
const SYSTEMD: u32 = 1;
/// As the kernel writes the state of one that listens, and of a UDP socket without a peer.
const LISTENS: &str = "0A";
const UNCONNECTED: &str = "07";

/// A socket that waits for whoever comes.
pub(super) struct Bound {
    pub(super) address: SocketAddr,
    inode: String,
}

/// Those of `tcp` or `udp`, in both families.
pub(super) fn bound(seen: &Seen, protocol: &str) -> Vec<Bound> {
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

/// Who has a socket.
#[derive(Debug)]
pub(super) struct Holder {
    process: u32,
    name: String,
    /// The service that it is of.
    pub(super) unit: Option<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = self.unit.as_ref().map(|unit| format!(", {unit}")).unwrap_or_default();
        write!(f, "process {} ({}{unit})", self.process, self.name)
    }
}

impl Holder {
    /// The process that has the socket; none where it is another user's.
    pub(super) fn of(seen: &Seen, socket: &Bound) -> Option<Self> {
        let wanted = format!("socket:[{}]", socket.inode);
        for entry in fs::read_dir(seen.path("/proc")).ok()?.flatten() {
            let Some(process) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let descriptors = fs::read_dir(entry.path().join("fd")).into_iter().flatten().flatten();
            let mut targets = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
            if targets.any(|target| target.as_os_str() == wanted.as_str()) {
                let text = |name| fs::read_to_string(entry.path().join(name)).unwrap_or_default();
                let unit = service(&text("cgroup")).map(str::to_owned);
                return Some(Self { process, name: text("comm").trim().to_owned(), unit });
            }
        }
        None
    }

    fn is_systemd(&self) -> bool {
        self.process == SYSTEMD && self.name == "systemd"
    }
}

/// The innermost service in a process's list of groups (cgroups(7)). What a person has started, in a session, is of none.
fn service(groups: &str) -> Option<&str> {
    // Version 2's line has no controllers; of version 1, systemd has one for itself.
    let paths = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        parts.next().filter(|controllers| matches!(*controllers, "" | "name=systemd"))?;
        parts.next()
    });
    let mut system = paths.filter(|path| !path.starts_with("/user.slice"));
    system.find_map(|path| path.rsplit('/').find(|part| part.ends_with(".service")))
}

/// The socket unit of a kind of listener.
pub(super) fn unit(kind: &str) -> String {
    format!("ghostllm-{kind}.socket")
}

/// Those that the daemon wants and has not; all where it does not answer, since it cannot say which it wants.
fn wanted(seen: &Seen) -> Vec<(String, u16)> {
    let Some(daemon) = seen.known() else {
        return PORTS.map(|(kind, port)| (kind.to_owned(), port)).to_vec();
    };
    let unserved = daemon.status.what.listeners.iter().filter(|listener| !listener.serves);
    let port = |address: &str| address.parse::<SocketAddr>().ok().map(|address| address.port());
    unserved.filter_map(|listener| Some((listener.kind.clone(), port(&listener.address)?))).collect()
}

/// The socket of somebody else at a port of this kind; and who that is, where it can be seen.
fn held(seen: &Seen, kind: &str, port: u16) -> Option<(Bound, Option<Holder>)> {
    let own = seen.known().map(|daemon| daemon.status.what.pid);
    let protocol = if kind == "quic" { "udp" } else { "tcp" };
    let socket = bound(seen, protocol).into_iter().find(|socket| socket.address.port() == port)?;
    let holder = Holder::of(seen, &socket);
    let is_ours = holder
        .as_ref()
        .is_some_and(|holder| Some(holder.process) == own || (holder.is_systemd() && is_active(&unit(kind))));
    (!is_ours).then_some((socket, holder))
}

/// Who keeps a socket unit of ours from its usual port, in words; none where nobody does.
pub(super) fn in_the_way(seen: &Seen, socket_unit: &str) -> Option<String> {
    let (kind, port) = PORTS.into_iter().find(|(kind, _)| unit(kind) == socket_unit)?;
    held(seen, kind, port).map(|(_, holder)| words(kind, port, holder.as_ref()))
}

fn words(kind: &str, port: u16, holder: Option<&Holder>) -> String {
    let protocol = if kind == "quic" { "UDP" } else { "TCP" };
    let who = match holder {
        Some(holder) if holder.is_systemd() => {
            "systemd, for a socket unit that is not GhostLLM's,".to_owned()
        }
        Some(holder) => holder.to_string(),
        None => "a process of another user".to_owned(),
    };
    format!("{who} has the {protocol} port {port}")
}

fn taken(seen: &Seen) -> Vec<Finding> {
    let found = wanted(seen).into_iter().filter_map(|(kind, port)| {
        let (_, holder) = held(seen, &kind, port)?;
        let look = match &holder {
            Some(holder) if holder.is_systemd() => "systemctl list-sockets".to_owned(),
            Some(Holder { unit: Some(unit), .. }) => {
                format!(
                    "systemctl status {unit}; where it is not needed: sudo systemctl disable --now {unit}"
                )
            }
            Some(holder) => format!("ps -fp {}; end that one", holder.process),
            None => format!("sudo ghostctl doctor, or sudo ss -lnp 'sport = :{port}'"),
        };
        let setting = if kind == "plain" { "listen.plain" } else { "listen.tls" };
        let socket_unit = unit(&kind);
        let both = match installed(seen, &[&socket_unit]) {
            true => format!(" and {socket_unit} (systemctl edit)"),
            false => String::new(),
        };
        Some(Finding::error(
            words(&kind, port, holder.as_ref()),
            "the daemon cannot serve there",
            format!("{look}; or set another port: {setting}{both}; then restart the daemon"),
        ))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_of_a_process_is_named_and_a_persons_session_is_none() {
        for (groups, named) in [
            ("0::/system.slice/nginx.service\n", Some("nginx.service")),
            ("1:name=systemd:/\n0::/system.slice/nginx.service/worker\n", Some("nginx.service")),
            ("12:cpu:/other.service\n1:name=systemd:/init.scope\n", None),
            ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/a.service\n", None),
            ("", None),
        ] {
            assert_eq!(service(groups), named, "{groups:?}");
        }
    }

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
