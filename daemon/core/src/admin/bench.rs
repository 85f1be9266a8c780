//! What `ghostllm bench` has measured.
//!
//! Times are milliseconds, percentiles nearest ranks: p90 is the best value that nine of ten answers were at least as good as, so that of a
//! rate it lies at the slow end, as it does of a time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What `ghostllm bench --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Benched {
    /// The version of this form.
    pub version: u32,
    /// How the run came to its end.
    pub ended: BenchEnd,
    /// The model, as the gateway was asked for it.
    pub model: String,
    /// The backend that has it.
    pub backend: String,
    /// That backend's kind; null where the daemon does not say.
    pub kind: Option<String>,
    /// What was spoken with the gateway: `HTTP/1.1`, `HTTP/2` or `HTTP/3`.
    pub http: String,
    /// How many requests were open at a time.
    pub at_once: usize,
    /// How many requests each leg was to get.
    pub requests: usize,
    /// How many tokens an answer could have at the most.
    pub max_tokens: u32,
    /// In how many rounds the legs took turns.
    pub rounds: usize,
    /// What the prompts were.
    pub prompts: String,
    /// Through the gateway.
    pub gateway: BenchLeg,
    /// To the backend itself; null where that was not possible.
    pub direct: Option<BenchLeg>,
    /// Why it was not.
    pub direct_missing: Option<String>,
    /// What the gateway costs; null where one of the legs is missing.
    pub overhead: Option<BenchOverhead>,
}

/// How a run came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BenchEnd {
    /// Every request was made.
    Completed,
    /// Somebody has interrupted it.
    Interrupted,
    /// Too many requests had failed in a row.
    GaveUp,
}

/// One way to the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BenchLeg {
    /// Where it leads.
    pub at: String,
    /// How many requests were answered whole; all figures are theirs.
    pub answered: usize,
    /// Those that were not, by kind.
    pub errors: Vec<BenchError>,
    /// From the request to the first token, in milliseconds.
    pub first_token_ms: Option<BenchFigure>,
    /// Tokens after the first a second, of each answer.
    pub tokens_per_second: Option<BenchFigure>,
    /// From the request to the answer's end, in milliseconds.
    pub answer_ms: Option<BenchFigure>,
    /// Tokens of all answers.
    pub tokens: u64,
    /// Whether the engine has counted them; else each event with text counts as one.
    pub counted: bool,
    /// How long the requests took, all together.
    pub seconds: f64,
    /// Tokens a second of all requests together.
    pub tokens_per_second_in_all: Option<f64>,
}

/// Requests that failed in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BenchError {
    /// How, for programs: an error's code of the API, or `connection`, `cut_off`, `late`, `garbage`.
    pub code: String,
    /// How many.
    pub count: usize,
    /// What the last of them said.
    pub message: String,
}

/// A figure of many answers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BenchFigure {
    /// Of how many.
    pub count: usize,
    /// The best.
    pub best: f64,
    /// The median.
    pub p50: f64,
    /// Null for fewer than 10 answers.
    pub p90: Option<f64>,
    /// Null for fewer than 100 answers.
    pub p99: Option<f64>,
    /// The worst.
    pub worst: f64,
}

/// What the gateway costs: how much worse its medians are than those of the direct way.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BenchOverhead {
    /// Until the first token.
    pub first_token: Option<BenchCost>,
    /// In tokens a second.
    pub tokens_per_second: Option<BenchCost>,
    /// Until the answer's end.
    pub answer: Option<BenchCost>,
}

/// How much worse a median is; what is better is negative.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BenchCost {
    /// In the figure's own unit.
    pub difference: f64,
    /// In percent of the direct way's median.
    pub percent: f64,
    /// The lower end of its 95 % interval, in percent, by a bootstrap of the medians; null for fewer than 5 answers of a leg.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
    /// Whether the interval lies on one side of zero; null where there is none.
    pub beyond_noise: Option<bool>,
}
