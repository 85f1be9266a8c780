//! The top-level fields of a request body, each once, as raw JSON.
//!
//! Knows JSON's syntax errors and duplicate keys. Refuses to know what a field means. Invariant: a body that gets
//! past here is one JSON object whose keys are distinct, none of them refused.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::refused;
use crate::error::{ApiError, Code};

/// The most top-level fields: OpenAI has about forty, engines add about as many. It bounds the search for
/// duplicates.
const FIELDS_LIMIT: usize = 256;

/// The fields in their order.
pub(super) struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// Reads the body.
    pub(super) fn read(body: &'a [u8]) -> Result<Self, ApiError> {
        if body.trim_ascii().is_empty() {
            return Err(ApiError::new(Code::InvalidJson, "The body is empty; a JSON object is expected."));
        }
        let raw: &RawValue = serde_json::from_slice(body).map_err(|error| syntax(&error))?;
        if !raw.get().starts_with('{') {
            return Err(ApiError::new(Code::InvalidType, "The body must be a JSON object."));
        }
        let Pairs(fields) = serde_json::from_str(raw.get()).map_err(|error| syntax(&error))?;
        check(&fields)?;
        Ok(Self(fields))
    }

    /// A field's value; none where it is absent or null.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| *value)
            .filter(|value| value.get() != "null")
    }

    /// A field as a value of this type, named in the error where it is of another; `expected` completes
    /// "must be ...".
    pub(super) fn read_as<T: Deserialize<'a>>(
        &self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, ApiError> {
        let Some(raw) = self.get(name) else { return Ok(None) };
        serde_json::from_str(raw.get()).map(Some).map_err(|_| ApiError::invalid_type(name, expected))
    }

    /// A number in a range. Non-finite numbers do not exist in JSON, and 1e999 is a syntax error to serde_json.
    pub(super) fn number(&self, name: &str, least: f64, most: f64) -> Result<Option<f64>, ApiError> {
        let Some(number) = self.read_as::<f64>(name, "a number")? else { return Ok(None) };
        if (least..=most).contains(&number) {
            Ok(Some(number))
        } else {
            Err(ApiError::invalid_value(name, &format!("between {least} and {most}")))
        }
    }

    /// A whole number in a range.
    pub(super) fn integer(&self, name: &str, least: u32, most: u32) -> Result<Option<u32>, ApiError> {
        let Some(raw) = self.get(name) else { return Ok(None) };
        let expected = format!("a whole number between {least} and {most}");
        match serde_json::from_str::<f64>(raw.get()) {
            Err(_) => Err(ApiError::invalid_type(name, &expected)),
            Ok(_) => match serde_json::from_str::<u32>(raw.get()) {
                Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
                Ok(_) | Err(_) => Err(ApiError::invalid_value(name, &expected)),
            },
        }
    }
}

fn check(fields: &[(Cow<'_, str>, &RawValue)]) -> Result<(), ApiError> {
    if fields.len() > FIELDS_LIMIT {
        return Err(ApiError::invalid_request(format!("The body has more than {FIELDS_LIMIT} fields.")));
    }
    for (place, (name, _)) in fields.iter().enumerate() {
        refused::check(name)?;
        // Two readers may each take another one of two equal keys: what was checked here would not be what runs.
        if fields.iter().skip(place + 1).any(|(other, _)| other == name) {
            let message = format!("The field '{name}' is there twice.");
            return Err(ApiError::invalid_request(message).with_param(name.as_ref()));
        }
    }
    Ok(())
}

/// The sentence for a syntax error; serde_json's own text without its place, which is said once.
fn syntax(error: &serde_json::Error) -> ApiError {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or("syntax error");
    ApiError::invalid_json(what, error.line(), error.column())
}

struct Pairs<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// A key: borrowed where it holds no escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Pairs<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut fields = Vec::with_capacity(16);
                while let Some((Key(name), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    // One past the limit is enough to refuse the body.
                    if fields.len() <= FIELDS_LIMIT {
                        fields.push((name, value));
                    }
                }
                Ok(Pairs(fields))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}
