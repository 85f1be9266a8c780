//! The texts of a request that is no conversation: the `input` of embeddings, the `prompt` of a completion.
//!
//! Knows the four forms that OpenAI gives both. Knows nothing of tokens' meaning. Invariant: there is at least one text and no more than
//! the limit, and what is built is in proportion to the body.

use super::fields::{Field, need};
use crate::error::Failure;
use crate::weight::{Allowance, Scale, WeightError};
use serde_json::value::RawValue;

/// JSON values in all texts together: OpenAI takes no more than 300,000 tokens in one request.
pub(super) const VALUES: usize = 300_000;
const WANTED: &str = "a string, a list of strings, a list of token numbers or a list of such lists";

/// One text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// As it is written.
    Text(String),
    /// As the model reads it.
    Tokens(Vec<u32>),
}

impl Input {
    /// Reads the field of this name: 1 to `most` texts.
    ///
    /// # Errors
    /// 400 with the field.
    pub(super) fn read(name: &str, field: Field<'_>, most: usize) -> Result<Vec<Self>, Failure> {
        let raw: &RawValue = need(name, field, WANTED)?;
        let inputs = inputs(name, raw)?;
        if inputs.is_empty() || inputs.len() > most {
            return Err(Failure::wrong_value(name, &format!("a list of 1 to {most} texts")));
        }
        Ok(inputs)
    }

    /// Whether nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Tokens(tokens) => tokens.is_empty(),
        }
    }
}

fn inputs(name: &str, raw: &RawValue) -> Result<Vec<Input>, Failure> {
    // What is built is in proportion to the body, but for lists: of those, the values are counted first.
    let mut scale = Scale::new(&Allowance { tokens: 0, bytes: usize::MAX, values: VALUES });
    if let Err(WeightError::TooHeavy) = scale.add(raw.get()) {
        let message = format!(
            "{name} has more than {VALUES} tokens or texts, which is more than one request may have; send it in parts"
        );
        return Err(Failure::invalid(name, message));
    }
    let wrong = |_| Failure::wrong_type(name, WANTED);
    let text = raw.get();
    let second = text.get(1..).unwrap_or_default().trim_ascii_start();
    if text.starts_with('"') {
        return Ok(vec![Input::Text(serde_json::from_str(text).map_err(wrong)?)]);
    }
    if !text.starts_with('[') {
        return Err(Failure::wrong_type(name, WANTED));
    }
    match second.bytes().next() {
        Some(b'"') => {
            let texts: Vec<String> = serde_json::from_str(text).map_err(wrong)?;
            Ok(texts.into_iter().map(Input::Text).collect())
        }
        Some(b'[') => {
            let lists: Vec<Vec<u32>> = serde_json::from_str(text).map_err(wrong)?;
            Ok(lists.into_iter().map(Input::Tokens).collect())
        }
        Some(b']') => Ok(Vec::new()),
        _ => Ok(vec![Input::Tokens(serde_json::from_str(text).map_err(wrong)?)]),
    }
}
