//! Where a secret lies: no setting holds one itself.
//!
//! Knows paths and the names of systemd's credentials. Refuses to open either. Invariant: the text of one never leaves
//! open which of the two is meant, and no error repeats it, since it may be the secret.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

/// A file that holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretFile {
    /// The file of this whole path.
    Path(PathBuf),
    /// The credential of this name, which systemd hands to the service (systemd.exec(5), `LoadCredential=`).
    Credential(String),
}

/// As long as a file's name may be.
const LONGEST: usize = 255;

impl SecretFile {
    /// Its path; `credentials` is what `$CREDENTIALS_DIRECTORY` says, without which there is none for a credential.
    #[must_use]
    pub fn path(&self, credentials: Option<&Path>) -> Option<PathBuf> {
        match self {
            Self::Path(path) => Some(path.clone()),
            Self::Credential(name) => credentials.map(|directory| directory.join(name)),
        }
    }
}

impl FromStr for SecretFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with('/') && !text.contains('\0') {
            return Ok(Self::Path(PathBuf::from(text)));
        }
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let name =
            !text.is_empty() && text.len() <= LONGEST && !text.starts_with('.') && text.bytes().all(fits);
        if name { Ok(Self::Credential(text.to_owned())) } else { Err("this is neither".to_owned()) }
    }
}

impl fmt::Display for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Credential(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_whole_and_a_name_has_no_slash() {
        let path = SecretFile::Path("/etc/ghostllm/vllm.key".into());
        assert_eq!("/etc/ghostllm/vllm.key".parse(), Ok(path.clone()));
        assert_eq!(path.path(None).as_deref(), Some(Path::new("/etc/ghostllm/vllm.key")));
        let credential: SecretFile = "vllm-key".parse().unwrap();
        assert_eq!(credential, SecretFile::Credential("vllm-key".to_owned()));
        assert_eq!(credential.path(None), None);
        let directory = Path::new("/run/credentials/ghostllm.service");
        assert_eq!(credential.path(Some(directory)), Some(directory.join("vllm-key")));
        let longest = "k".repeat(LONGEST);
        assert!(longest.parse::<SecretFile>().is_ok());
        let longer = format!("{longest}k");
        for text in [
            "",
            "key/file",
            "./key",
            "../key",
            ".key",
            "~/key",
            "sk secret",
            "key\n",
            "/a\0b",
            "a:b",
            &longer,
        ] {
            let refused = text.parse::<SecretFile>().unwrap_err();
            assert!(text.is_empty() || !refused.contains(text), "{text} is repeated: {refused}");
        }
    }
}
