//! The command line: every command, and what they all take.
//!
//! Knows the names of commands. Refuses to know what they do. Invariant: no argument is ever a secret.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

use crate::{
    audit, backends, backup, cert,
    client::Client,
    completion, config, doctor, events,
    exit::{Exit, Failure},
    gpu, keys, logs, models,
    output::{self, Screen},
    reload, requests, restore, status, tasks, usage, version,
};

/// Heads what every command takes, below its own.
const EVERY: &str = "Options of every command";

/// Asks and manages the GhostLLM daemon on this box, over its admin socket
#[derive(Debug, Parser)]
#[command(
    name = "ghostctl",
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    after_help = "Exit codes: 0 well or done; 1 not well or not done; 2 wrongly called;\n\
                  3 the daemon is not reachable; 4 denied; 5 not found; 130 Ctrl-C.\n\n\
                  The socket is --socket, else $GHOSTLLM_SOCKET, else the first that exists of\n\
                  /run/ghostllm/admin.sock and admin.sock in $STATE_DIRECTORY,\n\
                  $XDG_STATE_HOME/ghostllm, ~/.local/state/ghostllm and /var/lib/ghostllm.\n\
                  NO_COLOR turns colours off. COLUMNS is the width of tables.\n\n\
                  Example:\n  ghostctl status"
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The daemon's admin socket
    #[arg(long, global = true, value_name = "PATH", help_heading = EVERY, display_order = 100)]
    socket: Option<PathBuf>,
    /// Wait so long for an answer [default: 10; reload: 90]
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=3600),
        help_heading = EVERY,
        display_order = 100
    )]
    timeout: Option<u64>,
    /// For programs: the API's answer, in one line
    #[arg(long, global = true, help_heading = EVERY, display_order = 100)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Status(status::Arguments),
    #[command(subcommand)]
    Keys(keys::Command),
    #[command(subcommand)]
    Models(models::Command),
    #[command(subcommand)]
    Backends(backends::Command),
    #[command(subcommand)]
    Requests(requests::Command),
    Usage(usage::Arguments),
    Gpu(gpu::Arguments),
    Tasks(tasks::Arguments),
    #[command(subcommand)]
    Cert(cert::Command),
    #[command(subcommand)]
    Config(config::Command),
    Reload(reload::Arguments),
    Audit(audit::Arguments),
    Events(events::Arguments),
    Logs(logs::Arguments),
    Backup(backup::Arguments),
    Restore(restore::Arguments),
    Doctor(doctor::Arguments),
    Completion(completion::Arguments),
    Version(version::Arguments),
}

/// What every command works with.
#[derive(Debug)]
pub(crate) struct Context {
    /// Who is asked.
    pub(crate) client: Client,
    /// Where tables go.
    pub(crate) screen: Screen,
    /// For programs.
    pub(crate) json: bool,
}

impl Context {
    /// Prints an answer, as it is or as a table.
    pub(crate) fn show(&self, json: &str, table: impl FnOnce(&Screen) -> String) -> Result<(), Failure> {
        if self.json { output::line(json) } else { output::print(&table(&self.screen)) }
    }

    /// A command that has nothing for programs says so.
    pub(crate) fn without_json(&self) -> Result<(), Failure> {
        if self.json {
            let message = "this command has no JSON: what it prints is for shells and people";
            return Err(Failure::new(Exit::Usage, message).next("the same command without --json"));
        }
        Ok(())
    }
}

impl Arguments {
    /// Does it.
    pub(crate) async fn run(self) -> Result<Exit, Failure> {
        let client = Client::new(self.global.socket, self.global.timeout.map(Duration::from_secs));
        let context = &Context { client, screen: Screen::of_stdout(), json: self.global.json };
        match self.command {
            Command::Status(command) => command.run(context).await,
            Command::Keys(command) => command.run(context).await,
            Command::Models(command) => command.run(context).await,
            Command::Backends(command) => command.run(context).await,
            Command::Requests(command) => command.run(context).await,
            Command::Usage(command) => command.run(context).await,
            Command::Gpu(command) => command.run(context).await,
            Command::Tasks(command) => command.run(context).await,
            Command::Cert(command) => command.run(context).await,
            Command::Config(command) => command.run(context).await,
            Command::Reload(command) => command.run(context).await,
            Command::Audit(command) => command.run(context).await,
            Command::Events(command) => command.run(context).await,
            Command::Logs(command) => command.run(context).await,
            Command::Backup(command) => command.run(context).await,
            Command::Restore(command) => command.run(context),
            Command::Doctor(command) => command.run(context).await,
            Command::Completion(command) => command.run(context),
            Command::Version(command) => command.run(context).await,
        }
    }
}
