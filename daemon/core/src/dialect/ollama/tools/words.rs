//! What Ollama drops of a schema, in short words for its description.
//!
//! Knows JSON Schema's keywords (2020-12, "Validation"). Refuses to know where a schema stands. Invariant: each keyword that
//! constrains and is dropped has words, which are bounded; whatever is unknown is said as it stands.

use serde_json::Value;

use super::node::Node;

/// The longest of them, in bytes: a pattern is rarely longer.
const LONGEST: usize = 200;
/// How many a schema has at the most: JSON Schema's vocabulary of constraints has about twice as many, of which few go together.
const MOST: usize = 16;

/// What Ollama keeps, or what says nothing of values.
pub(super) const KEPT: [&str; 15] = [
    "type",
    "$defs",
    "definitions",
    "items",
    "required",
    "properties",
    "anyOf",
    "description",
    "enum",
    "title",
    "$schema",
    "$id",
    "$comment",
    "$anchor",
    "discriminator",
];

/// Whether a keyword reaches the model, or has nothing to say to it.
pub(super) fn kept(name: &str) -> bool {
    KEPT.contains(&name)
}

/// Whether a keyword that is dropped constrains nothing, being true or not.
pub(super) fn says_nothing(name: &str, truth: bool) -> bool {
    match name {
        "additionalProperties" | "unevaluatedProperties" => truth,
        "uniqueItems" | "deprecated" | "readOnly" | "writeOnly" | "nullable" => !truth,
        _ => false,
    }
}

/// The words for what is dropped of a schema.
pub(super) fn lost(schema: &Node<'_>) -> Vec<String> {
    let Node::Object(fields) = schema else { return Vec::new() };
    let dropped = fields.iter().filter(|(name, _)| !kept(name));
    let mut words: Vec<String> = dropped.filter_map(|(name, value)| said(name, value)).collect();
    let more = words.len().saturating_sub(MOST);
    if more > 0 {
        words.truncate(MOST);
        words.push(format!("and {more} more conditions"));
    }
    words
}

fn said(name: &str, value: &Node<'_>) -> Option<String> {
    let truth = if let Node::Scalar(Value::Bool(truth)) = value { Some(*truth) } else { None };
    if truth.is_some_and(|truth| says_nothing(name, truth)) {
        return None;
    }
    let words = match name {
        "additionalProperties" | "unevaluatedProperties" if truth == Some(false) => {
            return Some("no other properties".to_owned());
        }
        "uniqueItems" => return Some("no element twice".to_owned()),
        "additionalProperties" => "other properties: ",
        "minLength" => return Some(counted("at least", value, "characters")),
        "maxLength" => return Some(counted("at most", value, "characters")),
        "minItems" => return Some(counted("at least", value, "elements")),
        "maxItems" => return Some(counted("at most", value, "elements")),
        "minProperties" => return Some(counted("at least", value, "properties")),
        "maxProperties" => return Some(counted("at most", value, "properties")),
        "minimum" => "at least ",
        "maximum" => "at most ",
        "exclusiveMinimum" => "more than ",
        "exclusiveMaximum" => "less than ",
        "multipleOf" => "a multiple of ",
        "examples" | "example" => "for example ",
        _ => return Some(in_short(&format!("{name}: "), value)),
    };
    Some(in_short(words, value))
}

fn counted(words: &str, value: &Node<'_>, of: &str) -> String {
    format!("{} {of}", in_short(&format!("{words} "), value))
}

/// A value behind some words: a text as it is, all else as JSON.
pub(super) fn in_short(words: &str, value: &Node<'_>) -> String {
    match value {
        Node::Text(text) => cut(&format!("{words}{text}")),
        Node::Object(_) | Node::List(_) | Node::Scalar(_) => {
            let mut said = words.as_bytes().to_vec();
            value.write(&mut said);
            cut(&String::from_utf8_lossy(&said))
        }
    }
}

/// No longer than it may be.
pub(super) fn cut(text: &str) -> String {
    if text.len() <= LONGEST {
        return text.to_owned();
    }
    let mut end = LONGEST;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", text.get(..end).unwrap_or_default())
}
