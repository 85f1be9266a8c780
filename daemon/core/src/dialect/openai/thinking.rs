//! How hard a chat says to think.
//!
//! Knows the three fields by which clients say it. Refuses to know what an engine makes of it. Invariant: of several the first one
//! wins, and whoever asks hears of the same one: what is heeded, what of the others is named as outdone, and whether a model shall not
//! think at all.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::fields::{Fields, MEMBERS};
use super::request::effort_of;
use crate::chat::Think;
use crate::dialect::json::Entries;
use crate::error::ApiError;

/// The fields, read once.
pub(super) struct Thinking<'a> {
    /// `reasoning_effort`.
    effort: Option<&'a str>,
    reasoning: Option<&'a RawValue>,
    /// What `reasoning` has, without what is null.
    members: Vec<(Cow<'a, str>, &'a str)>,
    /// The effort among these.
    inner: Option<&'a str>,
    /// Whether it is there twice.
    twice: bool,
    think: Option<&'a str>,
}

impl<'a> Thinking<'a> {
    pub(super) fn of(fields: &Fields<'a>) -> Self {
        let value = |name| fields.get(name).map(RawValue::get);
        let (effort, reasoning, think) = (value("reasoning_effort"), fields.get("reasoning"), value("think"));
        let mut thinking = Self { effort, reasoning, members: Vec::new(), inner: None, twice: false, think };
        let mut efforts = 0;
        for (name, value) in reasoning.into_iter().flat_map(|raw| Entries::of(raw.get())) {
            let name = name.text();
            efforts += usize::from(name == "effort");
            if value == "null" {
                continue;
            }
            if name == "effort" {
                thinking.inner = Some(value);
            }
            if thinking.members.len() <= MEMBERS {
                thinking.members.push((name, value));
            }
        }
        Self { twice: efforts > 1, ..thinking }
    }

    /// How hard to think, and the field that says it.
    ///
    /// # Errors
    /// 400 where the field that wins is of another form, or says no effort that there is.
    pub(super) fn wanted(&self) -> Result<Option<(Think, &'static str)>, ApiError> {
        if let Some(effort) = self.effort {
            return named("reasoning_effort", effort, "a string");
        }
        if self.reasoning.is_some_and(|raw| !raw.get().starts_with('{')) {
            return Err(ApiError::invalid_type("reasoning", "an object such as {\"effort\": \"low\"}"));
        }
        if self.twice {
            return Err(ApiError::doubled("reasoning.effort"));
        }
        if let Some(effort) = self.inner {
            return named("reasoning.effort", effort, "a string");
        }
        match self.think {
            None => Ok(None),
            Some("true") => Ok(Some((Think::On, "think"))),
            Some("false") => Ok(Some((Think::Off, "think"))),
            Some(effort) => named("think", effort, "true, false or an effort"),
        }
    }

    /// The members of `reasoning` of which nothing comes.
    pub(super) fn unheeded(&self) -> impl Iterator<Item = &str> {
        let heeded = |name: &str, value: &str| match name {
            "effort" => self.effort.is_none_or(|effort| effort == value),
            // What a model thinks is not held back unless somebody says so.
            "exclude" => value == "false",
            _ => false,
        };
        let unheeded = self.members.iter().filter(move |(name, value)| !heeded(name, value));
        unheeded.map(|(name, _)| name.as_ref())
    }

    /// Whether `think` says otherwise than a field that wins over it.
    pub(super) fn outdoes_think(&self) -> bool {
        let winner = self.effort.or(self.inner).map(switched);
        winner.zip(self.think).is_some_and(|(effort, think)| effort != switched(think))
    }
}

/// The effort that a value names.
fn named(
    field: &'static str,
    value: &str,
    expected: &str,
) -> Result<Option<(Think, &'static str)>, ApiError> {
    effort_of(field, value, expected).map(|think| Some((think, field)))
}

/// An effort, of which one word is the switch's.
fn switched(effort: &str) -> &str {
    if effort == "\"none\"" { "false" } else { effort }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn wanted(body: &str) -> Result<Option<(Think, &'static str)>, ApiError> {
        Thinking::of(&Fields::read(body.as_bytes(), 100).unwrap()).wanted()
    }

    #[test]
    fn of_several_fields_the_first_wins() {
        let of = |body: Value| wanted(&body.to_string()).unwrap();
        let all = json!({"reasoning_effort": "low", "reasoning": {"effort": "none"}, "think": false});
        assert_eq!(of(all), Some((Think::Low, "reasoning_effort")), "and it is not off");
        let two = json!({"reasoning_effort": null, "reasoning": {"x": 1, "effort": "none"}, "think": true});
        assert_eq!(of(two), Some((Think::Off, "reasoning.effort")));
        let one = json!({"reasoning": {"effort": null}, "think": "high"});
        assert_eq!(of(one), Some((Think::High, "think")));
        assert_eq!(of(json!({"reasoning": {}, "think": null})), None);
    }

    #[test]
    fn what_is_no_effort_is_told_by_its_field() {
        for (body, param) in [
            (r#"{"reasoning_effort":5}"#, "reasoning_effort"),
            (r#"{"reasoning":["low"]}"#, "reasoning"),
            (r#"{"reasoning":{"effort":5}}"#, "reasoning.effort"),
            (r#"{"reasoning":{"effort":"low","effort":"high"}}"#, "reasoning.effort"),
            (r#"{"think":5}"#, "think"),
            (r#"{"think":"hard"}"#, "think"),
        ] {
            let error = wanted(body).unwrap_err();
            assert_eq!(error.param(), Some(param), "{body}");
            assert!(param != "think" || error.message().contains("true, false"), "{error}");
        }
    }
}
