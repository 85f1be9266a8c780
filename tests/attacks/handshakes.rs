//! Five hundred handshakes at once that are half done and stay so, over QUIC and over TLS, and thousands over QUIC that fail at once.
//! Judged by the honest callers who are served beside them, by memory, and by how many are asked to prove their address.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use ghostllm_tests::client::{Caller, Version};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpStream, UdpSocket},
    time::{Instant, timeout},
};

use crate::support::{
    Place,
    h3::{self, Came, ask, control, get},
    honest::{Served, check_honest},
    mib,
    quic::half_open,
};

/// F-13 of the research on security, with the memory that it allows over QUIC.
const HANDSHAKES: usize = 500;
const GROWTH: u64 = 8 << 20;
/// Of TLS a handshake has a connection and a task, which would serve as well if it came to that; `handshakes` is their number.
const EACH: u64 = 40 << 10;
/// So many are begun at once, so that a socket's buffer holds their packets.
const ABREAST: usize = 25;
/// What honest callers ask for, at rest and beside them.
const ASKED: usize = 50;
/// `quic_retry_from`, as it is by default.
const RETRY_FROM: usize = 64;
const FAILING: usize = 3000;
/// Of those that fail at once nothing is kept: less than a kB each.
const KEPT: u64 = 3 << 20;
/// An answer to a first packet, and an honest request over HTTP/3, come within this.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends a first packet and waits for what comes; whether that asks for a proof.
async fn begin(socket: &UdpSocket, datagram: &[u8]) -> Result<bool> {
    socket.send(datagram).await?;
    let mut buffer = vec![0; 2000];
    timeout(PATIENCE, socket.recv(&mut buffer)).await.context("a first packet is not answered")??;
    // A Retry's type stands in the first byte (RFC 9000 section 17.2.5).
    Ok(buffer[0] & 0xf0 == 0xf0)
}

/// The same for all of them, a few at a time; how many are asked for a proof.
async fn begin_all(half: &[(UdpSocket, Vec<u8>)]) -> Result<usize> {
    let begun = stream::iter(half).map(|(socket, datagram)| begin(socket, datagram));
    let asked: Vec<bool> = begun.buffer_unordered(ABREAST).try_collect().await?;
    Ok(asked.into_iter().filter(|asked| *asked).count())
}

/// How long honest requests over HTTP/3 take, each on a connection of its own.
async fn honest_h3(caller: &Caller) -> Result<Duration> {
    let mut longest = Duration::ZERO;
    for _ in 0..ASKED {
        let begun = Instant::now();
        let quic = h3::dial(caller).await?;
        let _control = control(&quic).await?;
        let came = ask(&quic, &get("/healthz")).await?;
        ensure!(came == Came::Answer(200), "an honest caller gets {came:?}");
        longest = longest.max(begun.elapsed());
    }
    Ok(longest)
}

#[tokio::test]
async fn serves_honest_callers_beside_quic_handshakes_that_stay_half_done() -> Result<()> {
    let place = Place::new("handshake = \"1h\"").await?;
    let (h1, h3) = (place.caller(Version::H1).await?, place.caller(Version::H3).await?);
    let rest = (Served::times(&h1, ASKED).await?, honest_h3(&h3).await?);
    let before = place.growth()?;
    let half = half_open(&h3, b"h3", HANDSHAKES).await?;
    let asked = begin_all(&half).await?;
    let beside = (Served::times(&h1, ASKED).await?, honest_h3(&h3).await?);
    let growth = place.growth()?.saturating_sub(before);
    println!(
        "{HANDSHAKES} QUIC handshakes half done, {asked} asked for a proof; memory grew by {}; honest requests: HTTP/1.1 p99 \
         {:.1?}, {:.1?} at rest; HTTP/3 longest {:.1?}, {:.1?} at rest",
        mib(growth),
        beside.0.p99(),
        rest.0.p99(),
        beside.1,
        rest.1
    );
    check_honest(rest.0.p99(), beside.0.p99())?;
    check_honest(rest.1, beside.1)?;
    ensure!(asked == HANDSHAKES - RETRY_FROM, "{asked} were asked for a proof");
    ensure!(growth <= GROWTH, "memory grew by {}", mib(growth));
    place.end().await
}

/// They ask for a protocol that is not spoken here.
#[tokio::test]
async fn keeps_nothing_of_quic_handshakes_that_fail_at_once() -> Result<()> {
    let place = Place::new("").await?;
    let (h1, h3) = (place.caller(Version::H1).await?, place.caller(Version::H3).await?);
    let rest = (Served::times(&h1, ASKED).await?, honest_h3(&h3).await?);
    let before = place.growth()?;
    let flood = async {
        let (began, mut asked) = (Instant::now(), 0);
        for _ in 0..FAILING / ABREAST {
            let half = half_open(&h3, b"none of ours", ABREAST).await?;
            asked += begin_all(&half).await?;
        }
        Ok((asked, began.elapsed()))
    };
    let ((asked, taken), beside) = Served::beside(&h1, flood).await?;
    let beside = (beside, honest_h3(&h3).await?);
    let growth = place.growth()?.saturating_sub(before);
    println!(
        "{FAILING} QUIC handshakes that fail at once, within {taken:.1?}, {asked} asked for a proof; memory grew by {}; honest \
         requests: HTTP/1.1 p99 {:.1?}, {:.1?} at rest; HTTP/3 longest {:.1?}, {:.1?} at rest",
        mib(growth),
        beside.0.p99(),
        rest.0.p99(),
        beside.1,
        rest.1
    );
    check_honest(rest.0.p99(), beside.0.p99())?;
    check_honest(rest.1, beside.1)?;
    ensure!(growth <= KEPT, "memory grew by {}", mib(growth));
    place.end().await
}

#[tokio::test]
async fn serves_honest_callers_beside_tls_handshakes_that_stay_half_done() -> Result<()> {
    let place = Place::new("handshake = \"1h\"").await?;
    let h1 = place.caller(Version::H1).await?;
    let rest = Served::times(&h1, ASKED).await?;
    let before = place.growth()?;
    let address = h1.address();
    let half = stream::iter(0..HANDSHAKES).map(|_| async move {
        let mut wire = TcpStream::connect(address).await?;
        wire.write_all(b"\x16\x03\x01\x02\x00\x01").await?;
        anyhow::Ok(wire)
    });
    let half: Vec<TcpStream> = half.buffer_unordered(ABREAST).try_collect().await?;
    let beside = Served::times(&h1, ASKED).await?;
    place.check_served().await?;
    let growth = place.growth()?.saturating_sub(before);
    println!(
        "{} TLS handshakes half done; memory grew by {}; {} kB each; honest requests: p99 {:.1?}, {:.1?} at rest",
        half.len(),
        mib(growth),
        growth / 1000 / HANDSHAKES as u64,
        beside.p99(),
        rest.p99()
    );
    check_honest(rest.p99(), beside.p99())?;
    ensure!(growth <= EACH * HANDSHAKES as u64, "memory grew by {}", mib(growth));
    for wire in &half {
        let mut nothing = [0; 1];
        let open = matches!(wire.try_read(&mut nothing), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock);
        ensure!(open, "a handshake was given up");
    }
    place.end().await
}
