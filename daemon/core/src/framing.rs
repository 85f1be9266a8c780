//! Cutting a stream of bytes into messages.
//!
//! Knows where a line or an event ends. Refuses to know what is in it. Invariant: the same bytes give the same
//! messages, however they were split on their way; and no more than the limit is kept of an unfinished one.

pub mod ndjson;
pub mod sse;

/// A line or an event passed the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line is longer than {limit} bytes")]
pub struct TooLong {
    /// The limit, in bytes.
    pub limit: usize,
}

impl From<TooLong> for crate::error::BackendFault {
    fn from(error: TooLong) -> Self {
        Self::TooLong { limit: error.limit }
    }
}

/// Bytes that came and were not taken yet, with the place up to which no line end was found.
#[derive(Debug, Default)]
struct Buffer {
    bytes: bytes::BytesMut,
    searched: usize,
}

impl Buffer {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes the next line without its end, where `is_end` says which bytes end one. Returns that byte too.
    fn line(
        &mut self,
        limit: usize,
        is_end: impl Fn(u8) -> bool,
    ) -> Result<Option<(bytes::Bytes, u8)>, TooLong> {
        let fresh = self.bytes.get(self.searched..).unwrap_or_default();
        let Some(found) = fresh.iter().position(|&byte| is_end(byte)) else {
            self.searched = self.bytes.len();
            return if self.searched > limit { Err(TooLong { limit }) } else { Ok(None) };
        };
        let length = self.searched + found;
        if length > limit {
            return Err(TooLong { limit });
        }
        self.searched = 0;
        let line = self.bytes.split_to(length).freeze();
        let end = self.bytes.split_to(1).first().copied().unwrap_or(b'\n');
        Ok(Some((line, end)))
    }

    fn rest(&mut self) -> bytes::Bytes {
        self.searched = 0;
        self.bytes.split().freeze()
    }
}
