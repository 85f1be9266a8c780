//! What the sections say of themselves, which the example, the reference and the schema are made of.
//!
//! Knows the form of a description. Refuses to know the settings: their words are the doc comments of the structs.
//! Invariant: there is one description of a setting, made where the setting is defined.

use serde_json::{Map, Value as Json};

use super::{rule::Rule, setting::Setting};

/// What is said of a setting that a running program cannot change.
pub(super) const RESTART: &str = "A change needs a restart.";

/// A section: its settings and its words.
pub(super) struct Described {
    /// Its header, as it stands in the example.
    pub(super) label: &'static str,
    /// What it is about, in lines.
    pub(super) about: &'static [&'static str],
    /// Its settings, in order.
    pub(super) settings: Vec<DescribedSetting>,
}

/// A setting.
pub(super) struct DescribedSetting {
    /// Its key.
    pub(super) key: &'static str,
    /// What it is for, in lines.
    pub(super) words: &'static [&'static str],
    /// What is wanted, in words that fit after "expected".
    pub(super) expected: String,
    /// A value, as it is written in TOML.
    pub(super) example: String,
    /// The default, as it is written in TOML; none where nothing is set by itself.
    pub(super) default: Option<String>,
    /// What a file may hold.
    pub(super) schema: Map<String, Json>,
    /// Whether a running program leaves it as it is until it is started anew.
    pub(super) restart: bool,
    /// Whether it names a file or a program of the box.
    pub(super) file: bool,
}

impl Described {
    /// The section's name without brackets, as it stands before a key: `listen`, `backends.timeouts`.
    pub(super) fn name(&self) -> &'static str {
        self.label.trim_matches(['#', ' ', '[', ']'])
    }
}

impl DescribedSetting {
    /// Its words in one line.
    pub(super) fn line(&self) -> String {
        let words = joined(self.words);
        if self.restart { format!("{words} {RESTART}") } else { words }
    }

    /// With the mark that stands in front of it.
    pub(super) fn with(self, mark: &str) -> Self {
        Self { restart: mark == "restart", ..self }
    }
}

/// Lines of a doc comment as one.
pub(super) fn joined(lines: &[&str]) -> String {
    let lines: Vec<&str> = lines.iter().map(|line| line.trim()).collect();
    lines.join(" ")
}

/// Describes one setting.
pub(super) fn described<T: Setting>(
    key: &'static str,
    words: &'static [&'static str],
    default: &T,
    rules: &[Rule<T>],
) -> DescribedSetting {
    let mut schema = match T::schema() {
        Json::Object(schema) => schema,
        _ => Map::new(),
    };
    let mut expected = T::expected();
    for rule in rules {
        let number = schema.get("type").and_then(Json::as_str) == Some("integer");
        expected = if number { rule.wanted.to_owned() } else { format!("{expected}: {}", rule.wanted) };
        bound(&mut schema, rule.bounds);
    }
    DescribedSetting {
        key,
        words,
        expected,
        example: T::example(),
        default: default.show(),
        schema,
        restart: false,
        file: T::FILE,
    }
}

/// Narrows the schema of a number; what else has bounds is written with units, which a schema cannot compare.
fn bound(schema: &mut Map<String, Json>, (least, most): (u64, u64)) {
    if schema.get("type").and_then(Json::as_str) != Some("integer") {
        return;
    }
    let own = |key: &str, other: u64| schema.get(key).and_then(Json::as_u64).unwrap_or(other);
    let (least, most) = (own("minimum", 0).max(least), own("maximum", u64::MAX).min(most));
    schema.insert("minimum".to_owned(), least.into());
    schema.insert("maximum".to_owned(), most.into());
}
