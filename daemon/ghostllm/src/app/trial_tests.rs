//! Tests of the looks that an upgrade takes: what they let pass a start takes, what they refuse a start refuses, and nothing is changed.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use ghostllm_edge::ca::CLOCK_FLOOR;
use tempfile::TempDir;
use time::OffsetDateTime;

use super::*;
use crate::{
    host::Host,
    store::keys::{Keys, Show},
};

/// The files of every version that was given out.
const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../core/tests-data/state");

/// A fault: words of what is told, the exit code, and how it is made.
type Fault = (&'static str, u8, fn(&Home));

/// A box after its first start.
struct Home {
    _scratch: TempDir,
    path: PathBuf,
}

impl Home {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("state");
        let state = StateDir::open(&path).unwrap();
        ghostllm_edge::tls::install_provider();
        let made = Certificates::open(CaFiles::open(&state).unwrap(), None, &Host::read(), &[], now());
        let _shown = made.unwrap();
        open(&path).unwrap();
        Self { _scratch: scratch, path }
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.path.join(name);
        fs::write(&path, bytes).unwrap();
        chmod(&path, 0o600);
    }

    fn recorded(&self, recorded: &str, name: &str) {
        self.put(name, &fs::read(Path::new(RECORDED).join(recorded)).unwrap());
    }

    /// Every file with its content and mode.
    fn all(&self) -> BTreeMap<PathBuf, (Vec<u8>, u32)> {
        let mut all = BTreeMap::new();
        let mut left = vec![self.path.clone()];
        while let Some(path) = left.pop() {
            let facts = fs::metadata(&path).unwrap();
            if facts.is_dir() {
                left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
            let bytes = if facts.is_dir() { Vec::new() } else { fs::read(&path).unwrap() };
            all.insert(path, (bytes, facts.permissions().mode()));
        }
        all
    }

    /// Looks, and sees that nothing has changed by it.
    fn look(&self) -> Found {
        let before = self.all();
        let found = state(&self.path, true);
        assert_eq!(self.all(), before, "looking has changed something");
        found
    }
}

fn now() -> OffsetDateTime {
    CLOCK_FLOOR + time::Duration::days(1)
}

/// As a start does it.
fn open(path: &Path) -> Result<(), StartError> {
    let state = StateDir::open(path)?;
    settings::Kept::glance(path)?.open(&state, now())?;
    let _keys = Keys::open(&state, now(), keys::random, Show::InFile)?;
    Ok(())
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A file of the form that a later version may have.
fn of_version(kind: &str, version: usize, content: &str) -> Vec<u8> {
    let mut sum = crc32fast::Hasher::new();
    sum.update(format!("{kind}\n{version}\n{content}").as_bytes());
    let crc32 = sum.finalize();
    format!(r#"{{"kind":"{kind}","version":{version},"crc32":"{crc32:08x}","content":{content}}}"#)
        .into_bytes()
}

#[test]
fn a_state_of_this_version_is_taken_as_it_is_and_none_is_no_fault() {
    let here = Home::new();
    let found = here.look();
    assert!(found.there && found.faults.is_empty() && found.notes.is_empty(), "{found:?}");
    let found = state(&here.path.join("nowhere"), true);
    assert!(!found.there && found.faults.is_empty(), "{found:?}");
}

/// Every version that was given out is taken, and what would be changed is said.
#[test]
fn older_versions_are_taken_and_told() {
    for (recorded, version) in [("keys-1.json", 1), ("keys-2.json", 2)] {
        let here = Home::new();
        fs::remove_file(here.path.join("keys.json.last")).unwrap();
        here.recorded(recorded, "keys.json");
        here.recorded("settings-1.json", "settings.json");
        here.recorded("usage-1.json", "usage-2026-11.json");
        let found = here.look();
        assert!(found.faults.is_empty(), "{recorded}: {found:?}");
        let said = found.notes.join("\n");
        let words = format!(
            "is of version {version} and would be of version 3; the old one would be kept as keys.json.v{version}"
        );
        assert!(said.contains(&words), "{recorded}: {said}");
        open(&here.path).unwrap();
        assert!(here.path.join(format!("keys.json.v{version}")).exists(), "it is as it was told");
        assert!(here.look().notes.is_empty());
    }
}

/// What a start refuses is refused, with its exit code; each is made alone, and mended.
#[test]
fn what_a_start_would_refuse_is_a_fault_with_its_exit_code() {
    let faults: [Fault; 7] = [
        ("written by a newer ghostllm", 74, |here| {
            here.put("keys.json", &of_version("keys", 9, r#"{"keys":[]}"#));
        }),
        ("written by a newer ghostllm", 74, |here| {
            here.put("settings.json", &of_version("settings", 9, r#"{"settings":{}}"#));
        }),
        ("nor can its copy", 74, |here| {
            here.put("keys.json", b"{");
            here.put("keys.json.last", b"{");
        }),
        ("chmod 600", 77, |here| chmod(&here.path.join("keys.json"), 0o644)),
        ("chmod 600", 77, |here| chmod(&here.path.join("first-key"), 0o644)),
        ("chmod 700", 77, |here| chmod(&here.path, 0o755)),
        ("set aside at an earlier start", 74, |here| {
            for name in ["keys.json", "keys.json.last"] {
                fs::rename(here.path.join(name), here.path.join(format!("{name}.bad-20261128T090000Z")))
                    .unwrap();
            }
        }),
    ];
    for (words, code, make) in faults {
        let here = Home::new();
        make(&here);
        let found = here.look();
        let (given, said) = found.faults.first().unwrap_or_else(|| panic!("{words}: nothing is found"));
        let start = open(&here.path).unwrap_err();
        assert_eq!((*given, start.exit_code()), (code, code), "{said}\n{start}");
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn a_ca_that_cannot_be_used_is_a_fault_unless_another_certificate_is_shown() {
    let here = Home::new();
    here.put("ca/authority.pem", b"nothing");
    let found = here.look();
    assert!(found.faults.iter().any(|(_, said)| said.contains("the local CA in")), "{found:?}");
    assert!(state(&here.path, false).faults.is_empty());
    fs::remove_file(here.path.join("ca/authority.pem")).unwrap();
    assert!(here.look().faults.iter().any(|(_, said)| said.contains("it is gone")));
}

/// No start fails for what requests have used.
#[test]
fn a_month_that_would_be_lost_is_told_and_no_fault() {
    let here = Home::new();
    here.put("usage-2026-10.json", &of_version("usage", 9, r#"{"days":{}}"#));
    let found = here.look();
    let [note] = found.notes.as_slice() else { panic!("{found:?}") };
    assert!(found.faults.is_empty() && note.contains("2026-10") && note.contains("newer ghostllm"), "{note}");
}
