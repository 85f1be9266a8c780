//! All sources laid over each other: one tree of values, each with its place.
//!
//! Knows TOML, environment variables and `--set` arguments. Refuses to know which settings exist and what they
//! mean. Invariant: every key and every value in the tree knows where it was written, and a later source wins.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Source,
    fault::{ConfigError, Place},
};

/// What environment variables of this program begin with.
pub(super) const PREFIX: &str = "GHOSTLLM_";
/// Where Ollama's own programs look for their server.
pub(super) const OLLAMA_HOST: &str = "OLLAMA_HOST";
/// What Kubernetes and Docker set by themselves beside a service named "ghostllm" (Kubernetes, "Service
/// environment variables"): never settings, and no reason to refuse the start.
const NOT_OURS: [&str; 3] = ["SERVICE_HOST", "SERVICE_PORT", "PORT"];
/// Where the page and the README have people keep their API key: it is for their clients, and a daemon that is started from
/// the same shell has nothing to do with it.
const CLIENTS_KEY: &str = "GHOSTLLM_KEY";

/// A value, before anyone has said what it should be.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// A TOML string.
    Text(String),
    /// Text of a variable or argument, which may stand for any type.
    Loose(String),
    /// A TOML integer.
    Integer(i64),
    /// A TOML boolean.
    Boolean(bool),
    /// Something that no setting takes, in words.
    Other(&'static str),
    /// A TOML array.
    List(Vec<Node>),
    /// A TOML table.
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

/// One backend: its name, where it was first named, and its keys.
#[derive(Debug)]
pub(super) struct NamedTable {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) table: Table,
}

/// Everything that the sources say.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// All sections but the backends.
    pub(super) root: Table,
    /// The backends, in the order in which they were written.
    pub(super) backends: Vec<NamedTable>,
    /// The value of `OLLAMA_HOST`.
    pub(super) ollama_host: Option<String>,
}

impl Tree {
    /// Lays `sources` over each other, the first one lowest.
    ///
    /// # Errors
    /// Syntax errors, for which no tree can be built. Everything else goes to `errors`.
    pub(super) fn build(sources: &[Source], errors: &mut Vec<ConfigError>) -> Result<Self, Vec<ConfigError>> {
        let mut tree = Self::default();
        for source in sources {
            match source {
                Source::File { name, text } => tree.add_file(name, text, errors)?,
                Source::Environment(pairs) => tree.add_environment(pairs, errors),
                Source::Set(arguments) => tree.add_arguments(arguments, errors),
            }
        }
        Ok(tree)
    }

    fn add_file(
        &mut self,
        name: &str,
        text: &str,
        errors: &mut Vec<ConfigError>,
    ) -> Result<(), Vec<ConfigError>> {
        let file = File { name: Arc::from(name), text };
        let (document, faults) = DeTable::parse_recoverable(text);
        if !faults.is_empty() {
            let says = |fault: toml::de::Error| {
                let place = file.place(fault.span().unwrap_or_default());
                ConfigError::new(place, format!("not valid TOML: {}", fault.message()))
            };
            return Err(faults.into_iter().map(says).collect());
        }
        let mut table = file.table(document.get_ref());
        if let Some(backends) = table.entries.remove("backends") {
            self.add_backends(backends.node, errors);
        }
        self.root.merge(table);
        Ok(())
    }

    fn add_backends(&mut self, node: Node, errors: &mut Vec<ConfigError>) {
        const HOW: &str = "backends are written one by one, each under a line [[backends]] with a name";
        let Value::List(items) = node.value else {
            errors.push(ConfigError::new(node.place, HOW));
            return;
        };
        // What this very file has named; a name that an earlier source knows is laid over it instead.
        let mut here: BTreeMap<String, Place> = BTreeMap::new();
        for item in items {
            let Value::Table(mut table) = item.value else {
                errors.push(ConfigError::new(item.place, HOW));
                continue;
            };
            let Some(entry) = table.entries.remove("name") else {
                let message = "this backend has no name; give it one, for example name = \"ollama\"";
                errors.push(ConfigError::new(item.place, message));
                continue;
            };
            let place = entry.node.place;
            let Value::Text(name) = entry.node.value else {
                let message = "backends.name: expected a string, for example \"ollama\"";
                errors.push(ConfigError::new(place, message));
                continue;
            };
            if let Some(first) = here.get(&name) {
                let message =
                    format!("a backend named \"{name}\" stands already at {first}; choose another name");
                errors.push(ConfigError::new(place, message));
                continue;
            }
            here.insert(name.clone(), place.clone());
            self.backend(&name, &place).merge(table);
        }
    }

    /// The table of the backend of this name, made at the end of the list if there is none.
    fn backend(&mut self, name: &str, place: &Place) -> &mut Table {
        let at = self.backends.iter().position(|b| b.name == name).unwrap_or(self.backends.len());
        if at == self.backends.len() {
            let named = NamedTable { name: name.to_owned(), place: place.clone(), table: Table::default() };
            self.backends.push(named);
        }
        #[expect(clippy::indexing_slicing, reason = "`at` is a place in the list or was just pushed")]
        &mut self.backends[at].table
    }

    fn add_environment(&mut self, pairs: &[(String, String)], errors: &mut Vec<ConfigError>) {
        // The environment has no order of its own; sorted, the same variables always give the same tree.
        let mut pairs: Vec<_> = pairs.iter().collect();
        pairs.sort();
        for (name, value) in pairs {
            if name == CLIENTS_KEY {
                continue;
            }
            if name == OLLAMA_HOST {
                self.ollama_host = Some(value.clone());
                continue;
            }
            let Some(rest) = name.strip_prefix(PREFIX) else { continue };
            if !rest.contains("__")
                && NOT_OURS.iter().any(|n| rest == *n || rest.starts_with(&format!("{n}_")))
            {
                continue;
            }
            let mut path: Vec<String> = rest.split("__").map(str::to_lowercase).collect();
            if let [section, backend, ..] = path.as_mut_slice()
                && section == "backends"
            {
                // A variable's name cannot hold a hyphen in most shells, and a backend's name holds no underscore.
                *backend = backend.replace('_', "-");
            }
            self.put(&path, Place::Variable(name.clone()), value, errors);
        }
    }

    fn add_arguments(&mut self, arguments: &[String], errors: &mut Vec<ConfigError>) {
        for argument in arguments {
            let (key, value) = argument.split_once('=').unwrap_or((argument, ""));
            let place = Place::Argument(key.trim().to_owned());
            if key.len() == argument.len() {
                errors.push(ConfigError::new(place, "expected key=value, for example --set log.level=debug"));
                continue;
            }
            let path: Vec<String> = key.trim().split('.').map(str::to_owned).collect();
            self.put(&path, place, value, errors);
        }
    }

    /// Lays one variable or argument over the tree.
    fn put(&mut self, path: &[String], place: Place, text: &str, errors: &mut Vec<ConfigError>) {
        let node = Node { place: place.clone(), value: loose(text, &place) };
        let outcome = match path {
            [first, rest @ ..] if first == "backends" => match rest {
                [_, key] if key == "name" => {
                    Err("a backend's name is part of the key; it cannot be changed".to_owned())
                }
                [name, keys @ ..] if !keys.is_empty() => self.backend(name, &place).put(keys, node),
                _ => {
                    Err("name a backend and one of its settings, for example backends.ollama.url".to_owned())
                }
            },
            _ => self.root.put(path, node),
        };
        if let Err(message) = outcome {
            errors.push(ConfigError::new(place, message));
        }
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

    fn merge(&mut self, over: Self) {
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

    fn put(&mut self, path: &[String], node: Node) -> Result<(), String> {
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

/// A variable's or an argument's text. What is clearly a quoted string or an array of TOML is read as that.
fn loose(text: &str, place: &Place) -> Value {
    let trimmed = text.trim();
    if trimmed.starts_with(['"', '\'', '['])
        && let Ok(value) = DeValue::parse(trimmed)
    {
        return convert(value.get_ref(), &|_| place.clone());
    }
    Value::Loose(trimmed.to_owned())
}

/// A file's name and text, for turning byte positions into places.
struct File<'a> {
    name: Arc<str>,
    text: &'a str,
}

impl File<'_> {
    fn place(&self, span: Range<usize>) -> Place {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Place::File { name: Arc::clone(&self.name), line, column }
    }

    fn table(&self, table: &DeTable<'_>) -> Table {
        convert_table(table, &|span| self.place(span))
    }
}

fn convert_table(table: &DeTable<'_>, place: &dyn Fn(Range<usize>) -> Place) -> Table {
    let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| Entry {
        key: place(Spanned::<std::borrow::Cow<'_, str>>::span(key)),
        node: Node { place: place(value.span()), value: convert(value.get_ref(), place) },
    };
    let entries = table.iter().map(|(key, value)| (key.get_ref().to_string(), entry((key, value))));
    Table { entries: entries.collect() }
}

fn convert(value: &DeValue<'_>, place: &dyn Fn(Range<usize>) -> Place) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Other("a number that is too large"),
        },
        DeValue::Boolean(yes) => Value::Boolean(*yes),
        DeValue::Float(_) => Value::Other("a number with a fraction"),
        DeValue::Datetime(_) => Value::Other("a date or time"),
        DeValue::Array(items) => Value::List(
            items
                .iter()
                .map(|item| Node { place: place(item.span()), value: convert(item.get_ref(), place) })
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(convert_table(table, place)),
    }
}
