//! Who is answered at all: near networks and private ones, and nobody else unless the owner says so.
//!
//! Public addresses are those that RFC 5737 and RFC 3849 keep for documentation.

use std::{io, net::SocketAddr, sync::Arc};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    client::PATIENCE,
    daemon::{Daemon, Setup},
    netns::Namespace,
    root,
};
use rustls::{ClientConfig, ClientConnection, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    process::Command,
    time::timeout,
};

use crate::{address, bare, check_served};

/// The daemon's box, a router beside it, and a box behind that router.
struct Neighbourhood {
    own: Namespace,
    near: Namespace,
    far: Namespace,
}

/// An address of the daemon's box, and the one that its caller has there.
type Way = (&'static str, &'static str);

/// From behind the router, with addresses that anyone in the world can have.
const FOREIGN: [Way; 2] = [("2001:db8:1::1", "2001:db8:f::2"), ("198.51.100.1", "203.0.113.2")];
/// From behind the router, with addresses that are nobody's beyond a site: ULA, RFC 1918, RFC 6598.
const PRIVATE: [Way; 3] =
    [("fd00:1::1", "fd00:f::2"), ("192.168.7.1", "10.9.9.2"), ("100.64.7.1", "100.64.9.2")];
/// From the router itself: public addresses, but on the same link.
const ON_LINK: [Way; 2] = [("2001:db8:1::1", "2001:db8:1::2"), ("198.51.100.1", "198.51.100.2")];

impl Neighbourhood {
    fn new() -> Result<Self> {
        let (own, near, far) = (Namespace::new()?, Namespace::new()?, Namespace::new()?);
        own.cable(
            (
                "eth0",
                &[
                    "fe80::1/64",
                    "2001:db8:1::1/64",
                    "fd00:1::1/64",
                    "198.51.100.1/24",
                    "192.168.7.1/24",
                    "100.64.7.1/24",
                ],
            ),
            &near,
            (
                "lan",
                &[
                    "fe80::2/64",
                    "2001:db8:1::2/64",
                    "fd00:1::2/64",
                    "198.51.100.2/24",
                    "192.168.7.2/24",
                    "100.64.7.2/24",
                ],
            ),
        )?;
        near.cable(
            ("wan", &["2001:db8:f::1/64", "fd00:f::1/64", "203.0.113.1/24", "10.9.9.1/24", "100.64.9.1/24"]),
            &far,
            ("eth0", &["2001:db8:f::2/64", "fd00:f::2/64", "203.0.113.2/24", "10.9.9.2/24", "100.64.9.2/24"]),
        )?;
        near.sysctl("net.ipv4.ip_forward", "1")?;
        near.sysctl("net.ipv6.conf.all.forwarding", "1")?;
        for (namespace, routes) in [
            (
                &own,
                ["default via 192.168.7.2", "default via fd00:1::2", "fd00:f::/64 via fd00:1::2"].as_slice(),
            ),
            (
                &far,
                &["198.51.100.1 via 203.0.113.1", "192.168.7.1 via 10.9.9.1", "100.64.7.1 via 100.64.9.1"],
            ),
            (&far, &["2001:db8:1::/64 via 2001:db8:f::1", "fd00:1::/64 via fd00:f::1"]),
        ] {
            for route in routes {
                namespace.ip(&format!("route add {route}"))?;
            }
        }
        Ok(Self { own, near, far })
    }
}

/// The test is about sources, so they had better be the ones that it means.
fn check_sources(from: &Namespace, ways: &[Way]) -> Result<()> {
    for (to, source) in ways {
        let seen = from.source(address(to))?;
        ensure!(seen == address(source).ip(), "who calls {to} calls from {seen}, not from {source}");
    }
    Ok(())
}

#[tokio::test]
async fn answers_near_and_private_sources() -> Result<()> {
    let network = Neighbourhood::new()?;
    check_sources(&network.far, &PRIVATE)?;
    check_sources(&network.near, &ON_LINK)?;
    let daemon = network.own.run(Daemon::start(&bare())).await?;
    for (to, _source) in PRIVATE {
        check_served(&network.far, &daemon, to).await?;
    }
    for (to, _source) in ON_LINK {
        check_served(&network.near, &daemon, to).await?;
    }
    // The interface's number; the first is loopback's.
    check_served(&network.near, &daemon, "fe80::1%2").await?;
    daemon.stop().await
}

#[tokio::test]
async fn drops_foreign_sources_before_tls() -> Result<()> {
    let network = Neighbourhood::new()?;
    check_sources(&network.far, &FOREIGN)?;
    let daemon = network.own.run(Daemon::start(&bare())).await?;
    for (to, source) in FOREIGN {
        let answer = network.far.run(tls_answer(SocketAddr::new(address(to).ip(), daemon.tls))).await?;
        ensure!(answer.is_empty(), "{source} got {} bytes: {answer:02x?}", answer.len());
    }
    // The same bytes from somebody else are answered with a handshake record.
    for (to, source) in ON_LINK {
        let answer = network.near.run(tls_answer(SocketAddr::new(address(to).ip(), daemon.tls))).await?;
        ensure!(answer.first() == Some(&0x16), "{source} got {answer:02x?}");
    }
    daemon.stop().await
}

#[tokio::test]
async fn gives_foreign_sources_no_quic_packet() -> Result<()> {
    let network = Neighbourhood::new()?;
    let daemon = network.own.run(Daemon::start(&bare())).await?;
    let port = daemon.quic.context("no HTTP/3")?;
    for ((to, source), (at, _neighbour)) in FOREIGN.into_iter().zip(ON_LINK) {
        for first in [unknown_version(), initial().await?] {
            let foreign = network.far.run(knock(SocketAddr::new(address(to).ip(), port), &first)).await?;
            // The daemon has only one UDP socket, and reads in turn: once the neighbour has its answer to the same packet,
            // and then to a whole request, the foreigner's would have been sent.
            let neighbour = network.near.run(knock(SocketAddr::new(address(at).ip(), port), &first)).await?;
            let mut answer = [0; 2048];
            let answered = timeout(PATIENCE, neighbour.recv(&mut answer)).await;
            answered.context("the neighbour's packet is not answered")??;
            check_served(&network.near, &daemon, at).await?;
            let seen = foreign.try_recv(&mut answer);
            let nothing = seen.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
            ensure!(nothing, "{source} got {seen:?}: {:02x?}", &answer[..16]);
        }
    }
    daemon.stop().await
}

#[tokio::test]
async fn answers_everyone_where_the_owner_says_so() -> Result<()> {
    let network = Neighbourhood::new()?;
    let listen = format!("{}exposure = \"everywhere\"\n", Setup::default().listen);
    let daemon = network.own.run(Daemon::start(&Setup { listen, ..bare() })).await?;
    ensure!(daemon.stderr().contains("listen.exposure is "), "it does not say it:\n{}", daemon.stderr());
    for (to, _source) in FOREIGN.into_iter().chain(PRIVATE) {
        check_served(&network.far, &daemon, to).await?;
    }
    daemon.stop().await
}

/// Sends a ClientHello, and reads what comes until the end or until there is something.
async fn tls_answer(to: SocketAddr) -> Result<Vec<u8>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let mut hello = Vec::new();
    ClientConnection::new(Arc::new(config), ServerName::try_from("localhost")?)?.write_tls(&mut hello)?;
    let mut stream = TcpStream::connect(to).await?;
    // A reset may be faster than the write; either way it is the end.
    let _ = stream.write_all(&hello).await;
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_buf(&mut answer)).await.context("neither an answer nor the end")?;
    Ok(answer)
}

async fn knock(to: SocketAddr, packet: &[u8]) -> Result<UdpSocket> {
    let any = if to.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(to).await?;
    socket.send(packet).await?;
    Ok(socket)
}

/// What asks for a Version Negotiation packet, which a server answers without any state (RFC 9000 section 6.1).
fn unknown_version() -> Vec<u8> {
    // Long header, a version that is reserved for this, two connection ids of eight bytes.
    let mut packet = vec![0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8, 1, 2, 3, 4, 5, 6, 7, 8, 8, 1, 2, 3, 4, 5, 6, 7, 8];
    packet.resize(1200, 0);
    packet
}

/// What asks for a connection.
async fn initial() -> Result<Vec<u8>> {
    let python = root().join(".tools/venv/bin/python");
    let run = Command::new(python).arg(root().join("tests/clients/first_packet.py")).output().await?;
    let text = String::from_utf8(run.stdout)?;
    let digits = text.trim().as_bytes().chunks(2);
    let packet: Vec<u8> =
        digits.map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?)).collect::<Result<_>>()?;
    ensure!(packet.len() >= 1200, "no Initial packet: {}", String::from_utf8_lossy(&run.stderr));
    Ok(packet)
}
