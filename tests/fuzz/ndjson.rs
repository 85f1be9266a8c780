//! Lines of JSON: the same lines and the same end however they are cut, and within the limit.

use ghostllm_core::framing::{TooLong, ndjson::Lines};

use crate::{memory, pieces};

type Read = (Vec<Vec<u8>>, Result<(), TooLong>);

/// Limits that short inputs reach, and one that they do not.
const LIMITS: [usize; 3] = [4, 32, 4096];

/// Holds the reader's answers against a second reading's.
pub fn check(bytes: &[u8]) {
    for limit in LIMITS {
        let expected = reference(bytes, limit);
        for way in pieces::ways(bytes) {
            let lengths: Vec<usize> = way.iter().map(|piece| piece.len()).collect();
            assert_eq!(read(&way, limit), expected, "limit {limit}, pieces of {lengths:?}");
        }
        assert!(expected.0.iter().all(|line| line.len() <= limit), "a line passed the limit of {limit}");
    }
    memory::check(
        bytes,
        4,
        || Lines::new(memory::LIMIT),
        |lines, piece| {
            lines.push(piece);
            while lines.next_line()?.is_some() {}
            Ok(())
        },
    );
}

fn read(way: &[&[u8]], limit: usize) -> Read {
    let mut lines = Lines::new(limit);
    let mut found = Vec::new();
    for piece in way {
        lines.push(piece);
        if let Err(error) = drain(&mut lines, &mut found) {
            return (found, Err(error));
        }
    }
    found.extend(lines.finish().map(|line| line.to_vec()));
    (found, Ok(()))
}

fn drain(lines: &mut Lines, found: &mut Vec<Vec<u8>>) -> Result<(), TooLong> {
    while let Some(line) = lines.next_line()? {
        found.push(line.to_vec());
    }
    Ok(())
}

fn reference(bytes: &[u8], limit: usize) -> Read {
    let mut found = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        if line.len() > limit {
            return (found, Err(TooLong { limit }));
        }
        if !line.iter().all(u8::is_ascii_whitespace) {
            found.push(line.to_vec());
        }
    }
    (found, Ok(()))
}
