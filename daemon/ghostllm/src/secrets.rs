//! Where the secrets lie that the configuration names.
//!
//! Knows the directory of systemd's credentials. Refuses to open a secret. Invariant: a secret's name becomes a path, or the
//! start ends with what to write instead.

use std::{
    env,
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
}
