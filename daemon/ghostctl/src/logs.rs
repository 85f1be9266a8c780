//! `ghostctl logs`: what the daemon and its engine have written into the journal.
//!
//! Knows which entries are theirs and how they are told. Refuses to know the daemon, which need not run. Invariant: an entry holds
//! what a peer has sent, and nothing in it is obeyed by a terminal.
//!
//! The journal is read by libsystemd, which not every build has (the feature `journal`); a build without it says so.

#[cfg(feature = "journal")]
mod access;
#[cfg(feature = "journal")]
mod entry;
#[cfg(feature = "journal")]
mod follow;
#[cfg(feature = "journal")]
mod reader;
mod since;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ghostllm_core::admin::LoggedLevel;
use time::OffsetDateTime;

use crate::{
    arguments::Context,
    exit::{Exit, Failure},
};
#[cfg(feature = "journal")]
use reader::Reader;

/// The daemon's unit and its engine's, in the order in which they are named.
const UNITS: [&str; 2] = ["ghostllm.service", "ghostllm-engine.service"];

/// Entries that are shown where nothing is said of how many.
const USUAL: u64 = 50;

/// What the daemon and its engine have written into the journal
///
/// Reads the system's journal, so that no daemon has to run. Times are this box's
/// own; with --json they are UTC. TIME is a span (2h), a day (2026-11-28, today,
/// yesterday), a time ('2026-11-28 10:00') or one in UTC (2026-11-28T10:00:00Z).
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = "Example:\n  ghostctl logs --since 2h --level warn")]
pub(crate) struct Arguments {
    /// Go on with what is written from now on, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// How many of the last entries; 50, or with --since all of them
    #[arg(short = 'n', long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(..=1_000_000_000))]
    lines: Option<u64>,
    /// Nothing older than this
    #[arg(long, value_name = "TIME", value_parser = since::parse)]
    since: Option<OffsetDateTime>,
    /// This level and what matters more
    #[arg(long, value_name = "LEVEL")]
    level: Option<Level>,
    /// A copied journal, instead of this system's
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl From<Level> for LoggedLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Error => Self::Error,
            Level::Warn => Self::Warn,
            Level::Info => Self::Info,
            Level::Debug => Self::Debug,
            Level::Trace => Self::Trace,
        }
    }
}

impl Arguments {
    #[cfg(feature = "journal")]
    pub(crate) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        access::check(self.directory.as_deref())?;
        let reader = Reader::open(self.directory.as_deref(), self.level.map(LoggedLevel::from))?;
        follow::run(reader, &self, context).await
    }

    /// How many of the last entries; none where all are wanted.
    fn last(&self) -> Option<u64> {
        self.lines.or_else(|| self.since.is_none().then_some(USUAL))
    }

    #[cfg(not(feature = "journal"))]
    #[expect(clippy::unused_async, reason = "with the reader, it waits")]
    pub(crate) async fn run(self, _context: &Context) -> Result<Exit, Failure> {
        let message = "this build of ghostctl has no journal reader (cargo's feature `journal`)";
        Err(Failure::new(Exit::Failed, message).next(self.by_journalctl()))
    }

    /// The same question to systemd's own reader, to which our debug is its info, as systemd's own messages are.
    #[cfg(not(feature = "journal"))]
    fn by_journalctl(&self) -> String {
        let mut line = String::from("journalctl");
        for unit in UNITS {
            line.push_str(&format!(" -u {}", unit.trim_end_matches(".service")));
        }
        if let Some(directory) = &self.directory {
            line.push_str(&format!(" --directory {}", directory.display()));
        }
        if let Some(since) = self.since {
            line.push_str(&format!(" --since @{}", since.unix_timestamp()));
        }
        if let Some(last) = self.last() {
            line.push_str(&format!(" -n {last}"));
        }
        if let Some(level) = self.level {
            let priority = match LoggedLevel::from(level) {
                LoggedLevel::Error => "err",
                LoggedLevel::Warn => "warning",
                LoggedLevel::Info | LoggedLevel::Debug => "info",
                LoggedLevel::Trace => "debug",
            };
            line.push_str(&format!(" -p {priority}"));
        }
        if self.follow {
            line.push_str(" -f");
        }
        line
    }
}
