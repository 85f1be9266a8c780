//! The keys file: which keys there are, as digests.
//!
//! Knows every version of its content. Refuses to know a key's secret, and who presents one. Invariant: what was read has
//! ids and digests of the right shape, and no id twice.
//!
//! Version 1 had no envelope. Version 2 has the same keys in one. Version 3 says more of each key: scopes instead of a role,
//! class, models, an end, and the key that takes its place.

use std::{collections::HashSet, fmt::Write as _};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Damage, Kind, Step};
use crate::{
    access::{Class, Grant, Role, Scope},
    dialect::json::Object,
    key::is_id,
};

/// SHA-256 of a whole key.
pub type Sha256 = [u8; 32];

/// The last moment that RFC 3339 can name.
const LAST: &str = "9999-12-31T23:59:59Z";

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
    pub grant: Grant,
    /// Whose requests come first.
    pub class: Class,
    /// The models that it may use, `*` standing for any characters; empty for all.
    pub models: Vec<String>,
    /// Of the whole key.
    pub sha256: Sha256,
    /// When it was made, RFC 3339.
    pub created: String,
    /// From when on it is taken no more.
    pub expires: Option<OffsetDateTime>,
    /// The id of the key that takes its place.
    pub replaced_by: Option<String>,
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
    #[serde(skip_serializing_if = "Option::is_none", default)]
    role: Option<Role>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    scopes: Vec<Scope>,
    class: Class,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    models: Vec<String>,
    /// In hexadecimal.
    sha256: String,
    created: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    replaced_by: Option<String>,
}

impl Kind for KeysFile {
    const NAME: &'static str = "keys";
    const STEPS: &'static [Step] = &[from_1, from_2];

    fn read(content: &str) -> Result<Self, Damage> {
        let Object(Read { keys: written }) = serde_json::from_str(content)?;
        let mut ids = HashSet::new();
        let mut keys = Vec::with_capacity(written.len());
        for (at, Object(key)) in written.into_iter().enumerate() {
            let key = key.checked().map_err(|what| Damage(format!("key {} has {what}", at + 1)))?;
            if !ids.insert(key.id.clone()) {
                return Err(Damage(format!("key {} has the id of another one", at + 1)));
            }
            keys.push(key);
        }
        Ok(Self { keys })
    }

    fn write(&self) -> Result<Box<RawValue>, serde_json::Error> {
        let written = Written { keys: self.keys.iter().map(WrittenKey::of).collect() };
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

impl WrittenKey {
    fn of(key: &StoredKey) -> Self {
        Self {
            id: key.id.clone(),
            name: key.name.clone(),
            role: key.grant.role(),
            scopes: key.grant.scopes().to_vec(),
            class: key.class,
            models: key.models.clone(),
            sha256: hex(&key.sha256),
            created: key.created.clone(),
            // Only a year beyond 9999 has no RFC 3339 form; such an end must not become none at all.
            expires: key.expires.map(|expires| expires.format(&Rfc3339).unwrap_or_else(|_| LAST.to_owned())),
            replaced_by: key.replaced_by.clone(),
        }
    }

    /// The key, or what it has that is wrong.
    fn checked(self) -> Result<StoredKey, &'static str> {
        let sha256 = unhex(&self.sha256).ok_or("a digest that is none")?;
        if !is_id(&self.id) {
            return Err("an id that is none");
        }
        let date = |text: &str| OffsetDateTime::parse(text, &Rfc3339).map_err(|_| "a date that is none");
        date(&self.created)?;
        let expires = self.expires.as_deref().map(date).transpose()?;
        if self.replaced_by.as_deref().is_some_and(|id| !is_id(id)) {
            return Err("a successor that is none");
        }
        let grant = Grant::new(self.role, self.scopes).map_err(|_| "neither a role nor scopes, or both")?;
        let Self { id, name, class, models, created, replaced_by, .. } = self;
        Ok(StoredKey { id, name, grant, class, models, sha256, created, expires, replaced_by })
    }
}

/// Only the envelope came. Frozen.
fn from_1(content: Value) -> Result<Value, Damage> {
    Ok(content)
}

/// Keys had a role and nothing more. Frozen.
fn from_2(mut content: Value) -> Result<Value, Damage> {
    let keys = content.get_mut("keys").and_then(Value::as_array_mut).into_iter().flatten();
    for key in keys.filter_map(Value::as_object_mut) {
        // What a version 2 file could not have must not come in by way of one.
        for later in ["scopes", "class", "models", "expires", "replaced_by"] {
            if key.contains_key(later) {
                return Err(Damage(format!("a key of version 2 has the field `{later}`")));
            }
        }
        key.insert("class".to_owned(), json!("interactive"));
    }
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
