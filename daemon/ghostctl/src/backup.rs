//! `ghostctl backup`: the state in one file, encrypted.
//!
//! Knows the admin API's tar and the file's form. Refuses to read the state itself: only the daemon may. Invariant: the file
//! is readable by its owner alone, and is there whole or not at all.

pub(crate) mod archive;
pub(crate) mod passphrase;
pub(crate) mod sealed;
mod typed;

use std::{
    fs::{self, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use clap::Args;
use ghostllm_core::{
    admin::{ConfigShown, Status},
    backup::{AUTHORITY, CONFIG, LARGEST_CONFIG, MANIFEST, Manifest, STATE, VERSION},
    routes::Admin,
};

use crate::{
    arguments::Context,
    client::Question,
    exit::{Exit, Failure},
    output::{self, Tone, when},
};
use archive::Content;
use passphrase::Passphrase;

/// Keys, audit log and configuration in one encrypted file
#[derive(Debug, Args)]
#[command(after_help = "The file is in age's format: `age -d FILE | tar tv` shows it as well.\n\n\
                        Example:\n  ghostctl backup ghostllm.backup")]
pub(crate) struct Arguments {
    /// The file to make
    file: PathBuf,
    /// The CA's key as well: who has it can be this box
    #[arg(long)]
    with_ca_key: bool,
    /// A file with the passphrase; - is stdin
    #[arg(long, value_name = "PATH")]
    passphrase_file: Option<PathBuf>,
    /// Write over a file that exists
    #[arg(long)]
    yes: bool,
}

impl Arguments {
    pub(crate) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        if !self.yes && self.file.symlink_metadata().is_ok() {
            return Err(exists(&self.file));
        }
        let status = context.client.ask::<Status>(&Question::new(Admin::Status)).await?.what;
        let config = context.client.ask::<ConfigShown>(&Question::new(Admin::Config)).await?.what;
        let passphrase = Passphrase::of(self.passphrase_file.as_deref())?.for_a_new_one()?;
        let query = format!("authority={}", self.with_ca_key);
        let tar = context.client.bytes(&Question::new(Admin::Backup).query(query)).await?;
        let odd = |why: String| {
            Failure::new(Exit::Failed, format!("what the daemon gave for the backup is not sound: {why}"))
                .next("ghostctl version, which shows whether the two are of one version")
        };
        let mut files = archive::members(&tar).map_err(odd)?;
        let with_ca_key = files.iter().any(|(name, _)| name.strip_prefix(STATE) == Some(AUTHORITY));
        if with_ca_key && !self.with_ca_key {
            return Err(odd("it has the CA's key, which nobody asked for".to_owned()));
        }
        let from = configuration(&config.files, &mut files);
        let manifest = Manifest {
            version: VERSION,
            created: when::now(),
            program: status.program,
            host: status.host,
            with_ca_key,
            files: archive::list(&files, &from),
        };
        let json = serde_json::to_string(&manifest).map_err(|error| odd(error.to_string()))?;
        files.insert(0, (MANIFEST.to_owned(), json.clone().into_bytes()));
        let plain = archive::write(&files).map_err(|error| odd(error.to_string()))?;
        let sealed = passphrase.seal(&plain)?;
        write(&self.file, &sealed, self.yes)?;
        context.show(&json, |screen| {
            let content = Content { manifest, files: Vec::new() };
            let done = format!("{} is written, {} bytes.", self.file.display(), sealed.len());
            screen.hanging("", Tone::Plain, &done) + &content.told(screen)
        })?;
        if !with_ca_key && !context.json {
            output::say(
                "The CA's key is not in it: a box that is set up anew from it has a CA of its own, which clients must \
                 then trust. To take it along: ghostctl backup --with-ca-key FILE",
            );
        }
        Ok(Exit::Well)
    }
}

/// Adds the configuration files that can be read; gives their names with the places where they lay.
fn configuration(paths: &[String], files: &mut Vec<(String, Vec<u8>)>) -> Vec<(String, String)> {
    let mut from = Vec::new();
    for (number, path) in paths.iter().enumerate().take(100) {
        let read =
            fs::metadata(path).and_then(|facts| match facts.is_file() && facts.len() <= LARGEST_CONFIG {
                true => fs::read(path),
                false => Err(io::Error::from(ErrorKind::InvalidInput)),
            });
        match read {
            Ok(text) if text.len() as u64 <= LARGEST_CONFIG => {
                let last = Path::new(path).file_name().unwrap_or_default().to_string_lossy();
                let plain = |letter: char| letter.is_ascii_alphanumeric() || ".-_".contains(letter);
                let last: String =
                    last.chars().map(|letter| if plain(letter) { letter } else { '_' }).take(60).collect();
                let name = format!("{CONFIG}{number:02}-{last}");
                files.push((name.clone(), text));
                from.push((name, path.clone()));
            }
            Ok(_) => output::say(&format!("{path} is left out: it is too large for a configuration")),
            Err(error) => output::say(&format!("{path} is left out: {error}")),
        }
    }
    from
}

fn exists(file: &Path) -> Failure {
    Failure::new(Exit::Failed, format!("{} exists and is left as it is", file.display()))
        .next("the same command with --yes, or another file")
}

fn write(file: &Path, bytes: &[u8], yes: bool) -> Result<(), Failure> {
    // Over an older backup only once the new one is whole.
    let at = match yes {
        true => file.with_added_extension("part"),
        false => file.to_owned(),
    };
    let failed = |error: io::Error| match error.kind() {
        ErrorKind::AlreadyExists => exists(&at),
        ErrorKind::PermissionDenied => {
            Failure::new(Exit::Denied, format!("{} cannot be written: {error}", at.display()))
                .next("the same command with sudo, or another file")
        }
        _ => Failure::new(Exit::Failed, format!("{} cannot be written: {error}", at.display()))
            .next("the same command with another file"),
    };
    let mut opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&at).map_err(failed)?;
    let written = opened.write_all(bytes).and_then(|()| opened.sync_all());
    let named = written.and_then(|()| if yes { fs::rename(&at, file) } else { Ok(()) });
    named.map_err(|error| {
        // Half a backup is none.
        let _as_well_as_can_be = fs::remove_file(&at);
        failed(error)
    })
}
