//! The command line of `ghostllm`: its modes and their exit codes.
//!
//! Knows arguments. Refuses to know what a mode does with them. Invariant: what fails says what is wrong and what to do on
//! standard error, and ends with the code that [`Failure`] names.

mod bench;
mod config;
#[cfg(test)]
#[path = "../examples/ghostllm-documents/render.rs"]
mod documents;
mod inspect;
mod sources;

use std::{
    env,
    io::{ErrorKind, IsTerminal, Write},
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::{Args, Parser, Subcommand};
use futures_util::FutureExt;
use ghostllm_edge::workers;
use tokio::runtime::Builder;

use crate::{
    access,
    app::{App, Given, Handed, StartError, descriptors, heap},
    dumps, exit, log,
    store::{StateDir, keys::Show, settings::Kept},
    tasks::{
        reload::{self, Changes},
        state::PANICKED,
        supervisor,
    },
};
use sources::{Again, Settings};

/// How long what reads files may take to end.
const LAST_READS: Duration = Duration::from_secs(1);

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
    /// Show what there is here at one glance: host, graphics cards, engines, models, listeners, limits
    ///
    /// Asks the daemon over its admin socket where one runs and this user may; else it looks by
    /// itself, and changes nothing. Ends with 0 when it has looked, whether a daemon runs or not;
    /// with 2, or 77 where a file may not be read, when the configuration cannot be used, which
    /// is told after the rest.
    ///
    /// With --flight it tells what graphics cards went through before something happened to them,
    /// as the daemon has kept it in its state directory.
    #[command(verbatim_doc_comment)]
    Inspect(inspect::Inspect),
    /// Look at the configuration: what it is, whether it is sound, what it can be
    #[command(subcommand)]
    Config(config::Command),
    /// Measure a model through the running daemon and beside it
    Bench(bench::Bench),
}

#[derive(Debug, Args)]
struct Serve {
    /// The configuration, instead of the one that is found; conf.d is read beside the found one only
    /// [default: /etc/ghostllm/ghostllm.toml, else $XDG_CONFIG_HOME/ghostllm/ghostllm.toml]
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    config: Option<PathBuf>,
    /// Where keys and certificates are kept [default: $STATE_DIRECTORY, else $XDG_STATE_HOME/ghostllm]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
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
    fn usage(message: impl Into<String>) -> Self {
        Self { code: exit::USAGE, message: message.into() }
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
    let ended = match arguments.mode {
        Mode::Serve(arguments) => serve(&arguments),
        Mode::Inspect(arguments) => inspect::run(&arguments),
        Mode::Config(command) => config::run(&command).and_then(|text| print(&text)),
        Mode::Bench(arguments) => bench::run(&arguments),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody is left to tell if standard error is closed; the exit code says it as well.
            let _told = writeln!(std::io::stderr(), "ghostllm: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}

fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever has closed it, as `head` does, wants no more of it.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure {
            code: exit::INTERNAL,
            message: format!("standard output cannot be written: {error}"),
        }),
        _ => Ok(()),
    }
}

fn serve(arguments: &Serve) -> Result<(), Failure> {
    let state = StateDir::choose(arguments.state_dir.as_deref(), |name| env::var_os(name))
        .map_err(StartError::from)?;
    // What cannot be read is told when the directory is claimed, before anything is served.
    let kept = Kept::glance(&state).unwrap_or_default();
    served(arguments, &state, &kept).map_err(|failure| with_kept(failure, &state, &kept))
}

/// What `ghostctl config set` has kept may be why nothing starts, and there is no daemon then to take it back.
fn with_kept(mut failure: Failure, state: &Path, kept: &Kept) -> Failure {
    let names: Vec<String> = kept.settings().settings.into_keys().collect();
    if !names.is_empty() && matches!(failure.code, exit::USAGE | exit::UNAVAILABLE | exit::PERMISSION) {
        failure.message.push_str(&format!(
            "\nSettings that `ghostctl config set` has kept count as well. Without them it goes on so: ghostctl config unset {} \
             --state-dir {}",
            names.join(" "),
            access::quoted(state)
        ));
    }
    failure
}

/// Before anything secret is in it.
fn keep_memory() -> Result<(), Failure> {
    dumps::forbid().map_err(|error| Failure {
        code: exit::INTERNAL,
        message: format!("this process cannot keep its memory to itself (prctl, setrlimit): {error}"),
    })
}

fn served(arguments: &Serve, state: &Path, kept: &Kept) -> Result<(), Failure> {
    keep_memory()?;
    reload::hold_hangup();
    // Before there is a second thread: it changes the environment.
    let handed = Handed::take();
    let again =
        Again { file: arguments.config.clone(), settings: arguments.settings.clone(), kept: kept.clone() };
    // Looked at before they are read: what changes in between is seen.
    let changes = Changes::new(Arc::new(again));
    let loaded = sources::load(arguments.config.as_deref(), &arguments.settings, kept)?;
    let config = &loaded.config;
    heap::bound(&config.limits);
    let log = log::start(&config.log).map_err(|error| Failure {
        code: exit::INTERNAL,
        message: format!("no log can be written: {error}"),
    })?;
    descriptors::raise(&config.limits);
    let show = if std::io::stderr().is_terminal() { Show::OnTerminal } else { Show::InFile };
    // One thread; the others that serve have a runtime each.
    let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| Failure {
        code: exit::INTERNAL,
        message: format!("no runtime can be started: {error}"),
    })?;
    let serving = AssertUnwindSafe(async {
        let app = App::build(loaded, changes, Given { state, kept: kept.clone(), show, log: &log, handed })?;
        app.run().await
    });
    let ended = runtime.block_on(serving.catch_unwind()).unwrap_or_else(|_its_words| {
        let failure = supervisor::Failure { task: workers::name(0), error: PANICKED.to_owned() };
        tracing::error!(task = failure.task, "a critical task ended: {}", failure.error);
        Err(StartError::Task(failure))
    });
    // A thread that waits for a sick disk would hold up the end.
    runtime.shutdown_timeout(LAST_READS);
    Ok(ended?)
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
    fn the_kept_man_page_and_completions_are_what_the_commands_are_now() {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/docs");
        let made = documents::all(&Arguments::command()).unwrap();
        assert_eq!(made.len(), 4);
        for (name, text) in made {
            let there = std::fs::read(kept.join(&name)).unwrap_or_default();
            assert!(there == text, "{} is another; `just docs` renews it", name.display());
        }
        let page = std::fs::read_to_string(kept.join("man/ghostllm.8")).unwrap();
        for option in ["config check", "\\-\\-state\\-dir", "\\-\\-set", "\\-\\-flight", "\\-\\-requests"] {
            assert!(page.contains(option), "the page lacks {option}");
        }
    }
}
