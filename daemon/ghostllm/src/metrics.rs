//! The figures that monitoring collects.
//!
//! Knows what each request has come to, and how the program stands when it is asked. Refuses to know HTTP. Invariants: nothing that
//! a client has made up is a label, and each label has an end to its values, so that the number of series has one; a request costs
//! a few counts at its end and nothing before.

mod accept;
mod cards;
mod moment;
mod names;
mod requests;

use std::{
    fmt,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use http::Version;
use prometheus_client::{
    encoding::{prometheus_text, text},
    registry::{Registry, Unit},
};

use ghostllm_core::metrics::{self, Definition};

pub(crate) use accept::wanted;
pub(crate) use cards::CardsNow;
pub(crate) use moment::{BackendNow, Moment, TasksNow};
pub(crate) use requests::{Chat, Ended, Operation};

use moment::Whole;
use requests::Families;

/// A form in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Prometheus' text format 0.0.4, which everybody reads.
    Prometheus,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// Its media type.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => prometheus_text::CONTENT_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What requests have come to so far.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    families: Families,
    /// Those that are being answered, by their version.
    streams: [AtomicUsize; HTTP.len()],
    panics: AtomicU64,
}

/// The versions, as requests' records have them.
const HTTP: [&str; 4] = ["HTTP/1.0", "HTTP/1.1", "HTTP/2", "HTTP/3"];

fn place(version: Version) -> usize {
    match version {
        Version::HTTP_10 => 0,
        Version::HTTP_2 => 2,
        Version::HTTP_3 => 3,
        _ => 1,
    }
}

impl Metrics {
    /// A request has begun; it ends by [`Metrics::ended`].
    pub(crate) fn begun(&self, version: Version) {
        if let Some(streams) = self.streams.get(place(version)) {
            streams.fetch_add(1, Relaxed);
        }
    }

    /// It has ended so.
    pub(crate) fn ended(&self, version: Version, ended: &Ended<'_>) {
        self.families.ended(ended);
        if let Some(streams) = self.streams.get(place(version)) {
            streams.fetch_sub(1, Relaxed);
        }
    }

    /// Its handling has panicked.
    pub(crate) fn panicked(&self) {
        self.panics.fetch_add(1, Relaxed);
    }

    /// How many have.
    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Relaxed)
    }

    /// All of it in this form. Reads of `/proc`.
    ///
    /// # Errors
    /// None that is known: a text is written to memory.
    pub(crate) fn text(&self, format: Format, now: Moment) -> Result<String, fmt::Error> {
        let streams = self.streams.each_ref().map(|streams| streams.load(Relaxed));
        let failures = now.backends.iter().map(|backend| self.families.failures(&backend.name)).collect();
        let mut registry = Registry::default();
        self.families.register(&mut registry);
        registry.register_collector(Box::new(Whole {
            now,
            streams,
            failures,
            process: crate::process::read(),
        }));
        let mut written = String::new();
        match format {
            Format::Prometheus => prometheus_text::encode(&mut written, &registry)?,
            Format::OpenMetrics => text::encode(&mut written, &registry)?,
        }
        Ok(written)
    }
}

static SECONDS: Unit = Unit::Seconds;
static BYTES: Unit = Unit::Bytes;

fn unit(of: &Definition) -> Option<&'static Unit> {
    of.unit.map(|unit| match unit {
        metrics::Unit::Seconds => &SECONDS,
        metrics::Unit::Bytes => &BYTES,
    })
}

#[cfg(test)]
mod tests;
