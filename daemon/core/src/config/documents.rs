//! The documents that are made of the definitions: the commented example, the reference page, the JSON Schema.
//!
//! Knows their common words. Refuses to know the settings. Invariant: no document says of a setting what its definition
//! does not say, so that none of them can drift.

pub(super) mod example;
pub(super) mod page;
pub(super) mod schema;

use super::{Engine, Limits, Listen, Log, Usage, backends, describe::Described, health, models};

/// Every section, in the order of the documents.
pub(super) fn sections() -> [Described; 9] {
    [
        Listen::describe(),
        Engine::describe(),
        Limits::describe(),
        Log::describe(),
        Usage::describe(),
        backends::Keys::describe(),
        backends::TimeoutKeys::describe(),
        health::Keys::describe(),
        models::Keys::describe(),
    ]
}
