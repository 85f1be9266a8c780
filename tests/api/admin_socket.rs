//! The admin's Unix socket: no key, its file's mode, its place, who has made it, and its end.

use std::{
    fs,
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    client::{Caller, End, Family, PATIENCE, Request, Version, open_unix, unix},
    daemon::{Daemon, Setup, Signal},
    double::Double,
    ollama::Ollama,
    script::Sin,
    sse::Chat,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    process::Command,
    time::timeout,
};

use crate::{FRANCE, PARIS, check_error, ollama, ollama_with};

/// A daemon that looks for no model, with its state at that place.
fn at(state: &Path) -> Setup {
    let arguments = vec!["--state-dir".to_owned(), state.display().to_string()];
    Setup { state: false, arguments, ..Setup::backend("ollama", "http://127.0.0.1:1") }
}

/// The same, with `listen.admin` besides.
fn listening_at(state: &Path, admin: &Path) -> Setup {
    let setup = at(state);
    let listen = format!("{}admin = \"{}\"\n", setup.listen, admin.display());
    Setup { listen, ..setup }
}

/// The bits of a file's mode; an error where it is no socket.
fn mode(path: &Path) -> Result<u32> {
    let facts = fs::symlink_metadata(path)?;
    ensure!(facts.file_type().is_socket(), "{} is no socket", path.display());
    Ok(facts.permissions().mode() & 0o7777)
}

async fn healthy(path: &Path) -> Result<()> {
    let answer = unix(path, &Request::get("/healthz")).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    Ok(())
}

/// A connection that is kept, and asks for /healthz.
async fn kept(path: &Path) -> Result<UnixStream> {
    Ok(UnixStream::connect(path).await?)
}

/// The status of an answer to /healthz; none where the connection is closed instead.
async fn status(stream: &mut UnixStream) -> Result<Option<String>> {
    let mut read = Vec::new();
    // One that is over the limit may be closed before this is written.
    let _closed = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let whole = async {
        while !read.ends_with(b"serves\n") {
            if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                break;
            }
        }
    };
    timeout(PATIENCE, whole).await.context("neither an answer nor an end")?;
    Ok(String::from_utf8_lossy(&read).lines().next().map(str::to_owned))
}

#[tokio::test]
async fn its_owner_needs_no_key() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let admin = daemon.admin()?;
    ensure!(admin == daemon.state("admin.sock"), "{}", admin.display());
    ensure!(mode(admin)? == 0o600, "mode {:o}", mode(admin)?);
    healthy(admin).await?;
    let models = Request::get("/v1/models");
    let over_tls = Caller::keyless(&daemon, Version::H1, Family::V4).await?.send(&models).await?;
    check_error(&over_tls, 401, Some("invalid_api_key"))?;
    // No key is looked at, right or wrong.
    for request in [models.clone(), models.clone().with("authorization", "Bearer gllm_nonsense")] {
        let answer = unix(admin, &request).await?;
        ensure!(
            answer.status == 200 && answer.text().contains("tiny"),
            "{} {}",
            answer.status,
            answer.text()
        );
    }
    let answer = unix(admin, &Request::chat("tiny", FRANCE, false)).await?;
    ensure!(answer.status == 200 && answer.text().contains(PARIS), "{} {}", answer.status, answer.text());
    let curl = Command::new("curl")
        .args(["-sS", "--unix-socket", &admin.display().to_string(), "http://localhost/v1/models"])
        .stdin(Stdio::null())
        .output()
        .await?;
    let said = String::from_utf8_lossy(&curl.stdout).into_owned();
    ensure!(
        curl.status.success() && said.contains("tiny"),
        "{said}{}",
        String::from_utf8_lossy(&curl.stderr)
    );
    daemon.stop().await
}

#[tokio::test]
async fn its_mode_is_0600_whatever_the_umask() -> Result<()> {
    let place = tempfile::tempdir()?;
    let state = place.path().join("state");
    let under = |umask: &str| {
        let line = format!("umask {umask}; exec \"$0\" \"$@\"");
        Setup { prefix: vec!["sh".to_owned(), "-c".to_owned(), line], ..at(&state) }
    };
    for umask in ["0", "022", "077", "0177"] {
        let daemon = Daemon::start(&under(umask)).await?;
        ensure!(mode(daemon.admin()?)? == 0o600, "umask {umask}: {:o}", mode(daemon.admin()?)?);
        healthy(daemon.admin()?).await?;
        daemon.stop().await?;
    }
    // One under which not even its owner might connect is said, and nothing is left behind.
    check_degraded(&under("0277"), &state.join("admin.sock"), &["mode 400"]).await?;
    ensure!(!state.join("admin.sock").exists(), "it is left behind");
    Ok(())
}

#[tokio::test]
async fn what_a_page_or_a_proxy_sends_over_it_is_not_the_owner_s() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let (admin, models) = (daemon.admin()?, Request::get("/v1/models"));
    for host in ["evil.test", "box.local", "192.168.1.5"] {
        let answer = unix(admin, &models.clone().authority(host)).await?;
        check_error(&answer, 421, None)?;
        ensure!(answer.text().contains("Host: localhost"), "{}", answer.text());
    }
    for origin in ["http://localhost:3000", "https://evil.test", "null"] {
        check_error(&unix(admin, &models.clone().with("origin", origin)).await?, 403, None)?;
    }
    let forwarded = models.with("x-forwarded-for", "203.0.113.7");
    check_error(&unix(admin, &forwarded).await?, 401, Some("invalid_api_key"))?;
    let key = daemon.key.clone().context("a first key")?;
    let keyed = forwarded.with("authorization", &format!("Bearer {key}"));
    ensure!(unix(admin, &keyed).await?.status == 200, "a key counts there as elsewhere");
    daemon.stop().await
}

#[tokio::test]
async fn a_connection_is_kept_until_the_daemon_stops_and_the_file_goes_with_it() -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    double.misbehave("tiny", Sin::Gated);
    // Not in the daemon's own directory, which goes with it.
    let place = tempfile::tempdir()?;
    let backend = Setup::backend("ollama", &double.url()).config;
    let daemon = Daemon::start(&Setup { config: backend, ..at(&place.path().join("state")) }).await?;
    let admin = daemon.admin()?.to_owned();
    let mut idle = kept(&admin).await?;
    for _ in 0..3 {
        ensure!(status(&mut idle).await?.as_deref() == Some("HTTP/1.1 200 OK"), "no answer");
    }
    double.release(2);
    let mut stream = open_unix(&admin, &Request::chat("tiny", FRANCE, true)).await?;
    let mut body = stream.until(" capital").await?;
    daemon.terminate()?;
    daemon.wait_stopping().await?;
    let end = timeout(PATIENCE, idle.read(&mut [0; 16])).await.context("the idle one is not closed")?;
    ensure!(end? == 0, "it sends more");
    double.release(100);
    let rest = stream.finish().await?;
    body.extend(&rest.body);
    let chat = Chat::read(&body)?;
    ensure!(
        chat.done && chat.text() == PARIS && rest.end == End::Clean,
        "{}",
        String::from_utf8_lossy(&body)
    );
    let ended = daemon.wait().await?;
    ensure!(ended.code == Some(0), "exit code {:?}:\n{}", ended.code, ended.stderr);
    ensure!(place.path().join("state/lock").exists(), "the state is gone, so that this shows nothing");
    ensure!(!admin.exists(), "its file is still there");
    Ok(())
}

#[tokio::test]
async fn so_many_are_served_while_no_other_connection_is_taken_and_one_more_is_not() -> Result<()> {
    let (_double, daemon) = ollama_with("connections = 1\nadmin_connections = 2", "").await?;
    let admin = daemon.admin()?.to_owned();
    let plain = daemon.plain(false)?;
    let mut flood = tokio::net::TcpStream::connect(plain).await?;
    flood.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    let mut piece = [0; 1024];
    ensure!(timeout(PATIENCE, flood.read(&mut piece)).await?? > 0, "the one is served");
    let mut other = tokio::net::TcpStream::connect(plain).await?;
    let _closed = other.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let read = timeout(PATIENCE, other.read(&mut piece)).await.context("the second is held")?;
    ensure!(read.unwrap_or(0) == 0, "limits.connections is not reached");
    let (mut first, mut second) = (kept(&admin).await?, kept(&admin).await?);
    for stream in [&mut first, &mut second] {
        ensure!(status(stream).await?.is_some(), "the admin is kept out");
    }
    ensure!(status(&mut kept(&admin).await?).await?.is_none(), "one more than limits.admin_connections");
    ensure!(status(&mut second).await?.is_some(), "the others go on");
    drop(first);
    // Its end is seen a moment later.
    let again = async {
        while status(&mut kept(&admin).await?).await?.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        anyhow::Ok(())
    };
    timeout(PATIENCE, again).await.context("nobody takes the place of the one that has gone")??;
    daemon.stop().await
}

#[tokio::test]
async fn what_a_killed_daemon_has_left_is_replaced() -> Result<()> {
    let place = tempfile::tempdir()?;
    let (state, elsewhere) = (place.path().join("state"), place.path().join("elsewhere.sock"));
    for (setup, path) in
        [(at(&state), state.join("admin.sock")), (listening_at(&state, &elsewhere), elsewhere.clone())]
    {
        let daemon = Daemon::start(&setup).await?;
        ensure!(daemon.admin()? == path, "{}", daemon.admin()?.display());
        daemon.signal(Signal::SIGKILL)?;
        daemon.wait().await?;
        ensure!(mode(&path)? == 0o600, "what is left");
        let daemon = Daemon::start(&setup).await?;
        healthy(daemon.admin()?).await?;
        ensure!(mode(&path)? == 0o600, "mode {:o}", mode(&path)?);
        ensure!(!daemon.stderr().contains("is not served"), "{}", daemon.stderr());
        daemon.stop().await?;
        ensure!(!path.exists(), "{} is still there", path.display());
    }
    Ok(())
}

/// The daemon serves without the socket, and says what is at that path and what to do.
async fn check_degraded(setup: &Setup, path: &Path, words: &[&str]) -> Result<()> {
    let daemon = Daemon::start(setup).await?;
    ensure!(daemon.admin.is_none(), "it says that it serves {:?}", daemon.admin);
    daemon.wait_status(&format!("degraded, without the admin's socket at {}", path.display())).await?;
    let said = daemon.stderr();
    let line = said.lines().find(|line| line.contains("the admin's socket is not served"));
    let line = line.with_context(|| format!("it is not said:\n{said}"))?;
    for word in words.iter().chain(&["listen.admin"]) {
        ensure!(line.contains(word), "{word:?} is not in {line:?}");
    }
    let answer = Caller::new(&daemon, Version::H2, Family::V6).await;
    // Only a first start has made a key.
    let caller = match answer {
        Ok(caller) => caller,
        Err(_) => Caller::keyless(&daemon, Version::H2, Family::V6).await?,
    };
    ensure!(caller.send(&Request::get("/healthz")).await?.status == 200, "the rest is not served");
    daemon.stop().await
}

#[tokio::test]
async fn what_is_no_socket_or_somebody_s_stays_and_is_said() -> Result<()> {
    let place = tempfile::tempdir()?;
    let (state, file) = (place.path().join("state"), place.path().join("file"));
    fs::write(&file, "precious")?;
    check_degraded(&listening_at(&state, &file), &file, &["is no socket", "mv '"]).await?;
    let link = place.path().join("link");
    std::os::unix::fs::symlink(&file, &link)?;
    check_degraded(&listening_at(&state, &link), &link, &["is no socket"]).await?;
    ensure!(
        fs::read(&file)? == b"precious" && fs::symlink_metadata(&link)?.is_symlink(),
        "they were changed"
    );
    // Also in the state directory itself.
    let own = state.join("admin.sock");
    fs::write(&own, "precious")?;
    check_degraded(&at(&state), &own, &["is no socket"]).await?;
    ensure!(fs::read(&own)? == b"precious", "it was changed");
    let taken = place.path().join("taken");
    let holder = UnixListener::bind(&taken)?;
    check_degraded(&listening_at(&state, &taken), &taken, &["another process listens"]).await?;
    std::os::unix::net::UnixStream::connect(&taken).context("it was removed")?;
    drop(holder);
    let nowhere = place.path().join("no folder/a.sock");
    check_degraded(&listening_at(&state, &nowhere), &nowhere, &["No such file"]).await
}

#[tokio::test]
async fn the_longest_path_is_served_and_one_byte_more_is_said() -> Result<()> {
    let place = tempfile::tempdir()?;
    let named = |bytes: usize| {
        let rest = bytes - place.path().as_os_str().len() - "//admin.sock".len();
        place.path().join("d".repeat(rest))
    };
    let daemon = Daemon::start(&at(&named(107))).await?;
    ensure!(daemon.admin()?.as_os_str().len() == 107, "{}", daemon.admin()?.display());
    healthy(daemon.admin()?).await?;
    daemon.stop().await?;
    let state = named(108);
    check_degraded(&at(&state), &state.join("admin.sock"), &["108 bytes", "may have 107"]).await?;
    // What it advises does.
    let short = place.path().join("a");
    let daemon = Daemon::start(&listening_at(&state, &short)).await?;
    healthy(&short).await?;
    daemon.stop().await
}

#[tokio::test]
async fn another_path_waits_for_a_restart() -> Result<()> {
    let place = tempfile::tempdir()?;
    let (state, other) = (place.path().join("state"), place.path().join("other.sock"));
    let daemon = Daemon::start(&at(&state)).await?;
    let status = daemon.reconfigure(&listening_at(&state, &other)).await?;
    ensure!(status.contains("a restart is needed for listen.admin"), "{status}");
    ensure!(!other.exists(), "it is there already");
    healthy(daemon.admin()?).await?;
    daemon.stop().await
}

/// Hands these down to a daemon; gives it, with where its own socket would be.
async fn started_with(place: &Path, sockets: &[String]) -> Result<(Daemon, PathBuf)> {
    let state = place.join("state");
    Ok((Daemon::start(&at(&state).handed(sockets)).await?, state.join("admin.sock")))
}

#[tokio::test]
async fn one_that_is_handed_down_by_name_takes_its_place_and_stays() -> Result<()> {
    let place = tempfile::tempdir()?;
    let [first, named, deaf] = ["first", "named", "deaf"].map(|name| place.path().join(name));
    let sockets = [
        "web=tcp:127.0.0.1:0".to_owned(),
        format!("other=0600:{}", first.display()),
        format!("admin=0660:{}", named.display()),
        format!("quiet=deaf:{}", deaf.display()),
    ];
    let (daemon, own) = started_with(place.path(), &sockets).await?;
    ensure!(daemon.admin()? == named, "{}", daemon.admin()?.display());
    ensure!(mode(&named)? == 0o660, "its mode was changed: {:o}", mode(&named)?);
    ensure!(!own.exists(), "its own is there as well");
    healthy(&named).await?;
    let answer = unix(&named, &Request::get("/v1/models")).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    let said = daemon.stderr();
    for unused in ["descriptor 3 (web)", &first.display().to_string(), "descriptor 6 (quiet)"] {
        let line = said.lines().find(|line| line.contains("is not used") && line.contains(unused));
        ensure!(line.is_some(), "{unused} is not said:\n{said}");
    }
    daemon.stop().await?;
    ensure!(mode(&named)? == 0o660, "what is the unit's was touched");
    Ok(())
}

#[tokio::test]
async fn any_unix_socket_that_is_handed_down_will_do() -> Result<()> {
    let place = tempfile::tempdir()?;
    let path = place.path().join("some.sock");
    // Without a name, and a setting that says otherwise.
    let setup = listening_at(&place.path().join("state"), &place.path().join("set.sock"));
    let daemon = Daemon::start(&setup.handed(&[format!("=0660:{}", path.display())])).await?;
    ensure!(daemon.admin()? == path, "{}", daemon.admin()?.display());
    healthy(&path).await?;
    let said = daemon.stderr();
    ensure!(said.contains("listen.admin (") && said.contains("is not used"), "{said}");
    ensure!(!said.contains("everybody on this box"), "{said}");
    daemon.stop().await?;
    fs::remove_file(&path)?;
    let (daemon, _) = started_with(place.path(), &[format!("admin=0666:{}", path.display())]).await?;
    ensure!(daemon.stderr().contains("everybody on this box may connect"), "{}", daemon.stderr());
    daemon.stop().await
}

#[tokio::test]
async fn what_no_file_guards_is_not_taken() -> Result<()> {
    let place = tempfile::tempdir()?;
    let nameless = format!("ghostllm-test-{}", std::process::id());
    let datagrams = place.path().join("datagrams");
    let sockets = [format!("admin=abstract:{nameless}"), format!("admin=datagram:{}", datagrams.display())];
    let (daemon, own) = started_with(place.path(), &sockets).await?;
    ensure!(daemon.admin()? == own, "{}", daemon.admin()?.display());
    ensure!(mode(&own)? == 0o600, "mode {:o}", mode(&own)?);
    healthy(&own).await?;
    let said = daemon.stderr();
    ensure!(said.matches("a socket that was handed down is not used").count() == 2, "{said}");
    ensure!(said.contains("it has no file, whose mode would say who may connect"), "{said}");
    daemon.stop().await
}
