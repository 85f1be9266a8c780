//! Peers that open a connection and do not go on: nothing at all, half a ClientHello, half a preface, half a head, half a QUIC
//! handshake, a whole one and no request. Judged by the time until they are closed, and by what is open then, which is nothing.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use ghostllm_tests::client::{Caller, VERSIONS, Version};
use quinn::ConnectionError;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::{sleep, timeout},
};

use crate::support::{
    Place, h2,
    h3::{self, CONTROL, NO_ERROR, SETTINGS, closed, control, get, one_way, varint},
    quic::{Groups, first_flight},
};

/// A silent peer is closed within 5 s, and half a second for a busy machine (S2 of the research on security); a head that has
/// begun has 10 s.
const SILENT: Duration = Duration::from_millis(5500);
const HEAD: Duration = Duration::from_millis(10_500);
/// Nobody is closed sooner: a client that is honest may be slow.
const FAIR: Duration = Duration::from_secs(4);
/// Honest callers of HTTP/3 are processes that may end without a word, and are forgotten before the last silent peer is closed.
const LIMITS: &str = "quic_idle = \"6s\"";
/// Whoever was refused tries again so much later.
const AGAIN: Duration = Duration::from_millis(100);

/// Sends this much, and waits until the peer closes.
async fn closed_after(mut wire: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> Result<Duration> {
    wire.write_all(bytes).await?;
    wire.flush().await?;
    let begun = Instant::now();
    let mut said = Vec::new();
    // Whether it says something, or resets, is its own affair.
    let _ended = timeout(2 * HEAD, wire.read_to_end(&mut said)).await.context("it is never closed")?;
    Ok(begun.elapsed())
}

async fn check(what: &str, closed: impl Future<Output = Result<Duration>>, most: Duration) -> Result<()> {
    let taken = closed.await.with_context(|| what.to_owned())?;
    println!("{what}: closed after {taken:.2?}");
    ensure!(taken <= most, "{what} is closed after {taken:?} only");
    ensure!(taken >= FAIR, "{what} is closed after {taken:?} already");
    Ok(())
}

async fn tls(caller: &Caller, bytes: &[u8]) -> Result<Duration> {
    closed_after(caller.dial().await?.wire, bytes).await
}

/// What a QUIC connection does before it falls silent.
#[derive(Debug, Clone, Copy)]
enum Opens {
    Nothing,
    HalfAControlStream,
    AControlStream,
    HalfAHead,
}

/// Until HTTP/3 closes it without an error.
async fn quic(caller: &Caller, opens: Opens) -> Result<Duration> {
    let quic = h3::dial(caller).await?;
    let begun = Instant::now();
    let mut held = Vec::new();
    match opens {
        Opens::Nothing => {}
        Opens::HalfAControlStream => held.push(one_way(&quic, CONTROL, &varint(SETTINGS)).await?),
        Opens::AControlStream => held.push(control(&quic).await?),
        Opens::HalfAHead => {
            held.push(control(&quic).await?);
            let (mut send, _recv) = quic.open_bi().await?;
            let head = get("/healthz");
            send.write_all(&head[..head.len() - 1]).await?;
            held.push(send);
        }
    }
    let code = closed(&quic).await?;
    ensure!(code == NO_ERROR, "closed with {code:#x}");
    Ok(begun.elapsed())
}

#[tokio::test]
async fn closes_who_says_nothing_and_who_stops_half_way() -> Result<()> {
    // Beside one that meets nobody but the same honest callers, whose connections it holds as long.
    let (place, other) = tokio::try_join!(Place::new(LIMITS), Place::new(LIMITS))?;
    for version in VERSIONS {
        other.caller(version).await?;
    }
    let (h1, h2) = (place.caller(Version::H1).await?, place.caller(Version::H2).await?);
    let h3 = place.caller(Version::H3).await?;
    let (over_tls, plain) = (h1.address(), place.daemon.plain(false)?);
    let tcp = |address, bytes: &'static [u8]| async move {
        closed_after(TcpStream::connect(address).await?, bytes).await
    };
    // A record of 512 bytes is announced, and one byte of a ClientHello comes.
    let half_hello = b"\x16\x03\x01\x02\x00\x01";
    let half_head = b"GET / HTTP/1.1\r\nHost: localhost\r\n";
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settings = [&preface[..], &h2::frame(h2::SETTINGS, 0, 0, &[])].concat();
    // All at once: what they have in common is waiting.
    tokio::try_join!(
        check("TLS port, nothing", tcp(over_tls, b""), SILENT),
        check("TLS port, half a ClientHello", tcp(over_tls, half_hello), SILENT),
        check("plain port, nothing", tcp(plain, b""), SILENT),
        check("plain port, half a head", tcp(plain, half_head), HEAD),
        check("HTTP/1.1 over TLS, nothing", tls(&h1, b""), SILENT),
        check("HTTP/1.1 over TLS, half a head", tls(&h1, half_head), HEAD),
        check("HTTP/2, nothing", tls(&h2, b""), SILENT),
        check("HTTP/2, half a preface", tls(&h2, b"PRI * HTTP/2"), SILENT),
        check("HTTP/2, no SETTINGS", tls(&h2, preface), SILENT),
        check("HTTP/2, SETTINGS and no request", tls(&h2, &settings), SILENT),
        check("HTTP/3, a handshake and nothing", quic(&h3, Opens::Nothing), SILENT),
        check("HTTP/3, half a control stream", quic(&h3, Opens::HalfAControlStream), SILENT),
        check("HTTP/3, a control stream and no request", quic(&h3, Opens::AControlStream), SILENT),
        check("HTTP/3, half a head", quic(&h3, Opens::HalfAHead), HEAD),
    )?;
    let (left, honest) = (open_at_the_end(place).await?, open_at_the_end(other).await?);
    println!("{left} connections are open then; {honest} where nobody was silent");
    ensure!(left == honest, "{left} connections are open");
    Ok(())
}

/// How many connections are open as the daemon is told to stop, by its log.
async fn open_at_the_end(place: Place) -> Result<usize> {
    let Place { daemon, .. } = place;
    daemon.terminate()?;
    let ended = daemon.wait().await?;
    ensure!(ended.code == Some(0) && !ended.stderr.contains("panicked at"), "{ended:?}");
    let line = ended.stderr.lines().find(|line| line.contains("stopping: ")).context("no word of it")?;
    let line: serde_json::Value = serde_json::from_str(line)?;
    let count = line["connections"].as_u64().with_context(|| format!("no number of connections: {line}"))?;
    Ok(usize::try_from(count)?)
}

/// Where one handshake may wait, whoever comes beside it is refused until it is given up.
#[tokio::test]
async fn gives_up_half_a_quic_handshake() -> Result<()> {
    let place = Place::new("quic_incoming = 1").await?;
    let caller = place.caller(Version::H3).await?;
    let [initial] = &first_flight(&caller, Groups::X25519).await?[..] else { bail!("several datagrams") };
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    silent.send_to(initial, caller.address()).await?;
    let (begun, mut refused) = (Instant::now(), 0);
    while let Err(error) = h3::dial(&caller).await {
        let refusal = matches!(error.downcast_ref(), Some(ConnectionError::ConnectionClosed(_)));
        ensure!(refusal && begun.elapsed() < HEAD, "after {:?}: {error:#}", begun.elapsed());
        refused += 1;
        sleep(AGAIN).await;
    }
    println!("{refused} others are refused meanwhile");
    check("an Initial and nothing more", async { Ok(begun.elapsed()) }, SILENT).await?;
    place.end().await
}
