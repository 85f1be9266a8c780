//! A turn of a conversation that is passed on, as far as media go.
//!
//! Knows which of its members are read here. Refuses to know their forms. Invariant: a member that is read stands once, of whatever case its
//! name is: some readers mind that and some do not.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Medium;
use super::sieve::medium_named;

/// What is looked at of it; null is there as well.
#[derive(Default)]
pub(super) struct Turn<'a> {
    pub(super) role: Option<&'a RawValue>,
    pub(super) name: Option<&'a RawValue>,
    pub(super) content: Option<&'a RawValue>,
    /// Members that are called as media are.
    pub(super) media: Vec<(String, Medium, &'a RawValue)>,
}

/// A key: borrowed where it holds no escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

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
        let mut turn = Turn::default();
        while let Some(Key(name)) = members.next_key()? {
            let known =
                ["role", "name", "content"].into_iter().find(|known| name.eq_ignore_ascii_case(known));
            let slot = match known {
                Some("role") => &mut turn.role,
                Some("name") => &mut turn.name,
                Some(_) => &mut turn.content,
                None => {
                    match medium_named(&name) {
                        Some(medium) => {
                            turn.media.push((name.into_owned(), medium, members.next_value()?));
                        }
                        None => drop(members.next_value::<IgnoredAny>()?),
                    }
                    continue;
                }
            };
            if slot.is_some() {
                return Err(A::Error::duplicate_field(known.unwrap_or_default()));
            }
            *slot = Some(members.next_value()?);
        }
        Ok(turn)
    }
}
