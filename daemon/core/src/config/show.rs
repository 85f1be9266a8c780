//! The configuration as it is, each value with where it comes from.
//!
//! Knows TOML and its comments. Refuses to know the settings. Invariant: what is written can be read back, and is the same configuration then,
//! but for what may be a secret ([`Setting::told`]), which is not in it; that it is not there is said.

use std::vec;

use super::{
    BACKENDS, Config, HEALTH, Loaded, MODELS, backends,
    fault::Place,
    health, models,
    setting::Setting,
    tree::{Table, Value},
};

/// The text while it is written.
#[derive(Default)]
pub(super) struct Shown {
    pub(super) text: String,
    /// Why settings that nobody wrote are commented out, where they are.
    unused: Option<&'static str>,
    /// The section that is being written.
    section: String,
    /// Each setting's value, in the order in which they are written.
    values: Vec<Written>,
    /// The same of what the sources say, where what is in use may be something else.
    sources: vec::IntoIter<Written>,
    /// What differs.
    pending: Vec<Pending>,
}

/// A setting's value, as it is, and as it is told.
#[derive(Clone, PartialEq)]
struct Written {
    whole: Option<String>,
    told: Option<String>,
}

/// What is said of a value that is not told in full.
const REST: &str = "; the rest may be a secret, and is not shown";

/// A setting that the sources have changed, and that stays as it is until a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its name, `section.key`.
    pub setting: String,
    /// The value in use, as TOML; none where it is not set.
    pub in_use: Option<String>,
    /// What the sources say, likewise.
    pub wanted: Option<String>,
    /// Where they say it.
    pub place: String,
}

/// Writes it.
pub(super) fn text(loaded: &Loaded) -> String {
    all(loaded, &loaded.config, Shown::default()).text
}

/// Writes what is in use, where that is another configuration in settings that need a restart, and names these.
pub(super) fn text_in_use(loaded: &Loaded, in_use: &Config) -> (String, Vec<Pending>) {
    let sources = all(loaded, &loaded.config, Shown::default()).values.into_iter();
    let out = all(loaded, in_use, Shown { sources, ..Shown::default() });
    (out.text, out.pending)
}

fn all(loaded: &Loaded, config: &Config, mut out: Shown) -> Shown {
    let tree = &loaded.tree;
    // A comment: the profile's settings stand below, and its tables are not here.
    match &loaded.profile {
        Some((profile, place)) => out.comment(&format!("profile = \"{}\" # {place}", profile.word())),
        None => out.comment("no profile is chosen"),
    }
    let table = |name: &str| match tree.root.find(&[name]).map(|node| &node.value) {
        Some(Value::Table(table)) => Some(table),
        _ => None,
    };
    out.header("[listen]");
    config.listen.show(table("listen"), &mut out);
    out.header("[engine]");
    out.unused = config.engine.socket.is_some().then_some("not used: engine.socket is another's engine");
    config.engine.show(table("engine"), &mut out);
    out.unused = None;
    out.header("[gpu]");
    config.gpu.show(table("gpu"), &mut out);
    out.header("[limits]");
    config.limits.show(table("limits"), &mut out);
    out.header("[log]");
    config.log.show(table("log"), &mut out);
    out.header("[usage]");
    config.usage.show(table("usage"), &mut out);
    out.header("[alerts]");
    config.alerts.show(table("alerts"), &mut out);
    for (backend, named) in config.backends.iter().zip(tree.list(BACKENDS)) {
        backends::show(backend, named, &mut out);
    }
    if config.backends.is_empty() {
        let place = loaded.ollama_host.as_ref().map_or_else(|| "default".to_owned(), Place::to_string);
        out.text.push('\n');
        out.comment(&format!(
            "no [[backends]]: an Ollama is looked for at {} # {place}",
            config.default_ollama
        ));
    }
    for (check, named) in config.health.iter().zip(tree.list(HEALTH)) {
        health::show(check, named, &mut out);
    }
    tree.list(MODELS).iter().for_each(|named| models::show(named, &mut out));
    out
}

impl Shown {
    /// A table's header.
    pub(super) fn header(&mut self, label: &str) {
        self.text.push_str(&format!("\n{label}\n"));
        label.trim_matches(['[', ']']).clone_into(&mut self.section);
    }

    /// A setting, whose place is that of its value in `table`.
    pub(super) fn setting<T: Setting>(&mut self, key: &str, value: &T, table: Option<&Table>) {
        let place = table.and_then(|table| table.entries.get(key)).map(|entry| &entry.node.place);
        let value = Written { whole: value.show(), told: value.told() };
        self.values.push(value.clone());
        if let Some(wanted) = self.sources.next().filter(|wanted| *wanted != value) {
            let place = place.map_or_else(|| "default".to_owned(), ToString::to_string);
            self.until_restart(key, value.told, wanted.told, place);
            return;
        }
        let rest = if value.told == value.whole { "" } else { REST };
        let Some(value) = value.told else {
            self.comment(&format!("{key} is not set"));
            return;
        };
        match (place, self.unused) {
            (Some(place), _) => self.value(key, &value, &format!("{place}{rest}")),
            (None, None) => self.value(key, &value, "default"),
            (None, Some(why)) => self.comment(&format!("{key} = {value} # default, {why}")),
        }
    }

    /// A setting in use that the sources have changed since.
    fn until_restart(&mut self, key: &str, in_use: Option<String>, wanted: Option<String>, place: String) {
        let next = wanted.as_deref().unwrap_or("not set");
        let words = format!("{next} from a restart on: {}", place.escape_debug());
        match &in_use {
            Some(value) => self
                .text
                .push_str(&format!("{key} = {value} # in use; {}\n", words.replace(['\n', '\r'], " "))),
            None => self.comment(&format!("{key} is not set; {words}")),
        }
        self.pending.push(Pending { setting: format!("{}.{key}", self.section), in_use, wanted, place });
    }

    /// A value and where it comes from.
    pub(super) fn value(&mut self, key: &str, value: &str, from: &str) {
        // A file's name may hold whatever a name may; a comment ends with its line.
        self.text.push_str(&format!("{key} = {value} # {}\n", from.escape_debug()));
    }

    fn comment(&mut self, words: &str) {
        self.text.push_str(&format!("# {}\n", words.replace(['\n', '\r'], " ")));
    }
}
