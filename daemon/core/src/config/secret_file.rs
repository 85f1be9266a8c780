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
/// How the keys of OpenAI and of those who follow it, Hugging Face, NVIDIA, Groq, xAI, Google and this very program begin.
const SECRETS: [&str; 8] = ["sk-", "sk_", "hf_", "nvapi-", "gsk_", "xai-", "AIza", "gllm_"];
/// So many letters and digits in a row are no name that a person has given.
const TOO_LONG_A_WORD: usize = 24;

/// Whether it is the secret itself, and no name: as a name it would be shown.
fn is_secret(name: &str) -> bool {
    let drawn = |word: &str| {
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        word.len() >= TOO_LONG_A_WORD && (1..word.len()).contains(&digits)
    };
    SECRETS.iter().any(|begin| name.starts_with(begin)) || name.split(['.', '_', '-']).any(drawn)
}

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
        if name && is_secret(text) {
            return Err("this seems to be the secret itself, which stands in a file of its own".to_owned());
        }
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

    #[test]
    fn a_secret_is_no_name_of_a_credential() {
        for text in [
            "sk-proj-a",
            "hf_abc",
            "nvapi-x",
            "gllm_ELAU4eqF",
            "0123456789abcdef01234567",
            "vllm-0123456789abcdef01234567",
            "a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6",
        ] {
            let refused = text.parse::<SecretFile>().unwrap_err();
            assert!(refused.contains("the secret itself") && !refused.contains(text), "{text}: {refused}");
        }
        for text in ["vllm-key", "ghostllm.vllm_key-2", "openai", "disk-7", "internationalization-of-keys-1"]
        {
            assert!(text.parse::<SecretFile>().is_ok(), "{text}");
        }
    }
}
