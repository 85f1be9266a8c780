//! Server-sent events: the same events and the same end however they are cut, within the limit, and as the standard says.

use ghostllm_core::framing::{
    TooLong,
    sse::{Event, Events},
};

use crate::{memory, pieces};

type Read = (Vec<Event>, Result<(), TooLong>);

/// Limits that short inputs reach, and one that they do not.
const LIMITS: [usize; 3] = [8, 40, 4096];

/// Holds the reader's answers against a second reading's.
pub fn check(bytes: &[u8]) {
    for limit in LIMITS {
        let expected = reference(bytes, limit);
        for way in pieces::ways(bytes) {
            let lengths: Vec<usize> = way.iter().map(|piece| piece.len()).collect();
            assert_eq!(read(&way, limit), expected, "limit {limit}, pieces of {lengths:?}");
        }
        for event in &expected.0 {
            let longest = event.data.len().max(event.name.as_ref().map_or(0, bytes::Bytes::len));
            assert!(longest <= limit, "an event of {longest} bytes passed the limit of {limit}");
        }
    }
    // A name, a first line and the rest each lie in a buffer of their own, which may have twice the room it needs.
    memory::check(
        bytes,
        8,
        || Events::new(memory::LIMIT),
        |events, piece| {
            events.push(piece);
            while events.next_event()?.is_some() {}
            Ok(())
        },
    );
}

fn read(way: &[&[u8]], limit: usize) -> Read {
    let mut events = Events::new(limit);
    let mut found = Vec::new();
    for piece in way {
        events.push(piece);
        if let Err(error) = drain(&mut events, &mut found) {
            return (found, Err(error));
        }
    }
    let end = events.finish().map(|last| found.extend(last));
    (found, end)
}

fn drain(events: &mut Events, found: &mut Vec<Event>) -> Result<(), TooLong> {
    while let Some(event) = events.next_event()? {
        found.push(event);
    }
    Ok(())
}

/// The standard's "interpreting an event stream" over the whole text, with our limits, and with the last event given
/// although its blank line is missing.
fn reference(bytes: &[u8], limit: usize) -> Read {
    let mut events = Vec::new();
    let (mut name, mut data): (&[u8], Option<Vec<u8>>) = (b"", None);
    for line in lines(bytes) {
        if line.len() > limit {
            return (events, Err(TooLong { limit }));
        }
        // A mark is the stream's first three bytes, and only there.
        let line = if std::ptr::eq(line.as_ptr(), bytes.as_ptr()) {
            line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)
        } else {
            line
        };
        if line.is_empty() {
            events.extend(event(std::mem::take(&mut name), data.take()));
            continue;
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (field, value) = (&line[..colon], line.get(colon + 1..).unwrap_or_default());
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"event" => name = value,
            b"data" => {
                let joined = data.take().map_or_else(|| value.to_vec(), |data| [&data, value].join(&b'\n'));
                if joined.len() > limit {
                    return (events, Err(TooLong { limit }));
                }
                data = Some(joined);
            }
            _ => {}
        }
    }
    events.extend(event(name, data));
    (events, Ok(()))
}

fn event(name: &[u8], data: Option<Vec<u8>>) -> Option<Event> {
    let name = (!name.is_empty() && name != b"message").then(|| name.to_vec().into());
    data.map(|data| Event { name, data: data.into() })
}

/// The lines, without their ends: a return, a newline, or both in this order. A last one without an end counts.
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| b"\r\n".contains(byte)).unwrap_or(rest.len());
        lines.push(&rest[..end]);
        rest = &rest[end..];
        rest = rest.strip_prefix(b"\r\n").unwrap_or_else(|| rest.get(1..).unwrap_or_default());
    }
    lines
}
