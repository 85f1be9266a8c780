//! Entries one after the other, and those to come.

use std::{io, time::Duration};

use ghostllm_core::admin::LogEntry;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Arguments, entry, reader::Reader};
use crate::{
    arguments::Context,
    exit::{Exit, Failure},
    output::{self, text},
};

/// How often the journal is asked for more. Its own descriptor would say so at once, but on some file systems it says nothing, and a
/// reader who has gone says nothing either; a fifth of a second is at once for a person.
const LOOK: Duration = Duration::from_millis(200);

/// Shows what was asked for.
pub(super) async fn run(mut reader: Reader, asked: &Arguments, context: &Context) -> Result<Exit, Failure> {
    reader.begin(asked.last(), asked.since)?;
    if asked.follow {
        return tokio::select! {
            biased;
            _pressed = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
            ended = follow(reader, context) => ended,
        };
    }
    let mut shown = false;
    while let Some(entry) = reader.next()? {
        show(&entry, context)?;
        shown = true;
    }
    if !shown && asked.lines != Some(0) && !context.json {
        let filtered = asked.since.is_some() || asked.level.is_some();
        output::say(if filtered {
            "The journal has no such entry of ghostllm or its engine. Next: ghostctl logs"
        } else {
            "The journal has no entry of ghostllm or its engine. A daemon that systemd has not started logs to its standard error. Next: \
             systemctl status ghostllm"
        });
    }
    Ok(Exit::Well)
}

async fn follow(mut reader: Reader, context: &Context) -> Result<Exit, Failure> {
    loop {
        while let Some(entry) = reader.next()? {
            show(&entry, context)?;
            // So that Ctrl-C is heard among a million entries.
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(LOOK).await;
        if reader_has_gone() {
            return Ok(Exit::Well);
        }
        reader.changed()?;
    }
}

fn show(entry: &LogEntry, context: &Context) -> Result<(), Failure> {
    if context.json {
        output::line(&text::one_line(&serde_json::to_string(entry).unwrap_or_default()))
    } else {
        output::print(&entry::told(entry, &context.screen))
    }
}

/// Whether nobody reads standard output any more, as after `ghostctl logs -f | head -1`: nothing may be written for days, so that
/// no write would say it.
fn reader_has_gone() -> bool {
    let out = io::stdout();
    let mut asked = [PollFd::new(&out, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut asked, Some(&now)).is_ok()
        && asked.iter().any(|asked| asked.revents().intersects(PollFlags::ERR | PollFlags::HUP))
}
