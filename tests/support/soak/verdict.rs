//! Whether an answer is as it should be.
//!
//! Knows what was asked, what came, and what the engine suffered meanwhile. Refuses to know who asked. Invariants: the engine
//! numbers what it says, so that each event of a stream is there once and in its place, or the answer is wrong; what excuses an
//! error is a trouble that the request has met, and the error must be that trouble's.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::troubles::{Suffered, Trouble};
use crate::{expect::check_error_object, sse::Chat};

/// What was asked for, and so what must come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A chat that counts to this number, streamed or in one piece.
    Count {
        /// The last number.
        to: usize,
        /// By events.
        stream: bool,
    },
    /// The same, of an engine or a caller that is made to fail behind the first numbers or before them: the stream's last event,
    /// or the status, with this code.
    Fails {
        /// The last number that it might have come to.
        to: usize,
        /// By events.
        stream: bool,
        /// The status, where none was sent.
        status: u16,
        /// The error's code.
        code: &'static str,
    },
    /// 200 and a body with this in it.
    Says(&'static str),
    /// An error of this status and this code.
    Refused(u16, &'static str),
}

/// How an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// As the protocol ends a whole one.
    Whole,
    /// It broke off in the middle.
    Broken(String),
    /// There was none.
    Never(String),
    /// Its client has left it on purpose.
    Left,
}

/// What came.
#[derive(Debug, Clone)]
pub struct Came {
    /// When the request was sent.
    pub sent: Instant,
    /// When its answer was over.
    pub ended: Instant,
    /// The status; none where no head came.
    pub status: Option<u16>,
    /// The body, as far as it came.
    pub body: Vec<u8>,
    /// How it ended.
    pub end: End,
    /// Behind a failure's event the stream is reset: on HTTP/2 and 3.
    pub resets: bool,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// Something of an answer that had begun is missing, twice or out of its place: an event is lost.
    Lost(String),
    /// Anything else.
    Other(String),
}

impl Trouble {
    /// What a client may be told of it: while it is certain, the first of these.
    const fn told(self) -> &'static [(u16, &'static str)] {
        match self {
            Self::Dead => &[(503, "backend_unavailable"), (502, "backend_error")],
            Self::Hung => &[(504, "backend_timeout")],
            Self::Absent => &[(404, "model_not_found")],
        }
    }
}

/// What counting to this number looks like.
#[must_use]
pub fn counted(to: usize) -> String {
    (1..=to).map(|number| number.to_string()).collect::<Vec<_>>().join(" ")
}

/// Judges an answer by what was asked, what came, and what its engine suffered meanwhile.
///
/// # Errors
/// What is wrong with it.
pub fn judge(asked: &Asked, came: &Came, suffered: &Suffered) -> Result<(), Wrong> {
    if came.end == End::Left {
        return left(asked, came);
    }
    if let (Some(trouble), Asked::Count { .. }) = (suffered.wholly, asked) {
        let (status, code) = trouble.told()[0];
        return refused(came, status, code)
            .map_err(|error| Wrong::Other(format!("all the time it was {trouble:?}: {error:#}")));
    }
    let as_asked = match *asked {
        Asked::Count { to, stream } => whole(came, to, stream),
        Asked::Fails { to, stream, status, code } => fails(came, to, stream, (status, code)),
        Asked::Says(text) => says(came, text),
        Asked::Refused(status, code) => refused(came, status, code),
    };
    let Err(error) = as_asked else { return Ok(()) };
    let mut told = suffered.partly.iter().flat_map(|trouble| trouble.told());
    if let Asked::Count { to, stream } = *asked
        && told.any(|told| fails(came, to, stream, *told).is_ok())
    {
        return Ok(());
    }
    let text = format!("{error:#}");
    let begun = matches!(asked, Asked::Count { .. } | Asked::Fails { .. }) && came.status == Some(200);
    Err(if begun { Wrong::Lost(text) } else { Wrong::Other(text) })
}

/// What has come until its client left must be right.
fn left(asked: &Asked, came: &Came) -> Result<(), Wrong> {
    let (Some(200), Asked::Count { to, stream: true }) = (came.status, asked) else {
        let fine = came.status.is_none_or(|status| status == 200);
        return if fine { Ok(()) } else { Err(Wrong::Other("an error before its client left".into())) };
    };
    // An event may have been cut by the leaving.
    let end = came.body.windows(2).rposition(|two| two == b"\n\n").map_or(0, |at| at + 2);
    let begun = Chat::read(&came.body[..end]).and_then(|chat| begins(&chat.text(), *to));
    begun.map_err(|error| Wrong::Lost(format!("until its client left: {error:#}")))
}

fn ended(came: &Came) -> Result<()> {
    ensure!(came.end == End::Whole, "it did not end as a whole answer: {:?}", came.end);
    Ok(())
}

fn status(came: &Came, status: u16) -> Result<()> {
    ensure!(came.status == Some(status), "{:?} came and not {status}; {:?}", came.status, came.end);
    Ok(())
}

fn whole(came: &Came, to: usize, stream: bool) -> Result<()> {
    status(came, 200)?;
    ended(came)?;
    if stream {
        let chat = Chat::read(&came.body)?;
        ensure!(chat.error().is_none(), "an error came: {:?}", chat.error());
        ensure!(chat.text() == counted(to), "it does not count to {to}: {}", chat.text());
        ensure!(chat.done && chat.finishes() == ["stop"], "no finish, or no [DONE]");
    } else {
        let answer: Value = serde_json::from_slice(&came.body)?;
        let choice = &answer["choices"][0];
        ensure!(choice["message"]["content"] == counted(to), "it does not count to {to}");
        ensure!(choice["finish_reason"] == "stop", "no finish");
    }
    Ok(())
}

/// The first numbers, none of them cut, and no more of them than were asked for.
fn begins(text: &str, to: usize) -> Result<()> {
    let count = text.split_whitespace().count();
    ensure!(count <= to && text == counted(count), "it does not begin to count to {to}: {text}");
    Ok(())
}

fn fails(came: &Came, to: usize, stream: bool, (status, code): (u16, &'static str)) -> Result<()> {
    if !stream || came.status != Some(200) {
        return refused(came, status, code);
    }
    let chat = Chat::read(&came.body)?;
    begins(&chat.text(), to)?;
    ensure!(!chat.done && chat.finishes().is_empty(), "it looks complete");
    check_error_object(chat.error().unwrap_or(&Value::Null), Some(code))?;
    let reset = matches!(came.end, End::Broken(_));
    ensure!(reset == came.resets, "behind its error it ended so: {:?}", came.end);
    Ok(())
}

fn says(came: &Came, text: &str) -> Result<()> {
    status(came, 200)?;
    ended(came)?;
    ensure!(String::from_utf8_lossy(&came.body).contains(text), "it does not say {text:?}");
    Ok(())
}

fn refused(came: &Came, wanted: u16, code: &'static str) -> Result<()> {
    status(came, wanted)?;
    ended(came)?;
    let answer: Value = serde_json::from_slice(&came.body)?;
    check_error_object(&answer["error"], Some(code))
}

#[cfg(test)]
mod tests;
