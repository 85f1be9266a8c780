//! The examples of the standard, the limits, and splits anywhere.

use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};

use super::{Event, Events};
use crate::framing::TooLong;

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limit: usize) -> Result<Vec<Event>, TooLong> {
    let mut events = Events::new(limit);
    let mut found = Vec::new();
    for piece in pieces {
        events.push(piece);
        while let Some(event) = events.next_event()? {
            found.push(event);
        }
    }
    found.extend(events.finish()?);
    Ok(found)
}

fn data(text: &str) -> Vec<String> {
    let events = read([text.as_bytes()], 1000).unwrap();
    events.into_iter().map(|event| String::from_utf8(event.data.to_vec()).unwrap()).collect()
}

#[test]
fn the_standards_examples() {
    assert_eq!(data("data: YHOO\ndata: +2\ndata: 10\n\n"), ["YHOO\n+2\n10"]);
    assert_eq!(
        data(": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n"),
        ["first event", "second event", " third event"]
    );
    assert_eq!(data("data\n\ndata\ndata\n\ndata:\n"), ["", "\n", ""]);
    assert_eq!(data("data:test\n\ndata: test\n\n"), ["test", "test"]);
}

#[test]
fn all_three_line_ends_and_a_byte_order_mark() {
    assert_eq!(data("\u{feff}data: a\r\n\r\ndata: b\r\rdata: c\n\n"), ["a", "b", "c"]);
    assert_eq!(data("data: a\r\ndata: b\r\n\r\n"), ["a\nb"]);
}

#[test]
fn a_name_belongs_to_one_event_only() {
    let events =
        read([b"event: error\ndata: x\n\ndata: y\n\nevent: message\ndata: z\n\n".as_slice()], 99).unwrap();
    let names: Vec<_> = events.iter().map(|event| event.name.as_deref()).collect();
    assert_eq!(names, [Some(b"error".as_slice()), None, None]);
}

#[test]
fn a_last_event_without_its_blank_line_is_given() {
    assert_eq!(data("data: a\n\ndata: [DONE]"), ["a", "[DONE]"]);
    assert_eq!(data("data: a\n\n: bye"), ["a"]);
}

#[test]
fn the_limit_passes_and_one_more_fails() {
    assert!(read([b"data: xx\n\n".as_slice()], 8).is_ok());
    assert_eq!(read([b"data: xxx\n\n".as_slice()], 8), Err(TooLong { limit: 8 }));
    assert_eq!(read([b"data: xxx".as_slice()], 8), Err(TooLong { limit: 8 }));
    assert!(read([b"data:xx\ndata:xx\ndata:xx\n\n".as_slice()], 8).is_ok());
    assert_eq!(read([b"data:xx\ndata:xx\ndata:xxx\n\n".as_slice()], 8), Err(TooLong { limit: 8 }));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_split_gives_the_same_events(
        text in "(data|event|:|: | |x|\\n|\\r|\\r\\n|\\n\\n|é){0,40}",
        cuts in proptest::collection::vec(0_usize..200, 0..8),
    ) {
        let bytes = text.as_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
        prop_assert_eq!(read(pieces, 200), read([bytes], 200));
    }
}
