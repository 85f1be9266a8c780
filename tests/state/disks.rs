//! Disks that fail: what the store room says, what it leaves behind, and that it goes on by itself.
//!
//! A failing fsync is strace's; a full disk and one that has become read-only are a small tmpfs in a mount namespace of
//! the writer's own.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{Steps, alerts, names};

/// fsyncs of a start: the probe's file, its name, and its removal.
const START: usize = 3;
/// fsyncs of a write: both files, and the directory after each rename.
const SAVE: usize = 4;

/// The number that the file of this name holds, without the store room's help.
pub(crate) fn number(directory: &Path, name: &str) -> Result<u64> {
    let path = directory.join(name);
    let file: Value = serde_json::from_slice(&fs::read(&path).with_context(|| path.display().to_string())?)?;
    file["content"]["number"].as_u64().with_context(|| format!("no number in {file}"))
}

/// A writer whose fsyncs fail from that one to that one, counted from 1.
fn failing(directory: &Path, trace: &Path, from: usize, to: usize) -> Result<Steps> {
    let inject = format!("inject=fsync:error=EIO:when={from}..{to}");
    let line = ["strace", "-qq", "-e", "trace=fsync", "-e", &inject, "-o"].map(OsStr::new);
    Steps::start(&[&line[..], &[trace.as_os_str()]].concat(), directory)
}

#[test]
fn a_failing_fsync_refuses_the_write_and_leaves_the_file_as_it_was() -> Result<()> {
    for at in 1..=SAVE {
        let scratch = tempfile::tempdir()?;
        let directory = scratch.path().join("state");
        let failed = START + SAVE + at;
        let mut steps = failing(&directory, &scratch.path().join("trace"), failed, failed)?;
        steps.expect("save", "saved 1")?;
        steps.expect("save", "refused 507 state_unwritable ")?;
        // Also at the last one, which leaves the file itself on the disk and only its copy in doubt.
        ensure!(
            number(&directory, "load.json")? == 1 && number(&directory, "load.json.last")? == 1,
            "fsync {at}"
        );
        let there = names(&directory)?;
        ensure!(there == ["load.json", "load.json.last", "lock"], "fsync {at} leaves {there:?}");
        ensure!(alerts(&steps.log()) == (1, 0), "{}", steps.log());
        steps.expect("save", "saved 2")?;
        ensure!(alerts(&steps.log()) == (1, 1), "{}", steps.log());
        steps.end()?;
        ensure!(fs::read_to_string(scratch.path().join("trace"))?.contains("EIO"), "nothing was injected");
    }
    Ok(())
}

#[test]
fn a_disk_that_fails_for_a_while_is_one_alert_and_needs_no_restart() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let directory = scratch.path().join("state");
    // Each of six tries fails at its first fsync.
    let from = START + SAVE + 1;
    let mut steps = failing(&directory, &scratch.path().join("trace"), from, from + 5)?;
    steps.expect("save", "saved 1")?;
    for _ in 0..3 {
        let answer = steps.step("save")?;
        ensure!(answer.starts_with("refused 507 ") && answer.contains("no restart is needed"), "{answer}");
    }
    for _ in 0..2 {
        steps.expect("look", "alarmed")?;
    }
    steps.expect("save", "refused 507")?;
    ensure!(number(&directory, "load.json")? == 1, "a refused write is there");
    ensure!(alerts(&steps.log()) == (1, 0), "it is said once when it begins:\n{}", steps.log());
    steps.expect("look", "well")?;
    ensure!(alerts(&steps.log()) == (1, 1), "and once when it is over:\n{}", steps.log());
    steps.expect("save", "saved 2")?;
    steps.end()
}

/// A script that becomes the rest of its arguments, once a tmpfs of that many bytes lies on the directory `$0`.
pub(crate) fn mounted(bytes: usize) -> String {
    format!("mkdir -p \"$0\" && mount -t tmpfs -o size={bytes},mode=0700 state \"$0\" && exec \"$@\"")
}

/// A mount namespace, and the user namespace that lets anybody make one.
pub(crate) const UNSHARE: [&str; 6] = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"];

/// The mount namespace of a process, entered for what its disk is to suffer.
pub(crate) struct Mount {
    process: u32,
    directory: PathBuf,
}

impl Mount {
    pub(crate) fn of(process: u32, directory: &Path) -> Self {
        Self { process, directory: directory.to_owned() }
    }

    /// The directory as that process sees it.
    pub(crate) fn seen(&self) -> PathBuf {
        let inner = self.directory.strip_prefix("/").unwrap_or(&self.directory);
        Path::new(&format!("/proc/{}/root", self.process)).join(inner)
    }

    /// Leaves no room on it.
    pub(crate) fn fill(&self) -> Result<()> {
        let filled = fs::write(self.seen().join("filler"), vec![0; 1 << 24]);
        ensure!(filled.is_err(), "16 MiB are not enough to fill it");
        Ok(())
    }

    pub(crate) fn empty(&self) -> Result<()> {
        Ok(fs::remove_file(self.seen().join("filler"))?)
    }

    /// Makes it read-only (`ro`), or writable again (`rw`). Only the mount changes: the options of its file system name a user
    /// who may have no number in that namespace.
    pub(crate) fn remount(&self, how: &str) -> Result<()> {
        let process = self.process.to_string();
        let output = Command::new("nsenter")
            .args(["--target", &process, "--user", "--preserve-credentials", "--mount"])
            .args(["mount", "-o", &format!("remount,bind,{how}")])
            .arg(&self.directory)
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{how} on {}: {said}", self.directory.display());
        Ok(())
    }
}

/// A writer on a tmpfs of its own, of 64 KiB.
fn on_a_small_disk(directory: &Path) -> Result<(Steps, Mount)> {
    let script = mounted(64 << 10);
    let line = [&UNSHARE[..], &[&script]].concat();
    let line: Vec<&OsStr> = line.into_iter().map(OsStr::new).chain([directory.as_os_str()]).collect();
    let steps = Steps::start(&line, directory).context(
        "no mount namespace can be made for this test: run it as root, or let users make namespaces \
         (sysctl kernel.unprivileged_userns_clone=1)",
    )?;
    let mount = Mount::of(steps.id(), directory);
    Ok((steps, mount))
}

#[test]
fn a_full_disk_refuses_the_write_until_there_is_room() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let directory = scratch.path().canonicalize()?.join("state");
    let (mut steps, mount) = on_a_small_disk(&directory)?;
    steps.expect("save 4000", "saved 1")?;
    mount.fill()?;
    for _ in 0..3 {
        steps.expect("save 4000", "refused 507 state_unwritable ")?;
        steps.expect("look", "alarmed")?;
    }
    let there = names(&mount.seen())?;
    ensure!(there == ["filler", "load.json", "load.json.last", "lock"], "{there:?} is left behind");
    ensure!(number(&mount.seen(), "load.json")? == 1, "a refused write is there");
    ensure!(alerts(&steps.log()) == (1, 0), "{}", steps.log());
    ensure!(steps.log().contains("No space left"), "{}", steps.log());
    mount.empty()?;
    steps.expect("look", "well")?;
    steps.expect("save 4000", "saved 2")?;
    // Room for a probe is none for a file that is larger than the disk.
    steps.expect("save 100000", "refused 507")?;
    steps.expect("look", "alarmed")?;
    steps.expect("save 4000", "saved 3")?;
    ensure!(alerts(&steps.log()) == (2, 2), "{}", steps.log());
    steps.end()
}

#[test]
fn a_read_only_disk_refuses_the_write_until_it_is_writable() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let directory = scratch.path().canonicalize()?.join("state");
    let (mut steps, mount) = on_a_small_disk(&directory)?;
    steps.expect("save", "saved 1")?;
    mount.remount("ro")?;
    for _ in 0..3 {
        steps.expect("save", "refused 507 state_unwritable ")?;
        steps.expect("look", "alarmed")?;
    }
    ensure!(number(&mount.seen(), "load.json")? == 1, "a refused write is there");
    ensure!(steps.log().contains("Read-only file system"), "{}", steps.log());
    mount.remount("rw")?;
    steps.expect("look", "well")?;
    ensure!(alerts(&steps.log()) == (1, 1), "{}", steps.log());
    steps.expect("save", "saved 2")?;
    steps.end()
}
