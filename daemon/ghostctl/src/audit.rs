//! `ghostctl audit`: who has done what.

use clap::Args;
use ghostllm_core::{
    admin::{ActResult, AuditEntry, AuditLog},
    routes::Admin,
};

use crate::{
    arguments::Context,
    client::Question,
    exit::{Exit, Failure},
    output::{
        self, Screen, Tone,
        table::{Cell, Fit, Table},
        when,
    },
};

/// Who has done what, the newest last
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  ghostctl audit -n 50")]
pub(crate) struct Arguments {
    /// How many of the last acts
    #[arg(short = 'n', value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    number: u32,
}

impl Arguments {
    pub(crate) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let question = Question::new(Admin::Audit).query(format!("last={}", self.number));
        let answer = context.client.ask::<AuditLog>(&question).await?;
        context.show(&answer.json, |screen| table(&answer.what.entries, screen))?;
        if answer.what.entries.is_empty() && !context.json {
            output::say("Nobody has done anything yet.");
        }
        if answer.what.more && !context.json {
            output::say(&format!(
                "There are older ones: ghostctl audit -n {}",
                self.number.saturating_mul(10).min(10_000)
            ));
        }
        Ok(Exit::Well)
    }
}

fn table(entries: &[AuditEntry], screen: &Screen) -> String {
    let mut table = Table::new(&[
        ("WHEN", Fit::Whole),
        ("WHO", Fit::Wrap),
        ("FROM", Fit::Wrap),
        ("ACT", Fit::Wrap),
        ("ON", Fit::Wrap),
        ("RESULT", Fit::Whole),
    ]);
    for entry in entries {
        let result = match entry.result {
            ActResult::Done => Cell::new("done", Tone::Good),
            ActResult::Denied => Cell::new("denied", Tone::Amiss),
            ActResult::Failed => Cell::new("failed", Tone::Bad),
        };
        let who = if entry.name.is_empty() { &entry.who } else { &entry.name };
        table.row([
            Cell::from(when::told(screen, &entry.at)),
            Cell::from(who),
            Cell::from(&entry.from),
            Cell::from(&entry.act),
            Cell::from(entry.on.as_deref().unwrap_or("-")),
            result,
        ]);
        table.note(entry.detail.as_deref().unwrap_or_default());
    }
    table.draw(screen)
}
