//! `ghostctl config`: what is in use, whether what is on disk is sound, and settings that are changed and kept.

mod change;

use std::path::PathBuf;

use clap::Subcommand;
use ghostllm_core::{
    admin::{Checked, ConfigShown, PendingSetting},
    routes::Admin,
};

use crate::{
    arguments::Context,
    client::Question,
    exit::{Exit, Failure},
    output::{self, Tone, text},
};

/// The configuration: what it is, and whether it is sound
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  ghostctl config check")]
pub(crate) enum Command {
    /// Whether what is on disk can be used; exit code 1 where it cannot
    #[command(after_help = "Example:\n  ghostctl config check")]
    Check,
    /// Every setting in use, with the place where it was set
    #[command(after_help = "Example:\n  ghostctl config show")]
    Show,
    /// Change settings at once, and keep that over the files
    #[command(
        after_help = "Kept in the state directory, over what the files say, and below the environment\n\
                      and the arguments of the daemon. Several are taken together or not at all.\n\n\
                      Example:\n  ghostctl config set log.level debug\n  \
                      ghostctl config set limits.threads 4 limits.drain_grace 60s"
    )]
    Set {
        /// Names and values in turn, as log.level debug
        #[arg(required = true, num_args = 1.., value_name = "KEY VALUE")]
        words: Vec<String>,
    },
    /// Keep settings no more: what the files say counts again
    #[command(after_help = "Example:\n  ghostctl config unset log.level")]
    Unset {
        /// A setting's whole name, as log.level
        #[arg(required = true, value_name = "KEY")]
        names: Vec<String>,
        /// In this state directory, while no daemon runs
        #[arg(long, value_name = "DIR")]
        state_dir: Option<PathBuf>,
    },
}

impl Command {
    pub(crate) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Check => check(context).await,
            Self::Show => show(context).await,
            Self::Set { words } => change::set(words, context).await,
            Self::Unset { names, state_dir } => change::unset(names, state_dir.as_deref(), context).await,
        }
    }
}

async fn check(context: &Context) -> Result<Exit, Failure> {
    let answer = context.client.ask::<Checked>(&Question::new(Admin::CheckConfig)).await?;
    let checked = &answer.what;
    if !checked.sound && !context.json {
        let faults = checked.faults.join("\n");
        return Err(Failure::new(Exit::Failed, format!("the configuration cannot be used:\n{faults}"))
            .next("mend it, then ghostctl config check"));
    }
    context.show(&answer.json, |screen| {
        let sound = screen.hanging("", Tone::Plain, "The configuration is sound.");
        checked.files.iter().fold(sound, |out, file| out + &screen.hanging("  ", Tone::Plain, file))
    })?;
    Ok(if checked.sound { Exit::Well } else { Exit::Failed })
}

async fn show(context: &Context) -> Result<Exit, Failure> {
    let answer = context.client.ask::<ConfigShown>(&Question::new(Admin::Config)).await?;
    let shown = &answer.what;
    // It can be read back, so that its lines stay whole.
    context.show(&answer.json, |_| format!("{}\n", text::clean_lines(shown.toml.trim_end())))?;
    if context.json {
        return Ok(Exit::Well);
    }
    if let Some(refused) = &shown.refused {
        output::say(&format!("What is on disk is not in use: {refused}\nNext: ghostctl config check"));
    }
    if !shown.restart.is_empty() {
        output::say(&format!("These differ on disk and need a restart: {}", shown.restart.join(", ")));
    }
    for PendingSetting { setting, in_use, on_disk, place } in &shown.pending {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "not set".to_owned());
        let line = format!("  {setting}: {} now, {} then ({place})", value(in_use), value(on_disk));
        output::say(&text::clean(&line));
    }
    Ok(Exit::Well)
}
