//! The types of a model's settings.

use serde_json::{Value as Json, json};

use crate::{
    chat::Think,
    config::{
        setting::{Fault, Setting, Text, quoted},
        tree::Value,
    },
};

/// A number from `LEAST` to `MOST`, both included, perhaps with a fraction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::config) struct Decimal<const LEAST: i32, const MOST: i32>(f64);

impl<const LEAST: i32, const MOST: i32> Decimal<LEAST, MOST> {
    /// The number.
    #[must_use]
    pub(in crate::config) fn number(self) -> f64 {
        self.0
    }

    fn new(number: f64) -> Result<Self, Fault> {
        if (f64::from(LEAST)..=f64::from(MOST)).contains(&number) {
            // Without the sign of a zero, which no document shows.
            return Ok(Self(number + 0.0));
        }
        Err(Fault::Bad(format!("{number} is not between {LEAST} and {MOST}")))
    }
}

impl<const LEAST: i32, const MOST: i32> Setting for Decimal<LEAST, MOST> {
    fn expected() -> String {
        format!("a number from {LEAST} to {MOST}")
    }
    fn example() -> String {
        "0.7".to_owned()
    }
    fn read(value: &Value) -> Result<Self, Fault> {
        match value {
            Value::Real(number) => Self::new(*number),
            // No whole number in the range is too long for a float.
            Value::Integer(number) => i32::try_from(*number)
                .map_err(|_| Fault::Bad(format!("{number} is not between {LEAST} and {MOST}")))
                .and_then(|number| Self::new(f64::from(number))),
            Value::Loose(text) => text
                .parse()
                .map_err(|_| Fault::Bad(format!("\"{}\" is not a number", text.escape_debug())))
                .and_then(Self::new),
            _ => Err(Fault::Kind),
        }
    }
    fn show(&self) -> Option<String> {
        Some(self.0.to_string())
    }
    fn schema() -> Json {
        json!({ "type": "number", "minimum": LEAST, "maximum": MOST })
    }
}

/// A number from a hundredth to `MOST`, both included: engines refuse 0 where it would leave no token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::config) struct Above0<const MOST: i32>(Decimal<0, MOST>);

impl<const MOST: i32> Above0<MOST> {
    const LEAST: f64 = 0.01;

    /// The number.
    #[must_use]
    pub(in crate::config) fn number(self) -> f64 {
        self.0.number()
    }
}

impl<const MOST: i32> Setting for Above0<MOST> {
    fn expected() -> String {
        format!("a number from {} to {MOST}", Self::LEAST)
    }
    fn example() -> String {
        "0.9".to_owned()
    }
    fn read(value: &Value) -> Result<Self, Fault> {
        let decimal = Decimal::<0, MOST>::read(value)?;
        if decimal.number() < Self::LEAST {
            let (number, least) = (decimal.number(), Self::LEAST);
            return Err(Fault::Bad(format!("{number} is not between {least} and {MOST}")));
        }
        Ok(Self(decimal))
    }
    fn show(&self) -> Option<String> {
        self.0.show()
    }
    fn schema() -> Json {
        json!({ "type": "number", "minimum": Self::LEAST, "maximum": MOST })
    }
}

/// A whole number of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) struct Seed(pub(in crate::config) i64);

impl Setting for Seed {
    fn expected() -> String {
        "a whole number".to_owned()
    }
    fn example() -> String {
        "7".to_owned()
    }
    fn read(value: &Value) -> Result<Self, Fault> {
        match value {
            Value::Integer(number) => Ok(Self(*number)),
            Value::Loose(text) => text
                .replace('_', "")
                .parse()
                .map(Self)
                .map_err(|_| Fault::Bad(format!("\"{}\" is not a whole number", text.escape_debug()))),
            _ => Err(Fault::Kind),
        }
    }
    fn show(&self) -> Option<String> {
        Some(self.0.to_string())
    }
    fn schema() -> Json {
        json!({ "type": "integer" })
    }
}

/// How long an engine keeps a model loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum KeepLoaded {
    /// So many seconds after a request.
    For(u32),
    /// Until the engine ends.
    Forever,
}

impl KeepLoaded {
    /// As Ollama counts: seconds, negative for ever.
    #[must_use]
    pub(in crate::config) fn seconds(self) -> i64 {
        match self {
            Self::For(seconds) => i64::from(seconds),
            Self::Forever => -1,
        }
    }
}

const FOREVER: &str = "forever";

impl Text for KeepLoaded {
    const EXPECTED: &'static str = "a duration of whole seconds with its unit (s, m, h), or \"forever\"";
    const EXAMPLE: &'static str = "30m";
    fn parse(text: &str) -> Result<Self, String> {
        if text == FOREVER {
            return Ok(Self::Forever);
        }
        let duration = crate::config::values::parse_duration(text)?;
        if duration.subsec_millis() != 0 {
            return Err(format!("\"{}\" is no whole number of seconds", text.escape_debug()));
        }
        u32::try_from(duration.as_secs()).map(Self::For).map_err(|_| "this is too long".to_owned())
    }
    fn text(&self) -> String {
        match self {
            Self::For(seconds) => {
                crate::config::values::show_duration(std::time::Duration::from_secs(u64::from(*seconds)))
            }
            Self::Forever => FOREVER.to_owned(),
        }
    }
    fn schema() -> Json {
        json!({ "anyOf": [
            { "type": "string", "pattern": "^ *([0-9]+(ms|s|m|h|d))+ *$" },
            { "enum": [FOREVER] },
        ] })
    }
}

/// Whether and how hard a model thinks: a word, or the truth value that people write for the first two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) struct Thinking(pub(in crate::config) Think);

const EFFORTS: [(&str, Think); 6] = [
    ("off", Think::Off),
    ("on", Think::On),
    ("low", Think::Low),
    ("medium", Think::Medium),
    ("high", Think::High),
    ("max", Think::Most),
];

impl Setting for Thinking {
    fn expected() -> String {
        "\"off\", \"on\", \"low\", \"medium\", \"high\" or \"max\"".to_owned()
    }
    fn example() -> String {
        quoted("off")
    }
    fn right() -> String {
        Self::expected()
    }
    fn read(value: &Value) -> Result<Self, Fault> {
        let word = match value {
            Value::Boolean(true) => "on",
            Value::Boolean(false) => "off",
            Value::Text(text) | Value::Loose(text) => match text.as_str() {
                "true" => "on",
                "false" => "off",
                word => word,
            },
            _ => return Err(Fault::Kind),
        };
        let found = EFFORTS.iter().find(|(known, _)| *known == word);
        found
            .map(|(_, think)| Self(*think))
            .ok_or_else(|| Fault::Bad(format!("\"{}\" is not known", word.escape_debug())))
    }
    fn show(&self) -> Option<String> {
        EFFORTS.iter().find(|(_, think)| *think == self.0).map(|(word, _)| quoted(word))
    }
    fn schema() -> Json {
        let words = EFFORTS.map(|(word, _)| word);
        json!({ "anyOf": [{ "enum": words }, { "enum": ["true", "false"] }, { "type": "boolean" }] })
    }
}
