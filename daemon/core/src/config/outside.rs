//! What is said from outside the files: environment variables and `--set` arguments.
//!
//! Knows how a variable's or an argument's name becomes a key. Refuses to know which settings exist. Invariant: a
//! variable that begins as ours do is read, refused, or known to be another program's.

use std::ffi::{OsStr, OsString};

use super::{
    LISTS,
    fault::{ConfigError, Place},
    file::loose,
    tree::{Layer, List, Node},
};

/// What environment variables of this program begin with.
const PREFIX: &str = "GHOSTLLM_";
/// No setting has more parts than `backends.NAME.timeouts.KEY`. What has thousands would only be nested as deep.
const MOST_PARTS: usize = 4;
/// Where Ollama's own programs look for their server.
pub(super) const OLLAMA_HOST: &str = "OLLAMA_HOST";
/// What Kubernetes and Docker set by themselves beside a service named "ghostllm" (Kubernetes, "Service
/// environment variables"): never settings, and no reason to refuse the start.
const NOT_OURS: [&str; 3] = ["SERVICE_HOST", "SERVICE_PORT", "PORT"];
/// Where the page and the README have people keep their API key: it is for their clients, and a daemon that is started from
/// the same shell has nothing to do with it.
/// So with the admin's socket, which `just run` has them put there for `ghostctl`.
const CLIENTS: [&str; 2] = ["GHOSTLLM_KEY", "GHOSTLLM_SOCKET"];

/// The settings among the variables, and the value of `OLLAMA_HOST`.
pub(super) fn environment(
    pairs: &[(OsString, OsString)],
    errors: &mut Vec<ConfigError>,
) -> (Layer, Option<String>) {
    let (mut layer, mut ollama_host) = (Layer::default(), None);
    // The environment has no order of its own; sorted, the same variables always give the same tree.
    let mut pairs: Vec<_> = pairs.iter().collect();
    pairs.sort();
    for (name, value) in pairs {
        if !is_ours(name) {
            continue;
        }
        let shown = name.to_string_lossy().into_owned();
        let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else {
            let message = "its name or its value is no UTF-8; write it as UTF-8";
            errors.push(ConfigError::new(Place::Variable(shown), message));
            continue;
        };
        match name.strip_prefix(PREFIX) {
            None => ollama_host = Some(value.to_owned()),
            Some(rest) => put(&mut layer, &path(rest), Place::Variable(shown), value, errors),
        }
    }
    (layer, ollama_host)
}

fn is_ours(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    if bytes == OLLAMA_HOST.as_bytes() {
        return true;
    }
    let Some(rest) = bytes.strip_prefix(PREFIX.as_bytes()) else { return false };
    let rest = String::from_utf8_lossy(rest);
    let others =
        |name: &str| rest == name || rest.strip_prefix(name).is_some_and(|rest| rest.starts_with('_'));
    !CLIENTS.iter().any(|name| bytes == name.as_bytes())
        && (rest.contains("__") || !NOT_OURS.into_iter().any(others))
}

fn path(name: &str) -> Vec<String> {
    let mut path: Vec<String> = name.split("__").map(str::to_lowercase).collect();
    if let [section, name, ..] = path.as_mut_slice()
        && LISTS.iter().any(|list| list.key == section)
    {
        // A variable's name cannot hold a hyphen in most shells, and none of these names holds an underscore.
        *name = name.replace('_', "-");
    }
    path
}

/// The setting in an argument of `--set`.
pub(super) fn argument(argument: &str, errors: &mut Vec<ConfigError>) -> Layer {
    let mut layer = Layer::default();
    let (key, value) = argument.split_once('=').unwrap_or((argument, ""));
    let place = Place::Argument(key.trim().to_owned());
    if key.len() == argument.len() {
        errors.push(ConfigError::new(place, "expected key=value, for example --set log.level=debug"));
        return layer;
    }
    put(&mut layer, &parts(key.trim()), place, value, errors);
    layer
}

/// A setting that `ghostctl config set` has kept.
pub(super) fn kept(key: &str, value: &str, errors: &mut Vec<ConfigError>) -> Layer {
    let mut layer = Layer::default();
    put(&mut layer, &parts(key), Place::Kept(key.to_owned()), value, errors);
    layer
}

/// The parts of a setting's whole name. A name of its own that has dots stands in quotes, as in TOML: `models."gpt-4.1".target`.
pub(super) fn parts(key: &str) -> Vec<String> {
    let quoted = key.split_once(".\"").and_then(|(section, rest)| {
        let (name, rest) = rest.split_once('"')?;
        let rest = rest.strip_prefix('.')?;
        let rest = rest.split('.');
        Some(section.split('.').chain([name]).chain(rest).map(str::to_owned).collect())
    });
    quoted.unwrap_or_else(|| key.split('.').map(str::to_owned).collect())
}

/// Lays one variable or argument over the others.
fn put(layer: &mut Layer, path: &[String], place: Place, text: &str, errors: &mut Vec<ConfigError>) {
    let node = Node { place: place.clone(), value: loose(text, &place) };
    let list = path.first().and_then(|first| LISTS.iter().find(|list| list.key == first));
    let outcome = match (list, path) {
        _ if path.len() > MOST_PARTS => {
            Err("no setting has so many parts; the longest are such as backends.ollama.timeouts.idle"
                .to_owned())
        }
        (Some(list), [_, _, key]) if key == "name" => {
            Err(format!("a {}'s name is part of the key; it cannot be changed", list.one))
        }
        (Some(list), [_, name, keys @ ..]) if !keys.is_empty() => {
            layer.table(list.key, name, &place).put(keys, node)
        }
        (Some(List { key, one, name, setting, .. }), _) => {
            Err(format!("name a {one} and one of its settings, for example {key}.{name}.{setting}"))
        }
        (None, [first, ..]) if first == "profiles" => {
            Err("a profile is written in a file; here, write the setting itself".to_owned())
        }
        (None, _) => layer.root.put(path, node),
    };
    if let Err(message) = outcome {
        errors.push(ConfigError::new(place, message));
    }
}
