//! Tests of the state directory.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn scratch() -> (tempfile::TempDir, StateDir) {
    let scratch = tempfile::tempdir().unwrap();
    let state = StateDir::open(&scratch.path().join("a/state")).unwrap();
    (scratch, state)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn the_place_is_chosen_in_order() {
    let choose = |argument: Option<&str>, pairs: &[(&str, &str)]| {
        let find =
            |name: &str| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value));
        StateDir::choose(argument.map(Path::new), find).map(|path| path.display().to_string())
    };
    let all =
        [("STATE_DIRECTORY", "/var/lib/ghostllm:/other"), ("XDG_STATE_HOME", "/x"), ("HOME", "/home/a")];
    let absolute = std::path::absolute("relative").unwrap().display().to_string();
    assert_eq!(choose(Some("relative"), &all).unwrap(), absolute);
    assert_eq!(choose(None, &all).unwrap(), "/var/lib/ghostllm");
    assert_eq!(choose(None, &all[1..]).unwrap(), "/x/ghostllm");
    assert_eq!(choose(None, &all[2..]).unwrap(), "/home/a/.local/state/ghostllm");
    let ignored = [("STATE_DIRECTORY", ""), ("XDG_STATE_HOME", "relative"), ("HOME", "/home/a")];
    assert_eq!(choose(None, &ignored).unwrap(), "/home/a/.local/state/ghostllm");
    assert_eq!(choose(None, &[]).unwrap_err().exit_code(), 2);
}

#[test]
fn it_is_made_for_us_alone_and_so_are_its_files() {
    let (_scratch, state) = scratch();
    assert_eq!(mode(state.path()), 0o700);
    state.write_private("a", b"one").unwrap();
    state.write_private("a", b"two").unwrap();
    assert_eq!(mode(&state.file("a").unwrap()), 0o600);
    assert_eq!(state.read("a").unwrap().unwrap(), b"two");
    assert_eq!(state.read("b").unwrap(), None);
    assert!(state.remove("a").unwrap());
    assert!(!state.remove("a").unwrap());
    assert_eq!(fs::read_dir(state.path()).unwrap().count(), 0, "nothing is left behind");
    let inner = state.dir("ca").unwrap();
    assert_eq!(mode(inner.path()), 0o700);
}

#[test]
fn what_others_can_read_is_refused_with_the_line_that_helps() {
    let (_scratch, state) = scratch();
    for wide in [0o701, 0o710, 0o740, 0o755, 0o777] {
        chmod(state.path(), wide);
        let error = StateDir::open(state.path()).unwrap_err();
        assert_eq!(error.exit_code(), 77);
        assert!(
            error.to_string().ends_with(&format!("run: chmod 700 '{}'", state.path().display())),
            "{error}"
        );
    }
    chmod(state.path(), 0o700);
    StateDir::open(state.path()).unwrap();
    state.write_private("a", b"secret").unwrap();
    let path = state.file("a").unwrap();
    chmod(&path, 0o640);
    let error = state.read("a").unwrap_err();
    assert!(error.to_string().contains("run: chmod 600"), "{error}");
    // Writing it anew narrows it again.
    state.write_private("a", b"secret").unwrap();
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn what_cannot_be_written_is_said_with_its_path() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("file");
    fs::write(&file, "").unwrap();
    let proc = PathBuf::from("/proc/ghostllm");
    for (path, named, what) in [
        (file.join("state"), &file, "is none"),
        (file.clone(), &file, "is none"),
        (proc.clone(), &proc, "cannot be written"),
    ] {
        let error = StateDir::open(&path).unwrap_err();
        assert_eq!(error.exit_code(), 74, "{error}");
        assert!(error.to_string().contains(&named.display().to_string()), "{error}");
        assert!(error.to_string().contains(what) && error.to_string().contains("--state-dir"), "{error}");
    }
}

#[test]
fn a_failed_write_leaves_the_old_file() {
    let (_scratch, state) = scratch();
    state.write_private("a", b"old").unwrap();
    // A directory where the new file would be made: it can be neither removed as a file nor written.
    fs::create_dir(state.path().join(".a.next")).unwrap();
    assert_eq!(state.write_private("a", b"new").unwrap_err().exit_code(), 74);
    assert_eq!(state.read("a").unwrap().unwrap(), b"old");
    fs::remove_dir(state.path().join(".a.next")).unwrap();
    // What a crash has left behind is no obstacle.
    fs::write(state.path().join(".a.next"), b"half").unwrap();
    state.write_private("a", b"new").unwrap();
    assert_eq!(state.read("a").unwrap().unwrap(), b"new");
}

#[test]
fn a_failure_is_an_alert_until_something_is_written_again() {
    let (_scratch, state) = scratch();
    let inner = state.dir("ca").unwrap();
    let obstacle = inner.path().join(".a.next");
    fs::create_dir(&obstacle).unwrap();
    let error = inner.write_private("a", b"new").unwrap_err();
    assert_eq!(error.answer().status().as_u16(), 507);
    assert!(!error.answer().message().contains('/'), "no path for a client: {}", error.answer());
    assert!(inner.is_alarmed() && state.is_alarmed(), "one alert for all of them");
    state.look_again();
    assert!(!state.is_alarmed() && !inner.is_alarmed());
    assert!(inner.write_private("a", b"new").is_err() && state.is_alarmed());
    // The probe fails as well where nothing can be written.
    let probe = state.path().join(format!(".{PROBE}.next"));
    fs::create_dir(&probe).unwrap();
    state.look_again();
    assert!(state.is_alarmed());
    fs::remove_dir(&probe).unwrap();
    fs::remove_dir(&obstacle).unwrap();
    inner.write_private("a", b"new").unwrap();
    assert!(!state.is_alarmed());
    state.look_again();
    assert_eq!(fs::read_dir(state.path()).unwrap().count(), 1, "nothing but `ca` is left behind");
}

#[test]
fn a_removal_is_no_sign_of_room() {
    let (_scratch, state) = scratch();
    state.write_private("b", b"b").unwrap();
    fs::create_dir(state.path().join(".a.next")).unwrap();
    assert!(state.write_private("a", b"new").is_err());
    assert!(state.remove("b").unwrap() && state.is_alarmed());
    fs::remove_dir(state.path().join(".a.next")).unwrap();
    state.write_private("a", b"new").unwrap();
    assert!(!state.is_alarmed());
    // A removal that failed is made good by one that succeeds.
    fs::create_dir(state.path().join("b")).unwrap();
    assert!(state.remove("b").is_err() && state.is_alarmed());
    fs::remove_dir(state.path().join("b")).unwrap();
    assert!(!state.remove("b").unwrap() && !state.is_alarmed());
}

#[test]
fn what_failed_says_what_to_do_about_it() {
    let failed = |error: nix::errno::Errno, write: bool| {
        let (path, source) = (PathBuf::from("/s/a"), io::Error::from(error));
        match write {
            true => StateError::Unwritable { path, source }.to_string(),
            false => StateError::Unreadable { path, source }.to_string(),
        }
    };
    use nix::errno::Errno;
    for (error, write, wanted) in [
        (Errno::ENOSPC, true, "; make room on that disk"),
        (Errno::EDQUOT, true, "; make room on that disk"),
        (Errno::EROFS, true, "; make that file system writable again, or use --state-dir DIR"),
        (Errno::EIO, true, "; look after that disk, or use --state-dir DIR"),
        (Errno::EACCES, true, "; make it writable for this user or use --state-dir DIR"),
        (Errno::EIO, false, "; put a good copy back in its place, or move it away"),
    ] {
        let said = failed(error, write);
        assert!(said.ends_with(wanted), "{said}");
    }
    assert!(failed(Errno::EACCES, false).contains("chown "));
}

#[test]
fn the_line_that_helps_works_whatever_the_path() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("it's a $state \"here\"");
    fs::create_dir(&path).unwrap();
    chmod(&path, 0o755);
    let error = StateDir::open(&path).unwrap_err().to_string();
    let line = error.split("run: ").nth(1).unwrap();
    assert!(std::process::Command::new("sh").args(["-c", line]).status().unwrap().success(), "{line}");
    StateDir::open(&path).unwrap();
}

#[test]
fn names_cannot_leave_the_directory() {
    let (_scratch, state) = scratch();
    for name in ["", ".", "..", ".a", "a/b", "/a", "a\0b"] {
        assert!(matches!(state.write_private(name, b""), Err(StateError::Name(_))), "{name}");
        assert!(
            state.read(name).is_err() && state.remove(name).is_err() && state.dir(name).is_err(),
            "{name}"
        );
    }
}

#[test]
fn what_is_set_aside_bears_the_date_and_overwrites_nothing() {
    let (_scratch, state) = scratch();
    let now = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
    for expected in ["a.bad-20231114T221320Z", "a.bad-20231114T221320Z-1"] {
        state.write_private("a", b"x").unwrap();
        assert_eq!(state.set_aside("a", now).unwrap(), expected);
    }
    assert_eq!(state.read("a").unwrap(), None);
    assert_eq!(state.aside("a").unwrap().len(), 2);
    assert!(state.aside("b").unwrap().is_empty());
}

#[test]
fn one_process_has_it_at_a_time() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("state");
    let (_state, claim) = StateDir::claim(&path).unwrap();
    assert_eq!(mode(&path.join("lock")), 0o600);
    let refused = StateDir::claim(&path).unwrap_err();
    assert_eq!(refused.exit_code(), 74);
    let process = format!("process {}", std::process::id());
    assert!(refused.to_string().contains(&process), "{refused}");
    // Somebody takes the file away, since it looks left behind.
    fs::remove_file(path.join("lock")).unwrap();
    let refused = StateDir::claim(&path).unwrap_err();
    assert!(matches!(refused, StateError::InUse { holder: None, .. }), "{refused}");
    drop(claim);
    assert!(StateDir::claim(&path).is_ok());
}

#[test]
fn what_is_no_file_is_refused_and_never_waited_for() {
    let (_scratch, state) = scratch();
    nix::unistd::mkfifo(&state.path().join("keys.json"), nix::sys::stat::Mode::from_bits_truncate(0o600))
        .unwrap();
    let refused = state.read("keys.json").unwrap_err().to_string();
    assert!(refused.contains("no file"), "{refused}");
}
