//! YAML: a file becomes the same tree as one in TOML.
//!
//! Knows YAML's values and where `serde_saphyr` says that they stand. Refuses to know which settings exist. Invariant: a
//! text means what it shows. Anchors, aliases, tags and merge keys, by which a value stands elsewhere than it is used or is
//! not what it looks like, are refused, and so are a second document and a repeated key.

use std::{fmt, sync::Arc};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{
    Error, Location, Options, Spanned, Tagged,
    budget::BudgetBreach,
    options::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy},
};

use super::{
    fault::{ConfigError, Place},
    tree::{Entry, Node, Table, Value},
};

/// How deep a file may be nested: the settings go down to six.
const DEPTH: usize = 16;

const TAGS: &str = "tags are not taken here; write the value alone, a string in quotes";

/// Reads a file; nothing where it cannot be parsed, which is reported.
pub(super) fn parse(name: &str, text: &str, errors: &mut Vec<ConfigError>) -> Option<Table> {
    let file: Arc<str> = Arc::from(name);
    let before = errors.len();
    let table = match serde_saphyr::from_str_with_options::<Raw>(text, options()) {
        Ok(raw) => table(raw, &file, errors),
        Err(error) => {
            let place = error.location().map_or_else(|| first(&file), |at| place(&file, at));
            errors.push(ConfigError::new(place, told(&error)));
            None
        }
    };
    table.filter(|_| errors.len() == before)
}

/// What would be taken by default is turned off here.
fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_anchors: 0,
            max_aliases: 0,
            max_merge_keys: 0,
            max_documents: 1,
            max_depth: DEPTH,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        reject_unsupported_tags: true,
        // Only what YAML 1.2 calls so: "yes", "0755" and "1_000" are strings.
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        with_snippet: false,
    }
}

/// What is wrong, in words; the reader's own where nothing better is known, without its place.
fn told(error: &Error) -> String {
    const ANCHORS: &str = "anchors and aliases are not taken here; write the value where it is wanted";
    match error.without_snippet() {
        Error::Budget { breach: BudgetBreach::Anchors { .. } | BudgetBreach::Aliases { .. }, .. }
        | Error::UnknownAnchor { .. } => ANCHORS.to_owned(),
        Error::Budget { breach: BudgetBreach::Documents { .. }, .. } | Error::MultipleDocuments { .. } => {
            "a file is one document; take the second away".to_owned()
        }
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => "this is nested too deep".to_owned(),
        Error::Budget { .. } => "this is more than a configuration can hold".to_owned(),
        Error::MergeKeyNotAllowed { .. } => {
            "merge keys (<<) are not taken here; write the keys out".to_owned()
        }
        Error::UnsupportedTag { .. } => TAGS.to_owned(),
        Error::DuplicateMappingKey { .. } => {
            "not valid YAML: this key stands here already; take one away".to_owned()
        }
        Error::NullIntoString { .. } => "not valid YAML here: a key is missing".to_owned(),
        other => {
            let message = other.to_string();
            let alone = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
            format!("not valid YAML: {alone}")
        }
    }
}

/// A node as the reader gives it.
type Raw = Spanned<Tagged<Any>>;

/// A value and what is in it.
enum Any {
    Plain(Value),
    List(Vec<Raw>),
    Map(Vec<(Spanned<Tagged<String>>, Raw)>),
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor)
    }
}

struct AnyVisitor;

/// For values that no setting takes.
fn other<E>(words: &'static str) -> Result<Any, E> {
    Ok(Any::Plain(Value::Other(words)))
}

impl<'de> Visitor<'de> for AnyVisitor {
    type Value = Any;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_bool<E>(self, yes: bool) -> Result<Any, E> {
        Ok(Any::Plain(Value::Boolean(yes)))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Any, E> {
        Ok(Any::Plain(Value::Integer(number)))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Any, E> {
        i64::try_from(number)
            .map_or_else(|_| other(TOO_LARGE), |number| Ok(Any::Plain(Value::Integer(number))))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Any, E> {
        if number.is_finite() { Ok(Any::Plain(Value::Real(number))) } else { other("no finite number") }
    }
    fn visit_str<E>(self, text: &str) -> Result<Any, E> {
        Ok(Any::Plain(Value::Text(text.to_owned())))
    }
    fn visit_bytes<E>(self, _: &[u8]) -> Result<Any, E> {
        other("bytes")
    }
    fn visit_unit<E>(self) -> Result<Any, E> {
        other(NOTHING)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Any, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Any::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Any, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Any::Map(map))
    }
}

const TOO_LARGE: &str = "a number that is too large";
const NOTHING: &str = "nothing (null)";

/// The document as a table; an empty one has no settings.
fn table(raw: Raw, file: &Arc<str>, errors: &mut Vec<ConfigError>) -> Option<Table> {
    let node = node(raw, file, errors);
    match node.value {
        Value::Table(table) => Some(table),
        Value::Other(NOTHING) => Some(Table::default()),
        _ => {
            let message = "expected settings, for example a line \"log:\" with \"  level: info\" below it";
            errors.push(ConfigError::new(node.place, message));
            None
        }
    }
}

fn node(raw: Raw, file: &Arc<str>, errors: &mut Vec<ConfigError>) -> Node {
    let place = place(file, raw.referenced);
    let Tagged(any, tag) = raw.value;
    if tag.is_some() {
        errors.push(ConfigError::new(place.clone(), TAGS));
    }
    let value = match any {
        Any::Plain(value) => value,
        Any::List(items) => Value::List(items.into_iter().map(|item| node(item, file, errors)).collect()),
        Any::Map(entries) => {
            let entries = entries.into_iter().map(|entry| pair(entry, file, errors));
            Value::Table(Table { entries: entries.collect() })
        }
    };
    Node { place, value }
}

fn pair(
    (key, value): (Spanned<Tagged<String>>, Raw),
    file: &Arc<str>,
    errors: &mut Vec<ConfigError>,
) -> (String, Entry) {
    let at = place(file, key.referenced);
    let Tagged(key, tag) = key.value;
    if tag.is_some() {
        errors.push(ConfigError::new(at.clone(), TAGS));
    }
    (key, Entry { key: at, node: node(value, file, errors) })
}

fn first(file: &Arc<str>) -> Place {
    Place::File { name: Arc::clone(file), line: 1, column: 1 }
}

fn place(file: &Arc<str>, at: Location) -> Place {
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).max(1);
    Place::File { name: Arc::clone(file), line: number(at.line()), column: number(at.column()) }
}
