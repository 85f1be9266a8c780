//! `ghostctl models`: which there are, and which are at work.

use clap::Subcommand;
use ghostllm_core::{
    admin::{ModelInfo, ModelList},
    routes::Admin,
};
use serde_json::Value;

use crate::{
    arguments::Context,
    client::{Answer, Question},
    exit::{Exit, Failure},
    output::{
        self, Tone,
        table::{Cell, Fit, Table},
    },
};

/// Models: which there are, and which are at work
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  ghostctl models ls")]
pub(crate) enum Command {
    /// Every model, with its backend
    #[command(after_help = "Example:\n  ghostctl models ls")]
    Ls,
    /// The models that are answering, with their requests
    #[command(after_help = "Example:\n  ghostctl models ps")]
    Ps,
}

impl Command {
    pub(crate) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let mut answer = context.client.ask::<ModelList>(&Question::new(Admin::Models)).await?;
        let none = match self {
            Self::Ls => "There is no model. ghostctl status says why.",
            Self::Ps => {
                busy(&mut answer);
                "No model is answering. ghostctl models ls shows those there are."
            }
        };
        context.show(&answer.json, |screen| table(&answer.what).draw(screen))?;
        if answer.what.models.is_empty() && !context.json {
            output::say(none);
        }
        Ok(Exit::Well)
    }
}

/// Leaves those with requests, in both readings of the answer: programs get every field that the daemon wrote.
fn busy(answer: &mut Answer<ModelList>) {
    answer.what.models.retain(|model| model.requests > 0);
    if let Ok(mut whole) = serde_json::from_str::<Value>(&answer.json) {
        if let Some(models) = whole.get_mut("models").and_then(Value::as_array_mut) {
            models.retain(|model| model.get("requests").and_then(Value::as_u64).unwrap_or(0) > 0);
        }
        answer.json = output::text::one_line(&whole.to_string());
    }
}

fn table(list: &ModelList) -> Table {
    let columns =
        [("MODEL", Fit::Wrap), ("BACKEND", Fit::Wrap), ("ANSWERS", Fit::Whole), ("REQUESTS", Fit::Whole)];
    let mut table = Table::new(&columns);
    for model in &list.models {
        let up = if model.up { Cell::new("yes", Tone::Good) } else { Cell::new("no", Tone::Bad) };
        table.row([
            Cell::from(&model.id),
            Cell::from(&model.backend),
            up,
            Cell::from(model.requests.to_string()),
        ]);
        table.note(&note(model));
    }
    table
}

/// What the configuration says of the name.
fn note(model: &ModelInfo) -> String {
    let target = model.target.as_ref().map(|target| format!("stands for {target}"));
    let hidden = model.hidden.then(|| "not in /v1/models".to_owned());
    let notes: Vec<String> = target.into_iter().chain(hidden).collect();
    notes.join("; ")
}
