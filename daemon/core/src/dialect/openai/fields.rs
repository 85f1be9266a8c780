//! The top-level fields of a request body, each once, as raw JSON.
//!
//! Knows JSON's syntax errors and duplicate keys. Refuses to know what a field means. Invariant: a body that gets
//! past here is one JSON object whose keys are distinct, none of them refused or a known one in another case, and whose texts are
//! characters.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::table::Row;
use super::{completions, embeddings, refused, table};
use crate::dialect::{json, responses};
use crate::error::{ApiError, Code};

/// The fields in their order.
pub(in crate::dialect) struct Fields<'a>(Pairs<'a>);

impl<'a> Fields<'a> {
    /// Reads the body, of at most `most` fields, which bounds the search for duplicates.
    pub(in crate::dialect) fn read(body: &'a [u8], most: usize) -> Result<Self, ApiError> {
        if body.trim_ascii_start().first() != Some(&b'{') {
            return Err(no_object(body));
        }
        // Once over the whole of it: a prompt may have a megabyte. Of what is no UTF-8 the second one knows where.
        let fields = match std::str::from_utf8(body) {
            Ok(text) => pairs(&mut serde_json::Deserializer::from_str(text), most),
            Err(_) => pairs(&mut serde_json::Deserializer::from_slice(body), most),
        };
        let fields = fields.map_err(|error| syntax(&error))?;
        if let Some(place) = json::lone_surrogate(body) {
            let (line, column) = json::line_and_column(body, place);
            return Err(ApiError::invalid_json("half of a surrogate pair (no character)", line, column));
        }
        check(&fields, most)?;
        Ok(Self(fields))
    }

    /// A field's value; none where it is absent or null.
    pub(in crate::dialect) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| *value)
            .filter(|value| value.get() != "null")
    }

    /// The names of those that are there and not null.
    pub(in crate::dialect) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, value)| value.get() != "null").map(|(name, _)| name.as_ref())
    }

    /// A field as it lies there, null included, with its key: of any case, as some readers would find it.
    pub(super) fn lies(&self, name: &str) -> Option<(&str, &'a RawValue)> {
        let (key, value) = self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some((key, value))
    }

    /// The first members of a field that is an object, as many as this and one more, without those that are null.
    pub(in crate::dialect) fn members(
        &self,
        name: &str,
        most: usize,
    ) -> impl Iterator<Item = (Cow<'a, str>, &'a RawValue)> {
        let object = self.get(name).filter(|raw| raw.get().starts_with('{'));
        let members =
            object.and_then(|raw| pairs(&mut serde_json::Deserializer::from_str(raw.get()), most).ok());
        members.into_iter().flatten().filter(|(_, value)| value.get() != "null")
    }

    /// All that are not null, with their names.
    pub(in crate::dialect) fn present(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().filter(|(_, value)| value.get() != "null").map(|(name, value)| (name.as_ref(), *value))
    }

    /// A field as a value of this type, named in the error where it is of another; `expected` completes
    /// "must be ...".
    pub(in crate::dialect) fn read_as<T: Deserialize<'a>>(
        &self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, ApiError> {
        let Some(raw) = self.get(name) else { return Ok(None) };
        let wrong = |error| {
            let twice = doubled(name, raw.get(), &json::words(&error));
            twice.unwrap_or_else(|| ApiError::invalid_type(name, expected))
        };
        serde_json::from_str(raw.get()).map(Some).map_err(wrong)
    }

    /// A number in a range. Non-finite numbers do not exist in JSON, and 1e999 is a syntax error to serde_json.
    pub(in crate::dialect) fn number(
        &self,
        name: &str,
        least: f64,
        most: f64,
    ) -> Result<Option<f64>, ApiError> {
        let Some(number) = self.read_as::<f64>(name, "a number")? else { return Ok(None) };
        if (least..=most).contains(&number) {
            Ok(Some(number))
        } else {
            Err(ApiError::invalid_value(name, &format!("between {least} and {most}")))
        }
    }

    /// The same, or -1, with which engines say "no limit" and "any": llama.cpp of `max_tokens`, vLLM of `top_k`.
    pub(in crate::dialect) fn integer_or_none(
        &self,
        name: &str,
        least: u32,
        most: u32,
    ) -> Result<(), ApiError> {
        if self.get(name).is_some_and(|raw| raw.get() == "-1") {
            return Ok(());
        }
        self.integer(name, least, most).map(drop)
    }

    /// A whole number in a range.
    pub(in crate::dialect) fn integer(
        &self,
        name: &str,
        least: u32,
        most: u32,
    ) -> Result<Option<u32>, ApiError> {
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

/// An element of a list, as errors name it: `messages[2]`.
#[derive(Debug, Clone, Copy)]
pub(in crate::dialect) struct Element(pub(in crate::dialect) &'static str, pub(in crate::dialect) usize);

impl fmt::Display for Element {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(list, place) = self;
        write!(formatter, "{list}[{place}]")
    }
}

/// An object inside of a request as this type; `at` names it, and `expected` completes "must be ...".
pub(in crate::dialect) fn object<'a, T: Deserialize<'a>>(
    at: impl fmt::Display,
    json: &'a str,
    expected: &str,
) -> Result<T, ApiError> {
    json::object(json).map_err(|words| unlike(&at.to_string(), json, expected, &words))
}

/// An element of a conversation as this type, which `kind` names. serde's text names the member that is wrong ("invalid type: integer `5`,
/// expected a string") without any of ours.
pub(in crate::dialect) fn element<'a, T: Deserialize<'a>>(
    at: Element,
    json: &'a str,
    kind: &str,
) -> Result<T, ApiError> {
    json::object(json).map_err(|what| {
        let at = at.to_string();
        let wrong = || {
            let message = format!("The field '{at}' is not {kind}: {what}.");
            ApiError::new(Code::InvalidType, message).with_param(at.as_str())
        };
        doubled(&at, json, &what).unwrap_or_else(wrong)
    })
}

/// Why that is no such object, by serde's words for it.
pub(super) fn unlike(at: &str, json: &str, expected: &str, words: &str) -> ApiError {
    if let Some(twice) = doubled(at, json, words) {
        return twice;
    }
    let what = match json.as_bytes().first() {
        Some(b'{') => return ApiError::invalid_type(at, expected),
        Some(b'"') => "a string",
        Some(b'[') => "a list",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        Some(_) | None => "a number",
    };
    ApiError::invalid_type(at, &format!("{expected}, and is {what}"))
}

/// The error where the value that `at` names has a member twice somewhere, by serde's words for what is wrong with it.
pub(in crate::dialect) fn doubled(at: &str, json: &str, words: &str) -> Option<ApiError> {
    let member = json::doubled(words)?;
    let place = json::place_of_doubled(at, json, member);
    Some(ApiError::doubled(place.unwrap_or_else(|| at.to_owned())))
}

/// So many members of an object inside of a request are looked at; more than any has that is not made to have many.
pub(in crate::dialect) const MEMBERS: usize = 64;

/// What a part of a content must be.
pub(in crate::dialect) const PART: &str =
    "a content part, an object such as {\"type\": \"text\", \"text\": ...}";

/// The fields of an object in their order, as many as this and one more.
pub(super) fn pairs<'a, R: serde_json::de::Read<'a>>(
    reader: &mut serde_json::Deserializer<R>,
    most: usize,
) -> serde_json::Result<Pairs<'a>> {
    let pairs = UpTo(most).deserialize(&mut *reader)?;
    reader.end().map(|()| pairs)
}

fn no_object(body: &[u8]) -> ApiError {
    if body.trim_ascii().is_empty() {
        return ApiError::new(Code::InvalidJson, "The body is empty; a JSON object is expected.");
    }
    match serde_json::from_slice::<&RawValue>(body) {
        Ok(_) => ApiError::new(Code::InvalidType, "The body must be a JSON object."),
        Err(error) => syntax(&error),
    }
}

fn check(fields: &[(Cow<'_, str>, &RawValue)], most: usize) -> Result<(), ApiError> {
    if fields.len() > most {
        return Err(ApiError::invalid_request(format!("The body has more than {most} fields.")));
    }
    for (place, (name, value)) in fields.iter().enumerate() {
        // Null is as good as no field, also to an engine.
        if value.get() != "null" {
            refused::check(name)?;
        }
        if is_look_alike(name) {
            return Err(look_alike(name));
        }
        // Two readers may each take another one of two equal keys: what was checked here would not be what runs. Go's reader,
        // which an engine may have, knows no case.
        if fields.iter().skip(place + 1).any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            return Err(ApiError::doubled(name.as_ref()));
        }
    }
    fields.iter().try_for_each(|(name, _)| check_case(name))
}

/// Refuses a field that is known under this name in another case: Go's readers, which some engines have, take it for that one, and so
/// what was looked at here would not be what they read.
fn check_case(name: &str) -> Result<(), ApiError> {
    if name.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return Ok(());
    }
    let lower = name.to_ascii_lowercase();
    let tables: [&[Row]; 4] = [table::ROWS, completions::ROWS, embeddings::ROWS, responses::ROWS];
    if tables.iter().copied().flatten().any(|row| row.name == lower) {
        let why = format!("Its name is known in small letters alone: write it '{lower}'.");
        return Err(ApiError::unsupported(name, &why));
    }
    Ok(())
}

/// Whether a name has a letter that readers who mind no case take for an `s` or a `k`, as Go's do: what is looked for here by its name would
/// be another field to them.
pub(in crate::dialect) fn is_look_alike(name: &str) -> bool {
    !name.is_ascii() && name.contains(['\u{17f}', '\u{212a}'])
}

/// 400: a name is of such letters; `at` says where, and which.
pub(in crate::dialect) fn look_alike(at: &str) -> ApiError {
    const WHY: &str =
        "Its name has a letter that some engines take for an s or a k: write that letter itself.";
    ApiError::unsupported(at, WHY)
}

/// The sentence for a syntax error; serde_json's own text without its place, which is said once.
fn syntax(error: &serde_json::Error) -> ApiError {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or("syntax error");
    ApiError::invalid_json(what, error.line(), error.column())
}

/// A key: borrowed where it holds no escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

pub(super) type Pairs<'a> = Vec<(Cow<'a, str>, &'a RawValue)>;

/// Reads an object's fields, as many as this and one more, which is enough to refuse the body.
struct UpTo(usize);

impl<'de> DeserializeSeed<'de> for UpTo {
    type Value = Pairs<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Pairs<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for UpTo {
    type Value = Pairs<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
        let mut fields = Vec::with_capacity(16);
        while let Some((Key(name), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
            if fields.len() <= self.0 {
                fields.push((name, value));
            }
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(field: &str) -> Result<(), ApiError> {
        Fields::read(format!("{{\"x\":1,{field}:1}}").as_bytes(), 16).map(drop)
    }

    #[test]
    fn a_known_field_is_written_in_small_letters() {
        for (sent, known) in [
            ("Messages", "messages"),
            ("mEssages", "messages"),
            ("STORE", "store"),
            ("Web_Search_Options", "web_search_options"),
            ("N", "n"),
            ("Prompt", "prompt"),
            ("Input", "input"),
            ("Previous_Response_Id", "previous_response_id"),
            ("Encoding_Format", "encoding_format"),
        ] {
            let error = read(&format!("\"{sent}\"")).unwrap_err();
            assert_eq!((error.code(), error.param()), (Code::UnsupportedParameter, Some(sent)), "{sent}");
            assert!(error.message().ends_with(&format!("write it '{known}'.")), "{error}");
            assert!(read(&format!("\"{known}\"")).is_ok(), "{known}");
        }
        for name in [
            "me\u{17f}\u{17f}ages",
            "top_\u{212a}",
            "api_ba\u{17f}e",
            "chat_template_\u{212a}wargs",
            "\u{17f}",
        ] {
            let error = read(&format!("\"{name}\"")).unwrap_err();
            assert_eq!((error.code(), error.param()), (Code::UnsupportedParameter, Some(name)));
        }
        // By whatever escapes it is spelled.
        assert!(read("\"\\u004dessages\"").is_err() && read("\"\\u017fx\"").is_err());
        for nothing in ["chat_template", "lora_request", "extra_body", "priority"] {
            let with =
                |value: &str| Fields::read(format!("{{\"{nothing}\":{value}}}").as_bytes(), 16).is_ok();
            assert!(with("null") && !with("0"), "{nothing}");
        }
        for other in ["\"Nobody\"", "\"guidedRegex\"", "\"m\u{e9}ssages\"", "\"\""] {
            assert!(read(other).is_ok(), "{other}");
        }
    }
}
