//! Records in the journal's own protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL), field by field.
//!
//! Knows how an event becomes fields, and journald's socket. Refuses to know queues. Invariants: no value ends a field early, since
//! each has its length in front; a record fits into one datagram; a journal that is not there costs no record, since standard error
//! takes them meanwhile; only the log's own thread ever waits for journald.

use std::{
    fmt::{self, Write as _},
    io::{self, ErrorKind},
    os::unix::net::UnixDatagram,
    time::Duration,
};

use serde_json::{Map, Value};
use time::OffsetDateTime;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use super::{
    plain::Plain,
    queue::{Batch, Output, Queue},
};
use crate::date::rfc3339;

/// Where journald listens.
const SOCKET: &str = "/run/systemd/journal/socket";
/// How long one attempt waits for a journald that has its hands full; then comes the next one.
const ATTEMPT: Duration = Duration::from_secs(1);
/// Bytes of a value, at the most. With two dozen fields of that size a record still fits into a datagram, which may have 208 KiB
/// (net.core.wmem_default).
const VALUE: usize = 8 * 1024;
/// Ends a value that was cut.
const CUT: &str = "\u{2026}";
/// Before the names of our own fields, so that none is taken for one of the journal's.
const OWN: &str = "F_";

/// Makes a record of each event.
pub(super) struct Journal(pub(super) Queue);

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut fields = Fields(Vec::with_capacity(512));
        let meta = event.metadata();
        fields.of(meta);
        event.record(&mut fields);
        self.0.push(&fields.0, meta);
    }
}

/// A record while it is put together.
struct Fields(Vec<u8>);

impl Fields {
    fn of(&mut self, meta: &Metadata<'_>) {
        self.put("", "PRIORITY", priority(*meta.level()).as_bytes());
        self.put("", "SYSLOG_IDENTIFIER", b"ghostllm");
        self.put("", "TARGET", meta.target().as_bytes());
        if let Some(file) = meta.file() {
            self.put("", "CODE_FILE", file.as_bytes());
        }
        if let Some(line) = meta.line() {
            self.put("", "CODE_LINE", line.to_string().as_bytes());
        }
    }

    /// The name, the value's length, the value.
    fn put(&mut self, prefix: &str, name: &str, value: &[u8]) {
        let out = &mut self.0;
        out.extend_from_slice(prefix.as_bytes());
        // Capitals, digits and underscores alone are a name (systemd.journal-fields(7)).
        let letter = |byte: u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_uppercase() } else { b'_' };
        out.extend(name.bytes().map(letter));
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
        out.extend_from_slice(value);
        out.push(b'\n');
    }

    fn text(&mut self, field: &Field, value: &str) {
        let prefix = if field.name() == "message" { "" } else { OWN };
        if value.len() <= VALUE {
            return self.put(prefix, field.name(), value.as_bytes());
        }
        let cut = format!("{}{CUT}", &value[..value.floor_char_boundary(VALUE)]);
        self.put(prefix, field.name(), cut.as_bytes());
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // What cannot be written is left out.
        let _written = write!(text, "{value:?}");
        self.text(field, &text);
    }
}

/// As tracing-journald has it, and `ghostctl logs` reads it: one step lower than elsewhere, so that trace has one of its own.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "5",
        Level::DEBUG => "6",
        Level::TRACE => "7",
    }
}

/// journald; standard error while there is none.
pub(super) struct Journald {
    socket: UnixDatagram,
    path: &'static str,
    instead: Plain,
    /// Nobody listens.
    away: bool,
}

impl Journald {
    pub(super) fn new(instead: Plain) -> io::Result<Self> {
        Self::at(SOCKET, instead)
    }

    fn at(path: &'static str, instead: Plain) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        // A datagram waits for room at its receiver, which a stopped one never has.
        socket.set_write_timeout(Some(ATTEMPT))?;
        Ok(Self { socket, path, instead, away: false })
    }

    /// Sends it, however long that takes.
    fn send(&self, record: &[u8]) -> io::Result<()> {
        loop {
            // By its path each time: a journald that was started anew has another socket there.
            match self.socket.send_to(record, self.path) {
                Ok(_) => return Ok(()),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The record on standard error, behind the words that say why it is there.
    fn instead(&mut self, record: &[u8], why: &io::Error) -> io::Result<()> {
        if !self.away {
            // Also where nobody takes those: that it is back is told then.
            self.away = true;
            let message =
                format!("the journal takes nothing ({why}): until it does, the log is on standard error");
            self.instead.write_all(&line("WARN", &message, Map::new()))?;
        }
        self.instead.write_all(&as_json(record))
    }
}

impl Output for Journald {
    fn hand_on(&mut self, records: &Batch) -> u64 {
        let mut lost = 0;
        for record in records.records() {
            let taken = match self.send(record) {
                Ok(()) => {
                    if self.away {
                        self.away = false;
                        tracing::info!("the journal is back, and has the log again");
                    }
                    Ok(())
                }
                Err(error) => self.instead(record, &error),
            };
            lost += u64::from(taken.is_err());
        }
        lost
    }
}

/// A record as the JSON format has it.
fn as_json(record: &[u8]) -> Vec<u8> {
    let (mut level, mut message) = ("INFO", String::new());
    let mut rest = Map::new();
    for (name, value) in fields(record) {
        let value = String::from_utf8_lossy(value).into_owned();
        match name {
            b"PRIORITY" => level = named(&value),
            b"MESSAGE" => message = value,
            b"TARGET" => drop(rest.insert("target".to_owned(), Value::String(value))),
            _ => {
                let Some(own) = name.strip_prefix(OWN.as_bytes()) else { continue };
                rest.insert(String::from_utf8_lossy(own).to_lowercase(), Value::String(value));
            }
        }
    }
    line(level, &message, rest)
}

fn line(level: &str, message: &str, rest: Map<String, Value>) -> Vec<u8> {
    let mut all = Map::new();
    all.insert("timestamp".to_owned(), Value::String(rfc3339(OffsetDateTime::now_utc())));
    all.insert("level".to_owned(), Value::String(level.to_owned()));
    all.insert("message".to_owned(), Value::String(message.to_owned()));
    all.extend(rest);
    let mut out = Value::Object(all).to_string().into_bytes();
    out.push(b'\n');
    out
}

fn named(priority: &str) -> &'static str {
    match priority {
        "3" => "ERROR",
        "4" => "WARN",
        "6" => "DEBUG",
        "7" => "TRACE",
        _ => "INFO",
    }
}

/// Takes apart what [`Fields`] has put together.
fn fields(mut record: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let end = record.iter().position(|byte| *byte == b'\n')?;
        let (name, rest) = record.split_at_checked(end)?;
        let (length, rest) = rest.get(1..)?.split_first_chunk()?;
        let (value, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        record = rest.get(1..)?;
        Some((name, value))
    })
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
