//! The forms of all bodies, each once and by its name.
//!
//! Knows that a form is read more loosely than it is written: what a client may leave out of a request is always there in an
//! answer. Refuses to know any form. Invariant: a name stands for one form, and one that would stand for two is seen by a test.

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value};

/// What has been named so far.
pub(super) struct Schemas {
    /// Of what is taken.
    taken: SchemaGenerator,
    /// Of what is given.
    given: SchemaGenerator,
    /// Those that are put together here.
    own: Map<String, Value>,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
            })
        };
        Self {
            taken: settings().into_generator(),
            given: settings().for_serialize().into_generator(),
            own: Map::new(),
        }
    }

    /// The form of what a client sends.
    pub(super) fn taken<T: JsonSchema>(&mut self) -> Value {
        self.taken.subschema_for::<T>().to_value()
    }

    /// The form of what it gets.
    pub(super) fn given<T: JsonSchema>(&mut self) -> Value {
        self.given.subschema_for::<T>().to_value()
    }

    /// The properties of a form that a client sends, for whoever completes them.
    pub(super) fn inside<T: JsonSchema>(&mut self) -> Map<String, Value> {
        match T::json_schema(&mut self.taken).to_value() {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }

    /// Names a form that was put together.
    pub(super) fn add(&mut self, name: &str, form: Value) -> Value {
        self.own.insert(name.to_owned(), form);
        serde_json::json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    /// All of them. Where one is taken and given, the looser stands: it is true of both.
    pub(super) fn all(mut self) -> Map<String, Value> {
        let mut all = self.given.take_definitions(true);
        all.extend(self.taken.take_definitions(true));
        all.extend(self.own);
        all
    }

    /// The names that are taken and given in forms that differ in more than what must be there.
    #[cfg(test)]
    pub(super) fn clashes(mut self) -> Vec<String> {
        let bare = |mut form: Value| {
            form.as_object_mut().map(|fields| fields.remove("required"));
            form
        };
        let taken = self.taken.take_definitions(true);
        let given = self.given.take_definitions(true);
        let differs = |name: &String| {
            given.get(name).is_some_and(|form| bare(form.clone()) != bare(taken[name].clone()))
                || self.own.contains_key(name)
        };
        taken.keys().filter(|name| differs(name)).cloned().collect()
    }
}
