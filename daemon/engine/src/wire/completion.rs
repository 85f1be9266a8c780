//! OpenAI's older completions: texts that the model is to go on with, without a conversation around them.
//!
//! Knows the fields of such a request. Knows nothing of tokens' meaning. Invariant: a request that came through [`Completion::read`] has
//! prompts, and asks for nothing of theirs that cannot be told.

use super::fields::{self, get, need};
use super::input::Input;
use super::sampling::{self, Sampling};
use super::{Body, SWITCH, count, include_usage, refuse_unsupported, stop_texts};
use crate::error::Failure;
use crate::limits::Limits;
use crate::weight::{Allowance, Scale};

/// The most tokens of an answer where nobody says how many: OpenAI's own default. A text without an end of turns goes on until the
/// context is full.
const MOST_TOKENS: usize = 16;

/// A request that can be served, if the model has such tokens.
#[derive(Debug, Clone)]
pub struct Completion {
    /// What is gone on with, each for itself.
    pub prompts: Vec<Input>,
    /// What is to follow the answer.
    pub suffix: Option<String>,
    /// Whether an answer begins with its prompt.
    pub echo: bool,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// How to choose tokens.
    pub sampling: Sampling,
    /// How many of the likeliest tokens to tell beside each token's own odds; `None` for no odds at all.
    pub odds: Option<usize>,
    /// The most tokens to make.
    pub max_tokens: usize,
    /// Whether to answer piece by piece.
    pub stream: bool,
    /// Whether a stream ends with the token counts.
    pub include_usage: bool,
}

impl Completion {
    /// Reads a request's body, if each of its prompts is within the allowance.
    ///
    /// # Errors
    /// 400 with the field at fault.
    pub fn read(body: &[u8], allowance: &Allowance, limits: &Limits) -> Result<Self, Failure> {
        let body: Body<'_> = fields::read(body)?;
        let mut scale = Scale::new(allowance);
        for (name, field) in [
            ("suffix", body.suffix),
            ("stop", body.stop),
            ("logit_bias", body.logit_bias),
            ("model", body.model),
        ] {
            fields::weigh(&mut scale, allowance, name, field)?;
        }
        refuse_unsupported(&body)?;
        if count("best_of", body.best_of, 1)?.is_some_and(|best| best > 1) {
            let message = "This engine judges none of its answers; leave best_of out, or send 1";
            return Err(Failure::unsupported("best_of", message));
        }
        need::<String>("model", body.model, "a model's name as a string")?;
        let suffix: Option<String> = get("suffix", body.suffix, "a string")?;
        let request = Self {
            prompts: Input::read("prompt", body.prompt, limits.prompts)?,
            // A text without a letter is none: nothing is to follow.
            suffix: suffix.filter(|text| !text.is_empty()),
            echo: get("echo", body.echo, SWITCH)?.unwrap_or(false),
            stop: stop_texts(body.stop, limits)?,
            sampling: sampling::read(&body)?,
            odds: sampling::odds_of_completion(&body)?,
            max_tokens: count("max_tokens", body.max_tokens, 0)?.unwrap_or(MOST_TOKENS),
            stream: get("stream", body.stream, SWITCH)?.unwrap_or(false),
            include_usage: include_usage(body.stream_options)?,
        };
        let heavy = |input: &Input| matches!(input, Input::Text(text) if text.len() > allowance.bytes);
        if let Some(index) = request.prompts.iter().position(heavy) {
            return Err(Failure::too_heavy(&request.at(index), allowance));
        }
        if request.scores() && request.suffix.is_some() {
            let message = "Before a suffix the prompt's odds are not told: the model reads it between marks that \
                           are none of its text; send echo, logprobs or suffix without one of the others";
            return Err(Failure::unsupported("echo", message));
        }
        Ok(request)
    }

    /// Whether the odds of the prompts' own tokens are told.
    #[must_use]
    pub fn scores(&self) -> bool {
        self.echo && self.odds.is_some()
    }

    /// What the place of a prompt is called.
    #[must_use]
    pub fn at(&self, index: usize) -> String {
        if self.prompts.len() == 1 { "prompt".to_owned() } else { format!("prompt[{index}]") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(more: &Value) -> Result<Completion, Failure> {
        let mut body = json!({"model": "m", "prompt": "One, two"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let limits = Limits { prompts: 3, ..Limits::default() };
        Completion::read(&serde_json::to_vec(&body).unwrap(), &Allowance::new(2048, Some(13)), &limits)
    }

    #[test]
    fn each_form_of_a_prompt_is_read() {
        let text = |text: &str| Input::Text(text.into());
        for (prompt, prompts, at) in [
            (json!("a"), vec![text("a")], "prompt"),
            (json!(""), vec![text("")], "prompt"),
            (json!(["a", "b", "c"]), vec![text("a"), text("b"), text("c")], "prompt[0]"),
            (json!([1, 2]), vec![Input::Tokens(vec![1, 2])], "prompt"),
            (json!([[1], [2, 3]]), vec![Input::Tokens(vec![1]), Input::Tokens(vec![2, 3])], "prompt[0]"),
        ] {
            let request = read(&json!({ "prompt": prompt })).unwrap();
            assert_eq!((request.at(0).as_str(), request.prompts), (at, prompts));
        }
    }

    #[test]
    fn a_prompt_that_no_context_holds_is_not_taken_in() {
        // As small a context as this one takes 256 KiB.
        let longest = "x".repeat(256 << 10);
        read(&json!({"prompt": [longest, longest]})).unwrap();
        let failure = read(&json!({"prompt": ["x", format!("{longest}x")]})).unwrap_err();
        assert_eq!(
            (failure.code, failure.param.as_deref()),
            (Some("context_length_exceeded"), Some("prompt[1]"))
        );
    }

    #[test]
    fn what_is_not_said_is_openai_s_default() {
        let request =
            read(&json!({"suffix": "", "logprobs": null, "max_tokens": null, "n": 1, "best_of": 1})).unwrap();
        assert_eq!((request.max_tokens, request.odds, request.suffix.as_deref()), (16, None, None));
        assert!(!(request.echo || request.stream || request.include_usage || request.scores()));
        let said = json!({"max_tokens": 0, "logprobs": 0, "echo": true, "stream": true, "stream_options": {"include_usage": true}});
        let request = read(&said).unwrap();
        assert_eq!((request.max_tokens, request.odds), (0, Some(0)));
        assert!(request.echo && request.stream && request.include_usage && request.scores());
        assert_eq!(read(&json!({"logprobs": 20, "suffix": "s"})).unwrap().odds, Some(20));
    }

    #[test]
    fn what_cannot_be_had_is_refused_by_name() {
        for (more, param) in [
            (json!({"prompt": null}), "prompt"),
            (json!({"prompt": 3}), "prompt"),
            (json!({"prompt": []}), "prompt"),
            (json!({"prompt": ["a", 1]}), "prompt"),
            (json!({"prompt": [-1]}), "prompt"),
            (json!({"prompt": ["a", "b", "c", "d"]}), "prompt"),
            (json!({"n": 2}), "n"),
            (json!({"best_of": 2}), "best_of"),
            (json!({"best_of": 0}), "best_of"),
            (json!({"logit_bias": {"1": 2}}), "logit_bias"),
            (json!({"logprobs": true}), "logprobs"),
            (json!({"logprobs": 21}), "logprobs"),
            (json!({"logprobs": -1}), "logprobs"),
            (json!({"max_tokens": -1}), "max_tokens"),
            (json!({"max_tokens": 1.5}), "max_tokens"),
            (json!({"echo": 1}), "echo"),
            (json!({"suffix": ["s"]}), "suffix"),
            (json!({"suffix": "s", "echo": true, "logprobs": 1}), "echo"),
            (json!({"temperature": 2.1}), "temperature"),
            (json!({"stream": "yes"}), "stream"),
            (json!({"model": 1}), "model"),
        ] {
            let failure = read(&more).unwrap_err();
            assert_eq!((failure.status.as_u16(), failure.param.as_deref()), (400, Some(param)), "{failure}");
        }
    }
}
