//! `ghostllm config`: what the configuration is, whether it is sound, what it can be.
//!
//! Knows the subcommands. Refuses to know the settings. Invariant: what `check` calls sound is what `serve` reads, since both
//! read it in the same way, the state as well where it is named.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use ghostllm_core::config::Config;

use super::{
    Failure,
    sources::{self, Settings},
};
use crate::{
    app::{StartError, named, trial},
    store::settings::Kept,
};

/// What is wanted of the configuration.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print every setting, its value and where that comes from
    ///
    /// The text is TOML and can be read back. Behind each value stands its place: file, line and
    /// column, an environment variable, an argument, or that it is the default. No secret is in
    /// it, since no setting holds one.
    #[command(verbatim_doc_comment)]
    Show {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        settings: Settings,
    },
    /// Look for faults, and print all of them with their places
    ///
    /// Reads what `ghostllm serve` would read: the files, the chosen profile, the environment and
    /// the arguments; and, of what these name, the files with keys and the certificate, as this
    /// user. With --state-dir, also the state that lies there: whether this version could take it
    /// over, and what it would change. Nothing is changed by looking, and a daemon may be running.
    ///
    /// Each source is judged by itself, as `serve` does it: a fault of a file counts also where the
    /// environment or an argument lies over it, since it holds again once they are gone.
    ///
    /// Ends with 0 where all is sound, with 2 where it is not or a file is missing, with 74 where
    /// this version could not use the state, with 77 where a file may not be read, or others may
    /// read a private key.
    #[command(verbatim_doc_comment)]
    Check {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        settings: Settings,
    },
    /// Print the JSON Schema of a configuration file, for editors
    Schema,
    /// Print a commented configuration file of all settings and their defaults
    Example,
    /// Print the reference page of all settings, in Markdown
    Reference,
}

/// The file, as it stands at hand and as `serve` wants it: whoever has written one command writes the other likewise.
#[derive(Debug, Args)]
pub(super) struct Named {
    /// The configuration, instead of the one that is found
    file: Option<PathBuf>,
    /// The same, as `ghostllm serve` takes it
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    config: Option<PathBuf>,
    /// A state directory, for what `ghostctl config set` has kept there; `check` looks at all of it
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

impl Named {
    fn kept(&self) -> Result<Kept, Failure> {
        let kept = self.state_dir.as_deref().map(Kept::glance).transpose().map_err(StartError::from)?;
        Ok(kept.unwrap_or_default())
    }

    fn path(&self) -> Option<&Path> {
        self.file.as_deref().or(self.config.as_deref())
    }
}

/// Runs it; gives back what is printed.
pub(super) fn run(command: &Command) -> Result<String, Failure> {
    match command {
        Command::Show { named, settings } => {
            Ok(sources::load(named.path(), settings, &named.kept()?)?.show())
        }
        Command::Check { named, settings } => check(named, settings),
        Command::Schema => Ok(Config::schema()),
        Command::Example => Ok(Config::example()),
        Command::Reference => Ok(Config::reference()),
    }
}

/// Both are looked at, whatever is wrong with the other: whoever mends one should hear of the other as well.
fn check(named: &Named, settings: &Settings) -> Result<String, Failure> {
    let checked = named.kept().and_then(|kept| check_config(named, settings, &kept));
    let own_ca = checked.as_ref().map_or(true, |(_, config)| config.listen.certificate.is_none());
    let taken = named.state_dir.as_deref().map_or(Ok(String::new()), |path| taken(path, own_ca));
    match (checked, taken) {
        (Ok((words, _)), taken) => taken.map(|taken| words + &taken),
        (Err(failure), Ok(_)) => Err(failure),
        // What keeps the kept settings from being read is a fault of the state, and told once.
        (Err(failure), Err(state)) if state.message.contains(&failure.message) => Err(state),
        (Err(failure), Err(state)) => {
            Err(Failure { code: failure.code, message: format!("{}\n{}", failure.message, state.message) })
        }
    }
}

fn check_config(named: &Named, settings: &Settings, kept: &Kept) -> Result<(String, Config), Failure> {
    let files = sources::files(named.path())?;
    sources::check_readable(&files)?;
    let loaded = sources::read(&files, settings, kept)?;
    sources::check_named(&loaded)?;
    Ok((sound(&files) + &unseen(&loaded.config), loaded.config))
}

/// Whether this version could take the state over, and what it would change.
fn taken(path: &Path, own_ca: bool) -> Result<String, Failure> {
    let (found, shown) = (trial::state(path, own_ca), path.display());
    if let Some((code, _)) = found.faults.first() {
        let faults = indented(found.faults.iter().map(|(_, fault)| fault));
        let message =
            format!("this version could not use the state in {shown}:\n{faults}Nothing was changed.");
        return Err(Failure { code: *code, message });
    }
    let notes = indented(found.notes.iter());
    Ok(match (found.there, notes.is_empty()) {
        (false, _) => format!("There is no state in {shown} yet.\n"),
        (true, true) => format!("The state in {shown} can be used as it is.\n"),
        (true, false) => format!("The state in {shown} can be used. A start would find:\n{notes}"),
    })
}

fn indented<'a>(lines: impl Iterator<Item = &'a String>) -> String {
    lines.map(|line| format!("  {line}\n")).collect()
}

/// What could not be looked at: outside the service there are no credentials.
fn unseen(config: &Config) -> String {
    let settings = named::unseen(config);
    if settings.is_empty() {
        return String::new();
    }
    format!("Not looked at, since only the service has its systemd credentials: {}.\n", settings.join(", "))
}

/// What was read; it may not be what was meant.
fn sound(files: &[PathBuf]) -> String {
    if files.is_empty() {
        return "The configuration is sound. No file was read, for there is none: what is not in the environment or the \
                arguments has its default.\n"
            .to_owned();
    }
    let files: String = files.iter().map(|path| format!("  {}\n", path.display())).collect();
    format!(
        "The configuration is sound. Below the environment and the arguments, these files were read:\n{files}"
    )
}
