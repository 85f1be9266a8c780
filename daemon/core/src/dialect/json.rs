//! Writing and reading JSON without a tree in between.
//!
//! Knows serde_json and byte buffers. Refuses to know any dialect. Invariant: what is written is one JSON value.

use std::{borrow::Cow, fmt, marker::PhantomData};

use bytes::{BufMut, Bytes, BytesMut};
use memchr::{memchr, memchr_iter, memchr2, memmem, memrchr};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

mod members;
mod sound;
mod text;

pub(crate) use members::{Members, list};
pub(crate) use sound::{Elements, Entries};
pub(crate) use text::{Quoted, quote};

/// Whether a text is nested deeper than `most` levels, by its brackets outside of strings: deep nesting costs a parser its
/// stack long before it costs bytes.
#[must_use]
pub fn is_deeper(text: &[u8], most: usize) -> bool {
    let (mut depth, mut place) = (0_usize, 0);
    while let Some(byte) = text.get(place) {
        place += 1;
        match byte {
            b'"' => place = string_end(text, place),
            b'{' | b'[' => {
                depth += 1;
                if depth > most {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Behind the quote that ends a string which has begun right before `start`; the text's end where there is none.
fn string_end(text: &[u8], start: usize) -> usize {
    let inside = text.get(start..).unwrap_or_default();
    // A prompt is one long string: it is searched, not walked through, for its quotes alone, since most escapes are line ends.
    let mut quotes = memchr_iter(b'"', inside);
    quotes.find(|quote| !is_escaped(inside, *quote)).map_or(text.len(), |quote| start + quote + 1)
}

/// Whether the byte at this place in a string is behind a backslash that is no second half of an escape itself. A string of backslashes
/// and quotes is gone over once more at the most: no two quotes have a backslash in common.
fn is_escaped(inside: &[u8], place: usize) -> bool {
    let before = inside.iter().take(place).rev().take_while(|byte| **byte == b'\\');
    before.count() % 2 == 1
}

/// The place of the first escape of half a surrogate pair: `\ud800` alone is JSON by its grammar and no character, which
/// readers take as they like (RFC 8259 section 8.2). `text` is JSON, and so has backslashes in strings alone.
pub(crate) fn lone_surrogate(text: &[u8]) -> Option<usize> {
    let first = memchr(b'\\', text)?;
    // Few texts have an escape of this form, and many have others, at each of which a search would halt.
    memmem::find(text.get(first..)?, b"\\u")?;
    lone_surrogate_from(text, first)
}

/// The same from a place on that is not inside of an escape.
fn lone_surrogate_from(text: &[u8], mut place: usize) -> Option<usize> {
    while let Some(found) = text.get(place..).and_then(|rest| memchr(b'\\', rest)) {
        place += found;
        place += match surrogate(text, place) {
            None => 2,
            Some(Half::High) if matches!(surrogate(text, place + ESCAPE), Some(Half::Low)) => 2 * ESCAPE,
            Some(_) => return Some(place),
        };
    }
    None
}

/// The text with U+FFFD for each escape of half a pair, no longer and no shorter: what Go's writer makes of it, and what every
/// reader takes. Engines cut a stream anywhere, also in the middle of a character. `text` may be anything.
pub(crate) fn paired(text: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = lone_surrogate(text) else { return Cow::Borrowed(text) };
    let (mut mended, mut next) = (text.to_vec(), Some(first));
    while let Some(place) = next {
        if let Some(escape) = mended.get_mut(place..place + ESCAPE) {
            escape.copy_from_slice(REPLACEMENT);
        }
        next = lone_surrogate_from(&mended, place + ESCAPE);
    }
    Cow::Owned(mended)
}

/// Where a byte of a text stands, both counted from 1, as serde_json counts.
pub(crate) fn line_and_column(text: &[u8], place: usize) -> (usize, usize) {
    let before = text.get(..place).unwrap_or(text);
    let line_start = memrchr(b'\n', before).map_or(0, |end| end + 1);
    (1 + memchr_iter(b'\n', before).count(), 1 + before.len() - line_start)
}

/// The length of `\uXXXX`.
const ESCAPE: usize = 6;
/// The escape of the character that stands for what is none.
const REPLACEMENT: &[u8; ESCAPE] = b"\\ufffd";

enum Half {
    High,
    Low,
}

/// Which half of a pair the escape at `place` is, if it is one.
fn surrogate(text: &[u8], place: usize) -> Option<Half> {
    let hex = text.get(place..place + ESCAPE)?.strip_prefix(b"\\u")?;
    match u16::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()? {
        0xD800..=0xDBFF => Some(Half::High),
        0xDC00..=0xDFFF => Some(Half::Low),
        _ => None,
    }
}

/// A struct that is read from a JSON object. By itself, a derived reader takes a list as well, its elements for the fields
/// in their order, which is no form of anybody's.
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
            type Value = Object<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(Reader(PhantomData))
    }
}

/// Reads a list's elements one after the other and gives each to `then` before it reads the next, so that a list of millions
/// ends with its first wrong one, and a prompt of a megabyte is gone over once. `wrong` makes the error for the element at a
/// place that is of another form, from serde's words without any of the text's.
pub(crate) fn each<'a, T: Deserialize<'a>, E>(
    list: &'a RawValue,
    then: impl FnMut(usize, T) -> Result<(), E>,
    wrong: impl FnOnce(usize, &str) -> E,
) -> Result<(), E> {
    let mut each = Each { then, place: 0, failed: None, element: PhantomData };
    let Err(error) = serde_json::Deserializer::from_str(list.get()).deserialize_seq(&mut each) else {
        return Ok(());
    };
    Err(each.failed.unwrap_or_else(|| wrong(each.place, &words(&error))))
}

/// An object as this type; else serde's words for what is wrong, without the place.
pub(crate) fn object<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, String> {
    serde_json::from_str(json).map(|Object(value)| value).map_err(|error| words(&error))
}

/// A member that is there, also where it is null, which serde takes for none: a second one of its name would be one too many. For
/// `deserialize_with`.
pub(crate) fn there<'de, D: Deserializer<'de>>(value: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(value).map(Some)
}

/// The member that an object has twice, by serde's words; none where something else is wrong.
pub(crate) fn doubled(words: &str) -> Option<&str> {
    words.strip_prefix("duplicate field `")?.strip_suffix('`')
}

/// So deep an object is looked for that has a member twice; none that is read stands deeper.
const DEEP: usize = 16;

/// Where the first such member stands in a value that `at` names, which is known to be sound JSON.
pub(crate) fn place_of_doubled(at: &str, json: &str, member: &str) -> Option<String> {
    place_from(at, json, member, DEEP)
}

fn place_from(at: &str, json: &str, member: &str, deep: usize) -> Option<String> {
    let is_deep = |json: &str| json.starts_with(['{', '[']);
    let deep = deep.checked_sub(1)?;
    if let Some(mut list) = Elements::of_text(json) {
        let mut place = 0;
        while list.more() {
            let element = list.element();
            let found =
                is_deep(element).then(|| place_from(&format!("{at}[{place}]"), element, member, deep));
            if let Some(found) = found.flatten() {
                return Some(found);
            }
            place += 1;
        }
        return None;
    }
    if Entries::of(json).filter(|(name, _)| name.text().eq_ignore_ascii_case(member)).nth(1).is_some() {
        return Some(format!("{at}.{member}"));
    }
    // Errors repeat no name of any length and making.
    let is_shown = |name: &str| {
        name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let mut inner = Entries::of(json).filter(|(name, value)| is_deep(value) && is_shown(name.spelled()));
    inner.find_map(|(name, value)| place_from(&format!("{at}.{}", name.spelled()), value, member, deep))
}

/// serde's words for what is wrong, without the place.
pub(crate) fn words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or("wrong").to_owned()
}

struct Each<F, T, E> {
    then: F,
    place: usize,
    failed: Option<E>,
    element: PhantomData<T>,
}

impl<'de, T, E, F> Visitor<'de> for &mut Each<F, T, E>
where
    T: Deserialize<'de>,
    F: FnMut(usize, T) -> Result<(), E>,
{
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element()? {
            if let Err(failed) = (self.then)(self.place, element) {
                self.failed = Some(failed);
                return Err(A::Error::custom("refused"));
            }
            self.place += 1;
        }
        Ok(())
    }
}

/// A JSON text on one line, no longer and no shorter: JSON may hold line ends between its tokens, and nowhere else; a line
/// of an event may not.
pub(crate) fn flat(text: &[u8]) -> Cow<'_, [u8]> {
    let ends = |byte: &u8| matches!(byte, b'\r' | b'\n');
    if memchr2(b'\r', b'\n', text).is_some() {
        text.iter().map(|byte| if ends(byte) { b' ' } else { *byte }).collect()
    } else {
        Cow::Borrowed(text)
    }
}

/// Appends a value. The values that are written here are strings, numbers and structs of them, with string keys
/// only, and a growing buffer takes any length: neither of serde_json's two ways to fail exists.
pub(crate) fn write<T: Serialize + ?Sized>(out: &mut BytesMut, value: &T) {
    let before = out.len();
    if serde_json::to_writer(out.writer(), value).is_err() {
        out.truncate(before);
        out.put_slice(b"null");
    }
}

/// A value as a body of its own, of about so many bytes. A text with escapes is written in many short pieces, which a `Vec`
/// takes more cheaply than a `BytesMut`.
pub(crate) fn body<T: Serialize + ?Sized>(value: &T, about: usize) -> Bytes {
    let mut out = Vec::with_capacity(about);
    append(&mut out, value);
    out.into()
}

/// Appends a value, which has as few ways to fail as above.
pub(crate) fn append<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    let before = out.len();
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.truncate(before);
        out.extend_from_slice(b"null");
    }
}

/// Where a piece that was borrowed from a text begins and ends in it.
pub(crate) fn span(whole: &[u8], piece: &str) -> std::ops::Range<usize> {
    let start = (piece.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    start..start.saturating_add(piece.len())
}

/// The text with one range replaced by a JSON string.
pub(crate) fn spliced(out: &mut BytesMut, whole: &[u8], range: std::ops::Range<usize>, text: &str) {
    out.put_slice(whole.get(..range.start).unwrap_or_default());
    write(out, text);
    out.put_slice(whole.get(range.end..).unwrap_or_default());
}

/// The text with each of these places replaced by what belongs there; no two of them overlap.
pub(crate) fn edited(whole: &[u8], mut edits: Vec<(std::ops::Range<usize>, String)>) -> Bytes {
    edits.sort_by_key(|(place, _)| place.start);
    let more: usize = edits.iter().map(|(_, text)| text.len()).sum();
    let (mut out, mut next) = (BytesMut::with_capacity(whole.len() + more), 0);
    for (place, text) in edits {
        out.put_slice(whole.get(next..place.start).unwrap_or_default());
        out.put_slice(text.as_bytes());
        next = place.end;
    }
    out.put_slice(whole.get(next..).unwrap_or_default());
    out.freeze()
}

/// Reads an object from bytes that may be anything; the error is a sentence for the log, which says where and how much, and
/// never what: the bytes may be a person's words. The whole is checked to be UTF-8, also what the value ignores, since it
/// may be passed on.
pub(crate) fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8], what: &str) -> Result<T, String> {
    let length = bytes.len();
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(format!("{what}: {length} bytes that are not UTF-8"));
    };
    serde_json::from_str(text).map(|Object(value)| value).map_err(|error| {
        let place = format!("line {} column {} of {length} bytes", error.line(), error.column());
        let form = if error.is_data() { "JSON of another form" } else { "no JSON" };
        format!("{what}: {form}, at {place}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_depth_passes_and_one_more_does_not() {
        assert!(!is_deeper(b"[[{\"a\":[]}]]", 4));
        assert!(is_deeper(b"[[{\"a\":[[]]}]]", 4));
        assert!(!is_deeper(b"[][][][]", 1), "what is closed counts no more");
        assert!(is_deeper(br#"{"a":"\\","b":[]}"#, 1), "a string that ends in a backslash ends");
        assert!(!is_deeper(br#"["[[[[[[\"[[[["]"#, 1), "brackets in a string are text");
        for cut_off in [&b"\"[["[..], b"\"\\", b"\"\\\"[["] {
            assert!(!is_deeper(cut_off, 1), "{cut_off:?}");
        }
    }

    #[test]
    fn half_a_pair_is_found_and_nothing_else() {
        for sound in [
            r"\ud83d\ude00",
            r"\uD83D\uDE00\ud83d\ude00",
            r"\\ud800",
            r#"\"\u00e9\ue000\ud7ff"#,
            "\u{1f600}",
            r"\ud80",
        ] {
            assert_eq!(lone_surrogate(sound.as_bytes()), None, "{sound}");
        }
        for (broken, place) in [
            (r"\ud800", 0),
            (r"a\udc00", 1),
            (r"\ud800\ud800\udc00", 0),
            (r"\ud83d\ude00\ude00", 12),
            (r"\ud800 \udc00", 0),
            (r"\\\uDFFF", 2),
        ] {
            assert_eq!(lone_surrogate(broken.as_bytes()), Some(place), "{broken}");
        }
    }

    #[test]
    fn each_half_is_replaced_and_nothing_else() {
        for (text, mended) in [
            ("", ""),
            (r"a\\ud800\n\ud83d\ude00", r"a\\ud800\n\ud83d\ude00"),
            (r"\ud83d", r"\ufffd"),
            (r"\ude00\uD83D\ud83d\ude00\ud83d", r"\ufffd\ufffd\ud83d\ude00\ufffd"),
            (r"\ud83d \ude00\u", r"\ufffd \ufffd\u"),
        ] {
            assert_eq!(paired(text.as_bytes()), mended.as_bytes(), "{text}");
            assert_eq!(matches!(paired(text.as_bytes()), Cow::Borrowed(_)), text == mended);
        }
    }

    #[test]
    fn a_member_that_is_there_twice_is_found_where_it_stands() {
        for (json, place) in [
            (r#"{"b":1,"b":2}"#, Some("t.b")),
            (r#"{"a":[5,{"b":1},{"c":{"b":"b","\u0062":2}}]}"#, Some("t.a[2].c.b")),
            (r#"{"a":{"b":1},"c":{"b":1}}"#, None),
            ("5", None),
        ] {
            assert_eq!(place_of_doubled("t", json, "b").as_deref(), place, "{json}");
        }
        let deep = format!("{}{{\"b\":1,\"b\":1}}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(place_of_doubled("t", &deep, "b"), None, "and no stack is run out of");
    }

    #[test]
    fn a_place_is_counted_as_serde_json_counts_it() {
        let text = b"{\n  \"a\":\n x}";
        let place = text.iter().position(|byte| *byte == b'x').unwrap();
        let error = serde_json::from_slice::<serde::de::IgnoredAny>(text).unwrap_err();
        assert_eq!(line_and_column(text, place), (error.line(), error.column()));
        assert_eq!(line_and_column(b"x", 0), (1, 1));
    }
}
