//! Heads and bodies that come a byte at a time, or stop.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use ghostllm_tests::{
    client::{Caller, Version},
    script::Sin,
};
use quinn::{RecvStream, SendStream};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::support::{
    Place,
    h2::{self, CONTINUATION, END_HEADERS, END_STREAM, GOAWAY, RST_STREAM},
    h3, status,
};

/// A byte comes this often.
const EVERY: Duration = Duration::from_millis(20);
/// How long an end may take, to be seen at all.
const PATIENCE: Duration = Duration::from_secs(20);
/// What a busy machine may add to a limit.
const ROOM: Duration = Duration::from_millis(2500);
/// The limits, so that a test need not wait.
const LIMITS: &str = "header_read = \"1s\"\nkeep_alive_idle = \"1500ms\"\nh2_ping = \"1s\"\nh2_linger = \"100ms\"\n\
                      body_idle = \"1s\"\nbody_rate_window = \"1s\"";

/// What a peer does, and what comes of it.
struct Slow {
    after: Duration,
    said: Vec<u8>,
}

/// Sends `first`, then `byte` again and again, or nothing at all, until the other side closes, or has said `last`.
async fn dribble(
    wire: impl AsyncRead + AsyncWrite,
    first: &[u8],
    byte: Option<&[u8]>,
    last: Option<&str>,
) -> Result<Slow> {
    let (mut reading, mut writing) = tokio::io::split(wire);
    writing.write_all(first).await?;
    writing.flush().await?;
    let (begun, mut said) = (Instant::now(), Vec::new());
    let send = async {
        while let Some(byte) = byte {
            sleep(EVERY).await;
            if writing.write_all(byte).await.is_err() || writing.flush().await.is_err() {
                break;
            }
        }
        // The other side has the last word.
        std::future::pending::<()>().await;
    };
    let listen = async {
        // Whether it closes or resets is its own affair.
        while reading.read_buf(&mut said).await.is_ok_and(|count| count > 0) {
            if last.is_some_and(|last| read(&said).contains(last)) {
                break;
            }
        }
    };
    tokio::select! {
        () = send => {}
        ended = timeout(PATIENCE, listen) => ended.context("it is never ended")?,
    }
    Ok(Slow { after: begun.elapsed(), said })
}

/// Ends may come from the limit on, and until what a busy machine adds to it.
async fn check(
    what: &str,
    limit: Duration,
    slow: impl Future<Output = Result<Slow>>,
    said: &str,
) -> Result<()> {
    let slow = slow.await.with_context(|| what.to_owned())?;
    let read = read(&slow.said);
    println!("{what}: ended after {:.2?}, {read}", slow.after);
    ensure!(slow.after <= limit + ROOM, "{what}: ended after {:?} only", slow.after);
    ensure!(slow.after + EVERY >= limit, "{what}: ended after {:?} already", slow.after);
    ensure!(read.contains(said), "{what}: {read}");
    Ok(())
}

/// What a server has said, in words.
fn read(said: &[u8]) -> String {
    if let Some(line) = said.strip_prefix(b"HTTP/1.1 ") {
        return String::from_utf8_lossy(&line[..3]).into_owned();
    }
    let mut words = Vec::new();
    let mut rest = said;
    while let Some((head, behind)) = rest.split_at_checked(9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let Some((payload, behind)) = behind.split_at_checked(length as usize) else { break };
        rest = behind;
        match head[3] {
            h2::HEADERS => words.push(status::find(payload).map_or("?".into(), |status| status.to_string())),
            RST_STREAM => words.push(format!("RST_STREAM {}", payload[3])),
            GOAWAY => words.push(format!("GOAWAY {}", payload[7])),
            _ => {}
        }
    }
    if words.is_empty() { "closed".into() } else { words.join(", ") }
}

async fn tls(caller: &Caller, first: &[u8], byte: Option<&[u8]>) -> Result<Slow> {
    dribble(caller.dial().await?.wire, first, byte, None).await
}

/// The same until this is said: over HTTP/2 an answer does not end its connection.
async fn until(last: &str, caller: &Caller, first: &[u8], byte: Option<&[u8]>) -> Result<Slow> {
    dribble(caller.dial().await?.wire, first, byte, Some(last)).await
}

async fn plain(place: &Place, first: &[u8], byte: Option<&[u8]>) -> Result<Slow> {
    dribble(TcpStream::connect(place.daemon.plain(false)?).await?, first, byte, None).await
}

/// A client's first bytes, and these frames.
fn h2_says(frames: &[u8]) -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &h2::frame(h2::SETTINGS, 0, 0, &[])[..], frames].concat()
}

/// The head of a HEADERS frame of 16 KiB, of which one byte at a time will come.
fn h2_head(stream: u32) -> Vec<u8> {
    h2::frame(h2::HEADERS, END_STREAM | END_HEADERS, stream, &[0; 16384])[..9].to_vec()
}

/// A GET of what anyone may ask for.
fn h2_get() -> Vec<u8> {
    let get = [(":method", "GET"), (":scheme", "https"), (":path", "/healthz"), (":authority", "localhost")];
    h2::frame(h2::HEADERS, END_STREAM | END_HEADERS, 1, &h2::fields(&get))
}

/// The same over HTTP/3, where the stream is reset and the connection goes on.
async fn quic(caller: &Caller, first: Vec<u8>, byte: Option<&'static [u8]>) -> Result<(Slow, h3::Came)> {
    let quic = h3::dial(caller).await?;
    let _control = h3::control(&quic).await?;
    let (mut send, mut recv): (SendStream, RecvStream) = quic.open_bi().await?;
    send.write_all(&first).await?;
    let begun = Instant::now();
    let drip = async {
        while let Some(byte) = byte {
            sleep(EVERY).await;
            if send.write_all(byte).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let came = tokio::select! {
        () = drip => bail!("it has no end"),
        came = h3::came(&mut recv) => came?,
    };
    let slow = Slow { after: begun.elapsed(), said: Vec::new() };
    let beside = h3::ask(&quic, &h3::get("/healthz")).await?;
    ensure!(beside == h3::Came::Answer(200), "its connection serves nobody any more: {beside:?}");
    Ok((slow, came))
}

async fn check_quic(
    what: &str,
    limit: Duration,
    slow: impl Future<Output = Result<(Slow, h3::Came)>>,
    wanted: h3::Came,
) -> Result<()> {
    let (slow, came) = slow.await.with_context(|| what.to_owned())?;
    ensure!(came == wanted, "{what}: {came:?}");
    check(&format!("{what}: {came:?}"), limit, async { Ok(slow) }, "closed").await
}

#[tokio::test]
async fn ends_heads_that_come_a_byte_at_a_time() -> Result<()> {
    let place = Place::new(LIMITS).await?;
    place.double.misbehave("tiny", Sin::HangBeforeHeaders);
    let key = place.daemon.key.clone().context("no key")?;
    let (h1, h2) = (place.caller(Version::H1).await?, place.caller(Version::H2).await?);
    let h3 = place.caller(Version::H3).await?;
    let seconds = Duration::from_secs_f64;
    let head = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ";
    let first = h2_says(&h2_head(1));
    let next = h2_says(&[h2_get(), h2_head(3)].concat());
    let body = h2::frame(h2::DATA, END_STREAM, 1, BODY);
    let during =
        h2_says(&[h2::frame(h2::HEADERS, END_HEADERS, 1, &h2::chat(&key)), body, h2_head(3)].concat());
    let continued = h2_says(&h2::frame(h2::HEADERS, END_STREAM, 1, &h2::chat(&key)));
    // A name of one byte that is never indexed, with an empty value.
    let more = h2::frame(CONTINUATION, 0, 1, &[0x10, 1, b'x', 0]);
    let h3_head = h3::announced(h3::HEADERS, 16_000);
    let rejected = h3::Came::Reset(h3::REQUEST_REJECTED);
    let byte: Option<&[u8]> = Some(b"a");
    tokio::try_join!(
        check("HTTP/1.1, plain", seconds(1.0), plain(&place, head, byte), "closed"),
        check("HTTP/1.1, TLS", seconds(1.0), tls(&h1, head, byte), "closed"),
        check("HTTP/2, HEADERS, the first request", seconds(1.0), tls(&h2, &first, byte), "GOAWAY 0"),
        check("HTTP/2, HEADERS, a later request", seconds(1.5), tls(&h2, &next, byte), "GOAWAY 0"),
        // It cannot acknowledge a PING in the middle of a frame: asked after `h2_ping`, it is given up after as long.
        check("HTTP/2, HEADERS beside a request", seconds(1.9), tls(&h2, &during, byte), "GOAWAY 0"),
        // Frames of a section have a number: no time is waited for.
        check("HTTP/2, CONTINUATION", Duration::ZERO, tls(&h2, &continued, Some(&more)), "GOAWAY 11"),
        check_quic("HTTP/3, HEADERS", seconds(1.0), quic(&h3, h3_head, Some(b" ")), rejected),
    )?;
    place.end().await
}

const BODY: &[u8] = br#"{"model":"tiny","stream":true,"messages":[{"role":"user","content":"Hello"}]}"#;

#[tokio::test]
async fn ends_bodies_that_drip_or_stop() -> Result<()> {
    let place = Place::new(LIMITS).await?;
    let key = place.daemon.key.clone().context("no key")?;
    let (h1, h2) = (place.caller(Version::H1).await?, place.caller(Version::H2).await?);
    let h3 = place.caller(Version::H3).await?;
    let second = Duration::from_secs(1);
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Authorization: Bearer {key}\r\nContent-Length: 100000\r\n\r\n{{"
    );
    let head = head.as_bytes();
    let h2_head = h2_says(&h2::frame(h2::HEADERS, END_HEADERS, 1, &h2::chat(&key)));
    let h2_drop = h2::frame(h2::DATA, 0, 1, b" ");
    let h3_head = [h3::chat(Some(&key)), h3::announced(h3::DATA, 100_000)].concat();
    let answer = h3::Came::Answer(408);
    let drip: Option<&[u8]> = Some(b" ");
    tokio::try_join!(
        check("HTTP/1.1, plain, a drip", second, plain(&place, head, drip), "408"),
        check("HTTP/1.1, plain, silence", second, plain(&place, head, None), "408"),
        check("HTTP/1.1, TLS, a drip", second, tls(&h1, head, drip), "408"),
        check("HTTP/1.1, TLS, silence", second, tls(&h1, head, None), "408"),
        check("HTTP/2, a drip", second, until("408", &h2, &h2_head, Some(&h2_drop)), "408"),
        check("HTTP/2, silence", second, until("408", &h2, &h2_head, None), "408"),
        check_quic("HTTP/3, a drip", second, quic(&h3, h3_head.clone(), Some(b" ")), answer),
        check_quic("HTTP/3, silence", second, quic(&h3, h3_head.clone(), None), answer),
    )?;
    ensure!(place.chats() == 0, "the engine saw half a request");
    place.end().await
}

/// Whoever has no key is refused at once, whatever its body does: no byte of it is waited for.
#[tokio::test]
async fn refuses_a_stranger_before_its_body() -> Result<()> {
    let place = Place::new("body_idle = \"1h\"\nbody_rate = 0").await?;
    let (h1, h2) = (place.caller(Version::H1).await?, place.caller(Version::H2).await?);
    let h3 = place.caller(Version::H3).await?;
    let head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                 Content-Length: 100000\r\n\r\n";
    let (wrong, drop) = (h2::chat("gllm_wrong"), h2::frame(h2::DATA, 0, 1, b" "));
    let h2_head = h2_says(&h2::frame(h2::HEADERS, END_HEADERS, 1, &wrong));
    let h3_head = [h3::chat(None), h3::announced(h3::DATA, 100_000)].concat();
    let (now, answer) = (Duration::ZERO, h3::Came::Answer(401));
    tokio::try_join!(
        check("HTTP/1.1, a stranger's drip", now, until("401", &h1, head, Some(b" ")), "401"),
        check("HTTP/1.1, a stranger's silence", now, until("401", &h1, head, None), "401"),
        check("HTTP/2, a stranger's drip", now, until("401", &h2, &h2_head, Some(&drop)), "401"),
        check("HTTP/2, a stranger's silence", now, until("401", &h2, &h2_head, None), "401"),
        check_quic("HTTP/3, a stranger's drip", now, quic(&h3, h3_head.clone(), Some(b" ")), answer),
        check_quic("HTTP/3, a stranger's silence", now, quic(&h3, h3_head.clone(), None), answer),
    )?;
    ensure!(place.chats() == 0, "the engine saw a stranger's request");
    place.end().await
}
