//! The fields of a request's body as raw JSON, and reading one as what it must be.
//!
//! Knows JSON and how to say what is wrong in words. Refuses to know what a field means. Invariant: no fault repeats
//! anything of the body, since it is logged by whoever asked.

use crate::error::Failure;
use crate::weight::{Allowance, Scale, WeightError};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::error::Category;
use serde_json::value::RawValue;

/// A field's raw value; `None` where it is absent or null.
pub(crate) type Field<'a> = Option<&'a RawValue>;

/// Reads a body, or a part of one, whose fields are all of type [`Field`].
///
/// # Errors
/// 400: it is no JSON, no object, or has a field twice.
pub(crate) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Failure> {
    // To serde a list is a struct as well, whose fields have no names.
    if !body.trim_ascii_start().starts_with(b"{") {
        serde_json::from_slice::<IgnoredAny>(body).map_err(|error| Failure::json(&error.to_string()))?;
        return Err(Failure::no_object());
    }
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => Failure::json(&format!(
            "a field is there twice (line {} column {})",
            error.line(),
            error.column()
        )),
        _ => Failure::json(&error.to_string()),
    })
}

/// Reads a field as a value of this type; `wanted` completes "must be".
///
/// # Errors
/// 400 with the field.
pub(crate) fn get<'a, T: Deserialize<'a>>(
    name: &str,
    field: Field<'a>,
    wanted: &str,
) -> Result<Option<T>, Failure> {
    let read = |raw: &'a RawValue| serde_json::from_str(raw.get());
    field.map(read).transpose().map_err(|_| Failure::wrong_type(name, wanted))
}

/// As [`get`], of a field that must be there.
///
/// # Errors
/// 400 with the field.
pub(crate) fn need<'a, T: Deserialize<'a>>(name: &str, field: Field<'a>, wanted: &str) -> Result<T, Failure> {
    get(name, field, wanted)?.ok_or_else(|| Failure::missing(name, wanted))
}

/// Adds a field to what the request weighs so far.
///
/// # Errors
/// 400 with the field: it does not fit, or cannot be read.
pub(crate) fn weigh(
    scale: &mut Scale,
    allowance: &Allowance,
    name: &str,
    field: Field<'_>,
) -> Result<(), Failure> {
    let Some(raw) = field else { return Ok(()) };
    scale.add(raw.get()).map_err(|error| match error {
        WeightError::TooHeavy => Failure::too_heavy(name, allowance),
        WeightError::Twice => {
            Failure::invalid(name, format!("An object in the field '{name}' has a member twice."))
        }
        WeightError::Unreadable(error) => {
            let text = error.to_string();
            let what = text.split(" at line ").next().unwrap_or("a syntax error");
            Failure::invalid(name, format!("{name} cannot be read: {what}"))
        }
    })
}
