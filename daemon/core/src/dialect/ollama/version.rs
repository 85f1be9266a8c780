//! Which version an Ollama is, `GET /api/version`.
//!
//! Knows which versions cannot do what all others can, and pass over in silence what asks for it. Refuses to know when it is asked.
//! Invariant: a version that cannot be read, or is that of somebody's own build, is none: nothing is refused for it.

use std::fmt;

use serde::Deserialize;

use crate::dialect::json::Object;
use crate::error::ApiError;

/// The first that tells the probabilities of tokens, by Ollama's release notes; those before pass over the wish.
const WITH_LOGPROBS: [u32; 3] = [0, 12, 11];
/// What a build without a version calls itself (`version/version.go`).
const UNVERSIONED: [u32; 3] = [0, 0, 0];
/// More is no version; 0.33.0-rc2 has ten.
const LENGTH: usize = 64;

/// A version of Ollama.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    said: String,
    numbers: [u32; 3],
}

impl Version {
    /// Reads the answer; none where it names no version that is known to come before or after others.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Said {
            version: String,
        }
        let Object(Said { version: said }) = serde_json::from_slice(body).ok()?;
        let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '+' | '_');
        if said.len() > LENGTH || !said.chars().all(plain) {
            return None;
        }
        // What stands behind the numbers (rc2, a commit) is of that very version.
        let end = said.find(|letter: char| letter != '.' && !letter.is_ascii_digit()).unwrap_or(said.len());
        let mut parts = said.get(..end)?.split('.').map(str::parse::<u32>);
        let [Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch)), None] = [(); 4].map(|()| parts.next()) else {
            return None;
        };
        let numbers = [major, minor, patch];
        (numbers != UNVERSIONED).then_some(Self { said, numbers })
    }

    /// Whether it tells the probabilities of tokens to whoever asks for them.
    #[must_use]
    pub fn tells_logprobs(&self) -> bool {
        self.numbers >= WITH_LOGPROBS
    }

    /// 400: a chat or a completion asks for the probabilities of tokens, which this version does not tell.
    #[must_use]
    pub fn tells_none(&self) -> ApiError {
        let [major, minor, patch] = WITH_LOGPROBS;
        let why = format!(
            "The engine of this model, Ollama {self}, tells no probabilities of tokens, as those before {major}.{minor}.{patch} do not. \
             Leave it out, or have the box's admin update Ollama."
        );
        ApiError::unsupported("logprobs", &why)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(said: &str) -> Option<Version> {
        Version::read(serde_json::json!({ "version": said }).to_string().as_bytes())
    }

    #[test]
    fn the_first_version_that_tells_probabilities_and_those_before() {
        for (said, tells) in [
            ("0.12.10", false),
            ("0.12.11", true),
            ("0.12.11-rc1", true),
            ("0.9.99", false),
            ("0.33.0-rc2", true),
            ("0.13.0", true),
            ("1.0.0", true),
        ] {
            assert_eq!(read(said).map(|version| version.tells_logprobs()), Some(tells), "{said}");
        }
        let error = read("0.12.3-rc0").unwrap().tells_none();
        assert_eq!(error.param(), Some("logprobs"));
        let said = error.message();
        assert!(said.contains("Ollama 0.12.3-rc0,") && said.contains("before 0.12.11 "), "{said}");
    }

    #[test]
    fn what_says_no_version_is_none() {
        for said in
            ["0.0.0", "", "0.12", "0.12.", "v0.12.1", "0.12.1.5", "99999999999.0.0", "0.12.1 \u{1b}[31m"]
        {
            assert_eq!(read(said), None, "{said}");
        }
        assert_eq!(read(&format!("0.12.1-{}", "a".repeat(LENGTH))), None);
        for body in ["", "{}", "[\"0.12.1\"]", "{\"version\":12}", "404 page not found"] {
            assert_eq!(Version::read(body.as_bytes()), None, "{body}");
        }
    }
}
