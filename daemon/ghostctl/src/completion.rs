//! `ghostctl completion`: what a shell needs to complete its commands.

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::{Shell, generate};

use crate::{
    arguments::{self, Context},
    exit::{Exit, Failure},
    output,
};

/// Print the completions of a shell
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  ghostctl completion bash > ~/.local/share/bash-completion/completions/ghostctl"
)]
pub(crate) struct Arguments {
    /// The shell
    shell: Kind,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Bash,
    Zsh,
    Fish,
}

impl Arguments {
    pub(crate) fn run(self, context: &Context) -> Result<Exit, Failure> {
        context.without_json()?;
        let shell = match self.shell {
            Kind::Bash => Shell::Bash,
            Kind::Zsh => Shell::Zsh,
            Kind::Fish => Shell::Fish,
        };
        let mut text = Vec::new();
        generate(shell, &mut arguments::Arguments::command(), "ghostctl", &mut text);
        output::bytes(&text)?;
        Ok(Exit::Well)
    }
}
