//! Who holds a port, as /proc shows it (proc_pid_net(5), proc_pid_fd(5)).
//!
//! Another user's process cannot be seen without privilege; its user can.

use std::{fs, path::Path};

use nix::unistd::{Uid, User};

/// The state column of a listening TCP socket and of an unconnected UDP socket (include/net/tcp_states.h).
const LISTENING: [&str; 2] = ["0A", "07"];

/// One line of /proc/net/{tcp,udp}{,6}.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    inode: u64,
    user: u32,
}

/// The holder of a local port in words: its process where visible, else its user.
pub(super) fn of(protocol: &str, port: u16) -> Option<String> {
    let table = protocol.to_ascii_lowercase();
    let row = [table.clone(), format!("{table}6")].iter().find_map(|name| {
        let text = fs::read_to_string(format!("/proc/net/{name}")).ok()?;
        text.lines().find_map(|line| row(line, port))
    })?;
    process(row.inode).or_else(|| {
        let user = User::from_uid(Uid::from_raw(row.user)).ok().flatten();
        Some(user.map_or_else(
            || format!("a process of user id {}", row.user),
            |user| format!("a process of user {}", user.name),
        ))
    })
}

fn row(line: &str, port: u16) -> Option<Row> {
    let columns: Vec<&str> = line.split_whitespace().collect();
    let local = columns.get(1)?.rsplit_once(':')?.1;
    let held = u16::from_str_radix(local, 16).ok()? == port && LISTENING.contains(columns.get(3)?);
    held.then_some(())?;
    Some(Row { user: columns.get(7)?.parse().ok()?, inode: columns.get(9)?.parse().ok()? })
}

fn process(inode: u64) -> Option<String> {
    let target = format!("socket:[{inode}]");
    let entries = fs::read_dir("/proc").ok()?;
    entries.flatten().find_map(|entry| {
        let id: u32 = entry.file_name().to_str()?.parse().ok()?;
        holds(&entry.path().join("fd"), &target).then_some(())?;
        let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        Some(format!("process {id} ({})", name.trim()))
    })
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
        assert_eq!(row(line, 11443), Some(Row { inode: 31337, user: 105 }));
        assert_eq!(row(line, 11444), None);
        assert_eq!(
            row(&line.replace(" 0A ", " 01 "), 11443),
            None,
            "an established connection holds no port"
        );
        assert_eq!(row("sl  local_address rem_address", 11443), None);
    }
}
