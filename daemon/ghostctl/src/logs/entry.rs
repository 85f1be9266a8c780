//! An entry: from the journal's fields to what is told of it.

use std::collections::BTreeMap;

use ghostllm_core::admin::{FORM, LogEntry, LoggedLevel};
use serde_json::{Map, Value};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

use crate::output::{Screen, Tone, text};

/// The daemon, whose name before each of its own lines would say nothing.
const DAEMON: &str = "ghostllm";

/// How far further lines of an entry stand from the edge.
const INDENT: usize = 4;

/// The fields of an entry that are of use here.
#[derive(Debug, Default)]
pub(super) struct Fields {
    named: BTreeMap<&'static str, String>,
    own: BTreeMap<String, String>,
    /// What a line of JSON says of itself.
    level: Option<LoggedLevel>,
    /// Whether some could not be read.
    pub(super) broken: bool,
}

/// Which they are.
const NAMES: [&str; 11] = [
    "MESSAGE",
    "PRIORITY",
    "TARGET",
    "SYSLOG_IDENTIFIER",
    "_COMM",
    "_PID",
    "SYSLOG_PID",
    "_SYSTEMD_UNIT",
    "UNIT",
    "COREDUMP_UNIT",
    "OBJECT_SYSTEMD_UNIT",
];

impl Fields {
    /// Takes one. The daemon's own begin with `F_` (tracing-journald), and are lower case in its code.
    pub(super) fn take(&mut self, name: &[u8], value: &[u8]) {
        let value = String::from_utf8_lossy(value).into_owned();
        if let Some(own) = name.strip_prefix(b"F_") {
            let own = String::from_utf8_lossy(own).to_lowercase();
            self.own.entry(own).and_modify(|before| *before = format!("{before}, {value}")).or_insert(value);
        } else if let Some(name) = NAMES.into_iter().find(|known| known.as_bytes() == name) {
            self.named.insert(name, value);
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.named.get(name).map(String::as_str)
    }

    fn first(&self, names: &[&str]) -> String {
        names.iter().find_map(|name| self.get(name)).unwrap_or_default().to_owned()
    }

    /// How much it matters. tracing-journald counts one step lower than everybody else: its debug is what others call info.
    pub(super) fn level(&self) -> LoggedLevel {
        if let Some(level) = self.level {
            return level;
        }
        match (
            self.get("PRIORITY").and_then(|number| number.parse::<u8>().ok()),
            self.get("TARGET").is_some(),
        ) {
            (Some(0..=3), _) => LoggedLevel::Error,
            (Some(4), _) => LoggedLevel::Warn,
            (Some(7..), true) => LoggedLevel::Trace,
            (Some(6), true) | (Some(7..), false) => LoggedLevel::Debug,
            (Some(5 | 6) | None, _) => LoggedLevel::Info,
        }
    }

    /// With a line of JSON taken apart, which the daemon writes where log.format says so, and the journal has as a message.
    pub(super) fn unpacked(mut self) -> Self {
        let line = self.get("MESSAGE").filter(|_| self.get("TARGET").is_none());
        let line = line.and_then(|line| serde_json::from_str::<Map<String, Value>>(line).ok());
        let Some(mut line) = line else { return self };
        let mut word = |name: &str| line.remove(name).and_then(|value| value.as_str().map(str::to_owned));
        let level = match word("level").as_deref() {
            Some("ERROR") => LoggedLevel::Error,
            Some("WARN") => LoggedLevel::Warn,
            Some("INFO") => LoggedLevel::Info,
            Some("DEBUG") => LoggedLevel::Debug,
            Some("TRACE") => LoggedLevel::Trace,
            // Another program's.
            _ => return self,
        };
        let (Some(message), target) = (word("message"), word("target")) else { return self };
        let _the_journals_own = word("timestamp");
        self.level = Some(level);
        self.named.insert("MESSAGE", message);
        self.named.extend(target.map(|target| ("TARGET", target)));
        self.own.extend(line.into_iter().map(|(name, value)| match value {
            Value::String(text) => (name, text),
            other => (name, other.to_string()),
        }));
        self
    }

    /// The whole entry.
    pub(super) fn entry(self, at: OffsetDateTime, cursor: String) -> LogEntry {
        let mut message = self.first(&["MESSAGE"]);
        if self.broken {
            message.push_str(" (more of this entry cannot be read)");
        }
        LogEntry {
            version: FORM,
            at: at.format(&Rfc3339).unwrap_or_default(),
            // What is said of a unit is in the field that names it; whoever said that has a unit as well.
            unit: self.first(&["UNIT", "COREDUMP_UNIT", "OBJECT_SYSTEMD_UNIT", "_SYSTEMD_UNIT"]),
            program: self.first(&["SYSLOG_IDENTIFIER", "_COMM"]),
            level: self.level(),
            target: self.get("TARGET").map(str::to_owned),
            message,
            pid: self.get("_PID").or(self.get("SYSLOG_PID")).and_then(|pid| pid.parse().ok()),
            fields: self.own,
            cursor,
        }
    }
}

/// The entry for a person, as the daemon's own log shows it on a terminal; with its line break.
pub(super) fn told(entry: &LogEntry, screen: &Screen) -> String {
    let (level, tone) = match entry.level {
        LoggedLevel::Error => ("ERROR", Tone::Bad),
        LoggedLevel::Warn => (" WARN", Tone::Amiss),
        LoggedLevel::Info => (" INFO", Tone::Good),
        LoggedLevel::Debug => ("DEBUG", Tone::Plain),
        LoggedLevel::Trace => ("TRACE", Tone::Plain),
    };
    let head = format!("{} {level}", clock(&entry.at));
    let mut line = format!("{head} ");
    if entry.program != DAEMON {
        line.push_str(&format!("{}: ", text::clean(&entry.program)));
    }
    line.push_str(&text::clean(&entry.message));
    for (name, value) in &entry.fields {
        line.push_str(&format!(" {}={}", text::clean(name), plain(value)));
    }
    // Whoever keeps the lines wants each entry on one.
    let lines =
        if screen.bounded { text::wrap(&line, screen.width.saturating_sub(INDENT)) } else { vec![line] };
    let mut out = lines.join(&format!("\n{}", " ".repeat(INDENT)));
    out.push('\n');
    match (out.strip_prefix(&head), head.strip_suffix(level)) {
        (Some(rest), Some(clock)) => format!("{clock}{}{rest}", screen.toned(level, tone)),
        // A screen that is too narrow for the clock.
        _ => out,
    }
}

/// A value as the daemon writes it: in quotes where it would otherwise not be seen where it ends.
fn plain(value: &str) -> String {
    if value.is_empty() || value.contains([' ', '"', '=']) {
        format!("\"{}\"", text::clean(&value.replace('\\', "\\\\").replace('"', "\\\"")))
    } else {
        text::clean(value)
    }
}

/// The time on this box's clock; in UTC, with its `Z`, where the time zone cannot be read.
fn clock(at: &str) -> String {
    let Ok(at) = OffsetDateTime::parse(at, &Rfc3339) else { return text::clean(at) };
    let offset = UtcOffset::local_offset_at(at).ok();
    let here = at.to_offset(offset.unwrap_or(UtcOffset::UTC));
    let zone = if offset.is_none() { "Z" } else { "" };
    let (date, (hour, minute, second, milli)) = (here.date(), here.time().as_hms_milli());
    format!("{date} {hour:02}:{minute:02}:{second:02}.{milli:03}{zone}")
}
