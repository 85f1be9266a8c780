//! How much one part of the program logs.
//!
//! Knows the parts' names. Refuses to know what they do. Invariant: only parts of our own have a level of their own: libraries log
//! the heads of requests at `trace`, and keys stand in those.

use std::{fmt, str::FromStr};

use super::{fault::nearest, values::LogLevel};

/// What the names of all parts begin with.
pub const LOG_TARGETS: [&str; 5] = ["ghostllm", "ghostllm_core", "ghostllm_edge", "ghostllm_gpu", "engine"];

/// As long as no name of a part is.
const LONGEST: usize = 128;

/// A part of the program, with the level that goes for it and for all below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDirective {
    target: String,
    level: LogLevel,
}

impl LogDirective {
    /// The part, as records name it: `ghostllm::backend`.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Its level.
    #[must_use]
    pub fn level(&self) -> LogLevel {
        self.level
    }
}

impl FromStr for LogDirective {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shown = || text.chars().take(LONGEST).collect::<String>().escape_debug().to_string();
        let (target, level) =
            text.split_once('=').ok_or_else(|| format!("\"{}\" has no \"=\" before a level", shown()))?;
        let (target, level) = (target.trim(), level.trim());
        let level = LogLevel::from_word(level).ok_or_else(|| {
            let near = nearest(level, LogLevel::WORDS.iter().copied());
            let near = near.map(|near| format!(" (did you mean \"{near}\"?)")).unwrap_or_default();
            format!("\"{}\" ends in no level{near}", shown())
        })?;
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let mut segments = target.split("::");
        let ours = segments.next().is_some_and(|first| LOG_TARGETS.contains(&first));
        let is_path = segments.all(|segment| !segment.is_empty() && segment.bytes().all(letter));
        if !ours || !is_path || target.len() > LONGEST {
            let names = LOG_TARGETS.join(", ");
            return Err(format!(
                "\"{}\" is no part of this program; their names begin with {names}",
                shown()
            ));
        }
        Ok(Self { target: target.to_owned(), level })
    }
}

impl fmt::Display for LogDirective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.target, self.level.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_ours_has_its_level() {
        for (text, target, level) in [
            ("ghostllm::backend=debug", "ghostllm::backend", LogLevel::Debug),
            (" ghostllm_edge = trace ", "ghostllm_edge", LogLevel::Trace),
            ("engine=error", "engine", LogLevel::Error),
        ] {
            let read: LogDirective = text.parse().unwrap();
            assert_eq!((read.target(), read.level()), (target, level));
            assert_eq!(read.to_string().parse(), Ok(read));
        }
    }

    #[test]
    fn nothing_else_has_one() {
        for (text, words) in [
            ("", "no \"=\""),
            ("debug", "no \"=\""),
            ("ghostllm=debgu", "did you mean \"debug\"?"),
            ("ghostllm=", "ends in no level"),
            ("hyper=trace", "is no part of this program"),
            ("ghostllmx=trace", "is no part of this program"),
            ("ghostllm::=trace", "is no part of this program"),
            ("ghostllm:backend=trace", "is no part of this program"),
            ("ghostllm::Backend=trace", "is no part of this program"),
            ("=trace", "is no part of this program"),
            ("*=trace", "is no part of this program"),
        ] {
            let refused = text.parse::<LogDirective>().unwrap_err();
            assert!(refused.contains(words), "{text}: {refused}");
        }
        assert!(format!("ghostllm::{}=trace", "x".repeat(LONGEST)).parse::<LogDirective>().is_err());
    }
}
