//! Vectors as base64: numbers of 32 bits, the lowest byte first, which openai-python and openai-node ask for by default.
//!
//! Knows RFC 4648's alphabet with its padding. Refuses to know JSON. Invariant: what was written is read as the same bits.

use bytes::{BufMut, BytesMut};

/// Appends a vector's text, without quotes.
pub(super) fn encode(out: &mut BytesMut, vector: &[f32]) {
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    let (triples, rest) = bytes.as_chunks::<3>();
    for triple in triples {
        out.put_slice(&letters(*triple));
    }
    match rest {
        [one] => {
            let [first, second, ..] = letters([*one, 0, 0]);
            out.put_slice(&[first, second, b'=', b'=']);
        }
        [one, two] => {
            let [first, second, third, _] = letters([*one, *two, 0]);
            out.put_slice(&[first, second, third, b'=']);
        }
        _ => {}
    }
}

/// The vector of such a text; none where it is not one.
pub(super) fn decode(text: &str) -> Option<Vec<f32>> {
    let inner = text.trim_end_matches('=');
    let padding = text.len() - inner.len();
    if padding > 2 || inner.contains('=') {
        return None;
    }
    let (quads, []) = text.as_bytes().as_chunks::<4>() else { return None };
    let mut bytes = Vec::with_capacity(quads.len() * 3);
    for quad in quads {
        let [a, b, c, d] = quad.map(value);
        let (a, b, c, d) = (a?, b?, c?, d?);
        bytes.extend([a << 2 | b >> 4, (b & 15) << 4 | c >> 2, (c & 3) << 6 | d]);
    }
    bytes.truncate(bytes.len() - padding);
    let (numbers, []) = bytes.as_chunks::<4>() else { return None };
    Some(numbers.iter().map(|four| f32::from_le_bytes(*four)).collect())
}

fn letters([a, b, c]: [u8; 3]) -> [u8; 4] {
    [a >> 2, (a & 3) << 4 | b >> 4, (b & 15) << 2 | c >> 6, c & 63].map(letter)
}

fn letter(six: u8) -> u8 {
    match six {
        0..=25 => b'A' + six,
        26..=51 => b'a' + (six - 26),
        52..=61 => b'0' + (six - 52),
        62 => b'+',
        _ => b'/',
    }
}

fn value(letter: u8) -> Option<u8> {
    match letter {
        b'A'..=b'Z' => Some(letter - b'A'),
        b'a'..=b'z' => Some(letter - b'a' + 26),
        b'0'..=b'9' => Some(letter - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        // At the end alone, and cut off behind it.
        b'=' => Some(0),
        _ => None,
    }
}
