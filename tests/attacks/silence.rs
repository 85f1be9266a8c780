//! Peers that open a connection and do not go on: nothing at all, half a ClientHello, half a preface, half a head. Judged by
//! the time until they are closed.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::client::{Caller, Version};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::Place;

/// A silent peer is closed within 5 s, and half a second for a busy machine (S2 of the research on security); a head that has
/// begun has 10 s.
const SILENT: Duration = Duration::from_millis(5500);
const HEAD: Duration = Duration::from_millis(10_500);

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
    Ok(())
}

async fn tls(caller: &Caller, bytes: &[u8]) -> Result<Duration> {
    closed_after(caller.dial().await?.wire, bytes).await
}

#[tokio::test]
async fn closes_who_says_nothing_and_who_stops_half_way() -> Result<()> {
    let place = Place::new("").await?;
    let (h1, h2) = (place.caller(Version::H1).await?, place.caller(Version::H2).await?);
    let (over_tls, plain) = (h1.address(), place.daemon.plain(false)?);
    let tcp = |address, bytes: &'static [u8]| async move {
        closed_after(TcpStream::connect(address).await?, bytes).await
    };
    // A record of 512 bytes is announced, and one byte of a ClientHello comes.
    let half_hello = b"\x16\x03\x01\x02\x00\x01";
    let half_head = b"GET / HTTP/1.1\r\nHost: localhost\r\n";
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
        check("HTTP/2, no SETTINGS", tls(&h2, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), SILENT),
    )?;
    place.end().await
}
