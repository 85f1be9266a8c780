//! Tests of the keys.

use std::{fs, path::Path};

use super::*;

/// The key made of forty bytes of 7, and its SHA-256 in hexadecimal, both computed by another program.
const KEY_OF_SEVENS: &str = "gllm_ELAU4eqF1fJjkkpe9PiTw9KSulA8Ghct30vZz4HpdQ5c5b9cPF10AO66P";
const DIGEST_OF_SEVENS: &str = "f381b4e1783ad1093dc02e446377e04aba62e497382addf6d28597ec7b8e4dac";

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap()
}

fn fixed(byte: u8) -> impl FnOnce() -> Result<[u8; RANDOM_BYTES], Unspecified> {
    move || Ok([byte; RANDOM_BYTES])
}

fn never() -> Result<[u8; RANDOM_BYTES], Unspecified> {
    panic!("no key is to be made")
}

fn scratch() -> (tempfile::TempDir, StateDir) {
    let scratch = tempfile::tempdir().unwrap();
    let state = StateDir::open(&scratch.path().join("state")).unwrap();
    (scratch, state)
}

/// A box after its first start, and its key.
fn started() -> (tempfile::TempDir, StateDir, Key) {
    let (scratch, state) = scratch();
    let opened = Keys::open(&state, now(), fixed(7), Show::OnTerminal).unwrap();
    let Some(FirstKey::Made(key)) = opened.first else { panic!("a first key") };
    (scratch, state, key)
}

#[test]
fn the_first_start_makes_one_user_key_and_later_ones_none() {
    let (_scratch, state, key) = started();
    let opened = Keys::open(&state, now(), never, Show::InFile).unwrap();
    assert!(opened.first.is_none());
    assert_eq!(opened.keys.count(), 1);
    let caller = opened.keys.verify(key.reveal()).unwrap();
    assert_eq!((caller.id.as_deref(), &*caller.name, caller.role), (Some(key.id()), "first", Role::User));
    assert!(opened.keys.after_use(&caller).is_none(), "there is no file to remove");
    assert_eq!(state.read(FIRST_KEY_FILE).unwrap(), None, "what was shown is written nowhere");
}

#[test]
fn the_file_holds_the_digest_and_nothing_of_the_secret() {
    let (_scratch, state, key) = started();
    let text = String::from_utf8(state.read(FILE).unwrap().unwrap()).unwrap();
    // The digest as another program computes it: `printf %s KEY | sha256sum`.
    assert!(text.contains(&hex(&sha256(&key))));
    assert!(text.contains("\"created\": \"2023-11-14T22:13:20Z\""));
    assert!(!text.contains(&key.reveal()[13..20]));
    // The stored digest opens nothing.
    let keys = Keys::open(&state, now(), never, Show::InFile).unwrap().keys;
    assert!(keys.verify(&hex(&sha256(&key))).is_none());
    assert!(!format!("{keys:?}").contains(&key.reveal()[13..20]));
}

#[test]
fn sha256_is_sha256() {
    // The first key of these tests and its digest, computed independently.
    let key = Key::generate([7; RANDOM_BYTES]);
    assert_eq!((key.reveal(), hex(&sha256(&key)).as_str()), (KEY_OF_SEVENS, DIGEST_OF_SEVENS));
    assert_eq!(unhex(DIGEST_OF_SEVENS).unwrap(), sha256(&key));
    for text in [
        "",
        "0",
        &DIGEST_OF_SEVENS[1..],
        &DIGEST_OF_SEVENS.replace('f', "g"),
        &format!("{DIGEST_OF_SEVENS}00"),
    ] {
        assert!(unhex(text).is_none(), "{text}");
    }
}

#[test]
fn only_the_very_key_is_let_in() {
    let (_scratch, state, key) = started();
    let keys = Keys::open(&state, now(), never, Show::InFile).unwrap().keys;
    // The right id with another secret, and a whole key of nobody.
    let mut random = [7; RANDOM_BYTES];
    random[RANDOM_BYTES - 1] = 8;
    let same_id = Key::generate(random);
    assert_eq!(same_id.id(), key.id());
    for wrong in
        [same_id.reveal(), Key::generate([9; RANDOM_BYTES]).reveal(), "", "gllm_", &key.reveal()[..61]]
    {
        assert!(keys.verify(wrong).is_none());
    }
    assert!(keys.verify(&format!("{} ", key.reveal())).is_none());
    assert!(keys.verify(&key.reveal().to_lowercase()).is_none());
    assert!(keys.verify(key.reveal()).is_some());
}

#[test]
fn the_first_key_in_a_file_goes_at_its_first_use() {
    let (_scratch, state) = scratch();
    let opened = Keys::open(&state, now(), random, Show::InFile).unwrap();
    let Some(FirstKey::InFile(path)) = opened.first else { panic!("a file") };
    let text = String::from_utf8(state.read(FIRST_KEY_FILE).unwrap().unwrap()).unwrap();
    // A restart before the first use finds it again, and says so again.
    let keys = Keys::open(&state, now(), never, Show::InFile).unwrap();
    assert!(matches!(keys.first, Some(FirstKey::InFile(again)) if again == path));
    let keys = keys.keys;
    let caller = keys.verify(text.trim()).unwrap();
    assert!(keys.after_use(&Caller::local()).is_none());
    let removal = keys.after_use(&caller).unwrap();
    assert!(keys.after_use(&caller).is_none(), "one request does it");
    assert!(Path::new(&path).exists());
    removal.run().unwrap();
    assert!(!path.exists());
    assert!(keys.after_use(&caller).is_none());
    assert!(keys.verify(text.trim()).is_some(), "the key itself stays");
    assert!(Keys::open(&state, now(), never, Show::InFile).unwrap().first.is_none());
}

#[test]
fn a_removal_that_failed_is_tried_again() {
    let (_scratch, state) = scratch();
    let keys = Keys::open(&state, now(), fixed(7), Show::InFile).unwrap().keys;
    let path = state.file(FIRST_KEY_FILE).unwrap();
    let caller = keys.verify(KEY_OF_SEVENS).unwrap();
    // A directory cannot be removed as a file.
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(keys.after_use(&caller).unwrap().run().is_err());
    fs::remove_dir(&path).unwrap();
    keys.after_use(&caller).unwrap().run().unwrap();
    assert!(keys.after_use(&caller).is_none());
}

#[test]
fn a_crash_between_the_two_files_gives_a_new_key() {
    let (_scratch, state) = scratch();
    state
        .write_private(FIRST_KEY_FILE, format!("{}\n", Key::generate([1; RANDOM_BYTES]).reveal()).as_bytes())
        .unwrap();
    let opened = Keys::open(&state, now(), fixed(7), Show::InFile).unwrap();
    assert!(opened.first.is_some());
    let text = String::from_utf8(state.read(FIRST_KEY_FILE).unwrap().unwrap()).unwrap();
    assert_eq!(text.trim(), KEY_OF_SEVENS);
    assert!(opened.keys.verify(KEY_OF_SEVENS).is_some());
}

#[test]
fn a_strange_first_key_file_nobody_else_came() {
    let (_scratch, state, _key) = started();
    for strange in [&b"\xff"[..], b"", b"hello", Key::generate([1; RANDOM_BYTES]).reveal().as_bytes()] {
        state.write_private(FIRST_KEY_FILE, strange).unwrap();
        assert!(Keys::open(&state, now(), never, Show::InFile).unwrap().first.is_none());
    }
}

#[test]
fn a_corrupt_file_is_set_aside_and_never_replaced_by_itself() {
    let good = {
        let (_scratch, state, _key) = started();
        String::from_utf8(state.read(FILE).unwrap().unwrap()).unwrap()
    };
    let value: serde_json::Value = serde_json::from_str(&good).unwrap();
    let mut twice = value.clone();
    twice["keys"].as_array_mut().unwrap().push(value["keys"][0].clone());
    let changed = [
        String::new(),
        "{".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        "{\"version\": 1}".to_owned(),
        good.replace("\"version\": 1", "\"version\": 0"),
        good.replace("\"user\"", "\"root\""),
        good.replace("\"role\"", "\"roll\""),
        good.replace("\"name\"", "\"expires\": \"2020\", \"name\""),
        good.replace("2023-", "x"),
        good.replace(DIGEST_OF_SEVENS, &DIGEST_OF_SEVENS[2..]),
        good.replace("\"id\": \"", "\"id\": \"x"),
        twice.to_string(),
    ];
    // And cut off at every byte.
    let cuts = (0..good.trim_end().len()).map(|end| good[..end].to_owned());
    for text in changed.into_iter().chain(cuts) {
        let (_scratch, state) = scratch();
        state.write_private(FILE, text.as_bytes()).unwrap();
        let error = Keys::open(&state, now(), never, Show::InFile).unwrap_err();
        assert_eq!(error.exit_code(), 74);
        let KeysError::Corrupt { path, aside, .. } = &error else { panic!("{error}: {text}") };
        assert!(!error.to_string().contains(DIGEST_OF_SEVENS));
        assert_eq!(fs::read(aside).unwrap(), text.as_bytes());
        // The next start, which systemd makes by itself, makes no key either, but says what to do.
        let again = Keys::open(&state, now(), never, Show::InFile).unwrap_err();
        assert!(
            matches!(&again, KeysError::SetAside { .. })
                && again.to_string().contains(&*aside.to_string_lossy())
        );
        // A good copy put back opens again; so does a decision to begin anew.
        fs::rename(aside, path).unwrap();
        state.write_private(FILE, good.as_bytes()).unwrap();
        assert_eq!(Keys::open(&state, now(), never, Show::InFile).unwrap().keys.count(), 1);
        fs::remove_file(path).unwrap();
        assert!(Keys::open(&state, now(), fixed(1), Show::OnTerminal).unwrap().first.is_some());
    }
}

#[test]
fn a_file_of_a_newer_version_stays_where_it_is() {
    let (_scratch, state) = scratch();
    let text = b"{\"version\": 2, \"tokens\": {}}";
    state.write_private(FILE, text).unwrap();
    let error = Keys::open(&state, now(), never, Show::InFile).unwrap_err();
    assert!(matches!(error, KeysError::Newer { version: 2, .. }), "{error}");
    assert_eq!(state.read(FILE).unwrap().unwrap(), text);
}

#[test]
fn without_randomness_nothing_is_made() {
    let (_scratch, state) = scratch();
    let error = Keys::open(&state, now(), || Err(Unspecified), Show::InFile).unwrap_err();
    assert!(matches!(error, KeysError::Random));
    assert_eq!(state.read(FILE).unwrap(), None);
    assert_ne!(random().unwrap(), random().unwrap());
}

#[test]
fn a_clock_in_1970_does_not_stop_the_start() {
    let (_scratch, state) = scratch();
    assert!(Keys::open(&state, OffsetDateTime::UNIX_EPOCH, fixed(7), Show::InFile).is_ok());
    assert!(Keys::open(&state, OffsetDateTime::UNIX_EPOCH, never, Show::InFile).is_ok());
}
