//! A box with many keys, and texts that are nearly keys of it.

use std::fmt::Write as _;

use anyhow::Result;
use aws_lc_rs::digest::{SHA256, digest};
use ghostllm::store::{
    StateDir,
    keys::{Keys, Show},
};
use ghostllm_core::key::{CHECKSUM_DIGITS, ID_DIGITS, KEY_BYTES, Key, PREFIX, RANDOM_BYTES};
use tempfile::TempDir;
use time::OffsetDateTime;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Where the secret begins and ends.
pub(crate) const SECRET: std::ops::Range<usize> = PREFIX.len() + ID_DIGITS..KEY_BYTES - CHECKSUM_DIGITS;

/// Numbers by chance, the same in every run (splitmix64, by Steele, Lea and Flood).
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn new() -> Self {
        Self(0x6b65_7973)
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.number() % end as u64) as usize
    }

    fn key(&mut self) -> Key {
        let mut random = [0; RANDOM_BYTES];
        random.iter_mut().for_each(|byte| *byte = self.number() as u8);
        Key::generate(random)
    }
}

/// The keys, and for each of them what is presented in its stead.
pub(crate) struct BoxOfKeys {
    pub(crate) keys: Keys,
    pub(crate) right: Vec<String>,
    /// The same ids with other secrets, checksums that fit.
    pub(crate) wrong: Vec<String>,
    /// The first digit of the secret is another one, checksums that fit.
    pub(crate) first: Vec<String>,
    /// The last digit is.
    pub(crate) last: Vec<String>,
    /// Keys of no box.
    pub(crate) unknown: Vec<String>,
    /// One digit is another one.
    pub(crate) mistyped: Vec<String>,
    _scratch: TempDir,
}

impl BoxOfKeys {
    pub(crate) fn new(count: usize, draw: &mut Draw) -> Result<Self> {
        let right: Vec<String> = (0..count).map(|_| draw.key().reveal().to_owned()).collect();
        let unknown: Vec<String> = (0..count).map(|_| draw.key().reveal().to_owned()).collect();
        let mix = |(right, other): (&String, &String)| {
            checked(format!("{}{}", &right[..SECRET.start], &other[SECRET]))
        };
        let scratch = tempfile::tempdir()?;
        let state = StateDir::open(&scratch.path().join("state"))?;
        state.write_private("keys.json", file(&right).as_bytes())?;
        let none = || Err(aws_lc_rs::error::Unspecified);
        let opened =
            Keys::open(&state, OffsetDateTime::from_unix_timestamp(1_700_000_000)?, none, Show::InFile)?;
        Ok(Self {
            keys: opened.keys,
            wrong: right.iter().zip(&unknown).map(mix).collect(),
            first: right.iter().map(|key| checked(other_digit(key, SECRET.start))).collect(),
            last: right.iter().map(|key| checked(other_digit(key, SECRET.end - 1))).collect(),
            mistyped: right.iter().map(|key| other_digit(key, SECRET.start + 20)).collect(),
            right,
            unknown,
            _scratch: scratch,
        })
    }

    /// Whether the door opens, which is what must not be known before it does.
    pub(crate) fn opens(&self, presented: &str) -> bool {
        self.keys.opens(presented)
    }
}

/// The same text with the next digit there.
fn other_digit(key: &str, at: usize) -> String {
    let there = ALPHABET.iter().position(|digit| *digit == key.as_bytes()[at]).unwrap_or(0);
    let other = char::from(ALPHABET[(there + 1) % ALPHABET.len()]);
    format!("{}{other}{}", &key[..at], &key[at + 1..])
}

/// A text with the checksum that fits, whatever stands there.
fn checked(text: String) -> String {
    let mut text = text;
    text.truncate(SECRET.end);
    let mut sum = crc32(text.as_bytes());
    let mut digits = ['0'; CHECKSUM_DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = char::from(ALPHABET[(sum % 62) as usize]);
        sum /= 62;
    }
    text.extend(digits);
    text
}

/// A keys file of version 2, which every later one reads.
fn file(keys: &[String]) -> String {
    let mut content = String::from("{\"keys\":[");
    for (at, key) in keys.iter().enumerate() {
        let sha256 = digest(&SHA256, key.as_bytes()).as_ref().iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let _ = write!(
            content,
            "{}{{\"id\":\"{}\",\"name\":\"key {at}\",\"role\":\"user\",\"sha256\":\"{sha256}\",\
             \"created\":\"2026-11-28T08:00:00Z\"}}",
            if at == 0 { "" } else { "," },
            &key[PREFIX.len()..SECRET.start],
        );
    }
    content.push_str("]}");
    let sum = crc32(format!("keys\n2\n{content}").as_bytes());
    format!("{{\"kind\":\"keys\",\"version\":2,\"crc32\":\"{sum:08x}\",\"content\":{content}}}")
}

/// CRC-32 as of ISO 3309, a bit at a time.
fn crc32(bytes: &[u8]) -> u32 {
    let fold = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), fold))
}
