//! The list of models, `GET /api/tags`.
//!
//! Knows its fields. Refuses to know how models are named elsewhere. Invariant: a model that runs on another
//! machine is marked, so that it can be left out.

use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::dialect::json::{self, Object};
use crate::error::BackendFault;
use crate::routing::{Capability, Model, is_name};

#[cfg(test)]
mod tests;

/// One model of an Ollama.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// `name:tag`.
    pub name: String,
    /// When it was last changed, in Unix seconds; 0 where that cannot be read.
    pub modified_at: u64,
    /// Its size on disk in bytes; 0 where unknown.
    pub size: u64,
    /// SHA-256 of its manifest, in hexadecimal; may be empty.
    pub digest: String,
    /// `completion`, `tools`, `thinking`, `embedding` and so on.
    pub capabilities: Vec<String>,
    /// Tokens of context that it was made for, where that is said.
    pub context_length: Option<u64>,
    /// The model runs on someone else's machine: prompts would leave this one.
    pub remote: bool,
}

impl Tag {
    /// As the list of all backends' models has it, with its backend's name.
    #[must_use]
    pub fn model(self, backend: &str) -> Model {
        Model {
            capabilities: Capability::of_words(self.capabilities.iter().map(String::as_str)),
            context_length: self.context_length,
            id: self.name,
            created: self.modified_at,
            owned_by: backend.to_owned(),
            heeds: None,
        }
    }

    /// Whether it can answer in a chat; an Ollama that names no capabilities is older than they are.
    #[must_use]
    pub fn chats(&self) -> bool {
        self.capabilities.is_empty() || self.capabilities.iter().any(|capability| capability == "completion")
    }
}

#[derive(Deserialize)]
struct Listed {
    models: Option<Vec<Value>>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    modified_at: Option<String>,
    size: Option<u64>,
    digest: Option<String>,
    capabilities: Option<Vec<String>>,
    details: Option<Value>,
    remote_host: Option<String>,
    remote_model: Option<String>,
}

/// Reads the list. An entry that is not a model's, or has no name that a request could use, is passed over.
///
/// # Errors
/// [`BackendFault::Garbage`] where it is not one.
pub fn parse_tags(body: &[u8]) -> Result<Vec<Tag>, BackendFault> {
    let listed: Listed = json::read(body, "list of models").map_err(BackendFault::garbage)?;
    Ok(listed
        .models
        .unwrap_or_default()
        .into_iter()
        .filter_map(|entry| Object::<Entry>::deserialize(entry).ok())
        .map(|Object(entry)| entry)
        .filter(|entry| is_name(&entry.name))
        .map(tag)
        .collect())
}

fn tag(entry: Entry) -> Tag {
    let set = |field: &Option<String>| field.as_ref().is_some_and(|text| !text.is_empty());
    Tag {
        modified_at: entry.modified_at.as_deref().map_or(0, seconds),
        size: entry.size.unwrap_or(0),
        digest: entry.digest.clone().unwrap_or_default(),
        capabilities: entry.capabilities.clone().unwrap_or_default(),
        context_length: entry
            .details
            .and_then(|details| details.get("context_length")?.as_u64())
            .filter(|length| *length > 0),
        remote: set(&entry.remote_host) || set(&entry.remote_model),
        name: entry.name,
    }
}

fn seconds(text: &str) -> u64 {
    OffsetDateTime::parse(text, &Rfc3339).map_or(0, |time| u64::try_from(time.unix_timestamp()).unwrap_or(0))
}
