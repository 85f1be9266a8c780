//! `ghostllm bench`: its arguments, and what is printed at its end.
//!
//! Knows arguments and exit codes. Refuses to know how anything is measured. Invariant: with `--json` standard output has one line, of the form
//! `Benched`, or `Refused` where nothing was measured.

use std::{
    env,
    path::{Path, PathBuf},
};

use clap::Args;
use ghostllm_core::{admin::BenchEnd, key, text};
use http::Version;
use tokio::runtime::Builder;

use super::{
    Failure, keep_memory, print,
    sources::{self, Settings},
};
use crate::{
    bench::{self, Order, Unmeasured},
    exit,
    store::{StateDir, settings::Kept},
};

/// The most requests at a time: as many streams as a connection carries by default leave room for others.
const MOST_AT_ONCE: u64 = 64;
/// The most requests of a leg; with more the figures get no better, and all of them stay in memory.
const MOST_REQUESTS: u64 = 100_000;
/// The most tokens of an answer.
const MOST_TOKENS: i64 = 32_768;

/// What is to be measured.
#[derive(Debug, Args)]
#[command(
    about = "Measure a model through the running daemon and beside it",
    after_help = "Example:\n  export GHOSTLLM_KEY=$(ghostctl keys create bench --scope chat --expires 1h)\n  ghostllm bench llama3.2 -c 4 --requests 100 --http 3",
    long_about = "Measure a model through the running daemon and beside it: time to first token, tokens a\nsecond, and what the gateway costs.\n\nThe daemon is asked over TLS, with its certificate checked and the key in GHOSTLLM_KEY; the\nbackend is asked by its own API, where it can be reached from here. The two take turns."
)]
pub(super) struct Bench {
    /// What the daemon calls it [default: the first that answers a chat]
    model: Option<String>,
    /// Requests at a time
    #[arg(short = 'c', long = "concurrency", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=MOST_AT_ONCE))]
    at_once: u64,
    /// Requests through the gateway, and as many beside it
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=MOST_REQUESTS))]
    requests: u64,
    /// The HTTP version that is spoken with the gateway
    #[arg(long, value_name = "1|2|3", default_value = "2", value_parser = ["1", "2", "3"], hide_possible_values = true)]
    http: String,
    /// Tokens of an answer at the most
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=MOST_TOKENS))]
    max_tokens: u32,
    /// One line of JSON, of the form Benched in admin-api.schema.json
    #[arg(long)]
    json: bool,
    /// A file with the CA to trust [default: the box's own, else the system's]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The daemon's state directory, where it is not the usual one
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// The daemon's admin socket [default: $GHOSTLLM_SOCKET, else the first that there is]
    #[arg(long, value_name = "FILE", conflicts_with = "state_dir")]
    socket: Option<PathBuf>,
}

impl From<Unmeasured> for Failure {
    fn from(error: Unmeasured) -> Self {
        // Backends and gateways have a say in it.
        Self { code: error.exit_code(), message: text::clean_lines(&key::hidden(&error.to_string())) }
    }
}

/// Measures, and prints what there is to say.
pub(super) fn run(arguments: &Bench) -> Result<(), Failure> {
    keep_memory()?;
    let json = arguments.json;
    let told = |error: Unmeasured| {
        let printed = if json { print(&format!("{}\n", error.json())) } else { Ok(()) };
        printed.err().unwrap_or_else(|| error.into())
    };
    let order = arguments.order().map_err(told)?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| Failure {
        code: exit::INTERNAL,
        message: format!("no runtime can be started: {error}"),
    })?;
    let measured = runtime.block_on(bench::run(&order)).map_err(told)?;
    if json {
        let line = serde_json::to_string(&measured.benched).map_err(|error| Failure {
            code: exit::INTERNAL,
            message: format!("the figures are no JSON: {error}"),
        })?;
        print(&format!("{}\n", text::one_line(&line)))?;
    } else {
        print(&measured.text())?;
    }
    let failed = measured.failed();
    match measured.benched.ended {
        BenchEnd::Interrupted => Err(Failure {
            code: exit::INTERRUPTED,
            message: "interrupted; what was measured is above".to_owned(),
        }),
        _ if failed > 0 => Err(Failure {
            code: exit::INTERNAL,
            message: format!(
                "{failed} of the requests failed, as told above. See why: ghostctl status, ghostctl logs --since 1h"
            ),
        }),
        BenchEnd::Completed | BenchEnd::GaveUp => Ok(()),
    }
}

impl Bench {
    fn order(&self) -> Result<Order, Unmeasured> {
        if self.requests < self.at_once {
            return Err(Unmeasured::Usage(format!(
                "--requests {} is less than the {} that are to be open at a time. Write --requests {} or more",
                self.requests, self.at_once, self.at_once
            )));
        }
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(Order {
            model: self.model.clone(),
            at_once: count(self.at_once),
            requests: count(self.requests),
            max_tokens: self.max_tokens,
            http: match self.http.as_str() {
                "1" => Version::HTTP_11,
                "3" => Version::HTTP_3,
                _ => Version::HTTP_2,
            },
            ca: self.ca.clone(),
            state: self.state_dir.clone(),
            socket: self.socket.clone(),
            set: set(self.state_dir.as_deref()),
        })
    }
}

/// The socket that this box's configuration sets; one that cannot be read sets none.
fn set(state: Option<&Path>) -> Option<PathBuf> {
    let state = StateDir::choose(state, |name| env::var_os(name)).ok();
    // Another user's state is not for whoever asks.
    let kept = state.and_then(|state| Kept::glance(&state).ok()).unwrap_or_default();
    sources::load(None, &Settings::default(), &kept).ok()?.config.listen.admin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_backend_has_said_is_obeyed_by_no_terminal() {
        let said = || Unmeasured::Failed("evil\u{9b}2J\u{202e}\nSee: ghostctl status".to_owned());
        assert_eq!(Failure::from(said()).message, "evil\\u{9b}2J\\u{202e}\nSee: ghostctl status");
        let json = said().json();
        assert!(!json.chars().any(text::is_obeyed) && json.contains("\\u009b"), "{json}");
    }
}
