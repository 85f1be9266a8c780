//! `ghostctl config`: what is in use, whether what is on disk is sound.

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
}

impl Command {
    pub(crate) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Check => check(context).await,
            Self::Show => show(context).await,
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
