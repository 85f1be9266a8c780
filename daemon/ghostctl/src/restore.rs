//! `ghostctl restore`: a backup takes the place of the state, while no daemon has it.
//!
//! Knows the backup and the state directory. Refuses to judge what is in the files, but for the keys, which must be ones that
//! this version reads. Invariant: everything is checked before anything is written, and what was there stays under a name with
//! its date.

pub(crate) mod place;
pub(crate) mod replace;

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use clap::Args;
use ghostllm_core::{
    admin::FORM,
    backup::{
        AUDIT, AUDIT_BEFORE, AUTHORITY, AUTHORITY_COPY, DENIED, DENIED_BEFORE, KEYS, KEYS_COPY, LEAF,
        Restored, SETTINGS, SETTINGS_COPY, STATE,
    },
    state::{
        Kind, Unread, decode,
        keys::KeysFile,
        settings::SettingsFile,
        usage::{self, UsageFile},
    },
};

use crate::{
    arguments::Context,
    backup::{archive::Content, passphrase::Passphrase, sealed},
    confirm,
    exit::{Exit, Failure},
    output::{self, Tone},
};
use place::Place;
use replace::Wanted;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A backup in the place of the state; the daemon must not run
#[derive(Debug, Args)]
#[command(after_help = "Configuration files are not put back: `age -d FILE | tar x` gives them out.\n\n\
                  Example:\n  ghostctl restore ghostllm.backup")]
pub(crate) struct Arguments {
    /// The file that ghostctl backup made
    file: PathBuf,
    /// Only show what is in it
    #[arg(long)]
    list: bool,
    /// The state directory [default: the daemon's]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// A file with the passphrase; - is stdin
    #[arg(long, value_name = "PATH")]
    passphrase_file: Option<PathBuf>,
    /// Without asking
    #[arg(long)]
    yes: bool,
}

impl Arguments {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        let bytes = sealed::read(&self.file)?;
        let passphrase = Passphrase::of(self.passphrase_file.as_deref())?;
        let plain = passphrase.open(&self.file, &bytes)?;
        let content = Content::read(&plain).map_err(|why| unsound(&self.file, &why))?;
        if self.list {
            let json = serde_json::to_string(&content.manifest)
                .map_err(|why| unsound(&self.file, &why.to_string()))?;
            context.show(&json, |screen| content.told(screen))?;
            return Ok(Exit::Well);
        }
        let mut files = wanted(content, &self.file)?;
        let mut place = Place::claim(self.state_dir.as_deref())?;
        files.extend(others_usage(&place, &files)?);
        let (there, question) = question(&place, &files);
        if there {
            confirm::ask(self.yes, &question)?;
        }
        let before = place.replace(files.as_slice(), "restore")?;
        let restored: Vec<String> =
            files.iter().filter(|file| file.text.is_some()).map(|file| file.name.to_string()).collect();
        let state = place.path().display().to_string();
        let restored = Restored { version: FORM, state, restored, before };
        let json = serde_json::to_string(&restored).unwrap_or_default();
        context.show(&json, |screen| {
            let mut out =
                screen.hanging("", Tone::Good, &format!("The backup is restored in {}.", restored.state));
            for name in &restored.before {
                out.push_str(&screen.hanging("  kept  ", Tone::Plain, name));
            }
            out
        })?;
        if !context.json {
            output::say("Next: systemctl start ghostllm, or ghostllm serve");
        }
        Ok(Exit::Well)
    }
}

fn unsound(file: &Path, why: &str) -> Failure {
    Failure::new(Exit::Failed, format!("{} cannot be restored: {why}", file.display()))
        .next("another backup; ghostctl restore --list FILE shows what is in one")
}

/// Refuses a file of the state that the daemon could not use.
fn sound<K: Kind>(file: &Path, what: &str, text: &[u8]) -> Result<(), Failure> {
    match decode::<K>(text) {
        Ok(_) => Ok(()),
        Err(Unread::Newer(version)) => {
            Err(unsound(file, &format!("its {what} are of version {version}, of a newer ghostllm"))
                .next("install that ghostllm, then the same command again"))
        }
        Err(Unread::Damaged(damage)) => Err(unsound(file, &format!("its {what} are damaged: {damage}"))),
    }
}

/// What the state is to have, each file as it will be.
fn wanted(content: Content, file: &Path) -> Result<Vec<Wanted>, Failure> {
    let mut files = content.files;
    let mut take = |name: &str| taken(&mut files, name);
    let keys = take(KEYS).ok_or_else(|| unsound(file, "it has no keys"))?;
    sound::<KeysFile>(file, "keys", &keys)?;
    // The copy as well: what it held before must take nobody's place.
    let copy = Wanted::new(KEYS_COPY, Some(keys.clone()));
    let least = OffsetDateTime::parse(&content.manifest.created, &Rfc3339).ok().map(SystemTime::from);
    let mut wanted = vec![Wanted { least, ..Wanted::new(KEYS, Some(keys)) }, copy];
    // None where the backup has none: what is kept here was never that box's.
    let settings = take(SETTINGS);
    if let Some(settings) = &settings {
        sound::<SettingsFile>(file, "settings", settings)?;
    }
    wanted.push(Wanted::new(SETTINGS_COPY, settings.clone()));
    wanted.push(Wanted::new(SETTINGS, settings));
    wanted.extend(used(&mut files, file)?);
    let mut take = |name: &str| taken(&mut files, name);
    // The CA whole or not at all: its certificate without its key looks to the daemon like a CA that was lost.
    if let Some(authority) = take(AUTHORITY) {
        wanted.push(Wanted::new(AUTHORITY, Some(authority)));
        wanted.push(Wanted::new(AUTHORITY_COPY, take(AUTHORITY_COPY)));
        wanted.push(Wanted::new(LEAF, take(LEAF)));
    }
    for name in [AUDIT_BEFORE, DENIED_BEFORE, DENIED] {
        wanted.push(Wanted::new(name, take(name)));
    }
    let mut audit = take(AUDIT).unwrap_or_default();
    if audit.last().is_some_and(|byte| *byte != b'\n') {
        audit.push(b'\n');
    }
    let detail = format!("a backup of {}, made {}", content.manifest.host, content.manifest.created);
    audit.extend(place::noted("state.restore", None, &detail));
    wanted.push(Wanted::new(AUDIT, Some(audit)));
    Ok(wanted)
}

/// Takes the file of this name.
fn taken(files: &mut Vec<(String, Vec<u8>)>, name: &str) -> Option<Vec<u8>> {
    let place = files.iter().position(|(other, _)| other.strip_prefix(STATE) == Some(name))?;
    Some(files.swap_remove(place).1)
}

/// Takes what requests have used, each month with its copy.
fn used(files: &mut Vec<(String, Vec<u8>)>, file: &Path) -> Result<Vec<Wanted>, Failure> {
    let names = files.iter().filter_map(|(name, _)| name.strip_prefix(STATE).map(str::to_owned));
    let months: Vec<String> = names.filter(|name| usage::month(name).is_some()).collect();
    let mut wanted = Vec::new();
    for name in months {
        let Some(text) = taken(files, &name) else { continue };
        sound::<UsageFile>(file, "counts of what requests have used", &text)?;
        wanted.push(Wanted::new(format!("{name}.last"), Some(text.clone())));
        wanted.push(Wanted::new(name, Some(text)));
    }
    Ok(wanted)
}

/// What was used of another box, which is kept here and not in the backup: it is only set aside.
fn others_usage(place: &Place, files: &[Wanted]) -> Result<Vec<Wanted>, Failure> {
    let unread = |error: std::io::Error| {
        Failure::new(Exit::Failed, format!("{} cannot be read: {error}", place.path().display()))
            .next("the same command with sudo")
    };
    let mut others = Vec::new();
    for entry in std::fs::read_dir(place.path()).map_err(unread)? {
        let name = entry.map_err(unread)?.file_name();
        let Some(name) = name.to_str() else { continue };
        let is_usage = usage::month(name.strip_suffix(".last").unwrap_or(name)).is_some();
        if is_usage && files.iter().all(|file| file.name != name) {
            others.push(Wanted::new(name.to_owned(), None));
        }
    }
    Ok(others)
}

/// What will be gone from its place, and whether there is any such thing.
fn question(place: &Place, files: &[Wanted]) -> (bool, String) {
    let there: Vec<&str> = files
        .iter()
        .map(|file| &*file.name)
        .filter(|name| place.path().join(name).symlink_metadata().is_ok())
        .collect();
    let question = format!(
        "In {} these are set aside, and the backup's take their place: {}.",
        place.path().display(),
        there.join(", ")
    );
    (!there.is_empty(), question)
}
