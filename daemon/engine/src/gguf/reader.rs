//! Little-endian reads from a file whose size is known, counted.
//!
//! Invariant: nothing is read, skipped or allocated beyond what is left of the file.

use super::{GgufError, invalid};
use std::io::Read;

/// A source of bytes and how many are left in it.
pub(super) struct Reader<R> {
    source: R,
    position: u64,
    bytes: u64,
}

impl<R: Read> Reader<R> {
    pub(super) fn new(source: R, bytes: u64) -> Self {
        Self { source, position: 0, bytes }
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn left(&self) -> u64 {
        self.bytes.saturating_sub(self.position)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        let mut buffer = [0; N];
        self.take(N as u64, "a value")?;
        self.source.read_exact(&mut buffer)?;
        Ok(buffer)
    }

    pub(super) fn u32(&mut self) -> Result<u32, GgufError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, GgufError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A string of at most `most` bytes; `what` names it in the error.
    pub(super) fn string(&mut self, what: &str, most: u64) -> Result<String, GgufError> {
        let length = self.u64()?;
        if length > most {
            return invalid(format!("{what} is a text of {length} bytes; at most {most} are read"));
        }
        let text = self.bytes(length, what)?;
        String::from_utf8(text).or_else(|_| invalid(format!("{what} is not UTF-8")))
    }

    /// So many bytes; the caller has bounded the number.
    pub(super) fn bytes(&mut self, length: u64, what: &str) -> Result<Vec<u8>, GgufError> {
        self.take(length, what)?;
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        self.source.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn skip(&mut self, bytes: u64, what: &str) -> Result<(), GgufError> {
        self.take(bytes, what)?;
        let skipped = std::io::copy(&mut (&mut self.source).take(bytes), &mut std::io::sink())?;
        if skipped == bytes { Ok(()) } else { invalid(format!("the file ends inside {what}")) }
    }

    fn take(&mut self, bytes: u64, what: &str) -> Result<(), GgufError> {
        if bytes > self.left() {
            return invalid(format!(
                "it is cut short or torn: {what} would need {bytes} bytes at {}, the file has {}",
                self.position, self.bytes
            ));
        }
        self.position += bytes;
        Ok(())
    }
}
