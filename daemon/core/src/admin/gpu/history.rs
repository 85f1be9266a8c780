//! What a card has been through.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{GpuState, card::GpuReason};

/// `GET /gpu/history?card=0&span=10m`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GpuHistory {
    /// The version of this form.
    pub version: u32,
    /// The card's `index`.
    pub card: u32,
    /// How far back it goes.
    pub span: GpuSpan,
    /// The oldest first. A time of which nothing was read has no point: whoever draws a line breaks it there.
    pub points: Vec<GpuPoint>,
}

/// How far back a history goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum GpuSpan {
    /// Ten minutes, a point for each second, 600 at the most.
    #[serde(rename = "10m")]
    TenMinutes,
    /// A day, a point for each minute, 1,441 at the most.
    #[serde(rename = "24h")]
    Day,
}

impl GpuSpan {
    /// As a query has it: `10m` or `24h`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TenMinutes => "10m",
            Self::Day => "24h",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::TenMinutes, Self::Day].into_iter().find(|span| span.name() == name)
    }
}

/// A second or a minute. Null is what was not read, or is not kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GpuPoint {
    /// When: its reading, of which there may be ten a second, or its minute's beginning.
    pub at: String,
    /// The chip's temperature in degrees Celsius; of several readings the highest.
    pub celsius: Option<f64>,
    /// That of its memory, likewise.
    pub memory_heat: Option<f64>,
    /// That of the chip's hottest place, likewise.
    pub hotspot: Option<f64>,
    /// How many degrees Celsius it was below where it gets slower; of several readings the smallest.
    pub margin: Option<f64>,
    /// What it drew, in watts; of a minute the mean.
    pub watts: Option<f64>,
    /// How busy it was, in percent; of a minute the mean.
    pub utilisation: Option<u8>,
    /// The clock of what computes, in MHz; of a minute the mean.
    pub clock: Option<u32>,
    /// Its state by that reading; of several the gravest.
    pub state: GpuState,
    /// Why its clocks were not the highest: the reasons of all readings; null where it did not tell.
    pub throttles: Option<Vec<GpuReason>>,
}
