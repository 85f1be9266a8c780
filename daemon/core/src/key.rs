//! What an API key looks like.
//!
//! Knows the text `gllm_` + 8 digits of an id + 43 digits of a secret + 6 digits of a checksum, all in base62.
//! Refuses to know where keys are kept and where randomness comes from. Invariant: a [`Key`] always bears the
//! right checksum, and nothing but [`Key::reveal`] gives its secret away.

use std::{borrow::Cow, fmt};

use percent_encoding::percent_decode_str;
use thiserror::Error;

use crate::{text::is_obeyed, usage::OTHER};

/// What every key begins with, so that people and secret scanners know it.
pub const PREFIX: &str = "gllm_";
/// Digits of the id: the part that may be shown, logged and looked up.
pub const ID_DIGITS: usize = 8;
/// Digits of the secret: 62^43 > 2^256, so 43 digits hold 256 bits.
pub const SECRET_DIGITS: usize = 43;
/// Digits of the checksum: 62^6 > 2^32, so 6 digits hold a CRC-32.
pub const CHECKSUM_DIGITS: usize = 6;
/// Bytes of a whole key.
pub const KEY_BYTES: usize = PREFIX.len() + ID_DIGITS + SECRET_DIGITS + CHECKSUM_DIGITS;
/// Random bytes that one key is made of: 8 for the id, 32 for the secret.
pub const RANDOM_BYTES: usize = 40;

/// How often percent-encoding is undone in search of a key.
const MOST_ENCODINGS: usize = 4;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A whole API key, its secret included.
///
/// There is no `PartialEq`: keys are compared by digest, in constant time, by whoever keeps them.
#[derive(Clone)]
pub struct Key {
    text: String,
}

/// Why a text is not a key. Never carries any part of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// It does not begin with `gllm_`.
    #[error("an API key begins with \"gllm_\"")]
    Prefix,
    /// It is shorter or longer than a key.
    #[error("an API key has {KEY_BYTES} characters; this one was cut or has something added")]
    Length,
    /// It has a character that is neither a digit nor a letter of ASCII.
    #[error("an API key has only the letters A to Z and a to z and the digits 0 to 9 after \"gllm_\"")]
    Character,
    /// The checksum does not fit: mistyped.
    #[error("the API key's checksum does not fit: a character is mistyped")]
    Checksum,
}

impl Key {
    /// Makes a key of `random` bytes, which must come from a cryptographic source.
    #[must_use]
    pub fn generate(random: [u8; RANDOM_BYTES]) -> Self {
        // The id only has to be unlikely to meet another one; it is no secret, so the small bias of cutting
        // its number to 8 digits does not matter.
        let (id, secret) = random.split_at(RANDOM_BYTES - 32);
        let mut text = String::with_capacity(KEY_BYTES);
        text.push_str(PREFIX);
        text.push_str(&base62(id, ID_DIGITS));
        text.push_str(&base62(secret, SECRET_DIGITS));
        let checksum = checksum(&text);
        text.push_str(&checksum);
        Self { text }
    }

    /// Reads a key as a caller presents it, with nothing around it.
    ///
    /// # Errors
    /// Says why the text cannot be a key; a key with one mistyped character always fails here.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let rest = text.strip_prefix(PREFIX).ok_or(KeyError::Prefix)?;
        if text.len() != KEY_BYTES {
            return Err(KeyError::Length);
        }
        if !rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(KeyError::Character);
        }
        // Only ASCII from here on, so every position is a boundary.
        let Some((body, given)) = text.split_at_checked(KEY_BYTES - CHECKSUM_DIGITS) else {
            return Err(KeyError::Length);
        };
        if checksum(body) == given { Ok(Self { text: text.to_owned() }) } else { Err(KeyError::Checksum) }
    }

    /// The part that may be shown and logged, 8 characters.
    #[must_use]
    pub fn id(&self) -> &str {
        self.text.get(PREFIX.len()..PREFIX.len() + ID_DIGITS).unwrap_or_default()
    }

    /// The whole key, secret included: for showing it once and for hashing it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({PREFIX}{}…)", self.id())
    }
}

/// Whether `text` could be a key's id.
#[must_use]
pub fn is_id(text: &str) -> bool {
    text.len() == ID_DIGITS && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The most characters of a key's name: it stands in tables and log lines.
pub const NAME_CHARACTERS: usize = 64;

/// Whether `text` can be a key's name: something a person can read, on one line.
#[must_use]
pub fn is_name(text: &str) -> bool {
    text.trim() == text
        && (1..=NAME_CHARACTERS).contains(&text.chars().count())
        && !text.chars().any(is_obeyed)
}

/// Whether whoever shows no key is told by this name in records and in what requests have used, `local`, `uid N` and `other` for whoever
/// has no row there: a key of such a name could not be told from them.
#[must_use]
pub fn is_keyless_name(text: &str) -> bool {
    let text = text.to_lowercase();
    ["local", "system", OTHER].contains(&text.as_str()) || text == "uid" || text.starts_with("uid ")
}

/// `text` without what a key in it has behind its id: whoever has written one in a wrong place is not to find it repeated.
#[must_use]
pub fn hidden(text: &str) -> Cow<'_, str> {
    match decoded(text) {
        Some(decoded) => Cow::Owned(cut_out(&decoded).into_owned()),
        None => cut_out(text),
    }
}

/// As much of `text` as comes before a key.
#[must_use]
pub fn before(text: &str) -> Cow<'_, str> {
    let up_to = |text: &str| text.find(PREFIX).unwrap_or(text.len());
    match decoded(text) {
        Some(mut decoded) => {
            decoded.truncate(up_to(&decoded));
            Cow::Owned(decoded)
        }
        None => Cow::Borrowed(text.get(..up_to(text)).unwrap_or(text)),
    }
}

/// The same without percent-encoding (RFC 3986 section 2.1), also where that was done again and again, if there is a key in it.
fn decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return None;
    }
    let (mut plain, mut found) = (text.to_owned(), None);
    for _ in 0..MOST_ENCODINGS {
        let next = percent_decode_str(&plain).decode_utf8_lossy().into_owned();
        if next == plain {
            break;
        }
        if next.contains(PREFIX) {
            found = Some(next.clone());
        }
        plain = next;
    }
    found
}

fn cut_out(text: &str) -> Cow<'_, str> {
    let Some(at) = text.find(PREFIX) else { return Cow::Borrowed(text) };
    let (before, rest) = text.split_at(at + PREFIX.len());
    let digits = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
    let (word, behind) = rest.split_at(digits);
    let id = word.get(..ID_DIGITS).unwrap_or(word);
    let more = if digits > ID_DIGITS { "…" } else { "" };
    Cow::Owned(format!("{before}{id}{more}{}", cut_out(behind)))
}

/// CRC-32 (IEEE 802.3) of `text` in base62.
fn checksum(text: &str) -> String {
    base62(&crc32fast::hash(text.as_bytes()).to_be_bytes(), CHECKSUM_DIGITS)
}

/// The big-endian number in `bytes`, modulo 62^`digits`, in base62 with leading zeros.
fn base62(bytes: &[u8], digits: usize) -> String {
    let mut number = bytes.to_vec();
    let mut reversed = Vec::with_capacity(digits);
    for _ in 0..digits {
        // Long division by 62 from the most significant byte on; what is left over is the lowest digit.
        let mut rest = 0u32;
        for byte in &mut number {
            let value = (rest << 8) | u32::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            rest = value % 62;
        }
        let digit = usize::try_from(rest).unwrap_or(0);
        reversed.push(ALPHABET.get(digit).copied().map_or('0', char::from));
    }
    reversed.into_iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> Key {
        Key::generate(std::array::from_fn(|i| u8::try_from(i * 5 + 1).unwrap()))
    }

    #[test]
    fn the_smallest_and_the_largest_key_have_the_fixed_shape() {
        let zero = Key::generate([0; RANDOM_BYTES]);
        assert!(zero.reveal().starts_with(&format!("gllm_{}", "0".repeat(51))));
        let full = Key::generate([0xff; RANDOM_BYTES]);
        // Computed independently, with arbitrary-precision integers and zlib's CRC-32.
        assert_eq!(full.reveal(), "gllm_Ha16AHYFyhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp11kzZZB");
        for key in [zero, full] {
            assert_eq!(key.reveal().len(), 62);
            assert_eq!(Key::parse(key.reveal()).unwrap().reveal(), key.reveal());
        }
    }

    #[test]
    fn the_checksum_is_the_ieee_crc32() {
        // The check value of CRC-32/ISO-HDLC: 0xCBF43926 for "123456789".
        assert_eq!(crc32fast::hash(b"123456789"), 0xCBF4_3926);
        assert_eq!(base62(&62u32.to_be_bytes(), 6), "000010");
        assert_eq!(base62(&61u32.to_be_bytes(), 6), "00000z");
    }

    #[test]
    fn every_single_typo_and_every_swap_is_found() {
        let key = sample();
        let text = key.reveal().as_bytes();
        for i in PREFIX.len()..text.len() {
            for replacement in ALPHABET {
                let mut typo = text.to_vec();
                if typo[i] == *replacement {
                    continue;
                }
                typo[i] = *replacement;
                assert!(Key::parse(std::str::from_utf8(&typo).unwrap()).is_err());
            }
            if i + 1 < text.len() && text[i] != text[i + 1] {
                let mut swapped = text.to_vec();
                swapped.swap(i, i + 1);
                assert!(Key::parse(std::str::from_utf8(&swapped).unwrap()).is_err());
            }
        }
    }

    #[test]
    fn what_is_no_key_is_refused_by_reason() {
        let key = sample();
        assert_eq!(Key::parse("").unwrap_err(), KeyError::Prefix);
        assert_eq!(Key::parse("sk-abc").unwrap_err(), KeyError::Prefix);
        assert_eq!(Key::parse("gllm_").unwrap_err(), KeyError::Length);
        assert_eq!(Key::parse(&format!("{}x", key.reveal())).unwrap_err(), KeyError::Length);
        assert_eq!(Key::parse(&format!(" {}", key.reveal())).unwrap_err(), KeyError::Prefix);
        let mut odd = key.reveal().to_owned();
        odd.replace_range(20..21, "-");
        assert_eq!(Key::parse(&odd).unwrap_err(), KeyError::Character);
        // The same number of bytes with a character of two bytes in it, also across the checksum's boundary.
        for place in [20, 55] {
            let mut wide = key.reveal().to_owned();
            wide.replace_range(place..place + 2, "é");
            assert_eq!(Key::parse(&wide).unwrap_err(), KeyError::Character);
        }
    }

    #[test]
    fn a_name_is_one_line_that_a_person_can_read() {
        for name in ["a", "Küche \"2\"", "laptop (Jo)", &"x".repeat(NAME_CHARACTERS)] {
            assert!(is_name(name), "{name:?}");
        }
        // What nobody sees makes two names look alike.
        for name in ["a\u{200b}", "a\u{ad}b", "\u{115f}", "a\u{e0041}", "\u{3164}", "a\u{fe0f}"] {
            assert!(!is_name(name), "{name:?}");
        }
        for name in ["", " a", "a\n", "a\u{1b}[0m", "\u{202e}evil", &"x".repeat(NAME_CHARACTERS + 1)] {
            assert!(!is_name(name), "{name:?}");
        }
    }

    #[test]
    fn callers_without_a_key_have_names_of_their_own() {
        for name in ["local", "Local", "other", "system", "uid 0", "uid 1000", "uid unknown", "UID 0", "uid"]
        {
            assert!(is_keyless_name(name), "{name:?}");
        }
        for name in ["laptop", "local box", "locals", "uide", "fluid 0", "another", "first"] {
            assert!(!is_keyless_name(name), "{name:?}");
        }
    }

    #[test]
    fn debug_never_shows_the_secret() {
        let key = sample();
        let shown = format!("{key:?}");
        assert!(shown.contains(key.id()));
        assert!(!shown.contains(&key.reveal()[13..20]));
    }

    proptest! {
        #[test]
        fn what_is_generated_parses_to_itself(random in proptest::collection::vec(any::<u8>(), RANDOM_BYTES)) {
            let key = Key::generate(random.try_into().unwrap());
            let again = Key::parse(key.reveal()).unwrap();
            prop_assert_eq!(again.reveal(), key.reveal());
            prop_assert_eq!(again.id(), key.id());
            prop_assert!(is_id(key.id()));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}", tail in "[0-9A-Za-z]{50,60}") {
            let _ = Key::parse(&text);
            let _ = Key::parse(&format!("gllm_{tail}"));
        }
    }

    #[test]
    fn a_key_is_repeated_by_its_id_alone() {
        let key = Key::generate([7; RANDOM_BYTES]);
        let (whole, id) = (key.reveal(), key.id());
        assert_eq!(hidden(&format!("no {whole}: {whole}.")), format!("no gllm_{id}…: gllm_{id}…."));
        for text in ["", "no key", "gllm_", "gllm_Ab3dE6gH", "begins with \"gllm_\""] {
            assert!(matches!(hidden(text), ref same if same == text), "{text}");
        }
        // Encoded in whole or in part, once or twice, it is hidden as well; and before it is all that is before it.
        let encoded = |part: &str| part.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
        let twice = encoded(&encoded(whole));
        for text in [
            encoded(whole),
            whole.replace('_', "%5F"),
            twice,
            format!("{}{}", &whole[..20], encoded(&whole[20..])),
        ] {
            assert_eq!(hidden(&format!("/a/{text}?")), format!("/a/gllm_{id}…?"), "{text}");
            assert_eq!(before(&format!("/a/{text}?")), "/a/");
        }
        assert_eq!((before("/a/b%20c"), before("/a/gllm_x")), ("/a/b%20c".into(), "/a/".into()));
        assert_eq!(hidden("100 % of b%20c"), "100 % of b%20c");
        // Cut, or with something added, it is hidden as well.
        assert_eq!(hidden(&whole[..30]), format!("gllm_{id}…"));
        assert_eq!(hidden(&format!("{whole}x")), format!("gllm_{id}…"));
    }
}
