//! The `reasoning` of a Responses request.
//!
//! Knows what of it is heeded, and what would have been for OpenAI's own models. Refuses to know who thinks. Invariant: it is read once,
//! for whoever thinks, for what is named as of no effect, and for what the response repeats.

use std::borrow::Cow;

use crate::chat::Think;
use crate::dialect::json::Entries;
use crate::dialect::openai::fields::{Fields, MEMBERS};
use crate::dialect::openai::request::effort_of;
use crate::error::ApiError;

/// What it says, each as it came, and not at all where it is null.
#[derive(Debug, Default)]
pub(super) struct Reasoning<'a> {
    pub(super) effort: Option<&'a str>,
    pub(super) summary: Option<&'a str>,
    generate_summary: Option<&'a str>,
    context: Option<&'a str>,
    mode: Option<&'a str>,
    others: Vec<Cow<'a, str>>,
}

impl<'a> Reasoning<'a> {
    /// # Errors
    /// 400 where it is no object, or has one of its own members twice.
    pub(super) fn read(fields: &Fields<'a>) -> Result<Self, ApiError> {
        let mut read = Self::default();
        let Some(raw) = fields.get("reasoning") else { return Ok(read) };
        if !raw.get().starts_with('{') {
            return Err(ApiError::invalid_type("reasoning", "an object such as {\"effort\": \"low\"}"));
        }
        for (name, value) in Entries::of(raw.get()).filter(|(_, value)| *value != "null") {
            let name = name.text();
            let member = match name.as_ref() {
                "effort" => &mut read.effort,
                "summary" => &mut read.summary,
                "generate_summary" => &mut read.generate_summary,
                "context" => &mut read.context,
                "mode" => &mut read.mode,
                _ if read.others.len() < MEMBERS => {
                    read.others.push(name);
                    continue;
                }
                _ => continue,
            };
            if member.replace(value).is_some() {
                return Err(ApiError::doubled(format!("reasoning.{name}")));
            }
        }
        Ok(read)
    }

    /// How hard to think. A model that thinks is heard thinking whatever summary is wanted; the rest is for OpenAI's own models.
    pub(super) fn think(&self, ignored: &mut Vec<String>) -> Result<Option<Think>, ApiError> {
        for (param, summary) in
            [("reasoning.summary", self.summary), ("reasoning.generate_summary", self.generate_summary)]
        {
            if summary.is_some_and(|summary| {
                !matches!(summary, "\"auto\"" | "\"concise\"" | "\"detailed\"" | "\"none\"")
            }) {
                return Err(ApiError::invalid_value(param, "auto, concise or detailed"));
            }
        }
        for (name, value) in [("reasoning.context", self.context), ("reasoning.mode", self.mode)] {
            if value.is_some_and(|value| !matches!(value, "\"auto\"" | "\"standard\"")) {
                ignored.push(name.to_owned());
            }
        }
        self.effort.map(|effort| effort_of("reasoning.effort", effort, "a string")).transpose()
    }

    /// The names of what nobody reads.
    pub(super) fn unread(&self) -> impl Iterator<Item = String> {
        self.others.iter().map(|name| format!("reasoning.{name}"))
    }
}
