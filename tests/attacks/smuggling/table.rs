//! What a probe is, and all of them: what differs from an honest chat request, and what may come of it (RFC 9113 section 8.2,
//! RFC 9114 section 4.2 and 4.3).

use self::{
    Edit::{Add, Drop, First, Set},
    Expected::{Own, Refused, Served},
    Sent::{Behind, Body, Chunks, Nothing},
};
use crate::support::echo;

/// A head, in its order.
pub(crate) type Head = Vec<(String, String)>;

/// One probe.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Probe {
    pub(crate) name: &'static str,
    edits: &'static [Edit],
    sent: Sent,
    pub(crate) trailers: &'static [(&'static str, &'static str)],
    pub(crate) h2: Expected,
    pub(crate) h3: Expected,
}

/// What differs in the head. `<n>` in a value is the body's length, `<n-1>` and `<n+1>` are its neighbours.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Edit {
    Add(&'static str, &'static str),
    First(&'static str, &'static str),
    Set(&'static str, &'static str),
    Drop(&'static str),
}

/// What is sent behind the head.
#[derive(Debug, Clone, Copy)]
enum Sent {
    Body,
    /// The head is all.
    Nothing,
    /// As HTTP/1.1 writes it.
    Chunks,
    /// The body, and this.
    Behind(&'static str),
}

/// What must come of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// The engine is asked once, and answers.
    Served,
    /// Nothing reaches the engine: 400, a reset or the connection's end.
    Refused,
    /// Nothing reaches the engine: the daemon answers with this status.
    Own(u16),
}

pub(crate) const fn probe(name: &'static str, edits: &'static [Edit], expected: Expected) -> Probe {
    Probe { name, edits, sent: Body, trailers: &[], h2: expected, h3: expected }
}

impl Probe {
    const fn sends(self, sent: Sent) -> Self {
        Self { sent, ..self }
    }

    const fn trails(self, trailers: &'static [(&'static str, &'static str)]) -> Self {
        Self { trailers, ..self }
    }

    const fn over_h2(self, expected: Expected) -> Self {
        Self { h2: expected, ..self }
    }

    const fn over_h3(self, expected: Expected) -> Self {
        Self { h3: expected, ..self }
    }

    pub(crate) fn head(&self, tag: &str, key: &str) -> Head {
        let honest = [
            (":method", "POST"),
            (":scheme", "https"),
            (":path", &format!("/v1/chat/completions?{tag}")),
            (":authority", "localhost"),
            ("content-type", "application/json"),
            ("authorization", &format!("Bearer {key}")),
        ];
        let length = echo::body(tag).len();
        let owned = |name: &str, value: &str| {
            let value = value.replace("<n>", &length.to_string());
            let value = value.replace("<n-1>", &(length - 1).to_string());
            (name.to_owned(), value.replace("<n+1>", &(length + 1).to_string()))
        };
        let mut head: Head = honest.iter().map(|(name, value)| owned(name, value)).collect();
        for edit in self.edits {
            match *edit {
                Add(name, value) => head.push(owned(name, value)),
                First(name, value) => head.insert(0, owned(name, value)),
                Set(name, value) => {
                    head.iter_mut()
                        .filter(|(named, _)| named == name)
                        .for_each(|field| *field = owned(name, value));
                }
                Drop(name) => head.retain(|(named, _)| named != name),
            }
        }
        head
    }

    pub(crate) fn body(&self, tag: &str) -> Option<Vec<u8>> {
        let body = echo::body(tag);
        match self.sent {
            Body => Some(body.into_bytes()),
            Nothing => None,
            Chunks => Some(format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).into_bytes()),
            Behind(more) => Some(format!("{body}{more}").into_bytes()),
        }
    }
}

/// A whole request, as it would stand behind a line's end that somebody has let through.
const SECOND: &str =
    "\r\n\r\nPOST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}";

pub(crate) const PROBES: &[Probe] = &[
    probe("as it should be", &[], Served),
    // Lengths.
    probe("a length", &[Add("content-length", "<n>")], Served),
    probe("a length that is too short", &[Add("content-length", "<n-1>")], Refused),
    probe("a length that is too long", &[Add("content-length", "<n+1>")], Refused),
    probe("a length of nothing", &[Add("content-length", "0")], Refused),
    probe("a length and no body", &[Add("content-length", "<n>")], Refused).sends(Nothing),
    probe("a length with a plus", &[Add("content-length", "+<n>")], Refused),
    probe("a length with a minus", &[Add("content-length", "-1")], Refused),
    probe("a length in hexadecimal", &[Add("content-length", "0x40")], Refused),
    probe("an empty length", &[Add("content-length", "")], Refused),
    probe("a length of 2^64 and more", &[Add("content-length", "184467440737095516160")], Refused),
    probe("a list of equal lengths", &[Add("content-length", "<n>, <n>")], Refused),
    probe("two equal lengths", &[Add("content-length", "<n>"), Add("content-length", "<n>")], Refused),
    probe("two lengths", &[Add("content-length", "<n>"), Add("content-length", "2")], Refused),
    probe(
        "two lengths, the short one first",
        &[Add("content-length", "2"), Add("content-length", "<n>")],
        Refused,
    ),
    probe("a request behind its length", &[Add("content-length", "<n>")], Refused).sends(Behind(SECOND)),
    probe("a request behind its body", &[], Own(400)).sends(Behind(SECOND)),
    // What belongs to a connection.
    probe("chunks", &[Add("transfer-encoding", "chunked")], Refused).sends(Chunks),
    probe(
        "chunks and a length",
        &[Add("content-length", "<n>"), Add("transfer-encoding", "chunked")],
        Refused,
    ),
    probe("chunked, and no chunks", &[Add("transfer-encoding", "chunked")], Refused),
    probe("identity", &[Add("transfer-encoding", "identity")], Refused),
    probe("Connection", &[Add("connection", "close")], Refused),
    probe("Connection that names the key", &[Add("connection", "authorization")], Refused),
    probe("Keep-Alive", &[Add("keep-alive", "timeout=5")], Refused),
    probe("Proxy-Connection", &[Add("proxy-connection", "close")], Refused),
    probe("Upgrade", &[Add("upgrade", "h2c")], Refused),
    probe("TE of trailers", &[Add("te", "trailers")], Served),
    probe("TE of chunks", &[Add("te", "chunked")], Refused),
    probe("TE of trailers and gzip", &[Add("te", "trailers, gzip")], Refused),
    // Pseudo-header fields.
    probe("no method", &[Drop(":method")], Refused),
    probe("no scheme", &[Drop(":scheme")], Refused),
    probe("no path", &[Drop(":path")], Refused),
    probe("an empty path", &[Set(":path", "")], Refused),
    probe("no authority", &[Drop(":authority")], Refused),
    probe("an empty authority", &[Set(":authority", "")], Refused),
    probe("two methods", &[First(":method", "GET")], Refused),
    probe("two schemes", &[First(":scheme", "https")], Refused),
    probe("two paths", &[First(":path", "/healthz")], Refused),
    probe("two equal authorities", &[First(":authority", "localhost")], Refused),
    probe("two authorities", &[First(":authority", "evil.example")], Refused),
    probe("a path behind the fields", &[Drop(":path"), Add(":path", "/v1/chat/completions")], Refused),
    probe("a second path behind the fields", &[Add(":path", "/healthz")], Refused),
    probe("a status", &[First(":status", "200")], Refused),
    probe("a protocol", &[First(":protocol", "websocket")], Refused),
    probe("a pseudo-header field that nobody knows", &[First(":any", "1")], Refused),
    probe("a pseudo-header field without a name", &[First(":", "1")], Refused),
    // Hosts.
    probe("Host alone", &[Drop(":authority"), Add("host", "localhost")], Served),
    probe("Host that repeats the authority", &[Add("host", "localhost")], Served),
    probe("Host that contradicts the authority", &[Add("host", "evil.example")], Refused),
    probe(
        "ours in Host, another's authority",
        &[Set(":authority", "evil.example"), Add("host", "localhost")],
        Refused,
    ),
    probe("two Hosts", &[Add("host", "localhost"), Add("host", "localhost")], Refused),
    probe(
        "two Hosts and no authority",
        &[Drop(":authority"), Add("host", "localhost"), Add("host", "a")],
        Refused,
    ),
    probe("the authority of another box", &[Set(":authority", "evil.example")], Own(421)),
    probe("a user in the authority", &[Set(":authority", "evil.example@localhost")], Refused),
    probe(
        "a path and a fragment in the authority",
        &[Set(":authority", "localhost:4000/#@evil.example")],
        Refused,
    ),
    probe("a space in the authority", &[Set(":authority", "local host")], Refused),
    probe("letters in the authority's port", &[Set(":authority", "localhost:80x")], Refused),
    probe("a line's end in the authority", &[Set(":authority", "localhost\r\nX-Any: 1")], Refused),
    probe("NUL in the authority", &[Set(":authority", "localhost\0")], Refused),
    // Methods, schemes, paths.
    probe(
        "a request in the method",
        &[Set(":method", "POST /v1/chat/completions HTTP/1.1\r\nHost: a")],
        Refused,
    ),
    probe("a space in the method", &[Set(":method", "POST ")], Refused),
    probe("an empty method", &[Set(":method", "")], Refused),
    probe("a method in small letters", &[Set(":method", "post")], Own(405)),
    probe("TRACE", &[Set(":method", "TRACE")], Own(405)).sends(Nothing),
    probe("CONNECT with a path", &[Set(":method", "CONNECT")], Refused).sends(Nothing),
    probe("CONNECT", &[Set(":method", "CONNECT"), Drop(":path"), Drop(":scheme")], Refused).sends(Nothing),
    probe("the scheme http", &[Set(":scheme", "http")], Refused),
    probe("another scheme", &[Set(":scheme", "ftp")], Refused),
    probe("an empty scheme", &[Set(":scheme", "")], Refused),
    probe("a line's end in the scheme", &[Set(":scheme", "https\r\nX-Any: 1")], Refused),
    probe("a target in the scheme", &[Set(":scheme", "https://evil.example/?")], Refused),
    probe(
        "a request line in the path",
        &[Set(":path", "/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")],
        Refused,
    ),
    probe("a space in the path", &[Set(":path", "/v1/chat/completions HTTP/1.1")], Refused),
    probe("NUL in the path", &[Set(":path", "/v1/chat/completions\0")], Refused),
    probe("a tab in the path", &[Set(":path", "/v1/chat/completions\t")], Refused),
    probe("no slash in front", &[Set(":path", "v1/chat/completions")], Refused),
    probe("two slashes in front", &[Set(":path", "//v1/chat/completions")], Refused),
    probe("a whole target for a path", &[Set(":path", "https://evil.example/v1/chat/completions")], Refused),
    probe("an asterisk", &[Set(":path", "*")], Refused),
    probe("a way up", &[Set(":path", "/v1/../v1/chat/completions")], Refused),
    probe("an escaped slash", &[Set(":path", "/v1%2fchat/completions")], Refused),
    probe("an escaped line's end", &[Set(":path", "/v1/chat/completions%0d%0aX-Any:%201")], Refused),
    probe("a backslash", &[Set(":path", "/v1\\chat/completions")], Refused),
    // Names and values.
    probe("a name in capitals", &[Add("X-Any", "1")], Refused),
    probe("Content-Length in capitals", &[Add("Content-Length", "2")], Refused),
    probe("Transfer-Encoding in capitals", &[Add("Transfer-Encoding", "chunked")], Refused),
    probe("an empty name", &[Add("", "1")], Refused),
    probe("a space in a name", &[Add("x any", "1")], Refused),
    probe("a space behind a name", &[Add("content-length ", "2")], Refused),
    probe("a colon in a name", &[Add("transfer-encoding: chunked\r\nx", "1")], Refused),
    probe("a colon behind a name", &[Add("x-any:", "1")], Refused),
    probe("a line's end in a name", &[Add("x\r\ny", "1")], Refused),
    probe("NUL in a name", &[Add("x\0y", "1")], Refused),
    probe("letters beyond ASCII in a name", &[Add("x-\u{e9}", "1")], Refused),
    probe("an underscore in a name", &[Add("content_length", "2")], Refused),
    probe("a line's end in a value", &[Add("x-any", "1\r\nTransfer-Encoding: chunked")], Refused),
    probe("a request in a value", &[Add("x-any", SECOND)], Refused),
    probe("LF in a value", &[Add("x-any", "1\nContent-Length: 2")], Refused),
    probe("CR in a value", &[Add("x-any", "1\rContent-Length: 2")], Refused),
    probe("NUL in a value", &[Add("x-any", "1\0")], Refused),
    probe("a line's end in the key", &[Set("authorization", "Bearer a\r\nX-Any: 1")], Refused),
    probe("two keys", &[First("authorization", "Bearer a")], Refused),
    probe("two keys, ours first", &[Add("authorization", "Bearer a")], Refused),
    probe("two types", &[Add("content-type", "text/plain")], Refused),
    probe("what only the daemon may say", &[Add("x-ghost-caller", "admin")], Served),
    probe("whom it is forwarded for", &[Add("x-forwarded-for", "127.0.0.1")], Served),
    probe("an expectation", &[Add("expect", "100-continue")], Served),
    probe("cookies in crumbs", &[Add("cookie", "a=1"), Add("cookie", "b=2")], Served),
    // Trailers.
    probe("a trailer", &[], Served).trails(&[("x-any", "1")]),
    probe("a trailer that says Content-Length", &[], Served).trails(&[("content-length", "2")]),
    probe("a trailer that says Host", &[], Served).trails(&[("host", "evil.example")]),
    probe("a trailer that is the key", &[Drop("authorization")], Own(401))
        .trails(&[("authorization", "Bearer a")]),
    // Malformed, each in one version that does not look (h2 0.4.20, h3 0.0.8): nobody reads a request's trailers.
    probe("a trailer that says the path", &[], Refused).trails(&[(":path", "/healthz")]).over_h2(Served),
    probe("a trailer that says Transfer-Encoding", &[], Refused)
        .trails(&[("transfer-encoding", "chunked")])
        .over_h3(Served),
    probe("a trailer in capitals", &[], Refused).trails(&[("X-Any", "1")]),
    probe("a trailer with a line's end", &[], Refused).trails(&[("x-any", "1\r\nX-Other: 2")]),
    // Others.
    probe("a GET with a request for a body", &[Set(":method", "GET"), Set(":path", "/v1/models")], Own(200)),
    probe("a GET with a request behind", &[Set(":method", "GET"), Set(":path", "/v1/models")], Own(200))
        .sends(Behind(SECOND)),
    probe("nothing for a body", &[], Own(400)).sends(Nothing),
];
