//! The passphrase of a backup: typed on the terminal, or read from a file.
//!
//! Invariant: it is never an argument and never in the environment, which other programs see.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use age::secrecy::{ExposeSecret, SecretString};

use super::typed;
use crate::exit::{Exit, Failure};

/// The fewest characters; scrypt makes each guess dear, and a short one is guessed all the same.
const FEWEST: usize = 12;
/// Far more than anybody types.
const MOST: u64 = 4096;

/// A passphrase, and whether a person has typed it.
pub(crate) struct Passphrase {
    secret: SecretString,
    typed: bool,
}

impl Passphrase {
    /// From the file, standard input (`-`), or else the terminal.
    pub(crate) fn of(file: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = file else { return Ok(Self { secret: typed::line("Passphrase: ")?, typed: true }) };
        let failed = |why: String| {
            Failure::new(
                Exit::Failed,
                format!("the passphrase cannot be read from {}: {why}", path.display()),
            )
            .next("a file whose only line is the passphrase, or - for standard input")
        };
        let mut text = String::new();
        let read = match path.as_os_str().as_encoded_bytes() {
            b"-" => io::stdin().take(MOST).read_to_string(&mut text),
            _ => File::open(path).and_then(|file| file.take(MOST).read_to_string(&mut text)),
        };
        read.map_err(|error| failed(error.to_string()))?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() || line.contains(['\n', '\r', '\0']) {
            return Err(failed("it must be one line".to_owned()));
        }
        Ok(Self { secret: SecretString::from(line.to_owned()), typed: false })
    }

    /// One for a new backup: long enough, and typed twice where it was typed.
    pub(crate) fn for_a_new_one(self) -> Result<Self, Failure> {
        if self.secret.expose_secret().chars().count() < FEWEST {
            return Err(Failure::new(
                Exit::Failed,
                format!("the passphrase must have at least {FEWEST} characters"),
            )
            .next("the same command with a longer one; a few words are easy to keep"));
        }
        if self.typed && typed::line("The same again: ")?.expose_secret() != self.secret.expose_secret() {
            return Err(Failure::new(Exit::Failed, "the two are not the same").next("the same command again"));
        }
        Ok(self)
    }

    /// Itself.
    pub(super) fn secret(&self) -> SecretString {
        self.secret.clone()
    }
}
