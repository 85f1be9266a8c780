//! A tool's schema, in the words that Ollama keeps.
//!
//! Knows which keywords Ollama 0.33 reads of a tool (`type`, `description`, `enum`, `anyOf`, `items`, `properties`, `required`; of
//! all others nothing reaches the model, by `api/types.go`), and JSON Schema's meaning of those that it drops. Refuses to know the
//! rest of a request. Invariants: a tool of which nothing is dropped goes out as it came; whatever a schema refers to, what goes
//! out is no deeper and no larger than the bounds here allow beside what came in; nothing that is dropped is dropped in silence.

use std::borrow::Cow;

use serde_json::Value;

use crate::chat::Tool;
use crate::error::{ApiError, Code};

mod kept;
mod node;
#[cfg(test)]
mod tests;
mod words;

use node::Node;

/// The longest tool that is read into a tree, which is many times as long. OpenAI takes 120,000 characters in all of a schema's
/// names and values ("supported schemas" of its guide to structured outputs): a promise to clients, and so no setting.
const LONGEST: usize = 128 * 1024;
/// How many references within references are written out.
const DEEPEST: usize = 8;
/// How many references are looked up, in a list as long as the schema.
const LOOKED_UP: usize = 1024;
/// How much references may bring in all, in bytes. Two references to the next of a chain each time would double it at every link.
const MOST: usize = 64 * 1024;
/// How deep they may make the whole, which is read and written level by level; as deep as JSON's reader goes.
const LEVELS: usize = 128;

/// The tool as Ollama is sent it; none where it goes as it came.
///
/// # Errors
/// 400 where it is too long to be read.
pub(super) fn translated(place: usize, tool: &Tool) -> Result<Option<Vec<u8>>, ApiError> {
    let text = tool.raw.get();
    if text.len() > LONGEST {
        let message = format!("The tool '{}' is longer than {LONGEST} bytes.", tool.name);
        return Err(ApiError::new(Code::InvalidValue, message).with_param(format!("tools[{place}]")));
    }
    Ok(if kept::kept(text) { None } else { rewritten(text) })
}

/// The same, by a tree of the whole.
fn rewritten(text: &str) -> Option<Vec<u8>> {
    // A number that no reader keeps, such as 1e999, is Ollama's to judge.
    let mut whole: Node<'_> = serde_json::from_str(text).ok()?;
    let function = whole.get_mut("function")?;
    let parameters = function.get_mut("parameters")?;
    let mut writer = Writer::new(text);
    let lost = writer.root_schema(parameters);
    if !writer.changed {
        return None;
    }
    if !writer.refers {
        let _written_out = ["$defs", "definitions"].map(|name| parameters.take(name));
    }
    function.describe(&lost);
    // What is dropped is said in about as many words.
    let mut out = Vec::with_capacity(text.len() + text.len() / 4);
    whole.write(&mut out);
    Some(out)
}

/// Rewrites one tool's schema.
struct Writer<'a> {
    /// The tool as it came.
    tool: &'a str,
    /// Its schema as it came, read once there is a reference to be looked up in it.
    root: Option<Node<'a>>,
    /// The references that are being written out, outermost first.
    trail: Vec<Cow<'a, str>>,
    /// How deep the schema is that is being written.
    level: usize,
    /// Bytes that references may still bring, and how many may still be looked up.
    left: usize,
    lookups: usize,
    /// A reference was left as it is.
    refers: bool,
    changed: bool,
}

impl<'a> Writer<'a> {
    fn new(tool: &'a str) -> Self {
        let (left, lookups, trail) = (MOST, LOOKED_UP, vec![Cow::Borrowed("#")]);
        Self { tool, root: None, trail, level: 0, left, lookups, refers: false, changed: false }
    }

    /// The parameters themselves, of which Ollama keeps no description: what is lost of them is given back in words for the
    /// function's.
    fn root_schema(&mut self, schema: &mut Node<'a>) -> Vec<String> {
        self.follow(schema);
        self.merge(schema);
        self.inner(schema);
        let mut lost = words::lost(schema);
        lost.extend(schema.get("description").map(|text| words::in_short("", text)));
        lost.extend(schema.get("anyOf").map(|any| words::in_short("arguments are any of ", any)));
        self.changed |= !lost.is_empty();
        lost
    }

    /// A schema below: of a property, of a list's elements, of an alternative.
    fn schema(&mut self, schema: &mut Node<'a>) {
        match schema {
            // Ollama reads no truth values here, and refuses the whole request.
            Node::Scalar(Value::Bool(any)) => {
                let mut written = Node::Object(Vec::new());
                if !*any {
                    written.describe(&["never given".to_owned()]);
                }
                *schema = written;
                self.changed = true;
                return;
            }
            Node::Object(_) => {}
            Node::List(_) | Node::Text(_) | Node::Scalar(_) => return,
        }
        let outside = self.trail.len();
        self.level += 2;
        self.follow(schema);
        self.merge(schema);
        if let Some(only) = schema.take("const") {
            schema.put("enum", Node::List(vec![only]));
            self.changed = true;
        }
        if schema.get("anyOf").is_none()
            && let Some(one) = schema.take("oneOf")
        {
            schema.put("anyOf", one);
            self.changed = true;
        }
        self.inner(schema);
        let lost = words::lost(schema);
        self.changed |= !lost.is_empty();
        schema.describe(&lost);
        self.trail.truncate(outside);
        self.level -= 2;
    }

    /// The schemas inside of one.
    fn inner(&mut self, schema: &mut Node<'a>) {
        if let Some(Node::Object(properties)) = schema.get_mut("properties") {
            properties.iter_mut().for_each(|(_, property)| self.schema(property));
        }
        match schema.get_mut("items") {
            Some(Node::List(each)) => each.iter_mut().for_each(|item| self.schema(item)),
            Some(items) => self.schema(items),
            None => {}
        }
        if let Some(Node::List(any)) = schema.get_mut("anyOf") {
            any.iter_mut().for_each(|one| self.schema(one));
        }
    }

    /// Writes out what a schema refers to, beside what it says itself, as often as that is a reference again. What it refers to
    /// outside of itself, around itself, or too far down, is said in words.
    fn follow(&mut self, schema: &mut Node<'a>) {
        while let Some(reference) = schema.take("$ref") {
            self.changed = true;
            let Node::Text(reference) = reference else { continue };
            let Some(found) = self.found(&reference) else {
                let name =
                    reference.rsplit('/').next().filter(|name| *name != "#").unwrap_or("the arguments");
                schema.describe(&[words::cut(&format!("in the form of {name}"))]);
                self.refers = true;
                return;
            };
            self.trail.push(reference);
            schema.add(found);
        }
    }

    /// What a reference leads to, if it is to be written out.
    fn found(&mut self, reference: &str) -> Option<Node<'a>> {
        if self.trail.iter().any(|outer| outer == reference) || self.trail.len() > DEEPEST {
            return None;
        }
        self.lookups = self.lookups.checked_sub(1)?;
        if self.root.is_none() {
            let mut whole: Node<'a> = serde_json::from_str(self.tool).ok()?;
            self.root = whole.get_mut("function")?.take("parameters");
        }
        let found = self.root.as_ref()?.at(reference).filter(|found| matches!(found, Node::Object(_)))?;
        let (weight, depth) = found.measure(self.left);
        if weight > self.left || self.level + depth > LEVELS {
            // It was looked through for nothing.
            self.left /= 2;
            return None;
        }
        self.left -= weight;
        Some(found.clone())
    }

    /// Puts what a schema must follow as well (`allOf`) into the schema itself, as far as the two do not contradict each other.
    fn merge(&mut self, schema: &mut Node<'a>) {
        // Parts may have parts: each is taken out before it is put in, and references are bounded.
        while let Some(all) = schema.take("allOf") {
            self.changed = true;
            let Node::List(parts) = all else { continue };
            for mut part in parts {
                self.follow(&mut part);
                let rest = schema.add_all_of(part);
                if !rest.is_empty() {
                    schema.describe(&[words::in_short("also: ", &Node::Object(rest))]);
                }
            }
        }
    }
}
