//! What a function is called with.
//!
//! Knows what is a JSON object and what is none. Refuses to know who has called. Invariant: an object is one, and what is none came as
//! the text that it is.

use super::Json;

/// The arguments of a call: a string that should hold a JSON object. Small models write others, OpenAI hands such a string out as its
/// model has written it, and its clients tell the model what is wrong with it in the next turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arguments {
    /// A JSON object.
    Object(Json),
    /// Any other text, as it came.
    Text(String),
}

impl Arguments {
    /// Those that a string holds. Nothing stands for an object without members, as clients send it of a function without parameters.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let trimmed = if text.trim().is_empty() { "{}" } else { text.trim() };
        Json::object(trimmed).map_or_else(|| Self::Text(text.to_owned()), Self::Object)
    }

    /// The string.
    #[must_use]
    pub fn get(&self) -> &str {
        match self {
            Self::Object(object) => object.get(),
            Self::Text(text) => text,
        }
    }
}

impl From<Json> for Arguments {
    fn from(object: Json) -> Self {
        Self::Object(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_object_stays_as_it_was_written() {
        for (text, kept) in [(" {\"a\": 1}\n", "{\"a\": 1}"), ("", "{}"), (" \n", "{}")] {
            assert!(
                matches!(Arguments::of(text), Arguments::Object(object) if object.get() == kept),
                "{text}"
            );
        }
        for text in [" {\"a\": ", "[1]", "5", "{} {}", "{'a': 1}", "Paris"] {
            assert_eq!(Arguments::of(text), Arguments::Text(text.to_owned()));
            assert_eq!(Arguments::of(text).get(), text);
        }
    }
}
