//! Sockets that are handed down: each goes to the listener at its address, the rest is bound, and what fits nothing is closed and told.

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    client::{Caller, Family, Request, Version, plain},
    daemon::{Daemon, Setup},
    root,
};

/// Below the ports that the kernel gives to whoever asks for any, so that nobody else comes between a look and the start.
const FIRST_PORT: u32 = 20_000;
const PORTS: u32 = 10_000;

/// The ports of a daemon: one for TLS and QUIC, and one for plain HTTP.
pub(crate) struct Ports {
    tls: u16,
    plain: u16,
}

impl Ports {
    /// Two that are free on every address, for TCP and UDP.
    pub(crate) fn free() -> Result<Self> {
        let mut free = (0..PORTS)
            .filter_map(|more| u16::try_from(FIRST_PORT + (std::process::id() * 7 + more) % PORTS).ok())
            .filter(|port| {
                TcpListener::bind(("::", *port)).is_ok() && UdpSocket::bind(("::", *port)).is_ok()
            });
        Ok(Self { tls: free.next().context("a free port")?, plain: free.next().context("another")? })
    }

    /// A daemon that wants to listen there.
    pub(crate) fn setup(&self) -> Setup {
        let Self { tls, plain } = self;
        let listen = format!("tls = \"[::]:{tls}\"\nplain = [\"127.0.0.1:{plain}\", \"[::1]:{plain}\"]\n");
        Setup { listen, ..Setup::backend("ollama", "http://127.0.0.1:1") }
    }

    /// What our units hand down.
    fn whole(&self) -> [String; 4] {
        let Self { tls, plain } = self;
        [
            format!("quic=udp:[::]:{tls}"),
            format!("plain=tcp:127.0.0.1:{plain}"),
            format!("plain=tcp:[::1]:{plain}"),
            format!("tls=tcp:[::]:{tls}"),
        ]
    }
}

/// Everything is served at the ports that were wanted.
async fn check_serves(daemon: &Daemon, ports: &Ports) -> Result<()> {
    ensure!(daemon.tls == ports.tls && daemon.quic == Some(ports.tls), "{} {:?}", daemon.tls, daemon.quic);
    for version in [Version::H1, Version::H2, Version::H3] {
        for family in [Family::V4, Family::V6] {
            let caller = Caller::keyless(daemon, version, family).await?;
            let answer = caller
                .send(&Request::get("/healthz"))
                .await
                .with_context(|| format!("{version:?} {family:?}"))?;
            ensure!(answer.status == 200, "{version:?} {family:?}: {}", answer.status);
        }
    }
    for six in [false, true] {
        let at = daemon.plain(six)?;
        ensure!(at.port() == ports.plain, "{at}");
        ensure!(plain(at, &Request::get("/healthz")).await?.status == 200, "{at}");
    }
    Ok(())
}

/// How often the daemon has said that it serves what was handed down, and that something is not used.
fn told(daemon: &Daemon) -> (usize, usize) {
    let said = daemon.stderr();
    let count = |words: &str| said.matches(words).count();
    (count("which was handed down, is served at"), count("a socket that was handed down is not used"))
}

#[tokio::test]
async fn each_goes_to_the_listener_at_its_address_whatever_its_name() -> Result<()> {
    let ports = Ports::free()?;
    let daemon = Daemon::start(&ports.setup().handed(&ports.whole())).await?;
    ensure!(told(&daemon) == (4, 0), "{:?}:\n{}", told(&daemon), daemon.stderr());
    check_serves(&daemon, &ports).await?;
    daemon.stop().await?;
    // Named for one another, and without names.
    let renamed = |names: [&str; 4]| {
        let given = ports.whole().into_iter().zip(names);
        given
            .map(|(socket, name)| format!("{name}={}", socket.split_once('=').unwrap().1))
            .collect::<Vec<_>>()
    };
    for names in [["plain", "tls", "quic", "admin"], [""; 4]] {
        let daemon = Daemon::start(&ports.setup().handed(&renamed(names))).await?;
        ensure!(told(&daemon) == (4, 0), "{names:?} {:?}:\n{}", told(&daemon), daemon.stderr());
        check_serves(&daemon, &ports).await?;
        daemon.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_is_not_handed_down_it_binds_itself() -> Result<()> {
    let ports = Ports::free()?;
    for missing in 0..4 {
        let mut sockets = ports.whole().to_vec();
        let without = sockets.remove(missing);
        let daemon = Daemon::start(&ports.setup().handed(&sockets)).await?;
        ensure!(told(&daemon) == (3, 0), "without {without}: {:?}:\n{}", told(&daemon), daemon.stderr());
        check_serves(&daemon, &ports).await.with_context(|| format!("without {without}"))?;
        daemon.stop().await?;
    }
    let daemon = Daemon::start(&ports.setup().handed(&[])).await?;
    ensure!(told(&daemon) == (0, 0), "{}", daemon.stderr());
    check_serves(&daemon, &ports).await?;
    daemon.stop().await
}

/// The line that says why the one of this name is not used.
fn unused(daemon: &Daemon, name: &str, words: &[&str]) -> Result<()> {
    let said = daemon.stderr();
    let named = format!("({name})");
    let line = said.lines().find(|line| line.contains("is not used") && line.contains(&named));
    let line = line.with_context(|| format!("{name} is not told:\n{said}"))?;
    for word in words {
        ensure!(line.contains(word), "{word:?} is not in {line:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_fits_nothing_is_told_and_closed() -> Result<()> {
    let (ports, other) = (Ports::free()?, Ports::free()?);
    let (elsewhere, wide) = (other.tls + 1, other.plain + 1);
    let setup = Setup {
        listen: format!("tls = \"[::]:{}\"\nplain = [\"127.0.0.1:{wide}\"]\nhttp3 = false\n", ports.tls),
        ..ports.setup()
    };
    let daemon = Daemon::start(&setup.handed(&[
        format!("tls=tcp:[::]:{elsewhere}"),
        // It would let others in than the configuration says.
        format!("wide=tcp:0.0.0.0:{wide}"),
        format!("quic=udp:[::]:{}", ports.tls),
    ]))
    .await?;
    ensure!(told(&daemon) == (0, 3), "{:?}:\n{}", told(&daemon), daemon.stderr());
    unused(&daemon, "tls", &[&format!("TCP at [::]:{elsewhere}"), "ghostllm-tls.socket", "systemctl edit"])?;
    unused(&daemon, "wide", &["its socket unit"])?;
    unused(&daemon, "quic", &["UDP at", "ghostllm-quic.socket"])?;
    // Nobody else has it here, so that it would still take connections if the daemon had only put it aside.
    let refused = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], elsewhere)));
    ensure!(refused.is_err(), "it is still open");
    daemon.stop().await
}

#[tokio::test]
async fn one_that_others_could_share_or_that_does_not_listen_is_not_taken() -> Result<()> {
    let ports = Ports::free()?;
    let sockets =
        [format!("tls=reuseport:[::]:{}", ports.tls), format!("plain=silent:127.0.0.1:{}", ports.plain)];
    let daemon = Daemon::start(&ports.setup().handed(&sockets)).await?;
    ensure!(told(&daemon) == (0, 2), "{:?}:\n{}", told(&daemon), daemon.stderr());
    unused(&daemon, "tls", &["SO_REUSEPORT", "ReusePort=yes"])?;
    unused(&daemon, "plain", &["it does not listen"])?;
    check_serves(&daemon, &ports).await?;
    daemon.stop().await
}

#[tokio::test]
async fn one_of_a_single_family_is_served_and_the_other_is_missed() -> Result<()> {
    let ports = Ports::free()?;
    let six = [format!("tls=v6only:[::]:{}", ports.tls)];
    // Whoever has bound it holds the port, so that HTTP/3 is as it is wanted.
    let daemon = Daemon::start(&ports.setup().handed(&six)).await?;
    daemon.wait_status("degraded, without IPv4").await?;
    ensure!(daemon.stderr().contains("BindIPv6Only=both"), "{}", daemon.stderr());
    let caller = Caller::keyless(&daemon, Version::H2, Family::V6).await?;
    ensure!(caller.send(&Request::get("/healthz")).await?.status == 200, "IPv6");
    let four = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], ports.tls)));
    ensure!(four.is_err(), "it takes IPv4, so that this shows nothing");
    daemon.stop().await?;

    let four = [format!("tls=tcp:0.0.0.0:{}", ports.tls), format!("quic=udp:0.0.0.0:{}", ports.tls)];
    let daemon = Daemon::start(&ports.setup().handed(&four)).await?;
    daemon.wait_status("degraded, without IPv6").await?;
    for version in [Version::H1, Version::H3] {
        let caller = Caller::keyless(&daemon, version, Family::V4).await?;
        ensure!(caller.send(&Request::get("/healthz")).await?.status == 200, "{version:?}");
    }
    daemon.stop().await
}

#[tokio::test]
async fn a_kernel_without_ipv6_serves_what_it_is_handed() -> Result<()> {
    let ports = Ports::free()?;
    let four = [format!("tls=tcp:0.0.0.0:{}", ports.tls), format!("quic=udp:0.0.0.0:{}", ports.tls)];
    let mut setup = Setup {
        listen: format!("tls = \"[::]:{}\"\nplain = [\"127.0.0.1:0\"]\n", ports.tls),
        ..ports.setup()
    }
    .handed(&four);
    setup
        .prefix
        .extend(["python3".to_owned(), root().join("tests/support/without-ipv6.py").display().to_string()]);
    let daemon = Daemon::start(&setup).await?;
    ensure!(told(&daemon) == (2, 0), "{:?}:\n{}", told(&daemon), daemon.stderr());
    daemon.wait_status("degraded, without IPv6").await?;
    for version in [Version::H2, Version::H3] {
        let caller = Caller::keyless(&daemon, version, Family::V4).await?;
        ensure!(caller.send(&Request::get("/healthz")).await?.status == 200, "{version:?}");
    }
    daemon.stop().await
}
