//! The forms that programs are promised, as `packaging/docs/admin-api.schema.json` has them.
//!
//! Knows the dozen words of JSON Schema that stand there. Refuses to pass over another. Invariant: a field that a form does not have is as wrong
//! as one that it lacks.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::root;

/// Checks that a value is of this form.
///
/// # Errors
/// Where it is not.
pub fn fits(form: &str, value: &Value) -> Result<()> {
    let path = root().join("packaging/docs/admin-api.schema.json");
    let root: Value = serde_json::from_slice(&std::fs::read(path)?)?;
    let schema = root["$defs"].get(form).with_context(|| format!("there is no form {form}"))?;
    check(schema, &root, value, form)
}

fn check(schema: &Value, root: &Value, value: &Value, at: &str) -> Result<()> {
    let Some(words) = schema.as_object() else {
        ensure!(schema == true, "{at}: nothing fits {schema}");
        return Ok(());
    };
    for (word, rule) in words {
        match word.as_str() {
            "description" | "format" | "default" => {}
            "$ref" => {
                let pointer = rule.as_str().and_then(|text| text.strip_prefix('#')).context("a reference")?;
                check(root.pointer(pointer).context("what it refers to")?, root, value, at)?;
            }
            "type" => {
                let kinds = rule.as_array().cloned().unwrap_or_else(|| vec![rule.clone()]);
                ensure!(kinds.iter().any(|kind| is(kind, value)), "{at}: {value} is no {rule}");
            }
            "enum" => {
                ensure!(rule.as_array().is_some_and(|all| all.contains(value)), "{at}: {value} in {rule}");
            }
            "const" => ensure!(rule == value, "{at}: {value} is not {rule}"),
            "anyOf" | "oneOf" => {
                let any = rule.as_array().context("a list")?;
                ensure!(
                    any.iter().any(|one| check(one, root, value, at).is_ok()),
                    "{at}: {value} is none of {rule}"
                );
            }
            "items" => {
                for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(rule, root, item, &format!("{at}[{number}]"))?;
                }
            }
            "required" => {
                for key in rule.as_array().into_iter().flatten().filter_map(Value::as_str) {
                    ensure!(value.get(key).is_some(), "{at}: {key} is missing in {value}");
                }
            }
            "properties" => {
                for (key, inner) in value.as_object().into_iter().flatten() {
                    let known = rule.get(key).with_context(|| format!("{at} has no {key}"))?;
                    check(known, root, inner, &format!("{at}.{key}"))?;
                }
            }
            "minimum" => {
                ensure!(value.as_f64() >= rule.as_f64() || value.is_null(), "{at}: {value} < {rule}");
            }
            "maximum" => {
                ensure!(value.as_f64() <= rule.as_f64() || value.is_null(), "{at}: {value} > {rule}");
            }
            other => bail!("the schema uses {other}, which is not checked here"),
        }
    }
    Ok(())
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
