//! The forms that programs are promised: the admin API's, as `packaging/docs/admin-api.schema.json` has them, and those of the models' API,
//! as a daemon serves them.
//!
//! Knows the words of JSON Schema that stand there. Refuses to pass over another. Invariant: a field that a form does not have is as wrong
//! as one that it lacks, but where engines may add their own.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};

use crate::root;

/// Fields that a form does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// They are wrong.
    Wrong,
    /// They are an engine's own, which GhostLLM passes on.
    Passed,
}

/// Checks that a value is of this form of the admin API.
///
/// # Errors
/// Where it is not.
pub fn fits(form: &str, value: &Value) -> Result<()> {
    let path = root().join("packaging/docs/admin-api.schema.json");
    let root: Value = serde_json::from_slice(&std::fs::read(path)?)?;
    let schema = root["$defs"].get(form).with_context(|| format!("there is no form {form}"))?;
    Check { root: &root, others: Others::Wrong }.check(schema, value, form)
}

/// Checks that a value is of this form of an OpenAPI document.
///
/// # Errors
/// Where it is not.
pub fn is_of(document: &Value, form: &str, value: &Value, others: Others) -> Result<()> {
    let schema = document["components"]["schemas"].get(form);
    let schema = schema.with_context(|| format!("there is no form {form}"))?;
    Check { root: document, others }.check(schema, value, form)
}

/// What a value is held to.
struct Check<'a> {
    root: &'a Value,
    others: Others,
}

impl Check<'_> {
    fn check(&self, schema: &Value, value: &Value, at: &str) -> Result<()> {
        let Some(words) = schema.as_object() else {
            ensure!(schema == true, "{at}: nothing fits {schema}");
            return Ok(());
        };
        for (word, rule) in words {
            self.word((word.as_str(), rule), words, value, at)?;
        }
        Ok(())
    }

    fn word(
        &self,
        (word, rule): (&str, &Value),
        beside: &Map<String, Value>,
        value: &Value,
        at: &str,
    ) -> Result<()> {
        match word {
            "$ref" => {
                let pointer = rule.as_str().and_then(|text| text.strip_prefix('#')).context("a reference")?;
                self.check(self.root.pointer(pointer).context("what it refers to")?, value, at)?;
            }
            "anyOf" | "oneOf" => self.one_of(rule, value, at)?,
            "items" => {
                for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                    self.check(rule, item, &format!("{at}[{number}]"))?;
                }
            }
            "properties" => {
                for (key, inner) in value.as_object().into_iter().flatten() {
                    match rule.get(key) {
                        Some(known) => self.check(known, inner, &format!("{at}.{key}"))?,
                        // The word for the others has them.
                        None if beside.contains_key("additionalProperties") => {}
                        None => ensure!(self.others == Others::Passed, "{at} has no {key}"),
                    }
                }
            }
            "additionalProperties" => {
                let named =
                    |key: &str| beside.get("properties").is_some_and(|known| known.get(key).is_some());
                for (key, inner) in value.as_object().into_iter().flatten().filter(|(key, _)| !named(key)) {
                    self.check(rule, inner, &format!("{at}.{key}"))?;
                }
            }
            other => simple(other, rule, value, at)?,
        }
        Ok(())
    }

    /// Of several, the one that fits, or why none does.
    fn one_of(&self, rule: &Value, value: &Value, at: &str) -> Result<()> {
        let mut reasons = Vec::new();
        for one in rule.as_array().context("a list")? {
            match self.check(one, value, at) {
                Ok(()) => return Ok(()),
                Err(reason) => reasons.push(format!("{reason:#}")),
            }
        }
        bail!("{at}: {value} is none of these:\n{}", reasons.join("\n"))
    }
}

/// A word that stands for itself.
fn simple(word: &str, rule: &Value, value: &Value, at: &str) -> Result<()> {
    match word {
        "description" | "format" | "default" => {}
        // What becomes of a field is no part of its form.
        ours if ours.starts_with("x-ghostllm-") => {}
        "type" => {
            let kinds = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
            ensure!(kinds.iter().any(|kind| is(kind, value)), "{at}: {value} is no {rule}");
        }
        "enum" => {
            ensure!(rule.as_array().is_some_and(|all| all.contains(value)), "{at}: {value} in {rule}");
        }
        "const" => ensure!(rule == value, "{at}: {value} is not {rule}"),
        "required" => {
            for key in rule.as_array().into_iter().flatten().filter_map(Value::as_str) {
                ensure!(!value.is_object() || value.get(key).is_some(), "{at}: {key} is missing in {value}");
            }
        }
        "minimum" => {
            ensure!(value.as_f64() >= rule.as_f64() || !value.is_number(), "{at}: {value} < {rule}");
        }
        "maximum" => {
            ensure!(value.as_f64() <= rule.as_f64() || !value.is_number(), "{at}: {value} > {rule}");
        }
        "minItems" | "maxItems" | "minLength" | "maxLength" | "maxProperties" => {
            let Some(length) = length(word, value) else { return Ok(()) };
            let bound = rule.as_u64().context("a length")?;
            let keeps = if word.starts_with("min") { length >= bound } else { length <= bound };
            ensure!(keeps, "{at}: {word} of {rule} for {value}");
        }
        other => bail!("the schema uses {other}, which is not checked here"),
    }
    Ok(())
}

/// The length that the word bounds; none where the value has no such.
fn length(word: &str, value: &Value) -> Option<u64> {
    let length = match value {
        Value::Array(list) if word.ends_with("Items") => list.len(),
        Value::String(text) if word.ends_with("Length") => text.chars().count(),
        Value::Object(fields) if word.ends_with("Properties") => fields.len(),
        _ => return None,
    };
    u64::try_from(length).ok()
}

fn is(kind: &Value, value: &Value) -> bool {
    match kind.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        _ => false,
    }
}
