//! What is asked for: each kind of request, how often, and what must come of it.
//!
//! Knows the daemon's interface. Refuses to know connections. Invariant: what must come is said here, before anything is sent.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use ghostllm_tests::{kept::Version, soak::verdict::Asked};

use crate::{
    chance::Chance,
    exchange::Told,
    stage::{FRAIL, MORTAL, SPARE},
};

/// The kinds, as they stand in the table at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Whole,
    Streamed,
    Slow,
    Leaves,
    Fails,
    Mortal,
    Spare,
    Reads,
    WrongKey,
    Malformed,
    TooLarge,
    Unknown,
    Keys,
    Cancelled,
    Admin,
    Reload,
}

impl Kind {
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Whole => "chats, in one piece",
            Self::Streamed => "chats, streamed",
            Self::Slow => "the same, read slowly",
            Self::Leaves => "clients that leave",
            Self::Fails => "engines that fail in an answer",
            Self::Mortal => "engines that die and hang",
            Self::Spare => "a backend that comes and goes",
            Self::Reads => "models, figures, health, page",
            Self::WrongKey => "wrong keys",
            Self::Malformed => "malformed bodies",
            Self::TooLarge => "bodies too large",
            Self::Unknown => "unknown models and paths",
            Self::Keys => "keys made, rotated, revoked",
            Self::Cancelled => "chats ended by an admin",
            Self::Admin => "the admin's questions",
            Self::Reload => "reloads, sound and not",
        }
    }
}

/// Of a hundred requests.
const OFTEN: [(Kind, usize); 12] = [
    (Kind::Whole, 16),
    (Kind::Streamed, 28),
    (Kind::Slow, 2),
    (Kind::Leaves, 11),
    (Kind::Fails, 4),
    (Kind::Mortal, 18),
    (Kind::Spare, 4),
    (Kind::Reads, 9),
    (Kind::WrongKey, 3),
    (Kind::Malformed, 2),
    (Kind::TooLarge, 1),
    (Kind::Unknown, 2),
];

/// With which key, where there is one at all: not on the plain port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    First,
    This(String),
}

/// How an answer is read.
#[derive(Debug, Clone)]
pub(crate) enum Manner {
    Whole,
    /// With a rest after each piece.
    Slowly(Duration),
    /// Until so many pieces have come.
    LeavesAfter(usize),
    /// Before the head has come.
    LeavesWithin(Duration),
    /// As the first, and this is told of the first piece.
    Tells(Arc<Told>),
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Draw {
    pub(crate) kind: Kind,
    pub(crate) method: &'static str,
    pub(crate) path: String,
    /// The row of the route table.
    pub(crate) route: &'static str,
    pub(crate) body: Bytes,
    pub(crate) key: Key,
    pub(crate) asked: Asked,
    /// The engine whose troubles it meets.
    pub(crate) engine: Option<&'static str>,
    pub(crate) manner: Manner,
}

/// What a wrong key looks like: not even of a key's form.
const NOBODYS: &str = "gllm_nobody";
/// Above every `limits.body` that the soak configures.
const TOO_LARGE: usize = 200 << 10;
const CHATS: &str = "/v1/chat/completions";
/// Behind the rows that there are.
const NOWHERE: &str = "unmatched";

/// The next request over this version.
pub(crate) fn draw(chance: &mut Chance, version: Version) -> Draw {
    let mut left = chance.between(1, OFTEN.iter().map(|(_, often)| often).sum());
    let kind = OFTEN.iter().find(|(_, often)| {
        let found = left <= *often;
        left = left.saturating_sub(*often);
        found
    });
    let stream = chance.once_in(2);
    match kind.map_or(Kind::Streamed, |(kind, _)| *kind) {
        Kind::Whole => count(Kind::Whole, quick_or_paced(chance), chance.between(1, 60), false),
        Kind::Slow => {
            let manner = Manner::Slowly(chance.millis(10, 60));
            Draw { manner, ..count(Kind::Slow, "quick", 400, true) }
        }
        Kind::Leaves => leaves(chance),
        Kind::Fails => fails(chance, stream),
        Kind::Mortal => mortal(chance, stream),
        Kind::Spare => {
            let spare = count(Kind::Spare, "spare/quick", chance.between(1, 60), stream);
            Draw { engine: Some(SPARE), ..spare }
        }
        Kind::Reads => reads(chance, version),
        // There every program on the box is let in, whatever it sends as its key.
        Kind::WrongKey if version != Version::Plain => {
            let asked = Asked::Refused(401, "invalid_api_key");
            let key = Key::This(NOBODYS.to_owned());
            Draw { asked, key, ..count(Kind::WrongKey, "quick", 3, stream) }
        }
        Kind::Malformed => {
            let (body, code) = chance
                .of(&[
                    ("{\"model\":", "invalid_json"),
                    ("{\"model\":\"quick\"}", "missing_required_parameter"),
                ])
                .unwrap_or_default();
            let asked = Asked::Refused(400, code);
            Draw { asked, body: body.into(), ..count(Kind::Malformed, "quick", 3, stream) }
        }
        Kind::TooLarge => {
            let asked = Asked::Refused(413, "payload_too_large");
            Draw { asked, body: vec![b' '; TOO_LARGE].into(), ..count(Kind::TooLarge, "quick", 3, stream) }
        }
        Kind::Unknown | Kind::WrongKey => unknown(chance, stream),
        _ => {
            let model = quick_or_paced(chance);
            let to = if model == "quick" { chance.between(1, 300) } else { chance.between(1, 40) };
            count(Kind::Streamed, model, to, true)
        }
    }
}

fn quick_or_paced(chance: &mut Chance) -> &'static str {
    if chance.once_in(2) { "quick" } else { "paced" }
}

/// A chat that counts.
pub(crate) fn count(kind: Kind, model: &str, to: usize, stream: bool) -> Draw {
    let body = serde_json::json!({
        "model": model, "stream": stream,
        "messages": [{"role": "user", "content": format!("Count to {to}")}],
    });
    Draw {
        kind,
        method: "POST",
        path: CHATS.to_owned(),
        route: CHATS,
        body: Bytes::from(body.to_string()),
        key: Key::First,
        asked: Asked::Count { to, stream },
        engine: None,
        manner: Manner::Whole,
    }
}

/// In the middle of a stream, or while its engine has said nothing.
fn leaves(chance: &mut Chance) -> Draw {
    if chance.once_in(4) {
        let manner = Manner::LeavesWithin(chance.millis(50, 400));
        return Draw { manner, ..count(Kind::Leaves, "hangs", 3, chance.once_in(2)) };
    }
    let manner = Manner::LeavesAfter(chance.between(1, 10));
    Draw { manner, ..count(Kind::Leaves, "paced", 200, true) }
}

fn fails(chance: &mut Chance, stream: bool) -> Draw {
    let fails = [
        ("hangs", 504, "backend_timeout"),
        ("stalls", 504, "backend_timeout"),
        ("breaks", 502, "backend_error"),
    ];
    let (model, status, code) = chance.of(&fails).unwrap_or_default();
    let to = 30;
    Draw { asked: Asked::Fails { to, stream, status, code }, ..count(Kind::Fails, model, to, stream) }
}

fn mortal(chance: &mut Chance, stream: bool) -> Draw {
    let some = [(MORTAL, "mortal/paced"), (MORTAL, "mortal/quick"), (FRAIL, "frail/other"), (FRAIL, "other")];
    let (engine, model) = chance.of(&some).unwrap_or_default();
    Draw { engine: Some(engine), ..count(Kind::Mortal, model, chance.between(1, 60), stream) }
}

fn reads(chance: &mut Chance, version: Version) -> Draw {
    let some = [
        ("/v1/models", "/v1/models", "\"quick"),
        ("/v1/models/quick", "/v1/models/{model...}", "\"quick"),
        ("/metrics", "/metrics", "ghostllm_streams"),
        ("/healthz", "/healthz", "the edge serves"),
        ("/readyz", "/readyz", ""),
        ("/ca.pem", "/ca.pem", "BEGIN CERTIFICATE"),
        ("/", "/", "GhostLLM"),
    ];
    let (path, route, says) = chance.of(&some).unwrap_or_default();
    // To a user's key the figures are shown on the plain port alone, which wants none.
    let asked = match path {
        "/metrics" if version != Version::Plain => Asked::Refused(403, "forbidden"),
        _ => Asked::Says(says),
    };
    get(Kind::Reads, path, route, asked)
}

fn unknown(chance: &mut Chance, stream: bool) -> Draw {
    match chance.between(1, 3) {
        1 => get(Kind::Unknown, "/no/where", NOWHERE, Asked::Refused(404, "unknown_url")),
        2 => get(Kind::Unknown, CHATS, NOWHERE, Asked::Refused(405, "method_not_allowed")),
        _ => {
            let model = format!("nobody-s-{}", chance.next() % 1000);
            let asked = Asked::Refused(404, "model_not_found");
            Draw { asked, ..count(Kind::Unknown, &model, 3, stream) }
        }
    }
}

fn get(kind: Kind, path: &str, route: &'static str, asked: Asked) -> Draw {
    let (method, path, body) = ("GET", path.to_owned(), Bytes::new());
    Draw { method, path, route, body, asked, ..count(kind, "quick", 1, false) }
}
