//! The `[[backends]]`: where models are.
//!
//! Knows what makes a backend whole. Refuses to know how it is spoken to. Invariant: a [`Backend`] has a name of
//! its own and exactly the kind of address that its kind needs.

use std::{path::PathBuf, time::Duration};

use super::{
    fault::{ConfigError, Place},
    limits::{Limits, some_time},
    secret_file::SecretFile,
    section::{Reader, Section, section, whole},
    setting::{Setting, quoted},
    show::Shown,
    tree::NamedTable,
    values::{BackendName, BackendUrl, Kind},
};

/// One place where models are.
#[derive(Debug, Clone, PartialEq)]
pub struct Backend {
    /// Its name, unique.
    pub name: BackendName,
    /// What it is and where.
    pub target: Target,
    /// A file that holds the key which it wants as `Authorization: Bearer`.
    pub key_file: Option<SecretFile>,
    /// Whether this machine's cards compute its answers; none where its address is to tell.
    pub on_this_box: Option<bool>,
    /// How long it may take.
    pub timeouts: Timeouts,
}

/// What a backend is and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An Ollama, spoken to by its native API.
    Ollama(BackendUrl),
    /// A server that speaks OpenAI's API.
    OpenAi(BackendUrl),
    /// A GGUF file, served by our own engine.
    Gguf(PathBuf),
}

impl Target {
    /// Its kind, as in the file.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Ollama(_) => Kind::Ollama,
            Self::OpenAi(_) => Kind::OpenAi,
            Self::Gguf(_) => Kind::Gguf,
        }
    }
}

/// How long a backend may take; there is no limit on the whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection stands.
    pub connect: Duration,
    /// From the request to the first byte of the answer.
    pub first_byte: Duration,
    /// Between two bytes of the answer.
    pub idle: Duration,
}

impl Timeouts {
    /// Those of a backend that says nothing of its own, and of one that was found.
    #[must_use]
    pub fn of(limits: &Limits) -> Self {
        Self {
            connect: limits.backend_connect,
            first_byte: limits.backend_first_byte,
            idle: limits.backend_idle,
        }
    }
}

section! {
    /// Where models are, one block for each place. Without any, an Ollama at its default address (or at
    /// OLLAMA_HOST) and GGUF files in the engine's directory are found by themselves; the first block turns that
    /// off. Where two backends have a model of the same name, the first one serves it.
    pub(super) struct Keys ("# [[backends]]") {
        /// A name of the letters a to z, digits and hyphens; "name/model" asks for a model of this very backend.
        name: Option<BackendName> = None;
        /// "ollama", "openai" (llama.cpp's server, vLLM and the like) or "gguf" (a file for our own engine).
        kind: Option<Kind> = None;
        /// Where it listens; for "ollama" and "openai".
        url: Option<BackendUrl> = None;
        /// The file; for "gguf".
        path: Option<PathBuf> = None;
        /// A file that holds the key which it wants, readable by this program only: its whole path, or a name alone,
        /// which is a systemd credential (LoadCredential=vllm-key:/etc/ghostllm/vllm.key, key_file = "vllm-key").
        key_file: Option<SecretFile> = None;
        /// Whether this machine's cards compute its answers, which then wait while a card is hot ([gpu]). By itself so for "gguf"
        /// and where the url is a loopback address. Write true for a server in a container that has an address of its own,
        /// and false for a tunnel that leads elsewhere.
        on_this_box: Option<bool> = None;
    }
}

section! {
    /// How long this one backend may take, where it differs from [limits].
    pub(super) struct TimeoutKeys ("# [backends.timeouts]") {
        /// Instead of limits.backend_connect.
        connect: Option<Duration> = None => some_time();
        /// Instead of limits.backend_first_byte.
        first_byte: Option<Duration> = None => some_time();
        /// Instead of limits.backend_idle.
        idle: Option<Duration> = None => some_time();
    }
}

/// Reads what one source says of a backend, which need not be all of it.
pub(super) fn keys(named: &NamedTable, reader: &mut Reader) -> (Keys, TimeoutKeys) {
    if let Err(why) = named.name.parse::<BackendName>() {
        let message = format!("backends.name: {why}; it has only the letters a to z, digits and hyphens");
        reader.errors.push(ConfigError::new(named.place.clone(), message));
    }
    let mut section = Section::new("backends", Some(&named.table), reader);
    let keys = Keys::read(&mut section);
    let inner = section.table("timeouts");
    section.finish();
    (keys, whole("backends.timeouts", inner, reader, TimeoutKeys::read))
}

/// Reads one backend; nothing if it is not whole, which is then reported.
pub(super) fn read(named: &NamedTable, limits: &Limits, reader: &mut Reader) -> Option<Backend> {
    let before = reader.errors.len();
    let (keys, own) = keys(named, reader);
    if reader.errors.len() > before {
        // What is missing may only seem so, because it is misspelled.
        return None;
    }
    let target = match target(&keys) {
        Ok(target) => target,
        Err((key, why)) => {
            let place = key.and_then(|key| named.table.find(&[key])).map_or(&named.place, |node| &node.place);
            let message = format!("backend \"{}\" {why}{}", named.name, kind_elsewhere(named, place));
            reader.errors.push(ConfigError::new(place.clone(), message));
            return None;
        }
    };
    let all = Timeouts::of(limits);
    let timeouts = Timeouts {
        connect: own.connect.unwrap_or(all.connect),
        first_byte: own.first_byte.unwrap_or(all.first_byte),
        idle: own.idle.unwrap_or(all.idle),
    };
    let Keys { key_file, on_this_box, .. } = keys;
    Some(Backend { name: named.name.parse().ok()?, target, key_file, on_this_box, timeouts })
}

/// Where its kind stands, if that is another source than the fault's: a person would look for it in vain.
fn kind_elsewhere(named: &NamedTable, fault: &Place) -> String {
    match (named.table.find(&["kind"]).map(|node| &node.place), fault) {
        (Some(Place::File { name, .. }), Place::File { name: other, .. }) if name == other => String::new(),
        (Some(place), _) if place != fault => format!("; its kind stands at {place}"),
        _ => String::new(),
    }
}

/// Shows one backend, with the times that come from the limits.
pub(super) fn show(backend: &Backend, named: &NamedTable, out: &mut Shown) {
    out.header("[[backends]]");
    out.value("name", &quoted(&named.name), &named.place.to_string());
    let (url, path) = match &backend.target {
        Target::Ollama(url) | Target::OpenAi(url) => (Some(url.clone()), None),
        Target::Gguf(path) => (None, Some(path.clone())),
    };
    let table = Some(&named.table);
    out.setting("kind", &backend.target.kind(), table);
    out.setting("url", &url, table);
    out.setting("path", &path, table);
    out.setting("key_file", &backend.key_file, table);
    out.setting("on_this_box", &backend.on_this_box, table);
    out.header("[backends.timeouts]");
    let Timeouts { connect, first_byte, idle } = backend.timeouts;
    for (key, time) in [("connect", connect), ("first_byte", first_byte), ("idle", idle)] {
        let node = named.table.find(&["timeouts", key]);
        let from = node.map_or_else(|| format!("limits.backend_{key}"), |node| node.place.to_string());
        out.value(key, &time.show().unwrap_or_default(), &from);
    }
}

/// The target, or the key that is wrong (none where one is missing) and why.
fn target(keys: &Keys) -> Result<Target, (Option<&'static str>, &'static str)> {
    const NO_KIND: &str = "has no kind; write kind = \"ollama\", \"openai\" or \"gguf\"";
    const NO_URL: &str = "has no url; write where it listens, for example url = \"http://127.0.0.1:11434\"";
    const NO_PATH: &str = "has no path; write where its file is, for example path = \"/srv/models/a.gguf\"";
    let kind = keys.kind.ok_or((None, NO_KIND))?;
    if kind == Kind::Gguf {
        if keys.url.is_some() {
            return Err((
                Some("url"),
                "is a gguf file, which has no url; take the url away or change the kind",
            ));
        }
        if keys.key_file.is_some() {
            return Err((Some("key_file"), "is a gguf file, which wants no key; take key_file away"));
        }
        return keys.path.clone().map(Target::Gguf).ok_or((None, NO_PATH));
    }
    if keys.path.is_some() {
        return Err((Some("path"), "listens at a url; take the path away or write kind = \"gguf\""));
    }
    let url = keys.url.clone().ok_or((None, NO_URL))?;
    Ok(if kind == Kind::Ollama { Target::Ollama(url) } else { Target::OpenAi(url) })
}
