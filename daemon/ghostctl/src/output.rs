//! What goes to standard output.
//!
//! Knows the terminal: its width, and whether it shows colours. Refuses to know what is shown. Invariant: a colour never says
//! what the words do not.

pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod when;

use std::{
    env,
    io::{self, ErrorKind, IsTerminal, Write},
    os::fd::AsFd,
};

use ghostllm_core::key;
use rustix::termios::tcgetwinsize;
use time::OffsetDateTime;

use crate::exit::{Exit, Failure};

/// Columns where nobody says how many there are.
const USUAL_WIDTH: usize = 80;
/// Lines where nobody says how many there are.
const USUAL_HEIGHT: usize = 24;
/// Fewer columns than these show nothing.
const LEAST_WIDTH: usize = 20;

/// Where tables go.
#[derive(Debug, Clone)]
pub(crate) struct Screen {
    /// Columns that a line may have.
    pub(crate) width: usize,
    /// Whether somebody has said so: a terminal, or `COLUMNS`.
    pub(crate) bounded: bool,
    /// Lines of the terminal.
    pub(crate) height: usize,
    /// Whether it is a terminal.
    pub(crate) terminal: bool,
    colour: bool,
    /// Now, for times told as "3 min ago"; none for the clock's.
    #[cfg(test)]
    now: Option<OffsetDateTime>,
}

impl Screen {
    /// What standard output is.
    pub(crate) fn of_stdout() -> Self {
        Self::of(&io::stdout())
    }

    /// A file, of the usual width.
    pub(crate) fn of_a_file() -> Self {
        let (width, height) = (USUAL_WIDTH, USUAL_HEIGHT);
        #[cfg(test)]
        return Self { width, bounded: true, height, terminal: false, colour: false, now: None };
        #[cfg(not(test))]
        Self { width, bounded: true, height, terminal: false, colour: false }
    }

    /// What standard error is.
    pub(crate) fn of_stderr() -> Self {
        Self::of(&io::stderr())
    }

    fn of(stream: &(impl IsTerminal + AsFd)) -> Self {
        let terminal = stream.is_terminal();
        let size = terminal.then(|| tcgetwinsize(stream).ok()).flatten();
        let said = env::var("COLUMNS").ok().and_then(|columns| columns.parse::<usize>().ok());
        let columns = said.or(size.map(|size| usize::from(size.ws_col))).filter(|columns| *columns > 0);
        let rows = size.map(|size| usize::from(size.ws_row)).filter(|rows| *rows > 0);
        let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self {
            width: columns.unwrap_or(USUAL_WIDTH).max(LEAST_WIDTH),
            bounded: columns.is_some(),
            height: rows.unwrap_or(USUAL_HEIGHT),
            terminal,
            colour: terminal && !plain,
            #[cfg(test)]
            now: None,
        }
    }

    /// For tests: so many columns, at that time, no terminal.
    #[cfg(test)]
    pub(crate) fn of_test(width: usize, now: &str) -> Self {
        let rfc = &time::format_description::well_known::Rfc3339;
        let now = OffsetDateTime::parse(now, rfc).ok();
        Self { width, bounded: true, height: USUAL_HEIGHT, terminal: false, colour: false, now }
    }

    /// Whether it shows colours.
    pub(crate) fn coloured(&self) -> bool {
        self.colour
    }

    /// Whether it is a terminal on which a whole screen can be drawn.
    pub(crate) fn can_draw(&self) -> bool {
        self.terminal && env::var_os("TERM").is_some_and(|term| term != "dumb" && !term.is_empty())
    }

    /// Now.
    pub(crate) fn now(&self) -> OffsetDateTime {
        #[cfg(test)]
        if let Some(now) = self.now {
            return now;
        }
        OffsetDateTime::now_utc()
    }

    /// The text in its tone, where there are colours.
    pub(crate) fn toned(&self, text: &str, tone: Tone) -> String {
        match tone.sequence() {
            Some(sequence) if self.colour && !text.is_empty() => format!("\x1b[{sequence}m{text}\x1b[0m"),
            _ => text.to_owned(),
        }
    }

    /// A paragraph whose first line begins with `first`, the others under what follows it.
    pub(crate) fn hanging(&self, first: &str, tone: Tone, words: &str) -> String {
        let indent = text::width(first);
        if indent > self.width / 2 {
            return self.hanging("", tone, first.trim()) + &self.hanging("  ", Tone::Plain, words);
        }
        let room = self.width.saturating_sub(indent).max(1);
        let mut out = String::new();
        for (number, line) in text::wrap(&text::clean(words), room).iter().enumerate() {
            let before = if number == 0 { self.toned(first, tone) } else { " ".repeat(indent) };
            out.push_str(format!("{before}{line}").trim_end());
            out.push('\n');
        }
        out
    }
}

/// What a word means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tone {
    /// Nothing in particular.
    #[default]
    Plain,
    /// What heads a table.
    Head,
    /// It is well.
    Good,
    /// It is amiss.
    Amiss,
    /// It is bad.
    Bad,
}

impl Tone {
    const fn sequence(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Head => Some("1"),
            Self::Good => Some("32"),
            Self::Amiss => Some("33"),
            Self::Bad => Some("31"),
        }
    }
}

/// Writes text that ends with its own line break.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    bytes(text.as_bytes())
}

/// Writes a line.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    bytes(format!("{text}\n").as_bytes())
}

/// Writes bytes as they are.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        // Whoever has closed it, as `head` does, wants no more of it.
        ErrorKind::BrokenPipe => Failure::quiet(Exit::Well),
        _ => Failure::new(Exit::Failed, format!("standard output cannot be written: {error}"))
            .next("df -h, where it is a file"),
    })
}

/// The same of what will never be shown again: that nobody has read it is a failure.
pub(crate) fn once(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| error.to_string())
}

/// Tells a person something beside what was asked for, in lines that fit where there is a width to fit.
pub(crate) fn say(words: &str) {
    // Of a key that stands where none belongs, its id at the most.
    let words = &key::hidden(words);
    let screen = Screen::of_stderr();
    let fitted = |line: &str| {
        let rest = line.trim_start_matches(' ');
        screen.hanging(&" ".repeat(line.len() - rest.len()), Tone::Plain, rest)
    };
    let words: String = match screen.bounded {
        true => words.lines().map(fitted).collect(),
        false => format!("{}\n", text::clean_lines(words)),
    };
    // Nobody is left to tell where standard error is closed.
    let _told = io::stderr().write_all(words.as_bytes());
}
