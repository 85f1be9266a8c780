//! A key as a caller presents it, in whichever field: what is read is a key of the right shape, and what is one character away
//! from it is none.
//!
//! An input is taken three times: as the field's value; as the digits of a key whose checksum is right, since no chance finds
//! one; and as changes to a good key, pairs of a place and what stands there then.

use std::fmt::Debug;

use ghostllm_core::key::{
    CHECKSUM_DIGITS, ID_DIGITS, KEY_BYTES, Key, KeyError, PREFIX, RANDOM_BYTES, SECRET_DIGITS, is_id,
};

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Where the secret begins.
const SECRET: usize = PREFIX.len() + ID_DIGITS;

/// Holds the reader's answer against a second reading's.
pub fn check(bytes: &[u8]) {
    for shown in shown(bytes) {
        check_text(shown);
    }
    check_digits(bytes);
    check_changes(bytes);
    check_generated(bytes);
}

/// What a field of this value may present: itself, without its spaces, and what stands behind a scheme.
fn shown(value: &[u8]) -> Vec<&str> {
    let Ok(text) = std::str::from_utf8(value) else { return Vec::new() };
    let behind = text.split_once(' ').map(|(_scheme, rest)| rest.trim());
    [Some(text), Some(text.trim()), behind].into_iter().flatten().collect()
}

fn check_text(text: &str) {
    let key = Key::parse(text);
    assert_eq!(key.as_ref().map(|_| ()).map_err(|error| *error), reference(text), "{text:?}");
    match key {
        Ok(key) => {
            assert_eq!(key.reveal(), text);
            assert!(is_id(key.id()));
            assert_eq!(key.id(), &text[PREFIX.len()..SECRET]);
            let again = Key::parse(key.reveal()).expect("it was a key a moment ago");
            assert_eq!(again.reveal(), text);
            tells_no_secret(&key, text);
            check_neighbours(text);
        }
        Err(error) => tells_nothing(&error, text),
    }
}

/// The second reading: the same questions in the same order, the checksum by numbers that hold it whole.
fn reference(text: &str) -> Result<(), KeyError> {
    let bytes = text.as_bytes();
    if !bytes.starts_with(b"gllm_") {
        return Err(KeyError::Prefix);
    }
    if bytes.len() != 5 + 8 + 43 + 6 {
        return Err(KeyError::Length);
    }
    let Some(digits) = bytes[5..].iter().map(|byte| digit(*byte)).collect::<Option<Vec<_>>>() else {
        return Err(KeyError::Character);
    };
    let given = digits[8 + 43..].iter().fold(0_u64, |number, digit| number * 62 + digit);
    if given == u64::from(crc32(&bytes[..5 + 8 + 43])) { Ok(()) } else { Err(KeyError::Checksum) }
}

/// The value of one digit of base62.
fn digit(byte: u8) -> Option<u64> {
    match byte {
        b'0'..=b'9' => Some(u64::from(byte - b'0')),
        b'A'..=b'Z' => Some(u64::from(byte - b'A') + 10),
        b'a'..=b'z' => Some(u64::from(byte - b'a') + 36),
        _ => None,
    }
}

/// CRC-32 as of ISO 3309, a bit at a time.
fn crc32(bytes: &[u8]) -> u32 {
    let fold = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), fold))
}

/// A key is shown by its id alone.
fn tells_no_secret(key: &Key, text: &str) {
    let shown = format!("{key:?} {key:#?}");
    assert!(shown.contains(key.id()));
    // Three digits may be in the id as well, or in the words around.
    for part in text.as_bytes()[SECRET..].windows(9) {
        let part = str::from_utf8(part).expect("only ASCII");
        assert!(!shown.contains(part), "{shown}");
    }
}

/// A refusal is one of four sentences, whatever was presented.
fn tells_nothing(error: &KeyError, text: &str) {
    let said = |error: &dyn Debug| format!("{error:?}");
    assert!(["Prefix", "Length", "Character", "Checksum"].contains(&&*said(error)), "{text:?}");
}

/// With any one character changed, dropped or doubled it is no key.
fn check_neighbours(text: &str) {
    let bytes = text.as_bytes();
    // One other digit for each place here; `check_changes` has the others.
    let others = ALPHABET.iter().cycle().skip(usize::from(bytes[SECRET]) % 62);
    for (at, other) in (0..bytes.len()).zip(others) {
        let mut changed = bytes.to_vec();
        changed[at] = if *other == bytes[at] { b'-' } else { *other };
        refuses(&changed);
        let mut shorter = bytes.to_vec();
        shorter.remove(at);
        refuses(&shorter);
        let mut longer = bytes.to_vec();
        longer.insert(at, bytes[at]);
        refuses(&longer);
    }
}

fn refuses(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).expect("only ASCII");
    assert!(Key::parse(text).is_err(), "{text}");
    assert!(reference(text).is_err(), "{text}");
}

/// The input as digits, with the checksum that fits.
fn check_digits(bytes: &[u8]) {
    let digits = bytes.iter().chain(std::iter::repeat(&0)).take(ID_DIGITS + SECRET_DIGITS);
    let mut text = PREFIX.to_owned();
    text.extend(digits.map(|byte| char::from(ALPHABET[usize::from(*byte) % 62])));
    let mut sum = u64::from(crc32(text.as_bytes()));
    let mut check = [0; CHECKSUM_DIGITS];
    for digit in check.iter_mut().rev() {
        *digit = ALPHABET[(sum % 62) as usize];
        sum /= 62;
    }
    assert_eq!(sum, 0, "six digits hold 32 bits");
    text.push_str(str::from_utf8(&check).expect("digits"));
    assert!(Key::parse(&text).is_ok(), "{text}");
    check_text(&text);
}

/// A good key with one character changed to any other, and with several.
fn check_changes(bytes: &[u8]) {
    let good = Key::generate([7; RANDOM_BYTES]);
    let mut all = good.reveal().as_bytes().to_vec();
    for change in bytes.chunks_exact(2).take(KEY_BYTES) {
        let at = usize::from(change[0]) % KEY_BYTES;
        let mut one = good.reveal().as_bytes().to_vec();
        one[at] = change[1];
        all[at] = change[1];
        if let Ok(text) = std::str::from_utf8(&one)
            && text != good.reveal()
        {
            assert!(Key::parse(text).is_err(), "{text:?}");
        }
    }
    if let Ok(text) = std::str::from_utf8(&all) {
        check_text(text);
    }
}

/// What is made of random bytes is a key, to both readings.
fn check_generated(bytes: &[u8]) {
    let mut random = [0; RANDOM_BYTES];
    random.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    check_text(Key::generate(random).reveal());
}
