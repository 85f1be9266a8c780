//! Tests of the keys.

use std::{fs, path::Path};

use ghostllm_core::{admin::KeyState, state::keys::hex};

use super::{first::FIRST_KEY_FILE, *};

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
    assert_eq!(
        (caller.id.as_deref(), &*caller.name, caller.permissions),
        (Some(key.id()), "first", Role::User.permissions())
    );
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
    assert!(keys.verify(&hex(&sha256(&key))).is_err());
    assert!(!format!("{keys:?}").contains(&key.reveal()[13..20]));
}

#[test]
fn sha256_is_sha256() {
    // The first key of these tests and its digest, computed independently.
    let key = Key::generate([7; RANDOM_BYTES]);
    assert_eq!((key.reveal(), hex(&sha256(&key)).as_str()), (KEY_OF_SEVENS, DIGEST_OF_SEVENS));
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
        assert!(keys.verify(wrong).is_err());
    }
    assert!(keys.verify(&format!("{} ", key.reveal())).is_err());
    assert!(keys.verify(&key.reveal().to_lowercase()).is_err());
    assert!(keys.verify(key.reveal()).is_ok());
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
    removal.run(&keys).unwrap();
    assert!(!path.exists());
    assert!(keys.after_use(&caller).is_none());
    assert!(keys.verify(text.trim()).is_ok(), "the key itself stays");
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
    assert!(keys.after_use(&caller).unwrap().run(&keys).is_err());
    fs::remove_dir(&path).unwrap();
    keys.after_use(&caller).unwrap().run(&keys).unwrap();
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
    assert!(opened.keys.verify(KEY_OF_SEVENS).is_ok());
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
fn a_first_key_file_that_is_none_stops_no_start() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_scratch, state, key) = started();
    let path = state.file(FIRST_KEY_FILE).unwrap();
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    let opened = Keys::open(&state, now(), never, Show::InFile).unwrap();
    assert!(opened.first.is_none() && opened.keys.verify(key.reveal()).is_ok());
    // What others may read is refused as ever.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(Keys::open(&state, now(), never, Show::InFile).is_err());
}

#[test]
fn what_cannot_be_used_never_leads_to_a_new_key() {
    let (_scratch, state, key) = started();
    let copy = format!("{FILE}.last");
    let good = state.read(FILE).unwrap().unwrap();
    for name in [FILE, &copy] {
        state.write_private(name, &good[..good.len() / 2]).unwrap();
    }
    let error = Keys::open(&state, now(), never, Show::InFile).unwrap_err();
    assert_eq!(error.exit_code(), 74);
    let KeysError::File(LoadError::Damaged { path, aside, .. }) = &error else { panic!("{error}") };
    assert!(error.to_string().starts_with("nobody can be let in: "), "{error}");
    assert!(!error.to_string().contains(DIGEST_OF_SEVENS));
    // The next start, which systemd makes by itself, makes no key either, but says what to do.
    let again = Keys::open(&state, now(), never, Show::InFile).unwrap_err();
    assert!(matches!(&again, KeysError::File(LoadError::SetAside { .. })), "{again}");
    // A good copy put back opens again.
    fs::write(path, &good).unwrap();
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    assert!(Keys::open(&state, now(), never, Show::InFile).unwrap().keys.verify(key.reveal()).is_ok());
    // So does a decision to begin anew.
    for path in aside.iter().chain([path, &state.file(&copy).unwrap()]) {
        fs::remove_file(path).unwrap();
    }
    assert!(Keys::open(&state, now(), fixed(1), Show::OnTerminal).unwrap().first.is_some());
}

#[test]
fn a_first_key_that_could_not_be_kept_leaves_no_trace() {
    let (_scratch, state) = scratch();
    // A directory where the new file would be made.
    fs::create_dir(state.path().join(format!(".{FILE}.next"))).unwrap();
    assert!(Keys::open(&state, now(), fixed(7), Show::OnTerminal).is_err());
    fs::remove_dir(state.path().join(format!(".{FILE}.next"))).unwrap();
    assert!(Keys::open(&state, now(), fixed(7), Show::OnTerminal).unwrap().first.is_some());
}

#[test]
fn keys_of_version_1_are_let_in() {
    let (_scratch, state, key) = started();
    let text = format!(
        "{{\"version\": 1, \"keys\": [{{\"id\": \"{}\", \"name\": \"first\", \"role\": \"user\", \
         \"sha256\": \"{DIGEST_OF_SEVENS}\", \"created\": \"2023-11-14T22:13:20Z\"}}]}}",
        key.id()
    );
    state.write_private(FILE, text.as_bytes()).unwrap();
    for _ in 0..2 {
        let keys = Keys::open(&state, now(), never, Show::InFile).unwrap().keys;
        assert!(keys.verify(key.reveal()).is_ok());
    }
    assert_eq!(state.read(&format!("{FILE}.v1")).unwrap().unwrap(), text.as_bytes());
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

#[test]
fn a_key_that_has_ended_stays_shut_where_the_clock_is_lost() {
    const LOST: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
    let (_scratch, state, key) = started();
    let (keys, now) = (reopened(&state), OffsetDateTime::now_utc());
    let short = keys.make(Wanted { expires_in_s: Some(3600), ..wanted("short") }, now).unwrap();
    let long = keys.make(Wanted { expires_in_s: Some(30 * 3600), ..wanted("long") }, now).unwrap();
    let later = now + time::Duration::hours(2);
    assert_eq!(keys.verify_at(short.key.reveal(), later), Err(NotTaken::Expired));
    // Nobody has asked for it since, and then the box is switched off.
    assert!(keys.wants_tending(later) && !keys.wants_tending(now));
    keys.tend(later).unwrap();
    assert!(!keys.wants_tending(later), "it is done once");
    for keys in [&keys, &reopened(&state)] {
        let caller = keys.verify_at(long.key.reveal(), LOST).unwrap();
        assert_eq!(keys.verify_at(short.key.reveal(), LOST), Err(NotTaken::Expired));
        assert!(keys.lost(&caller, LOST).is_none() && keys.verify_at(key.reveal(), LOST).is_ok());
        let states: Vec<_> = keys.list(LOST).iter().map(|key| key.state).collect();
        assert_eq!(states, [KeyState::Active, KeyState::Expired, KeyState::Active]);
        let known = later - time::Duration::SECOND;
        assert!(keys.clock_lost(LOST) >= Some(known) && keys.clock_lost(later).is_none());
    }
    // What a lost clock writes takes nothing back.
    let keys = reopened(&state);
    keys.revoke(long.key.id()).unwrap();
    let made = keys.make(Wanted { expires_in_s: Some(3600), ..wanted("new") }, LOST).unwrap();
    let keys = reopened(&state);
    assert!(keys.verify_at(made.key.reveal(), LOST).is_ok(), "its hour is not over");
    assert_eq!(keys.verify_at(short.key.reveal(), LOST), Err(NotTaken::Expired));
    keys.witness_all([later + time::Duration::hours(5)]);
    assert_eq!(
        keys.verify_at(made.key.reveal(), LOST),
        Err(NotTaken::Expired),
        "whoever knows better tells it"
    );
}

#[test]
fn an_ended_key_gives_its_name_free_and_leaves_the_list_after_its_time() {
    let (_scratch, state, _key) = started();
    let (keys, now) = (reopened(&state), OffsetDateTime::now_utc());
    let short = |name: &str| Wanted { expires_in_s: Some(60), ..wanted(name) };
    keys.make(short("guest"), now).unwrap();
    assert!(matches!(keys.make(short("guest"), now), Err(ChangeError::Wrong("name", _))));
    let later = now + time::Duration::seconds(61);
    let second = keys.make(short("guest"), later).unwrap();
    // One that is rotated has its name until its own end, together with the one in its place.
    let third = keys.rotate(second.key.id(), 30, later).unwrap();
    keys.revoke(third.key.id()).unwrap();
    assert!(matches!(keys.make(short("guest"), later), Err(ChangeError::Wrong("name", _))));
    keys.make(short("guest"), later + time::Duration::seconds(31)).unwrap();
    let names = |keys: &Keys, at| keys.list(at).iter().map(|key| key.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&keys, now), ["first", "guest", "guest", "guest"]);
    let much_later = later + time::Duration::days(30) + time::Duration::seconds(40);
    keys.tend(much_later).unwrap();
    assert_eq!(names(&keys, much_later), ["first", "guest"], "the last has ended for less than 30 days");
    assert!(!keys.wants_tending(much_later));
    // A clock that was ahead for a moment has taken none away.
    assert_eq!(reopened(&state).count(), 4);
}

#[test]
fn ended_keys_make_room_and_open_ones_do_not() {
    let (_scratch, state, _key) = started();
    let (keys, now) = (reopened(&state), OffsetDateTime::now_utc());
    let end = now + time::Duration::hours(1);
    let many = |ended: usize| {
        let key = |number: usize| StoredKey {
            id: format!("{number:08}"),
            name: format!("{number}"),
            grant: Grant::Role(Role::User),
            class: Class::Interactive,
            models: Vec::new(),
            sha256: [0; 32],
            created: date(now),
            expires: (number < ended).then(|| end - time::Duration::seconds(i64::try_from(number).unwrap())),
            replaced_by: None,
        };
        (0..10_000).map(key).collect::<Vec<_>>()
    };
    keys.save(many(3)).unwrap();
    assert!(matches!(keys.make(wanted("new"), now), Err(ChangeError::TooMany)), "they have not ended yet");
    keys.make(wanted("new"), end).unwrap();
    // The one that has ended first, and no other.
    let left: Vec<_> = keys.list(end).into_iter().map(|key| key.id).collect();
    assert!(keys.count() == 10_000 && left[..2] == ["00000000", "00000001"] && left[2] == "00000003");
    keys.rotate("00000003", 0, end).unwrap();
    keys.make(wanted("newer"), end).unwrap();
    assert_eq!(keys.count(), 10_000);
    keys.save(many(0)).unwrap();
    assert!(matches!(keys.make(wanted("one more"), end), Err(ChangeError::TooMany)));
    assert!(matches!(keys.rotate("00000003", 0, end), Err(ChangeError::TooMany)));
}

fn wanted(name: &str) -> Wanted {
    Wanted {
        name: name.to_owned(),
        grant: Grant::Role(Role::User),
        class: Class::Background,
        models: vec!["tiny*".to_owned()],
        expires_in_s: None,
    }
}

/// The keys, as a start would find them.
fn reopened(state: &StateDir) -> Keys {
    Keys::open(state, now(), never, Show::InFile).unwrap().keys
}

#[test]
fn a_key_that_was_made_is_let_in_at_once_and_after_a_restart() {
    let (_scratch, state, _key) = started();
    let keys = reopened(&state);
    let made = keys.make(wanted("laptop"), OffsetDateTime::now_utc()).unwrap();
    for keys in [&keys, &reopened(&state)] {
        let caller = keys.verify(made.key.reveal()).unwrap();
        assert_eq!(
            (caller.id.as_deref(), &*caller.name, caller.class),
            (Some(made.key.id()), "laptop", Class::Background)
        );
        assert_eq!(&*caller.models, ["tiny*".to_owned()]);
    }
    assert_eq!(made.info.id, made.key.id());
    let listed = keys.list(OffsetDateTime::now_utc());
    assert!(listed.len() == 2 && listed[1].last_used.is_some() && listed[0].last_used.is_none());
    let told = serde_json::to_string(&listed).unwrap();
    assert!(!told.contains(&hex(&sha256(&made.key))) && !told.contains(&made.key.reveal()[13..30]), "{told}");
}

#[test]
fn a_revoked_key_is_let_in_no_more_and_what_it_was_stays_known_to_nobody() {
    let (_scratch, state, key) = started();
    let keys = reopened(&state);
    let caller = keys.verify(key.reveal()).unwrap();
    assert!(keys.lost(&caller, now()).is_none() && keys.lost(&Caller::local(), now()).is_none());
    assert_eq!(keys.revoke(key.id()).unwrap(), "first");
    assert_eq!(keys.lost(&caller, now()), Some(NotTaken::Unknown));
    assert_eq!(keys.verify(key.reveal()), Err(NotTaken::Unknown));
    assert!(reopened(&state).verify(key.reveal()).is_err());
    assert!(matches!(keys.revoke(key.id()), Err(ChangeError::NotFound)));
}

#[test]
fn a_rotated_key_is_taken_for_its_overlap_and_no_longer_than_before() {
    let (_scratch, state, key) = started();
    let (keys, now) = (reopened(&state), OffsetDateTime::now_utc());
    let made = keys.rotate(key.id(), 3600, now).unwrap();
    assert!(keys.verify(key.reveal()).is_ok() && keys.verify(made.key.reveal()).is_ok());
    assert!(matches!(keys.rotate(key.id(), 3600, now), Err(ChangeError::Rotated)));
    let listed = keys.list(now + time::Duration::seconds(3601));
    assert_eq!(listed[0].replaced_by.as_deref(), Some(made.key.id()));
    assert_eq!((listed[0].state, listed[1].state), (KeyState::Expired, KeyState::Active));
    // At once, where there is no overlap.
    let caller = keys.verify(made.key.reveal()).unwrap();
    let again = keys.rotate(made.key.id(), 0, now).unwrap();
    assert_eq!(
        keys.lost(&caller, OffsetDateTime::now_utc()),
        Some(NotTaken::Expired),
        "whoever came before as well"
    );
    assert_eq!(keys.verify(made.key.reveal()), Err(NotTaken::Expired));
    assert!(reopened(&state).verify(again.key.reveal()).is_ok());
    // A key that ends soon is not taken longer for being rotated.
    let short = keys.make(Wanted { expires_in_s: Some(60), ..wanted("short") }, now).unwrap();
    let next = keys.rotate(short.key.id(), 3600, now).unwrap();
    let end = |id: &str| keys.list(now).into_iter().find(|key| key.id == id).unwrap().expires;
    assert_eq!(end(short.key.id()), short.info.expires);
    assert_eq!(end(next.key.id()), short.info.expires);
}

#[test]
fn what_no_key_can_be_is_refused_and_changes_nothing() {
    let (_scratch, state, _key) = started();
    let (keys, now) = (reopened(&state), OffsetDateTime::now_utc());
    let long = "x".repeat(65);
    for wrong in [
        wanted(""),
        wanted("a\nb"),
        wanted(&long),
        wanted("first"),
        wanted("local"),
        wanted("uid 0"),
        Wanted { expires_in_s: Some(0), ..wanted("a") },
        Wanted { expires_in_s: Some(u64::MAX), ..wanted("a") },
        Wanted { models: vec![String::new()], ..wanted("a") },
        Wanted { models: vec!["a".to_owned(); 65], ..wanted("a") },
    ] {
        assert!(matches!(keys.make(wrong.clone(), now), Err(ChangeError::Wrong(..))), "{wrong:?}");
    }
    assert_eq!(keys.count(), 1);
    keys.make(Wanted { models: vec!["a".repeat(256); 64], expires_in_s: Some(1), ..wanted(&long[1..]) }, now)
        .unwrap();
}

#[test]
fn a_change_that_cannot_be_written_has_changed_nothing() {
    let (_scratch, state, key) = started();
    let keys = reopened(&state);
    let in_the_way = state.path().join(format!(".{FILE}.next"));
    fs::create_dir(&in_the_way).unwrap();
    assert!(matches!(keys.make(wanted("laptop"), now()), Err(ChangeError::State(_))));
    assert!(matches!(keys.rotate(key.id(), 0, now()), Err(ChangeError::State(_))));
    assert!(keys.count() == 1 && keys.verify(key.reveal()).is_ok());
    // To close is all that goes without the disk.
    assert!(matches!(keys.revoke(key.id()), Err(ChangeError::Closed(_))));
    assert!(keys.count() == 0 && keys.verify(key.reveal()).is_err());
    assert!(keys.wants_tending(now()), "it is to be tried again");
    assert!(matches!(keys.revoke(key.id()), Err(ChangeError::Closed(_))), "it is on the disk still");
    fs::remove_dir(&in_the_way).unwrap();
    assert_eq!(keys.revoke(key.id()).unwrap(), "first", "whoever asks once more hears that it is done");
    assert!(!keys.wants_tending(now()) && reopened(&state).count() == 0);
    assert!(matches!(keys.revoke(key.id()), Err(ChangeError::NotFound)));
}

#[test]
fn what_was_revoked_while_nothing_could_be_written_is_written_later() {
    let (_scratch, state, key) = started();
    let keys = reopened(&state);
    let in_the_way = state.path().join(format!(".{FILE}.next"));
    fs::create_dir(&in_the_way).unwrap();
    assert!(matches!(keys.revoke(key.id()), Err(ChangeError::Closed(_))));
    assert!(keys.tend(now()).is_err());
    fs::remove_dir(&in_the_way).unwrap();
    keys.tend(now()).unwrap();
    assert!(reopened(&state).verify(key.reveal()).is_err());
}

#[test]
fn the_first_key_is_shown_once_and_goes_with_its_revocation() {
    let (_scratch, state) = scratch();
    let keys = Keys::open(&state, now(), fixed(7), Show::InFile).unwrap().keys;
    assert!(keys.first_waits() && keys.first_waits_since().is_some());
    assert_eq!(keys.show_first().unwrap().unwrap().reveal(), KEY_OF_SEVENS);
    assert!(keys.show_first().unwrap().is_none() && !keys.first_waits());
    assert_eq!(state.read(FIRST_KEY_FILE).unwrap(), None);
    assert!(keys.verify(KEY_OF_SEVENS).is_ok(), "the key itself stays");
    let (_scratch, state) = scratch();
    let keys = Keys::open(&state, now(), fixed(7), Show::InFile).unwrap().keys;
    keys.revoke("ELAU4eqF").unwrap();
    assert_eq!(state.read(FIRST_KEY_FILE).unwrap(), None);
}
