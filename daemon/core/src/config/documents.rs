//! The documents that are made of the definitions: the commented example, the reference page, the JSON Schema.
//!
//! Knows their common words. Refuses to know the settings. Invariant: no document says of a setting what its definition
//! does not say, so that none of them can drift.

pub(super) mod example;
pub(super) mod page;
pub(super) mod schema;

use super::{Alerts, Engine, Gpu, Limits, Listen, Log, Usage, backends, describe::Described, health, models};

/// Every section, in the order of the documents.
pub(super) fn sections() -> [Described; 11] {
    [
        Listen::describe(),
        Engine::describe(),
        Gpu::describe(),
        Limits::describe(),
        Log::describe(),
        Usage::describe(),
        Alerts::describe(),
        backends::Keys::describe(),
        backends::TimeoutKeys::describe(),
        health::Keys::describe(),
        models::Keys::describe(),
    ]
}

/// Some limits, for the documents of another room: each with its default, as it is written in TOML, and its words.
pub(crate) fn limits(names: &[&'static str]) -> Vec<(&'static str, String, String)> {
    let described = Limits::describe();
    let shown = |setting: &super::describe::DescribedSetting| {
        (setting.key, setting.default.clone().unwrap_or_default(), setting.line())
    };
    described.settings.iter().filter(|setting| names.contains(&setting.key)).map(shown).collect()
}
