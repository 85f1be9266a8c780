//! Several files take the place of others, all or none.
//!
//! Invariants: each name has the old file or the new one, whole, whenever the program or the machine stops; what fails puts
//! back what was there and leaves nothing behind.

use std::{
    borrow::Cow,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use time::OffsetDateTime;

use super::place;

/// A file of the state as it is to be.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// Its name from the state directory on.
    pub(crate) name: Cow<'static, str>,
    /// What is to be in it; none where it is only to be set aside.
    pub(crate) text: Option<Vec<u8>>,
    /// When what is in it was written at the earliest, which its stamp bears witness to; so does that of the file before it.
    pub(crate) least: Option<SystemTime>,
}

impl Wanted {
    /// A file with this in it, or none of the name.
    pub(crate) fn new(name: impl Into<Cow<'static, str>>, text: Option<Vec<u8>>) -> Self {
        Self { name: name.into(), text, least: None }
    }
}

/// One file on its way.
#[derive(Debug)]
struct Step {
    target: PathBuf,
    /// The new file, under a name that nobody reads.
    staged: Option<PathBuf>,
    /// The old file's other name.
    aside: Option<PathBuf>,
    /// The name has the new file, or none where none is wanted.
    done: bool,
}

/// All of them. Dropped before the end, everything is as it was.
#[derive(Debug, Default)]
struct Steps {
    steps: Vec<Step>,
    made: Vec<PathBuf>,
    ended: bool,
}

/// Puts `files` in their places below `state`; `give` makes each new one its owner's. Gives the names that the old ones have now.
pub(crate) fn all(
    state: &Path,
    files: &[Wanted],
    before: &str,
    give: &dyn Fn(&File) -> io::Result<()>,
) -> io::Result<Vec<String>> {
    let mut steps = Steps::default();
    for file in files {
        steps.stage(state, file, give)?;
    }
    let stamp = format!("{before}-{}", stamp(OffsetDateTime::now_utc()));
    for step in &mut steps.steps {
        step.take(&stamp)?;
    }
    for step in &steps.steps {
        sync(&step.target)?;
    }
    steps.ended = true;
    let aside = steps.steps.iter().filter_map(|step| step.aside.as_deref());
    let below = |path: &Path| path.strip_prefix(state).unwrap_or(path).display().to_string();
    Ok(aside.map(below).collect())
}

/// Removes what was set aside by the same command, but for the newest few.
pub(crate) fn forget(state: &Path, name: &str, before: &str, keep: usize) -> io::Result<()> {
    let prefix = format!("{name}.before-{before}-");
    let mut aside = Vec::new();
    for entry in fs::read_dir(state)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            aside.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    aside.sort();
    let old = aside.len().saturating_sub(keep);
    aside.iter().take(old).try_for_each(|(_, path)| fs::remove_file(path))
}

impl Steps {
    fn stage(
        &mut self,
        state: &Path,
        file: &Wanted,
        give: &dyn Fn(&File) -> io::Result<()>,
    ) -> io::Result<()> {
        let target = state.join(&*file.name);
        let Some(text) = &file.text else {
            self.steps.push(Step { target, staged: None, aside: None, done: false });
            return Ok(());
        };
        let directory = target.parent().unwrap_or(state);
        if directory != state && place::made_inside(directory)? {
            self.made.push(directory.to_owned());
        }
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let staged = directory.join(format!(".{name}.restore"));
        // What a crash has left behind.
        missing_is_fine(fs::remove_file(&staged))?;
        let mut opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&staged)?;
        self.steps.push(Step { target, staged: Some(staged), aside: None, done: false });
        give(&opened)?;
        opened.write_all(text)?;
        // A clock that was lost must not make the state forget what time it is at least.
        let before = self.steps.last().and_then(|step| step.target.metadata().ok()?.modified().ok());
        if let Some(least) = file.least.max(before).filter(|least| *least > SystemTime::now()) {
            opened.set_modified(least)?;
        }
        opened.sync_all()
    }
}

impl Step {
    fn take(&mut self, stamp: &str) -> io::Result<()> {
        if self.target.symlink_metadata().is_ok() {
            let free = |number: &u32| !self.aside(stamp, *number).exists();
            let number = (0..u32::MAX).find(free).unwrap_or_default();
            let aside = self.aside(stamp, number);
            // A second name, so that the first is never without a file.
            fs::hard_link(&self.target, &aside)?;
            self.aside = Some(aside);
        }
        match &self.staged {
            Some(staged) => fs::rename(staged, &self.target)?,
            None => missing_is_fine(fs::remove_file(&self.target))?,
        }
        self.done = true;
        Ok(())
    }

    fn aside(&self, stamp: &str, number: u32) -> PathBuf {
        let name = self.target.file_name().unwrap_or_default().to_string_lossy();
        let more = if number == 0 { String::new() } else { format!("-{number}") };
        self.target.with_file_name(format!("{name}.before-{stamp}{more}"))
    }

    fn undo(&self) {
        let _as_well_as_can_be = match (&self.aside, self.done) {
            (Some(aside), true) => fs::rename(aside, &self.target),
            (Some(aside), false) => fs::remove_file(aside),
            (None, true) if self.staged.is_some() => fs::remove_file(&self.target),
            (None, _) => Ok(()),
        };
        if let Some(staged) = &self.staged {
            let _has_its_name_already = fs::remove_file(staged);
        }
        let _as_well_as_can_be = sync(&self.target);
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        for step in self.steps.iter().rev() {
            step.undo();
        }
        for directory in &self.made {
            let _others_may_be_in_it = fs::remove_dir(directory);
        }
    }
}

/// Makes the names beside a file last.
fn sync(target: &Path) -> io::Result<()> {
    let directory = target.parent().unwrap_or(target);
    match File::open(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        opened => opened?.sync_all(),
    }
}

fn missing_is_fine(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// As the daemon writes it behind what it sets aside.
fn stamp(now: OffsetDateTime) -> String {
    let (date, time) = (now.date(), now.time());
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, os::unix::fs::PermissionsExt};

    use super::*;

    fn files(state: &Path) -> BTreeMap<String, String> {
        let entries = [state.to_owned(), state.join("ca")].into_iter().filter_map(|at| fs::read_dir(at).ok());
        let paths = entries.flatten().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
        let name = |path: &Path| path.strip_prefix(state).unwrap().display().to_string();
        paths.map(|path| (name(&path), fs::read_to_string(&path).unwrap())).collect()
    }

    fn wanted(name: &'static str, text: &str) -> Wanted {
        Wanted::new(name, Some(text.into()))
    }

    #[test]
    fn what_was_there_is_set_aside_and_what_is_new_is_its_owners_alone() {
        let state = tempfile::tempdir().unwrap();
        let at = state.path();
        fs::write(at.join("keys.json"), "old").unwrap();
        fs::write(at.join("audit.log.1"), "older").unwrap();
        let gone = Wanted::new("audit.log.1", None);
        let new = [wanted("keys.json", "new"), wanted("ca/ca.pem", "ca"), gone];
        let before = all(at, &new, "restore", &|_| Ok(())).unwrap();
        assert_eq!(before.len(), 2, "{before:?}");
        let there = files(at);
        assert_eq!((there["keys.json"].as_str(), there["ca/ca.pem"].as_str()), ("new", "ca"));
        assert_eq!((there[&before[0]].as_str(), there[&before[1]].as_str()), ("old", "older"));
        assert_eq!(there.len(), 4, "{there:?}");
        for (name, right) in [("keys.json", 0o600), ("ca/ca.pem", 0o600), ("ca", 0o700)] {
            let mode = fs::metadata(at.join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, right, "{name}");
        }
        // Again in the same second: nothing that was set aside is lost.
        all(at, &[wanted("keys.json", "newer")], "restore", &|_| Ok(())).unwrap();
        all(at, &[wanted("keys.json", "newest")], "restore", &|_| Ok(())).unwrap();
        assert_eq!(files(at).len(), 6, "{:?}", files(at));
    }

    #[test]
    fn a_file_is_never_older_than_what_it_holds_or_takes_the_place_of() {
        let state = tempfile::tempdir().unwrap();
        let later = SystemTime::now() + std::time::Duration::from_secs(86_400);
        let stamp = || fs::metadata(state.path().join("keys.json")).unwrap().modified().unwrap();
        let lay = |least| {
            let new = Wanted { least, ..wanted("keys.json", "new") };
            all(state.path(), &[new], "restore", &|_| Ok(())).unwrap();
        };
        lay(None);
        assert!(stamp() < later);
        lay(Some(later));
        assert_eq!(stamp(), later, "of the backup");
        lay(None);
        assert_eq!(stamp(), later, "of the file before");
    }

    #[test]
    fn what_was_set_aside_again_and_again_is_bounded() {
        let state = tempfile::tempdir().unwrap();
        for number in 0..6 {
            all(state.path(), &[wanted("a.json", &number.to_string())], "unset", &|_| Ok(())).unwrap();
            all(state.path(), &[wanted("b.json", "other")], "unset", &|_| Ok(())).unwrap();
            forget(state.path(), "a.json", "unset", 3).unwrap();
        }
        let there = files(state.path());
        let aside: Vec<_> = there.iter().filter(|(name, _)| name.starts_with("a.json.before")).collect();
        assert_eq!(aside.len(), 3, "{there:?}");
        assert!(aside.iter().any(|(_, text)| *text == "4") && there["a.json"] == "5", "{there:?}");
        assert_eq!(there.len(), 3 + 1 + 6, "{there:?}");
    }

    #[test]
    fn what_fails_in_the_middle_changes_nothing() {
        let state = tempfile::tempdir().unwrap();
        let at = state.path();
        fs::write(at.join("keys.json"), "old").unwrap();
        // A directory has no second name.
        fs::create_dir(at.join("audit.log")).unwrap();
        let new = || [wanted("keys.json", "new"), wanted("ca/ca.pem", "ca"), wanted("audit.log", "log")];
        let there = files(at);
        all(at, &new(), "restore", &|_| Ok(())).unwrap_err();
        assert_eq!(files(at), there);
        assert!(!at.join("ca").exists());
        fs::remove_dir(at.join("audit.log")).unwrap();
        all(at, &new(), "restore", &|_| Err(io::Error::other("not mine to give"))).unwrap_err();
        assert_eq!(files(at), there);
        assert!(!at.join("ca").exists());
    }
}
