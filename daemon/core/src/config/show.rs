//! The configuration as it is, each value with where it comes from.
//!
//! Knows TOML and its comments. Refuses to know the settings. Invariant: what is written can be read back, and is the
//! same configuration then; a secret cannot be in it, since no setting holds one.

use super::{
    Loaded, backends,
    fault::Place,
    setting::Setting,
    tree::{Table, Value},
};

/// The text while it is written.
#[derive(Default)]
pub(super) struct Shown {
    pub(super) text: String,
    /// Why settings that nobody wrote are commented out, where they are.
    unused: Option<&'static str>,
}

/// Writes it.
pub(super) fn text(loaded: &Loaded) -> String {
    let (config, tree) = (&loaded.config, &loaded.tree);
    let mut out = Shown::default();
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
    out.header("[limits]");
    config.limits.show(table("limits"), &mut out);
    out.header("[log]");
    config.log.show(table("log"), &mut out);
    for (backend, named) in config.backends.iter().zip(&tree.backends) {
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
    out.text
}

impl Shown {
    /// A table's header.
    pub(super) fn header(&mut self, label: &str) {
        self.text.push_str(&format!("\n{label}\n"));
    }

    /// A setting, whose place is that of its value in `table`.
    pub(super) fn setting<T: Setting>(&mut self, key: &str, value: &T, table: Option<&Table>) {
        let place = table.and_then(|table| table.entries.get(key)).map(|entry| &entry.node.place);
        let Some(value) = value.show() else {
            self.comment(&format!("{key} is not set"));
            return;
        };
        match (place, self.unused) {
            (Some(place), _) => self.value(key, &value, &place.to_string()),
            (None, None) => self.value(key, &value, "default"),
            (None, Some(why)) => self.comment(&format!("{key} = {value} # default, {why}")),
        }
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
