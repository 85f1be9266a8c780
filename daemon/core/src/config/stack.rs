//! The sources, each a tree, and in which order they lie over each other.
//!
//! Knows files, profiles, the environment and arguments as layers. Refuses to know which settings exist, but for the
//! profile and the lists whose tables have names of their own. Invariant: files lie lowest, in their order, over them the
//! tables of the chosen profile in that order, then what was kept of `ghostctl config set`, then the environment, then the
//! arguments.

use std::collections::BTreeMap;

use super::{
    LISTS, Source,
    fault::{ConfigError, Place, nearest},
    file, outside,
    tree::{Entry, Layer, List, Node, Table, Value},
    values::Profile,
};

/// Every source, before one is laid over the other.
#[derive(Debug, Default)]
pub(super) struct Stack {
    files: Vec<Layer>,
    profiles: Vec<(Profile, Layer)>,
    kept: Vec<Layer>,
    environment: Vec<Layer>,
    arguments: Vec<Layer>,
    /// What `--profile` says.
    flag: Option<String>,
    /// The value of `OLLAMA_HOST`.
    pub(super) ollama_host: Option<String>,
    /// A file could not be parsed.
    pub(super) broken: bool,
}

impl Stack {
    /// Makes a tree of each source; what cannot be one goes to `errors`.
    pub(super) fn read(sources: &[Source], errors: &mut Vec<ConfigError>) -> Self {
        let mut stack = Self::default();
        for source in sources {
            match source {
                Source::File { name, bytes } => match file::parse(name, bytes, errors) {
                    Some(table) => stack.file(table, errors),
                    None => stack.broken = true,
                },
                Source::Kept(settings) => {
                    stack.kept.extend(settings.iter().map(|(key, value)| outside::kept(key, value, errors)));
                }
                Source::Environment(pairs) => {
                    let (layer, ollama_host) = outside::environment(pairs, errors);
                    stack.environment.push(layer);
                    stack.ollama_host = ollama_host.or(stack.ollama_host);
                }
                Source::Set(arguments) => {
                    // Each by itself, so that the last of several hides no fault of the others.
                    stack
                        .arguments
                        .extend(arguments.iter().map(|argument| outside::argument(argument, errors)));
                }
                Source::Profile(name) => stack.flag = Some(name.clone()),
            }
        }
        stack
    }

    /// The layers, each as one source has written it.
    pub(super) fn layers(&self) -> impl Iterator<Item = &Layer> {
        let profiles = self.profiles.iter().map(|(_, layer)| layer);
        self.files.iter().chain(profiles).chain(&self.kept).chain(&self.environment).chain(&self.arguments)
    }

    fn file(&mut self, mut table: Table, errors: &mut Vec<ConfigError>) {
        if let Some(profiles) = table.entries.remove("profiles") {
            self.profiles(profiles.node, errors);
        }
        self.files.push(layer("", table, errors));
    }

    fn profiles(&mut self, node: Node, errors: &mut Vec<ConfigError>) {
        let Value::Table(profiles) = node.value else {
            let message =
                "profiles: expected tables, for example a line [profiles.dev.log] with settings below it";
            errors.push(ConfigError::new(node.place, message));
            return;
        };
        for (name, Entry { key, node }) in profiles.entries {
            let Some(profile) = Profile::from_word(&name) else {
                let hint = nearest(&name, Profile::WORDS.iter().copied()).map_or_else(
                    || format!("expected {}", Profile::EXPECTED),
                    |near| format!("did you mean \"{near}\"?"),
                );
                let message = format!("unknown profile \"{}\"; {hint}", name.escape_debug());
                errors.push(ConfigError::new(key, message));
                continue;
            };
            let within = within(profile);
            match node.value {
                Value::Table(table) => self.profiles.push((profile, layer(within, table, errors))),
                _ => {
                    let name = within.trim_end_matches('.');
                    let message = format!(
                        "{name}: expected a table, for example a line [{within}log] with settings below it"
                    );
                    errors.push(ConfigError::new(node.place, message));
                }
            }
        }
    }

    /// The chosen profile and who has chosen it, the last one who has.
    ///
    /// # Errors
    /// It is not known, or no file has a table for it.
    pub(super) fn profile(&self, errors: &mut Vec<ConfigError>) -> Result<Option<(Profile, Place)>, ()> {
        let Some((place, word)) = self.choice() else { return Ok(None) };
        let Some(profile) = Profile::from_word(&word) else {
            // A choice in a file, a variable or an argument is a setting, and was read as one.
            if matches!(place, Place::Flag(_)) {
                let near = nearest(&word, Profile::WORDS.iter().copied());
                let hint = near.map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
                let message = format!(
                    "\"{}\" is no profile: expected {}{hint}",
                    word.escape_debug(),
                    Profile::EXPECTED
                );
                errors.push(ConfigError::new(place, message));
            }
            return Err(());
        };
        let mut there: Vec<&str> = self.profiles.iter().map(|(profile, _)| profile.word()).collect();
        if self.broken || there.contains(&profile.word()) {
            return Ok(Some((profile, place)));
        }
        there.sort_unstable();
        there.dedup();
        let hint = match nearest(&word, there.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None if there.is_empty() => {
                format!("write its settings there, for example below [{}log]", within(profile))
            }
            None => format!("the profiles that are there are {}", there.join(", ")),
        };
        let message = format!("profile: no file has a table [profiles.{word}]; {hint}");
        errors.push(ConfigError::new(place, message));
        Err(())
    }

    fn choice(&self) -> Option<(Place, String)> {
        if let Some(word) = &self.flag {
            return Some((Place::Flag("--profile"), word.clone()));
        }
        let layers: Vec<&Layer> =
            self.files.iter().chain(&self.kept).chain(&self.environment).chain(&self.arguments).collect();
        let node = layers.iter().rev().find_map(|layer| layer.root.find(&["profile"]))?;
        match &node.value {
            Value::Text(word) | Value::Loose(word) => Some((node.place.clone(), word.clone())),
            // Of another type, which was reported; no profile has an empty name.
            _ => Some((node.place.clone(), String::new())),
        }
    }

    /// All layers as one.
    pub(super) fn merge(self, profile: Option<Profile>) -> Layer {
        let chosen =
            self.profiles.into_iter().filter(|(name, _)| Some(*name) == profile).map(|(_, layer)| layer);
        let layers = self
            .files
            .into_iter()
            .chain(chosen)
            .chain(self.kept)
            .chain(self.environment)
            .chain(self.arguments);
        let mut merged = Layer::default();
        layers.for_each(|layer| merged.merge(layer));
        merged
    }
}

/// What stands before the names of a profile's sections.
fn within(profile: Profile) -> &'static str {
    match profile {
        Profile::Dev => "profiles.dev.",
        Profile::Staging => "profiles.staging.",
        Profile::Prod => "profiles.prod.",
    }
}

/// A table as a layer: what has a name of its own stands apart, by name.
fn layer(within: &'static str, mut table: Table, errors: &mut Vec<ConfigError>) -> Layer {
    let lists: Vec<_> =
        LISTS.iter().filter_map(|list| Some((list, table.entries.remove(list.key)?))).collect();
    let mut layer = Layer::new(within, table);
    for (list, entry) in lists {
        add(&mut layer, list, entry.node, errors);
    }
    layer
}

fn add(layer: &mut Layer, list: &'static List, node: Node, errors: &mut Vec<ConfigError>) {
    let List { key, one, many, name: example, .. } = list;
    let how = || {
        let within = layer_header(layer.within, key);
        format!("{many} are written one by one, each under a line {within} with a name")
    };
    let Value::List(items) = node.value else {
        errors.push(ConfigError::new(node.place, how()));
        return;
    };
    // What this very list has named; a name that another source knows is laid over it instead.
    let mut here: BTreeMap<String, Place> = BTreeMap::new();
    for item in items {
        let Value::Table(mut table) = item.value else {
            errors.push(ConfigError::new(item.place, how()));
            continue;
        };
        let Some(entry) = table.entries.remove("name") else {
            let message = format!("this {one} has no name; give it one, for example name = \"{example}\"");
            errors.push(ConfigError::new(item.place, message));
            continue;
        };
        let place = entry.node.place;
        let Value::Text(name) = entry.node.value else {
            let message = format!("{key}.name: expected a string, for example \"{example}\"");
            errors.push(ConfigError::new(place, message));
            continue;
        };
        if let Some(first) = here.get(&name) {
            let message = format!(
                "a {one} named \"{}\" stands already at {first}; choose another name",
                name.escape_debug()
            );
            errors.push(ConfigError::new(place, message));
            continue;
        }
        here.insert(name.clone(), place.clone());
        layer.table(key, &name, &place).merge(table);
    }
}

fn layer_header(within: &str, key: &str) -> String {
    format!("[[{within}{key}]]")
}
