//! `ghostctl version`: its own, and the daemon's.

use clap::Args;
use ghostllm_core::{
    admin::{FORM, Status, Versions},
    routes::Admin,
};

use crate::{
    arguments::Context,
    client::Question,
    exit::{Exit, Failure},
    output::text,
};

const OWN: &str = env!("CARGO_PKG_VERSION");

/// The version of this program, and of the daemon where it answers
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  ghostctl version")]
pub(crate) struct Arguments {}

impl Arguments {
    pub(crate) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let daemon = context.client.ask::<Status>(&Question::new(Admin::Status)).await;
        let daemon = daemon.ok().map(|status| status.what.program);
        let versions = Versions { version: FORM, ghostctl: OWN.to_owned(), daemon: daemon.clone() };
        let json = serde_json::to_string(&versions).unwrap_or_default();
        context.show(&text::one_line(&json), |_| {
            let own = format!("ghostctl {OWN}\n");
            daemon.iter().fold(own, |own, daemon| own + &format!("ghostllm {}\n", text::clean(daemon)))
        })?;
        Ok(Exit::Well)
    }
}
