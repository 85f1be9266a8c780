//! The gate against every cut, every size at its limit, and arbitrary bytes.

use proptest::prelude::*;

use super::{CONTROL_STREAM, DATA, Excessive, FrameLimits, Gate, HEADERS};

const LIMITS: FrameLimits = FrameLimits { headers: 100, other: 20, empty: 7 };
const UNKNOWN: u64 = 0x21;
const SETTINGS: u64 = 0x04;

/// Writes `value` in `width` bytes (1, 2, 4 or 8); a wider form than needed is allowed by RFC 9000.
fn varint(value: u64, width: usize) -> Vec<u8> {
    let mut bytes = value.to_be_bytes()[8 - width..].to_vec();
    bytes[0] |= [0, 0x40, 0, 0x80, 0, 0, 0, 0xc0][width - 1];
    bytes
}

fn frame(kind: u64, length: u64, payload: usize) -> Vec<u8> {
    let width = if length < 64 { 1 } else { 8 };
    [varint(kind, 1), varint(length, width), vec![0xff; payload]].concat()
}

fn request() -> Vec<u8> {
    [
        frame(UNKNOWN, 20, 20),
        frame(HEADERS, 100, 100),
        frame(DATA, 0, 0),
        frame(DATA, 70, 70),
        frame(DATA, 1, 1),
        frame(HEADERS, 3, 3),
    ]
    .concat()
}

/// The verdict when the bytes come in the given pieces.
fn verdict(mut gate: Gate, pieces: &[&[u8]]) -> Result<u64, Excessive> {
    pieces.iter().try_fold(0, |sum, piece| Ok(sum + gate.pass(piece)?))
}

#[test]
fn counts_payload_however_the_stream_is_cut() {
    let bytes = request();
    assert_eq!(verdict(Gate::request(LIMITS), &[&bytes]), Ok(71));
    for cut in 0..=bytes.len() {
        let (head, tail) = bytes.split_at(cut);
        assert_eq!(verdict(Gate::request(LIMITS), &[head, tail]), Ok(71), "cut at {cut}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(verdict(Gate::request(LIMITS), &single), Ok(71));
}

#[test]
fn a_request_may_end_between_its_frames_only() {
    let bytes = request();
    let ends = [0, 22, 131, 133, 212, 215, 220];
    for cut in 0..=bytes.len() {
        let mut gate = Gate::request(LIMITS);
        gate.pass(&bytes[..cut]).unwrap();
        assert_eq!(gate.may_end(), ends.contains(&cut), "cut at {cut}");
    }
    let mut gate = Gate::one_way(LIMITS);
    gate.pass(b"\x00\x04\x02").unwrap();
    assert!(gate.may_end(), "how a control stream ends is `h3`'s to judge");
}

#[test]
fn each_limit_passes_and_one_more_byte_fails() {
    for (kind, limit) in [(HEADERS, LIMITS.headers), (UNKNOWN, LIMITS.other), (SETTINGS, LIMITS.other)] {
        for width in [2, 4, 8] {
            let announce = |length| [varint(kind, 1), varint(length, width)].concat();
            assert_eq!(verdict(Gate::request(LIMITS), &[&announce(limit)]), Ok(0));
            let over = announce(limit + 1);
            for cut in 0..=over.len() {
                let (head, tail) = over.split_at(cut);
                assert_eq!(verdict(Gate::request(LIMITS), &[head, tail]), Err(Excessive), "{kind} cut {cut}");
            }
        }
    }
}

#[test]
fn data_may_have_any_length_on_a_request_and_none_on_the_control_stream() {
    let huge = frame(DATA, 1 << 61, 10);
    assert_eq!(verdict(Gate::request(LIMITS), &[&huge]), Ok(10));
    let control = [varint(CONTROL_STREAM, 1), huge].concat();
    for cut in 0..=control.len() {
        let (head, tail) = control.split_at(cut);
        assert_eq!(verdict(Gate::one_way(LIMITS), &[head, tail]), Err(Excessive));
    }
}

#[test]
fn control_frames_are_limited_and_other_one_way_streams_are_left_alone() {
    let settings = [varint(CONTROL_STREAM, 8), frame(SETTINGS, 20, 20), frame(SETTINGS, 21, 0)].concat();
    assert_eq!(verdict(Gate::one_way(LIMITS), &[&settings[..30]]), Ok(0));
    assert_eq!(verdict(Gate::one_way(LIMITS), &[&settings]), Err(Excessive));
    for kind in [1, 2, 3, 0x54] {
        let stream = [varint(kind, 2), vec![0xff; 4096]].concat();
        assert_eq!(verdict(Gate::one_way(LIMITS), &[&stream]), Ok(0));
    }
}

#[test]
fn a_flood_of_empty_frames_is_excessive_on_a_request_only() {
    let flood = |count: u32| frame(DATA, 0, 0).repeat(usize::try_from(count).unwrap());
    assert_eq!(verdict(Gate::request(LIMITS), &[&flood(LIMITS.empty)]), Ok(0));
    assert_eq!(verdict(Gate::request(LIMITS), &[&flood(LIMITS.empty + 1)]), Err(Excessive));
    let control = [varint(CONTROL_STREAM, 1), frame(UNKNOWN, 0, 0).repeat(5000)].concat();
    assert_eq!(verdict(Gate::one_way(LIMITS), &[&control]), Ok(0));
}

#[test]
fn judges_the_sections_of_a_request_between_all_other_frames() {
    let head = |section: &[u8]| [&varint(HEADERS, 1)[..], &varint(section.len() as u64, 1), section].concat();
    let (good, twice, trailers) = (head(b"\x00\x00\xd1"), head(b"\x00\x00\xd1\xd1"), head(b"\x00\x00\xc6"));
    let (grease, data) = (frame(UNKNOWN, 4, 4), frame(DATA, 4, 4));
    for (first, last, malformed) in
        [(&good, &trailers, false), (&twice, &trailers, true), (&good, &good, true), (&twice, &good, true)]
    {
        let bytes = [&grease[..], first, &data, &grease, last].concat();
        for cut in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(cut);
            let mut gate = Gate::request(LIMITS);
            gate.pass(head).unwrap();
            gate.pass(tail).unwrap();
            assert_eq!(gate.malformed(), malformed, "cut at {cut}");
        }
    }
}

/// A second reading of the same clause, whole and without limits on shape: what the gate must agree with.
fn reference(bytes: &[u8]) -> Result<u64, Excessive> {
    let (mut at, mut payload, mut empty) = (0, 0u64, 0u32);
    let read = |at: &mut usize| -> Option<u64> {
        let width = 1usize << (bytes.get(*at)? >> 6);
        let field = bytes.get(*at..*at + width)?;
        *at += width;
        Some(field.iter().skip(1).fold(u64::from(field[0] & 0x3f), |sum, byte| (sum << 8) | u64::from(*byte)))
    };
    while let (Some(kind), Some(length)) = (read(&mut at), read(&mut at)) {
        empty += u32::from(length == 0);
        let most = [(kind != DATA).then_some(LIMITS.other), (kind == HEADERS).then_some(LIMITS.headers)];
        if length > most.into_iter().flatten().max().unwrap_or(u64::MAX) || empty > LIMITS.empty {
            return Err(Excessive);
        }
        let here = length.min((bytes.len() - at) as u64);
        payload += if kind == DATA { here } else { 0 };
        at += usize::try_from(here).unwrap();
    }
    Ok(payload)
}

proptest! {
    #[test]
    fn agrees_with_a_whole_reading(
        bytes in prop::collection::vec(prop_oneof![4 => 0u8..8, 1 => any::<u8>()], 0..200),
        cuts in prop::collection::vec(1usize..9, 1..40),
    ) {
        let mut pieces = Vec::new();
        let mut rest = &bytes[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break }
            let (piece, tail) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = tail;
        }
        prop_assert_eq!(verdict(Gate::request(LIMITS), &pieces), reference(&bytes));
    }
}
