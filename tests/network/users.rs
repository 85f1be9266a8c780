//! A daemon of an ordinary user: what it may, what it may not, and whom it sees on its port.

use std::{os::unix::fs::PermissionsExt, process::Stdio};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    client::{Caller, Family, Request, VERSIONS},
    daemon::{Daemon, Ended, Setup},
    netns::Namespace,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::bare;

/// Debian's `nobody`, and a user that has no name.
const NOBODY: u32 = 65534;
const NAMELESS: u32 = 54321;

/// Listens on a free TCP port, tells it, and waits for the end of its input.
const HOLDER: &str = "import socket, sys
taken = socket.create_server(('::', 0), family=socket.AF_INET6)
print(taken.getsockname()[1], flush=True)
sys.stdin.read()";

/// A process of that user that holds a port.
async fn holder(user: u32) -> Result<(Child, u16)> {
    let mut child = Command::new("/usr/bin/python3")
        .args(["-c", HOLDER])
        .current_dir("/")
        .uid(user)
        .gid(user)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("its output")?).lines();
    let port = lines.next_line().await?.context("the holder says no port")?.parse()?;
    Ok((child, port))
}

fn listening_at(port: u16, user: Option<u32>) -> Setup {
    Setup { listen: format!("tls = \"[::]:{port}\"\nplain = []\n"), user, ..bare() }
}

/// It ended with this code, and the one line that says why has all of these.
fn check_ended(ended: &Ended, code: i32, wanted: &[&str]) -> Result<()> {
    ensure!(ended.code == Some(code), "exit code {:?} instead of {code}:\n{}", ended.code, ended.stderr);
    let line = ended.stderr.lines().last().unwrap_or_default();
    for wanted in wanted {
        ensure!(line.contains(wanted), "{wanted:?} is not in {line:?}; all of it:\n{}", ended.stderr);
    }
    Ok(())
}

#[tokio::test]
async fn a_taken_port_names_the_process_where_it_can_be_seen() -> Result<()> {
    let network = Namespace::new()?;
    let (child, port) = network.run(holder(NOBODY)).await?;
    let ended = network.run(Daemon::fail(&listening_at(port, None))).await?;
    let process = format!("process {} (python3", child.id().context("the holder has ended")?);
    check_ended(&ended, 69, &[&port.to_string(), &process, "listen.tls"])
}

#[tokio::test]
async fn a_taken_port_names_the_user_where_the_process_cannot_be_seen() -> Result<()> {
    let network = Namespace::new()?;
    for (user, named) in [(0, "user root"), (NOBODY, "user nobody"), (NAMELESS, "user id 54321")] {
        let (_child, port) = network.run(holder(user)).await?;
        let ended = network.run(Daemon::fail(&listening_at(port, Some(NAMELESS + 1)))).await?;
        check_ended(&ended, 69, &[&port.to_string(), named, "listen.tls"])?;
    }
    Ok(())
}

#[tokio::test]
async fn an_ordinary_user_is_served_like_root() -> Result<()> {
    let network = Namespace::new()?;
    for user in [NOBODY, NAMELESS] {
        let daemon = network.run(Daemon::start(&Setup { user: Some(user), ..bare() })).await?;
        for version in VERSIONS {
            for family in [Family::V4, Family::V6] {
                let asked = async {
                    Caller::new(&daemon, version, family).await?.send(&Request::get("/v1/models")).await
                };
                let answer = network.run(asked).await?;
                ensure!(answer.status == 200, "{version:?}: {} {}", answer.status, answer.text());
            }
        }
        let mode = daemon.state("ca/authority.pem").metadata()?.permissions().mode() & 0o777;
        ensure!(mode == 0o600, "the CA's key has mode {mode:o}");
        daemon.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_port_below_1024_ends_with_77() -> Result<()> {
    let network = Namespace::new()?;
    let ended = network.run(Daemon::fail(&listening_at(443, Some(NOBODY)))).await?;
    check_ended(&ended, 77, &["443", "1024", "listen.tls"])
}

#[tokio::test]
async fn a_state_of_somebody_else_ends_with_the_path_and_the_way_out() -> Result<()> {
    let theirs = tempfile::tempdir()?;
    let closed = theirs.path().join("closed");
    let readable = theirs.path().join("readable");
    for (path, mode) in [(&closed, 0o700), (&readable, 0o755)] {
        std::fs::create_dir(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    std::fs::set_permissions(theirs.path(), std::fs::Permissions::from_mode(0o755))?;
    for path in [closed.clone(), closed.join("below"), readable.clone(), readable.join("below")] {
        let text = path.display().to_string();
        let arguments = vec!["--state-dir".to_owned(), text.clone()];
        let setup = Setup { arguments, state: false, user: Some(NOBODY), ..bare() };
        let ended = Daemon::fail(&setup).await?;
        ensure!(matches!(ended.code, Some(74 | 77)), "{text}: exit code {:?}:\n{}", ended.code, ended.stderr);
        check_ended(&ended, ended.code.unwrap(), &[&text])?;
        println!("{}: {}", ended.code.unwrap(), ended.stderr.lines().last().unwrap_or_default());
    }
    Ok(())
}
