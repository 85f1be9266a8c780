//! `ghostllm config`: what the configuration is, whether it is sound, what it can be.
//!
//! Knows the subcommands. Refuses to know the settings. Invariant: what `check` calls sound is what `serve` reads, since both
//! read it in the same way.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use ghostllm_core::config::Config;

use super::{
    Failure,
    sources::{self, Settings},
};
use crate::{
    app::{StartError, named},
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
    /// user. Ends with 0 where all is sound, with 2 where it is not or a file is missing, with 77
    /// where a file may not be read, or others may read a private key.
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
    /// A state directory, for what `ghostctl config set` has kept there
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
        Command::Check { named, settings } => {
            let files = sources::files(named.path())?;
            sources::check_readable(&files)?;
            let loaded = sources::read(&files, settings, &named.kept()?)?;
            sources::check_named(&loaded)?;
            Ok(sound(&files) + &unseen(&loaded.config))
        }
        Command::Schema => Ok(Config::schema()),
        Command::Example => Ok(Config::example()),
        Command::Reference => Ok(Config::reference()),
    }
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
