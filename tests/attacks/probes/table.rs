//! What a probe is: bytes, and what may come of them.
//!
//! Knows how a probe is spelled in the tables: as it stands on the wire, with names in angle brackets for what differs from
//! run to run. Refuses to know who is probed.

use super::{chunks, fields, hosts, lengths, requests};
use crate::support::echo;

/// One probe: one connection's bytes. A further request, honest and the connection's last, is sent right behind them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probe {
    pub(crate) name: &'static str,
    text: &'static str,
    /// What the daemon must do on the plain port.
    pub(crate) plain: Expected,
    /// What it must do on the TLS port.
    pub(crate) tls: Expected,
    /// The client ends the connection behind these bytes, and nothing follows.
    pub(crate) cut: bool,
    /// Why the daemon is right to serve what nginx or haproxy refuses.
    pub(crate) named: Option<&'static str>,
}

/// What must come of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// The engine is asked so many things, in the order in which they were sent, and the connection goes on.
    Served(usize),
    /// It is asked once, and the connection is closed: nothing behind is read.
    Last,
    /// Nothing reaches the engine, and the connection is closed behind this status.
    Refused(u16),
    /// Nothing reaches the engine: the daemon answers with this status. What follows is unambiguous, and may be served.
    Own(u16),
    /// Nothing reaches the engine, whatever is said of it.
    Nothing,
}

pub(crate) const fn probe(name: &'static str, text: &'static str, expected: Expected) -> Probe {
    Probe { name, text, plain: expected, tls: expected, cut: false, named: None }
}

impl Probe {
    pub(crate) const fn over_tls(self, expected: Expected) -> Self {
        Self { tls: expected, ..self }
    }

    pub(crate) const fn cut(self) -> Self {
        Self { cut: true, ..self }
    }

    pub(crate) const fn because(self, reason: &'static str) -> Self {
        Self { named: Some(reason), ..self }
    }

    /// The bytes of this run. `key` is the line that a caller needs who must have a key.
    pub(crate) fn bytes(&self, run: usize, key: &str) -> Vec<u8> {
        let body = echo::body(&tag("first", run));
        let length = body.len();
        let mut text = self.text.to_owned();
        for (name, value) in [
            ("<usual>", "<host><unhosted>"),
            ("<unhosted>", "<fields>Content-Length: <n>\r\n\r\n<body>"),
            ("<chunked>", "<top>Transfer-Encoding: chunked\r\n\r\n"),
            ("<sized>", "<top>Content-Length: <n>\r\n"),
            ("<top>", "<line><host><fields>"),
            ("<line>", "POST <target> HTTP/1.1\r\n"),
            ("<target>", "/v1/chat/completions?<tag>"),
            ("<host>", "Host: localhost\r\n"),
            ("<fields>", "<key>Content-Type: application/json\r\nX-Tag: <tag>\r\n"),
            ("<key>", key),
            ("<tag>", &tag("first", run)),
            ("<body>", &body),
            ("<n>", &length.to_string()),
            ("<x>", &format!("{length:x}")),
            ("<x, 16 digits>", &format!("{length:016x}")),
            ("<n, more>", &(length + 20).to_string()),
            ("<n, less>", &(length - 1).to_string()),
            ("<20 KiB>", &"a".repeat(20 << 10)),
            ("<40 KiB>", &"a".repeat(40 << 10)),
            ("<100 fields>", &"X-Many: 1\r\n".repeat(100)),
            ("<single bytes>", &body.chars().map(|byte| format!("1\r\n{byte}\r\n")).collect::<String>()),
            ("<smuggled>", &request("smuggled", run, key, "")),
            ("<smuggled, x>", &format!("{:x}", request("smuggled", run, key, "").len())),
            ("<second>", &request("second", run, key, "")),
        ] {
            text = text.replace(name, value);
        }
        // The length of everything behind the head, for a Content-Length beside something else.
        let rest = text.split_once("\r\n\r\n").map_or(0, |(_, rest)| rest.len());
        text = text.replace("<rest>", &rest.to_string());
        if !self.cut {
            text += &request("next", run, key, "Connection: close\r\n");
        }
        text.into_bytes()
    }
}

/// What tells a request from every other, wherever it arrives.
pub(crate) fn tag(what: &str, run: usize) -> String {
    format!("{what}-{run:03}")
}

/// A request that nobody could misread.
fn request(what: &str, run: usize, key: &str, fields: &str) -> String {
    let (tag, body) = (tag(what, run), echo::body(&tag(what, run)));
    format!(
        "POST /v1/chat/completions?{tag} HTTP/1.1\r\nHost: localhost\r\n{key}Content-Type: application/json\r\n\
         X-Tag: {tag}\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) fn all() -> Vec<Probe> {
    [hosts::PROBES, lengths::PROBES, fields::PROBES, chunks::PROBES, requests::PROBES].concat()
}
