//! What a double does with one connection, as a list of steps: a reply, bent by a sin.
//!
//! Knows HTTP/1.1 framing and every way in which an engine misbehaves. Refuses to know sockets, clocks and what the
//! bytes mean. Invariant: without a sin, the script is a well-formed answer, byte for byte what the reply describes.

use std::{io::Write as _, time::Duration};

/// A header of a reply, in the place where the real server writes it.
#[derive(Debug, Clone)]
pub enum Header {
    /// A name and its value.
    Pair(&'static str, String),
    /// `Content-Length`, where the body is whole.
    Length,
    /// `Transfer-Encoding: chunked`, where it is streamed.
    Chunked,
    /// `Connection: close`, where the client asked for it.
    Close,
}

/// The body of a reply.
#[derive(Debug, Clone)]
pub enum Body {
    /// No body and no length (204).
    None,
    /// One piece with its length.
    Whole(Vec<u8>),
    /// HTTP chunks, each written by itself.
    Stream(Vec<Vec<u8>>),
}

/// An answer as the real server would give it.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status and reason, as in `200 OK`.
    pub status: &'static str,
    /// The headers in order.
    pub headers: Vec<Header>,
    /// Python's servers write names in lower case.
    pub lowercase: bool,
    /// The body.
    pub body: Body,
    /// A HEAD request: lengths as for GET, but no body.
    pub headless: bool,
    /// An answer of a model: sins named for its model apply.
    pub generated: bool,
}

impl Reply {
    fn is_events(&self) -> bool {
        self.headers
            .iter()
            .any(|header| matches!(header, Header::Pair(_, value) if value.starts_with("text/event-stream")))
    }
}

/// A way to misbehave. The counts are HTTP chunks (tokens) of a stream; of a whole answer, any count above zero is half
/// of the body.
#[derive(Debug, Clone)]
pub enum Sin {
    /// Takes the request and never says a word.
    HangBeforeHeaders,
    /// Sends the headers and then nothing.
    HangBeforeFirstByte,
    /// Sends the headers, says nothing for so long, then the body.
    LateBodyBy(Duration),
    /// Falls silent after so many chunks.
    StallAfter(usize),
    /// Closes the connection after so many chunks, in the middle of the body.
    FinAfter(usize),
    /// The same, once the test releases it.
    GatedFinAfter(usize),
    /// Takes the request and closes the connection.
    FinBeforeHeaders,
    /// Takes the request and resets the connection.
    RstBeforeHeaders,
    /// Resets the connection after so many chunks, once the test releases it: a reset destroys what the peer has not read.
    RstAfter(usize),
    /// Answers with bytes that are no HTTP.
    Garbage,
    /// Puts bytes that are no UTF-8 into a line after so many chunks.
    InvalidUtf8After(usize),
    /// After so many chunks, sends a line without an end, for ever; a whole answer comes in chunks for that.
    EndlessLineAfter(usize),
    /// After so many chunks, sends empty lines and nothing else, for ever.
    BlankLinesAfter(usize),
    /// After so many chunks, begins one whose length does not end.
    EndlessChunkSizeAfter(usize),
    /// After so many chunks, sends a line of this, then goes on as if nothing had been. Of a whole answer, this is the body.
    LineAfter(usize, &'static str),
    /// Gives its answer this content type, or none.
    Type(Option<&'static str>),
    /// Puts these lines before its other headers.
    Fields(String),
    /// Never ends its headers.
    EndlessHead,
    /// Never ends its informational responses.
    EndlessEarly,
    /// Says another content type, and a page instead of JSON.
    Page,
    /// Compresses the answer unasked.
    Gzip,
    /// After so many chunks, a line with this error text, then a clean end.
    ErrorAfter(usize, String),
    /// Ends cleanly after so many chunks, without the last one.
    EndWithoutDone(usize),
    /// Announces a longer body than it sends, then closes.
    LongLength,
    /// Announces a body of half its length.
    ShortLength,
    /// Sends `100 Continue` and `103 Early Hints` before its answer, unasked.
    Early,
    /// Says nothing for so long, then answers well.
    LateBy(Duration),
    /// Closes a kept-alive connection as the next request arrives on it, once.
    CloseOnReuse,
    /// Pauses before each chunk.
    Slow(Duration),
    /// Waits before each chunk until the test releases it.
    Gated,
    /// Another status and body, as the real server writes errors.
    Status(&'static str, String),
    /// A recorded response, byte for byte, then the end of the connection.
    Replay(Vec<u8>),
}

/// One thing to do on the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Write these bytes.
    Send(Vec<u8>),
    /// Wait by the clock.
    Pause(Duration),
    /// Wait for the test's release.
    Gate,
    /// Wait until the peer leaves.
    Hang,
    /// Write these bytes again and again until the peer leaves.
    Endless(Vec<u8>),
    /// Close.
    Fin,
    /// Reset.
    Rst,
}

const HINTS: &[u8] =
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n";

/// The steps of one answer. `close`: the client asked for the connection's end.
#[must_use]
pub fn script(reply: &Reply, sin: Option<&Sin>, close: bool) -> Vec<Step> {
    let Some(sin) = sin else { return plain(reply, close) };
    let head = || Step::Send(head(reply, close, None));
    match sin {
        Sin::HangBeforeHeaders => vec![Step::Hang],
        Sin::HangBeforeFirstByte => vec![head(), Step::Hang],
        Sin::LateBodyBy(pause) => {
            let mut steps = plain(reply, close);
            steps.insert(1, Step::Pause(*pause));
            steps
        }
        Sin::StallAfter(count) => broken(reply, close, *count, vec![Step::Hang]),
        Sin::FinAfter(count) => broken(reply, close, *count, vec![Step::Fin]),
        Sin::GatedFinAfter(count) => broken(reply, close, *count, vec![Step::Gate, Step::Fin]),
        Sin::FinBeforeHeaders => vec![Step::Fin],
        Sin::RstBeforeHeaders => vec![Step::Rst],
        Sin::RstAfter(count) => broken(reply, close, *count, vec![Step::Gate, Step::Rst]),
        Sin::Garbage => vec![Step::Send(b"\x16\x03\x01 this is no HTTP\r\n\r\n".to_vec()), Step::Fin],
        Sin::InvalidUtf8After(count) => garbled(reply, close, *count),
        Sin::EndlessLineAfter(count) => endless(reply, close, *count, |reply| framed(reply, &[b'a'; 16384])),
        Sin::BlankLinesAfter(count) => endless(reply, close, *count, |reply| framed(reply, &[b'\n'; 16384])),
        Sin::EndlessChunkSizeAfter(count) => endless(reply, close, *count, |_| vec![b'0'; 16384]),
        Sin::LineAfter(count, line) => interrupted(reply, close, *count, line),
        Sin::Type(kind) => plain(&labelled(reply, *kind), close),
        Sin::Fields(lines) => with_fields(reply, close, lines),
        Sin::EndlessHead => {
            vec![Step::Send(b"HTTP/1.1 200 OK\r\nX-Filler: ".to_vec()), Step::Endless(vec![b'a'; 16384])]
        }
        Sin::EndlessEarly => vec![Step::Endless(HINTS.repeat(256))],
        Sin::Page => other(reply, close, "200 OK", "text/html", b"<!DOCTYPE html><title>no</title>".to_vec()),
        Sin::Gzip => gzip(reply, close),
        Sin::ErrorAfter(count, text) => erring(reply, close, *count, text),
        // A clean end of the body; the connection goes too, so that a whole answer's missing half is seen at once.
        Sin::EndWithoutDone(count) => broken(reply, close, *count, vec![Step::Send(last(reply)), Step::Fin]),
        Sin::LongLength => other_length(reply, |length| length + 1000),
        Sin::ShortLength => other_length(reply, |length| length / 2),
        Sin::Early => early(reply, close),
        Sin::LateBy(pause) => [vec![Step::Pause(*pause)], plain(reply, close)].concat(),
        // The connection plays this sin before it asks for a script.
        Sin::CloseOnReuse => plain(reply, close),
        Sin::Slow(pause) => paced(reply, close, &Step::Pause(*pause)),
        Sin::Gated => paced(reply, close, &Step::Gate),
        Sin::Status(status, body) => {
            other(reply, close, status, "application/json; charset=utf-8", body.clone().into_bytes())
        }
        Sin::Replay(bytes) => vec![Step::Send(bytes.clone()), Step::Fin],
    }
}

fn plain(reply: &Reply, close: bool) -> Vec<Step> {
    let mut steps = vec![Step::Send(head(reply, close, None))];
    if !reply.headless {
        steps.extend(pieces(reply).into_iter().map(Step::Send));
        steps.push(Step::Send(last(reply)));
    }
    if close {
        steps.push(Step::Fin);
    }
    steps
}

/// Each piece of the body waits for `wait`; the headers too, as a real engine sends them with the first token.
fn paced(reply: &Reply, close: bool, wait: &Step) -> Vec<Step> {
    let mut steps = Vec::new();
    for (index, piece) in pieces(reply).into_iter().enumerate() {
        steps.push(wait.clone());
        if index == 0 {
            steps.push(Step::Send(head(reply, close, None)));
        }
        steps.push(Step::Send(piece));
    }
    steps.push(Step::Send(last(reply)));
    if close {
        steps.push(Step::Fin);
    }
    steps
}

fn garbled(reply: &Reply, close: bool, count: usize) -> Vec<Step> {
    if !matches!(reply.body, Body::Stream(_)) {
        let mut bent = reply.clone();
        let body = b"{\"choices\":[{\"message\":{\"content\":\"\xff\xfe\xc0\"},\"finish_reason\":\"stop\"}]}";
        bent.body = Body::Whole(body.to_vec());
        return plain(&bent, close);
    }
    let line: &[u8] = if reply.is_events() {
        b"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\xff\xfe\xc0\"}}]}\n\n"
    } else {
        b"{\"message\":{\"content\":\"\xff\xfe\xc0\"},\"done\":false}\n"
    };
    broken(reply, close, count, vec![Step::Send(framed(reply, line)), Step::Send(last(reply)), Step::Fin])
}

/// Head, so many pieces, then the rest of the story.
fn broken(reply: &Reply, close: bool, count: usize, rest: Vec<Step>) -> Vec<Step> {
    // Half of a whole answer is the most that a broken one gives.
    let count = if matches!(reply.body, Body::Stream(_)) { count } else { count.min(1) };
    let mut steps = vec![Step::Send(head(reply, close, None))];
    steps.extend(pieces(reply).into_iter().take(count).map(Step::Send));
    steps.extend(rest);
    steps
}

fn endless(reply: &Reply, close: bool, count: usize, more: impl Fn(&Reply) -> Vec<u8>) -> Vec<Step> {
    let mut bent = reply.clone();
    let mut count = count;
    if let Body::Whole(body) = &reply.body {
        // Under a length it would have an end.
        bent.body = Body::Stream(vec![body[..body.len() / 2].to_vec()]);
        count = count.min(1);
    }
    let more = Step::Endless(more(&bent));
    broken(&bent, close, count, vec![more])
}

fn interrupted(reply: &Reply, close: bool, count: usize, line: &str) -> Vec<Step> {
    let mut bent = reply.clone();
    match &mut bent.body {
        Body::Stream(chunks) => {
            let line = if reply.is_events() { format!("data: {line}\n\n") } else { format!("{line}\n") };
            chunks.insert(count.min(chunks.len()), line.into_bytes());
        }
        body => *body = Body::Whole(line.into()),
    }
    plain(&bent, close)
}

/// Before a stream has begun (and for whole answers), an error is a status; after that it is a line, or an event.
fn erring(reply: &Reply, close: bool, count: usize, text: &str) -> Vec<Step> {
    let text = serde_json::Value::from(text);
    let (line, whole) = if reply.is_events() {
        let error = format!("{{\"error\":{{\"code\":500,\"message\":{text},\"type\":\"server_error\"}}}}");
        (format!("data: {error}\n\n"), error)
    } else {
        (format!("{{\"error\":{text}}}\n"), format!("{{\"error\":{text}}}"))
    };
    if matches!(reply.body, Body::Stream(_)) {
        let line = Step::Send(framed(reply, line.as_bytes()));
        return broken(reply, close, count, vec![line, Step::Send(last(reply)), Step::Fin]);
    }
    other(reply, close, "500 Internal Server Error", "application/json; charset=utf-8", whole.into_bytes())
}

fn gzip(reply: &Reply, close: bool) -> Vec<Step> {
    // An empty gzip member: ten bytes of header, an empty final block, checksum and length zero.
    let member = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00".to_vec();
    let mut bent = reply.clone();
    bent.headers.insert(1, Header::Pair("Content-Encoding", "gzip".into()));
    bent.body = match reply.body {
        Body::Stream(_) => Body::Stream(vec![member]),
        _ => Body::Whole(member),
    };
    plain(&bent, close)
}

/// The whole body under another length than its own.
fn other_length(reply: &Reply, announced: impl FnOnce(usize) -> usize) -> Vec<Step> {
    let body = match &reply.body {
        Body::None => Vec::new(),
        Body::Whole(body) => body.clone(),
        Body::Stream(chunks) => chunks.concat(),
    };
    let mut bent = reply.clone();
    bent.headers.retain(|header| !matches!(header, Header::Chunked | Header::Length));
    bent.headers.push(Header::Length);
    bent.body = Body::Whole(body.clone());
    vec![Step::Send(head(&bent, false, Some(announced(body.len())))), Step::Send(body), Step::Fin]
}

fn early(reply: &Reply, close: bool) -> Vec<Step> {
    [vec![Step::Send(HINTS.to_vec())], plain(reply, close)].concat()
}

fn other(reply: &Reply, close: bool, status: &'static str, kind: &str, body: Vec<u8>) -> Vec<Step> {
    let mut bent = labelled(reply, Some(kind));
    bent.status = status;
    bent.body = Body::Whole(body);
    bent.headers.retain(|header| !matches!(header, Header::Chunked | Header::Length));
    bent.headers.push(Header::Length);
    plain(&bent, close)
}

/// The reply under another content type, or none.
fn labelled(reply: &Reply, kind: Option<&str>) -> Reply {
    let mut bent = reply.clone();
    bent.headers.retain_mut(|header| match header {
        Header::Pair(name, value) if name.eq_ignore_ascii_case("content-type") => kind.is_some_and(|kind| {
            kind.clone_into(value);
            true
        }),
        _ => true,
    });
    bent
}

fn with_fields(reply: &Reply, close: bool, lines: &str) -> Vec<Step> {
    let mut steps = plain(reply, close);
    if let Some(Step::Send(head)) = steps.first_mut() {
        let status = head.iter().position(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        head.splice(status..status, lines.bytes());
    }
    steps
}

/// The status line and the headers, with the blank line.
fn head(reply: &Reply, close: bool, length: Option<usize>) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 {}\r\n", reply.status).into_bytes();
    for header in &reply.headers {
        let (name, value) = match (header, &reply.body) {
            (Header::Pair(name, value), _) => (*name, value.clone()),
            (Header::Length, Body::Whole(body)) => {
                ("Content-Length", length.unwrap_or(body.len()).to_string())
            }
            (Header::Chunked, Body::Stream(_)) => ("Transfer-Encoding", "chunked".into()),
            (Header::Close, _) if close => ("Connection", "close".into()),
            _ => continue,
        };
        let name = if reply.lowercase { name.to_ascii_lowercase() } else { name.to_owned() };
        write!(out, "{name}: {value}\r\n").unwrap();
    }
    out.extend(b"\r\n");
    out
}

/// The body in the pieces in which it is written, framing included, the end of it not.
fn pieces(reply: &Reply) -> Vec<Vec<u8>> {
    match &reply.body {
        Body::None => Vec::new(),
        Body::Whole(body) => {
            let (first, second) = body.split_at(body.len() / 2);
            vec![first.to_vec(), second.to_vec()]
        }
        Body::Stream(chunks) => chunks.iter().map(|chunk| framed(reply, chunk)).collect(),
    }
}

fn framed(reply: &Reply, bytes: &[u8]) -> Vec<u8> {
    match reply.body {
        Body::Stream(_) => [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat(),
        _ => bytes.to_vec(),
    }
}

fn last(reply: &Reply) -> Vec<u8> {
    match reply.body {
        Body::Stream(_) => b"0\r\n\r\n".to_vec(),
        _ => Vec::new(),
    }
}
