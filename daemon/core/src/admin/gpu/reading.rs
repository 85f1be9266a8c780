//! A value that a card may not tell.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A value, `{ "value": 61.0 }`, or in words why there is none, `{ "missing": "this card does not tell it" }`.
///
/// An object with one of two names, and not a number or null, since null does not say why; nor a number or an object, since jq has every
/// object above every number: `select(.gpu.celsius > 80)` would choose the cards that tell no temperature. As it is, `.gpu.celsius.value`
/// is the number or null, which is no more than 80, and `.gpu.celsius.missing // empty` why it is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "GpuReading_of_{T}_value")]
pub enum GpuReading<T> {
    /// What was read.
    Value(T),
    /// Why nothing was.
    Missing(String),
}

impl<T> GpuReading<T> {
    /// The value, where there is one.
    #[must_use]
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Missing(_) => None,
        }
    }

    /// Why there is none.
    #[must_use]
    pub fn missing(&self) -> Option<&str> {
        match self {
            Self::Value(_) => None,
            Self::Missing(why) => Some(why),
        }
    }
}

/// What is missing says so in the words of its error.
impl<T, E: std::fmt::Display> From<Result<T, E>> for GpuReading<T> {
    fn from(reading: Result<T, E>) -> Self {
        match reading {
            Ok(value) => Self::Value(value),
            Err(why) => Self::Missing(why.to_string()),
        }
    }
}

/// To a tenth, as all numbers with a fraction are in these forms: no card tells more, and JSON is not to show the digits of a float of 32 bits
/// (61.29999923706055). What is no number is 0, as JSON has none; whoever has one calls it missing first.
#[must_use]
pub fn tenths(value: f32) -> f64 {
    let tenths = (f64::from(value) * 10.0).round() / 10.0;
    // Minus zero is written as -0.0.
    if tenths.is_finite() { tenths + 0.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::{GpuReading, tenths};

    #[test]
    fn is_a_value_or_why_there_is_none() {
        let json = |reading: &GpuReading<f64>| serde_json::to_string(reading).unwrap();
        let read = GpuReading::from(Ok::<_, &str>(tenths(61.3)));
        let missing = GpuReading::from(Err("this card does not tell it"));
        assert_eq!(json(&read), r#"{"value":61.3}"#);
        assert_eq!(json(&missing), r#"{"missing":"this card does not tell it"}"#);
        assert_eq!((read.value(), read.missing()), (Some(&61.3), None));
        assert_eq!((missing.value(), missing.missing()), (None, Some("this card does not tell it")));
        for reading in [read, missing] {
            assert_eq!(serde_json::from_str::<GpuReading<f64>>(&json(&reading)).unwrap(), reading);
        }
        let none: GpuReading<Option<u32>> = serde_json::from_str(r#"{"value":null}"#).unwrap();
        assert_eq!(none, GpuReading::Value(None));
    }

    #[test]
    fn a_tenth_has_one_digit() {
        for (value, text) in [(61.3, "61.3"), (-0.04, "0.0"), (-2.25, "-2.3"), (f32::NAN, "0.0")] {
            assert_eq!(serde_json::to_value(tenths(value)).unwrap().to_string(), text);
        }
    }
}
