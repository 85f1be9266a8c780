//! The envelope keeps what it was given, and the files of every version are read for ever.

use proptest::prelude::*;
use serde_json::json;

use super::{
    keys::{KeysFile, StoredKey, hex, unhex},
    *,
};
use crate::access::{Class, Grant, Role, Scope};

/// The files of each version, as that version wrote them, and what is in both.
const KEYS_1: &[u8] = include_bytes!("../../tests-data/state/keys-1.json");
const KEYS_2: &[u8] = include_bytes!("../../tests-data/state/keys-2.json");
const KEYS_3: &[u8] = include_bytes!("../../tests-data/state/keys-3.json");

fn recorded() -> KeysFile {
    let key = |id: &str, name: &str, role, sha256: &str, created: &str| StoredKey {
        id: id.to_owned(),
        name: name.to_owned(),
        grant: Grant::Role(role),
        class: Class::Interactive,
        models: Vec::new(),
        sha256: unhex(sha256).unwrap(),
        created: created.to_owned(),
        expires: None,
        replaced_by: None,
    };
    KeysFile {
        keys: vec![
            key(
                "ELAU4eqF",
                "first",
                Role::User,
                "f381b4e1783ad1093dc02e446377e04aba62e497382addf6d28597ec7b8e4dac",
                "2023-11-14T22:13:20Z",
            ),
            key("00000000", "Küche \"2\"", Role::Admin, &"0f".repeat(32), "2026-11-28T08:00:00Z"),
        ],
    }
}

#[test]
fn a_keys_file_of_every_version_is_read() {
    let versions = [(KEYS_1, recorded()), (KEYS_2, recorded()), (KEYS_3, recorded_3())];
    assert_eq!(versions.len(), KeysFile::VERSION, "a new version brings a file of the one before");
    for (at, (text, value)) in versions.into_iter().enumerate() {
        assert_eq!(decode(text), Ok(Decoded { value, version: at + 1 }));
    }
    assert_eq!(encode(&recorded_3()).unwrap(), KEYS_3, "what is written is recorded as well");
}

/// The same two, one of which has been rotated, and one with everything that version 3 brought.
fn recorded_3() -> KeysFile {
    let KeysFile { mut keys } = recorded();
    keys[0].expires = Some(time::OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap());
    keys[0].replaced_by = Some("ZZZZZZZZ".to_owned());
    keys.push(StoredKey {
        id: "ZZZZZZZZ".to_owned(),
        name: "batch".to_owned(),
        grant: Grant::Scopes(vec![Scope::Chat, Scope::Models]),
        class: Class::Background,
        models: vec!["qwen3*".to_owned(), "tiny:latest".to_owned()],
        sha256: unhex(&"a0".repeat(32)).unwrap(),
        created: "2026-11-28T09:00:00Z".to_owned(),
        expires: None,
        replaced_by: None,
    });
    KeysFile { keys }
}

#[test]
fn a_key_that_says_two_things_or_nothing_of_what_it_may_do_is_damage() {
    let text = |grant: &str| {
        format!(
            "{{\"keys\": [{{\"id\": \"00000000\", \"name\": \"x\", {grant} \"class\": \"interactive\", \"sha256\": \"{}\", \
             \"created\": \"2026-11-28T08:00:00Z\"}}]}}",
            "0f".repeat(32)
        )
    };
    for grant in ["", "\"role\": \"user\", \"scopes\": [\"chat\"],", "\"scopes\": [],", "\"role\": \"root\","]
    {
        assert!(KeysFile::read(&text(grant)).is_err(), "{grant}");
    }
    for grant in ["\"role\": \"viewer\",", "\"scopes\": [\"chat\"],"] {
        assert!(KeysFile::read(&text(grant)).is_ok(), "{grant}");
    }
    let newer_in_older = json!({"keys": [{"models": []}]});
    assert!((KeysFile::STEPS[1])(newer_in_older).is_err());
}

/// A kind that has come to its third version: a number, then two, then their sum as well.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Third {
    a: u64,
    b: u64,
    sum: u64,
}

impl Kind for Third {
    const NAME: &'static str = "third";
    const STEPS: &'static [Step] = &[
        |one| Ok(json!({"a": one, "b": 1})),
        |mut two| {
            let number = |field: &str| two[field].as_u64().ok_or_else(|| Damage(format!("no {field}")));
            let sum = number("a")? + number("b")?;
            two["sum"] = json!(sum);
            Ok(two)
        },
    ];

    fn read(content: &str) -> Result<Self, Damage> {
        Ok(serde_json::from_str(content)?)
    }

    fn write(&self) -> Result<Box<RawValue>, serde_json::Error> {
        serde_json::value::to_raw_value(self)
    }
}

fn wrapped(kind: &str, version: usize, content: &str) -> Vec<u8> {
    let crc32 = checksum(kind, version, content);
    format!(
        "{{\"kind\": \"{kind}\", \"version\": {version}, \"crc32\": \"{crc32}\", \"content\": {content}}}"
    )
    .into_bytes()
}

#[test]
fn an_older_version_takes_every_step_from_its_own_on() {
    let value = |a, b| Third { a, b, sum: a + b };
    for (version, content, expected) in [
        (1, "4", value(4, 1)),
        (2, "{\"a\":4,\"b\":5}", value(4, 5)),
        (3, "{\"a\":4,\"b\":5,\"sum\":9}", value(4, 5)),
    ] {
        assert_eq!(decode(&wrapped("third", version, content)), Ok(Decoded { value: expected, version }));
    }
    let damaged = decode::<Third>(&wrapped("third", 2, "{\"a\":4}"));
    assert_eq!(damaged, Err(Unread::Damaged(Damage("no b".to_owned()))));
}

#[test]
fn newer_damaged_and_foreign_files_are_told_apart() {
    let read = |kind: &str, version| decode::<Third>(&wrapped(kind, version, "{\"a\":1,\"b\":1,\"sum\":2}"));
    assert_eq!(read("third", 4), Err(Unread::Newer(4)));
    assert_eq!(read("third", usize::MAX), Err(Unread::Newer(usize::MAX)));
    for (kind, version, words) in
        [("third", 0, "never was"), ("fourth", 3, "kind \"third\""), ("fourth", 9, "kind")]
    {
        let Err(Unread::Damaged(damage)) = read(kind, version) else { panic!("{kind} {version}") };
        assert!(damage.0.contains(words), "{damage}");
    }
    // A version that only looks newer because a bit has fallen over.
    let newer =
        String::from_utf8(wrapped("third", 3, "1")).unwrap().replace("\"version\": 3", "\"version\": 7");
    let Err(Unread::Damaged(damage)) = decode::<Third>(newer.as_bytes()) else { panic!("{newer}") };
    assert!(damage.0.contains("checksum"), "{damage}");
    // The keys of an envelope are never taken for a file from before there were any.
    let bare = String::from_utf8(KEYS_2.to_vec()).unwrap();
    for changed in [bare.replace("crc32", "crc31"), bare.replace("\"content\"", "\"keys\"")] {
        assert!(matches!(decode::<KeysFile>(changed.as_bytes()), Err(Unread::Damaged(_))));
    }
}

#[test]
fn a_message_repeats_nothing_of_the_file() {
    for text in
        [&b"{\"secret\": 1}"[..], b"secret", b"[\"secret\"]", b"{\"kind\":\"secret\",\"version\":\"secret\"}"]
    {
        let Err(Unread::Damaged(damage)) = decode::<KeysFile>(text) else { panic!("it is damaged") };
        assert!(!damage.0.contains("secret"), "{damage}");
    }
}

#[test]
fn a_list_is_no_object() {
    let key = "[\"ELAU4eqF\",\"first\",\"user\",\"f381b4e1783ad1093dc02e446377e04aba62e497382addf6d28597ec7b8e4dac\",\
               \"2023-11-14T22:13:20Z\"]";
    let keys = format!("{{\"keys\":[{key}]}}");
    let crc32 = checksum("keys", 2, "{\"keys\":[]}");
    for text in [
        wrapped("keys", 2, "[[]]"),
        wrapped("keys", 2, &keys),
        format!("[\"keys\",2,\"{crc32}\",{{\"keys\":[]}}]").into_bytes(),
        b"[1,[]]".to_vec(),
    ] {
        let read = decode::<KeysFile>(&text);
        assert!(matches!(read, Err(Unread::Damaged(_))), "{}: {read:?}", String::from_utf8_lossy(&text));
    }
}

#[test]
fn digests_are_64_digits() {
    let digest = "f381b4e1783ad1093dc02e446377e04aba62e497382addf6d28597ec7b8e4dac";
    assert_eq!(hex(&unhex(digest).unwrap()), digest);
    for text in ["", "0", &digest[1..], &digest.replace('f', "g"), &format!("{digest}00")] {
        assert!(unhex(text).is_none(), "{text}");
    }
}

fn keys_file() -> impl Strategy<Value = KeysFile> {
    let id = prop::string::string_regex("[0-9A-Za-z]{8}").unwrap();
    let grant = prop_oneof![
        prop::sample::select(&Role::ALL[..]).prop_map(Grant::Role),
        prop::sample::subsequence(&Scope::ALL[..], 1..=5)
            .prop_map(|scopes| Grant::new(None, scopes).unwrap()),
    ];
    let limits = (prop::collection::vec(any::<String>(), 0..3), prop::option::of(0..4_000_000_000_i64));
    let key = (id, any::<String>(), grant, any::<[u8; 32]>(), 0..4_000_000_000_i64, limits);
    prop::collection::vec(key, 0..6).prop_map(|keys| {
        let mut keys: Vec<StoredKey> = keys
            .into_iter()
            .map(|(id, name, grant, sha256, created, (models, expires))| StoredKey {
                replaced_by: expires.map(|_| id.clone()),
                id,
                name,
                grant,
                class: if models.is_empty() { Class::Interactive } else { Class::Background },
                models,
                expires: expires.map(|at| time::OffsetDateTime::from_unix_timestamp(at).unwrap()),
                sha256,
                created: time::OffsetDateTime::from_unix_timestamp(created)
                    .unwrap()
                    .format(&time::format_description::well_known::Rfc3339)
                    .unwrap(),
            })
            .collect();
        keys.sort_by(|a, b| a.id.cmp(&b.id));
        keys.dedup_by(|a, b| a.id == b.id);
        KeysFile { keys }
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(file in keys_file()) {
        let text = encode(&file).unwrap();
        prop_assert_eq!(decode(&text), Ok(Decoded { value: file, version: KeysFile::VERSION }));
    }

    /// Whatever a disk does to the text, it is found, or it has changed nothing that is said (a blank between two fields).
    #[test]
    fn a_changed_text_says_the_same_or_nothing(
        file in keys_file(),
        at in any::<prop::sample::Index>(),
        length in prop_oneof![0_usize..40, 1_usize..4],
        // Arbitrary bytes seldom leave it JSON; another digit of a digest does.
        other in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            prop::string::string_regex("[0-9a-f]{1,3}").unwrap().prop_map(String::into_bytes),
        ],
    ) {
        let text = encode(&file).unwrap();
        let at = at.index(text.len());
        let end = (at + length).min(text.len());
        let changed = [&text[..at], &other, &text[end..]].concat();
        match decode::<KeysFile>(&changed) {
            Ok(decoded) => prop_assert_eq!(decoded.value, file),
            Err(Unread::Newer(version)) => prop_assert!(false, "version {}", version),
            Err(Unread::Damaged(_)) => {}
        }
    }
}
