//! `ghostctl events`: what happens, as it happens.

use std::time::Duration;

use clap::Args;
use ghostllm_core::admin::Event;
use serde_json::Value;

use crate::{
    arguments::Context,
    exit::{Exit, Failure},
    output::{self, Screen, Tone, text, when},
};

/// How long a daemon that has gone is left alone before it is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// What happens, a line each, until Ctrl-C
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  ghostctl events --json")]
pub(crate) struct Arguments {}

impl Arguments {
    pub(crate) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        tokio::select! {
            biased;
            _pressed = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
            ended = follow(context) => ended,
        }
    }
}

/// Goes on behind the last event where the daemon starts anew; one that was never there, or says no, is a failure.
async fn follow(context: &Context) -> Result<Exit, Failure> {
    let mut last: Option<String> = None;
    let mut connected = false;
    let mut waits = false;
    loop {
        let behind = last.clone();
        let ended = context.client.follow(behind.as_deref(), |data| {
            waits = false;
            connected = true;
            let id = show(context, data)?;
            last = id.or(last.take());
            Ok(())
        });
        match ended.await {
            Ok(()) => connected = true,
            Err(failure) if failure.exit == Exit::Unreachable && connected => {}
            Err(failure) => return Err(failure),
        }
        if !waits {
            output::say("The daemon has ended the stream; it is asked again each second.");
            waits = true;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Shows one event, and gives its id. What cannot be read is shown as it is.
fn show(context: &Context, data: &[u8]) -> Result<Option<String>, Failure> {
    let data = String::from_utf8_lossy(data);
    let event: Option<Event> = serde_json::from_str(&data).ok();
    match &event {
        _ if context.json => output::line(&text::one_line(&data))?,
        Some(event) => output::print(&told(event, &context.screen))?,
        None => output::line(&text::clean(&data))?,
    }
    Ok(event.map(|event| event.id))
}

fn told(event: &Event, screen: &Screen) -> String {
    let what: Vec<String> = event.what.iter().map(|(key, value)| format!("{key}={}", plain(value))).collect();
    let first = format!("{}  {:<13}  ", when::clock(&event.at), text::clean(&event.kind));
    let what = what.join(" ");
    // Whoever keeps the lines wants them whole.
    if screen.bounded {
        screen.hanging(&first, Tone::Plain, &what)
    } else {
        format!("{first}{}\n", text::clean(&what))
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() && !text.contains(' ') => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}
