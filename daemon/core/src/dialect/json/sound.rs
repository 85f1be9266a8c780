//! The elements of a list that was read before, gone over once more.
//!
//! Knows where values begin and end in JSON that is known to be sound. Refuses to doubt it: what it makes nothing of, serde_json reads.
//! Invariant: each element is given once, as serde_json would give it.

use serde_json::value::RawValue;

use super::{Quoted, string_end};

#[cfg(test)]
mod tests;

/// The elements, one after the other, so that a list of millions ends with its first wrong one.
pub(crate) struct Elements<'a> {
    /// The next of them, and what is behind it.
    rest: &'a str,
}

impl<'a> Elements<'a> {
    /// Of a list; none where the value is none.
    pub(crate) fn of(list: &'a RawValue) -> Option<Self> {
        Self::of_text(list.get())
    }

    /// The same of a text that such a value is.
    pub(crate) fn of_text(list: &'a str) -> Option<Self> {
        Some(Self { rest: list.strip_prefix('[')? })
    }

    /// Goes to the next one; whether there is one.
    pub(crate) fn more(&mut self) -> bool {
        self.rest = self.rest.trim_ascii_start();
        self.rest = self.rest.strip_prefix(',').unwrap_or(self.rest).trim_ascii_start();
        !self.rest.starts_with(']')
    }

    /// Takes the next one as an object of these members, each a string and there at most once, if it has no other and the function
    /// makes something of it. Nearly every message of a conversation is one, and is so gone over only once.
    pub(crate) fn texts<const N: usize, T>(
        &mut self,
        names: [&str; N],
        then: impl FnOnce([Option<Quoted<'a>>; N]) -> Option<T>,
    ) -> Option<T> {
        let mut values = [const { None }; N];
        let mut rest = self.rest.strip_prefix('{')?;
        loop {
            let (name, behind) = Quoted::first(rest.trim_ascii_start())?;
            let value = behind.trim_ascii_start().strip_prefix(':')?;
            // A name with escapes, which nobody sends, is serde_json's to read.
            let place = names.iter().position(|known| *known == name.spelled())?;
            let free = values.get_mut(place).filter(|value| value.is_none())?;
            let (value, behind) = Quoted::first(value.trim_ascii_start())?;
            *free = Some(value);
            let end = behind.trim_ascii_start();
            if let Some(behind) = end.strip_prefix('}') {
                let made = then(values)?;
                self.rest = behind;
                return Some(made);
            }
            rest = end.strip_prefix(',')?;
        }
    }

    /// Takes the next one as its text.
    pub(crate) fn element(&mut self) -> &'a str {
        let (element, rest) = value_first(self.rest);
        self.rest = rest;
        element
    }
}

/// The members of an object, in their order.
pub(crate) struct Entries<'a> {
    /// The next of them, and what is behind it.
    rest: &'a str,
}

impl<'a> Entries<'a> {
    /// Of a value; none where it is no object.
    pub(crate) fn of(object: &'a str) -> Self {
        Self { rest: object.strip_prefix('{').unwrap_or_default() }
    }
}

/// Each name, and its value's text.
impl<'a> Iterator for Entries<'a> {
    type Item = (Quoted<'a>, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.trim_ascii_start();
        let rest = rest.strip_prefix(',').unwrap_or(rest).trim_ascii_start();
        if !rest.starts_with('"') {
            return None;
        }
        let (name, behind) = Quoted::first(rest)?;
        let (value, rest) = value_first(behind.trim_ascii_start().strip_prefix(':')?.trim_ascii_start());
        self.rest = rest;
        Some((name, value))
    }
}

/// The element or the member's value that a text begins with, without the space behind it, and what is behind that.
fn value_first(json: &str) -> (&str, &str) {
    let (value, rest) = json.split_at_checked(value_length(json)).unwrap_or((json, ""));
    (value.trim_ascii_end(), rest)
}

/// How long the element or the member's value is that a text begins with, with the space behind it.
fn value_length(json: &str) -> usize {
    let text = json.as_bytes();
    let (mut depth, mut place) = (0_usize, 0);
    while let Some(byte) = text.get(place) {
        match byte {
            b'"' => {
                place = string_end(text, place + 1);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b',' | b']' | b'}' if depth == 0 => break,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        place += 1;
    }
    place
}
