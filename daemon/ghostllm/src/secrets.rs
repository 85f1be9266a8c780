//! Where the secrets lie that the configuration names.
//!
//! Knows the directory of systemd's credentials. Refuses to say what is in one. Invariants: a secret's name becomes a path, or the start ends
//! with what to write instead; no file is read beyond what a secret can be.

use std::{
    env,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use ghostllm_core::config::SecretFile;

/// Where systemd has put the service's credentials (systemd.exec(5)).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// A credential is named, and there are none.
#[derive(Debug, thiserror::Error)]
#[error(
    "{setting} names a systemd credential, and $CREDENTIALS_DIRECTORY is not set. Write LoadCredential=NAME:/path/of/the/file, \
     with the name that stands in the configuration, into the unit's [Service]; or write the file's whole path into the \
     configuration"
)]
pub struct NoCredential {
    /// The name is left out: whoever has written the secret itself there does not want it in the log.
    setting: String,
}

/// The path of the file that `setting` names.
///
/// # Errors
/// It is a credential, and systemd has handed out none.
pub(crate) fn path(file: &SecretFile, setting: &str) -> Result<PathBuf, NoCredential> {
    let credentials = env::var_os(CREDENTIALS).map(PathBuf::from).filter(|directory| directory.is_absolute());
    resolve(file, setting, credentials.as_deref())
}

/// Bytes of a secret's file, at the most: a token has some hundred, and a request's headers hold no more than this.
const LONGEST: u64 = 8192;

/// What is in such a file. Blocks.
///
/// # Errors
/// The system's, or that it is longer than any.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        let why = format!("it is longer than {LONGEST} bytes, which no secret is");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(text)
}

fn resolve(file: &SecretFile, setting: &str, credentials: Option<&Path>) -> Result<PathBuf, NoCredential> {
    file.path(credentials).ok_or_else(|| NoCredential { setting: setting.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_needs_a_directory_and_a_path_none() {
        let credential: SecretFile = "vllm-key".parse().unwrap();
        let found = resolve(&credential, "x", Some(Path::new("/run/credentials/a"))).unwrap();
        assert_eq!(found, Path::new("/run/credentials/a/vllm-key"));
        let told = resolve(&credential, "listen.key", None).unwrap_err().to_string();
        assert!(told.contains("listen.key") && told.contains("LoadCredential="), "{told}");
        assert!(!told.contains("vllm-key"), "it may be the secret itself: {told}");
        assert_eq!(resolve(&"/k".parse().unwrap(), "x", None).unwrap(), Path::new("/k"));
    }

    #[test]
    fn what_is_longer_than_a_secret_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let longest = "k".repeat(8192);
        std::fs::write(&path, &longest).unwrap();
        assert_eq!(read(&path).unwrap(), longest);
        std::fs::write(&path, longest + "k").unwrap();
        assert_eq!(read(&path).unwrap_err().to_string(), "it is longer than 8192 bytes, which no secret is");
    }
}
