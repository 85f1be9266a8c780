//! Starting: what a taken port, a wrong word and an unwritable state do.

use std::{
    fs::Permissions,
    net::{TcpListener, UdpSocket},
    os::unix::fs::PermissionsExt as _,
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    causes,
    client::{Caller, Family, Request, VERSIONS, Version, plain},
    daemon::{Daemon, Setup},
    root,
    strace::{Injected, traceable},
};

fn listening_at(port: u16) -> Setup {
    let listen = format!("tls = \"[::]:{port}\"\nplain = [\"127.0.0.1:0\", \"[::1]:0\"]\n");
    Setup { listen, ..Setup::default() }
}

#[tokio::test]
async fn ends_with_69_when_the_tls_port_is_taken() -> Result<()> {
    let holder = TcpListener::bind("[::]:0")?;
    let port = holder.local_addr()?.port();
    let ended = Daemon::fail(&listening_at(port)).await?;
    ensure!(ended.code == Some(69), "exit code {:?}:\n{}", ended.code, ended.stderr);
    ensure!(ended.stderr.contains(&port.to_string()), "{}", ended.stderr);
    let holds = format!("taken by process {} (", std::process::id());
    ensure!(ended.stderr.contains(&holds) && ended.stderr.contains("ghostctl doctor"), "{}", ended.stderr);
    ensure!(!ended.stderr.contains("Os {"), "a debug line:\n{}", ended.stderr);
    Ok(())
}

#[tokio::test]
async fn serves_without_http3_when_udp_is_taken() -> Result<()> {
    let free = TcpListener::bind("[::]:0")?;
    let port = free.local_addr()?.port();
    let holder = UdpSocket::bind(("::", port))?;
    drop(free);
    let daemon = Daemon::start(&listening_at(port)).await?;
    ensure!(daemon.quic.is_none(), "it says that it serves HTTP/3 at {:?}", daemon.quic);
    for version in [Version::H1, Version::H2] {
        let answer =
            Caller::keyless(&daemon, version, Family::V6).await?.send(&Request::get("/healthz")).await?;
        ensure!(
            answer.status == 200 && answer.header("alt-svc").is_none(),
            "{} {:?}",
            answer.status,
            answer.headers
        );
    }
    ensure!(daemon.stderr().contains("HTTP/3"), "it does not say what is missing:\n{}", daemon.stderr());
    daemon.wait_status("degraded, without HTTP/3").await?;
    check_held(&daemon, "HTTP/3 is not served: UDP").await?;
    drop(holder);
    daemon.stop().await
}

#[tokio::test]
async fn takes_http3_back_when_its_socket_fails() -> Result<()> {
    let daemon = Daemon::start(&traceable(Setup::default())).await?;
    let port = daemon.quic.context("it serves no HTTP/3")?;
    let mut callers = Vec::new();
    for version in [Version::H1, Version::H2] {
        callers.push(Caller::keyless(&daemon, version, Family::V6).await?);
    }
    let offered = async |caller: &Caller| {
        let answer = caller.send(&Request::get("/healthz")).await?;
        ensure!(answer.status == 200, "{:?}: {}", caller.version(), answer.status);
        Ok(answer.header("alt-svc").unwrap_or_default().to_owned())
    };
    for caller in &callers {
        let offered = offered(caller).await?;
        ensure!(offered.contains(&format!("h3=\":{port}\"")), "{offered}");
    }
    let injected = Injected::into(daemon.id()?, "recvmmsg").await?;
    // Whatever comes has the socket read.
    UdpSocket::bind("[::1]:0")?.send_to(b"a datagram", ("::1", port))?;
    daemon.wait_said("HTTP/3 is no longer served").await?;
    daemon.wait_status("degraded, without HTTP/3").await?;
    for caller in &callers {
        // What they remember for a day is taken back (RFC 7838 section 3).
        ensure!(offered(caller).await? == "clear", "{:?}: {}", caller.version(), offered(caller).await?);
    }
    injected.end()?;
    daemon.stop().await
}

#[tokio::test]
async fn serves_the_rest_when_a_plain_port_is_taken() -> Result<()> {
    let holder = TcpListener::bind("127.0.0.1:0")?;
    let taken = holder.local_addr()?;
    let listen = format!("tls = \"[::]:0\"\nplain = [\"{taken}\", \"[::1]:0\"]\n");
    let daemon = Daemon::start(&Setup { listen, ..Setup::default() }).await?;
    ensure!(daemon.plain.iter().all(std::net::SocketAddr::is_ipv6), "{:?}", daemon.plain);
    ensure!(
        plain(daemon.plain(true)?, &Request::get("/healthz")).await?.status == 200,
        "the other port serves"
    );
    ensure!(
        daemon.stderr().contains(&taken.port().to_string()),
        "it does not name the port:\n{}",
        daemon.stderr()
    );
    check_held(&daemon, "plain HTTP at 127.0.0.1:").await?;
    daemon.stop().await
}

/// The status says of what begins so that this process holds its port, and what to do.
async fn check_held(daemon: &Daemon, begins: &str) -> Result<()> {
    let cause = causes::now(daemon, "listener_missing").await?.context("nothing is said to be missing")?;
    ensure!(cause["what"].as_str().is_some_and(|what| what.starts_with(begins)), "{cause}");
    let holds = format!("taken by process {} (", std::process::id());
    ensure!(cause["what"].as_str().is_some_and(|what| what.contains(&holds)), "{cause}");
    ensure!(cause["next"].as_str().is_some_and(|next| next.contains("ghostctl doctor")), "{cause}");
    Ok(())
}

#[tokio::test]
async fn serves_ipv4_and_says_so_on_a_kernel_without_ipv6() -> Result<()> {
    let script = root().join("tests/support/without-ipv6.py").display().to_string();
    let prefix = vec!["python3".to_owned(), script];
    let daemon = Daemon::start(&Setup { prefix, ..Setup::default() }).await?;
    ensure!(daemon.stderr().contains("IPv4 alone is served"), "it does not say it:\n{}", daemon.stderr());
    for version in VERSIONS {
        let caller = Caller::new(&daemon, version, Family::V4).await?;
        let answer = caller.send(&Request::get("/v1/models")).await?;
        ensure!(answer.status == 200, "{version:?}: {} {}", answer.status, answer.text());
    }
    ensure!(daemon.plain.iter().all(std::net::SocketAddr::is_ipv4), "{:?}", daemon.plain);
    daemon.stop().await
}

#[tokio::test]
async fn ends_with_2_and_the_place_of_a_wrong_word() -> Result<()> {
    for (listen, place, hint) in [
        ("tsl = \"[::]:0\"\n", "ghostllm.toml:2:1", "tls"),
        ("tls = \"nonsense\"\n", "ghostllm.toml:2:", "listen.tls"),
        ("tls = [[[\n", "ghostllm.toml:2:", "ghostllm.toml"),
    ] {
        let ended = Daemon::fail(&Setup { listen: listen.into(), ..Setup::default() }).await?;
        ensure!(ended.code == Some(2), "{listen:?}: exit code {:?}:\n{}", ended.code, ended.stderr);
        ensure!(ended.stderr.contains(place) && ended.stderr.contains(hint), "{listen:?}:\n{}", ended.stderr);
    }
    Ok(())
}

#[tokio::test]
async fn ends_with_2_for_a_wrong_argument() -> Result<()> {
    for arguments in [vec!["--set", "listen.tsl=1"], vec!["--no-such-flag"]] {
        let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
        let ended = Daemon::fail(&Setup { arguments, ..Setup::default() }).await?;
        ensure!(ended.code == Some(2), "exit code {:?}:\n{}", ended.code, ended.stderr);
    }
    Ok(())
}

/// A daemon that may have so many files open, as `ulimit` is told.
fn with_open_files(limit: &str) -> Setup {
    let line = format!("ulimit {limit} && exec \"$0\" \"$@\"");
    Setup { prefix: vec!["sh".to_owned(), "-c".to_owned(), line], ..Setup::default() }
}

#[tokio::test]
async fn names_the_setting_where_the_system_gives_fewer_threads() -> Result<()> {
    let wrong = vec!["--set".to_owned(), "limits.threads=18446744073709551615".to_owned()];
    let ended = Daemon::fail(&Setup { arguments: wrong, ..Setup::default() }).await?;
    ensure!(ended.code == Some(2), "exit code {:?}:\n{}", ended.code, ended.stderr);
    ensure!(ended.stderr.contains("from 0 to 1024"), "{}", ended.stderr);
    // Each thread has a few descriptors of its own, and most of these find none; nor do most threads, which root may have anyway.
    let few_files = with_open_files("-n 200");
    let prefix = vec!["prlimit".to_owned(), "--nproc=300".to_owned()];
    let few_threads = of_nobody(Setup { prefix, ..Setup::default() });
    for setup in [few_files, few_threads] {
        let ended = Daemon::fail(&setup.with_limits("threads = 1024")).await?;
        ensure!(ended.code == Some(1), "exit code {:?}:\n{}", ended.code, ended.stderr);
        for part in ["limits.threads", "LimitNOFILE=", "TasksMax="] {
            ensure!(ended.stderr.contains(part), "no {part}:\n{}", ended.stderr);
        }
    }
    Ok(())
}

/// What the system allows the process, soft and hard (`Max open files` of proc(5)).
fn open_files(daemon: &Daemon) -> Result<Vec<String>> {
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.id()?))?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    Ok(line.unwrap_or_default().split_whitespace().take(2).map(str::to_owned).collect())
}

#[tokio::test]
async fn takes_the_open_files_that_it_may_have_and_says_where_they_are_too_few() -> Result<()> {
    let warning = "files and sockets open";
    // Soft and hard: a shell's 1024 under what a session may have.
    let soft = with_open_files("-S -n 1024 && ulimit -H -n 2048").with_limits("connections = 64");
    let daemon = Daemon::start(&soft).await?;
    ensure!(open_files(&daemon)? == ["2048", "2048"], "{:?}", open_files(&daemon)?);
    ensure!(!daemon.stderr().contains(warning), "{}", daemon.stderr());
    daemon.stop().await?;
    let daemon = Daemon::start(&with_open_files("-n 1024")).await?;
    let said = daemon.stderr();
    ensure!(said.matches(warning).count() == 1, "it is said once:\n{said}");
    // 4096 connections, twice, and the daemon's own.
    ensure!(said.contains("LimitNOFILE=8448") && said.contains("limits.connections to 384"), "{said}");
    daemon.stop().await
}

#[tokio::test]
async fn says_once_that_no_connection_can_be_accepted_and_once_that_it_is_over() -> Result<()> {
    let listen = "tls = \"[::]:0\"\nplain = []\n".to_owned();
    let daemon = Daemon::start(&Setup { listen, ..Setup::default() }).await?;
    for spell in 1..=2 {
        let limit = daemon.limit_descriptors(0).await?;
        let waiting = tokio::net::TcpStream::connect(("127.0.0.1", daemon.tls)).await?;
        // Whoever counts the descriptors meanwhile finds that none is left before an accept has failed.
        daemon.wait_said_times("further connections wait", spell).await?;
        // Ten more tries.
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        daemon.limit_descriptors(limit).await?;
        // A second without a failure, and one that is accepted then.
        tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
        let accepted = tokio::net::TcpStream::connect(("127.0.0.1", daemon.tls)).await?;
        daemon.wait_said_times("there is room again", spell).await?;
        drop((waiting, accepted));
        let said = daemon.stderr();
        ensure!(said.matches("further connections wait").count() == spell, "once a spell:\n{said}");
        ensure!(said.matches("could not be accepted").count() <= spell, "once a spell:\n{said}");
        ensure!(said.contains("LimitNOFILE=") && said.contains("limits.connections"), "{said}");
    }
    daemon.stop().await
}

/// Root may read every file, and so the daemon is `nobody` where the test is root.
fn of_nobody(setup: Setup) -> Setup {
    let user = nix::unistd::geteuid().is_root().then_some(65534);
    Setup { user, ..setup }
}

#[tokio::test]
async fn ends_with_77_where_a_file_may_not_be_read() -> Result<()> {
    // The configuration is the last argument.
    let line = "for config; do :; done; chmod 000 \"$config\" && exec \"$0\" \"$@\"";
    let prefix = vec!["sh".to_owned(), "-c".to_owned(), line.to_owned()];
    let configuration = of_nobody(Setup { prefix, ..Setup::default() });
    let key = tempfile::NamedTempFile::new()?;
    key.as_file().set_permissions(Permissions::from_mode(0o000))?;
    let line = |path: &std::path::Path| format!("key_file = \"{}\"", path.display());
    let with_key =
        |path| of_nobody(Setup::default().with_backend("vllm", "openai", "http://127.0.0.1:1", &line(path)));
    for (setup, file) in [
        (configuration, "ghostllm.toml".to_owned()),
        (with_key(key.path()), key.path().display().to_string()),
    ] {
        let ended = Daemon::fail(&setup).await?;
        ensure!(ended.code == Some(77), "{file}: exit code {:?}:\n{}", ended.code, ended.stderr);
        for part in [file.as_str(), "chown", "chmod"] {
            ensure!(ended.stderr.contains(part), "no {part}:\n{}", ended.stderr);
        }
    }
    let ended = Daemon::fail(&with_key(std::path::Path::new("/nowhere/key"))).await?;
    ensure!(ended.code == Some(2), "a file that is not there: exit code {:?}:\n{}", ended.code, ended.stderr);
    Ok(())
}

#[tokio::test]
async fn takes_settings_from_arguments_and_environment() -> Result<()> {
    let arguments = vec!["--set".to_owned(), "listen.plain_auth=key".to_owned()];
    let by_argument = Setup { arguments, ..Setup::default() };
    let by_variable = Setup::default().with_environment("GHOSTLLM_LISTEN__PLAIN_AUTH", "key");
    for setup in [by_argument, by_variable] {
        let daemon = Daemon::start(&setup).await?;
        let answer = plain(daemon.plain(false)?, &Request::get("/v1/models")).await?;
        ensure!(answer.status == 401, "the plain port wants a key now: {} {}", answer.status, answer.text());
        daemon.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn ends_with_74_when_its_state_cannot_be_written() -> Result<()> {
    // A file where the directory should be: not even root can write below it.
    let arguments = vec!["--state-dir".to_owned(), "/dev/null/state".to_owned()];
    let ended = Daemon::fail(&Setup { arguments, state: false, ..Setup::default() }).await?;
    ensure!(ended.code == Some(74), "exit code {:?}:\n{}", ended.code, ended.stderr);
    ensure!(ended.stderr.contains("/dev/null is none"), "{}", ended.stderr);
    let file = tempfile::NamedTempFile::new()?;
    let path = file.path().display().to_string();
    let arguments = vec!["--state-dir".to_owned(), path.clone()];
    let ended = Daemon::fail(&Setup { arguments, state: false, ..Setup::default() }).await?;
    ensure!(ended.code == Some(74), "exit code {:?}:\n{}", ended.code, ended.stderr);
    ensure!(ended.stderr.contains(&format!("needs a directory, and {path} is none")), "{}", ended.stderr);
    Ok(())
}

#[tokio::test]
async fn makes_no_key_when_the_start_fails_later() -> Result<()> {
    let holder = TcpListener::bind("[::]:0")?;
    let state = tempfile::tempdir()?;
    let arguments = vec!["--state-dir".to_owned(), state.path().join("s").display().to_string()];
    let setup = Setup { arguments, state: false, ..listening_at(holder.local_addr()?.port()) };
    ensure!(Daemon::fail(&setup).await?.code == Some(69), "the port is taken");
    // Shown once on a terminal, it would be lost.
    ensure!(!state.path().join("s/keys.json").exists(), "a key was made");
    let daemon = Daemon::start(&Setup { listen: Setup::default().listen, ..setup }).await?;
    ensure!(state.path().join("s/first-key").exists(), "the next start makes none:\n{}", daemon.stderr());
    daemon.stop().await
}

#[tokio::test]
async fn ends_with_74_when_another_has_its_state() -> Result<()> {
    let first = Daemon::start(&Setup::default()).await?;
    let arguments = vec!["--state-dir".to_owned(), first.state("").display().to_string()];
    let ended = Daemon::fail(&Setup { arguments, state: false, ..Setup::default() }).await?;
    ensure!(ended.code == Some(74), "exit code {:?}:\n{}", ended.code, ended.stderr);
    ensure!(ended.stderr.contains("in use by another ghostllm (process"), "{}", ended.stderr);
    first.stop().await
}

#[tokio::test]
async fn ends_with_77_when_others_can_read_the_ca() -> Result<()> {
    let state = tempfile::tempdir()?;
    let path = state.path().join("s");
    let arguments = vec!["--state-dir".to_owned(), path.display().to_string()];
    let setup = Setup { arguments, state: false, ..Setup::default() };
    Daemon::start(&setup).await?.stop().await?;
    let authority = path.join("ca/authority.pem");
    std::fs::set_permissions(&authority, Permissions::from_mode(0o640))?;
    let ended = Daemon::fail(&setup).await?;
    ensure!(ended.code == Some(77), "exit code {:?}:\n{}", ended.code, ended.stderr);
    ensure!(ended.stderr.contains("chmod 600") && !ended.stderr.contains("writable"), "{}", ended.stderr);
    Ok(())
}
