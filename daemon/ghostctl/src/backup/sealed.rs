//! The backup's file: age's format, with a passphrase (age-encryption.org/v1, scrypt).
//!
//! Invariant: what is given out was authenticated to its last byte.

use std::{
    fs::File,
    io::{self, Read, Write},
    iter,
    path::Path,
};

use age::{DecryptError, Decryptor, Encryptor, scrypt};

use super::passphrase::Passphrase;
use crate::exit::{Exit, Failure};

/// 2 to the power of this many rounds, as the program `age` has it: a second and 256 MiB for each guess.
const WORK: u8 = 18;
/// A file that wants more, 1 GiB, was not made by this program.
const MOST_WORK: u8 = 20;
/// The largest backup: the state, and as much configuration as there may be.
const LARGEST: u64 = 160 << 20;

impl Passphrase {
    /// Encrypts a backup.
    pub(crate) fn seal(&self, plain: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut recipient = scrypt::Recipient::new(self.secret());
        recipient.set_work_factor(WORK);
        let failed = |error: String| {
            Failure::new(Exit::Failed, format!("the backup cannot be encrypted: {error}"))
                .next("the same command again")
        };
        let encryptor = Encryptor::with_recipients(iter::once(&recipient as _))
            .map_err(|error| failed(error.to_string()))?;
        let sealed = encryptor.wrap_output(Vec::new()).and_then(|mut sealed| {
            sealed.write_all(plain)?;
            sealed.finish()
        });
        sealed.map_err(|error| failed(error.to_string()))
    }

    /// Decrypts a backup.
    pub(crate) fn open(&self, file: &Path, sealed: &[u8]) -> Result<Vec<u8>, Failure> {
        let wrong = |why: String, next: &str| {
            Failure::new(Exit::Failed, format!("{} {why}", file.display())).next(next)
        };
        let told = |error: DecryptError| match error {
            DecryptError::NoMatchingKeys
            | DecryptError::DecryptionFailed
            | DecryptError::KeyDecryptionFailed => {
                wrong("does not open with this passphrase".to_owned(), "the same command with the right one")
            }
            DecryptError::ExcessiveWork { required, .. } => wrong(
                format!("wants 2^{required} rounds of work: it was not made by ghostctl"),
                "another file",
            ),
            other => wrong(format!("is no whole backup: {other}"), "another copy of it"),
        };
        let decryptor = Decryptor::new_buffered(sealed).map_err(told)?;
        let mut identity = scrypt::Identity::new(self.secret());
        identity.set_max_work_factor(MOST_WORK);
        let mut plain = Vec::new();
        let mut opened = decryptor.decrypt(iter::once(&identity as _)).map_err(told)?;
        opened.read_to_end(&mut plain).map_err(|error: io::Error| {
            wrong(format!("was cut off or changed, and nothing of it is used: {error}"), "another copy of it")
        })?;
        Ok(plain)
    }
}

/// The file's bytes.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    let failed = |exit, why: String| {
        Failure::new(exit, format!("{} cannot be read: {why}", file.display()))
            .next("the file that ghostctl backup made")
    };
    read.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => failed(Exit::NotFound, error.to_string()),
        io::ErrorKind::PermissionDenied => failed(Exit::Denied, error.to_string()),
        _ => failed(Exit::Failed, error.to_string()),
    })?;
    if bytes.len() as u64 > LARGEST {
        return Err(failed(Exit::Failed, "it is larger than any backup".to_owned()));
    }
    Ok(bytes)
}
