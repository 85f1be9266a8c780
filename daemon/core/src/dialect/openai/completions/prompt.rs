//! The prompts of a completion.
//!
//! Knows the four forms: a text, a list of texts, token ids, a list of lists of them. Refuses to know what becomes of them. Invariant:
//! there is at least one, and all are of one kind.

use serde_json::value::RawValue;

use super::super::{
    embeddings::{check_tokens, token_count},
    fields::Fields,
    request::CHOICES_LIMIT,
};
use crate::chat::BYTES_A_TOKEN;
use crate::dialect::json;
use crate::error::ApiError;

const PROMPT: &str = "a text, a list of texts, a list of token ids, or a list of such lists";

/// The prompts, checked and not yet copied.
pub(super) struct Prompts<'a> {
    whole: &'a RawValue,
    each: Vec<&'a RawValue>,
    tokens: bool,
}

impl<'a> Prompts<'a> {
    pub(super) fn read(fields: &Fields<'a>) -> Result<Self, ApiError> {
        let whole = fields.get("prompt").ok_or_else(|| ApiError::missing("prompt"))?;
        let all = |each, tokens| Ok(Self { whole, each, tokens });
        if whole.get().starts_with('"') {
            return all(vec![whole], false);
        }
        let Some(list) = whole.get().strip_prefix('[') else {
            return Err(ApiError::invalid_type("prompt", PROMPT));
        };
        match list.trim_start().as_bytes().first() {
            Some(b'"') => all(gathered(whole, check_text)?, false),
            Some(b'[') => all(gathered(whole, check_tokens)?, true),
            Some(b']') => Err(ApiError::invalid_value("prompt", "a list that is not empty")),
            Some(b'-' | b'0'..=b'9') => {
                check_tokens("prompt", whole)?;
                all(vec![whole], true)
            }
            _ => Err(ApiError::invalid_type("prompt[0]", "a text, a token id or a list of token ids")),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.each.len()
    }

    /// How many bytes of text they come to.
    pub(super) fn bytes(&self) -> u64 {
        let one = |raw: &&RawValue| {
            if self.tokens {
                token_count(raw).saturating_mul(BYTES_A_TOKEN)
            } else {
                // Without its quotes.
                (raw.get().len() as u64).saturating_sub(2)
            }
        };
        self.each.iter().map(one).sum()
    }

    /// The value of the field.
    pub(super) fn whole(&self) -> &'a RawValue {
        self.whole
    }

    pub(super) fn each(&self) -> &[&'a RawValue] {
        &self.each
    }

    /// Whether each is a text that an engine without token ids goes on with: Ollama takes an empty one for an order to load the model.
    pub(super) fn check_texts(&self) -> Result<(), ApiError> {
        if self.tokens {
            return Err(ApiError::unsupported(
                "prompt",
                "The engine of this model takes no token ids. Send the texts themselves.",
            ));
        }
        if self.each.iter().any(|raw| raw.get() == "\"\"") {
            return Err(ApiError::invalid_value("prompt", "of texts that are not empty"));
        }
        Ok(())
    }

    /// The first, as a text.
    pub(super) fn text(&self) -> Result<String, ApiError> {
        let read = self.each.first().and_then(|raw| serde_json::from_str(raw.get()).ok());
        read.ok_or_else(|| ApiError::invalid_type("prompt", PROMPT))
    }
}

/// The elements of a list, no more than can be answered, each of the first one's kind.
fn gathered<'a>(
    list: &'a RawValue,
    check: impl Fn(&str, &RawValue) -> Result<(), ApiError>,
) -> Result<Vec<&'a RawValue>, ApiError> {
    let mut found = Vec::new();
    let take = |place, element: &'a RawValue| {
        if u32::try_from(place).is_ok_and(|place| place >= CHOICES_LIMIT) {
            return Err(ApiError::invalid_value("prompt", &format!("a list of at most {CHOICES_LIMIT}")));
        }
        check(&format!("prompt[{place}]"), element)?;
        found.push(element);
        Ok(())
    };
    json::each(list, take, |_place, _what| ApiError::invalid_type("prompt", PROMPT))?;
    Ok(found)
}

fn check_text(param: &str, raw: &RawValue) -> Result<(), ApiError> {
    if raw.get().starts_with('"') { Ok(()) } else { Err(ApiError::invalid_type(param, "a text")) }
}
