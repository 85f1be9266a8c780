//! The text of a state file: an envelope that says what it is, of which version, and whether it is whole. The flight recorder's, which are
//! many numbers, have an envelope of bytes ([`flight`]).
//!
//! Knows the envelope and how the content of an older version becomes the present one's, step by step. Refuses to know
//! where files lie and what is done about one that cannot be read. Invariant: content that comes out is what went in,
//! byte for byte, and of a version that this program knows.

pub mod flight;
pub mod keys;
pub mod settings;
#[cfg(test)]
mod tests;
pub mod usage;

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use crate::dialect::json::Object;

/// Turns the content of one version into the next version's. Once a program with the next version has been given out, it
/// never changes again: it is all that reads the files of before.
pub type Step = fn(Value) -> Result<Value, Damage>;

/// One kind of state file.
pub trait Kind: Sized {
    /// What it is called in the file.
    const NAME: &'static str;
    /// The steps from version 1 to the present one, one for each older version.
    const STEPS: &'static [Step];
    /// The present version.
    const VERSION: usize = Self::STEPS.len() + 1;

    /// Reads the content of the present version.
    ///
    /// # Errors
    /// What is wrong with it, in words that repeat nothing of it.
    fn read(content: &str) -> Result<Self, Damage>;

    /// Writes the content of the present version.
    ///
    /// # Errors
    /// If it has no form in JSON.
    fn write(&self) -> Result<Box<RawValue>, serde_json::Error>;

    /// Reads a file of version 1 from before there were envelopes, where this kind is so old.
    #[must_use]
    fn bare(_text: &[u8]) -> Option<Value> {
        None
    }
}

/// What is wrong with a file, in words for a person; nothing of its content is repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Damage(pub String);

impl From<serde_json::Error> for Damage {
    fn from(error: serde_json::Error) -> Self {
        // The reader's own messages may repeat what it has read.
        let what = match error.classify() {
            serde_json::error::Category::Syntax => "no JSON",
            serde_json::error::Category::Eof => "cut off",
            serde_json::error::Category::Data => "a missing, unknown or wrong field",
            serde_json::error::Category::Io => "not read",
        };
        Self(format!("{what} at line {}", error.line()))
    }
}

/// Why a file gives nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    /// It is whole, and a later version of this program wrote it.
    Newer(usize),
    /// It is not whole, or not what it should be.
    Damaged(Damage),
}

impl<D: Into<Damage>> From<D> for Unread {
    fn from(damage: D) -> Self {
        Self::Damaged(damage.into())
    }
}

/// What a file held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded<K> {
    /// Its content, as the present version has it.
    pub value: K,
    /// The version that was written.
    pub version: usize,
}

/// The whole file. Unknown fields are refused: what is not understood might restrict something.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    kind: &'a str,
    version: usize,
    /// Of kind, version and content, in eight hexadecimal digits: see [`checksum`].
    crc32: &'a str,
    #[serde(borrow)]
    content: &'a RawValue,
}

/// CRC-32 finds every change of up to 32 bits in a row, and of any other all but one in four billion. It guards against
/// disks and crashes; who may write the file needs no forged checksum to change what it says.
pub(crate) fn checksum(kind: &str, version: usize, content: impl AsRef<[u8]>) -> String {
    let mut sum = crc32fast::Hasher::new();
    sum.update(format!("{kind}\n{version}\n").as_bytes());
    sum.update(content.as_ref());
    format!("{:08x}", sum.finalize())
}

/// The text of a file of the present version.
///
/// # Errors
/// If the value has no form in JSON.
pub fn encode<K: Kind>(value: &K) -> Result<Vec<u8>, serde_json::Error> {
    let content = value.write()?;
    let crc32 = checksum(K::NAME, K::VERSION, content.get());
    let envelope = Envelope { kind: K::NAME, version: K::VERSION, crc32: &crc32, content: &content };
    let mut text = serde_json::to_vec_pretty(&envelope)?;
    text.push(b'\n');
    Ok(text)
}

/// What a file says; older versions are brought up to the present one.
///
/// # Errors
/// [`Unread`].
pub fn decode<K: Kind>(text: &[u8]) -> Result<Decoded<K>, Unread> {
    let envelope: Envelope<'_> = match serde_json::from_slice(text) {
        Ok(Object(envelope)) => envelope,
        Err(error) => {
            let content = K::bare(text).ok_or(error)?;
            return brought_up(content, 1);
        }
    };
    let Envelope { kind, version, crc32, content } = envelope;
    if checksum(kind, version, content.get()) != crc32 {
        return Err(Damage("its checksum does not fit: it was damaged, or changed by hand".to_owned()).into());
    }
    if kind != K::NAME {
        return Err(Damage(format!("it is whole, but no file of the kind \"{}\"", K::NAME)).into());
    }
    match version {
        0 => Err(Damage("version 0 never was".to_owned()).into()),
        version if version > K::VERSION => Err(Unread::Newer(version)),
        version if version == K::VERSION => Ok(Decoded { value: K::read(content.get())?, version }),
        version => brought_up(serde_json::from_str(content.get())?, version),
    }
}

fn brought_up<K: Kind>(content: Value, version: usize) -> Result<Decoded<K>, Unread> {
    let mut steps = K::STEPS.iter().skip(version - 1);
    let content = steps.try_fold(content, |content, step| step(content))?;
    Ok(Decoded { value: K::read(&content.to_string())?, version })
}
