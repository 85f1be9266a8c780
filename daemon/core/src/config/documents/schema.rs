//! The JSON Schema (draft 2020-12) of a file, TOML and YAML alike.
//!
//! Knows the schema's words. Refuses to know the settings. Invariant: what it refuses is refused by the program as well;
//! the program refuses more, such as combinations.

use serde_json::{Map, Value as Json, json};

use super::sections;
use crate::config::{
    BACKENDS, LISTS,
    describe::{Described, joined},
    values::Profile,
};

/// Writes it.
pub(in crate::config) fn text() -> String {
    let mut definitions = Map::new();
    for section in sections() {
        definitions.insert(section.name().to_owned(), object(&section));
    }
    named(&mut definitions);
    let mut root = settings();
    let profile = json!({
        "type": "object",
        "description": "Settings that lie over the others when this profile is chosen.",
        "additionalProperties": false,
        "properties": settings(),
    });
    definitions.insert("profile".to_owned(), profile);
    root.insert(
        "profile".to_owned(),
        json!({
            "enum": Profile::WORDS,
            "description": "The profile that is chosen; GHOSTLLM_PROFILE and --profile choose another.",
        }),
    );
    let profiles = Profile::WORDS.iter().map(|word| ((*word).to_owned(), reference("profile")));
    root.insert(
        "profiles".to_owned(),
        json!({
            "type": "object",
            "description": "Each profile's own settings.",
            "additionalProperties": false,
            "properties": profiles.collect::<Map<_, _>>(),
        }),
    );
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "GhostLLM's configuration",
        "type": "object",
        "additionalProperties": false,
        "properties": root,
        "$defs": definitions,
    });
    format!("{:#}\n", sorted(schema))
}

/// With its keys in the order of the alphabet, whether or not something else in the build has `serde_json` keep theirs
/// (`preserve_order`): the document would be another one.
fn sorted(value: Json) -> Json {
    match value {
        Json::Object(map) => {
            let mut entries: Vec<_> = map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            entries.sort_by(|(one, _), (other, _)| one.cmp(other));
            Json::Object(entries.into_iter().collect())
        }
        Json::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}

/// What stands at the top of a file and of a profile alike.
fn settings() -> Map<String, Json> {
    let tables = ["listen", "engine", "gpu", "limits", "log", "usage", "alerts"]
        .map(|name| (name.to_owned(), reference(name)));
    let lists = LISTS
        .each_ref()
        .map(|list| (list.key.to_owned(), json!({ "type": "array", "items": reference(list.key) })));
    tables.into_iter().chain(lists).collect()
}

/// What stands in a list has a name, and a backend a table of its own in it.
fn named(definitions: &mut Map<String, Json>) {
    for list in &LISTS {
        let Some(Json::Object(one)) = definitions.get_mut(list.key) else { continue };
        one.insert("required".to_owned(), json!(["name"]));
        if let (BACKENDS, Some(Json::Object(properties))) = (list.key, one.get_mut("properties")) {
            properties.insert("timeouts".to_owned(), reference("backends.timeouts"));
        }
    }
}

fn reference(name: &str) -> Json {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn object(section: &Described) -> Json {
    let properties = section.settings.iter().map(|setting| {
        let mut schema = setting.schema.clone();
        schema.insert("description".to_owned(), setting.line().into());
        match &setting.default {
            Some(default) => schema.insert("default".to_owned(), json_of(default)),
            None => schema.insert("examples".to_owned(), Json::Array(vec![json_of(&setting.example)])),
        };
        (setting.key.to_owned(), Json::Object(schema))
    });
    json!({
        "type": "object",
        "description": joined(section.about),
        "additionalProperties": false,
        "properties": properties.collect::<Map<_, _>>(),
    })
}

/// A value of TOML as JSON; what settings are written with has no dates.
fn json_of(value: &str) -> Json {
    let table = format!("x = {value}").parse::<toml::Table>().ok();
    table
        .and_then(|mut table| table.remove("x"))
        .and_then(|value| serde_json::to_value(value).ok())
        .unwrap_or_default()
}
