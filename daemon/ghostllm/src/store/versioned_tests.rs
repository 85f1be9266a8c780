//! Tests of the versioned files: every pair of what the file and its copy may be, and what is left on the disk.

use std::{fs, os::unix::fs::PermissionsExt};

use ghostllm_core::state::{Damage, Step};
use serde_json::{Value, json, value::RawValue};

use super::*;

/// A number, which in version 1 was a text.
#[derive(Debug, PartialEq)]
struct Number(u64);

impl Kind for Number {
    const NAME: &'static str = "number";
    const STEPS: &'static [Step] =
        &[|text| Ok(json!(text.as_str().and_then(|text| text.parse::<u64>().ok())))];

    fn read(content: &str) -> Result<Self, Damage> {
        Ok(Self(serde_json::from_str(content)?))
    }

    fn write(&self) -> Result<Box<RawValue>, serde_json::Error> {
        serde_json::value::to_raw_value(&self.0)
    }
}

/// The same kind as a program before and one after have it.
macro_rules! other_version {
    ($name:ident, $steps:expr) => {
        struct $name(Value);
        impl Kind for $name {
            const NAME: &'static str = "number";
            const STEPS: &'static [Step] = $steps;
            fn read(content: &str) -> Result<Self, Damage> {
                Ok(Self(serde_json::from_str(content)?))
            }
            fn write(&self) -> Result<Box<RawValue>, serde_json::Error> {
                serde_json::value::to_raw_value(&self.0)
            }
        }
    };
}
other_version!(First, &[]);
other_version!(Later, &[|text| Ok(text), |number| Ok(number), |number| Ok(number)]);

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap()
}

struct Place {
    _scratch: tempfile::TempDir,
    state: StateDir,
    file: Versioned<Number>,
}

impl Place {
    fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let state = StateDir::open(&scratch.path().join("state")).unwrap();
        let file = Versioned::new(&state, "n");
        Self { _scratch: scratch, state, file }
    }

    fn put(&self, name: &str, text: Option<&[u8]>) {
        if let Some(text) = text {
            self.state.write_private(name, text).unwrap();
        }
    }

    fn text(&self, name: &str) -> Option<Vec<u8>> {
        self.state.read(name).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.state.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn what_is_saved_is_loaded_and_lies_there_twice() {
    let place = Place::new();
    assert_eq!(place.file.load(now()).unwrap(), None);
    for number in [1, 2] {
        place.file.save(&Number(number)).unwrap();
        assert_eq!(place.file.load(now()).unwrap(), Some(Number(number)));
        assert_eq!(place.text("n"), place.text("n.last"));
    }
    assert_eq!(place.names(), ["n", "n.last"]);
    for name in place.names() {
        let mode = fs::metadata(place.state.file(&name).unwrap()).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{name}");
    }
}

/// What may be found under a name, with what a load of it alone says.
const TEXTS: [&str; 6] = ["absent", "good", "other", "old", "newer", "bad"];

fn text(what: &str) -> Option<Vec<u8>> {
    match what {
        "good" => Some(encode(&Number(7)).unwrap()),
        "other" => Some(encode(&Number(8)).unwrap()),
        "old" => Some(encode(&First(json!("7"))).unwrap()),
        "newer" => Some(encode(&Later(json!(7))).unwrap()),
        "bad" => Some(b"{".to_vec()),
        _ => None,
    }
}

#[test]
fn every_pair_of_file_and_copy_gives_the_file_or_its_copy_or_nothing_at_all() {
    for main in TEXTS {
        for copy in TEXTS {
            let place = Place::new();
            place.put("n", text(main).as_deref());
            place.put("n.last", text(copy).as_deref());
            let good = |what: &str| match what {
                "good" | "old" => Some(7),
                "other" => Some(8),
                _ => None,
            };
            let expected = match (main, copy) {
                ("absent", "absent") => {
                    assert_eq!(place.file.load(now()).unwrap(), None);
                    continue;
                }
                // A copy is older than what a newer program has written, and may open what was closed since.
                ("newer", _) => None,
                _ => good(main).or_else(|| good(copy)),
            };
            let loaded = place.file.load(now());
            if let Some(expected) = expected {
                assert_eq!(loaded.unwrap(), Some(Number(expected)), "{main} {copy}");
                assert_eq!(place.text("n"), Some(encode(&Number(expected)).unwrap()), "{main} {copy}");
                assert_eq!(place.text("n"), place.text("n.last"), "{main} {copy}");
            } else {
                let error = loaded.unwrap_err();
                assert_eq!(
                    matches!(error, LoadError::Newer { .. }),
                    main == "newer",
                    "{main} {copy}: {error}"
                );
                assert!(error.to_string().contains("rm -r '"), "{error}");
                // The next start says no less of what a newer program has written.
                let again = place.file.load(now()).unwrap_err();
                let same = match main {
                    "newer" => again.to_string() == error.to_string(),
                    _ => matches!(again, LoadError::SetAside { whole: None, .. }),
                };
                assert!(same, "{main} {copy}: {error}\n{again}");
            }
            // What could not be used is still there, to the byte.
            for (name, what) in [("n", main), ("n.last", copy)] {
                let lost = ["newer", "bad"].contains(&what) || main == "newer" && what != "absent";
                let aside = place.state.aside(name).unwrap();
                assert_eq!(aside.len(), usize::from(lost), "{main} {copy}: {:?}", place.names());
                assert!(aside.iter().all(|aside| place.text(aside) == text(what)), "{main} {copy}");
            }
        }
    }
}

#[test]
fn a_migrated_file_keeps_what_it_was_made_of() {
    let place = Place::new();
    place.put("n", text("old").as_deref());
    assert_eq!(place.file.load(now()).unwrap(), Some(Number(7)));
    assert_eq!(place.text("n.v1"), text("old"));
    // The program of before finds what it can go back to, and does not go back by itself.
    let error = Versioned::<First>::new(&place.state, "n").load(now()).map(|_| ()).unwrap_err().to_string();
    let way = format!("cp -p '{0}.v1' '{0}'", place.state.file("n").unwrap().display());
    assert!(
        error.contains("version 2") && error.contains("knows version 1") && error.contains(&way),
        "{error}"
    );
    assert!(Versioned::<First>::new(&place.state, "n").load(now()).is_err());
}

#[test]
fn the_ways_out_work() {
    let run = |line: &str| {
        let ran = std::process::Command::new("sh").args(["-c", line]).status().unwrap();
        assert!(ran.success(), "{line}");
    };
    let place = Place::new();
    place.put("n", text("newer").as_deref());
    place.put("n.last", text("newer").as_deref());
    let error = place.file.load(now()).unwrap_err().to_string();
    let command = error.split("run: ").nth(1).unwrap().split(". To begin").next().unwrap();
    assert!(command.starts_with("mv "), "{error}");
    // The newer program itself finds that it is whole, and names the same command.
    let later = Versioned::<Later>::new(&place.state, "n").load(now()).map(|_| ()).unwrap_err().to_string();
    assert!(later.contains("is whole") && later.contains(command), "{later}");
    run(command);
    assert!(Versioned::<Later>::new(&place.state, "n").load(now()).unwrap().is_some());
    let error = place.file.load(now()).unwrap_err().to_string();
    let command = error.split("run: ").last().unwrap();
    assert!(command.starts_with("rm -r "), "{error}");
    run(command);
    // What the first attempt has set aside of the copy is still there, and named.
    let error = place.file.load(now()).unwrap_err().to_string();
    run(error.split("run: ").last().unwrap());
    assert_eq!(place.file.load(now()).unwrap(), None);
}

#[test]
fn a_failed_save_changes_neither() {
    for obstacle in [".n.next", ".n.last.next"] {
        let place = Place::new();
        place.file.save(&Number(1)).unwrap();
        fs::create_dir(place.state.path().join(obstacle)).unwrap();
        let error = place.file.save(&Number(2)).unwrap_err();
        assert_eq!(error.answer().status().as_u16(), 507);
        fs::remove_dir(place.state.path().join(obstacle)).unwrap();
        assert_eq!(place.names(), ["n", "n.last"], "{obstacle}");
        assert_eq!(place.file.load(now()).unwrap(), Some(Number(1)), "{obstacle}");
    }
}

#[test]
fn a_copy_that_cannot_be_installed_takes_the_change_back() {
    for before in [None, Some(1)] {
        let place = Place::new();
        if let Some(number) = before {
            place.file.save(&Number(number)).unwrap();
            fs::remove_file(place.state.file("n.last").unwrap()).unwrap();
        }
        // A file cannot take a directory's name: the last of all steps fails.
        fs::create_dir(place.state.path().join("n.last")).unwrap();
        assert_eq!(place.file.save(&Number(2)).unwrap_err().answer().status().as_u16(), 507);
        assert!(place.state.is_alarmed());
        let left = before.and_then(|number| encode(&Number(number)).ok());
        assert_eq!(place.text("n"), left, "what was refused is there");
        fs::remove_dir(place.state.path().join("n.last")).unwrap();
        assert!(place.names().iter().all(|name| name == "n"), "{:?}", place.names());
    }
}

#[test]
fn what_is_good_is_used_where_nothing_can_be_written() {
    for (main, copy) in
        [("good", "absent"), ("good", "other"), ("good", "bad"), ("old", "absent"), ("bad", "good")]
    {
        let place = Place::new();
        place.put("n", text(main).as_deref());
        place.put("n.last", text(copy).as_deref());
        let obstacles = [".n.next", ".n.last.next", ".n.v1.next"].map(|name| place.state.path().join(name));
        for obstacle in &obstacles {
            fs::create_dir(obstacle).unwrap();
        }
        for _ in 0..2 {
            assert_eq!(place.file.load(now()).unwrap(), Some(Number(7)), "{main} {copy}");
            assert!(place.state.is_alarmed());
        }
        for obstacle in &obstacles {
            fs::remove_dir(obstacle).unwrap();
        }
        assert_eq!(place.file.load(now()).unwrap(), Some(Number(7)), "{main} {copy}");
        assert!(!place.state.is_alarmed());
        assert_eq!(place.text("n"), place.text("n.last"), "{main} {copy}");
    }
}

#[test]
fn what_is_no_file_or_endless_is_set_aside() {
    let place = Place::new();
    place.file.save(&Number(1)).unwrap();
    let path = place.state.file("n").unwrap();
    fs::remove_file(&path).unwrap();
    fs::DirBuilder::new().create(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(place.file.load(now()).unwrap(), Some(Number(1)));
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1 << 30).unwrap();
    assert_eq!(place.file.load(now()).unwrap(), Some(Number(1)));
    assert_eq!(place.state.aside("n").unwrap().len(), 2);
}

#[test]
fn a_file_or_copy_that_others_may_read_is_refused_and_nothing_is_touched() {
    for name in ["n", "n.last"] {
        let place = Place::new();
        place.file.save(&Number(1)).unwrap();
        let path = place.state.file(name).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = place.file.load(now()).unwrap_err().to_string();
        assert!(error.ends_with(&format!("run: chmod 600 '{}'", path.display())), "{error}");
        assert_eq!(place.names(), ["n", "n.last"]);
    }
}
