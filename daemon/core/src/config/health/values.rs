//! The types of a check's settings.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use serde_json::{Value as Json, json};

use crate::{
    config::{
        setting::{Fault, Setting},
        tree::Value,
        values::{ByteSize, is_label},
    },
    routing,
};

/// As long as a request may name a model by default.
const LONGEST_MODEL: usize = 256;

/// A check's name: what stands behind `/readyz/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckName(String);

impl CheckName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CheckName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if is_label(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("\"{}\" is not a name of a check", text.escape_debug()))
    }
}

impl fmt::Display for CheckName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A model's name, as a request has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelName(String);

impl ModelName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ModelName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if routing::is_name(text) && text.len() <= LONGEST_MODEL {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("a model's name has 1 to {LONGEST_MODEL} bytes, in one line"))
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which graphics cards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CardChoice {
    /// Each of them.
    All,
    /// The one of this number, from 0.
    Number(usize),
    /// The one of this name, which is the same after every restart: NVIDIA's UUID, the number of AMD's chip, a place on the bus;
    /// `processor` for the one that stands where there is no card.
    Uuid(String),
}

impl CardChoice {
    /// What the processor is called, which stands where there is no card.
    pub const PROCESSOR: &str = "processor";

    /// Whether the processor is meant, by its name.
    #[must_use]
    pub fn is_processor(&self) -> bool {
        matches!(self, Self::Uuid(name) if name == Self::PROCESSOR)
    }

    /// Whether the card of this number and this UUID is meant.
    #[must_use]
    pub fn means(&self, number: usize, uuid: &str) -> bool {
        match self {
            Self::All => true,
            Self::Number(meant) => *meant == number,
            Self::Uuid(meant) => meant.eq_ignore_ascii_case(uuid),
        }
    }
}

impl FromStr for CardChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            _ if is_name(text) => Ok(Self::Uuid(text.to_owned())),
            // A number of 16 digits would be shown as a name.
            _ => text
                .parse::<u32>()
                .ok()
                .and_then(|number| usize::try_from(number).ok())
                .map(Self::Number)
                .ok_or_else(|| format!("\"{}\" names no card", text.escape_debug())),
        }
    }
}

/// Whether a card may be called that: `GPU-…` (NVIDIA), 16 hexadecimal digits (amdgpu's `unique_id`, which may all be decimal ones), or,
/// where it has neither, its place on the bus as the kernel writes it (`0000:03:00.0`); and the processor, which stands where there is no
/// card.
fn is_name(text: &str) -> bool {
    let is_hex = |text: &str, digits: RangeInclusive<usize>| {
        digits.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let is_nvidia = text
        .strip_prefix("GPU-")
        .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
    let parts: Vec<&str> = text.split([':', '.']).collect();
    let is_place = text.matches('.').count() == 1
        && matches!(parts.as_slice(), [domain, bus, device, function]
            if is_hex(domain, 4..=8) && is_hex(bus, 2..=2) && is_hex(device, 2..=2) && is_hex(function, 1..=1));
    text == CardChoice::PROCESSOR || is_nvidia || is_place || is_hex(text, 16..=16)
}

impl fmt::Display for CardChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Number(number) => number.fmt(f),
            Self::Uuid(uuid) => f.write_str(uuid),
        }
    }
}

/// So much of something whose size is known only where it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// So many bytes.
    Bytes(ByteSize),
    /// This share of the whole, from 1 to 100.
    Percent(u8),
}

impl Room {
    /// How many bytes that is, of so many; a part of a byte counts as one.
    #[must_use]
    pub fn of(self, total: u64) -> u64 {
        match self {
            Self::Bytes(size) => size.bytes(),
            Self::Percent(share) => {
                let bytes = (u128::from(total) * u128::from(share)).div_ceil(100);
                u64::try_from(bytes).unwrap_or(u64::MAX)
            }
        }
    }
}

impl FromStr for Room {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(share) = text.strip_suffix('%') else {
            return match text.parse::<ByteSize>()? {
                none if none.bytes() == 0 => Err("0 is never missing".to_owned()),
                size => Ok(Self::Bytes(size)),
            };
        };
        let share = share.trim_end().parse().ok().filter(|share| (1..=100).contains(share));
        share
            .map(Self::Percent)
            .ok_or_else(|| format!("\"{}\" is no share from 1% to 100%", text.escape_debug()))
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(size) => size.fmt(f),
            Self::Percent(share) => write!(f, "{share}%"),
        }
    }
}

impl Setting for Room {
    fn expected() -> String {
        "a size in bytes, a number or a string with B, KiB, MiB or GiB, or a share from 1% to 100%".to_owned()
    }
    fn example() -> String {
        "\"10GiB\"".to_owned()
    }
    fn read(value: &Value) -> Result<Self, Fault> {
        match value {
            Value::Integer(number) => number.to_string().parse().map_err(Fault::Bad),
            Value::Text(text) | Value::Loose(text) => text.parse().map_err(Fault::Bad),
            _ => Err(Fault::Kind),
        }
    }
    fn show(&self) -> Option<String> {
        Some(format!("\"{self}\""))
    }
    fn schema() -> Json {
        json!({ "anyOf": [
            { "type": "integer", "minimum": 1 },
            { "type": "string", "pattern": "^[0-9]+ *(B|KiB|MiB|GiB|%)?$" },
        ] })
    }
}
