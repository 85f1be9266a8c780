//! The `ghostctl` program: arguments in, one command, an exit code out.
//!
//! Knows the command line and the exit codes. Refuses to know the daemon's internals. Invariant: what was asked for
//! goes to standard output and nothing else does; 0 well, 1 not well, 2 wrongly called, 3 not reachable.
#![forbid(unsafe_code)]

mod get;
mod status;
mod url;

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::{Parser, Subcommand};

use url::Url;

/// Asks and manages the GhostLLM daemon on this computer.
#[derive(Debug, Parser)]
#[command(name = "ghostctl", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Says in one line whether the daemon serves and a model can answer. Exit code: 0 both, 1 not both, 3 not reachable
    Status {
        /// The daemon's plain address
        #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:11430")]
        url: Url,
        /// As JSON for programs, one line, fields only ever added within one `version`
        #[arg(long)]
        json: bool,
        /// How long to wait for each answer, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
        timeout: u64,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Status { url, json, timeout } => {
            let status = status::ask(&url, Duration::from_secs(timeout));
            let text = if json { status.json(&url) } else { status.sentence(&url) };
            if show(&text) { ExitCode::from(status.exit_code()) } else { ExitCode::FAILURE }
        }
    }
}

/// Writes one line; `false` where standard output is closed or full, which only the exit code can still tell.
fn show(text: &str) -> bool {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).is_ok()
}
