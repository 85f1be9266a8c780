//! The administrator's configuration, /etc/ghostllm, in a mount namespace whose /etc is the test's own.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use anyhow::{Result, ensure};
use ghostllm_tests::binary;

/// Gives /etc a directory `ghostllm` with what lies in the first argument, and becomes the rest.
const WITH_ETC: &str = "mount -t tmpfs none /etc && cp -r \"$0\" /etc/ghostllm && exec \"$@\"";

fn show(system: &Path, home: &Path, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", WITH_ETC]).arg(system);
    command.arg(binary("ghostllm")).args(["config", "show"]).args(arguments);
    let path = std::env::var_os("PATH").unwrap_or_default();
    Ok(command.env_clear().env("PATH", path).env("HOME", home).output()?)
}

fn check_shown(ran: &Output, lines: &[&str]) -> Result<()> {
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    ensure!(ran.status.code() == Some(0), "{:?}: {err}", ran.status);
    for line in lines {
        ensure!(out.lines().any(|shown| shown == *line), "no line {line} in\n{out}");
    }
    Ok(())
}

#[test]
fn the_administrators_files_come_before_a_users() -> Result<()> {
    let (system, home) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let own = home.path().join(".config/ghostllm");
    fs::create_dir_all(&own)?;
    fs::write(own.join("ghostllm.toml"), "[limits]\nstreams = 1\nthreads = 1\n")?;
    check_shown(
        &show(system.path(), home.path(), &[])?,
        &[&format!("streams = 1 # {}/ghostllm.toml:2:11", own.display())],
    )?;
    // A directory with parts alone is a configuration as well.
    fs::create_dir(system.path().join("conf.d"))?;
    fs::write(system.path().join("conf.d/10.toml"), "[limits]\nstreams = 2\n")?;
    let part = "streams = 2 # /etc/ghostllm/conf.d/10.toml:2:11";
    check_shown(&show(system.path(), home.path(), &[])?, &[part, "threads = 0 # default"])?;
    fs::write(system.path().join("ghostllm.yaml"), "limits: {streams: 3, threads: 3}\n")?;
    let main = "threads = 3 # /etc/ghostllm/ghostllm.yaml:1:31";
    check_shown(&show(system.path(), home.path(), &[])?, &[part, main])?;
    // Named, it has its parts as well; another file has none.
    let named = ["--config", "/etc/ghostllm/ghostllm.yaml"];
    check_shown(&show(system.path(), home.path(), &named)?, &[part, main])?;
    let alone = own.join("other.toml").display().to_string();
    fs::write(&alone, "[limits]\nstreams = 4\n")?;
    check_shown(
        &show(system.path(), home.path(), &["--config", &alone])?,
        &[&format!("streams = 4 # {alone}:2:11")],
    )
}
