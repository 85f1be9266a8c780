//! A JSON object, written member by member into one buffer.
//!
//! Knows names that need no escapes, and how their values are parted. Refuses to know what any of them means. Invariant: once it is
//! closed, what was written is one JSON object.

use serde::Serialize;

use super::text::{Quoted, quote};

/// An object that is being written.
pub(crate) struct Members<'a> {
    out: &'a mut Vec<u8>,
    /// What stands before the next member.
    before: u8,
}

impl<'a> Members<'a> {
    pub(crate) fn open(out: &'a mut Vec<u8>) -> Self {
        Self { out, before: b'{' }
    }

    /// A member whose value the function writes, which is one JSON value. The name has no character that is escaped.
    pub(crate) fn written(&mut self, name: &'static str, value: impl FnOnce(&mut Vec<u8>)) {
        self.out.extend_from_slice(&[self.before, b'"']);
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.before = b',';
        value(self.out);
    }

    pub(crate) fn text(&mut self, name: &'static str, text: &str) {
        self.written(name, |out| quote(out, text));
    }

    /// A text that is spelled already.
    pub(crate) fn spelled(&mut self, name: &'static str, text: Quoted<'_>) {
        self.written(name, |out| text.write(out));
    }

    /// Nothing where there is no text.
    pub(crate) fn text_if(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    pub(crate) fn value<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) {
        self.written(name, |out| super::append(out, value));
    }

    /// Nothing where there is no value.
    pub(crate) fn value_if<T: Serialize>(&mut self, name: &'static str, value: Option<T>) {
        if let Some(value) = value {
            self.value(name, &value);
        }
    }

    /// A list, each of whose elements the function writes.
    pub(crate) fn list<T>(
        &mut self,
        name: &'static str,
        items: impl IntoIterator<Item = T>,
        each: impl FnMut(&mut Vec<u8>, T),
    ) {
        self.written(name, |out| list(out, items, each));
    }

    /// The members of another object, of which there is at least one.
    pub(crate) fn of<T: Serialize>(&mut self, object: &T) {
        let start = self.out.len();
        super::append(self.out, object);
        if let Some(brace) = self.out.get_mut(start) {
            *brace = self.before;
        }
        self.out.pop();
        self.before = b',';
    }

    pub(crate) fn close(self) {
        let end: &[u8] = if self.before == b'{' { b"{}" } else { b"}" };
        self.out.extend_from_slice(end);
    }
}

/// Appends a list, each of whose elements the function writes.
pub(crate) fn list<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut each: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (place, item) in items.into_iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        each(out, item);
    }
    out.push(b']');
}
