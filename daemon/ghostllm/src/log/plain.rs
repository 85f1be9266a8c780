//! Standard error, where lines go.
//!
//! Knows one descriptor. Invariant: it is a copy of our own, so that whoever else writes there, as a panic does, finds no lock held
//! over a write that nobody reads.

use std::{
    fs::File,
    io::{self, ErrorKind, Write},
    os::fd::{AsFd, BorrowedFd},
    thread,
    time::Duration,
};

use super::queue::{Batch, Output};

/// How soon one is asked again that has no room and does not say when it has: another program has set O_NONBLOCK for both.
const AGAIN: Duration = Duration::from_millis(20);

/// Takes lines.
pub(super) struct Plain(File);

impl Plain {
    pub(super) fn new(output: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self(File::from(output.try_clone_to_owned()?)))
    }

    /// Standard error.
    pub(super) fn standard() -> io::Result<Self> {
        Self::new(io::stderr().as_fd())
    }

    /// Writes it all, however long that takes.
    pub(super) fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.0.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(AGAIN),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Output for Plain {
    fn hand_on(&mut self, records: &Batch) -> u64 {
        // A log that nobody takes must not end what it tells of.
        match self.write_all(records.bytes()) {
            Ok(()) => 0,
            Err(_) => records.count(),
        }
    }
}
