//! The command line of `ghostllm`: its modes, where its configuration comes from, its exit codes.
//!
//! Knows arguments, files and the environment. Refuses to know what a mode does with them. Invariant: a start that
//! fails says what is wrong and what to do on standard error, and ends with the code that [`Failure`] names.

use std::{
    env, fs,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use ghostllm_core::config::{Config, Source};
use tokio::runtime::Builder;

use crate::{
    access,
    app::{App, StartError, descriptors},
    exit, log,
    store::{StateDir, keys::Show},
};

/// Where an administrator's configuration lies.
const SYSTEM_FILE: &str = "/etc/ghostllm/ghostllm.toml";

/// A gateway for language models on this box: OpenAI's API over HTTP/1.1, HTTP/2 and HTTP/3.
#[derive(Debug, Parser)]
#[command(name = "ghostllm", version, about, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Serve until told to stop
    Serve(Serve),
}

#[derive(Debug, Args)]
struct Serve {
    /// The configuration [default: /etc/ghostllm/ghostllm.toml, else $XDG_CONFIG_HOME/ghostllm/ghostllm.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where keys and certificates are kept [default: $STATE_DIRECTORY, else $XDG_STATE_HOME/ghostllm]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// One setting, over the file's and the environment's; may be repeated: --set listen.tls=[::]:443
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Why the program ends early.
#[derive(Debug)]
pub struct Failure {
    /// Its exit code.
    pub code: u8,
    /// What is wrong and what to do; may have several lines.
    pub message: String,
}

impl Failure {
    fn usage(message: String) -> Self {
        Self { code: exit::USAGE, message }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self { code: error.exit_code(), message: error.to_string() }
    }
}

/// Runs the mode that the arguments name.
#[must_use]
pub fn run(arguments: Arguments) -> ExitCode {
    let Mode::Serve(arguments) = arguments.mode;
    match serve(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody is left to tell if standard error is closed; the exit code says it as well.
            let _told = writeln!(std::io::stderr(), "ghostllm: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

fn serve(arguments: &Serve) -> Result<(), Failure> {
    let config = configuration(arguments.config.as_deref(), &arguments.set)?;
    let _log = log::start(&config.log).map_err(|error| Failure {
        code: exit::INTERNAL,
        message: format!("no log can be written: {error}"),
    })?;
    descriptors::raise(config.limits.connections);
    let state = StateDir::choose(arguments.state_dir.as_deref(), |name| env::var_os(name))
        .map_err(StartError::from)?;
    let show = if std::io::stderr().is_terminal() { Show::OnTerminal } else { Show::InFile };
    // One thread; the others that serve have a runtime each.
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| Failure {
        code: exit::INTERNAL,
        message: format!("no runtime can be started: {error}"),
    })?;
    runtime.block_on(async {
        let app = App::build(config, &state, show)?;
        app.run().await
    })?;
    Ok(())
}

/// Reads the configuration from the file, the environment and `--set`.
fn configuration(file: Option<&Path>, set: &[String]) -> Result<Config, Failure> {
    let mut sources = Vec::new();
    if let Some(path) = file.map(Path::to_owned).or_else(found_file) {
        let name = path.display().to_string();
        let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
        sources.push(Source::File { name, text });
    }
    let variables = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    sources.push(Source::Environment(variables.collect()));
    sources.push(Source::Set(set.to_vec()));
    Config::load(&sources).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(|error| format!("\n  {error}")).collect();
        let (count, thing) = (lines.len(), if lines.len() == 1 { "fault" } else { "faults" });
        Failure::usage(format!("the configuration has {count} {thing}:{}", lines.concat()))
    })
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let name = path.display();
    if access::is_denied(error) {
        let message = format!(
            "the configuration {name} cannot be read: {error}. {}; or name another with --config FILE",
            access::next_step(path)
        );
        return Failure { code: exit::PERMISSION, message };
    }
    Failure::usage(format!(
        "the configuration {name} cannot be read: {error}; name another with --config FILE"
    ))
}

fn found_file() -> Option<PathBuf> {
    let home = env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".config")));
    let own = home.map(|home| home.join("ghostllm/ghostllm.toml"));
    [Some(PathBuf::from(SYSTEM_FILE)), own].into_iter().flatten().find(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let failure = configuration(Some(Path::new("/nowhere/ghostllm.toml")), &[]).unwrap_err();
        assert_eq!(failure.code, exit::USAGE);
        assert!(failure.message.contains("/nowhere/ghostllm.toml"), "{}", failure.message);
    }
}
