//! HTTP/3's gate: no frame over its limit passes, DATA is counted exactly, and what it says of the pseudo-header fields is
//! what stands in the sections, as `h3` itself reads them.
//!
//! An input is the bytes of one stream, judged as a request's and as one of those that have one direction.

use crate::{
    gate::{FrameLimits, Gate},
    h3_server::{self, Seen},
    pieces,
};

const LIMITS: FrameLimits = FrameLimits { headers: 600, other: 40, empty: 5 };
/// Beyond what a frame of the largest size can hold, so that the frame's limit is the one that is met.
const FIELD_SECTION: u64 = 64 * 1024;

const DATA: u64 = 0;
const HEADERS: u64 = 1;

/// Holds the gate's verdict against a second walk over the frames, and against what `h3` reads.
pub fn check(bytes: &[u8]) {
    let ways = pieces::ways(bytes);
    check_one_way(bytes, &ways);
    let walked = walk(bytes, true);
    let mut verdicts = ways.iter().map(|way| verdict(Gate::request(LIMITS), way));
    let first = verdicts.next().expect("the bytes as a whole");
    assert!(verdicts.all(|verdict| verdict == first), "another verdict when cut");
    assert_eq!(first.payload, walked.as_ref().ok().map(|walked| walked.payload));
    let Ok(walked) = walked else { return };
    assert_eq!(first.may_end, walked.whole);
    assert!(first.buffered == 0 || !walked.whole && first.buffered < LIMITS.headers, "{first:?}");
    let seen = h3_server::read(ways.last().expect("some way of cutting"), walked.whole, FIELD_SECTION);
    check_sections(&walked, first.malformed, seen);
    assert!(seen.body <= walked.payload, "{seen:?}, and {} bytes of DATA", walked.payload);
    if seen.whole {
        assert_eq!(seen.body, walked.payload);
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Verdict {
    /// None if a frame was excessive.
    payload: Option<u64>,
    malformed: bool,
    may_end: bool,
    buffered: u64,
}

fn verdict(mut gate: Gate, way: &[&[u8]]) -> Verdict {
    let payload = way.iter().try_fold(0, |sum, piece| gate.pass(piece).map(|more| sum + more)).ok();
    // What an excessive stream says of itself is not asked any more.
    let fine = payload.is_some();
    let buffered = if fine { gate.buffered() } else { 0 };
    Verdict { payload, malformed: fine && gate.malformed(), may_end: fine && gate.may_end(), buffered }
}

/// A stream in one direction: the control stream's frames are limited, whatever they are; others are left alone.
fn check_one_way(bytes: &[u8], ways: &[Vec<&[u8]>]) {
    let mut rest = bytes;
    let expected = match integer(&mut rest) {
        Some(0) => walk(rest, false).ok().map(|walked| walked.payload),
        _ => Some(0),
    };
    for way in ways {
        let verdict = verdict(Gate::one_way(LIMITS), way);
        let (may_end, buffered) = (expected.is_some(), verdict.buffered);
        assert_eq!(verdict, Verdict { payload: expected, malformed: false, may_end, buffered });
    }
}

/// The frames of a stream.
struct Walked<'a> {
    payload: u64,
    /// The payload of each HEADERS frame that is there to its end, and whether one is not.
    sections: Vec<&'a [u8]>,
    cut: bool,
    /// Every frame is there to its end.
    whole: bool,
}

struct Excessive;

fn walk(bytes: &[u8], request: bool) -> Result<Walked<'_>, Excessive> {
    let mut walked = Walked { payload: 0, sections: Vec::new(), cut: false, whole: true };
    let (mut rest, mut empty) = (bytes, 0);
    while !rest.is_empty() {
        let (Some(kind), Some(length)) = (integer(&mut rest), integer(&mut rest)) else {
            walked.whole = false;
            break;
        };
        let most = match kind {
            DATA if request => u64::MAX,
            HEADERS => LIMITS.headers,
            _ => LIMITS.other,
        };
        empty += u32::from(length == 0);
        if length > most || (request && empty > LIMITS.empty) {
            return Err(Excessive);
        }
        let here = length.min(rest.len() as u64);
        let (payload, tail) = rest.split_at(usize::try_from(here).unwrap());
        rest = tail;
        walked.whole = here == length;
        match kind {
            DATA => walked.payload += here,
            HEADERS if here == length => walked.sections.push(payload),
            HEADERS => walked.cut = true,
            _ => {}
        }
    }
    Ok(walked)
}

/// Takes one of QUIC's integers. None, and everything taken, where it is not there to its end.
fn integer(rest: &mut &[u8]) -> Option<u64> {
    let width = 1_usize << (rest.first()? >> 6);
    let Some((field, tail)) = rest.split_at_checked(width) else {
        *rest = &[];
        return None;
    };
    *rest = tail;
    let value = field.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    Some(value & (u64::MAX >> (64 - 8 * width + 2)))
}

/// A name's form in a field line, as far as it matters.
#[derive(Debug, PartialEq)]
enum Name {
    /// One of the four that a request may have.
    Known(usize),
    /// Another one with a colon in front.
    Foreign,
    Plain,
}

const KNOWN: [&[u8]; 4] = [b":method", b":scheme", b":authority", b":path"];

fn check_sections(walked: &Walked<'_>, malformed: bool, seen: Seen) {
    let sections: Vec<Option<Section>> = walked.sections.iter().map(|section| names(section)).collect();
    if seen.taken {
        assert!(sections.first().is_some_and(Option::is_some), "h3 has read a section that cannot be read");
    }
    if seen.whole {
        assert!(sections.iter().all(Option::is_some), "h3 has read trailers that cannot be read");
    }
    let wrong = sections
        .iter()
        .enumerate()
        .any(|(place, section)| section.as_ref().is_some_and(|section| !fits(&section.names, place == 0)));
    let read = sections.iter().all(Option::is_some);
    let canonical = sections.iter().flatten().all(|section| section.canonical);
    assert!(malformed || !wrong, "pseudo-header fields that no request may have pass");
    // A section that is cut off has been judged by what is there of it.
    assert!(!malformed || wrong || !read || !canonical || walked.cut, "a good request is malformed");
}

/// Each at most once, before all others, and none in the trailers.
fn fits(names: &[Name], head: bool) -> bool {
    let front = names.iter().take_while(|name| matches!(name, Name::Known(_))).count();
    let (front, behind) = names.split_at(front);
    let once = |name: &Name| front.iter().filter(|other| *other == name).count() == 1;
    behind.iter().all(|name| *name == Name::Plain) && front.iter().all(once) && (head || front.is_empty())
}

struct Section {
    names: Vec<Name>,
    /// Every name in Huffman's code is written in the one way that there is.
    canonical: bool,
}

/// The names of a field section without the dynamic table (RFC 9204 section 4.5). None where it cannot be read.
fn names(section: &[u8]) -> Option<Section> {
    let mut rest = section;
    prefixed(&mut rest, 8)?;
    prefixed(&mut rest, 7)?;
    let mut read = Section { names: Vec::new(), canonical: true };
    while let Some(&first) = rest.first() {
        let indexed = first & 0x80 != 0;
        let name = match first {
            0xc0.. => of_static(prefixed(&mut rest, 6)?)?,
            0x50..=0x5f | 0x70..=0x7f => of_static(prefixed(&mut rest, 4)?)?,
            0x20..=0x3f => {
                let length = prefixed(&mut rest, 3)?;
                let (text, canonical) = text(take(&mut rest, length)?, first & 0x08 != 0);
                read.canonical &= canonical;
                of_text(&text)
            }
            _ => return None,
        };
        read.names.push(name);
        if !indexed {
            rest.first()?;
            let length = prefixed(&mut rest, 7)?;
            take(&mut rest, length)?;
        }
    }
    Some(read)
}

fn take<'a>(rest: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (here, tail) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = tail;
    Some(here)
}

/// An integer in the last bits of a byte and as many more as it needs (RFC 7541 section 5.1).
fn prefixed(rest: &mut &[u8], bits: u32) -> Option<u64> {
    let most = (1_u64 << bits) - 1;
    let mut value = u128::from(u64::from(take(rest, 1)?[0]) & most);
    if value == u128::from(most) {
        for place in 0.. {
            let byte = take(rest, 1)?[0];
            // More than nine bytes are more than the 62 bits that QPACK has.
            if place == 9 {
                return None;
            }
            value += u128::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    u64::try_from(value).ok()
}

fn of_static(index: u64) -> Option<Name> {
    let known = |name: &[u8]| KNOWN.iter().position(|known| *known == name).map(Name::Known);
    match index {
        0 => known(b":authority"),
        1 => known(b":path"),
        15..=21 => known(b":method"),
        22..=23 => known(b":scheme"),
        24..=28 | 63..=71 => Some(Name::Foreign),
        99.. => None,
        _ => Some(Name::Plain),
    }
}

fn of_text(name: &[u8]) -> Name {
    match KNOWN.iter().position(|known| *known == name) {
        Some(known) => Name::Known(known),
        None if name.starts_with(b":") => Name::Foreign,
        None => Name::Plain,
    }
}

/// A text, and whether its code is the one that the text has. `h3` takes some that end in no end of RFC 7541's; of these,
/// the first letter is enough.
fn text(bytes: &[u8], huffman: bool) -> (Vec<u8>, bool) {
    if !huffman {
        return (bytes.to_vec(), true);
    }
    let (mut text, mut again) = (Vec::new(), Vec::new());
    let decoded = httlib_huffman::decode(bytes, &mut text, httlib_huffman::DecoderSpeed::FourBits).is_ok();
    if !decoded {
        let colon = bytes.first().is_some_and(|first| first >> 1 == 0b101_1100);
        return (if colon { b":?".to_vec() } else { b"?".to_vec() }, false);
    }
    let canonical = httlib_huffman::encode(&text, &mut again).is_ok() && again == bytes;
    (text, canonical)
}
