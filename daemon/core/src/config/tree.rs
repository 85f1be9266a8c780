//! A tree of settings, before anyone has said what they should be.
//!
//! Knows keys, values and their places, and how one tree is laid over another. Refuses to know which settings exist and
//! what they mean. Invariant: every key and every value in the tree knows where it was written, and the upper tree wins.

use std::collections::BTreeMap;

use super::fault::Place;

/// A value, before anyone has said what it should be.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// A string.
    Text(String),
    /// Text of a variable or argument, which may stand for any type.
    Loose(String),
    /// An integer.
    Integer(i64),
    /// A number with a fraction.
    Real(f64),
    /// A boolean.
    Boolean(bool),
    /// Something that no setting takes, in words.
    Other(&'static str),
    /// A list.
    List(Vec<Node>),
    /// A table.
    Table(Table),
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// A key's place and its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: Place,
    pub(super) node: Node,
}

/// Keys and values.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    pub(super) entries: BTreeMap<String, Entry>,
}

/// A list of tables that have names of their own.
#[derive(Debug)]
pub(super) struct List {
    /// Its key: `[[backends]]`.
    pub(super) key: &'static str,
    /// What one of them is called, and what several are.
    pub(super) one: &'static str,
    pub(super) many: &'static str,
    /// A name that one of them may have, and a setting in it, for people who have written something else.
    pub(super) name: &'static str,
    pub(super) setting: &'static str,
}

/// One table of a list: its name, where it was first named, and its keys.
#[derive(Debug, Clone)]
pub(super) struct NamedTable {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) table: Table,
}

/// What one source says, or several that are laid over each other.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer {
    /// What stands before the names of its sections: `profiles.dev.` where it is a profile.
    pub(super) within: &'static str,
    /// All sections but the lists.
    pub(super) root: Table,
    /// The tables of each list, in the order in which they were written.
    named: BTreeMap<&'static str, Vec<NamedTable>>,
}

impl Layer {
    /// One whose lists are empty.
    pub(super) fn new(within: &'static str, root: Table) -> Self {
        Self { within, root, named: BTreeMap::new() }
    }

    /// Lays `over` over this.
    pub(super) fn merge(&mut self, over: Self) {
        self.root.merge(over.root);
        for (key, tables) in over.named {
            for named in tables {
                self.table(key, &named.name, &named.place).merge(named.table);
            }
        }
    }

    /// The tables of the list of this key.
    pub(super) fn list(&self, key: &str) -> &[NamedTable] {
        self.named.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// The table of this name in the list of this key, made at its end if there is none.
    pub(super) fn table(&mut self, key: &'static str, name: &str, place: &Place) -> &mut Table {
        let list = self.named.entry(key).or_default();
        let at = list.iter().position(|named| named.name == name).unwrap_or(list.len());
        if at == list.len() {
            list.push(NamedTable { name: name.to_owned(), place: place.clone(), table: Table::default() });
        }
        #[expect(clippy::indexing_slicing, reason = "`at` is a place in the list or was just pushed")]
        &mut list[at].table
    }
}

impl Table {
    /// The value under `path`.
    pub(super) fn find(&self, path: &[&str]) -> Option<&Node> {
        let (first, rest) = path.split_first()?;
        let node = &self.entries.get(*first)?.node;
        match (&node.value, rest) {
            (_, []) => Some(node),
            (Value::Table(table), _) => table.find(rest),
            _ => None,
        }
    }

    pub(super) fn merge(&mut self, over: Self) {
        for (key, entry) in over.entries {
            match (self.entries.get_mut(&key).map(|e| &mut e.node.value), entry.node.value) {
                (Some(Value::Table(mine)), Value::Table(theirs)) => mine.merge(theirs),
                (_, value) => {
                    let node = Node { place: entry.node.place, value };
                    self.entries.insert(key, Entry { key: entry.key, node });
                }
            }
        }
    }

    /// Puts a value under `path`, over what is there.
    ///
    /// # Errors
    /// A whole table would be replaced.
    pub(super) fn put(&mut self, path: &[String], node: Node) -> Result<(), String> {
        let Some((first, rest)) = path.split_first() else { return Ok(()) };
        let place = node.place.clone();
        if rest.is_empty() {
            if let Some(Value::Table(_)) = self.entries.get(first).map(|e| &e.node.value) {
                return Err(format!("\"{first}\" is a table; name one of the settings in it"));
            }
            self.entries.insert(first.clone(), Entry { key: place, node });
            return Ok(());
        }
        let empty = || Entry {
            key: place.clone(),
            node: Node { place: place.clone(), value: Value::Table(Self::default()) },
        };
        match &mut self.entries.entry(first.clone()).or_insert_with(empty).node.value {
            Value::Table(table) => table.put(rest, node),
            // A lower source wrote something else here, which is reported when the section is read.
            _ => Ok(()),
        }
    }
}
