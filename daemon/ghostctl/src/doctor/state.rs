//! The state directory: whose it is, who else may look into it, whether there is room, and what lies in it.

use std::{
    fs::{self, File, Metadata, TryLockError},
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::fs::{StatVfsMountFlags, statvfs};
use time::{Duration, OffsetDateTime};

use super::{Check, Finding, Needs, repair::Repair, seen::Seen};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "state_directory",
        looks_at: "there is a state directory, and it can be read",
        needs: Needs::Nothing,
        look: there,
    },
    Check {
        id: "state_modes",
        looks_at: "nobody else may read or change the state",
        needs: Needs::State,
        look: modes,
    },
    Check {
        id: "secret_modes",
        looks_at: "nobody but root and its groups may read /etc/ghostllm/secrets",
        needs: Needs::Nothing,
        look: secrets,
    },
    Check {
        id: "state_owner",
        looks_at: "all of the state belongs to one user",
        needs: Needs::State,
        look: owner,
    },
    Check {
        id: "state_disk",
        looks_at: "the state's disk can be written and has room",
        needs: Needs::State,
        look: disk,
    },
    Check {
        id: "keys_file",
        looks_at: "no keys were set aside as damaged",
        needs: Needs::State,
        look: aside,
    },
    Check {
        id: "first_key",
        looks_at: "the first key was taken, or is younger than a day",
        needs: Needs::State,
        look: first_key,
    },
    Check {
        id: "state_lock",
        looks_at: "no process holds the state without answering",
        needs: Needs::State,
        look: lock,
    },
];

/// Where a write of state may fail soon.
const LITTLE_ROOM: u64 = 256 << 20;
/// Where it fails.
const NO_ROOM: u64 = 1 << 20;
/// After so long a key that lies about was forgotten.
const FORGOTTEN: Duration = Duration::days(1);
/// What may lie in the state directory: the directory itself, its own, and what is in these.
const DEEP: usize = 3;
/// Where the keys of backends and certificates lie best.
const SECRETS: &str = "/etc/ghostllm/secrets";
/// What a person puts there is no secret, and may be shared.
const MODELS: &str = "models";
/// Nobody keeps more files there; what is beyond is not looked at.
const MOST: usize = 1000;

/// A shell's word for a path.
pub(super) fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

fn there(seen: &Seen) -> Vec<Finding> {
    let Some(path) = &seen.state else {
        return vec![Finding::note(
            "there is no state directory yet",
            "the daemon makes it at its first start",
            "ghostllm serve; or give the directory with --state-dir",
        )];
    };
    let shown = path.display();
    match fs::read_dir(path) {
        Ok(_) => Vec::new(),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => vec![Finding::note(
            format!("{shown} may not be looked into"),
            "what lies in it was not looked at",
            "sudo ghostctl doctor",
        )],
        Err(error) => vec![Finding::error(
            format!("{shown} cannot be read: {error}"),
            "the daemon keeps its keys and its certificates there",
            format!("ls -ld {}, or give another with --state-dir", quoted(path)),
        )],
    }
}

/// The directory and what is in it; links are not followed.
fn entries(seen: &Seen) -> Vec<(PathBuf, Metadata)> {
    let mut all = Vec::new();
    let mut next: Vec<(PathBuf, usize)> = seen.state.iter().map(|path| (path.clone(), 0)).collect();
    while let Some((path, deep)) = next.pop() {
        // The directory itself may be a link, as whoever moves it to another disk makes it.
        let facts = if deep == 0 { fs::metadata(&path) } else { fs::symlink_metadata(&path) };
        let Ok(facts) = facts else { continue };
        if facts.is_dir() && deep < DEEP {
            let inner = fs::read_dir(&path).into_iter().flatten().flatten();
            let inner = inner.filter(|entry| deep > 0 || entry.file_name() != MODELS);
            next.extend(inner.map(|entry| (entry.path(), deep + 1)));
        }
        if all.len() < MOST {
            all.push((path, facts));
        }
    }
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    all
}

fn modes(seen: &Seen) -> Vec<Finding> {
    let wide = entries(seen).into_iter().filter_map(|(path, facts)| {
        let right = if facts.is_dir() { 0o700 } else { 0o600 };
        let plain = facts.is_dir() || facts.is_file();
        let mode = facts.mode() & 0o7777;
        (plain && mode & 0o077 != 0).then(|| {
            Finding::error(
                format!("{} is open to other users (mode {mode:04o})", path.display()),
                "keys and private keys lie there, and the daemon refuses to start",
                format!("chmod {right:o} {}, or ghostctl doctor --fix", quoted(&path)),
            )
            .mended_by(Repair::Mode { path, mode: right })
        })
    });
    wide.collect()
}

/// A folder that lets nobody in keeps all in it; else each file has to.
fn secrets(seen: &Seen) -> Vec<Finding> {
    let folder = seen.path(SECRETS);
    let open = |path: &Path| {
        let facts = fs::symlink_metadata(path).ok().filter(|facts| !facts.is_symlink())?;
        let mode = facts.mode() & 0o7777;
        (mode & 0o007 != 0).then_some(mode)
    };
    if open(&folder).is_none() {
        return Vec::new();
    }
    let files = fs::read_dir(&folder).into_iter().flatten().flatten().take(MOST);
    let mut wide: Vec<PathBuf> =
        files.map(|entry| entry.path()).filter(|path| open(path).is_some()).collect();
    wide.sort();
    let found = wide.into_iter().filter_map(|path| {
        let mode = open(&path)?;
        let right = mode & !0o007;
        let finding = Finding::error(
            format!("{} is open to every user (mode {mode:04o})", path.display()),
            "a key of a backend or of a certificate lies there",
            format!("sudo chmod o= {}, or sudo ghostctl doctor --fix; who may have read it knows it: make another", quoted(&path)),
        );
        Some(finding.mended_by(Repair::Mode { path, mode: right }))
    });
    found.collect()
}

fn owner(seen: &Seen) -> Vec<Finding> {
    let all = entries(seen);
    let Some(directory) = all.first().map(|(_, facts)| facts.uid()) else { return Vec::new() };
    let foreign = all.iter().filter(|(_, facts)| facts.uid() != directory).map(|(path, facts)| {
        Finding::error(
            format!(
                "{} belongs to user {}, and its directory to user {directory}",
                path.display(),
                facts.uid()
            ),
            "the daemon cannot read or replace it; something ran as another user",
            format!("sudo chown {directory} {}", quoted(path)),
        )
    });
    foreign.collect()
}

fn disk(seen: &Seen) -> Vec<Finding> {
    let Some(path) = &seen.state else { return Vec::new() };
    let Ok(facts) = statvfs(path) else { return Vec::new() };
    let (shown, look) = (path.display(), format!("df -h {}", quoted(path)));
    if facts.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return vec![Finding::error(
            format!("{shown} is on a disk that cannot be written"),
            "no key can be made or revoked, and the daemon does not start; disks become read-only when they fail",
            "dmesg, which says why; then sudo mount -o remount,rw on its mount point",
        )];
    }
    let room = facts.f_bavail.saturating_mul(facts.f_frsize);
    let what = format!("{shown} has room for {} KiB", room >> 10);
    let why = "no key can be made or revoked on a full disk";
    let fix = format!("{look}; then remove what is not needed");
    match room {
        ..NO_ROOM => vec![Finding::error(what, why, fix)],
        NO_ROOM..LITTLE_ROOM => vec![Finding::warning(what, why, fix)],
        _ => Vec::new(),
    }
}

fn aside(seen: &Seen) -> Vec<Finding> {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let mut found = Vec::new();
    for (path, _) in entries(seen) {
        let Some(name) = name(&path).filter(|name| name.starts_with("keys.json")) else { continue };
        if !name.contains(".bad-") {
            continue;
        }
        let whole = path.with_file_name("keys.json").exists();
        let what = format!("{} was set aside: it could not be read", path.display());
        found.push(if whole {
            Finding::warning(
                what,
                "the copy took its place; the disk may be failing",
                format!("ghostctl keys ls, to see that all are there; then rm {}", quoted(&path)),
            )
        } else {
            Finding::error(
                what,
                "there are no other keys, and the daemon does not start before somebody decides",
                format!(
                    "put a good copy back as {}, or begin anew: rm {}",
                    quoted(&path.with_file_name("keys.json")),
                    quoted(&path)
                ),
            )
        });
    }
    found
}

fn first_key(seen: &Seen) -> Vec<Finding> {
    let file = seen.state.as_ref().map(|path| path.join("first-key"));
    let since = file.as_ref().and_then(|file| fs::symlink_metadata(file).ok()?.modified().ok());
    let Some((file, since)) = file.zip(since.map(OffsetDateTime::from)) else { return Vec::new() };
    if seen.now - since < FORGOTTEN {
        return Vec::new();
    }
    vec![Finding::warning(
        format!("the first key waits in {} since {}", file.display(), since.date()),
        "a key that lies on the disk is in every backup of it",
        "ghostctl keys first, which shows it once and removes the file",
    )]
}

fn lock(seen: &Seen) -> Vec<Finding> {
    if seen.daemon.is_ok() {
        return Vec::new();
    }
    let Some(path) = seen.state.as_ref().map(|state| state.join("lock")) else { return Vec::new() };
    // A process that has ended leaves its number there, which may be another's by now; the lock itself goes with it.
    let held =
        File::open(&path).is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)));
    if !held {
        return Vec::new();
    }
    let text = fs::read_to_string(path).unwrap_or_default();
    let Ok(process) = text.trim().parse::<u32>() else { return Vec::new() };
    let name = seen.read(&format!("/proc/{process}/comm")).unwrap_or_default();
    if name.trim() != "ghostllm" {
        return Vec::new();
    }
    vec![Finding::error(
        format!("process {process} has the state and does not answer here"),
        "no other daemon can start with it",
        format!("ps -fp {process}; give its socket with --socket, or end it: kill {process}"),
    )]
}
