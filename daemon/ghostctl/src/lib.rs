//! `ghostctl`: arguments in, one command, an exit code out.
//!
//! Knows the admin API's forms and its socket. Refuses to know the daemon's internals. Invariants: what was asked for goes to
//! standard output, everything else to standard error; what fails says the next step, and ends with its code of [`exit::Exit`].
#![forbid(unsafe_code)]

mod arguments;
mod audit;
mod backends;
mod backup;
mod cert;
mod client;
mod completion;
mod config;
mod confirm;
mod doctor;
mod events;
mod exit;
mod gpu;
mod help;
mod keys;
mod logs;
mod models;
mod output;
mod reload;
mod requests;
mod restore;
mod socket;
mod span;
mod status;
mod tasks;
mod usage;
mod version;

use std::{env, process::ExitCode};

use clap::{CommandFactory, Parser, error::ErrorKind};
use tokio::runtime::Builder;

use arguments::Arguments;
use exit::{Exit, Failure};

/// The whole command line, for the generated documents.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Runs what the process was called with.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return wrongly_called(&error),
    };
    let json = arguments.global.json;
    let ended = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failed, format!("the system gives no event queue: {error}")))
        .and_then(|runtime| runtime.block_on(arguments.run()));
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => failure.tell(json),
    }
}

/// Help, the version, or what is wrong with the arguments; its next step is clap's.
fn wrongly_called(error: &clap::Error) -> ExitCode {
    let asked_for = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if !asked_for && env::args_os().any(|argument| argument == "--json") {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        let failure = Failure::new(Exit::Usage, line.strip_prefix("error: ").unwrap_or(line));
        let tip =
            text.lines().find_map(|line| line.trim().strip_prefix("tip: ")).map(|tip| format!("{tip}; "));
        failure.next(format!("{}{}", tip.unwrap_or_default(), help::of_this_command())).tell_json();
    }
    if asked_for {
        // Nobody is left to tell where this cannot be written.
        let _told = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.render().to_string();
    output::say(&text.trim_end().replace("try '--help'", &format!("try '{}'", help::of_this_command())));
    Exit::Usage.into()
}
