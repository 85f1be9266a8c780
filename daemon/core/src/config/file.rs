//! One file: its bytes become a tree.
//!
//! Knows TOML, and that YAML is another's. Refuses to know which settings exist. Invariant: what cannot be parsed is
//! reported with its place, and makes no tree at all.

use std::{ops::Range, sync::Arc};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    fault::{ConfigError, Place},
    tree::{Entry, Node, Table, Value},
    yaml,
};

/// Reads the file of this name, whose ending says what it is; nothing where it cannot be parsed, which is reported.
pub(super) fn parse(name: &str, bytes: &[u8], errors: &mut Vec<ConfigError>) -> Option<Table> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let file = File::new(name, std::str::from_utf8(valid).unwrap_or_default());
            let message = "these bytes are no UTF-8; save the file as UTF-8";
            errors.push(ConfigError::new(file.place(valid.len()), message));
            return None;
        }
    };
    // A mark of the byte order, which some editors write, is no character of the first line.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    if ["yaml", "yml"].contains(&ending) { yaml::parse(name, text, errors) } else { toml(name, text, errors) }
}

fn toml(name: &str, text: &str, errors: &mut Vec<ConfigError>) -> Option<Table> {
    let file = File::new(name, text);
    let (document, faults) = DeTable::parse_recoverable(text);
    if faults.is_empty() {
        return Some(convert_table(document.get_ref(), &|span: Range<usize>| file.place(span.start)));
    }
    errors.extend(faults.into_iter().map(|fault| {
        let at = fault.span().unwrap_or_default().start;
        let words = told(fault.message(), text.get(at..).unwrap_or_default());
        ConfigError::new(file.place(at), format!("not valid TOML: {words}"))
    }));
    None
}

/// What is wrong, in words; the reader's own where nothing better is known.
fn told<'a>(message: &'a str, text: &str) -> &'a str {
    // It takes "info" for a misspelled "inf", an endless number.
    let word = text.starts_with(|first: char| first.is_ascii_alphabetic());
    match message.strip_suffix(", expected nothing").unwrap_or(message) {
        message if message.starts_with("string values must be quoted") => "a string stands in quotes",
        message if word && message.starts_with("invalid float") => "a string stands in quotes",
        "duplicate key" => "this key stands here already; take one away",
        "recursion limit" | "cannot recurse further; max recursion depth met" => "this is nested too deep",
        other => other,
    }
}

/// A variable's or an argument's text. What is clearly a quoted string or an array of TOML is read as that.
pub(super) fn loose(text: &str, place: &Place) -> Value {
    let trimmed = text.trim();
    if trimmed.starts_with(['"', '\'', '['])
        && let Ok(value) = DeValue::parse(trimmed)
    {
        return convert(value.get_ref(), &|_| place.clone());
    }
    Value::Loose(trimmed.to_owned())
}

/// A file's name and text, for turning byte positions into places.
struct File<'a> {
    name: Arc<str>,
    text: &'a str,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl<'a> File<'a> {
    fn new(name: &str, text: &'a str) -> Self {
        let breaks = memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1);
        Self { name: Arc::from(name), text, lines: std::iter::once(0).chain(breaks).collect() }
    }

    fn place(&self, at: usize) -> Place {
        let line = self.lines.partition_point(|begin| *begin <= at).max(1);
        let begin = self.lines.get(line - 1).copied().unwrap_or_default();
        let column = self.text.get(begin..at).map_or(1, |before| before.chars().count() + 1);
        Place::File { name: Arc::clone(&self.name), line, column }
    }
}

fn convert_table(table: &DeTable<'_>, place: &dyn Fn(Range<usize>) -> Place) -> Table {
    let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| Entry {
        key: place(Spanned::<std::borrow::Cow<'_, str>>::span(key)),
        node: Node { place: place(value.span()), value: convert(value.get_ref(), place) },
    };
    let entries = table.iter().map(|(key, value)| (key.get_ref().to_string(), entry((key, value))));
    Table { entries: entries.collect() }
}

fn convert(value: &DeValue<'_>, place: &dyn Fn(Range<usize>) -> Place) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Other("a number that is too large"),
        },
        DeValue::Boolean(yes) => Value::Boolean(*yes),
        DeValue::Float(number) => match number.as_str().replace('_', "").parse::<f64>() {
            Ok(number) if number.is_finite() => Value::Real(number),
            _ => Value::Other("no finite number"),
        },
        DeValue::Datetime(_) => Value::Other("a date or time"),
        DeValue::Array(items) => Value::List(
            items
                .iter()
                .map(|item| Node { place: place(item.span()), value: convert(item.get_ref(), place) })
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(convert_table(table, place)),
    }
}
