//! `ghostctl backends`: where models are, and whether they answer.

use clap::Subcommand;
use ghostllm_core::{
    admin::{BackendInfo, BackendList, FORM},
    config::nearest,
    routes::Admin,
};

use crate::{
    arguments::Context,
    client::{Client, Question},
    exit::{Exit, Failure},
    keys,
    output::{
        self, Screen, Tone,
        table::{Cell, Fit, Table},
        text,
    },
};

/// Backends: where models are, and whether they answer
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  ghostctl backends test")]
pub(crate) enum Command {
    /// Every backend, as it was when it was last asked
    #[command(after_help = "Example:\n  ghostctl backends ls")]
    Ls,
    /// Ask backends now; exit code 1 where one does not answer
    #[command(after_help = "Example:\n  ghostctl backends test ollama")]
    Test {
        /// Which one [default: all]
        name: Option<String>,
    },
}

impl Command {
    pub(crate) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Ls => list(context).await,
            Self::Test { name } => test(name, context).await,
        }
    }
}

async fn list(context: &Context) -> Result<Exit, Failure> {
    let answer = context.client.ask::<BackendList>(&Question::new(Admin::Backends)).await?;
    context.show(&answer.json, |screen| table(&answer.what.backends, screen))?;
    if answer.what.backends.is_empty() && !context.json {
        output::say("There is no backend. ghostctl status says why.");
    }
    Ok(Exit::Well)
}

async fn test(name: Option<String>, context: &Context) -> Result<Exit, Failure> {
    let names = match name {
        Some(name) => vec![name],
        None => every(&context.client).await?,
    };
    let mut tested = Vec::new();
    let mut texts = Vec::new();
    for name in names {
        keys::no_secret(&name)?;
        let question = Question::new(Admin::TestBackend).named(&name);
        let answer = context.client.ask::<BackendInfo>(&question).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) => return Err(missing(failure, &name, &context.client).await),
        };
        tested.push(answer.what);
        texts.push(answer.json);
    }
    // The form of the list, since one backend alone bears no version.
    let json = format!("{{\"version\":{FORM},\"backends\":[{}]}}", texts.join(","));
    context.show(&json, |screen| table(&tested, screen))?;
    let all = !tested.is_empty() && tested.iter().all(|backend| backend.up == Some(true));
    Ok(if all { Exit::Well } else { Exit::Failed })
}

/// What to do where no backend has this name.
async fn missing(failure: Failure, name: &str, client: &Client) -> Failure {
    let failure = failure.if_missing("ghostctl backends ls");
    if failure.exit != Exit::NotFound {
        return failure;
    }
    let names = every(client).await.unwrap_or_default();
    match nearest(name, names.iter().map(String::as_str)) {
        Some(near) => failure.next(format!("ghostctl backends test {}", text::clean(near))),
        None => failure,
    }
}

async fn every(client: &Client) -> Result<Vec<String>, Failure> {
    let answer = client.ask::<BackendList>(&Question::new(Admin::Backends)).await?;
    Ok(answer.what.backends.into_iter().map(|backend| backend.name).collect())
}

fn table(backends: &[BackendInfo], screen: &Screen) -> String {
    let mut table = Table::new(&[
        ("BACKEND", Fit::Wrap),
        ("KIND", Fit::Whole),
        ("AT", Fit::Wrap),
        ("ANSWERS", Fit::Whole),
        ("MODELS", Fit::Whole),
        ("REQUESTS", Fit::Whole),
    ]);
    for backend in backends {
        let up = match backend.up {
            Some(true) => Cell::new("yes", Tone::Good),
            Some(false) => Cell::new("no", Tone::Bad),
            None => Cell::from("not asked"),
        };
        table.row([
            Cell::from(&backend.name),
            Cell::from(&backend.kind),
            Cell::from(&backend.at),
            up,
            Cell::from(backend.models.to_string()),
            Cell::from(backend.requests.to_string()),
        ]);
        table.note(backend.fault.as_deref().unwrap_or_default());
    }
    table.draw(screen)
}
