//! Who holds a port, as /proc shows it (proc_pid_net(5), proc_pid_fd(5)).
//!
//! Another user's process cannot be seen without privilege; its user can.

use std::{
    fs,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    path::Path,
};

use nix::unistd::{Uid, User};

/// The state column of a listening TCP socket and of an unconnected UDP socket (include/net/tcp_states.h).
const LISTENING: [&str; 2] = ["0A", "07"];

/// One line of /proc/net/{tcp,udp}{,6}.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    inode: u64,
    user: u32,
}

/// Who holds a local port, of this address or of all, in words: its process where visible, else its user.
pub(super) fn of(protocol: &str, address: SocketAddr) -> Option<String> {
    let table = protocol.to_ascii_lowercase();
    let row = [table.clone(), format!("{table}6")].iter().find_map(|name| {
        let text = fs::read_to_string(format!("/proc/net/{name}")).ok()?;
        text.lines().find_map(|line| row(line, address))
    })?;
    process(row.inode).or_else(|| {
        let user = User::from_uid(Uid::from_raw(row.user)).ok().flatten();
        Some(user.map_or_else(
            || format!("a process of user id {}", row.user),
            |user| format!("a process of user {}", user.name),
        ))
    })
}

fn row(line: &str, address: SocketAddr) -> Option<Row> {
    let columns: Vec<&str> = line.split_whitespace().collect();
    let (local, port) = columns.get(1)?.rsplit_once(':')?;
    let held = u16::from_str_radix(port, 16).ok()? == address.port()
        && LISTENING.contains(columns.get(3)?)
        && meet(ip(local)?, address.ip());
    held.then_some(())?;
    Some(Row { user: columns.get(7)?.parse().ok()?, inode: columns.get(9)?.parse().ok()? })
}

/// The address as the kernel writes it: words of 32 bits, each as this machine has it in its memory.
fn ip(text: &str) -> Option<IpAddr> {
    let word = |from: usize| {
        let word = text.get(from..from + 8)?;
        u32::from_str_radix(word, 16).ok().map(u32::to_ne_bytes)
    };
    if text.len() == 8 {
        return Some(IpAddr::from(word(0)?));
    }
    let mut bits: u128 = 0;
    for from in [0, 8, 16, 24] {
        bits = (bits << 32) | u128::from(u32::from_be_bytes(word(from)?));
    }
    Some(Ipv6Addr::from_bits(bits).into())
}

/// Whether two sockets of one port are in each other's way. One of all IPv6 addresses takes IPv4 as well, as far as can be seen here.
fn meet(one: IpAddr, other: IpAddr) -> bool {
    let (one, other) = (one.to_canonical(), other.to_canonical());
    let has = |all: IpAddr, any: IpAddr| all.is_unspecified() && (all.is_ipv6() || any.is_ipv4());
    one == other || has(one, other) || has(other, one)
}

fn process(inode: u64) -> Option<String> {
    let target = format!("socket:[{inode}]");
    let entries = fs::read_dir("/proc").ok()?;
    entries.flatten().find_map(|entry| {
        let id: u32 = entry.file_name().to_str()?.parse().ok()?;
        holds(&entry.path().join("fd"), &target).then_some(())?;
        let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        let unit = unit(id).map(|unit| format!(", {unit}")).unwrap_or_default();
        Some(format!("process {id} ({}{unit})", name.trim()))
    })
}

/// The service that a process is of, where systemd has started it as one (cgroups(7)).
fn unit(process: u32) -> Option<String> {
    let groups = fs::read_to_string(format!("/proc/{process}/cgroup")).ok()?;
    service(&groups).map(str::to_owned)
}

/// The innermost service in a process's list of groups. What a person has started, in a session, is of none.
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

fn holds(descriptors: &Path, target: &str) -> bool {
    fs::read_dir(descriptors).is_ok_and(|descriptors| {
        descriptors.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|link| link.as_os_str() == target))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernel_is_read() {
        let line = "   1: 00000000000000000000000000000000:2CB3 00000000000000000000000000000000:0000 0A \
                    00000000:00000000 00:00000000 00000000   105        0 31337 1 0000 100 0 0 10 0";
        let at = |address: &str| address.parse::<SocketAddr>().unwrap();
        assert_eq!(row(line, at("[::]:11443")), Some(Row { inode: 31337, user: 105 }));
        assert_eq!(row(line, at("192.0.2.1:11443")), Some(Row { inode: 31337, user: 105 }));
        assert_eq!(row(line, at("[::]:11444")), None);
        assert_eq!(
            row(&line.replace(" 0A ", " 01 "), at("[::]:11443")),
            None,
            "an established connection holds no port"
        );
        assert_eq!(row("sl  local_address rem_address", at("[::]:11443")), None);
    }

    #[test]
    fn the_service_of_a_process_is_named_and_a_persons_session_is_none() {
        for (groups, named) in [
            ("0::/system.slice/nginx.service\n", Some("nginx.service")),
            ("0::/system.slice/nginx.service/worker\n", Some("nginx.service")),
            (
                "12:cpu:/other.service\n1:name=systemd:/system.slice/nginx.service\n0::/\n",
                Some("nginx.service"),
            ),
            ("1:name=systemd:/\n0::/system.slice/nginx.service\n", Some("nginx.service")),
            ("0::/init.scope\n", None),
            ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/a.service\n", None),
            ("0::/system.slice/docker-1f.scope\n", None),
            ("", None),
            ("no group", None),
        ] {
            assert_eq!(service(groups), named, "{groups:?}");
        }
    }

    #[test]
    fn addresses_are_read_as_this_machine_has_them() {
        let of = |words: &[[u8; 4]]| -> String {
            words.iter().map(|word| format!("{:08X}", u32::from_ne_bytes(*word))).collect()
        };
        assert_eq!(ip(&of(&[[127, 0, 0, 1]])), Some([127, 0, 0, 1].into()));
        let six = [[0x20, 1, 0xd, 0xb8], [0; 4], [0; 4], [0, 0, 0, 5]];
        assert_eq!(ip(&of(&six)), Some("2001:db8::5".parse().unwrap()));
        assert_eq!((ip("local"), ip("é0000000"), ip("")), (None, None, None));
    }

    #[test]
    fn only_what_shares_an_address_is_in_the_way() {
        let way = |one: &str, other: &str| meet(one.parse().unwrap(), other.parse().unwrap());
        for (one, other) in [
            ("127.0.0.1", "::ffff:127.0.0.1"),
            ("0.0.0.0", "127.0.0.1"),
            ("::", "127.0.0.1"),
            ("::", "0.0.0.0"),
            ("::", "::1"),
        ] {
            assert!(way(one, other) && way(other, one), "{one} {other}");
        }
        for (one, other) in [("127.0.0.1", "127.0.0.2"), ("0.0.0.0", "::1"), ("::1", "2001:db8::5")] {
            assert!(!way(one, other) && !way(other, one), "{one} {other}");
        }
    }
}
