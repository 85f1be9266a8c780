//! HTTP/3 frames and QPACK sections that announce more than anyone may send, with what they announce behind them as fast as the
//! windows let it through. Judged by how soon each is ended, with which code, and by how much memory has grown.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::client::Version;
use quinn::{Connection, SendStream};
use tokio::time::timeout;

use crate::support::{
    Place,
    h3::{
        CONTROL, Came, DATA, DECODER, DECOMPRESSION_FAILED, ENCODER, EXCESSIVE_LOAD, FRAME_UNEXPECTED,
        GOAWAY, HEADERS, LARGEST, PUSH_PROMISE, SETTINGS, STREAM_CREATION_ERROR, UNKNOWN, announced, ask,
        came, chat, closed, control, dial, fields, frame, get, one_way, prefixed, varint,
    },
    mib,
};

/// Memory may grow by so much for one attack, and its connection be open for so long (S1 of the research on security).
const GROWTH: u64 = 2 << 20;
const SOON: Duration = Duration::from_secs(1);
/// What is sent behind a head, if it is taken.
const MOST: usize = 40 << 20;
/// Nothing is taken for so long: a window is full.
const FULL: Duration = Duration::from_millis(300);
/// `h3_headers_frame`, `h3_other_frame` and `quic_receive_window`, as they are by default.
const HEADERS_FRAME: usize = 64 << 10;
const OTHER_FRAME: u64 = 16 << 10;
const RECEIVE_WINDOW: u64 = 1 << 20;

/// Sends a head and its payload until the stream ends or takes nothing more; how many bytes were taken.
async fn pour(stream: &mut SendStream, head: &[u8]) -> usize {
    let payload = vec![b'a'; 64 << 10];
    let (mut taken, mut next) = (0, head);
    while taken < MOST {
        let Ok(Ok(count)) = timeout(FULL, stream.write(next)).await else { break };
        taken += count;
        next = if count < next.len() && taken < head.len() { &next[count..] } else { &payload };
    }
    taken
}

/// How a giant was received.
struct End {
    code: u64,
    taken: usize,
    after: Duration,
}

async fn giant(quic: &Connection, stream: &mut SendStream, head: &[u8]) -> Result<End> {
    let begun = Instant::now();
    let end = async {
        let code = closed(quic).await?;
        anyhow::Ok((code, begun.elapsed()))
    };
    let (taken, end) = tokio::join!(pour(stream, head), end);
    let (code, after) = end?;
    Ok(End { code, taken, after })
}

impl End {
    fn check(&self, what: &str, code: u64, growth: u64) -> Result<()> {
        let Self { taken, after, .. } = self;
        println!(
            "{what}: closed with {:#x} after {after:.0?} and {taken} bytes; memory grew by {}",
            self.code,
            mib(growth)
        );
        ensure!(self.code == code, "{what}: closed with {:#x}", self.code);
        ensure!(*after <= SOON, "{what}: closed after {after:?} only");
        ensure!(growth <= GROWTH, "{what}: memory grew by {}", mib(growth));
        Ok(())
    }
}

#[tokio::test]
async fn closes_on_a_giant_frame_of_a_request() -> Result<()> {
    let place = Place::new("").await?;
    let caller = place.caller(Version::H3).await?;
    let headers = HEADERS_FRAME as u64;
    let kinds = [
        ("HEADERS", HEADERS, headers),
        ("SETTINGS", SETTINGS, OTHER_FRAME),
        ("PUSH_PROMISE", PUSH_PROMISE, OTHER_FRAME),
        ("GOAWAY", GOAWAY, OTHER_FRAME),
        ("an unknown type", UNKNOWN, OTHER_FRAME),
        ("the largest type", LARGEST, OTHER_FRAME),
    ];
    for (what, kind, limit) in kinds {
        for length in [LARGEST, 1 << 40, limit + 1] {
            let before = place.growth()?;
            let quic = dial(&caller).await?;
            let _control = control(&quic).await?;
            let (mut send, _recv) = quic.open_bi().await?;
            let end = giant(&quic, &mut send, &announced(kind, length)).await?;
            end.check(
                &format!("{what} of {length} bytes on a request"),
                EXCESSIVE_LOAD,
                place.growth()?.saturating_sub(before),
            )?;
        }
    }
    place.end().await
}

#[tokio::test]
async fn closes_on_a_giant_frame_of_the_control_stream() -> Result<()> {
    let place = Place::new("").await?;
    let caller = place.caller(Version::H3).await?;
    let settings = frame(SETTINGS, &[]);
    let kinds = [
        ("SETTINGS", SETTINGS, &[][..]),
        ("GOAWAY", GOAWAY, &settings),
        ("HEADERS", HEADERS, &settings),
        ("DATA", DATA, &settings),
        ("an unknown type", UNKNOWN, &settings),
    ];
    for (what, kind, first) in kinds {
        for length in [LARGEST, 1 << 40] {
            let before = place.growth()?;
            let quic = dial(&caller).await?;
            let mut stream = one_way(&quic, CONTROL, first).await?;
            let end = giant(&quic, &mut stream, &announced(kind, length)).await?;
            let what = format!("{what} of {length} bytes on the control stream");
            end.check(&what, EXCESSIVE_LOAD, place.growth()?.saturating_sub(before))?;
        }
    }
    place.end().await
}

#[tokio::test]
async fn takes_of_a_giant_body_what_a_body_may_have() -> Result<()> {
    let place = Place::new("body = \"64KiB\"").await?;
    let caller = place.caller(Version::H3).await?;
    let quic = dial(&caller).await?;
    let _control = control(&quic).await?;
    // DATA without a head is no request.
    let (mut send, _recv) = quic.open_bi().await?;
    let end = giant(&quic, &mut send, &announced(DATA, LARGEST)).await?;
    end.check("DATA without a head", FRAME_UNEXPECTED, place.growth()?)?;
    for (who, key, status) in [("a stranger", None, 401), ("a caller", place.daemon.key.as_deref(), 413)] {
        let before = place.growth()?;
        let quic = dial(&caller).await?;
        let _control = control(&quic).await?;
        let (mut send, mut recv) = quic.open_bi().await?;
        let begun = Instant::now();
        let head = [chat(key), announced(DATA, LARGEST)].concat();
        let (taken, answer) = tokio::join!(pour(&mut send, &head), came(&mut recv));
        let (answer, after, growth) = (answer?, begun.elapsed(), place.growth()?.saturating_sub(before));
        let grown = mib(growth);
        println!(
            "the largest DATA of {who}: {answer:?} after {after:.0?} and {taken} bytes; memory grew by {grown}"
        );
        ensure!(answer == Came::Answer(status), "{who}: {answer:?}");
        ensure!(after <= SOON + FULL, "{who} is answered after {after:?} only");
        ensure!(growth <= GROWTH, "{who}: memory grew by {grown}");
        ensure!(taken < MOST, "{who}: all of it is taken");
    }
    ensure!(place.chats() == 0, "the engine saw a request");
    place.end().await
}

/// The daemon announces no dynamic table and never reads what would fill one: such a stream stands still once its window is full.
#[tokio::test]
async fn lets_a_flood_of_table_inserts_stand_still() -> Result<()> {
    let place = Place::new("").await?;
    let caller = place.caller(Version::H3).await?;
    // A capacity of 2^30, then entries with literal names (RFC 9204 sections 4.3.1 and 4.3.3).
    let mut inserts = prefixed(0x20, 5, 1 << 30);
    let entry = [prefixed(0x40, 5, 100), vec![b'n'; 100], prefixed(0, 7, 4000), vec![b'v'; 4000]].concat();
    inserts.extend(entry.repeat(20));
    // Every stream cancelled and acknowledged (sections 4.4.1 and 4.4.2).
    let floods = [("the encoder's", ENCODER, inserts), ("the decoder's", DECODER, vec![0x40; 64 << 10])];
    for (what, kind, bytes) in floods {
        let before = place.growth()?;
        let quic = dial(&caller).await?;
        let _control = control(&quic).await?;
        let mut stream = one_way(&quic, kind, &[]).await?;
        let mut taken = 0;
        while let Ok(count) = timeout(FULL, stream.write(&bytes)).await {
            taken += count.with_context(|| format!("{what} stream has ended after {taken} bytes"))?;
            ensure!(taken < MOST, "{what} stream takes everything");
        }
        let (growth, answer) = (place.growth()?.saturating_sub(before), ask(&quic, &get("/healthz")).await?);
        let grown = mib(growth);
        println!(
            "{what} stream: full after {taken} bytes; memory grew by {grown}; a request beside it: {answer:?}"
        );
        ensure!(growth <= GROWTH, "{what} stream: memory grew by {grown}");
        ensure!(answer == Came::Answer(200), "{what} stream stands in the way of a request: {answer:?}");
    }
    place.end().await
}

#[tokio::test]
async fn stops_a_stream_of_an_unknown_type() -> Result<()> {
    let place = Place::new("").await?;
    let quic = dial(&place.caller(Version::H3).await?).await?;
    let _control = control(&quic).await?;
    let mut taken = 0;
    for kind in [UNKNOWN, 0x54, LARGEST].into_iter().cycle().take(60) {
        let mut stream = quic.open_uni().await?;
        taken += pour(&mut stream, &varint(kind)).await;
        let code = timeout(SOON, stream.stopped()).await.context("it is never stopped")??;
        let code = code.context("the whole stream was taken")?.into_inner();
        ensure!(code == STREAM_CREATION_ERROR, "stopped with {code:#x}");
    }
    let (growth, answer) = (place.growth()?, ask(&quic, &get("/healthz")).await?);
    println!("60 streams of unknown types: stopped after {taken} bytes; memory grew by {}", mib(growth));
    // What the connection's window lets through may stand before a stream's type is looked at.
    ensure!(growth <= GROWTH + RECEIVE_WINDOW, "memory grew by {}", mib(growth));
    ensure!(answer == Came::Answer(200), "{answer:?}");
    place.end().await
}

/// Sections that are small on the wire and large when they are read.
fn bombs() -> [(&'static str, Vec<u8>); 4] {
    let behind = |bytes: Vec<u8>| [vec![0, 0], bytes].concat();
    // The shortest code has five bits: zeros are the text "000…".
    let zeros = |size: usize| vec![0; size];
    let value = [vec![0x21, b'x'], prefixed(0x80, 7, 65_000), zeros(65_000)].concat();
    let name = [prefixed(0x28, 3, 65_000), zeros(65_000), vec![1, b'x']].concat();
    [
        // "accept-encoding: gzip, deflate, br", one byte each.
        ("65,534 fields of the static table", behind(vec![0xdf; HEADERS_FRAME - 2])),
        ("a value in Huffman's code of 104,000 characters", behind(value)),
        ("a name in Huffman's code of 104,000 characters", behind(name)),
        ("21,844 empty fields", behind([0x21, b'x', 0x00].repeat(HEADERS_FRAME / 3 - 1))),
    ]
}

#[tokio::test]
async fn answers_a_section_that_would_inflate_with_431() -> Result<()> {
    let place = Place::new("").await?;
    let caller = place.caller(Version::H3).await?;
    for (what, section) in bombs() {
        let before = place.growth()?;
        let quic = dial(&caller).await?;
        let _control = control(&quic).await?;
        let bytes = frame(HEADERS, &section);
        let (begun, mut answers) = (Instant::now(), 0);
        // The connection's patience with broken requests (`h3_broken_requests`) is 128.
        let end = loop {
            match ask(&quic, &bytes).await {
                Ok(Came::Answer(431)) => answers += 1,
                Ok(Came::Closed(code)) => break code,
                other => {
                    // Where the answer has come as the connection closes, its end is told by the connection.
                    ensure!(quic.close_reason().is_some(), "{what}: {other:?}");
                    break closed(&quic).await?;
                }
            }
            ensure!(answers <= 129, "{what}: {answers} answers, and there is no end");
        };
        let (growth, taken) = (place.growth()?.saturating_sub(before), begun.elapsed());
        println!(
            "{what}: 431 {answers} times, then closed with {end:#x}, after {taken:.1?}; memory grew by {}",
            mib(growth)
        );
        ensure!(answers > 0 && end == EXCESSIVE_LOAD, "{what}: {answers} answers, {end:#x}");
        ensure!(growth <= GROWTH, "{what}: memory grew by {}", mib(growth));
    }
    place.end().await
}

#[tokio::test]
async fn closes_on_a_section_that_cannot_be_read() -> Result<()> {
    let place = Place::new("").await?;
    let caller = place.caller(Version::H3).await?;
    let endless = [&[0, 0, 0x27][..], &[0xff; 9], &[1]].concat();
    let sections = [
        ("a name of 2^63 characters", endless),
        ("a value longer than its section", [&[0, 0, 0x21, b'x'][..], &prefixed(0, 7, 60_000)].concat()),
        ("an entry of the dynamic table", vec![0, 0, 0x80]),
        ("an entry behind its base", vec![0, 0, 0x10]),
        ("an entry that the static table has not", [vec![0, 0], prefixed(0xc0, 6, 1 << 20)].concat()),
    ];
    for (what, section) in sections {
        let before = place.growth()?;
        let quic = dial(&caller).await?;
        let _control = control(&quic).await?;
        let (mut send, _recv) = quic.open_bi().await?;
        let begun = Instant::now();
        send.write_all(&frame(HEADERS, &section)).await?;
        let code = closed(&quic).await?;
        End { code, taken: section.len(), after: begun.elapsed() }.check(
            what,
            DECOMPRESSION_FAILED,
            place.growth()?.saturating_sub(before),
        )?;
    }
    place.end().await
}

/// A connection's streams could hold a head of `HEADERS_FRAME` each that stays a byte short, until `header_read` ends them.
#[tokio::test]
async fn closes_on_more_unfinished_heads_than_a_window_holds() -> Result<()> {
    const STREAMS: usize = 100;
    let place = Place::new("").await?;
    let quic = dial(&place.caller(Version::H3).await?).await?;
    let _control = control(&quic).await?;
    let bytes = frame(HEADERS, &fields(&[("x", &"a".repeat(HEADERS_FRAME - 16))]));
    let (begun, mut streams) = (Instant::now(), Vec::new());
    while streams.len() < STREAMS {
        let Ok((mut send, recv)) = quic.open_bi().await else { break };
        if send.write_all(&bytes[..bytes.len() - 1]).await.is_err() {
            break;
        }
        streams.push((send, recv));
    }
    let code = closed(&quic).await?;
    let (after, taken) = (begun.elapsed(), streams.len() * bytes.len());
    let what = "heads that stay a byte short";
    println!("{what}: {} were taken; memory grew by {} in all", streams.len(), mib(place.growth()?));
    // The sum is a window's, and what a window let through before the end stands beside it.
    let growth = place.growth()?.saturating_sub(2 * RECEIVE_WINDOW);
    End { code, taken, after }.check(what, EXCESSIVE_LOAD, growth)?;
    place.end().await
}
