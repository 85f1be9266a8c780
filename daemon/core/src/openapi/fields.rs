//! A table of fields, laid over the form of a request.
//!
//! Knows what the table says. Refuses to know more of a field than its row and its form. Invariant: the form has the table's
//! fields and no other.

use std::collections::BTreeMap;

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
    let mut outer: Map<String, Value> = rows
        .iter()
        .filter(|row| !row.name.contains('.'))
        .map(|row| (row.name.to_owned(), property(row, plain.get(row.name)).into()))
        .collect();
    for (field, inside) in insides(rows) {
        // Of some, only what is inside has a row.
        let form = plain.get(&field).cloned().unwrap_or_default();
        let property = outer.entry(field).or_insert(form);
        if let Some(property) = property.as_object_mut() {
            property.insert("x-ghostllm-inside".to_owned(), inside.into());
        }
    }
    form.insert("properties".to_owned(), outer.into());
    schemas.add(name, form.into())
}

/// The fields that have others inside, with what becomes of each of those.
fn insides(rows: &[Row]) -> BTreeMap<String, Map<String, Value>> {
    let mut insides: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for row in rows {
        if let Some((outer, name)) = row.name.split_once('.') {
            insides.entry(outer.to_owned()).or_default().insert(name.to_owned(), fates(row));
        }
    }
    insides
}

fn property(row: &Row, plain: Option<&Value>) -> Map<String, Value> {
    let mut property = plain.and_then(Value::as_object).cloned().unwrap_or_else(|| asks_nothing(row.asks));
    let about = property.get("description").and_then(Value::as_str).unwrap_or_default();
    let about = said(row, about);
    if !about.is_empty() {
        property.insert("description".to_owned(), about.into());
    }
    property.insert("x-ghostllm-backends".to_owned(), fates(row));
    if !row.official {
        property.insert("x-ghostllm-extension".to_owned(), true.into());
    }
    property
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
        Asks::UnlessNothing => json!({"enum": [0, [], null]}),
        Asks::BesidesText => json!({"type": ["array", "null"], "items": {"const": "text"}}),
        Asks::UnlessText => {
            json!({"type": ["object", "null"], "required": ["type"], "properties": {"type": {"const": "text"}}})
        }
    };
    form.as_object().cloned().unwrap_or_default()
}
