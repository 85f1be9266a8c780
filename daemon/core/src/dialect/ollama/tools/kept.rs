//! Whether a tool goes out as it came, found out without keeping anything of it: most tools do, and a tree costs more than all else
//! that is done about one.
//!
//! Knows where schemas stand in a tool, and which words of them Ollama keeps. Refuses to know what becomes of the others. Invariant:
//! what is kept here is what the writer would leave as it is; of what is not, the writer decides.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::words;

/// Whether nothing of this tool, a JSON object, is to be written otherwise.
pub(super) fn kept(tool: &str) -> bool {
    Kept::Tool.deserialize(&mut serde_json::Deserializer::from_str(tool)).is_ok()
}

/// What is read; its reading fails where the writer must look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    Tool,
    Function,
    /// The outermost schema, of which fewer words are kept.
    Parameters,
    Schema,
    /// An object of schemas.
    Properties,
    /// A list of schemas.
    Alternatives,
}

impl Kept {
    /// What is looked at inside of it.
    fn inside(self, name: &str) -> Option<Self> {
        match (self, name) {
            (Self::Tool, "function") => Some(Self::Function),
            (Self::Function, "parameters") => Some(Self::Parameters),
            (Self::Parameters | Self::Schema, "properties") => Some(Self::Properties),
            (Self::Parameters | Self::Schema, "items") | (Self::Properties, _) => Some(Self::Schema),
            (Self::Schema, "anyOf") => Some(Self::Alternatives),
            (_, _) => None,
        }
    }

    /// Whether all else of this name stays, whatever its value is.
    fn keeps(self, name: &str) -> bool {
        match self {
            Self::Tool | Self::Function => true,
            // The function's description tells what these say.
            Self::Parameters => words::kept(name) && !matches!(name, "description" | "anyOf"),
            Self::Schema => words::kept(name),
            Self::Properties | Self::Alternatives => false,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Kept {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self {
            Self::Alternatives => deserializer.deserialize_seq(self),
            Self::Tool | Self::Function | Self::Parameters | Self::Schema | Self::Properties => {
                deserializer.deserialize_map(self)
            }
        }
    }
}

impl<'de> Visitor<'de> for Kept {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("what is kept")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = fields.next_key()? {
            if let Some(inner) = self.inside(&name) {
                fields.next_value_seed(inner)?;
            } else if self.keeps(&name) {
                fields.next_value::<IgnoredAny>()?;
            } else if !words::says_nothing(&name, fields.next_value()?) {
                return Err(A::Error::custom("a word that is dropped"));
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut schemas: A) -> Result<(), A::Error> {
        while schemas.next_element_seed(Self::Schema)?.is_some() {}
        Ok(())
    }
}

/// A key: borrowed where it holds no escapes.
#[derive(Deserialize)]
pub(super) struct Name<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);
