//! `ghostctl reload`: what is on disk, in use.

use clap::Args;
use ghostllm_core::{admin::Reloaded, routes::Admin};

use crate::{
    arguments::Context,
    client::{Answer, Question},
    exit::{Exit, Failure},
    output::{Screen, Tone},
};

/// Take the configuration on disk, and wait until it is in use
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  ghostctl reload")]
pub(crate) struct Arguments {}

impl Arguments {
    pub(crate) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        told(&context.client.ask(&Question::new(Admin::Reload)).await?, context)
    }
}

/// What became of it.
pub(crate) fn told(answer: &Answer<Reloaded>, context: &Context) -> Result<Exit, Failure> {
    let reloaded = &answer.what;
    if !reloaded.taken && !context.json {
        let fault = reloaded.fault.as_deref().unwrap_or("the daemon does not say why");
        let message = format!("the configuration is not taken, and what was in use stays in use:\n{fault}");
        return Err(Failure::new(Exit::Failed, message).next("mend it, then ghostctl reload"));
    }
    context.show(&answer.json, |screen| words(reloaded, screen))?;
    Ok(if reloaded.taken { Exit::Well } else { Exit::Failed })
}

fn words(reloaded: &Reloaded, screen: &Screen) -> String {
    let changed = match reloaded.changed.as_slice() {
        [] => "The configuration is in use; nothing has changed.".to_owned(),
        changed => format!("The configuration is in use. Changed: {}", changed.join(", ")),
    };
    let mut out = screen.hanging("", Tone::Plain, &changed);
    if !reloaded.restart.is_empty() {
        let words = format!("{} (systemctl restart ghostllm)", reloaded.restart.join(", "));
        out.push_str(&screen.hanging("These need a restart: ", Tone::Amiss, &words));
    }
    out
}
