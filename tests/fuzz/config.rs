//! The configuration: no text makes it panic, every fault has a place that is there, what is taken can be shown and read
//! back, and YAML says what TOML says.
//!
//! An input is five texts between lines of `====`: a TOML file, a YAML file, environment variables, `--set` arguments, and what
//! `ghostctl config set` has kept, of these three each a line.

use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};

use ghostllm_core::config::{Config, ConfigError, Loaded, Place, Source};

const BREAK: &[u8] = b"====\n";

/// Holds the reading of these sources against itself and against a second one.
pub fn check(bytes: &[u8]) {
    let mut parts = split(bytes).into_iter();
    let [toml, yaml, variables, arguments, kept] = [(); 5].map(|()| parts.next().unwrap_or_default());
    let file = |name: &str, bytes: &[u8]| Source::File { name: name.to_owned(), bytes: bytes.to_vec() };
    let variables = variables.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(variable);
    let arguments = String::from_utf8_lossy(arguments).lines().map(str::to_owned).collect();
    let kept = String::from_utf8_lossy(kept);
    let kept = kept.lines().filter_map(|line| line.split_once('='));
    let sources = [
        file("a.toml", toml),
        file("b.yaml", yaml),
        Source::Kept(kept.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()),
        Source::Environment(variables.collect()),
        Source::Set(arguments),
    ];
    let loaded = Loaded::read(&sources);
    let again = Loaded::read(&sources);
    match (&loaded, &again) {
        (Ok(loaded), Ok(again)) => {
            assert_eq!(loaded.config, again.config);
            check_shown(loaded);
        }
        (Err(errors), Err(again)) => {
            assert_eq!(errors, again);
            check_faults(errors, toml, yaml);
        }
        _ => panic!("two verdicts on the same sources"),
    }
    // Nothing that lies over a file mends it.
    for alone in &sources[..2] {
        if let (Err(errors), Ok(_)) = (Config::load(std::slice::from_ref(alone)), &loaded) {
            let lacks = |error: &ConfigError| {
                ["has no ", "no file has a table"].iter().any(|part| error.message().contains(part))
            };
            let together = |error: &ConfigError| {
                lacks(error) || COMBINED.iter().any(|part| error.message().contains(part))
            };
            assert!(errors.iter().all(together), "{errors:?}");
        }
    }
    check_yaml(toml);
}

/// What is said of several settings together, which another source may change.
const COMBINED: [&str; 9] = [
    "can be reached from other machines",
    "stands here twice",
    "would share one port",
    "is reserved",
    "there is no listen.",
    "take one of the two away",
    "comes before memory_shed",
    "is a gguf file",
    "listens at a url",
];

fn split(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    while let Some(at) = bytes.windows(BREAK.len()).position(|window| window == BREAK) {
        parts.push(&bytes[..at]);
        bytes = &bytes[at + BREAK.len()..];
    }
    parts.push(bytes);
    parts
}

fn variable(line: &[u8]) -> (OsString, OsString) {
    let at = line.iter().position(|byte| *byte == b'=').unwrap_or(line.len());
    let value = line.get(at + 1..).unwrap_or_default();
    (OsString::from_vec(line[..at].to_vec()), OsString::from_vec(value.to_vec()))
}

/// What is shown is a file that says the same, and shows the same values.
fn check_shown(loaded: &Loaded) {
    let shown = loaded.show();
    let source = Source::File { name: "shown.toml".to_owned(), bytes: shown.clone().into_bytes() };
    let again = Loaded::read(&[source]).unwrap_or_else(|errors| panic!("{errors:?}\n{shown}"));
    let mut config = again.config.clone();
    // That comes from another program's variable, and is no setting.
    config.default_ollama = loaded.config.default_ollama.clone();
    assert_eq!(config, loaded.config);
}

/// Every fault says something, once, of a place that is there.
fn check_faults(errors: &[ConfigError], toml: &[u8], yaml: &[u8]) {
    assert!(!errors.is_empty());
    for (at, error) in errors.iter().enumerate() {
        assert!(!error.message().is_empty());
        assert!(!errors[..at].contains(error), "twice: {error}");
        let Place::File { name, line, column } = error.place() else { continue };
        let text = String::from_utf8_lossy(if **name == *"a.toml" { toml } else { yaml });
        let lines: Vec<&str> = text.split(['\n', '\r']).collect();
        assert!((1..=lines.len() + 1).contains(line), "{error}");
        let longest = text.chars().count() + 1;
        assert!((1..=longest).contains(column), "{error}");
    }
    assert!(errors.windows(2).all(|pair| pair[0].place() <= pair[1].place()), "{errors:?}");
}

/// JSON is YAML: a TOML file that is written as JSON is the same configuration.
fn check_yaml(bytes: &[u8]) {
    let Some(table) = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<toml::Table>().ok())
    else {
        return;
    };
    // Dates and infinite numbers have no JSON; no setting takes them.
    if table.values().any(has_no_json) {
        return;
    }
    let json = serde_json::to_string(&table).unwrap();
    // Some characters stand in YAML only escaped, which JSON does not ask for.
    let plain =
        |c: char| matches!(c, ' '..='~' | '\u{a1}'..='\u{d7ff}') && !matches!(c, '\u{2028}' | '\u{2029}');
    if !json.chars().all(plain) {
        return;
    }
    let load = |name: &str, bytes: &[u8]| {
        Config::load(&[Source::File { name: name.to_owned(), bytes: bytes.to_vec() }]).ok()
    };
    assert_eq!(load("a.yaml", json.as_bytes()), load("a.toml", bytes), "{json}");
}

fn has_no_json(value: &toml::Value) -> bool {
    match value {
        toml::Value::Datetime(_) => true,
        toml::Value::Float(number) => !number.is_finite(),
        toml::Value::Array(items) => items.iter().any(has_no_json),
        toml::Value::Table(table) => table.values().any(has_no_json),
        _ => false,
    }
}
