//! The keys file: which keys there are, as digests.
//!
//! Knows every version of its content. Refuses to know a key's secret, and who presents one. Invariant: what was read has
//! ids and digests of the right shape, and no id twice.
//!
//! Version 1 had no envelope. Version 2 has the same keys in one.

use std::{collections::HashSet, fmt::Write as _};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Damage, Kind, Step};
use crate::{
    dialect::json::Object,
    key::{Role, is_id},
};

/// SHA-256 of a whole key.
pub type Sha256 = [u8; 32];

/// All keys of a box.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeysFile {
    /// In the order in which they were made.
    pub keys: Vec<StoredKey>,
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// The part of the key that is no secret.
    pub id: String,
    /// What a person calls it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Of the whole key.
    pub sha256: Sha256,
    /// RFC 3339.
    pub created: String,
}

/// The content as it is read. Unknown fields are refused: one of them might restrict a key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    keys: Vec<Object<WrittenKey>>,
}

/// The same as it is written.
#[derive(Serialize)]
struct Written {
    keys: Vec<WrittenKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenKey {
    id: String,
    name: String,
    role: Role,
    /// In hexadecimal.
    sha256: String,
    created: String,
}

impl Kind for KeysFile {
    const NAME: &'static str = "keys";
    const STEPS: &'static [Step] = &[from_1];

    fn read(content: &str) -> Result<Self, Damage> {
        let Object(Read { keys: written }) = serde_json::from_str(content)?;
        let mut ids = HashSet::new();
        let mut keys = Vec::with_capacity(written.len());
        for (at, Object(key)) in written.into_iter().enumerate() {
            let number = at + 1;
            let bad = |what: &str| Damage(format!("key {number} has {what}"));
            let sha256 = unhex(&key.sha256).ok_or_else(|| bad("a digest that is none"))?;
            if !is_id(&key.id) {
                return Err(bad("an id that is none"));
            }
            if OffsetDateTime::parse(&key.created, &Rfc3339).is_err() {
                return Err(bad("a date that is none"));
            }
            if !ids.insert(key.id.clone()) {
                return Err(bad("the id of another one"));
            }
            let WrittenKey { id, name, role, created, .. } = key;
            keys.push(StoredKey { id, name, role, sha256, created });
        }
        Ok(Self { keys })
    }

    fn write(&self) -> Result<Box<RawValue>, serde_json::Error> {
        let written = |key: &StoredKey| WrittenKey {
            id: key.id.clone(),
            name: key.name.clone(),
            role: key.role,
            sha256: hex(&key.sha256),
            created: key.created.clone(),
        };
        let written = Written { keys: self.keys.iter().map(written).collect() };
        // For a person who looks into the file.
        RawValue::from_string(serde_json::to_string_pretty(&written)?)
    }

    fn bare(text: &[u8]) -> Option<Value> {
        /// Frozen.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Version1 {
            version: u64,
            keys: Value,
        }
        let Object(file) = serde_json::from_slice::<Object<Version1>>(text).ok()?;
        (file.version == 1).then(|| json!({"keys": file.keys}))
    }
}

/// Only the envelope came. Frozen.
fn from_1(content: Value) -> Result<Value, Damage> {
    Ok(content)
}

/// A digest in hexadecimal.
#[must_use]
pub fn hex(bytes: &Sha256) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _writing_to_a_string_never_fails = write!(text, "{byte:02x}");
        text
    })
}

/// A digest from its 64 hexadecimal digits.
#[must_use]
pub fn unhex(text: &str) -> Option<Sha256> {
    let mut bytes = Sha256::default();
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}
