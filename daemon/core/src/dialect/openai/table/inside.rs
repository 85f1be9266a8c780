//! What stands inside of a chat's fields and comes to nothing, although the fields themselves work.
//!
//! Knows the members that are heeded. Refuses to judge the others, which whoever reads the field does. Invariant: what is not passed on to
//! an engine, or not heeded by it, is named as its field's name, a dot and its own.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Wanted;
use crate::dialect::json::Object;
use crate::dialect::openai::fields::Fields;
use crate::dialect::openai::media::Unheard;

/// So many members of a field are looked at; more than any has that is not made to be many.
const MEMBERS: usize = 64;

impl Wanted {
    /// The same, and what stands inside of a chat's fields.
    pub(in crate::dialect::openai) fn with_insides(mut self, fields: &Fields<'_>, messages: Unheard) -> Self {
        let Unheard { name, audio, detail } = messages;
        let in_messages =
            [(name, "messages.name"), (audio, "messages.audio"), (detail, "messages.image_url.detail")];
        for (_, name) in in_messages.into_iter().filter(|(there, _)| *there) {
            self.unheard.add(name);
        }
        for (member, value) in fields.members("reasoning", MEMBERS) {
            // What a model thinks is not held back unless somebody says so.
            let heeded = member == "effort" || member == "exclude" && value.get() == "false";
            if !heeded {
                self.unknown.add(&format!("reasoning.{member}"));
            }
        }
        for (member, _) in fields.members("stream_options", MEMBERS) {
            // The second has a row.
            if !matches!(&*member, "include_usage" | "include_obfuscation") {
                self.unknown.add(&format!("stream_options.{member}"));
            }
        }
        if is_described(fields) {
            self.unknown.add("response_format.json_schema.description");
        }
        self
    }
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
