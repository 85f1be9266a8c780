//! What is asked about the counts.

use super::Day;
use crate::{error::ApiError, query};

/// The days that are told of where nobody asks for others.
pub const DAYS: u32 = 30;
/// The most days that anybody can ask for: ten years, as many as can be kept.
pub const MOST_DAYS: u32 = 3660;

/// What rows are told apart by; what they are not is summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct By {
    /// The day.
    pub day: bool,
    /// Who has asked.
    pub key: bool,
    /// The model.
    pub model: bool,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// From this day on.
    pub from: Day,
    /// To this one, it included.
    pub to: Day,
    /// Of this key alone, by its id or name, or of whoever needs none, whose names (`local`, `uid N`) stand for no key, though one may
    /// bear such a name since before that was refused.
    pub key: Option<String>,
    /// Of this model alone.
    pub model: Option<String>,
    /// What rows are told apart by.
    pub by: By,
}

impl By {
    /// All of it.
    pub const ALL: Self = Self { day: true, key: true, model: true };

    /// Its names, in their order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        [("day", self.day), ("key", self.key), ("model", self.model)]
            .into_iter()
            .filter_map(|(name, is)| is.then_some(name))
    }

    fn read(text: &str) -> Option<Self> {
        let mut by = Self { day: false, key: false, model: false };
        for name in text.split(',') {
            let field = match name {
                "day" => &mut by.day,
                "key" => &mut by.key,
                "model" => &mut by.model,
                _ => return None,
            };
            *field = true;
        }
        Some(by)
    }
}

impl Question {
    /// Reads the part of an address behind its question mark: `days=7`, or `from=2026-11-01` and `to=2026-11-30`; `key`, `model`, and
    /// `by=day,key,model`.
    ///
    /// # Errors
    /// 400 with the parameter's name where one is unknown, doubled or none of its values.
    pub fn read(query: &str, today: Day) -> Result<Self, ApiError> {
        let names = ["days", "from", "to", "key", "model", "by"];
        let [days, from, to, key, model, by] = query::read(query, names)?;
        if days.is_some() && from.is_some() {
            return Err(ApiError::invalid_value("days", "given without from"));
        }
        let day = |name: &str, text: Option<String>| {
            text.map(|text| text.parse::<Day>())
                .transpose()
                .map_err(|_| ApiError::invalid_value(name, "a day in UTC, such as 2026-11-28"))
        };
        let to = day("to", to)?.unwrap_or(today);
        let days = days.map(|text| count(&text)).transpose()?.unwrap_or(DAYS);
        let from = day("from", from)?.unwrap_or_else(|| to.before(days - 1));
        if from > to {
            return Err(ApiError::invalid_value("from", "a day that is not after to"));
        }
        let by = by.map_or(Some(By::ALL), |text| By::read(&text));
        let by = by.ok_or_else(|| ApiError::invalid_value("by", "some of day,key,model"))?;
        Ok(Self { from, to, key, model, by })
    }
}

fn count(text: &str) -> Result<u32, ApiError> {
    let number = text.parse().ok().filter(|number| (1..=MOST_DAYS).contains(number));
    number.ok_or_else(|| ApiError::invalid_value("days", &format!("a number from 1 to {MOST_DAYS}")))
}
