//! Lines of JSON, as Ollama's native routes send them.
//!
//! Knows that a newline ends a line and that empty lines mean nothing. Refuses to know JSON. Invariant: as in
//! [`super`].

use bytes::Bytes;

use super::{Buffer, TooLong};

#[cfg(test)]
mod tests;

/// Cuts bytes into lines.
#[derive(Debug)]
pub struct Lines {
    buffer: Buffer,
    limit: usize,
}

impl Lines {
    /// A reader that refuses lines of more than `limit` bytes, their end not counted.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { buffer: Buffer::default(), limit }
    }

    /// Adds bytes as they came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.push(bytes);
    }

    /// The next line that is complete and not empty.
    ///
    /// # Errors
    /// [`TooLong`] where a line, complete or not, is longer than the limit.
    pub fn next_line(&mut self) -> Result<Option<Bytes>, TooLong> {
        while let Some((line, _)) = self.buffer.line(self.limit, |byte| byte == b'\n')? {
            if !line.trim_ascii().is_empty() {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }

    /// What is left when no more bytes will come: a last line without an end.
    pub fn finish(&mut self) -> Option<Bytes> {
        let rest = self.buffer.rest();
        (!rest.trim_ascii().is_empty()).then_some(rest)
    }
}
