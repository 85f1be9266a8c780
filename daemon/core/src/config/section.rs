//! Reading one table of the tree into one struct.
//!
//! Knows how to take a key, and that what nobody took is unknown. Refuses to know the settings themselves.
//! Invariant: after [`Section::finish`], every key of the table was either read or reported, with its place.

use super::{
    fault::{ConfigError, Place, nearest},
    setting::{Fault, Setting},
    tree::{Entry, Node, Table, Value},
};

/// A check on a value beyond its type; the error says what is wanted.
pub(super) type Check<T> = fn(&T) -> Result<(), &'static str>;

/// Keys that have moved: the whole old key, and the whole new one.
pub(super) type Renames = &'static [(&'static str, &'static str)];

/// What all sections share while one configuration is read.
pub(super) struct Reader {
    pub(super) errors: Vec<ConfigError>,
    pub(super) renames: Renames,
    /// Every section's name and keys, for saying where a stray key belongs.
    pub(super) sections: &'static [(&'static str, &'static [&'static str])],
}

/// One table while it is read.
pub(super) struct Section<'tree, 'run> {
    /// As it is written in front of a key: `listen`, `backends`, or nothing for the root.
    name: &'static str,
    table: Option<&'tree Table>,
    taken: Vec<&'static str>,
    reader: &'run mut Reader,
}

impl<'tree, 'run> Section<'tree, 'run> {
    pub(super) fn new(name: &'static str, table: Option<&'tree Table>, reader: &'run mut Reader) -> Self {
        Self { name, table, taken: Vec::new(), reader }
    }

    /// Reads `key` into `into`, which keeps its default if the key is absent or wrong.
    pub(super) fn take<T: Setting>(&mut self, key: &'static str, into: &mut T, checks: &[Check<T>]) {
        self.taken.push(key);
        let Some(entry) = self.table.and_then(|table| table.entries.get(key)) else { return };
        let path = dotted(self.name, key);
        match T::read(&entry.node.value) {
            Ok(value) => match checks.iter().find_map(|check| check(&value).err()) {
                None => *into = value,
                Some(wanted) => {
                    let message = format!("{path}: expected {wanted}");
                    self.reader.errors.push(ConfigError::new(entry.node.place.clone(), message));
                }
            },
            Err(fault) => {
                let (place, why) = fault.settle(&entry.node);
                let message =
                    format!("{path}: {why}; expected {}, for example {}", T::expected(), T::example());
                self.reader.errors.push(ConfigError::new(place, message));
            }
        }
    }

    /// Takes `key` as a table; reports it if it is something else.
    pub(super) fn table(&mut self, key: &'static str) -> Option<&'tree Table> {
        self.taken.push(key);
        let entry = self.table?.entries.get(key)?;
        if let Value::Table(table) = &entry.node.value {
            return Some(table);
        }
        let path = dotted(self.name, key);
        let message = format!("{path}: expected a table, a line [{path}] with its settings below it");
        self.reader.errors.push(ConfigError::new(entry.node.place.clone(), message));
        None
    }

    /// Knows `keys` as well, which are read elsewhere, so that a near miss is told their names.
    pub(super) fn known(&mut self, keys: &[&'static str]) {
        self.taken.extend_from_slice(keys);
    }

    /// Reports every key that nobody took.
    pub(super) fn finish(self) {
        let Some(table) = self.table else { return };
        for (key, entry) in table.entries.iter().filter(|(key, _)| !self.taken.contains(&key.as_str())) {
            for place in leaves(entry) {
                let message = self.unknown(key, &place);
                self.reader.errors.push(ConfigError::new(place, message));
            }
        }
    }

    fn unknown(&self, key: &str, place: &Place) -> String {
        let path = dotted(self.name, key);
        if let Some((_, new)) = self.reader.renames.iter().find(|(old, _)| *old == path) {
            return format!("\"{path}\" is now called \"{new}\"; rename it");
        }
        let within = if self.name.is_empty() { String::new() } else { format!(" in [{}]", self.name) };
        let mut message = format!("unknown key \"{}\"{within}", key.escape_debug());
        if let Some(near) = nearest(key, self.taken.iter().copied()) {
            message.push_str("; did you mean ");
            message.push_str(&place.respelled(key, near));
            message.push('?');
        } else if let Some((home, _)) = self.reader.sections.iter().find(|(_, keys)| keys.contains(&key)) {
            message.push_str(&format!("; it belongs in [{home}]"));
        } else {
            message.push_str(&format!("; the keys here are {}", self.taken.join(", ")));
        }
        message
    }
}

/// Reads a table that holds nothing but the keys that `read` takes.
pub(super) fn whole<T>(
    name: &'static str,
    table: Option<&Table>,
    reader: &mut Reader,
    read: fn(&mut Section<'_, '_>) -> T,
) -> T {
    let mut section = Section::new(name, table, reader);
    let value = read(&mut section);
    section.finish();
    value
}

/// Where an unknown key was written: once in a file, but in each variable or argument that names it.
fn leaves(entry: &Entry) -> Vec<Place> {
    match (&entry.key, &entry.node) {
        (Place::Variable(_) | Place::Argument(_), Node { value: Value::Table(table), .. }) => {
            table.entries.values().flat_map(leaves).collect()
        }
        (place, _) => vec![place.clone()],
    }
}

fn dotted(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

impl Fault {
    /// The place of the fault, and the reason, for a fault found in `node`.
    fn settle(self, node: &Node) -> (Place, String) {
        match self {
            Self::Kind => (node.place.clone(), format!("this is {}", kind(&node.value))),
            Self::Bad(why) => (node.place.clone(), why),
            Self::Item(at, inner) => match &node.value {
                Value::List(items) if at < items.len() => match items.get(at) {
                    Some(item) => inner.settle(item),
                    None => inner.settle(node),
                },
                _ => inner.settle(node),
            },
        }
    }
}

/// A value's type in words.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Text(_) | Value::Loose(_) => "a string",
        Value::Integer(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Other(words) => words,
        Value::List(_) => "a list",
        Value::Table(_) => "a table",
    }
}

/// Defines a section once: its struct, its defaults, how it is read, and its part of the reference, which is
/// made of the doc comments. A field is `name: Type = default` and checks after `=>`.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $visibility:vis struct $name:ident ($label:literal) {
            $( $(#[doc = $doc:literal])+ $field:ident : $type:ty = $default:expr $(=> $check:expr)* ; )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq)]
        $visibility struct $name {
            $( $(#[doc = $doc])+ pub $field: $type, )+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )+ }
            }
        }

        impl $name {
            /// The section's keys, in the order of the reference.
            pub(in crate::config) const KEYS: &'static [&'static str] = &[$( stringify!($field) ),+];

            pub(in crate::config) fn read(section: &mut $crate::config::section::Section<'_, '_>) -> Self {
                let mut this = Self::default();
                $( section.take(stringify!($field), &mut this.$field, &[$( $check ),*]); )+
                this
            }

            pub(in crate::config) fn reference(out: &mut $crate::config::reference::Reference) {
                let this = Self::default();
                out.about(&[$( $about ),+], $label);
                $( out.setting(&[$( $doc ),+], stringify!($field), &this.$field); )+
            }
        }
    };
}
pub(super) use section;
