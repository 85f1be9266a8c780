//! `ghostctl gpu`: what the cards say, what is done about their heat, and what is wrong with them.
//!
//! Knows the forms of the admin API. Refuses to ask a card itself. Invariant: what a card does not tell is never shown as a number.

mod history;
mod spark;
mod text;
mod watch;
pub(crate) mod wrong;

#[cfg(test)]
mod sample;

use clap::{Args, Subcommand};
use ghostllm_core::{
    admin::{GpuCard, GpuReport, GpuState, Severity},
    routes::Admin,
};

use crate::{
    arguments::Context,
    client::Question,
    exit::{Exit, Failure},
    output::Tone,
};

/// The graphics cards: heat, what is done about it, and what is wrong
#[derive(Debug, Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 well; 1 a warning or an error; 3 not reachable.\n\n\
                  Example:\n  ghostctl gpu --watch"
)]
pub(crate) struct Arguments {
    /// Draws it anew each second; q ends
    #[arg(long)]
    watch: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    History(history::Arguments),
}

impl Arguments {
    pub(crate) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self.command {
            Some(Command::History(_)) if self.watch => {
                let message = "a history is not watched: it has been";
                Err(Failure::new(Exit::Usage, message)
                    .next("ghostctl gpu --watch, which draws the last ten minutes"))
            }
            Some(Command::History(command)) => command.run(context).await,
            None if self.watch => watch::run(context).await,
            None => once(context).await,
        }
    }
}

async fn once(context: &Context) -> Result<Exit, Failure> {
    let answer = context.client.ask::<GpuReport>(&Question::new(Admin::Gpu)).await?;
    let faults = wrong::all(&answer.what);
    context.show(&answer.json, |screen| text::drawn(&answer.what, &faults, screen))?;
    let bad = faults.iter().any(|fault| fault.severity > Severity::Note);
    Ok(if bad { Exit::Failed } else { Exit::Well })
}

/// What a card is in a few words, and how it is shown. Its state is kept for a while after it has cooled.
fn state_of(card: &GpuCard) -> (&'static str, Tone) {
    if wrong::was_hot(card) {
        return ("just slowed down by its heat", Tone::Amiss);
    }
    match card.state {
        // Its heat is told, and nothing by which to judge it.
        GpuState::Unknown if card.gpu.celsius.value().is_some() => ("slowdown not known", Tone::Plain),
        known => state(known),
    }
}

/// A state in a few words, and how it is shown.
fn state(state: GpuState) -> (&'static str, Tone) {
    match state {
        GpuState::Cool => ("cool", Tone::Good),
        GpuState::ThrottledByPower => ("at its power limit", Tone::Good),
        GpuState::Warm => ("warm", Tone::Amiss),
        GpuState::Unknown => ("of unknown heat", Tone::Plain),
        GpuState::Stale => ("not answering", Tone::Bad),
        GpuState::ThrottledByBrake => ("slowed down by the power supply", Tone::Bad),
        GpuState::ThrottledByHeat => ("slowed down by its heat", Tone::Bad),
        GpuState::Lost => ("lost", Tone::Bad),
    }
}

fn severity(severity: Severity) -> (&'static str, Tone) {
    match severity {
        Severity::Note => ("note", Tone::Plain),
        Severity::Warning => ("warning", Tone::Amiss),
        Severity::Error => ("error", Tone::Bad),
    }
}
