//! Where log lines go: the journal, a terminal or JSON lines.
//!
//! Knows tracing's layers. Refuses to know what is logged. Invariant: other crates speak up only when something
//! is wrong, so that nothing of a request reaches the log by way of a library.

use std::{env, io, io::IsTerminal, os::unix::fs::MetadataExt};

use ghostllm_core::config::{Log, LogFormat, LogLevel};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, Registry, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

/// Crates of ours, whose level is the setting's.
const OURS: [&str; 5] = ["ghostllm", "ghostllm_core", "ghostllm_edge", "ghostllm_gpu", "engine"];

/// Starts the log of this process.
///
/// # Errors
/// When one has been started before.
pub fn start(settings: &Log) -> Result<(), tracing_subscriber::util::TryInitError> {
    let level = level(settings.level);
    let targets = OURS.iter().map(|name| (*name, level));
    // A library that warns of a peer's doing would let the peer write the log.
    let filter = Targets::new().with_default(LevelFilter::ERROR).with_targets(targets);
    tracing_subscriber::registry().with(layer(settings.format).with_filter(filter)).try_init()
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

fn layer(format: LogFormat) -> Boxed {
    match format {
        LogFormat::Journal => journal().unwrap_or_else(json),
        LogFormat::Json => json(),
        LogFormat::Text => text(),
        LogFormat::Auto if goes_to_journal() => journal().unwrap_or_else(json),
        LogFormat::Auto if io::stderr().is_terminal() => text(),
        LogFormat::Auto => json(),
    }
}

fn journal() -> Option<Boxed> {
    Some(tracing_journald::layer().ok()?.boxed())
}

fn json() -> Boxed {
    tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(io::stderr).boxed()
}

fn text() -> Boxed {
    let colours = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt::layer().with_ansi(colours).with_target(false).with_writer(io::stderr).boxed()
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
