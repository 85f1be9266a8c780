//! What a configuration names besides itself: keys of backends, the owner's certificate. All that is wrong with them is told at once.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Result, ensure};
use ghostllm_tests::{
    admin, binary,
    certificate::Pair,
    daemon::{Daemon, Setup},
};
use serde_json::Value;

/// A configuration that names files of this directory, all of them bad, and the lines that tell it.
struct Named {
    listen: String,
    config: String,
    /// The line in its table, a file's name, and words of the fault.
    faults: Vec<(&'static str, String, &'static str)>,
}

fn bad(directory: &Path) -> Result<Named> {
    let pair = Pair::make(directory, "owner", "localhost")?;
    fs::set_permissions(&pair.key, Permissions::from_mode(0o644))?;
    fs::write(&pair.certificate, "nothing\n")?;
    let path = |name: &str| directory.join(name).display().to_string();
    fs::write(path("empty.key"), " \n")?;
    let backend = |name: &str, file: &str| {
        format!(
            "[[backends]]\nname = \"{name}\"\nkind = \"openai\"\nurl = \"http://127.0.0.1:1\"\nkey_file = \"{file}\"\n"
        )
    };
    Ok(Named {
        listen: format!("{}{}", Setup::default().listen, pair.lines()),
        config: backend("a", &path("missing.key")) + &backend("b", &path("empty.key")),
        faults: vec![
            ("certificate = ", pair.certificate.display().to_string(), "holds no certificate in PEM form"),
            ("key = ", pair.key.display().to_string(), "chmod 600"),
            ("missing.key", path("missing.key"), "Put the key into that file"),
            ("empty.key", path("empty.key"), "the file is empty"),
        ],
    })
}

/// Each fault with the line that it stands in.
fn check(named: &Named, file: &Path, told: &[&str]) -> Result<()> {
    let text = fs::read_to_string(file)?;
    for (setting, path, words) in &named.faults {
        let line = text.lines().position(|line| line.contains(setting) && line.contains(path.as_str()));
        let place = format!("{}:{}:", file.display(), line.map_or(0, |line| line + 1));
        let found = told.iter().any(|fault| {
            fault.trim_start().starts_with(&place) && fault.contains(path.as_str()) && fault.contains(words)
        });
        ensure!(found, "no {place} … {path} … {words} in {told:#?}");
    }
    ensure!(told.len() == named.faults.len(), "{told:#?}");
    Ok(())
}

fn run(arguments: &[&str], file: &Path) -> Result<(Option<i32>, String, String)> {
    let ran = Command::new(binary("ghostllm"))
        .args(arguments)
        .arg("--config")
        .arg(file)
        .env_clear()
        .stdin(Stdio::null())
        .output()?;
    Ok((ran.status.code(), String::from_utf8(ran.stdout)?, String::from_utf8(ran.stderr)?))
}

#[test]
fn check_without_a_daemon_tells_all_that_a_start_would_fail_for() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let (named, file) = (bad(directory.path())?, directory.path().join("a.toml"));
    fs::write(&file, format!("[listen]\n{}\n{}", named.listen, named.config))?;
    let (code, out, err) = run(&["config", "check"], &file)?;
    let told: Vec<&str> = err.lines().filter(|line| line.starts_with("  ")).collect();
    ensure!(
        code == Some(2) && out.is_empty() && err.contains("the configuration has 4 faults:"),
        "{code:?} {out}{err}"
    );
    check(&named, &file, &told)?;
    // Whether the two belong together, once each can be read.
    let [one, other] = ["one", "other"].map(|name| Pair::make(directory.path(), name, "localhost"));
    let mixed = Pair { key: other?.key, ..one? };
    fs::write(&file, format!("[listen]\n{}", mixed.lines()))?;
    let (code, _, err) = run(&["config", "check"], &file)?;
    ensure!(
        code == Some(2) && err.contains(":2:") && err.contains("does not fit the certificate"),
        "{code:?} {err}"
    );
    // A mode alone is a matter of permissions, as for a start.
    let good = Pair::make(directory.path(), "good", "localhost")?;
    fs::write(&file, format!("[listen]\n{}", good.lines()))?;
    ensure!(run(&["config", "check"], &file)?.0 == Some(0));
    fs::set_permissions(&good.key, Permissions::from_mode(0o640))?;
    let (code, _, err) = run(&["config", "check"], &file)?;
    ensure!(
        code == Some(77) && err.contains("the configuration has 1 fault:") && err.contains(":3:"),
        "{code:?} {err}"
    );
    Ok(())
}

#[test]
fn every_file_that_cannot_be_read_is_named() -> Result<()> {
    let home = tempfile::tempdir()?;
    let parts = home.path().join(".config/ghostllm/conf.d");
    fs::create_dir_all(&parts)?;
    for name in ["a.toml", "b.toml"] {
        std::os::unix::fs::symlink("/nowhere", parts.join(name))?;
    }
    let mut check = Command::new(binary("ghostllm"));
    let ran =
        check.args(["config", "check"]).env_clear().env("HOME", home.path()).stdin(Stdio::null()).output()?;
    let err = String::from_utf8(ran.stderr)?;
    ensure!(ran.status.code() == Some(2) && err.contains("/a.toml") && err.contains("/b.toml"), "{err}");
    Ok(())
}

#[test]
fn a_credential_is_not_looked_for_outside_the_service_and_that_is_said() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("a.toml");
    let backend =
        "[[backends]]\nname = \"a\"\nkind = \"openai\"\nurl = \"http://a:1\"\nkey_file = \"vllm-key\"\n";
    fs::write(&file, backend)?;
    let (code, out, err) = run(&["config", "check"], &file)?;
    ensure!(code == Some(0) && err.is_empty(), "{code:?} {err}");
    ensure!(out.contains("Not looked at") && out.contains("key_file of the backend \"a\""), "{out}");
    Ok(())
}

#[tokio::test]
async fn the_running_daemon_tells_all_faults_too() -> Result<()> {
    let daemon = Daemon::start(&Setup::backend("openai", "http://127.0.0.1:1")).await?;
    let named = bad(daemon.scratch())?;
    daemon.configure(&Setup {
        listen: named.listen.clone(),
        config: named.config.clone(),
        ..Setup::default()
    })?;
    let checked = admin::done(&daemon, "POST", "config/check", None).await?;
    let told: Vec<&str> =
        checked["faults"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    ensure!(checked["sound"] == false, "{checked}");
    check(&named, &daemon.config(), &told)?;
    // And of what cannot be read, every fault with its place, and not the first with a number.
    let setup = Setup::backend("openai", "http://127.0.0.1:1")
        .with_limits("body = 5s\nstreams = \"many\"\nunknwn = 1");
    daemon.configure(&setup)?;
    let broken = admin::done(&daemon, "POST", "config/check", None).await?["faults"].to_string();
    ensure!(!broken.contains("more fault"), "{broken}");
    let setup = Setup::backend("openai", "http://127.0.0.1:1")
        .with_limits("body = \"much\"\nstreams = \"many\"\nunknwn = 1");
    daemon.configure(&setup)?;
    let checked = admin::done(&daemon, "POST", "config/check", None).await?;
    let faults = checked["faults"].as_array().map(Vec::len);
    let all =
        ["limits.body", "limits.streams", "unknwn"].iter().all(|name| checked.to_string().contains(name));
    ensure!(faults == Some(3) && all, "{checked:#}");
    let ctl = Command::new(binary("ghostctl"))
        .arg("--socket")
        .arg(daemon.admin()?)
        .args(["config", "check"])
        .output()?;
    let said = String::from_utf8(ctl.stderr)?;
    let lines = said.lines().filter(|line| line.contains("ghostllm.toml:")).count();
    ensure!(ctl.status.code() == Some(1) && lines == 3, "{said}");
    daemon.stop().await
}
