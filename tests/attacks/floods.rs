//! HTTP/2 floods, each of one connection: rapid reset (CVE-2023-44487), CONTINUATION (CVE-2024-27316), DATA that is empty, of one
//! byte or nothing but padding (CVE-2019-9518), header sections that inflate, and the six ways of MadeYouReset (CVE-2025-8671).
//! Each is judged by how soon it is ended and with which code, by how much memory has grown, by how much of it the engine has
//! seen, and by an honest caller who is served meanwhile.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{client::Version, double::Seen, script::Sin};
use tokio::io::AsyncWriteExt;

use crate::support::{
    Place,
    h2::{
        self, Attacker, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, End, HEADERS, PADDED,
        PRIORITY, PROTOCOL_ERROR, RST_STREAM, WINDOW_UPDATE, chat, frame,
    },
    h3::Came,
    honest::{Served, check_honest},
    mib,
};

/// Honest requests at rest.
const ASKED: usize = 20;
/// Rounds of a flood that nobody ends.
const MOST: usize = 20_000;
/// A flood is ended so soon (F-05 to F-09 of the research on security); seen on a busy machine were 8 ms.
const SOON: Duration = Duration::from_secs(1);
/// Memory may grow by so much (S6 of the research on security has 128 MiB for all attacks together).
const GROWTH: u64 = 8 << 20;
/// A client may take back so many requests within ten seconds (`limits.h2_broken_requests`, F-05 of the research).
const TAKEN_BACK: usize = 100;
/// Of a rapid reset the engine sees so many at the most (F-05); those that are over before they were begun it never sees.
const SEEN: usize = 20;
/// A client may break the protocol on so many streams (`limits.h2_error_resets`).
const RESETS: usize = 50;
const BODY: &[u8] = br#"{"model":"tiny","stream":true,"messages":[{"role":"user","content":"Hello"}]}"#;

/// The client's streams have odd numbers.
fn stream(round: usize) -> u32 {
    u32::try_from(2 * round + 1).unwrap_or(u32::MAX)
}

/// A whole chat request on that stream.
fn asks(section: &[u8], stream: u32) -> Vec<u8> {
    [frame(HEADERS, END_HEADERS, stream, section), frame(DATA, END_STREAM, stream, BODY)].concat()
}

/// Floods a daemon whose engine takes requests and never answers, and judges what both flood and daemon have in common.
async fn flood(
    what: &str,
    most_taken_up: usize,
    most_chats: usize,
    round: impl Fn(&[u8], usize) -> Vec<u8>,
) -> Result<End> {
    let place = Place::new("").await?;
    place.double.misbehave("tiny", Sin::HangBeforeHeaders);
    let caller = place.caller(Version::H2).await?;
    let section = chat(place.daemon.key.as_deref().context("no key")?);
    let attack = async { Attacker::new(&caller).await?.flood(MOST, |nth| round(&section, nth)).await };
    let honest = place.caller(Version::H1).await?;
    let rest = Served::times(&honest, ASKED).await?;
    let (end, beside) = Served::beside(&honest, attack).await?;
    let (growth, chats) = (place.growth()?, place.chats());
    println!(
        "{what}: ended after {} rounds, of which {} were taken up, and {:.0?}, GOAWAY {:?}, {} resets; memory grew by {}; the engine \
         saw {chats}; {} honest requests answered meanwhile, the slowest after {:.0?}, {:.0?} at rest",
        end.rounds,
        end.taken_up,
        end.taken,
        end.goaway,
        end.resets,
        mib(growth),
        beside.count(),
        beside.longest(),
        rest.longest(),
    );
    check_honest(rest.longest(), beside.longest())?;
    ensure!(end.closed, "the connection goes on after {} rounds", end.rounds);
    let blamed = matches!(end.goaway, Some(PROTOCOL_ERROR | ENHANCE_YOUR_CALM));
    ensure!(blamed, "the client is not told that it is to blame: {:?}", end.goaway);
    // What else was sent stood in the kernel's buffers when the end came.
    ensure!(end.taken_up <= most_taken_up, "{} streams were taken up", end.taken_up);
    ensure!(end.taken <= SOON, "it took {:?}", end.taken);
    ensure!(growth <= GROWTH, "memory grew by {}", mib(growth));
    ensure!(chats <= most_chats, "the engine saw {chats} requests");
    // Whatever it was made to begin, it is free again.
    place
        .double
        .wait("every chat is left", |seen| {
            seen.iter().filter(|seen| seen.request.path() == "/api/chat").all(Seen::left).then_some(())
        })
        .await;
    place.end().await?;
    Ok(end)
}

#[tokio::test]
async fn ends_a_rapid_reset() -> Result<()> {
    let end = flood("rapid reset", TAKEN_BACK, SEEN, |section, round| {
        let stream = stream(round);
        [asks(section, stream), frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
    })
    .await?;
    ensure!(end.goaway == Some(ENHANCE_YOUR_CALM), "{end:?}");
    Ok(())
}

/// Each is taken back once the engine has it, so that it was begun: h2 counts those that are taken back before.
#[tokio::test]
async fn ends_a_reset_that_is_not_as_rapid() -> Result<()> {
    let place = Place::new("").await?;
    place.double.misbehave("tiny", Sin::HangBeforeHeaders);
    let caller = place.caller(Version::H2).await?;
    let section = chat(place.daemon.key.as_deref().context("no key")?);
    let honest = place.caller(Version::H1).await?;
    let rest = Served::times(&honest, ASKED).await?;
    let Attacker { mut reading, mut writing } = Attacker::new(&caller).await?;
    let attack = async {
        let begun = Instant::now();
        let flood = async {
            for round in 0..MOST {
                writing.write_all(&asks(&section, stream(round))).await?;
                writing.flush().await?;
                let chats =
                    |seen: &[Seen]| seen.iter().filter(|seen| seen.request.path() == "/api/chat").count();
                place.double.wait("the next request", |seen| (chats(seen) > round).then_some(())).await;
                writing.write_all(&frame(RST_STREAM, 0, stream(round), &8_u32.to_be_bytes())).await?;
                writing.flush().await?;
            }
            anyhow::Ok(())
        };
        let read = async { while h2::next(&mut reading).await.is_ok() {} };
        tokio::select! {
            () = read => Ok(begun.elapsed()),
            flooded = flood => {
                flooded?;
                anyhow::bail!("{MOST} were taken back")
            }
        }
    };
    let (taken, beside) = Served::beside(&honest, attack).await?;
    let (growth, chats) = (place.growth()?, place.chats());
    println!(
        "taken back once the engine has it: ended after {chats} and {taken:.0?}; memory grew by {}; {} honest requests answered \
         meanwhile, the slowest after {:.0?}, {:.0?} at rest",
        mib(growth),
        beside.count(),
        beside.longest(),
        rest.longest(),
    );
    check_honest(rest.longest(), beside.longest())?;
    // One more is too many, and another may have come with it.
    ensure!(chats <= TAKEN_BACK + 2, "the engine saw {chats} requests");
    ensure!(growth <= GROWTH, "memory grew by {}", mib(growth));
    place.end().await
}

#[tokio::test]
async fn ends_a_header_section_without_an_end() -> Result<()> {
    let end = flood("CONTINUATION", 0, 0, |section, round| match round {
        0 => frame(HEADERS, END_STREAM, 1, section),
        _ => frame(CONTINUATION, 0, 1, &[]),
    })
    .await?;
    ensure!(end.goaway == Some(ENHANCE_YOUR_CALM), "{end:?}");
    Ok(())
}

#[tokio::test]
async fn ends_a_header_section_that_grows() -> Result<()> {
    // A field of 1 KiB in each, never indexed, with lengths of two bytes.
    let mut field = vec![0x10, 1, b'x', 0x7f, 0x81, 0x07];
    field.extend([b'a'; 1024]);
    flood("CONTINUATION of 1 KiB", 0, 0, move |section, round| match round {
        0 => frame(HEADERS, END_STREAM, 1, section),
        _ => frame(CONTINUATION, 0, 1, &field),
    })
    .await
    .map(drop)
}

#[tokio::test]
async fn ends_a_body_of_nothing() -> Result<()> {
    let end = flood("empty DATA", 1, 0, |section, round| match round {
        0 => frame(HEADERS, END_HEADERS, 1, section),
        _ => frame(DATA, 0, 1, &[]),
    })
    .await?;
    ensure!(end.goaway == Some(ENHANCE_YOUR_CALM), "{end:?}");
    Ok(())
}

/// Every byte is a frame of its own: what it costs is out of proportion to what it moves.
#[tokio::test]
async fn ends_a_body_of_frames_of_one_byte() -> Result<()> {
    flood("DATA of one byte", 1, 0, |section, round| match round {
        0 => frame(HEADERS, END_HEADERS, 1, section),
        _ => frame(DATA, 0, 1, b" ").repeat(50),
    })
    .await
    .map(drop)
}

#[tokio::test]
async fn ends_a_body_of_padding() -> Result<()> {
    // The first byte says how many of the others are padding: all.
    let padding = [&[255][..], &[0; 255]].concat();
    flood("DATA of padding", 1, 0, move |section, round| match round {
        0 => frame(HEADERS, END_HEADERS, 1, section),
        _ => frame(DATA, PADDED, 1, &padding),
    })
    .await
    .map(drop)
}

/// An entry of 4 KB in the dynamic table that is named so often, by one byte each time: 12,000 of them would be 45 MB.
fn bomb(times: usize) -> Vec<u8> {
    // A literal with a new name, indexed (RFC 7541 section 6.2.1): 3,800 bytes in lengths of seven bits and more.
    let mut entry = vec![0x40, 1, b'x', 0x7f, 0xd9, 0x1c];
    entry.extend([b'a'; 3800]);
    // Of the table's entries the newest is number 62 (sections 2.3.3 and 6.1).
    [entry, vec![0x80 | 62; times]].concat()
}

/// Beyond `header_bytes` a request is answered; far beyond it h2 is sure that it is an attack.
#[tokio::test]
async fn refuses_a_header_section_that_inflates() -> Result<()> {
    let place = Place::new("").await?;
    let caller = place.caller(Version::H2).await?;
    let section = chat(place.daemon.key.as_deref().context("no key")?);
    for (times, wanted) in [(10, Came::Answer(431)), (12_000, Came::Closed(ENHANCE_YOUR_CALM.into()))] {
        let section = [&section[..], &bomb(times)].concat();
        let came = h2::ask(&caller, &frame(HEADERS, END_HEADERS | END_STREAM, 1, &section)).await?;
        let growth = place.growth()?;
        println!(
            "{} bytes that become {times} times 3,800: {came:?}; memory grew by {}",
            section.len(),
            mib(growth)
        );
        ensure!(came == wanted, "{came:?}");
        ensure!(growth <= GROWTH, "memory grew by {}", mib(growth));
    }
    ensure!(place.chats() == 0, "the engine saw a request");
    place.end().await
}

#[tokio::test]
async fn ends_header_sections_that_inflate() -> Result<()> {
    let bomb = bomb(12_000);
    flood("sections that inflate to 45 MB", 1, 0, move |section, round| {
        frame(HEADERS, END_HEADERS | END_STREAM, stream(round), &[section, &bomb[..]].concat())
    })
    .await
    .map(drop)
}

/// Frames on that stream.
type Primitive = fn(u32) -> Vec<u8>;

/// What makes a server reset a stream that asks for work.
const PRIMITIVES: [(&str, Primitive); 6] = [
    ("a window update of nothing", |stream| frame(WINDOW_UPDATE, 0, stream, &[0; 4])),
    ("a window beyond 2^31", |stream| frame(WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes())),
    ("DATA after the end", |stream| frame(DATA, 0, stream, b"more")),
    ("HEADERS after the end", |stream| frame(HEADERS, END_HEADERS, stream, &[0x82])),
    ("PRIORITY of another length", |stream| frame(PRIORITY, 0, stream, &[0; 4])),
    ("PRIORITY on itself", |stream| {
        frame(PRIORITY, 0, stream, &[stream.to_be_bytes().as_slice(), &[0]].concat())
    }),
];

#[tokio::test]
async fn ends_whoever_makes_it_reset() -> Result<()> {
    for (what, primitive) in PRIMITIVES {
        let end = flood(&format!("MadeYouReset, {what}"), RESETS + 1, RESETS, |section, round| {
            [asks(section, stream(round)), primitive(stream(round))].concat()
        })
        .await
        .with_context(|| what.to_owned())?;
        ensure!(end.resets <= RESETS, "{what}: {} streams were reset", end.resets);
    }
    Ok(())
}
