//! `ghostctl restore` as root onto the state of another user, the daemon's: all of it stays that user's, and the daemon starts with it.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::Path,
    process::Output,
};

use anyhow::{Result, ensure};
use ghostllm_tests::{
    admin, binary,
    client::{Request, plain},
    daemon::{Daemon, Setup},
};
use serde_json::json;
use tokio::process::Command;

use crate::bare;

/// The daemon's user and a stranger; each is alone in the group of its number.
const DAEMON: u32 = 54_321;
const STRANGER: u32 = 54_322;

/// A daemon of that user over the state here, in which every port wants a key.
async fn daemon(state: &Path) -> Result<Daemon> {
    let mut setup = Setup { user: Some(DAEMON), state: false, ..bare() };
    setup.listen.push_str("plain_auth = \"key\"\n");
    setup.arguments = vec!["--state-dir".to_owned(), state.display().to_string()];
    Daemon::start(&setup).await
}

fn of_the_daemon(directory: &Path) -> Result<()> {
    fs::create_dir(directory)?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
    Ok(chown(directory, Some(DAEMON), Some(DAEMON))?)
}

/// Every file and directory below, with its owner, its group and its mode.
fn all(directory: &Path) -> Result<Vec<(String, u32, u32, u32)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let facts = fs::symlink_metadata(&path)?;
        found.push((path.display().to_string(), facts.uid(), facts.gid(), facts.mode() & 0o7777));
        if facts.is_dir() {
            found.extend(all(&path)?);
        }
    }
    found.sort();
    Ok(found)
}

fn check_owned(state: &Path, wanted: &[&str]) -> Result<()> {
    let found = all(state)?;
    for (path, user, group, mode) in &found {
        let right = if Path::new(path).is_dir() { 0o700 } else { 0o600 };
        ensure!((*user, *group, *mode) == (DAEMON, DAEMON, right), "{path}: {user}:{group} {mode:o}");
    }
    for name in wanted {
        let path = state.join(name).display().to_string();
        ensure!(found.iter().any(|(found, ..)| found.starts_with(&path)), "{name} is not among {found:?}");
    }
    Ok(())
}

async fn lets_in(daemon: &Daemon, key: &str) -> Result<bool> {
    daemon.secret(key);
    let request = Request::get("/v1/models").with("authorization", &format!("Bearer {key}"));
    Ok(plain(daemon.plain(false)?, &request).await?.status == 200)
}

#[tokio::test]
async fn by_root_leaves_everything_to_whom_the_state_belongs() -> Result<()> {
    let room = tempfile::tempdir()?;
    fs::set_permissions(room.path(), fs::Permissions::from_mode(0o755))?;
    let (program, secret) = (room.path().join("ghostctl"), room.path().join("passphrase"));
    fs::copy(binary("ghostctl"), &program)?;
    fs::write(&secret, "CANARY correct horse battery\n")?;
    let file = room.path().join("backup");
    let (used, new) = (room.path().join("used"), room.path().join("new"));
    of_the_daemon(&used)?;
    of_the_daemon(&new)?;

    let first = daemon(&used).await?;
    let kept = admin::make(&first, &json!({"name": "kept"})).await?;
    let mut command = Command::new(&program);
    command.arg("backup").arg(&file).arg("--with-ca-key").arg("--passphrase-file").arg(&secret);
    let made = command.arg("--socket").arg(first.admin()?).output().await?;
    ensure!(made.status.success(), "{made:?}");
    let late = admin::make(&first, &json!({"name": "late"})).await?;
    first.stop().await?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644))?;
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644))?;

    let restore = async |user: u32, state: &Path| -> Result<Output> {
        let mut command = Command::new(&program);
        command.arg("restore").arg(&file).arg("--yes").arg("--passphrase-file").arg(&secret);
        Ok(command.arg("--state-dir").arg(state).current_dir("/").uid(user).gid(user).output().await?)
    };
    let before = all(&used)?;
    let refused = restore(STRANGER, &used).await?;
    ensure!(refused.status.code() == Some(4), "{refused:?}");
    ensure!(String::from_utf8_lossy(&refused.stderr).contains("Next: "), "{refused:?}");
    ensure!(all(&used)? == before, "a stranger has changed something");

    let names =
        ["keys.json", "keys.json.last", "audit.log", "ca/authority.pem", "ca/ca.pem", "ca/server.pem"];
    for state in [&used, &new] {
        let ran = restore(0, state).await?;
        ensure!(ran.status.success(), "{ran:?}");
        check_owned(state, &names)?;
    }
    check_owned(
        &used,
        &["keys.json.before-restore-", "audit.log.before-restore-", "ca/authority.pem.before-restore-"],
    )?;
    // The harness takes what is set aside for secrets that came out: they are the same once more.
    for (path, ..) in all(&used)?.iter().filter(|(path, ..)| path.contains(".before-restore-")) {
        fs::remove_file(path)?;
    }
    for state in [&used, &new] {
        let again = daemon(state).await?;
        ensure!(lets_in(&again, &kept.key).await?, "the key of the backup is taken");
        ensure!(!lets_in(&again, &late.key).await?, "the later one is not");
        again.stop().await?;
        check_owned(state, &names)?;
    }
    Ok(())
}
