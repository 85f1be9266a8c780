//! `ghostctl status`: how the box is, in one screen.

use std::time::Duration;

use clap::Args;
use ghostllm_core::{
    admin::{Cause, Condition, Listener, Severity, Status},
    routes::Admin,
};

use crate::{
    arguments::Context,
    client::{Answer, Question},
    exit::{Exit, Failure},
    output::{
        self, Screen, Tone,
        table::{Cell, Fit, Table},
        when,
    },
};

/// How long a drawn screen stays.
const BETWEEN: Duration = Duration::from_secs(2);

/// How the box is, in one screen
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 ready; 1 degraded, no model, or stopping; 3 not reachable.\n\nExample:\n  ghostctl status --watch"
)]
pub(crate) struct Arguments {
    /// Again every two seconds, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

impl Arguments {
    pub(crate) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        if self.watch {
            return tokio::select! {
                biased;
                _pressed = tokio::signal::ctrl_c() => left(context),
                ended = watch(context) => ended,
            };
        }
        let answer = ask(context).await?;
        context.show(&answer.json, |screen| drawn(&answer.what, screen))?;
        Ok(match answer.what.condition {
            Condition::Ready => Exit::Well,
            Condition::Degraded | Condition::NoModel | Condition::Stopping => Exit::Failed,
        })
    }
}

async fn ask(context: &Context) -> Result<Answer<Status>, Failure> {
    context.client.ask(&Question::new(Admin::Status)).await
}

/// The shell's prompt goes below what was drawn.
fn left(context: &Context) -> Result<Exit, Failure> {
    if context.screen.terminal && !context.json {
        output::print("\n")?;
    }
    Ok(Exit::Interrupted)
}

async fn watch(context: &Context) -> Result<Exit, Failure> {
    let mut first = true;
    loop {
        match ask(context).await {
            Ok(answer) if context.json => output::line(&answer.json)?,
            Err(failure) if context.json => failure.tell_json(),
            Ok(answer) => redraw(&drawn(&answer.what, &Screen::of_stdout()), first)?,
            // It is watched on: a daemon that starts anew comes back.
            Err(failure) => redraw(&failed(&failure, &Screen::of_stdout()), first)?,
        }
        first = false;
        tokio::time::sleep(BETWEEN).await;
    }
}

/// Over what stands there, on a terminal; below it elsewhere.
fn redraw(text: &str, first: bool) -> Result<(), Failure> {
    let screen = Screen::of_stdout();
    if !screen.terminal {
        return output::print(&format!("{}{text}", if first { "" } else { "\n" }));
    }
    // One that is too long would scroll, and the next one would not meet its beginning.
    let lines: Vec<&str> = text.lines().take(screen.height.saturating_sub(1)).collect();
    let begin = if first { "\x1b[2J\x1b[H" } else { "\x1b[H" };
    output::print(&format!("{begin}{}\x1b[K\x1b[J", lines.join("\x1b[K\n")))
}

fn failed(failure: &Failure, screen: &Screen) -> String {
    let mut out = screen.toned("not reachable", Tone::Bad) + "\n\n";
    for line in failure.message.lines() {
        out.push_str(&screen.hanging("", Tone::Plain, line));
    }
    out + &screen.hanging("next: ", Tone::Plain, failure.next.as_deref().unwrap_or_default())
}

fn drawn(status: &Status, screen: &Screen) -> String {
    let mut out = heading(status, screen);
    for cause in &status.causes {
        out.push('\n');
        out.push_str(&told(cause, screen));
    }
    out.push('\n');
    out.push_str(&counts(status, screen));
    out.push('\n');
    out.push_str(&listeners(&status.listeners).draw(screen));
    out
}

fn heading(status: &Status, screen: &Screen) -> String {
    let (word, tone, means) = match status.condition {
        Condition::Ready => ("ready", Tone::Good, "all is well"),
        Condition::Degraded => ("degraded", Tone::Amiss, "it serves, and something is amiss"),
        Condition::NoModel => ("no model", Tone::Bad, "it serves, and no model can answer"),
        Condition::Stopping => ("stopping", Tone::Amiss, "it finishes open requests and ends"),
    };
    let rest = format!(
        "{means}. GhostLLM {} on {}, for {} now (process {}).",
        status.program,
        status.host,
        when::long(status.uptime_s),
        status.pid
    );
    screen.hanging(&format!("{word}: "), tone, &rest)
}

fn told(cause: &Cause, screen: &Screen) -> String {
    let (word, tone) = match cause.severity {
        Severity::Note => ("note", Tone::Plain),
        Severity::Warning => ("warning", Tone::Amiss),
        Severity::Error => ("error", Tone::Bad),
    };
    let what = screen.hanging(&format!("{word:<9}"), tone, &cause.what);
    what + &screen.hanging("  next:  ", Tone::Plain, &cause.next)
}

fn counts(status: &Status, screen: &Screen) -> String {
    let line = format!(
        "models {}, backends {} of {}, requests {}, connections {}, keys {}",
        status.models, status.backends_up, status.backends, status.requests, status.connections, status.keys
    );
    let out = screen.hanging("", Tone::Plain, &line);
    let ends = |at: &String| {
        screen.hanging("", Tone::Plain, &format!("certificate ends {}", when::told(screen, at)))
    };
    out + &status.certificate_expires.as_ref().map(ends).unwrap_or_default()
}

fn listeners(listeners: &[Listener]) -> Table {
    let mut table = Table::new(&[
        ("LISTENER", Fit::Whole),
        ("ADDRESS", Fit::Wrap),
        ("SPEAKS", Fit::Wrap),
        ("SERVES", Fit::Whole),
        ("KEY", Fit::Whole),
    ]);
    for listener in listeners {
        let serves = if listener.serves { Cell::new("yes", Tone::Good) } else { Cell::new("no", Tone::Bad) };
        let key = if listener.key { "needed" } else { "none" };
        table.row([
            Cell::from(&listener.kind),
            Cell::from(&listener.address),
            Cell::from(&listener.speaks),
            serves,
            key.into(),
        ]);
    }
    table
}
