//! What a template writes on: it ends where the text can no longer fit, or is no longer wanted.
//!
//! Invariant: at most `most` bytes are kept, and before each piece somebody is known to want the text.

use std::io;

/// Why a page ended before its template did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Early {
    /// The text is longer than allowed.
    TooLong,
    /// Nobody wants it any more.
    Unwanted,
}

/// How much may be written, and for how long.
#[derive(Clone, Copy)]
pub struct Paper<'a> {
    /// The most bytes.
    pub most: usize,
    /// Whether the text is still wanted.
    pub wanted: &'a dyn Fn() -> bool,
}

impl Paper<'static> {
    /// As much as the template's fuel allows.
    pub const ENDLESS: Self = Self { most: usize::MAX, wanted: &|| true };
}

pub(super) struct Page<'a> {
    pub(super) text: Vec<u8>,
    pub(super) early: Option<Early>,
    paper: Paper<'a>,
}

impl<'a> Page<'a> {
    pub(super) fn new(paper: Paper<'a>) -> Self {
        Self { text: Vec::new(), early: None, paper }
    }
}

impl io::Write for Page<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.paper.most - self.text.len() < bytes.len() {
            self.early = Some(Early::TooLong);
        } else if !(self.paper.wanted)() {
            self.early = Some(Early::Unwanted);
        }
        if self.early.is_some() {
            return Err(io::ErrorKind::Other.into());
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
