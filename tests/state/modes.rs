//! Modes: 0700 and 0600 are made, whatever the umask; what is wider is refused with the command that mends it.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    binary,
    client::{Request, plain},
    daemon::{Daemon, Setup},
};

use crate::{open, shell};

/// Each bit of group and others alone, what people set by hand, and everything.
const WIDE: [u32; 13] =
    [0o010, 0o020, 0o040, 0o001, 0o002, 0o004, 0o040 | 0o004, 0o060, 0o006, 0o066, 0o050, 0o055, 0o077];

fn mode(path: &Path) -> Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o7777)
}

fn chmod(path: &Path, mode: u32) -> Result<()> {
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
}

/// The command that an error names, which is its end.
fn command(error: &str) -> Result<&str> {
    Ok(error.rsplit_once("un: ").with_context(|| format!("no command in {error:?}"))?.1)
}

#[test]
fn what_is_made_is_of_this_user_alone() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    for (umask, name) in [("000", "a"), ("022", "b"), ("077", "c")] {
        let directory = scratch.path().join(name).join("state");
        let line =
            format!("umask {umask} && '{}' open '{}'", binary("store-writer").display(), directory.display());
        ensure!(Command::new("sh").args(["-c", &line]).output()?.status.success(), "{line}");
        let mut left = vec![directory.clone()];
        while let Some(path) = left.pop() {
            let right = if path.is_dir() { 0o700 } else { 0o600 };
            ensure!(mode(&path)? == right, "umask {umask}: {} has mode {:04o}", path.display(), mode(&path)?);
            if path.is_dir() {
                left.extend(fs::read_dir(&path)?.map(|entry| entry.unwrap().path()));
            }
        }
    }
    Ok(())
}

#[test]
fn each_wider_mode_is_refused_with_the_command_that_mends_it() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let directory = scratch.path().join("state");
    let opened = open(&directory)?.map_err(|error| anyhow::anyhow!(error))?;
    let mut refused = 0;
    for name in ["", "ca", "keys.json", "keys.json.last", "first-key", "lock", "ca/authority.pem"] {
        let path = directory.join(name);
        let path = Path::new(path.to_str().context("a plain path")?.trim_end_matches('/'));
        let right = if path.is_dir() { 0o700 } else { 0o600 };
        for wide in WIDE {
            chmod(path, right | wide)?;
            let error =
                open(&directory)?.err().with_context(|| format!("{name} with {wide:04o} is taken"))?;
            let wanted = format!("chmod {right:o} '{}'", path.display());
            ensure!(
                command(&error)? == wanted && error.contains(&format!("{:04o}", right | wide)),
                "{error}"
            );
            shell(&wanted)?;
            ensure!(open(&directory)?.as_ref() == Ok(&opened), "it does not help: {wanted}");
            refused += 1;
        }
    }
    println!("{refused} of {refused} were refused, and mended by the command that was named");
    Ok(())
}

/// A certificate's key that others may have read is replaced, and not only hidden again.
#[test]
fn a_wider_certificate_is_issued_anew() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let directory = scratch.path().join("state");
    let opened = open(&directory)?;
    let leaf = directory.join("ca/server.pem");
    for wide in WIDE {
        let before = fs::read(&leaf)?;
        chmod(&leaf, 0o600 | wide)?;
        ensure!(open(&directory)? == opened, "the start fails");
        ensure!(fs::read(&leaf)? != before && mode(&leaf)? == 0o600, "{wide:03o}: it is still in use");
    }
    Ok(())
}

#[tokio::test]
async fn the_daemon_ends_with_77_and_starts_once_the_command_was_run() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let directory = scratch.path().join("state");
    let arguments = vec!["--state-dir".to_owned(), directory.display().to_string()];
    let backend = Setup::backend("ollama", "http://127.0.0.1:1");
    let setup = Setup { arguments, state: false, ..backend };
    Daemon::start(&setup).await?.stop().await?;
    for name in ["", "ca", "keys.json", "keys.json.last", "first-key", "lock", "ca/authority.pem"] {
        let path = directory.join(name);
        chmod(&path, mode(&path)? | 0o044)?;
        let ended = Daemon::fail(&setup).await?;
        ensure!(ended.code == Some(77), "{name}: exit code {:?}:\n{}", ended.code, ended.stderr);
        let last = ended.stderr.lines().last().unwrap_or_default();
        println!("{last}");
        shell(command(last)?)?;
        let daemon = Daemon::start(&setup).await?;
        let answer = plain(daemon.plain(false)?, &Request::get("/healthz")).await?;
        ensure!(answer.status == 200, "{name}: {}", answer.status);
        daemon.stop().await?;
    }
    Ok(())
}
