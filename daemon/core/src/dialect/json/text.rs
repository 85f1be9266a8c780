//! JSON strings, read and written at the speed of the long pieces between their escapes.
//!
//! Knows strings by RFC 8259 section 7. Refuses to know what they stand in. Invariant: what is read and written is what
//! serde_json would read and write, which goes byte by byte, and grows its buffers as it goes.

use std::borrow::Cow;

use memchr::memchr2;
use serde_json::value::RawValue;

use super::ESCAPE;

#[cfg(test)]
mod tests;

/// The text of a JSON string; none where the value is no string, or has half of a surrogate pair.
pub(crate) fn unquoted(raw: &RawValue) -> Option<String> {
    // An escape is longer than what it stands for.
    let mut room = String::with_capacity(raw.get().len());
    string(raw.get(), &mut room).map(|(text, _)| text.into_owned())
}

/// The string that a sound JSON text begins with, and what is behind it; none where it begins with no string, or with one that has
/// half of a surrogate pair. `room` is where one with escapes is put together.
pub(super) fn string<'a>(json: &'a str, room: &mut String) -> Option<(Cow<'a, str>, &'a str)> {
    let mut rest = json.strip_prefix('"')?;
    room.clear();
    loop {
        let (before, behind) = rest.split_at_checked(memchr2(b'"', b'\\', rest.as_bytes())?)?;
        if let Some(behind) = behind.strip_prefix('"') {
            let whole = if room.is_empty() {
                Cow::Borrowed(before)
            } else {
                Cow::Owned([room.as_str(), before].concat())
            };
            return Some((whole, behind));
        }
        let (letter, behind) = unescaped(behind)?;
        room.push_str(before);
        room.push(letter);
        rest = behind;
    }
}

/// The character whose escape a text begins with, and what is behind that.
fn unescaped(text: &str) -> Option<(char, &str)> {
    let letter = match text.as_bytes().get(1)? {
        letter @ (b'"' | b'\\' | b'/') => char::from(*letter),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return from_units(text),
        _ => return None,
    };
    Some((letter, text.get(2..)?))
}

/// The same of `\uXXXX`, of which two make the characters beyond 16 bits.
fn from_units(text: &str) -> Option<(char, &str)> {
    let first = unit(text)?;
    let rest = text.get(ESCAPE..)?;
    if let Some(letter) = char::from_u32(first.into()) {
        return Some((letter, rest));
    }
    let letter = char::decode_utf16([first, unit(rest)?]).next()?.ok()?;
    Some((letter, rest.get(ESCAPE..)?))
}

fn unit(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("\\u")?.get(..ESCAPE - 2)?, 16).ok()
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
