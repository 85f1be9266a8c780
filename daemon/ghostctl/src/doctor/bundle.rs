//! A report for whoever helps: one text file.
//!
//! Knows which facts are of use. Refuses the environment, the content of any key's file, and prompts. Invariants: nothing comes in but
//! the daemon's answers, which have no place for a secret, and what the system says of itself; the whole is redacted once more; the
//! file has mode 0600.

use std::{
    fs,
    io::{self, ErrorKind, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use ghostllm_core::admin::DoctorReport;
use serde::Serialize;

use super::{drawn, redact::redacted, seen::Seen};
use crate::{
    client::Answer,
    exit::{Exit, Failure},
    output::Screen,
};

/// Nothing that lies there is written over unasked; told before the work.
pub(super) fn may_write(file: &Path, yes: bool) -> Result<(), Failure> {
    if yes || fs::symlink_metadata(file).is_err() {
        return Ok(());
    }
    Err(exists(file))
}

fn exists(file: &Path) -> Failure {
    Failure::new(Exit::Failed, format!("{} exists already, and nothing was written", file.display()))
        .next("another name, or the same command with --yes")
}

pub(super) fn write(file: &Path, yes: bool, text: &str) -> Result<(), Failure> {
    written(file, yes, text, 0o600).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => exists(file),
        _ => Failure::new(Exit::Failed, format!("{} cannot be written: {error}", file.display()))
            .next("ghostctl doctor --bundle with a file in a directory of yours"),
    })
}

/// Beside it first: what lies there may be open to others, or a link. Only with `yes` is anything written over.
pub(super) fn written(file: &Path, yes: bool, text: &str, mode: u32) -> io::Result<()> {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(name);
    let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
    let done = out
        .set_permissions(fs::Permissions::from_mode(mode))
        .and_then(|()| out.write_all(text.as_bytes()))
        .and_then(|()| out.sync_all())
        // A hard link never replaces what came to lie there meanwhile.
        .and_then(|()| if yes { fs::rename(&beside, file) } else { fs::hard_link(&beside, file) });
    if done.is_err() || !yes {
        // What is left behind is open to no more than the file would be; the failure itself is what is told.
        let _removed = fs::remove_file(&beside);
    }
    done
}

/// Everything, redacted.
pub(super) fn text(report: &DoctorReport, seen: &Seen) -> String {
    let mut out =
        String::from("GhostLLM's report, made by ghostctl doctor. Look through it before you send it.\n");
    let mut section = |name: &str, text: &str| {
        out.push_str(&format!("\n=== {name} ===\n{}\n", text.trim_end()));
    };
    section("versions", &versions(seen));
    section("report", &drawn(report, &Screen::of_a_file()));
    match &seen.daemon {
        Err(failure) => section("daemon", &failure.message),
        Ok(daemon) => {
            section("status", &pretty(&daemon.status));
            section("backends", &answer(&daemon.backends, pretty));
            section("cards", &answer(&daemon.gpu, pretty));
            section("configuration", &answer(&daemon.config, |config| without_comments(&config.what.toml)));
            section("routes", &answer(&daemon.routes, pretty));
            section("audit", &answer(&daemon.audit, |audit| lines(&audit.what.entries)));
        }
    }
    redacted(&out)
}

fn versions(seen: &Seen) -> String {
    let daemon = seen.known().map_or("does not answer", |daemon| daemon.status.what.program.as_str());
    let kernel = seen.read("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = seen.read("/etc/os-release").unwrap_or_default();
    format!("ghostctl {}\nghostllm {daemon}\nlinux {}\n{release}", env!("CARGO_PKG_VERSION"), kernel.trim())
}

fn answer<T>(answer: &Result<Answer<T>, Failure>, told: impl FnOnce(&Answer<T>) -> String) -> String {
    answer.as_ref().map_or_else(|failure| failure.message.clone(), told)
}

/// Only what this program knows the form of: a field of a newer daemon might be anything.
fn pretty<T: Serialize>(answer: &Answer<T>) -> String {
    serde_json::to_string_pretty(&answer.what).unwrap_or_default()
}

fn lines<T: Serialize>(entries: &[T]) -> String {
    entries.iter().filter_map(|entry| serde_json::to_string(entry).ok()).collect::<Vec<_>>().join("\n")
}

/// The places that stand behind the settings stay: they are the daemon's, and not a person's comments.
fn without_comments(toml: &str) -> String {
    toml.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n")
}
