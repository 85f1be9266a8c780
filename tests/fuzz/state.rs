//! The keys file: nothing that a disk or a person makes of it lets anybody in who was not let in before. And the flight recorder's, which is
//! read by whoever looks: whatever it is, it is read as itself or not at all.
//!
//! An input is taken three times: as a whole file; as the content of one whose envelope is right, since no chance finds a
//! checksum; and as changes to a good file, pairs of a place and what falls over there.

use std::collections::HashSet;

use ghostllm_core::{
    access::{Class, Grant, Role, Scope},
    state::{
        Decoded, Kind, Unread, decode, encode, flight,
        keys::{KeysFile, StoredKey, hex},
    },
};
use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A file with a role and scopes, and everything else that a key can have.
const GOOD: &[u8] = include_bytes!("../../daemon/core/tests-data/state/keys-3.json");

/// Holds the reader's answer against a second reading's.
pub fn check(bytes: &[u8]) {
    check_file(bytes);
    if let Ok(content) = std::str::from_utf8(bytes) {
        check_content(content);
    }
    check_changes(bytes);
    check_flight(bytes);
    check_flight(&flight_of(bytes));
}

/// A file of the flight recorder whose envelope is right, with this content.
fn flight_of(content: &[u8]) -> Vec<u8> {
    let head = format!("{}\n{}\n", flight::NAME, flight::VERSION);
    let sum = crc32(&[head.as_bytes(), content].concat());
    [format!("{head}{sum:08x}\n").as_bytes(), content].concat()
}

/// What is read can be written, and is read again as the same.
fn check_flight(bytes: &[u8]) {
    match flight::decode(bytes) {
        Ok(read) => {
            let written = flight::encode(&read).expect("what was read has a form");
            assert!(written.len() <= flight::LARGEST);
            assert_eq!(flight::decode(&written), Ok(read));
        }
        Err(Unread::Newer(version)) => assert!(version > flight::VERSION),
        Err(Unread::Damaged(damage)) => assert!(damage.0.len() < 200, "it repeats what it read: {damage}"),
    }
}

/// What is read can be written, and is read again as the same. What is told apart from damage has a checksum that fits.
fn check_file(bytes: &[u8]) {
    match decode::<KeysFile>(bytes) {
        Ok(Decoded { value, version }) => {
            assert!((1..=KeysFile::VERSION).contains(&version));
            let text = encode(&value).expect("keys have a form in JSON");
            assert_eq!(decode(&text), Ok(Decoded { value, version: KeysFile::VERSION }));
            assert!(version == 1 || envelope(bytes).is_some());
        }
        Err(Unread::Newer(version)) => {
            assert!(version > KeysFile::VERSION);
            assert!(
                envelope(bytes).is_some_and(|(kind, there, _)| kind == "keys" && there == version as u64)
            );
        }
        Err(Unread::Damaged(damage)) => {
            assert!(damage.0.len() < 200, "it repeats what it read: {damage}");
        }
    }
}

/// The second reading of an envelope, by its fields, with a checksum of its own: kind, version, content.
fn envelope(bytes: &[u8]) -> Option<(String, u64, String)> {
    let file: Value = serde_json::from_slice(bytes).ok()?;
    let (kind, version) = (file["kind"].as_str()?.to_owned(), file["version"].as_u64()?);
    let text = std::str::from_utf8(bytes).ok()?;
    // The content is some part of the text; which one, the checksum says.
    let starts: Vec<usize> = text.match_indices(':').map(|(at, _)| at + 1).collect();
    for start in starts {
        let rest = text[start..].trim_start();
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let Some(Ok(_)) = values.next() else { continue };
        let content = &rest[..values.byte_offset()];
        let sum = format!("{:08x}", crc32(format!("{kind}\n{version}\n{content}").as_bytes()));
        if file["crc32"].as_str() == Some(&sum) {
            return Some((kind, version, content.to_owned()));
        }
    }
    None
}

fn check_content(content: &str) {
    let version = KeysFile::VERSION;
    let sum = crc32(format!("keys\n{version}\n{content}").as_bytes());
    let file =
        format!("{{\"kind\":\"keys\",\"version\":{version},\"crc32\":\"{sum:08x}\",\"content\":{content}}}");
    let reference = serde_json::from_str::<Value>(content).ok().and_then(|value| reference(&value));
    match decode::<KeysFile>(file.as_bytes()) {
        Ok(decoded) => assert_eq!(Some(decoded.value), reference, "{content}"),
        Err(Unread::Newer(_)) => panic!("version {version} is ours"),
        // A field that comes twice is refused, and this reading cannot see it.
        Err(Unread::Damaged(_)) => {}
    }
    let Some(expected) = reference else { return };
    let text = encode(&expected).expect("keys have a form in JSON");
    match decode::<KeysFile>(&text) {
        Ok(decoded) => assert_eq!(decoded.value, expected),
        // Nor does it look at dates.
        Err(Unread::Damaged(damage)) if damage.0.ends_with("a date that is none") => {}
        Err(other) => panic!("{other:?}: {}", String::from_utf8_lossy(&text)),
    }
}

/// The second reading of the content: every field by its name, none left over.
fn reference(content: &Value) -> Option<KeysFile> {
    let object = content.as_object().filter(|object| object.len() == 1)?;
    let mut ids = HashSet::new();
    let keys = object.get("keys")?.as_array()?.iter().map(|key| {
        let key = key.as_object()?;
        let known = [
            "id",
            "name",
            "role",
            "scopes",
            "class",
            "models",
            "sha256",
            "created",
            "expires",
            "replaced_by",
        ];
        if key.keys().any(|field| !known.contains(&field.as_str())) {
            return None;
        }
        let text = |field: &str| key.get(field)?.as_str();
        let (id, created, digest) = (text("id")?, text("created")?, text("sha256")?);
        let is_id = id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_id || !ids.insert(id.to_owned()) || digest.len() != 64 || !digest.is_ascii() {
            return None;
        }
        let mut sha256 = [0; 32];
        for (at, byte) in sha256.iter_mut().enumerate() {
            let pair = &digest[2 * at..2 * at + 2];
            // `from_str_radix` would take a sign.
            let digits = pair.bytes().all(|digit| digit.is_ascii_hexdigit());
            *byte = u8::from_str_radix(pair, 16).ok().filter(|_| digits)?;
        }
        assert_eq!(hex(&sha256), digest.to_ascii_lowercase());
        let class = match text("class")? {
            "interactive" => Class::Interactive,
            "background" => Class::Background,
            _ => return None,
        };
        let replaced_by = optional(key, "replaced_by")?;
        if replaced_by.is_some_and(|id| id.len() != 8 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        {
            return None;
        }
        // The fields whose form is left to the first reader: that of a date.
        let expires = match optional(key, "expires")? {
            None => None,
            Some(text) => Some(OffsetDateTime::parse(text, &Rfc3339).ok()?),
        };
        Some(StoredKey {
            id: id.to_owned(),
            name: text("name")?.to_owned(),
            grant: grant(key)?,
            class,
            models: texts(key, "models")?,
            sha256,
            created: created.to_owned(),
            expires,
            replaced_by: replaced_by.map(str::to_owned),
        })
    });
    Some(KeysFile { keys: keys.collect::<Option<_>>()? })
}

/// A text or nothing; `None` where it is something else.
fn optional<'a>(key: &'a Map<String, Value>, field: &str) -> Option<Option<&'a str>> {
    match key.get(field) {
        None | Some(Value::Null) => Some(None),
        Some(value) => value.as_str().map(Some),
    }
}

fn texts(key: &Map<String, Value>, field: &str) -> Option<Vec<String>> {
    let Some(list) = key.get(field) else { return Some(Vec::new()) };
    list.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}

fn grant(key: &Map<String, Value>) -> Option<Grant> {
    let scopes: Vec<_> = texts(key, "scopes")?
        .iter()
        .map(|scope| Scope::ALL.into_iter().find(|known| known.name() == scope))
        .collect::<Option<_>>()?;
    let role = match optional(key, "role")? {
        None => None,
        Some(role) => Some(Role::ALL.into_iter().find(|known| known.name() == role)?),
    };
    match (role, scopes.is_empty()) {
        (Some(role), true) => Some(Grant::Role(role)),
        (None, false) => {
            Some(Grant::Scopes(Scope::ALL.into_iter().filter(|scope| scopes.contains(scope)).collect()))
        }
        _ => None,
    }
}

fn check_changes(bytes: &[u8]) {
    let good = decode::<KeysFile>(GOOD).expect("it is good").value;
    let mut changed = GOOD.to_vec();
    for change in bytes.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % changed.len();
        changed[at] ^= change[2];
    }
    // A cut as well, where there is a byte left over.
    let cut = bytes.chunks_exact(3).remainder().first().map_or(0, |cut| usize::from(*cut));
    changed.truncate(changed.len() - cut);
    match decode::<KeysFile>(&changed) {
        Ok(decoded) => assert_eq!(decoded.value, good, "{}", String::from_utf8_lossy(&changed)),
        Err(Unread::Newer(version)) => panic!("version {version} never was written"),
        Err(Unread::Damaged(_)) => {}
    }
}

/// CRC-32 as of ISO 3309, a bit at a time.
fn crc32(bytes: &[u8]) -> u32 {
    let fold = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), fold))
}
