//! A JSON tree that keeps its keys in their order: the order of properties is the one in which a model is shown them.
//!
//! Knows JSON and how schemas are put together. Refuses to know which keywords Ollama keeps. Invariant: what is read and not
//! changed is written with the same keys and values in the same order.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Number, Value};

use super::kept::Name;
use crate::dialect::json;

/// A value, of whose names and texts nearly all are the tool's own.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node<'a> {
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
    List(Vec<Node<'a>>),
    Text(Cow<'a, str>),
    /// Null, a truth value or a number.
    Scalar(Value),
}

impl<'a> Node<'a> {
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(fields) = self else { return None };
        fields.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Self> {
        let Self::Object(fields) = self else { return None };
        fields.iter_mut().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Takes a field out.
    pub(super) fn take(&mut self, name: &str) -> Option<Self> {
        let Self::Object(fields) = self else { return None };
        let place = fields.iter().position(|(key, _)| key == name)?;
        Some(fields.remove(place).1)
    }

    /// Sets a field of an object.
    pub(super) fn put(&mut self, name: &'static str, value: Self) {
        match (self.get_mut(name), value) {
            (Some(old), value) => *old = value,
            (None, value) => {
                if let Self::Object(fields) = self {
                    fields.push((Cow::Borrowed(name), value));
                }
            }
        }
    }

    /// Puts words behind an object's description, in brackets behind what is there.
    pub(super) fn describe(&mut self, words: &[String]) {
        if words.is_empty() {
            return;
        }
        let said = words.join("; ");
        let text = match self.get("description") {
            Some(Self::Text(text)) if !text.trim().is_empty() => format!("{text} ({said})"),
            Some(Self::Text(_) | Self::Object(_) | Self::List(_) | Self::Scalar(_)) | None => said,
        };
        self.put("description", Self::Text(Cow::Owned(text)));
    }

    /// Adds another object's fields that are not here already.
    pub(super) fn add(&mut self, other: Self) {
        let (Self::Object(fields), Self::Object(others)) = (self, other) else { return };
        for (name, value) in others {
            if !fields.iter().any(|(key, _)| *key == name) {
                fields.push((name, value));
            }
        }
    }

    /// Adds what must hold as well: properties and requirements of both, and else what is not here already. What is here in
    /// other words is given back.
    pub(super) fn add_all_of(&mut self, part: Self) -> Vec<(Cow<'a, str>, Self)> {
        let (Self::Object(fields), Self::Object(others)) = (self, part) else { return Vec::new() };
        let mut rest = Vec::new();
        for (name, value) in others {
            let Some((_, own)) = fields.iter_mut().find(|(key, _)| *key == name) else {
                fields.push((name, value));
                continue;
            };
            match (&*name, own, value) {
                (_, own, value) if *own == value => {}
                ("properties", own @ Self::Object(_), value @ Self::Object(_)) => {
                    let left = own.add_all_of(value);
                    if !left.is_empty() {
                        rest.push((name, Self::Object(left)));
                    }
                }
                ("required", Self::List(own), Self::List(more)) => {
                    for one in more {
                        if !own.contains(&one) {
                            own.push(one);
                        }
                    }
                }
                // Ours is nearer to what it is about.
                ("description" | "title", _, _) => {}
                (_, _, value) => rest.push((name, value)),
            }
        }
        rest
    }

    /// How many bytes it takes, about, and how deep it is; counted no further than a little beyond so many bytes.
    pub(super) fn measure(&self, most: usize) -> (usize, usize) {
        // A value beside its text: a comma, a colon, quotes, brackets, a number.
        const BESIDE: usize = 8;
        let (mut weight, mut depth) = (BESIDE, 0);
        let mut inner = |name: &str, value: &Self| {
            if weight <= most {
                weight += name.len();
                let (more, below) = value.measure(most.saturating_sub(weight));
                weight += more;
                depth = depth.max(below + 1);
            }
        };
        match self {
            Self::Object(fields) => fields.iter().for_each(|(name, value)| inner(name, value)),
            Self::List(items) => items.iter().for_each(|value| inner("", value)),
            Self::Text(text) => weight += text.len(),
            Self::Scalar(_) => {}
        }
        (weight, depth)
    }

    /// What a reference into this very schema leads to (`#/$defs/Name`; RFC 6901 section 6); none where it leads elsewhere or
    /// nowhere.
    pub(super) fn at(&self, reference: &str) -> Option<&Self> {
        let path = reference.strip_prefix('#')?;
        let path = percent_encoding::percent_decode_str(path).decode_utf8().ok()?;
        if path.is_empty() {
            return Some(self);
        }
        let mut steps =
            path.strip_prefix('/')?.split('/').map(|step| step.replace("~1", "/").replace("~0", "~"));
        steps.try_fold(self, |node, step| match node {
            Self::Object(_) => node.get(&step),
            Self::List(items) => items.get(step.parse::<usize>().ok()?),
            Self::Text(_) | Self::Scalar(_) => None,
        })
    }

    /// Appends it as JSON.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => json::quote(out, text),
            Self::Scalar(value) => json::append(out, value),
            Self::List(items) => json::list(out, items, |out, item| item.write(out)),
            Self::Object(fields) => {
                let mut next = b'{';
                for (name, value) in fields {
                    out.push(next);
                    json::quote(out, name);
                    out.push(b':');
                    value.write(out);
                    next = b',';
                }
                out.extend_from_slice(if fields.is_empty() { b"{}" } else { b"}" });
            }
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Node<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Node<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node<'de>, A::Error> {
        let mut fields = Vec::new();
        while let Some((Name(name), value)) = map.next_entry()? {
            fields.push((name, value));
        }
        Ok(Node::Object(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node<'de>, E> {
        Ok(Node::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node<'de>, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node<'de>, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node<'de>, E> {
        Ok(Node::Scalar(Number::from_f64(value).map_or(Value::Null, Value::Number)))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Node<'de>, E> {
        Ok(Node::Scalar(Value::Null))
    }
}
