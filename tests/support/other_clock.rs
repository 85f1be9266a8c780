//! A clock that shows another time to the program that is given it, and to no other.
//!
//! Knows how a library is preloaded. Invariants: the machine's own clock is never set; what counts time, the monotonic clock, is the
//! machine's, as on a box whose date is wrong.

use std::{fs::File, os::unix::fs::FileExt as _, process::Command};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};

use crate::root;

/// A clock.
#[derive(Debug)]
pub struct OtherClock {
    dir: TempDir,
    ahead: File,
}

impl OtherClock {
    /// One that is right.
    ///
    /// # Errors
    /// What it takes cannot be compiled.
    pub fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let made = Command::new("cc")
            .args(["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"])
            .args([dir.path().join("other-clock.so"), root().join("tests/support/other-clock.c")])
            .output()
            .context("cc is missing, by which Rust links")?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let ahead = File::create(dir.path().join("ahead"))?;
        let clock = Self { dir, ahead };
        clock.is_ahead(Duration::ZERO)?;
        Ok(clock)
    }

    /// Sets it to this, whence it goes on.
    ///
    /// # Errors
    /// The file system's.
    pub fn shows(&self, moment: OffsetDateTime) -> Result<()> {
        self.is_ahead(moment - OffsetDateTime::now_utc())
    }

    /// Sets it so much ahead of the machine's, or behind.
    ///
    /// # Errors
    /// The file system's.
    pub fn is_ahead(&self, by: Duration) -> Result<()> {
        Ok(self.ahead.write_all_at(&by.whole_seconds().to_ne_bytes(), 0)?)
    }

    /// What a program is started with, so that it goes by this clock.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        [("LD_PRELOAD", path("other-clock.so")), ("OTHER_CLOCK", path("ahead"))]
            .map(|(name, value)| (name.to_owned(), value))
            .to_vec()
    }
}
