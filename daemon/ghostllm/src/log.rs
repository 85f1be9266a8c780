//! Where log lines go: the journal, a terminal or JSON lines.
//!
//! Knows tracing's layers. Refuses to know what is logged. Invariant: other crates speak up only when something
//! is wrong, so that nothing of a request reaches the log by way of a library.

mod held;

use std::{env, fmt, fmt::Write as _, io, io::IsTerminal, os::unix::fs::MetadataExt, time::Instant};

use ghostllm_core::config::{Log, LogFormat, LogLevel};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    Layer, Registry, filter::Targets, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

/// Crates of ours, whose level is the setting's.
const OURS: [&str; 5] = ["ghostllm", "ghostllm_core", "ghostllm_edge", "ghostllm_gpu", "engine"];

use held::{Held, Writing};

/// The log of this process. Dropping it writes what it still holds; later lines go out as they come.
#[derive(Debug)]
pub struct Started {
    _writing: Writing,
    level: Level,
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
}

impl Level {
    /// Logs so much from now on.
    pub fn set(&self, level: LogLevel) {
        // It fails only where the log has gone.
        let _set = self.0.reload(targets(level));
    }
}

/// Starts the log of this process.
///
/// # Errors
/// When one has been started before, or the system has no more threads.
pub fn start(settings: &Log) -> Result<Started, Box<dyn std::error::Error>> {
    let (held, writing) = Held::start(io::stderr())?;
    let (filter, handle) = reload::Layer::new(targets(settings.level));
    tracing_subscriber::registry().with(layer(settings.format, held).with_filter(filter)).try_init()?;
    Ok(Started { _writing: writing, level: Level(handle) })
}

fn targets(wanted: LogLevel) -> Targets {
    let level = level(wanted);
    // A library that warns of a peer's doing would let the peer write the log.
    Targets::new().with_default(LevelFilter::ERROR).with_targets(OURS.iter().map(|name| (*name, level)))
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

type Boxed = Box<dyn Layer<Registry> + Send + Sync>;

fn layer(format: LogFormat, held: Held) -> Boxed {
    match format {
        LogFormat::Journal => journal().unwrap_or_else(|| json(held)),
        LogFormat::Json => json(held),
        LogFormat::Text => text(held),
        LogFormat::Auto if goes_to_journal() => journal().unwrap_or_else(|| json(held)),
        LogFormat::Auto if io::stderr().is_terminal() => text(held),
        LogFormat::Auto => json(held),
    }
}

fn journal() -> Option<Boxed> {
    Some(tracing_journald::layer().ok()?.boxed())
}

fn json(held: Held) -> Boxed {
    tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(held).boxed()
}

fn text(held: Held) -> Boxed {
    let colours = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt::layer().with_ansi(colours).with_target(false).with_writer(held).boxed()
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
