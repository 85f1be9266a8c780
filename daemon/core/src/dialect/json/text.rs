//! JSON strings, read and written at the speed of the long pieces between their escapes.
//!
//! Knows strings by RFC 8259 section 7. Refuses to know what they stand in. Invariant: what is read and written is what
//! serde_json would read and write, which goes byte by byte, and grows its buffers as it goes.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::value::RawValue;

use super::{ESCAPE, string_end};

#[cfg(test)]
mod tests;

/// A string of a JSON text that is known to be sound and of whole characters, as it is spelled there, its quotes aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quoted<'a>(&'a str);

impl<'a> Quoted<'a> {
    /// What stands between the quotes of such a string.
    pub(crate) fn inside(spelled: &'a str) -> Self {
        Self(spelled)
    }

    /// The string that a value is; none where it is no string.
    pub(crate) fn of(json: &'a str) -> Option<Self> {
        json.strip_prefix('"')?.strip_suffix('"').map(Self)
    }

    /// The string that a text begins with, and what is behind it; none where it begins with no string.
    pub(super) fn first(json: &'a str) -> Option<(Self, &'a str)> {
        let (string, behind) = json.split_at_checked(string_end(json.as_bytes(), 1))?;
        Some((Self::of(string)?, behind))
    }

    /// As it is spelled.
    pub(crate) fn spelled(self) -> &'a str {
        self.0
    }

    /// Appends it, its quotes around it.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        out.push(b'"');
        out.extend_from_slice(self.0.as_bytes());
        out.push(b'"');
    }

    /// The characters.
    pub(crate) fn text(self) -> Cow<'a, str> {
        match memchr(b'\\', self.0.as_bytes()) {
            None => Cow::Borrowed(self.0),
            Some(_) => serde_json::from_str(&format!("\"{}\"", self.0)).unwrap_or_default(),
        }
    }

    /// How many bytes the characters are.
    pub(crate) fn text_length(self) -> usize {
        let (mut length, mut behind) = (self.0.len(), 0);
        for place in memchr_iter(b'\\', self.0.as_bytes()) {
            // It may be the second half of the escape before.
            if place >= behind {
                let (written, stands_for) = escape_lengths(self.0.get(place..).unwrap_or_default());
                length = length.saturating_sub(written.saturating_sub(stands_for));
                behind = place + written;
            }
        }
        length
    }
}

/// A value that is a string; of any other type it is an error without words.
impl<'de: 'a, 'a> Deserialize<'de> for Quoted<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw: &'de RawValue = Deserialize::deserialize(deserializer)?;
        Self::of(raw.get()).ok_or_else(|| D::Error::custom("no string"))
    }
}

/// How long the escape is that a text begins with, and how many bytes the character has that it stands for.
fn escape_lengths(text: &str) -> (usize, usize) {
    let Some(hex) = text.strip_prefix("\\u").and_then(|rest| rest.get(..ESCAPE - 2)) else { return (2, 1) };
    match u32::from_str_radix(hex, 16).map(char::from_u32) {
        Ok(Some(letter)) => (ESCAPE, letter.len_utf8()),
        // A pair of halves, which makes a character beyond 16 bits.
        Ok(None) | Err(_) => (2 * ESCAPE, 4),
    }
}

/// Appends a text as a JSON string.
pub(crate) fn quote(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some((before, behind)) = rest.split_at_checked(unescaped_length(rest)) {
        out.extend_from_slice(before);
        let Some((byte, behind)) = behind.split_first() else { break };
        escape(out, *byte);
        rest = behind;
    }
    out.push(b'"');
}

/// How many bytes there are before the first that must be escaped: a quote, a backslash, or one below the space.
fn unescaped_length(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks();
    for (nr, word) in words.iter().enumerate() {
        let found = escaped_bytes(u64::from_le_bytes(*word));
        if found != 0 {
            return nr * size_of::<u64>() + found.trailing_zeros() as usize / 8;
        }
    }
    let of_words = bytes.len() - rest.len();
    let must = |byte: &u8| matches!(byte, b'"' | b'\\' | ..b' ');
    of_words + rest.iter().position(must).unwrap_or(rest.len())
}

/// Eight bytes at once: the lowest bit that is set is the highest of the first byte that must be escaped (Mycroft's way to find
/// a zero among them, as serde_json's reader does it; what is set above that bit may be wrong).
fn escaped_bytes(word: u64) -> u64 {
    const EACH: u64 = u64::MAX / 0xff;
    let zero = |word: u64| word.wrapping_sub(EACH) & !word;
    let control = word.wrapping_sub(EACH * 0x20) & !word;
    let (quote, backslash) = (zero(word ^ (EACH * 0x22)), zero(word ^ (EACH * 0x5c)));
    (control | quote | backslash) & (EACH << 7)
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let letter = match byte {
        b'"' | b'\\' => byte,
        b'\x08' => b'b',
        b'\x0c' => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            let digit = |half: u8| HEX.get(usize::from(half)).copied().unwrap_or(b'0');
            return out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
        }
    };
    out.extend_from_slice(&[b'\\', letter]);
}
