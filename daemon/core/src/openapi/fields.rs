//! A table of fields, laid over the form of a request.
//!
//! Knows what the table says. Refuses to know more of a field than its row and its form. Invariant: the form has the table's
//! fields and no other.

use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::schemas::Schemas;
use crate::dialect::openai::table::{Asks, Behind, Fate, Row};

/// What a kind of backend is called.
pub(super) const fn backend(behind: Behind) -> &'static str {
    match behind {
        Behind::Ollama => "ollama",
        Behind::OpenAi => "openai",
        Behind::Engine => "engine",
    }
}

/// What a fate is called.
pub(super) const fn fate(fate: Fate) -> &'static str {
    match fate {
        Fate::Works => "works",
        Fate::Passed => "passed",
        Fate::Emulated => "emulated",
        Fate::Ignored => "ignored",
        Fate::Refused(_) => "refused",
    }
}

/// Names the form of a request, each of its fields with what becomes of it.
pub(super) fn completed<T: JsonSchema>(name: &str, rows: &[Row], schemas: &mut Schemas) -> Value {
    let mut form = schemas.inside::<T>();
    let plain = match form.remove("properties") {
        Some(Value::Object(plain)) => plain,
        _ => Map::new(),
    };
    let outer = rows.iter().filter(|row| !row.name.contains('.'));
    let outer = outer.map(|row| (row.name.to_owned(), property(row, rows, plain.get(row.name))));
    form.insert("properties".to_owned(), outer.collect());
    schemas.add(name, form.into())
}

fn property(row: &Row, rows: &[Row], plain: Option<&Value>) -> Value {
    let mut property = plain.and_then(Value::as_object).cloned().unwrap_or_else(|| asks_nothing(row.asks));
    let about = property.get("description").and_then(Value::as_str).unwrap_or_default();
    let about = said(row, about);
    if !about.is_empty() {
        property.insert("description".to_owned(), about.into());
    }
    property.insert("x-ghostllm-backends".to_owned(), fates(row));
    let inside = rows.iter().filter_map(|inner| {
        let (outer, name) = inner.name.split_once('.')?;
        (outer == row.name).then(|| (name.to_owned(), fates(inner)))
    });
    let inside: Map<String, Value> = inside.collect();
    if !inside.is_empty() {
        property.insert("x-ghostllm-inside".to_owned(), inside.into());
    }
    if !row.official {
        property.insert("x-ghostllm-extension".to_owned(), true.into());
    }
    property.into()
}

/// What becomes of it at each kind of backend.
fn fates(row: &Row) -> Value {
    let fates = Behind::ALL.map(|behind| (backend(behind).to_owned(), fate(row.fate(behind)).into()));
    Value::Object(fates.into_iter().collect())
}

/// What is said of it: its meaning, its note, and why it is refused.
fn said(row: &Row, about: &str) -> String {
    let about = (!about.is_empty()).then_some(about);
    let sentences: Vec<&str> = about.into_iter().chain(row.remarks()).collect();
    sentences.join(" ")
}

/// The values of a field that is refused which ask for nothing, and are taken.
fn asks_nothing(asks: Asks) -> Map<String, Value> {
    let form = match asks {
        Asks::Always => json!({"type": "null"}),
        Asks::ByReader => json!({}),
        Asks::UnlessFalse => json!({"enum": [false, null]}),
        Asks::UnlessFlex => json!({"enum": ["flex", null]}),
        Asks::UnlessEmpty => json!({"type": ["object", "null"], "maxProperties": 0}),
        Asks::BesidesText => json!({"type": ["array", "null"], "items": {"const": "text"}}),
    };
    form.as_object().cloned().unwrap_or_default()
}
