//! What the lines are drawn on: how wide it is, which letters it has, whether it shows colours.
//!
//! Knows the terminal and the environment. Refuses to know what is drawn. Invariant: a colour never says what the words do not.

use std::{env, ffi::OsString, io::IsTerminal, os::fd::AsFd};

use rustix::termios::tcgetwinsize;

/// Columns where nobody says how many there are, and the most that are used.
pub(super) const WIDEST: usize = 80;
/// In fewer the figures of one leg have no room; a narrower terminal breaks the lines.
const NARROWEST: usize = 60;

/// Where lines go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    /// Columns of a line.
    pub(super) width: usize,
    /// Whether it is a terminal.
    pub(super) terminal: bool,
    /// Whether it has letters beyond ASCII.
    pub(super) unicode: bool,
    /// Whether it shows colours.
    pub(super) colour: bool,
}

/// What a colour stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// A heading.
    Head,
    /// The direct way.
    Direct,
    /// The way through the gateway.
    Gateway,
    /// What is amiss.
    Bad,
}

impl Screen {
    /// What this stream is.
    pub(super) fn of(stream: &(impl IsTerminal + AsFd)) -> Self {
        let terminal = stream.is_terminal();
        let size = terminal.then(|| tcgetwinsize(stream).ok()).flatten();
        let columns = size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0);
        let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self {
            width: columns.unwrap_or(WIDEST).clamp(NARROWEST, WIDEST),
            terminal,
            unicode: is_utf8(|name| env::var_os(name)),
            colour: terminal && !plain,
        }
    }

    /// The text in its tone, where there are colours.
    pub(super) fn toned(&self, text: &str, tone: Tone) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let sequence = match tone {
            Tone::Head => "1",
            Tone::Direct => "36",
            Tone::Gateway => "35",
            Tone::Bad => "31",
        };
        format!("\x1b[{sequence}m{text}\x1b[0m")
    }

    /// The first of the two, or the second where there is ASCII alone.
    pub(super) fn either<T>(&self, unicode: T, ascii: T) -> T {
        if self.unicode { unicode } else { ascii }
    }
}

/// Whether the letters of this locale are UTF-8: the first of the variables that is set decides (locale(7)).
fn is_utf8(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
    let locale = locale.map(|locale| locale.to_string_lossy().to_ascii_lowercase());
    locale.is_some_and(|locale| locale.contains("utf-8") || locale.contains("utf8"))
}

#[cfg(test)]
impl Screen {
    /// For tests: so many columns, no terminal.
    pub(super) fn of_test(width: usize, unicode: bool) -> Self {
        Self { width, terminal: false, unicode, colour: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_is_set_decides_the_letters() {
        let of = |set: &[(&str, &str)]| {
            is_utf8(|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
        };
        assert!(of(&[("LANG", "de_DE.UTF-8")]) && of(&[("LC_ALL", "C.utf8")]));
        assert!(!of(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")]));
        assert!(of(&[("LC_ALL", ""), ("LC_CTYPE", "C.UTF-8"), ("LANG", "C")]));
        assert!(!of(&[]) && !of(&[("LANG", "de_DE@euro")]));
    }
}
