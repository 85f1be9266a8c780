//! `ghostctl reload`: what is on disk, in use.

use clap::Args;
use ghostllm_core::{admin::Reloaded, routes::Admin};

use crate::{
    arguments::Context,
    client::Question,
    exit::{Exit, Failure},
    output::{Screen, Tone},
};

/// Take the configuration on disk, and wait until it is in use
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  ghostctl reload")]
pub(crate) struct Arguments {}

impl Arguments {
    pub(crate) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let answer = context.client.ask::<Reloaded>(&Question::new(Admin::Reload).slow()).await;
        let answer = answer.map_err(|failure| match failure.exit {
            // The fault itself, as the daemon tells it.
            Exit::Failed if failure.code() == Some("conflict") => {
                failure.next("mend it, then ghostctl reload")
            }
            _ => failure,
        })?;
        context.show(&answer.json, |screen| words(&answer.what, screen))?;
        Ok(if answer.what.taken { Exit::Well } else { Exit::Failed })
    }
}

fn words(reloaded: &Reloaded, screen: &Screen) -> String {
    if !reloaded.taken {
        let fault = reloaded.fault.as_deref().unwrap_or("the daemon does not say why");
        return screen.hanging("not in use: ", Tone::Bad, fault);
    }
    let changed = match reloaded.changed.as_slice() {
        [] => "The configuration is in use; nothing has changed.".to_owned(),
        changed => format!("The configuration is in use. Changed: {}", changed.join(", ")),
    };
    screen.hanging("", Tone::Plain, &changed) + &waiting(&reloaded.restart, screen)
}

/// The settings that wait for a restart; nothing where none does.
pub(crate) fn waiting(settings: &[String], screen: &Screen) -> String {
    if settings.is_empty() {
        return String::new();
    }
    let words = format!("{} (systemctl restart ghostllm)", settings.join(", "));
    screen.hanging("These need a restart: ", Tone::Amiss, &words)
}
