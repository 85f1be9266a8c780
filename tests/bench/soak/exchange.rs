//! One request and its answer on a connection of any version, read in its manner, written into the ledger and judged.
//!
//! Knows how an answer is read. Refuses to know what is asked for. Invariant: whatever becomes of it, a request that was begun is
//! in the ledger and in the score exactly once.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use anyhow::Result;
use bytes::Bytes;
use ghostllm_tests::{
    kept::{Dialer, Sender, Version},
    soak::{
        ledger::{PREFIX, Seen, Way},
        verdict::{Came, End},
    },
};
use http::{HeaderValue, Request};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use crate::{
    mix::{Draw, Manner},
    stage::Stage,
};

/// Nothing that the soak asks for takes so long: whatever does hangs.
const LONGEST: Duration = Duration::from_secs(40);

/// What somebody else waits for: the first piece of an answer, and the number of its request.
#[derive(Debug, Default)]
pub(crate) struct Told {
    first: Notify,
    number: AtomicU64,
}

impl Told {
    /// Waits for the first piece; gives the request's number.
    pub(crate) async fn first(&self) -> u64 {
        self.first.notified().await;
        self.number.load(Relaxed)
    }
}

/// Where it goes out.
#[derive(Clone, Copy)]
pub(crate) struct On<'a> {
    pub(crate) version: Version,
    pub(crate) dialer: &'a Dialer,
    pub(crate) sender: &'a Sender,
}

/// An answer, as far as it has come.
#[derive(Default)]
struct Partial {
    status: Option<u16>,
    body: Vec<u8>,
}

/// Makes one; gives whether its connection may be used again.
pub(crate) async fn exchange(stage: &Stage, on: On<'_>, draw: &Draw) -> bool {
    let number = stage.ledger.send();
    let sent = Instant::now();
    let mut partial = Partial::default();
    let end = match request(on.dialer, draw, stage.key(on.version, &draw.key), number) {
        Ok(request) => match timeout(LONGEST, read(on, request, draw, number, &mut partial)).await {
            Ok(end) => end,
            Err(_) => End::Broken(format!("it still goes on after {LONGEST:?}")),
        },
        Err(error) => End::Never(format!("{error:#}")),
    };
    let Partial { status, body } = partial;
    let seen = match (&end, status) {
        (End::Left, Some(_)) => Seen::Left,
        (End::Left, None) => Seen::Unheard,
        (_, Some(status)) => Seen::Status(status),
        (_, None) => Seen::Nothing,
    };
    let way = Way { route: draw.route, http: spoken(on.version) };
    stage.ledger.end(number, way, seen);
    let resets = matches!(on.version, Version::H2 | Version::H3);
    // HTTP/1.1 has no way to leave but to close.
    let usable = end == End::Whole || (resets && !matches!(end, End::Never(_)));
    let came = Came { sent, ended: Instant::now(), status, body, end, resets };
    stage.settle(draw, &on.version.to_string(), number, &came);
    usable
}

pub(crate) fn spoken(version: Version) -> &'static str {
    match version {
        Version::Plain | Version::H1 => "HTTP/1.1",
        Version::H2 => "HTTP/2",
        Version::H3 => "HTTP/3",
    }
}

fn request(dialer: &Dialer, draw: &Draw, key: Option<&str>, number: u64) -> Result<Request<Bytes>> {
    let mut request = dialer.asking(draw.method, &draw.path, b"", key)?;
    let headers = request.headers_mut();
    headers.insert("x-request-id", HeaderValue::from_str(&format!("{PREFIX}{number}"))?);
    if !draw.body.is_empty() {
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("content-length", draw.body.len().into());
        *request.body_mut() = draw.body.clone();
    }
    Ok(request)
}

async fn read(on: On<'_>, request: Request<Bytes>, draw: &Draw, number: u64, into: &mut Partial) -> End {
    let heard = on.sender.heard(request);
    let heard = match draw.manner {
        Manner::LeavesWithin(time) => match timeout(time, heard).await {
            Ok(heard) => heard,
            Err(_) => return End::Left,
        },
        _ => heard.await,
    };
    let (head, mut body) = match heard {
        Ok(heard) => heard,
        Err(error) => return End::Never(format!("{error:#}")),
    };
    into.status = Some(head.status.as_u16());
    let mut pieces = 0;
    loop {
        match body.piece().await {
            Ok(Some(piece)) => into.body.extend_from_slice(&piece),
            Ok(None) => return End::Whole,
            Err(error) => return End::Broken(format!("{error:#}")),
        }
        pieces += 1;
        match &draw.manner {
            Manner::Slowly(rest) => sleep(*rest).await,
            // A refusal is read to its end.
            Manner::LeavesAfter(most) if pieces >= *most && head.status == 200 => return End::Left,
            Manner::Tells(told) if pieces == 1 => {
                told.number.store(number, Relaxed);
                told.first.notify_one();
            }
            _ => {}
        }
    }
}
