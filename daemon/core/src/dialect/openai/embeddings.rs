//! OpenAI's embeddings: requests of clients, and what they get.
//!
//! Knows the request's fields, for engines that speak OpenAI's language as for those that do not. Refuses to know chats.
//! Invariants: what is passed on has been checked in its form, and outside the range of the model's name its bytes are those
//! that came; what is translated has no field that would be lost on the way.

use std::ops::Range;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::fields::Fields;
use super::media::{self, Allowance};
use super::table::{Behind, Fate, Wanted};
use super::{passthrough, request};
use crate::chat::Usage;
use crate::config::Limits;
use crate::dialect::json;
use crate::embedding::{EmbeddingInput, EmbeddingRequest, Encoding, INPUTS_LIMIT};
use crate::error::ApiError;

mod answer;
mod base64;
mod rows;
#[cfg(test)]
mod tests;

pub use answer::{Vectors, check_embeddings, embeddings_body};
pub use rows::ROWS;

const INPUT: &str = "a text, a list of texts, a list of token ids, or a list of such lists";
/// Why a field that no row has is refused where nobody would see to it.
const NO_SUCH_FIELD: &str = "The engine of this model has no such field for embeddings.";
const TOKEN: &str = "a token id, a whole number from 0 to 2147483647";

/// What was read from a request that will be passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedEmbeddings {
    /// The model's name, as asked for.
    pub model: String,
    /// How many vectors are wanted.
    pub inputs: usize,
    /// How long they shall be.
    pub dimensions: Option<u32>,
    /// How the client wants the numbers.
    pub encoding: Encoding,
    /// What it comes to where its engine does not count.
    pub estimate: Usage,
    /// Its fields, as far as the table goes by them.
    pub wanted: Wanted,
    /// Where the model's name lies in the body, its quotes included.
    span: Range<usize>,
}

impl PassedEmbeddings {
    /// Refuses what our own engine would make nothing of.
    ///
    /// # Errors
    /// 400 with the field.
    pub fn check_known(&self) -> Result<(), ApiError> {
        self.wanted.check_known(NO_SUCH_FIELD)
    }

    /// The body with another model's name, and not a byte changed elsewhere.
    ///
    /// `body` is the one that was inspected.
    #[must_use]
    pub fn with_model(&self, body: &Bytes, model: &str) -> Bytes {
        let edit = passthrough::renamed(&self.span, (&self.model, model));
        edit.map_or_else(|| body.clone(), |edit| json::edited(body, vec![edit]))
    }
}

/// Reads what must be known of a request before it is passed on.
///
/// # Errors
/// 400 where the body is not a JSON object, a top-level key is doubled or refused, and with the field where one is missing, of
/// the wrong type, empty or out of range.
pub fn inspect_embeddings(body: &[u8], limits: &Limits) -> Result<PassedEmbeddings, ApiError> {
    let fields = Fields::read(body, limits.request_fields)?;
    refuse(&fields)?;
    media::check_beside(&fields, &mut Allowance::new(limits))?;
    let model = request::model(&fields, limits)?;
    let raw = fields.get("model").ok_or_else(|| ApiError::missing("model"))?;
    let inputs = Inputs::read(&fields)?;
    Ok(PassedEmbeddings {
        model,
        inputs: inputs.count(),
        estimate: inputs.estimate(),
        wanted: Wanted::by(ROWS, &fields),
        dimensions: dimensions(&fields)?,
        encoding: encoding(&fields)?,
        span: json::span(body, raw.get()),
    })
}

/// Refuses what no engine is given. Their readers may not mind the case, so that it is not minded here.
fn refuse(fields: &Fields<'_>) -> Result<(), ApiError> {
    for row in ROWS {
        if let (Fate::Refused(why), Some((name, _))) = (row.fate(Behind::OpenAi), fields.lies(row.name)) {
            return Err(ApiError::unsupported(name, why));
        }
    }
    Ok(())
}

/// Reads a request for an engine of another language.
///
/// # Errors
/// As [`inspect_embeddings`]; 400 with the field where it is none of OpenAI's, since nobody would see to it.
pub fn parse_embeddings(body: &[u8], limits: &Limits) -> Result<EmbeddingRequest, ApiError> {
    let fields = Fields::read(body, limits.request_fields)?;
    refuse(&fields)?;
    if let Some(name) = fields.names().find(|name| !ROWS.iter().any(|row| row.name == *name)) {
        return Err(ApiError::unsupported(name, NO_SUCH_FIELD));
    }
    fields.read_as::<String>("user", "a string")?;
    Ok(EmbeddingRequest {
        model: request::model(&fields, limits)?,
        input: Inputs::read(&fields)?.owned()?,
        dimensions: dimensions(&fields)?,
        encoding: encoding(&fields)?,
    })
}

fn dimensions(fields: &Fields<'_>) -> Result<Option<u32>, ApiError> {
    fields.integer("dimensions", 1, request::COUNT_LIMIT)
}

fn encoding(fields: &Fields<'_>) -> Result<Encoding, ApiError> {
    match fields.read_as::<String>("encoding_format", "a string")?.as_deref() {
        None | Some("float") => Ok(Encoding::Float),
        Some("base64") => Ok(Encoding::Base64),
        Some(_) => Err(ApiError::invalid_value("encoding_format", "float or base64")),
    }
}

/// The inputs, checked and not yet copied.
enum Inputs<'a> {
    Texts(Vec<&'a RawValue>),
    Tokens(Vec<&'a RawValue>),
}

impl<'a> Inputs<'a> {
    fn read(fields: &Fields<'a>) -> Result<Self, ApiError> {
        let raw = fields.get("input").ok_or_else(|| ApiError::missing("input"))?;
        if raw.get().starts_with('"') {
            check_text("input", raw)?;
            return Ok(Self::Texts(vec![raw]));
        }
        let Some(list) = raw.get().strip_prefix('[') else {
            return Err(ApiError::invalid_type("input", INPUT));
        };
        match list.trim_start().as_bytes().first() {
            Some(b'"') => Ok(Self::Texts(gathered(raw, check_text)?)),
            Some(b'[') => Ok(Self::Tokens(gathered(raw, check_tokens)?)),
            Some(b']') => Err(ApiError::invalid_value("input", "a list that is not empty")),
            Some(b'-' | b'0'..=b'9') => {
                check_tokens("input", raw)?;
                Ok(Self::Tokens(vec![raw]))
            }
            _ => Err(ApiError::invalid_type("input[0]", "a text, a token id or a list of token ids")),
        }
    }

    fn count(&self) -> usize {
        let (Self::Texts(list) | Self::Tokens(list)) = self;
        list.len()
    }

    fn estimate(&self) -> Usage {
        match self {
            Self::Texts(list) => {
                // Without its quotes.
                let bytes = list.iter().map(|raw| (raw.get().len() as u64).saturating_sub(2)).sum();
                Usage::estimated(bytes, 0)
            }
            // Known but for those that the engine adds.
            Self::Tokens(list) => {
                let tokens = list.iter().map(|raw| token_count(raw)).sum();
                Usage { estimated: true, ..Usage::counted(tokens, 0) }
            }
        }
    }

    fn owned(&self) -> Result<EmbeddingInput, ApiError> {
        // Each was checked, so that none of these fails.
        let wrong = |_| ApiError::invalid_type("input", INPUT);
        match self {
            Self::Texts(list) => {
                let texts = list.iter().map(|raw| serde_json::from_str(raw.get()));
                texts.collect::<Result<_, _>>().map(EmbeddingInput::Texts).map_err(wrong)
            }
            Self::Tokens(list) => {
                let tokens = list.iter().map(|raw| serde_json::from_str(raw.get()));
                tokens.collect::<Result<_, _>>().map(EmbeddingInput::Tokens).map_err(wrong)
            }
        }
    }
}

/// The elements of a list, no more than are taken, each of the first one's kind.
fn gathered<'a>(
    list: &'a RawValue,
    check: impl Fn(&str, &RawValue) -> Result<(), ApiError>,
) -> Result<Vec<&'a RawValue>, ApiError> {
    let mut found = Vec::new();
    let take = |place, element: &'a RawValue| {
        if place == INPUTS_LIMIT {
            return Err(ApiError::invalid_value("input", &format!("a list of at most {INPUTS_LIMIT}")));
        }
        check(&format!("input[{place}]"), element)?;
        found.push(element);
        Ok(())
    };
    json::each(list, take, |_place, _what| ApiError::invalid_type("input", INPUT))?;
    Ok(found)
}

fn check_text(param: &str, raw: &RawValue) -> Result<(), ApiError> {
    match raw.get() {
        // OpenAI refuses it as well, and engines give nothing for it, or anything.
        "\"\"" => Err(ApiError::invalid_value(param, "a text that is not empty")),
        text if text.starts_with('"') => Ok(()),
        _ => Err(ApiError::invalid_type(param, "a text")),
    }
}

pub(super) fn check_tokens(param: &str, raw: &RawValue) -> Result<(), ApiError> {
    if !raw.get().starts_with('[') {
        return Err(ApiError::invalid_type(param, "a list of token ids"));
    }
    let mut is_empty = true;
    let take = |place, id: u32| {
        is_empty = false;
        if id > request::COUNT_LIMIT {
            return Err(ApiError::invalid_value(format!("{param}[{place}]"), TOKEN));
        }
        Ok(())
    };
    json::each(raw, take, |place, _what| ApiError::invalid_type(format!("{param}[{place}]"), TOKEN))?;
    if is_empty { Err(ApiError::invalid_value(param, "a list that is not empty")) } else { Ok(()) }
}

/// How many token ids there are in a list that was checked.
pub(super) fn token_count(raw: &RawValue) -> u64 {
    1 + memchr::memchr_iter(b',', raw.get().as_bytes()).count() as u64
}
