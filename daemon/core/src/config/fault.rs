//! What can be wrong with a configuration, and where it stands.
//!
//! Knows places in files, environment variables and `--set` arguments. Refuses to know which settings exist.
//! Invariant: an error names its place, says what is wrong, and says what to write instead where that is known;
//! it never repeats a value that may hold a secret.

use std::{fmt, sync::Arc};

/// Where a setting was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In a file; line and column count from 1, columns in characters.
    File {
        /// The file's name, as the caller gave it.
        name: Arc<str>,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// In this environment variable.
    Variable(String),
    /// In the `--set` argument for this key.
    Argument(String),
    /// Kept of `ghostctl config set`, for this key.
    Kept(String),
    /// Behind this option of the command line.
    Flag(&'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, line, column } => write!(f, "{name}:{line}:{column}"),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Argument(key) => write!(f, "--set {key}"),
            Self::Kept(key) => write!(f, "ghostctl config set {key}"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

impl Place {
    /// Whether it is one setting alone, and not a table of several.
    pub(super) fn is_single(&self) -> bool {
        !matches!(self, Self::File { .. })
    }

    /// How to write a setting of the table that was meant here.
    pub(super) fn with(&self, key: &str) -> String {
        match self {
            Self::File { .. } | Self::Flag(_) => key.to_owned(),
            Self::Variable(name) => format!("{name}__{}", key.to_uppercase()),
            Self::Argument(whole) | Self::Kept(whole) => format!("{whole}.{key}"),
        }
    }

    /// How to write `right` instead of `wrong` here: a key in a file, a whole variable or argument elsewhere.
    pub(super) fn respelled(&self, wrong: &str, right: &str) -> String {
        let swap = |text: &str, separator: &str, right: &str| {
            let same = |part: &str| part.to_lowercase() == wrong;
            let parts: Vec<&str> = text.split(separator).map(|p| if same(p) { right } else { p }).collect();
            parts.join(separator)
        };
        match self {
            Self::File { .. } | Self::Flag(_) => format!("\"{right}\""),
            Self::Variable(name) => {
                let (prefix, rest) = name.split_once('_').unwrap_or(("", name));
                format!("{prefix}_{}", swap(rest, "__", &right.to_uppercase()))
            }
            Self::Argument(key) | Self::Kept(key) => format!("\"{}\"", swap(key, ".", right)),
        }
    }
}

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    place: Place,
    message: String,
}

impl ConfigError {
    pub(super) fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into() }
    }

    /// Where it stands.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What is wrong and what to do, without the place.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl std::error::Error for ConfigError {}

/// The candidate nearest to `word`, if one is near enough to be meant.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters may differ; in short words one may, so that "tsl" finds "tls" and "ip" finds nothing.
    let most = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(far, _)| *far <= most)
        .min_by_key(|(far, _)| *far)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be put in, taken out, changed or swapped with a neighbour to get from `a` to `b`
/// (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut last_char = None;
    for (i, x) in a.chars().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX - 1);
            let mut cost =
                (at(&last, j) + usize::from(x != *y)).min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = j > 0 && last_char == Some(*y) && b.get(j - 1) == Some(&x);
            if swapped {
                cost = cost.min(at(&before, j - 1) + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut last, row);
        last_char = Some(x);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_letters_and_swaps() {
        for (a, b, far) in [
            ("tls", "tls", 0),
            ("tsl", "tls", 1),
            ("", "abc", 3),
            ("abc", "", 3),
            ("plian", "plain", 1),
            ("origin", "origins", 1),
        ] {
            assert_eq!(distance(a, b), far, "{a} {b}");
        }
    }

    #[test]
    fn only_near_words_are_offered() {
        let keys = ["tls", "plain", "plain_auth", "trusted_proxies"];
        assert_eq!(nearest("tsl", keys), Some("tls"));
        assert_eq!(nearest("TLS", keys), Some("tls"));
        assert_eq!(nearest("plain-auth", keys), Some("plain_auth"));
        assert_eq!(nearest("trusted_proxy", keys), Some("trusted_proxies"));
        assert_eq!(nearest("colour", keys), None);
    }

    #[test]
    fn a_suggestion_is_spelled_as_its_place_wants_it() {
        let file = Place::File { name: "a.toml".into(), line: 1, column: 2 };
        assert_eq!(file.respelled("tsl", "tls"), "\"tls\"");
        let variable = Place::Variable("GHOSTLLM_LISTEN__TSL".to_owned());
        assert_eq!(variable.respelled("tsl", "tls"), "GHOSTLLM_LISTEN__TLS");
        assert_eq!(Place::Argument("listen.tsl".to_owned()).respelled("tsl", "tls"), "\"listen.tls\"");
    }
}
