//! Readers who ask for an answer without an end and take nothing of it, or a trickle.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use ghostllm_tests::client::{Caller, Request, VERSIONS, Version};
use quinn::{Connection, TransportConfig};
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::support::{
    Place,
    h2::{self, END_HEADERS, END_STREAM, SETTINGS, WINDOW_UPDATE},
    h3, mib,
    torrent::{self, Torrent},
};

/// Streams that nobody reads, half of them behind no window at all where a version has one.
const STREAMS: usize = 200;
/// Of a connection of HTTP/2 or 3, by default.
pub(super) const OF_A_CONNECTION: usize = 100;
/// A stream may cost so much memory (F-04 of the research on security): `backend_read_ahead`, and `h2_send_buffer` or a share of
/// `quic_send_window` or what TLS and hyper hold of HTTP/1.1, are 64 KiB each, and the same again is room.
const EACH: u64 = 300 << 10;
/// The engine may get rid of so much for each: what the daemon holds, `tcp_unsent`, and what the kernel takes from the engine before
/// its window is full. Without `tcp_unsent` it was 5.8 MB.
const SENT: u64 = 2 << 20;
/// `write_idle`, so that a test need not wait for it.
const IDLE: Duration = Duration::from_secs(6);
/// All are ended by then: HTTP/2 and 3 look after their readers every half of the limit; the rest is a busy machine's.
const ENDED: Duration = Duration::from_secs(16);
/// A trickle comes this often.
const TRICKLE: Duration = Duration::from_millis(200);

pub(super) fn body() -> Vec<u8> {
    let model = torrent::MODEL;
    format!(r#"{{"model":"{model}","stream":true,"messages":[{{"role":"user","content":"Hello"}}]}}"#)
        .into_bytes()
}

/// An honest caller has a whole answer on every version; how long the three took together.
async fn honest(place: &Place) -> Result<Duration> {
    let begun = Instant::now();
    for version in VERSIONS {
        let answer = place.caller(version).await?.send(&Request::chat("tiny", "Hello", true)).await?;
        ensure!(answer.status == 200 && answer.text().contains("[DONE]"), "{version:?}: {}", answer.text());
    }
    Ok(begun.elapsed())
}

/// Whoever holds the streams.
#[derive(Default)]
pub(super) struct Held {
    /// Dropped, they close.
    pub(super) tasks: JoinSet<Result<()>>,
    /// Set when who trickles must stop.
    pub(super) dry: Arc<AtomicBool>,
    /// Set when who reads must stop.
    pub(super) sated: watch::Sender<bool>,
}

/// Waits until so many answers are left.
async fn until_ended(what: &str, torrent: &Torrent, count: usize) -> Result<()> {
    let ended = async {
        while torrent.ended() < count {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(ENDED, ended).await.with_context(|| format!("{what}: only {} are ended", torrent.ended()))
}

async fn judge(what: &str, hold: impl AsyncFnOnce(&Place) -> Result<Held>) -> Result<()> {
    let torrent = Torrent::start().await?;
    let place = Place::beside("write_idle = \"6s\"", torrent.address).await?;
    honest(&place).await?;
    let (rest, begun) = (place.growth()?, Instant::now());
    let held = hold(&place).await?;
    let all = async {
        while torrent.begun() < STREAMS {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(ENDED, all).await.with_context(|| format!("{what}: {} were asked for", torrent.begun()))?;
    let asked = begun.elapsed();
    // Until the engine is held up.
    let mut sent = 0;
    while torrent.sent() > sent + (1 << 20) {
        sent = torrent.sent();
        sleep(Duration::from_millis(400)).await;
    }
    let (standing, sent, growth) =
        (STREAMS - torrent.ended(), torrent.sent(), place.growth()?.saturating_sub(rest));
    let beside = honest(&place).await?;
    println!(
        "{what}: {STREAMS} asked for within {asked:.1?}, {standing} stand; memory has grown by {}, {} kB each; the engine has \
         sent {} kB for each; three honest answers beside them: {beside:.1?}",
        mib(growth),
        growth / 1000 / STREAMS as u64,
        sent / 1000 / STREAMS as u64
    );
    ensure!(growth <= EACH * STREAMS as u64, "{what}: memory has grown by {}", mib(growth));
    ensure!(sent <= SENT * STREAMS as u64, "{what}: the engine has sent {}", mib(sent));
    until_ended(what, &torrent, STREAMS / 2).await?;
    let first = begun.elapsed();
    held.dry.store(true, Relaxed);
    until_ended(what, &torrent, STREAMS).await?;
    println!(
        "{what}: half are ended {first:.1?} after the first was asked for, the others {:.1?} after their trickle",
        begun.elapsed() - first
    );
    ensure!(first <= asked + ENDED, "{what}: half are ended after {first:?} only");
    ensure!(first >= IDLE, "{what}: they were ended before `write_idle`");
    ensure!(
        place.growth()?.saturating_sub(rest) <= EACH * STREAMS as u64,
        "{what}: memory has grown by {}",
        mib(place.growth()?.saturating_sub(rest))
    );
    drop(held);
    honest(&place).await?;
    place.end().await
}

#[tokio::test]
async fn http_1_1_readers_hold_little_and_are_ended() -> Result<()> {
    judge("HTTP/1.1 over TLS", async |place| {
        let caller = place.caller(Version::H1).await?;
        let request = h1_asks(place.daemon.key.as_deref().context("no key")?);
        let mut held = Held::default();
        for half in 0..2 {
            for _ in 0..STREAMS / 2 / 20 {
                let dialled = try_join_all((0..20).map(|_| caller.dial())).await?;
                for mut dialled in dialled {
                    SockRef::from(&dialled.socket).set_recv_buffer_size(4096)?;
                    dialled.wire.write_all(&request).await?;
                    let dry = Arc::clone(&held.dry);
                    held.tasks.spawn(async move {
                        while half == 0 && !dry.load(Relaxed) {
                            sleep(TRICKLE).await;
                            dialled.wire.read_exact(&mut [0; 100]).await?;
                        }
                        std::future::pending().await
                    });
                }
            }
        }
        Ok(held)
    })
    .await
}

/// The client's streams on a connection of HTTP/2.
fn h2_streams() -> impl Iterator<Item = u32> {
    (0..OF_A_CONNECTION).map(|nth| u32::try_from(2 * nth + 1).unwrap_or(u32::MAX))
}

/// The frames that open every window by a little.
fn h2_trickle() -> Vec<u8> {
    let streams = h2_streams().map(|stream| (stream, 100)).chain([(0, 100 * OF_A_CONNECTION)]);
    let more = |size: usize| u32::try_from(size).unwrap_or(u32::MAX).to_be_bytes();
    streams.flat_map(|(stream, size)| h2::frame(WINDOW_UPDATE, 0, stream, &more(size))).collect()
}

/// The request of a connection that speaks HTTP/1.1.
pub(super) fn h1_asks(key: &str) -> Vec<u8> {
    let body = body();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Authorization: Bearer {key}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}

/// The frames that ask on every stream.
pub(super) fn h2_asks(key: &str) -> Vec<u8> {
    let (section, body) = (h2::chat(key), body());
    h2_streams()
        .flat_map(|stream| {
            [
                h2::frame(h2::HEADERS, END_HEADERS, stream, &section),
                h2::frame(h2::DATA, END_STREAM, stream, &body),
            ]
        })
        .flatten()
        .collect()
}

#[tokio::test]
async fn http_2_readers_hold_little_and_are_ended() -> Result<()> {
    judge("HTTP/2", async |place| {
        let caller = place.caller(Version::H2).await?;
        let asks = h2_asks(place.daemon.key.as_deref().context("no key")?);
        let mut held = Held::default();
        // SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113 section 6.5.2): no window at all, and 64 KiB for a connection of one who
        // opens them by a trickle.
        for window in [0_u32, 65_535] {
            let settings = [&[0, 4][..], &window.to_be_bytes()].concat();
            let mut wire = caller.dial().await?.wire;
            wire.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
            wire.write_all(&h2::frame(SETTINGS, 0, 0, &settings)).await?;
            wire.write_all(&asks).await?;
            wire.flush().await?;
            let (dry, trickle) = (Arc::clone(&held.dry), h2_trickle());
            held.tasks.spawn(async move {
                // What comes is read, or the connection itself would be held up; the streams' windows stay shut.
                let mut bytes = vec![0; 64 << 10];
                loop {
                    tokio::select! {
                        count = wire.read(&mut bytes) => ensure!(count? > 0, "closed"),
                        () = sleep(TRICKLE), if window > 0 && !dry.load(Relaxed) => {
                            wire.write_all(&trickle).await?;
                            wire.flush().await?;
                        }
                    }
                }
            });
        }
        Ok(held)
    })
    .await
}

/// A connection of HTTP/3 whose streams have such a window.
pub(super) async fn h3_dial(caller: &Caller, window: u32) -> Result<Connection> {
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(window.into());
    h3::dial_with(caller, transport).await
}

/// All the streams that it may have ask.
pub(super) async fn h3_reader(quic: Connection, key: &str, trickles: bool, held: &mut Held) -> Result<()> {
    let control = h3::control(&quic).await?;
    let asks = [h3::chat(Some(key)), h3::frame(h3::DATA, &body())].concat();
    let mut answers = Vec::new();
    for _ in 0..OF_A_CONNECTION {
        let (mut send, recv) = quic.open_bi().await?;
        send.write_all(&asks).await?;
        send.finish()?;
        answers.push(recv);
    }
    let dry = Arc::clone(&held.dry);
    held.tasks.spawn(async move {
        let _open = (quic, control);
        while trickles && !dry.load(Relaxed) {
            sleep(TRICKLE).await;
            for answer in &mut answers {
                answer.read_exact(&mut [0; 10]).await?;
            }
        }
        std::future::pending().await
    });
    Ok(())
}

#[tokio::test]
async fn http_3_readers_hold_little_and_are_ended() -> Result<()> {
    judge("HTTP/3", async |place| {
        let caller = place.caller(Version::H3).await?;
        let key = place.daemon.key.as_deref().context("no key")?;
        let mut held = Held::default();
        // Without any window our SETTINGS could not leave either, and the connection would be given up as no HTTP/3.
        h3_reader(h3_dial(&caller, 100).await?, key, false, &mut held).await?;
        h3_reader(h3_dial(&caller, 1000).await?, key, true, &mut held).await?;
        Ok(held)
    })
    .await
}
