//! Where log lines go: the journal, a terminal or JSON lines.
//!
//! Knows tracing's layers. Refuses to know what is logged. Invariants: other crates speak up only when something
//! is wrong, so that nothing of a request reaches the log by way of a library; whoever logs waits for nobody.

mod journal;
mod plain;
mod queue;

use std::{
    env, fmt,
    fmt::Write as _,
    io,
    io::{IsTerminal, Write as _},
    os::unix::fs::MetadataExt,
    panic, thread,
    time::Instant,
};

use ghostllm_core::config::{LOG_TARGETS, Log, LogFormat, LogLevel};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    Layer, Registry, filter::Targets, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

use crate::tasks::state::Seen;
use journal::{Journal, Journald};
use plain::Plain;
use queue::{Queue, Writing};

/// The log of this process. Dropping it waits a moment for what has been logged to be written; later records go out as they come.
#[derive(Debug)]
pub struct Started {
    writing: Writing,
    level: Level,
    lost: Lost,
}

/// How many records were lost, since whoever takes them was too slow.
#[derive(Debug, Clone)]
pub struct Lost(Queue);

impl Lost {
    /// Since the log began.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.0.lost()
    }
}

/// How much is logged, which can change at any moment.
#[derive(Debug, Clone)]
pub struct Level(reload::Handle<Targets, Registry>);

impl Started {
    /// What changes how much is logged.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level.clone()
    }

    /// What counts the records that were lost.
    #[must_use]
    pub fn lost(&self) -> Lost {
        self.lost.clone()
    }

    /// How the thread is that writes it.
    pub(crate) fn task(&self) -> Seen {
        self.writing.task.clone()
    }
}

impl Level {
    /// Logs so much from now on.
    pub fn set(&self, settings: &Log) {
        // It fails only where the log has gone.
        let _set = self.0.reload(targets(settings));
    }
}

/// Starts the log of this process.
///
/// # Errors
/// When one has been started before, or the system has no more threads.
pub fn start(settings: &Log) -> Result<Started, Box<dyn std::error::Error>> {
    let plain = Plain::standard()?;
    let form = Form::of(settings.format);
    let (queue, writing) = match form {
        Form::Journal => Queue::start(Journald::new(plain)?, tell_lost)?,
        Form::Json | Form::Text => Queue::start(plain, tell_lost)?,
    };
    let lost = Lost(queue.clone());
    let (filter, handle) = reload::Layer::new(targets(settings));
    tracing_subscriber::registry().with(form.layer(queue).with_filter(filter)).try_init()?;
    tell_panics();
    Ok(Started { writing, level: Level(handle), lost })
}

/// At a level that no setting leaves out.
fn tell_lost(lost: u64) {
    tracing::error!(lost, "records of the log were lost, since whoever takes them was too slow");
}

/// A panic is a record as well: the usual words go out over a write that may wait for ever. They are left out, since those of a text
/// that was cut at a wrong place repeat the text.
fn tell_panics() {
    panic::set_hook(Box::new(|info| {
        let thread = thread::current();
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        if thread.name() == Some(queue::THREAD) {
            // It may hold what it would have to wait for, and nobody waits for it.
            let _told = writeln!(io::stderr(), "the thread that writes the log panicked at {place}");
            return;
        }
        tracing::error!(thread = thread.name(), "panicked at {place}");
    }));
}

fn targets(settings: &Log) -> Targets {
    let ours = LOG_TARGETS.iter().map(|name| (*name, level(settings.level)));
    let parts = settings.filter.iter().map(|part| (part.target(), level(part.level())));
    // A library that warns of a peer's doing would let the peer write the log. Of two for one target the later counts.
    Targets::new().with_default(LevelFilter::ERROR).with_targets(ours).with_targets(parts)
}

fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// What records look like, and so where they go.
#[derive(Debug, Clone, Copy)]
enum Form {
    Journal,
    Json,
    Text,
}

impl Form {
    fn of(format: LogFormat) -> Self {
        match format {
            LogFormat::Journal => Self::Journal,
            LogFormat::Json => Self::Json,
            LogFormat::Text => Self::Text,
            LogFormat::Auto if goes_to_journal() => Self::Journal,
            LogFormat::Auto if io::stderr().is_terminal() => Self::Text,
            LogFormat::Auto => Self::Json,
        }
    }

    fn layer(self, queue: Queue) -> Box<dyn Layer<Registry> + Send + Sync> {
        let lines = tracing_subscriber::fmt::layer();
        match self {
            Self::Journal => Journal(queue).boxed(),
            Self::Json => lines.json().flatten_event(true).with_writer(queue).boxed(),
            Self::Text => lines.with_ansi(colours()).with_target(false).with_writer(queue).boxed(),
        }
    }
}

fn colours() -> bool {
    io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A text that may be anybody's, on one line: what would end a line, colour a terminal or turn its direction is escaped. The
/// rest stays as it is, since the format that needs quotes escaped does that itself.
pub(crate) struct OneLine<'a>(pub(crate) &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|one| match one {
            '"' | '\'' | '\\' => f.write_char(one),
            _ => one.escape_debug().try_for_each(|part| f.write_char(part)),
        })
    }
}

/// Whole milliseconds since then, as a number that the formats write as one.
pub(crate) fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Whether standard error is the journal's own stream (systemd.exec(5), `JOURNAL_STREAM`).
fn goes_to_journal() -> bool {
    let named = env::var("JOURNAL_STREAM").ok().and_then(|value| {
        let (device, inode) = value.split_once(':')?;
        Some((device.parse::<u64>().ok()?, inode.parse::<u64>().ok()?))
    });
    // The descriptor itself is asked through /proc, since it has no path.
    let actual = std::fs::metadata("/proc/self/fd/2").ok().map(|data| (data.dev(), data.ino()));
    named.is_some() && named == actual
}

#[cfg(test)]
mod tests {
    use super::OneLine;

    #[test]
    fn only_what_is_no_plain_text_is_escaped() {
        for plain in ["", r#"a "b" 'c' \d"#, "größer \u{1f600}"] {
            assert_eq!(OneLine(plain).to_string(), plain);
        }
        assert_eq!(OneLine("a\r\n\u{1b}[31m\u{202e}\0").to_string(), r"a\r\n\u{1b}[31m\u{202e}\0");
    }
}
