//! `ghostctl tasks`: what the daemon does beside the requests, and how that goes.

use clap::Args;
use ghostllm_core::{
    admin::{TaskInfo, TaskList, TaskPhase, TaskPolicy},
    routes::Admin,
};

use crate::{
    arguments::Context,
    client::Question,
    exit::{Exit, Failure},
    output::{
        Screen, Tone,
        table::{Cell, Fit, Table},
    },
};

/// Background tasks: what each does, and why it failed last
#[derive(Debug, Args)]
#[command(after_help = "Policies: critical, the daemon ends with it and is started anew;\n\
                  restartable, it is started again, ever later.\n\
                  States: running; hanging, no sign of life; waiting, it has failed and is\n\
                  started again after a rest; ended, it is not started again.\n\n\
                  Example:\n  ghostctl tasks")]
pub(crate) struct Arguments {}

impl Arguments {
    pub(crate) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let answer = context.client.ask::<TaskList>(&Question::new(Admin::Tasks)).await?;
        context.show(&answer.json, |screen| drawn(&answer.what, screen))?;
        Ok(Exit::Well)
    }
}

fn drawn(list: &TaskList, screen: &Screen) -> String {
    let (tone, words) = match list.request_panics {
        0 => (Tone::Plain, "No request has panicked since the start.".to_owned()),
        1 => (Tone::Amiss, "1 request has panicked since the start: ghostctl logs --level error".to_owned()),
        many => (
            Tone::Amiss,
            format!("{many} requests have panicked since the start: ghostctl logs --level error"),
        ),
    };
    table(&list.tasks, screen) + &screen.hanging("", tone, &words)
}

fn table(tasks: &[TaskInfo], screen: &Screen) -> String {
    let mut table = Table::new(&[
        ("TASK", Fit::Wrap),
        ("POLICY", Fit::Whole),
        ("STATE", Fit::Whole),
        ("RESTARTS", Fit::Whole),
    ]);
    for task in tasks {
        let policy = match task.policy {
            TaskPolicy::Critical => "critical",
            TaskPolicy::Restartable => "restartable",
        };
        let state = match task.state {
            TaskPhase::Running => Cell::new("running", Tone::Good),
            TaskPhase::Hanging => Cell::new("hanging", Tone::Bad),
            TaskPhase::Waiting => Cell::new("waiting", Tone::Amiss),
            TaskPhase::Ended => Cell::from("ended"),
        };
        table.row([Cell::from(&task.name), policy.into(), state, Cell::from(task.restarts.to_string())]);
        if let Some(error) = &task.last_error {
            table.note(&format!("failed last: {error}"));
        }
    }
    table.draw(screen)
}
