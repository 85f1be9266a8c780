//! A turn of a conversation that is passed on.
//!
//! Knows which of its members are read here. Refuses to know their forms. Invariant: a member that is read stands once, of whatever case its
//! name is: some readers mind that and some do not.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::dialect::openai::fields::is_look_alike;
use crate::dialect::openai::media::is_named_so;

/// What is looked at of one that is more than texts; what is null is not there.
#[derive(Default)]
pub(super) struct Turn<'a> {
    pub(super) role: Option<&'a RawValue>,
    pub(super) name: Option<&'a RawValue>,
    pub(super) content: Option<&'a RawValue>,
    pub(super) refusal: Option<&'a RawValue>,
    pub(super) reasoning: Option<&'a RawValue>,
    pub(super) reasoning_content: Option<&'a RawValue>,
    pub(super) tool_calls: Option<&'a RawValue>,
    /// Whether something was said aloud.
    pub(super) audio: bool,
    /// A member whose name some readers take for another one.
    pub(super) odd: Option<String>,
    /// Members that are called as media are.
    pub(super) media: Vec<(String, &'a RawValue)>,
}

/// A key: borrowed where it holds no escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

const READ: [&str; 7] =
    ["role", "name", "content", "refusal", "reasoning", "reasoning_content", "tool_calls"];

impl<'de> Deserialize<'de> for Turn<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Turn<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a message object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Turn<'de>, A::Error> {
        let (mut turn, mut read) = (Turn::default(), [None; READ.len()]);
        while let Some(Key(name)) = members.next_key()? {
            let known = READ.iter().zip(&mut read).find(|(known, _)| name.eq_ignore_ascii_case(known));
            match known {
                Some((_, slot)) if slot.is_none() => *slot = Some(members.next_value()?),
                Some((known, _)) => return Err(A::Error::duplicate_field(known)),
                None if is_named_so(&name) => turn.media.push((name.into_owned(), members.next_value()?)),
                None => {
                    members.next_value::<IgnoredAny>()?;
                    if is_look_alike(&name) {
                        turn.odd = Some(name.into_owned());
                    }
                }
            }
        }
        let is_there = |raw: &&RawValue| raw.get() != "null";
        [
            turn.role,
            turn.name,
            turn.content,
            turn.refusal,
            turn.reasoning,
            turn.reasoning_content,
            turn.tool_calls,
        ] = read.map(|raw: Option<&RawValue>| raw.filter(is_there));
        turn.audio = turn.media.iter().any(|(name, raw)| name == "audio" && is_there(raw));
        Ok(turn)
    }
}
