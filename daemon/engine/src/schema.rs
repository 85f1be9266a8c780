//! JSON schemas to which an answer can be held: what is in them is known word by word, and their size is bounded.
//!
//! Knows the keywords of JSON Schema (drafts 4 to 2020-12) that the grammar keeps ([llguidance's list][list]). Refuses to know
//! grammars and tokens. Invariant: a schema that passed has no keyword that would be passed over, and no number that would be
//! rounded; what is refused is named by its keyword, and nothing else of the schema is repeated.
//!
//! [list]: https://github.com/guidance-ai/llguidance/blob/main/docs/json_schema.md

use crate::error::Failure;
use crate::limits::Limits;
use serde_json::{Map, Value};
use std::collections::HashSet;

/// Keywords that the grammar keeps and whose value is no schema.
const PLAIN: [&str; 15] = [
    "$ref",
    "const",
    "enum",
    "type",
    "minItems",
    "maxItems",
    "required",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "multipleOf",
];
/// The same whose value is one schema, or a list of them.
const SCHEMAS: [&str; 7] =
    ["anyOf", "oneOf", "allOf", "items", "prefixItems", "additionalItems", "additionalProperties"];
/// The same whose value names schemas.
const NAMED: [&str; 4] = ["properties", "patternProperties", "$defs", "definitions"];
/// The same, or words that say something about an answer but ask nothing of it, wherever they stand.
const OTHERS: [&str; 16] = [
    "exclusiveMinimum",
    "exclusiveMaximum",
    "$schema",
    "$comment",
    "$anchor",
    "title",
    "description",
    "default",
    "deprecated",
    "readOnly",
    "writeOnly",
    "example",
    "examples",
    "contentMediaType",
    "contentEncoding",
    // OpenAPI's, beside a oneOf, which is what binds.
    "discriminator",
];
/// Keywords whose numbers bind.
const NUMBERS: [&str; 7] =
    ["const", "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];
/// Whole numbers from this on may have been rounded in 64-bit floating point, which the grammar has.
const EXACT: f64 = 9_007_199_254_740_992.0;
/// A keyword is repeated in a refusal if it is no longer and has only such letters; else it may be anything.
const WORD_BYTES: usize = 32;

/// Whether an answer can be held to this schema; `at` is the field of the request that it came in.
///
/// # Errors
/// 400 with the field, and the keyword at fault.
pub fn check(at: &str, schema: &Value, limits: &Limits) -> Result<(), Failure> {
    let (left, properties) = (limits.schema_levels, limits.schema_properties);
    let mut walk = Walk { at, root: schema, refs: HashSet::new(), left, properties };
    let levels = walk.schema(schema, true)?;
    walk.spend(levels)?;
    let mut seen = HashSet::new();
    // What is referred to is compiled from where it is first referred to, one within the other, so that levels add up.
    while let Some(pointer) = walk.refs.iter().find(|pointer| !seen.contains(*pointer)).copied() {
        seen.insert(pointer);
        let levels =
            walk.target(pointer).and_then(|target| walk.schema(target, std::ptr::eq(target, schema)))?;
        walk.spend(levels)?;
    }
    Ok(())
}

struct Walk<'a> {
    at: &'a str,
    root: &'a Value,
    refs: HashSet<&'a str>,
    /// How many levels there may still be.
    left: usize,
    /// The most properties of one object.
    properties: usize,
}

impl<'a> Walk<'a> {
    fn refuse<T>(&self, keyword: &str, why: &str) -> Result<T, Failure> {
        let known = keyword.len() <= WORD_BYTES
            && keyword.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"$_-".contains(&byte));
        let named = if known { format!("the keyword '{keyword}'") } else { "an unknown keyword".to_owned() };
        let message = format!(
            "An answer cannot be held to the schema in {}: {named} {why}; leave it out, or describe in words what it asks",
            self.at
        );
        Err(Failure::unsupported(self.at, message))
    }

    fn spend(&mut self, levels: usize) -> Result<(), Failure> {
        match self.left.checked_sub(levels) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(too_large(self.at)),
        }
    }

    /// Looks through a schema; how many levels it has. JSON of more than 128 levels was not read.
    fn schema(&mut self, schema: &'a Value, root: bool) -> Result<usize, Failure> {
        let fields = match schema {
            Value::Object(fields) => fields,
            Value::Bool(_) => return Ok(1),
            _ => {
                let message = format!("A schema in {} is neither an object nor true or false", self.at);
                return Err(Failure::invalid(self.at, message));
            }
        };
        let mut deepest = 0;
        for (keyword, value) in fields {
            deepest = deepest.max(self.keyword(keyword, value, root)?);
        }
        Ok(deepest + 1)
    }

    fn keyword(&mut self, keyword: &str, value: &'a Value, root: bool) -> Result<usize, Failure> {
        if NUMBERS.contains(&keyword) && !exact(value) {
            return self.refuse(keyword, "has a number that is not kept to its last digit");
        }
        match keyword {
            "$ref" => match value.as_str() {
                Some(pointer) => {
                    self.refs.insert(pointer);
                }
                None => return self.refuse(keyword, "is no text"),
            },
            _ if SCHEMAS.contains(&keyword) => return self.schemas(value),
            _ if NAMED.contains(&keyword) => return self.named(keyword, value),
            // Of two properties of one name, which the grammar allows among those without one, only the last counts.
            "minProperties" if value.as_u64().is_some_and(|least| least <= 1) => {}
            "minProperties" => return self.refuse(keyword, "is kept up to 1 only"),
            // Beneath the root, it would change what references mean.
            "$id" | "id" if root => {}
            _ if PLAIN.contains(&keyword) || OTHERS.contains(&keyword) => {}
            _ => return self.refuse(keyword, "is not kept by this engine"),
        }
        Ok(0)
    }

    fn schemas(&mut self, value: &'a Value) -> Result<usize, Failure> {
        match value {
            Value::Array(schemas) => self.deepest(schemas.iter()),
            one => self.schema(one, false),
        }
    }

    fn named(&mut self, keyword: &str, value: &'a Value) -> Result<usize, Failure> {
        match value {
            Value::Object(schemas) if keyword == "properties" && schemas.len() > self.properties => {
                Err(too_large(self.at))
            }
            Value::Object(schemas) => self.deepest(schemas.values()),
            _ => self.refuse(keyword, "is no object"),
        }
    }

    fn deepest(&mut self, schemas: impl Iterator<Item = &'a Value>) -> Result<usize, Failure> {
        let mut deepest = 0;
        for schema in schemas {
            deepest = deepest.max(self.schema(schema, false)?);
        }
        Ok(deepest)
    }

    /// What a reference means: a place in this very schema, of names that need no escape (RFC 6901).
    fn target(&self, pointer: &str) -> Result<&'a Value, Failure> {
        let within = pointer.strip_prefix('#').filter(|rest| !rest.contains(['~', '%']));
        let found = match within {
            Some("" | "/") => Some(self.root),
            Some(rest) => self.root.pointer(rest),
            None => None,
        };
        match found {
            Some(target) => Ok(target),
            None => self.refuse("$ref", "refers to something that is not in this schema, by a plain path"),
        }
    }
}

/// The refusal of a schema that is beyond what the engine spends on one.
pub(crate) fn too_large(at: &str) -> Failure {
    let message = format!(
        "The schema in {at} is too large or too deep to hold an answer to; use a smaller one, or ask for its parts one by one"
    );
    Failure::unsupported(at, message)
}

fn exact(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64().is_some_and(|number| number.abs() < EXACT),
        Value::Array(values) => values.iter().all(exact),
        Value::Object(fields) => fields.values().all(exact),
        _ => true,
    }
}

/// What a schema is made into where it must be an object's: a type is named in it.
pub(crate) fn of_object(schema: Option<&Map<String, Value>>) -> Map<String, Value> {
    let mut fields = schema.cloned().unwrap_or_default();
    fields.entry("type").or_insert_with(|| "object".into());
    fields
}

#[cfg(test)]
mod tests;
