//! Frames as they come, well and badly.

use super::*;

const MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const RAW: u32 = 0;
const RLE: u32 = 1;

/// A block's header and its content.
fn block(kind: u32, size: usize, content: &[u8], last: bool) -> Vec<u8> {
    let header = u32::from(last) | kind << 1 | u32::try_from(size).unwrap() << 3;
    [&header.to_le_bytes()[..3], content].concat()
}

/// A frame with a window of so many times a power of two, KiB being the tenth, and nothing stated.
fn frame(log: u8, blocks: &[Vec<u8>]) -> Vec<u8> {
    [MAGIC, &[0, (log - 10) << 3], &blocks.concat()].concat()
}

fn text(text: &[u8]) -> Vec<u8> {
    frame(17, &[block(RAW, text.len(), text, true)])
}

/// So many times 128 KiB of one letter, four bytes each.
fn bomb(blocks: usize) -> Vec<u8> {
    let each: Vec<_> = (1..=blocks).map(|nr| block(RLE, 128 << 10, b"x", nr == blocks)).collect();
    frame(17, &each)
}

fn unpack(packed: &[u8], most: u64) -> Result<Vec<u8>, Fault> {
    let mut unpacking = Unpacking::new(Bytes::copy_from_slice(packed), most, Room::default());
    let done = unpacking.go_on(usize::MAX);
    done.map(|done| {
        assert!(done, "all of it was unpacked");
        unpacking.out
    })
}

/// Of zstd 1.5.4 (`zstd -19 --content-size`, and through a pipe), with real sequences and entropy in them.
const STATED: &[u8] = include_bytes!("stated.zst");
const PIPED: &[u8] = include_bytes!("piped.zst");

fn recorded() -> String {
    let line = |nr: u32| format!("{{\"role\":\"user\",\"content\":\"line {nr} of {}\"}},\n", nr * nr);
    (0..200).map(line).collect()
}

#[test]
fn what_zstd_itself_has_packed_is_unpacked() {
    for packed in [STATED, PIPED] {
        assert_eq!(unpack(packed, 1 << 20).unwrap(), recorded().as_bytes());
    }
}

#[test]
fn several_frames_are_one_body_and_skippable_ones_are_none_of_it() {
    let skipped = [&0x184d_2a53_u32.to_le_bytes()[..], &3_u32.to_le_bytes(), b"abc"].concat();
    let packed = [skipped.clone(), text(b"{\"a\":"), skipped.clone(), text(b"1}"), text(b"")].concat();
    assert_eq!(unpack(&packed, 7).unwrap(), b"{\"a\":1}");
    assert_eq!(unpack(&packed, 6), Err(Fault::TooLarge));
    assert_eq!(unpack(&[], 0).unwrap(), b"");
    assert_eq!(unpack(&skipped, 0).unwrap(), b"");
    assert_eq!(unpack(&text(b"").repeat(FRAMES), 0).unwrap(), b"");
    assert_eq!(unpack(&text(b"").repeat(FRAMES + 1), 0), Err(Fault::Frames));
}

#[test]
fn a_body_that_is_cut_off_anywhere_is_refused() {
    for packed in [text(b"{\"a\":1}"), STATED.to_vec(), PIPED.to_vec()] {
        for end in 1..packed.len() {
            assert_eq!(unpack(&packed[..end], 1 << 20), Err(Fault::Broken), "{end} of {}", packed.len());
        }
    }
}

#[test]
fn what_stands_behind_the_end_is_refused() {
    for behind in [&b"x"[..], b"{}", b"\0\0\0\0", &MAGIC[..3], &[0x53, 0x2a, 0x4d, 0x18, 9, 0, 0, 0, 1]] {
        assert_eq!(unpack(&[&text(b"{}")[..], behind].concat(), 100), Err(Fault::Broken), "{behind:?}");
    }
    assert_eq!(unpack(b"{\"model\":\"m\"}", 100), Err(Fault::Broken), "it was never packed");
}

#[test]
fn a_bomb_bursts_at_the_limit() {
    let (most, packed) = (4 << 20, bomb(1024));
    assert!(packed.len() < 5000);
    let mut unpacking = Unpacking::new(packed.into(), most, Room::default());
    assert_eq!(unpacking.go_on(usize::MAX), Err(Fault::TooLarge));
    assert!(unpacking.out.capacity() as u64 <= 2 * most, "{} bytes are held", unpacking.out.capacity());
    assert_eq!(unpack(&bomb(32), most).unwrap().len() as u64, most);
    assert_eq!(unpack(&bomb(33), most), Err(Fault::TooLarge));
    // What states too much is refused before a block of it is unpacked.
    let stated = [MAGIC, &[0xa0], &(1_u32 << 22).to_le_bytes()].concat();
    assert_eq!(unpack(&stated, (1 << 22) - 1), Err(Fault::TooLarge));
}

#[test]
fn a_window_is_bounded_and_a_dictionary_is_nobody_s() {
    let with = |log| unpack(&frame(log, &[block(RAW, 2, b"{}", true)]), 100);
    assert_eq!(with(23).unwrap(), b"{}");
    assert_eq!(with(24), Err(Fault::Window));
    assert_eq!(with(40), Err(Fault::Window));
    let single = [MAGIC, &[0xa0], &((8_u32 << 20) + 1).to_le_bytes()].concat();
    assert_eq!(unpack(&single, u64::MAX), Err(Fault::Window));
    let dictionary = [MAGIC, &[0x01, 0x38, 7], &block(RAW, 2, b"{}", true)].concat();
    assert_eq!(unpack(&dictionary, 100), Err(Fault::Dictionary));
}

#[test]
fn what_is_stated_is_what_is_there() {
    let stating = |size: u8| [MAGIC, &[0x20, size], &block(RAW, 2, b"{}", true)].concat();
    assert_eq!(unpack(&stating(2), 100).unwrap(), b"{}");
    assert_eq!(unpack(&stating(1), 100), Err(Fault::Broken));
    assert_eq!(unpack(&stating(3), 100), Err(Fault::Broken));
    // Kinds of blocks that there are not, and a block that is larger than any.
    for broken in [block(3, 2, b"{}", true), block(RLE, (128 << 10) + 1, b"x", true)] {
        assert_eq!(unpack(&frame(17, &[broken]), 1 << 20), Err(Fault::Broken));
    }
}

#[tokio::test]
async fn what_is_unpacked_is_charged_here_and_elsewhere() {
    let limits = Limits::default();
    // More blocks than are unpacked here; of 128 KiB each, and twice as much is charged.
    for (blocks, room_for, fits) in [(2, 4, true), (2, 3, false), (6, 12, true), (6, 11, false)] {
        let room = Room::default();
        room.measured(room_for * (128 << 10), u64::MAX);
        let unpacked = unpacked(bomb(blocks).into(), &limits, &room).await;
        match unpacked {
            Ok(body) => assert!(fits && body.len() == blocks << 17, "{} bytes of {blocks}", body.len()),
            Err(error) => assert!(!fits && error.status() == 503, "{error}"),
        }
    }
}

#[test]
fn a_refusal_says_what_to_do() {
    for fault in [Fault::Broken, Fault::Window, Fault::Dictionary, Fault::Frames] {
        let error = refused(&fault, 1);
        assert!(
            error.status() == 400 && error.message().contains("send it without Content-Encoding"),
            "{error}"
        );
    }
    assert_eq!(refused(&Fault::TooLarge, 1).status(), 413);
    assert_eq!(refused(&Fault::Room(Lack::Memory), 1).status(), 503);
}
