//! What stands inside of a chat's fields and comes to nothing, although the fields themselves work.
//!
//! Knows the members that are heeded. Refuses to judge the others, which whoever reads the field does. Invariant: what is not passed on to
//! an engine, or not heeded by it, is named as its field's name, a dot and its own.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Wanted;
use crate::chat::Heeds;
use crate::dialect::json::Object;
use crate::dialect::openai::fields::{Fields, MEMBERS};
use crate::dialect::openai::media;
use crate::dialect::openai::thinking::Thinking;
use crate::dialect::openai::turns::{Looked, Unheard};
use crate::dialect::unread::{self, Unread};

const NAME: &str = "messages.name";
const THINKING: &str = "messages.thinking";
const OUTDONE: &str = "messages.reasoning";

impl Wanted {
    /// The same, and what stands inside of a chat's fields.
    pub(in crate::dialect::openai) fn with_insides(
        mut self,
        fields: &Fields<'_>,
        turns: Looked,
        thinking: &Thinking<'_>,
    ) -> Self {
        let Looked { unheard: Unheard { name, audio, detail }, thought, outdone, unread, beside, .. } = turns;
        self = self.with_media(beside);
        for (_, name) in
            [(name, NAME), (detail, "messages.image_url.detail")].into_iter().filter(|(there, _)| *there)
        {
            self.unheard.add(name);
        }
        for (_, name) in
            [(audio, "messages.audio"), (outdone, OUTDONE)].into_iter().filter(|(there, _)| *there)
        {
            self.unknown.add(name);
        }
        self.of_turns.extend(name.then_some(NAME));
        // What another one outdoes is named in any case.
        self.of_turns.extend(thought.into_iter().filter(|member| !(outdone && *member == OUTDONE)));
        for member in thinking.unheeded() {
            self.unknown.add(&format!("reasoning.{member}"));
        }
        self.outdone(fields, thinking);
        for (member, _) in fields.members("stream_options", MEMBERS) {
            // The second has a row.
            if !matches!(&*member, "include_usage" | "include_obfuscation") {
                self.unknown.add(&format!("stream_options.{member}"));
            }
        }
        if is_described(fields) {
            self.unknown.add("response_format.json_schema.description");
        }
        for (path, name) in unread_beside(fields, unread).found() {
            // Seen by its engine, or refused.
            let is_medium = path == "messages" && media::is_named_so(name);
            if is_medium || ((path, name) == ("response_format", "schema") && is_an_object(fields)) {
                continue;
            }
            let named = format!("{path}.{name}");
            if named == THINKING {
                self.of_turns.push(THINKING);
            }
            if is_ours(path, name) { self.unheard.add(&named) } else { self.unknown.add(&named) }
        }
        self
    }
}

impl Wanted {
    /// What its turns have that our own engine gives to a model's template, and of which this one shows nothing.
    pub(in crate::dialect::openai) fn unshown(&self, heeds: Heeds) -> Vec<&'static str> {
        let is_shown = |name: &str| if name == NAME { heeds.shows.names } else { heeds.shows.thoughts };
        self.of_turns.iter().copied().filter(|name| !is_shown(name)).collect()
    }

    /// What says otherwise than a field that wins over it.
    fn outdone(&mut self, fields: &Fields<'_>, thinking: &Thinking<'_>) {
        let value = |name: &str| fields.get(name).map(RawValue::get);
        let differs = |winner: Option<&str>, loser: &str| {
            winner.zip(value(loser)).is_some_and(|(winner, loser)| winner != loser)
        };
        if differs(value("max_completion_tokens"), "max_tokens") {
            self.unknown.add("max_tokens");
        }
        if differs(value("repeat_penalty"), "repetition_penalty") {
            self.unknown.add("repetition_penalty");
        }
        if thinking.outdoes_think() {
            self.unknown.add("think");
        }
    }
}

/// What a chat's tools and choices have beside what is read of them, and what its turns have.
fn unread_beside(fields: &Fields<'_>, mut unread: Unread) -> Unread {
    let others =
        [("tools", &unread::TOOL), ("tool_choice", &unread::CHOICE), ("response_format", &unread::FORMAT)];
    for (name, form) in others {
        if let Some(value) = fields.get(name) {
            unread.look(value.get(), form);
        }
    }
    unread
}

/// Whether the answer's form is some object, beside whose type a schema is read, as llama.cpp's server does.
fn is_an_object(fields: &Fields<'_>) -> bool {
    let mut members = fields.members("response_format", MEMBERS);
    members.any(|(name, value)| name == "type" && value.get() == "\"json_object\"")
}

/// Whether our own engine makes something of it: it has its template show tools and calls as they came, which also may have a turn's
/// `thinking`.
fn is_ours(path: &str, name: &str) -> bool {
    path.starts_with("tools")
        || path.starts_with("messages.tool_calls")
        || (path, name) == ("messages", "thinking")
}

/// Whether words stand beside the schema of an answer.
fn is_described(fields: &Fields<'_>) -> bool {
    #[derive(Deserialize)]
    struct Format<'a> {
        #[serde(borrow)]
        json_schema: Option<Object<Described<'a>>>,
    }
    #[derive(Deserialize)]
    struct Described<'a> {
        #[serde(borrow)]
        description: Option<&'a RawValue>,
    }
    let Some(format) = fields.get("response_format") else { return false };
    let format = serde_json::from_str::<Object<Format<'_>>>(format.get()).ok();
    let described = format.and_then(|Object(format)| format.json_schema?.0.description);
    described.is_some_and(|words| words.get() != "\"\"")
}
