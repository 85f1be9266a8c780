//! `ghostctl requests`: what is being answered, and how to end it.

use clap::Subcommand;
use ghostllm_core::{
    admin::{Cancelled, RequestInfo, RequestList, RequestState},
    routes::Admin,
};

use crate::{
    arguments::Context,
    client::Question,
    confirm,
    exit::{Exit, Failure},
    keys,
    output::{
        self, Screen, Tone,
        table::{Cell, Fit, Table},
        when,
    },
};

/// Fewer letters of an id are likely to be another's as well.
const LEAST: usize = 4;
/// As many letters of an id a table shows, if they are enough.
const SHOWN: usize = 8;
/// What to do where a request does not exist.
const LIST: &str = "ghostctl requests ls";

/// Requests: what is being answered
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  ghostctl requests ls")]
pub(crate) enum Command {
    /// Every request that is being answered, the oldest first
    #[command(after_help = "Example:\n  ghostctl requests ls")]
    Ls,
    /// End a request; its client is told
    #[command(after_help = "Example:\n  ghostctl requests cancel 1f3c9a02")]
    Cancel {
        /// Its id, or at least 4 letters that only this one begins with
        id: String,
        /// Without asking
        #[arg(long)]
        yes: bool,
    },
}

impl Command {
    pub(crate) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Ls => list(context).await,
            Self::Cancel { id, yes } => cancel(&id, yes, context).await,
        }
    }
}

async fn list(context: &Context) -> Result<Exit, Failure> {
    let answer = context.client.ask::<RequestList>(&Question::new(Admin::Requests)).await?;
    context.show(&answer.json, |screen| table(&answer.what.requests, screen))?;
    if answer.what.requests.is_empty() && !context.json {
        output::say("No request is being answered.");
    }
    Ok(Exit::Well)
}

async fn cancel(id: &str, yes: bool, context: &Context) -> Result<Exit, Failure> {
    keys::no_secret(id)?;
    if id.chars().count() < LEAST {
        let message = format!("\"{id}\" is too short: give at least {LEAST} letters of the id");
        return Err(Failure::new(Exit::Usage, message).next(LIST));
    }
    confirm::ask(yes, &format!("The request {id} will end, and its client is told."))?;
    let running = context.client.ask::<RequestList>(&Question::new(Admin::Requests)).await?.what.requests;
    let found = only(&running, id)?;
    let question = Question::new(Admin::CancelRequest).named(&found.id);
    let answer = context.client.ask::<Cancelled>(&question).await;
    let answer = answer.map_err(|failure| failure.if_missing(LIST))?;
    let words = format!("The request {} of {} has ended.", found.id, found.caller);
    context.show(&answer.json, |screen| screen.hanging("", Tone::Plain, &words))?;
    Ok(Exit::Well)
}

/// The one whose id begins so.
fn only<'a>(running: &'a [RequestInfo], id: &str) -> Result<&'a RequestInfo, Failure> {
    if let Some(whole) = running.iter().find(|request| request.id == id) {
        return Ok(whole);
    }
    let mut fitting = running.iter().filter(|request| request.id.starts_with(id));
    match (fitting.next(), fitting.count()) {
        (Some(one), 0) => Ok(one),
        (Some(_), others) => {
            let message = format!("the ids of {} requests begin with {id}", others + 1);
            Err(Failure::new(Exit::Failed, message).next("the same command with more letters of the id"))
        }
        (None, _) => {
            let message = format!("no request that is being answered has an id that begins with {id}");
            Err(Failure::new(Exit::NotFound, message).next(LIST))
        }
    }
}

fn table(requests: &[RequestInfo], screen: &Screen) -> String {
    let mut table = Table::new(&[
        ("ID", Fit::Whole),
        ("CALLER", Fit::Wrap),
        ("FROM", Fit::Wrap),
        ("HTTP", Fit::Whole),
        ("MODEL", Fit::Wrap),
        ("STATE", Fit::Wrap),
        ("AGE", Fit::Whole),
        ("EVENTS", Fit::Whole),
    ]);
    let shown = telling(requests);
    for request in requests {
        let state = match request.state {
            RequestState::Waiting => Cell::new("waiting", Tone::Amiss),
            RequestState::Answering => Cell::new("answering", Tone::Good),
        };
        table.row([
            Cell::from(request.id.chars().take(shown).collect::<String>()),
            Cell::from(&request.caller),
            Cell::from(&request.from),
            Cell::from(request.http.trim_start_matches("HTTP/")),
            Cell::from(format!("{}/{}", request.backend, request.model)),
            state,
            Cell::from(when::long(request.age_ms / 1000)),
            Cell::from(request.events.to_string()),
        ]);
    }
    table.draw(screen)
}

/// How many letters tell all ids apart, so that a shown one can be given to `cancel`.
fn telling(requests: &[RequestInfo]) -> usize {
    let longest = requests.iter().map(|request| request.id.chars().count()).max().unwrap_or(SHOWN);
    let told = |letters: &usize| {
        let mut ids: Vec<String> =
            requests.iter().map(|request| request.id.chars().take(*letters).collect()).collect();
        ids.sort_unstable();
        ids.windows(2).all(|pair| pair.first() != pair.last())
    };
    (SHOWN..longest).find(told).unwrap_or(longest)
}
