//! Reading one table of the tree into one struct.
//!
//! Knows how to take a key, and that what nobody took is unknown. Refuses to know the settings themselves.
//! Invariant: after [`Section::finish`], every key of the table was either read or reported, with its place.

use super::{
    fault::{ConfigError, Place, nearest},
    rule::Rule,
    setting::{Fault, Setting},
    tree::{Entry, Node, Table, Value},
};

/// Keys that have moved: the whole old key, and the whole new one.
pub(super) type Renames = &'static [(&'static str, &'static str)];

/// More keys than this are no help in one line.
const MANY: usize = 20;

/// What people call a secret; no setting does.
const SECRETS: [&str; 8] = ["api_key", "apikey", "key", "token", "api_token", "bearer", "password", "secret"];

/// What all sections share while one tree is read.
pub(super) struct Reader {
    pub(super) errors: Vec<ConfigError>,
    pub(super) renames: Renames,
    /// Every section's name and keys, for saying where a stray key belongs.
    pub(super) sections: &'static [(&'static str, &'static [&'static str])],
    /// What stands before every section's name: `profiles.dev.` in a profile.
    pub(super) within: &'static str,
}

impl Reader {
    /// A key as it is written in full.
    fn path(&self, section: &str, key: &str) -> String {
        format!("{}{}", self.within, dotted(section, key))
    }

    fn report(&mut self, place: Place, message: String) {
        self.errors.push(ConfigError::new(place, message));
    }
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
    pub(super) fn take<T: Setting>(&mut self, key: &'static str, into: &mut T, rules: &[Rule<T>]) {
        self.taken.push(key);
        let Some(entry) = self.table.and_then(|table| table.entries.get(key)) else { return };
        let path = self.reader.path(self.name, key);
        match T::read(&entry.node.value) {
            Ok(value) => match rules.iter().find(|rule| !(rule.holds)(&value)) {
                None => *into = value,
                Some(rule) => {
                    let message = format!("{path}: expected {}", rule.wanted);
                    self.reader.report(entry.node.place.clone(), message);
                }
            },
            Err(fault) => {
                for (place, why, right) in fault.settle(&entry.node, T::right()) {
                    self.reader.report(place, format!("{path}: {why}; expected {right}"));
                }
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
        let path = self.reader.path(self.name, key);
        let message = if entry.node.place.is_single() {
            let keys =
                self.reader.sections.iter().find(|(section, _)| *section == path).map(|(_, keys)| *keys);
            let first = keys.and_then(<[_]>::first).copied().unwrap_or_default();
            let inner = entry.node.place.with(first);
            format!("{path}: expected a table; name one of the settings in it, for example {inner}")
        } else {
            format!("{path}: expected a table, a line [{path}] with its settings below it")
        };
        self.reader.report(entry.node.place.clone(), message);
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
                self.reader.report(place, message);
            }
        }
    }

    fn unknown(&self, key: &str, place: &Place) -> String {
        let path = dotted(self.name, key);
        if let Some((_, new)) = self.reader.renames.iter().find(|(old, _)| *old == path) {
            return format!("\"{path}\" is now called \"{new}\"; rename it");
        }
        let table = format!("{}{}", self.reader.within, self.name);
        let within = match table.trim_end_matches('.') {
            "" => String::new(),
            table => format!(" in [{table}]"),
        };
        let mut message = format!("unknown key \"{}\"{within}", key.escape_debug());
        message.push_str(&self.instead(key, place));
        message
    }

    /// What the unknown key should have been.
    fn instead(&self, key: &str, place: &Place) -> String {
        if self.name == "backends" && SECRETS.contains(&key) {
            return "; no secret stands in the configuration: put it into a file of its own, and write key_file".to_owned();
        }
        if let Some(meant) = self.under_a_section(key, place) {
            return format!("; did you mean {}?", place.respelled(key, &meant));
        }
        if let Some(near) = nearest(key, self.taken.iter().copied()) {
            return format!("; did you mean {}?", place.respelled(key, near));
        }
        if self.name.is_empty() && ["profile", "profiles"].contains(&key) {
            return "; a profile holds settings, and chooses no other profile".to_owned();
        }
        match self.reader.sections.iter().find(|(_, keys)| keys.contains(&key)) {
            Some((home, _)) => format!("; it belongs in [{home}]"),
            None if self.name.is_empty() && matches!(place, Place::Variable(_)) => {
                "; two underscores part a section, a name and a key: GHOSTLLM_LISTEN__TLS, GHOSTLLM_BACKENDS__OLLAMA__URL"
                    .to_owned()
            }
            None if self.taken.len() > MANY => "; `ghostllm config reference` names the keys here".to_owned(),
            None => format!("; the keys here are {}", self.taken.join(", ")),
        }
    }

    /// A variable that lacks its section, or one of the two underscores behind it: `TLS`, `LISTEN_TLS`.
    fn under_a_section(&self, key: &str, place: &Place) -> Option<String> {
        if !self.name.is_empty() || !matches!(place, Place::Variable(_)) {
            return None;
        }
        // A backend's settings stand below its name as well.
        let mut sections = self.reader.sections.iter().filter(|(section, _)| self.taken.contains(section));
        sections.find_map(|(section, keys)| {
            let behind = key.strip_prefix(section).and_then(|rest| rest.strip_prefix('_'));
            let near = behind.and_then(|behind| nearest(behind, keys.iter().copied()));
            let near = near.or_else(|| keys.iter().copied().find(|there| *there == key))?;
            Some(format!("{section}__{near}"))
        })
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
        (
            Place::Variable(_) | Place::Argument(_) | Place::Kept(_),
            Node { value: Value::Table(table), .. },
        ) => table.entries.values().flat_map(leaves).collect(),
        (place, _) => vec![place.clone()],
    }
}

fn dotted(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

impl Fault {
    /// The place, the reason and what would be right, for each fault found in `node`.
    fn settle(self, node: &Node, right: String) -> Vec<(Place, String, String)> {
        let here = |why| vec![(node.place.clone(), why, right)];
        match self {
            Self::Kind => here(format!("this is {}", kind(&node.value))),
            Self::Bad(why) => here(why),
            Self::Items(faults) => faults
                .into_iter()
                .flat_map(|(at, fault, right)| {
                    let item = match &node.value {
                        Value::List(items) => items.get(at),
                        _ => None,
                    };
                    fault.settle(item.unwrap_or(node), right)
                })
                .collect(),
        }
    }
}

/// A value's type in words.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Text(_) | Value::Loose(_) => "a string",
        Value::Integer(_) => "a number",
        Value::Real(_) => "a number with a fraction, or one that is too large",
        Value::Boolean(_) => "true or false",
        Value::Other(words) => words,
        Value::List(_) => "a list",
        Value::Table(_) => "a table",
    }
}

/// Leaves a setting as it is in `running`, which cannot take another value until it is started anew, and names it.
pub(in crate::config) fn restart<T: PartialEq + Clone>(
    new: &mut T,
    running: &T,
    (section, key): (&str, &str),
    kept: &mut Vec<String>,
) {
    if new != running {
        new.clone_from(running);
        kept.push(dotted(section, key));
    }
}

/// Defines a section once: its struct, its defaults, how it is read, shown and changed, and its description, which every
/// document is made of. A field is `name: Type = default` and its rules after `=>`; what a running program cannot change has
/// `@restart` in front.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $visibility:vis struct $name:ident ($label:literal) {
            $( $(#[doc = $doc:literal])+ $(@$when:ident)? $field:ident : $type:ty = $default:expr $(=> $check:expr)* ; )+
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

            pub(in crate::config) fn describe() -> $crate::config::describe::Described {
                let this = Self::default();
                $crate::config::describe::Described {
                    label: $label,
                    about: &[$( $about ),+],
                    settings: vec![$(
                        $crate::config::describe::described(
                            stringify!($field), &[$( $doc ),+], &this.$field, &[$( $check ),*]
                        )
                        $(.with(stringify!($when)))?
                    ),+],
                }
            }

            #[expect(clippy::allow_attributes, reason = "what is read only to be checked is not shown")]
            #[allow(dead_code, reason = "the keys of a backend are shown by hand")]
            pub(in crate::config) fn show(
                &self,
                table: Option<&$crate::config::tree::Table>,
                out: &mut $crate::config::show::Shown,
            ) {
                $( out.setting(stringify!($field), &self.$field, table); )+
            }

            #[expect(clippy::allow_attributes, reason = "not every section is compared")]
            #[allow(dead_code, unreachable_pub, reason = "not every section is compared, or public")]
            /// The keys whose values differ.
            pub fn differing(&self, other: &Self) -> Vec<&'static str> {
                let mut keys = Vec::new();
                $( if self.$field != other.$field { keys.push(stringify!($field)); } )+
                keys
            }

            #[expect(clippy::allow_attributes, reason = "not every section has such a setting")]
            #[allow(dead_code, unused_variables, clippy::ptr_arg, reason = "not every section has such a setting")]
            pub(in crate::config) fn settle(&mut self, running: &Self, section: &str, kept: &mut Vec<String>) {
                $( $(
                    let at = (section, stringify!($field));
                    $crate::config::section::$when(&mut self.$field, &running.$field, at, kept);
                )? )+
            }
        }
    };
}
pub(super) use section;
