//! What came of a probe: what the client read, and what arrived at the engine.
//!
//! Knows HTTP/1.1's answers and the tags of requests. Refuses to know what should have come.

use std::path::PathBuf;

use anyhow::{Context, Result};
use ghostllm_tests::{
    client::{Caller, PATIENCE},
    wire::Incoming,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use super::table::{Expected, tag};
use crate::support::echo;

/// Where a probe is sent.
pub(crate) enum Door {
    Plain(std::net::SocketAddr),
    Tls(Box<Caller>),
    Unix(PathBuf),
}

impl Door {
    /// Sends these bytes and reads until the peer closes.
    pub(crate) async fn send(&self, bytes: &[u8], cut: bool) -> Result<Vec<Answer>> {
        let read = match self {
            Self::Plain(address) => exchange(TcpStream::connect(address).await?, bytes, cut).await,
            Self::Tls(caller) => exchange(caller.dial().await?.wire, bytes, cut).await,
            Self::Unix(path) => exchange(UnixStream::connect(path).await?, bytes, cut).await,
        };
        Ok(answers(&read?))
    }
}

async fn exchange(mut wire: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8], cut: bool) -> Result<Vec<u8>> {
    let mut read = Vec::new();
    let talk = async {
        // A peer that has heard enough closes; what it has said before can still be read.
        let sent = async { wire.write_all(bytes).await.and(wire.flush().await) };
        if sent.await.is_ok() && cut {
            let _closed_already = wire.shutdown().await;
        }
        let _reset = wire.read_to_end(&mut read).await;
    };
    timeout(PATIENCE, talk).await.context("the peer does not close in time")?;
    Ok(read)
}

/// One answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// 0 for what is no answer of HTTP/1.1.
    pub(crate) status: u16,
    /// Which request the engine has answered.
    pub(crate) of: Option<String>,
}

/// The answers in these bytes, without the interim ones.
fn answers(mut bytes: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        let (answer, rest) = answer(bytes).unwrap_or((Answer { status: 0, of: None }, &[]));
        if !(100..200).contains(&answer.status) {
            answers.push(answer);
        }
        bytes = rest;
    }
    answers
}

fn answer(bytes: &[u8]) -> Option<(Answer, &[u8])> {
    let (head, rest) = split(bytes, b"\r\n\r\n")?;
    let head = std::str::from_utf8(head).ok()?;
    let status = head.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()?;
    let field = |wanted: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
    };
    let (body, rest) = match field("content-length").and_then(|length| length.parse().ok()) {
        Some(length) => rest.split_at_checked(length)?,
        None if (100..200).contains(&status) => (&[][..], rest),
        None if field("transfer-encoding").is_some() => unchunked(rest)?,
        // It goes on until the connection is closed.
        None => (rest, &[][..]),
    };
    Some((Answer { status, of: echo::repeated(body) }, rest))
}

/// Of a body in one chunk.
fn unchunked(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (size, rest) = split(bytes, b"\r\n")?;
    let size = usize::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
    let (body, rest) = rest.split_at_checked(size)?;
    let rest = if size == 0 { rest } else { rest.strip_prefix(b"\r\n0\r\n")? };
    Some((body, rest.strip_prefix(b"\r\n")?))
}

/// What stands before the first of these, and what stands behind it.
fn split<'a>(bytes: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let end = bytes.windows(at.len()).position(|window| window == at)?;
    let (before, rest) = bytes.split_at_checked(end)?;
    Some((before, rest.strip_prefix(at)?))
}

/// A probe's outcome at one door.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) answers: Vec<Answer>,
    /// What each request that arrived at the engine was sent as: first, second, smuggled or next.
    pub(crate) arrived: Vec<&'static str>,
}

const KINDS: [&str; 4] = ["first", "second", "smuggled", "next"];

impl Outcome {
    pub(crate) fn new(run: usize, answers: Vec<Answer>, seen: &[Incoming]) -> Self {
        let kind = |request: &Incoming| {
            let of = tag_of(request)?;
            KINDS.into_iter().find(|kind| tag(kind, run) == of)
        };
        Self { answers, arrived: seen.iter().filter_map(kind).collect() }
    }

    /// Nothing of the probe itself has come through, and nothing else was given for it.
    pub(crate) fn is_refusal(&self) -> bool {
        let refused = self.answers.first().is_none_or(|first| !(200..300).contains(&first.status));
        refused && !self.arrived.iter().any(|kind| *kind != "next")
    }

    /// The first answer's status, for people.
    pub(crate) fn status(&self) -> String {
        self.answers.first().map_or_else(|| "closed".into(), |first| first.status.to_string())
    }

    /// What is wrong with it.
    pub(crate) fn check(&self, run: usize, expected: Expected) -> Result<(), String> {
        let statuses: Vec<u16> = self.answers.iter().map(|answer| answer.status).collect();
        let of: Vec<Option<String>> = self.answers.iter().map(|answer| answer.of.clone()).collect();
        let named = |kinds: &[&str]| kinds.iter().map(|kind| Some(tag(kind, run))).collect::<Vec<_>>();
        let nothing_served = of.iter().all(Option::is_none);
        let good = match expected {
            Expected::Served(1) => self.arrived == ["first", "next"] && of == named(&["first", "next"]),
            Expected::Served(_) => {
                let all = ["first", "second", "next"];
                self.arrived == all && of == named(&all)
            }
            Expected::Last => self.arrived == ["first"] && of == named(&["first"]),
            Expected::Refused(status) => {
                self.arrived.is_empty() && nothing_served && statuses.first() == Some(&status)
            }
            Expected::Own(status) => {
                let followed = self.arrived == ["next"] && of == [None, Some(tag("next", run))];
                let closed = self.arrived.is_empty() && of.len() == 1;
                statuses.first() == Some(&status) && of.first() == Some(&None) && (followed || closed)
            }
            Expected::Nothing => self.arrived.is_empty() && nothing_served,
        };
        if good {
            return Ok(());
        }
        Err(format!("{expected:?} was due, but {self}"))
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let statuses: Vec<u16> = self.answers.iter().map(|answer| answer.status).collect();
        write!(f, "the answers were {statuses:?}, and {:?} reached the engine", self.arrived)
    }
}

/// By its body, or else by its target, or else by its field.
pub(crate) fn tag_of(request: &Incoming) -> Option<String> {
    let by_target = || Some(request.target.split_once('?')?.1.split('#').next()?.to_owned());
    let by_field = || request.header("x-tag").map(str::to_owned);
    echo::said(&request.body).or_else(by_target).or_else(by_field)
}
