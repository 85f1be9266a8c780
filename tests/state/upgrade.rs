//! The look that an upgrade takes (`ghostllm config check --state-dir`), while the old daemon serves: what it lets pass a start takes, what
//! it refuses a start refuses with the same exit code, and it changes nothing.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::SystemTime,
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    binary,
    client::{Request, plain},
    daemon::{Daemon, Setup},
};

/// What `ghostctl config set` has kept, by a program to come.
const NEWER_SETTINGS: &str =
    r#"{"kind":"settings","version":9,"crc32":"1a671f21","content":{"settings":{}}}"#;
/// The keys of before there were envelopes, and of the versions since.
const OLDER_KEYS: [&str; 2] = ["keys-1.json", "keys-2.json"];

/// A look at that state: its exit code, and all that it says.
pub(crate) fn look(state: &Path) -> Result<(Option<i32>, String)> {
    let ran = Command::new(binary("ghostllm"))
        .args(["config", "check", "/dev/null", "--state-dir"])
        .arg(state)
        .env_clear()
        .env("HOME", "/nowhere")
        .stdin(Stdio::null())
        .output()?;
    Ok((ran.status.code(), String::from_utf8([ran.stdout, ran.stderr].concat())?))
}

/// Content, mode and time of change of each file.
type Files = BTreeMap<PathBuf, (Vec<u8>, u32, SystemTime)>;

/// What lies in it.
fn all(state: &Path) -> Result<Files> {
    let (mut all, mut left) = (BTreeMap::new(), vec![state.to_owned()]);
    while let Some(path) = left.pop() {
        let facts = fs::symlink_metadata(&path)?;
        if facts.is_dir() {
            left.extend(fs::read_dir(&path)?.map(|entry| entry.unwrap().path()));
        }
        let bytes = if facts.is_file() { fs::read(&path)? } else { Vec::new() };
        all.insert(path, (bytes, facts.permissions().mode(), facts.modified()?));
    }
    Ok(all)
}

/// The same, which must change nothing.
fn checked(state: &Path) -> Result<(Option<i32>, String)> {
    let before = all(state)?;
    let looked = look(state)?;
    ensure!(all(state)? == before, "looking has changed something: {looked:?}");
    println!("{}", looked.1.lines().last().unwrap_or_default());
    Ok(looked)
}

fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o600))?)
}

fn setup(state: &Path) -> Setup {
    let arguments = vec!["--state-dir".to_owned(), state.display().to_string()];
    Setup { arguments, state: false, ..Setup::backend("ollama", "http://127.0.0.1:1") }
}

#[tokio::test]
async fn the_state_of_a_running_daemon_is_looked_at_and_nothing_is_changed() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let state = scratch.path().join("state");
    let (code, said) = look(&state)?;
    ensure!(code == Some(0) && said.contains("There is no state") && !state.exists(), "{code:?} {said}");
    let daemon = Daemon::start(&setup(&state)).await?;
    let (code, said) = checked(&state)?;
    ensure!(code == Some(0) && said.contains("can be used as it is"), "{code:?} {said}");
    let answer = plain(daemon.plain(false)?, &Request::get("/healthz")).await?;
    ensure!(answer.status == 200, "{}", answer.status);
    daemon.stop().await
}

#[tokio::test]
async fn what_the_look_refuses_a_start_refuses_with_the_same_code() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let state = scratch.path().join("state");
    let daemon = Daemon::start(&setup(&state)).await?;
    // As after a downgrade, while what has written it serves on.
    put(&state.join("settings.json"), NEWER_SETTINGS.as_bytes())?;
    let (code, said) = checked(&state)?;
    ensure!(
        code == Some(74) && said.contains("newer ghostllm") && said.contains("Install the newer one"),
        "{said}"
    );
    daemon.stop().await?;
    let ended = Daemon::fail(&setup(&state)).await?;
    ensure!(
        ended.code == Some(74) && ended.stderr.contains("newer ghostllm"),
        "{:?} {}",
        ended.code,
        ended.stderr
    );
    // The start has set it aside, and goes on to refuse until a person has decided: so does the look.
    let (code, said) = checked(&state)?;
    ensure!(code == Some(74) && said.contains("newer ghostllm"), "{code:?} {said}");
    let aside = said.split("rm -r ").nth(1).with_context(|| format!("no way out in {said}"))?;
    crate::shell(&format!("rm -r {}", aside.lines().next().unwrap_or_default()))?;
    ensure!(checked(&state)?.0 == Some(0), "it is gone");
    fs::set_permissions(state.join("keys.json"), fs::Permissions::from_mode(0o640))?;
    let (code, said) = checked(&state)?;
    ensure!(code == Some(77) && said.contains("chmod 600"), "{code:?} {said}");
    ensure!(Daemon::fail(&setup(&state)).await?.code == Some(77), "a start takes it");
    Ok(())
}

/// Older versions are told and taken, and what there was is kept, for whoever goes back.
#[tokio::test]
async fn older_keys_are_told_before_they_are_taken() -> Result<()> {
    for (number, older) in OLDER_KEYS.into_iter().enumerate() {
        let scratch = tempfile::tempdir()?;
        let state = scratch.path().join("state");
        Daemon::start(&setup(&state)).await?.stop().await?;
        let recorded = fs::read(ghostllm_tests::root().join("daemon/core/tests-data/state").join(older))?;
        fs::remove_file(state.join("keys.json.last"))?;
        put(&state.join("keys.json"), &recorded)?;
        let (code, said) = checked(&state)?;
        let kept = format!("keys.json.v{}", number + 1);
        ensure!(code == Some(0) && said.contains(&kept), "{older}: {code:?} {said}");
        Daemon::start(&setup(&state)).await?.stop().await?;
        ensure!(fs::read(state.join(&kept))? == recorded, "{older} is not kept");
        let (code, said) = checked(&state)?;
        ensure!(code == Some(0) && said.contains("can be used as it is"), "{older}: {code:?} {said}");
    }
    Ok(())
}

/// Faults of the configuration and of the state are told together.
#[test]
fn a_faulty_configuration_hides_no_fault_of_the_state() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let (state, file) = (scratch.path().join("state"), scratch.path().join("ghostllm.toml"));
    fs::create_dir(&state)?;
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700))?;
    put(&state.join("settings.json"), NEWER_SETTINGS.as_bytes())?;
    fs::write(&file, "no_such_key = 1\n")?;
    let mut command = Command::new(binary("ghostllm"));
    command.args(["config", "check"]).arg(&file).arg("--state-dir").arg(&state).env_clear();
    let ran = command.stdin(Stdio::null()).output()?;
    let said = String::from_utf8(ran.stderr)?;
    ensure!(ran.status.code() == Some(2), "{said}");
    ensure!(said.contains("no_such_key") && said.contains("newer ghostllm"), "{said}");
    Ok(())
}
