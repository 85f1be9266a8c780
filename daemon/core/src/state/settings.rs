//! The file of what `ghostctl config set` has kept.
//!
//! Knows its form. Refuses to know which settings exist: the configuration reads them, and says what is wrong. Invariant: no
//! setting is in it twice.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Damage, Kind, Step};
use crate::{admin::ConfigChange, dialect::json::Object};

/// The most settings that are kept; there are not half as many without backends.
pub const MOST: usize = 1000;
/// The longest name or value, in bytes.
pub const LONGEST: usize = 16 * 1024;

/// Each setting's whole name, and its value as in an argument of `--set`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingsFile {
    /// By name.
    pub settings: BTreeMap<String, String>,
}

/// Why a change cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unchangeable {
    /// It says nothing.
    #[error("The change names no setting.")]
    Empty,
    /// It sets and unsets the same setting.
    #[error("The setting {0} is both set and unset; once is enough.")]
    Twice(String),
    /// It unsets what is not kept.
    #[error("The setting {name} was not set by `ghostctl config set`; {there}.", there = those(.kept))]
    NotKept {
        /// The setting.
        name: String,
        /// Those that were.
        kept: Vec<String>,
    },
    /// A name or a value is longer than [`LONGEST`].
    #[error("A name or a value has more than {LONGEST} bytes; write it into a configuration file.")]
    TooLong,
    /// There would be more than [`MOST`].
    #[error("More than {MOST} settings would be kept; write them into a configuration file.")]
    TooMany,
}

fn those(kept: &[String]) -> String {
    if kept.is_empty() { "none is".to_owned() } else { format!("those that are: {}", kept.join(", ")) }
}

impl SettingsFile {
    /// This, with a change made.
    ///
    /// # Errors
    /// [`Unchangeable`].
    pub fn changed(&self, change: &ConfigChange) -> Result<Self, Unchangeable> {
        if change.set.is_empty() && change.unset.is_empty() {
            return Err(Unchangeable::Empty);
        }
        let mut settings = self.settings.clone();
        for name in &change.unset {
            if change.set.contains_key(name) {
                return Err(Unchangeable::Twice(name.clone()));
            }
            if settings.remove(name).is_none() {
                let kept = self.settings.keys().cloned().collect();
                return Err(Unchangeable::NotKept { name: name.clone(), kept });
            }
        }
        for (name, value) in &change.set {
            if name.len().max(value.len()) > LONGEST {
                return Err(Unchangeable::TooLong);
            }
            settings.insert(name.clone(), value.clone());
        }
        if settings.len() > MOST { Err(Unchangeable::TooMany) } else { Ok(Self { settings }) }
    }
}

/// The content. Unknown fields are refused: one of them might be a setting that closes something.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    settings: BTreeMap<String, String>,
}

impl Kind for SettingsFile {
    const NAME: &'static str = "settings";
    const STEPS: &'static [Step] = &[];

    fn read(content: &str) -> Result<Self, Damage> {
        let Object(Written { settings }) = serde_json::from_str(content)?;
        Ok(Self { settings })
    }

    fn write(&self) -> Result<Box<RawValue>, serde_json::Error> {
        // For a person who looks into the file.
        let written = Written { settings: self.settings.clone() };
        RawValue::from_string(serde_json::to_string_pretty(&written)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: &[u8] = include_bytes!("../../tests-data/state/settings-1.json");

    fn file(settings: &[(&str, &str)]) -> SettingsFile {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        SettingsFile { settings: settings.collect() }
    }

    fn change(set: &[(&str, &str)], unset: &[&str]) -> ConfigChange {
        ConfigChange { set: file(set).settings, unset: unset.iter().map(|name| (*name).to_owned()).collect() }
    }

    #[test]
    fn a_file_of_every_version_is_read() {
        let value = file(&[("backends.my-box.url", "http://127.0.0.1:1"), ("log.level", "debug")]);
        assert_eq!(SettingsFile::VERSION, 1, "a new version brings a file of the one before");
        assert_eq!(super::super::encode(&value).unwrap(), RECORDED);
        let decoded = super::super::decode::<SettingsFile>(RECORDED).unwrap();
        assert_eq!((decoded.value, decoded.version), (value, 1));
    }

    #[test]
    fn what_is_not_its_form_is_no_settings_file() {
        for text in [
            "{}",
            "[]",
            r#"{"settings":{},"more":1}"#,
            r#"{"settings":{"log.level":1}}"#,
            r#"{"settings":[["a","b"]]}"#,
        ] {
            assert!(SettingsFile::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_change_is_made_whole_or_not_at_all() {
        let kept = file(&[("a.b", "1"), ("c.d", "2")]);
        assert_eq!(kept.changed(&change(&[("a.b", "3")], &["c.d"])), Ok(file(&[("a.b", "3")])));
        assert_eq!(kept.changed(&change(&[], &[])), Err(Unchangeable::Empty));
        assert_eq!(
            kept.changed(&change(&[("a.b", "3")], &["a.b"])),
            Err(Unchangeable::Twice("a.b".to_owned()))
        );
        let error = kept.changed(&change(&[], &["x.y"])).unwrap_err();
        assert_eq!(
            error.to_string(),
            "The setting x.y was not set by `ghostctl config set`; those that are: a.b, c.d."
        );
        let long = "x".repeat(LONGEST + 1);
        assert_eq!(kept.changed(&change(&[("a.b", &long)], &[])), Err(Unchangeable::TooLong));
        let names: Vec<String> = (0..MOST).map(|at| format!("n.{at}")).collect();
        let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
        assert_eq!(kept.changed(&change(&many, &[])), Err(Unchangeable::TooMany));
        assert!(SettingsFile::default().changed(&change(&many, &[])).is_ok());
    }
}
