//! How the next token is chosen, and what is told of the choice.
//!
//! Knows the ranges that llama.cpp's samplers need. Knows nothing of tokens. Invariant: what was read is within them.

use super::fields::{Field, get};
use super::{Body, SWITCH};
use crate::error::Failure;

/// OpenAI's limit for `top_logprobs`; of a completion's `logprobs` OpenAI takes no more than five, and vLLM as many as these.
const MOST_ODDS: u8 = 20;

/// How the next token is chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// 0 takes the likeliest token; 1 leaves the model's own odds.
    pub temperature: f32,
    /// Only the likeliest tokens that together have this share.
    pub top_p: f32,
    /// Only so many of the likeliest tokens; 0 for all.
    pub top_k: i32,
    /// Only tokens with at least this share of the likeliest one's odds.
    pub min_p: f32,
    /// The same seed gives the same answer; `None` for chance.
    pub seed: Option<u32>,
    /// Taken off for each time a token was said.
    pub frequency_penalty: f32,
    /// Taken off once a token was said.
    pub presence_penalty: f32,
    /// Divides the odds of what was said; 1 for nothing.
    pub repetition_penalty: f32,
}

/// Reads the fields of a request that say so.
///
/// # Errors
/// 400 with the field at fault.
pub(super) fn read(body: &Body<'_>) -> Result<Sampling, Failure> {
    // With all tokens open, a small quantised model soon picks a senseless one. Where the caller names no cut of their
    // own, llama.cpp's default one applies.
    let cut = body.top_p.is_some() || body.top_k.is_some() || body.min_p.is_some();
    let (repetition, penalty) = match body.repeat_penalty {
        Some(_) => ("repeat_penalty", body.repeat_penalty),
        None => ("repetition_penalty", body.repetition_penalty),
    };
    let seed: Option<i64> = get("seed", body.seed, "a whole number")?;
    Ok(Sampling {
        temperature: within("temperature", body.temperature, 1.0, 0.0, 2.0)?,
        top_p: within("top_p", body.top_p, 1.0, 0.0, 1.0)?,
        top_k: get::<i32>("top_k", body.top_k, "a whole number")?.unwrap_or(0).max(0),
        min_p: within("min_p", body.min_p, if cut { 0.0 } else { 0.05 }, 0.0, 1.0)?,
        // 2^32-1 means "any" to llama.cpp, so the remainder leaves it out.
        seed: seed.and_then(|seed| u32::try_from(seed.rem_euclid(i64::from(u32::MAX))).ok()),
        frequency_penalty: within("frequency_penalty", body.frequency_penalty, 0.0, -2.0, 2.0)?,
        presence_penalty: within("presence_penalty", body.presence_penalty, 0.0, -2.0, 2.0)?,
        repetition_penalty: within(repetition, penalty, 1.0, 0.01, 10.0)?,
    })
}

fn within(name: &str, field: Field<'_>, default: f32, least: f32, most: f32) -> Result<f32, Failure> {
    let wanted = format!("a number from {least} to {most}");
    match get::<f32>(name, field, &wanted)? {
        None => Ok(default),
        Some(value) if (least..=most).contains(&value) => Ok(value),
        Some(_) => Err(Failure::wrong_value(name, &wanted)),
    }
}

/// How many of the likeliest tokens are told beside each token's own odds; `None` where no odds are wanted.
///
/// # Errors
/// 400 with the field at fault.
pub(super) fn odds(body: &Body<'_>) -> Result<Option<usize>, Failure> {
    let wanted = get("logprobs", body.logprobs, SWITCH)?.unwrap_or(false);
    let range = format!("a whole number from 0 to {MOST_ODDS}");
    let most = match get::<u8>("top_logprobs", body.top_logprobs, &range)? {
        Some(most) if most > MOST_ODDS => return Err(Failure::wrong_value("top_logprobs", &range)),
        // None of no odds is what there is; many clients send it always.
        Some(1..) if !wanted => {
            let message =
                "top_logprobs needs logprobs to be true; set that as well, or leave top_logprobs out";
            return Err(Failure::invalid("top_logprobs", message));
        }
        most => most.unwrap_or(0),
    };
    Ok(wanted.then_some(most.into()))
}

/// The same of a completion, which says both by one number.
///
/// # Errors
/// 400 with the field at fault.
pub(super) fn odds_of_completion(body: &Body<'_>) -> Result<Option<usize>, Failure> {
    let range = format!("a whole number from 0 to {MOST_ODDS}");
    match get::<i64>("logprobs", body.logprobs, &range)?.map(u8::try_from) {
        None => Ok(None),
        Some(Ok(most)) if most <= MOST_ODDS => Ok(Some(most.into())),
        Some(_) => Err(Failure::wrong_value("logprobs", &range)),
    }
}
