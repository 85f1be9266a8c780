//! Requests over HTTP/2 and 3 that mean two things, or would become two over HTTP/1.1: lengths that their DATA contradicts,
//! chunks, pseudo-header fields that are repeated, late or foreign, line ends inside of names and values, fields of a connection,
//! a Host beside another `:authority`. Judged by what reaches the engine.
//!
//! Invariants, for every probe on both versions: the engine is asked for what an honest client would have asked with the same
//! body, under fields of the daemon's own, or for nothing; what HTTP/2 or 3 calls malformed is reset, closed or answered with 400.

mod table;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use ghostllm_tests::{
    client::{Caller, Family, Version},
    daemon::{Daemon, Setup},
    wire::Incoming,
};

use self::table::{Expected, Head, Probe};
use crate::{
    probes::check_composed,
    support::{
        echo::{self, Echo},
        h2::{self, END_HEADERS, END_STREAM},
        h3::{self, Came},
    },
};

/// So many connections at once.
const ABREAST: usize = 8;

/// The two versions, with what their probes are told by in the engine.
const VERSIONS: [(Version, &str); 2] = [(Version::H2, "h2"), (Version::H3, "h3")];

fn tag(version: &str, nth: usize) -> String {
    format!("{version}-{nth:03}")
}

/// Sends one probe on a connection of its own, and says what came of it.
async fn send(caller: &Caller, probe: &Probe, tag: &str, key: &str) -> Result<Came> {
    let (head, body) = (probe.head(tag, key), probe.body(tag));
    if caller.version() == Version::H3 {
        let quic = h3::dial(caller).await?;
        let _control = h3::control(&quic).await?;
        return h3::ask(&quic, &over_h3(probe, &head, body.as_deref())).await;
    }
    h2::ask(caller, &over_h2(probe, &head, body.as_deref())).await
}

fn borrowed(head: &Head) -> Vec<(&str, &str)> {
    head.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// The frames of stream 1.
fn over_h2(probe: &Probe, head: &Head, body: Option<&[u8]>) -> Vec<u8> {
    let last = |is_last: bool| if is_last { END_STREAM } else { 0 };
    let trailers = (!probe.trailers.is_empty()).then(|| h2::fields(probe.trailers));
    let flags = END_HEADERS | last(body.is_none() && trailers.is_none());
    let mut frames = h2::frame(h2::HEADERS, flags, 1, &h2::fields(&borrowed(head)));
    if let Some(body) = body {
        frames.extend(h2::frame(h2::DATA, last(trailers.is_none()), 1, body));
    }
    if let Some(trailers) = trailers {
        frames.extend(h2::frame(h2::HEADERS, END_HEADERS | END_STREAM, 1, &trailers));
    }
    frames
}

fn over_h3(probe: &Probe, head: &Head, body: Option<&[u8]>) -> Vec<u8> {
    let mut frames = h3::frame(h3::HEADERS, &h3::fields(&borrowed(head)));
    if let Some(body) = body {
        frames.extend(h3::frame(h3::DATA, body));
    }
    if !probe.trailers.is_empty() {
        frames.extend(h3::frame(h3::HEADERS, &h3::fields(probe.trailers)));
    }
    frames
}

/// What is wrong with an outcome, if anything.
fn judge(came: Came, arrived: usize, expected: Expected) -> Option<String> {
    let good = match expected {
        Expected::Served => came == Came::Answer(200) && arrived == 1,
        Expected::Refused => !matches!(came, Came::Answer(status) if status != 400) && arrived == 0,
        Expected::Own(status) => came == Came::Answer(status) && arrived == 0,
    };
    (!good).then(|| format!("{expected:?} was due; {came:?}, and {arrived} reached the engine"))
}

/// Sends all of them over both versions; what came of each, and what is wrong with it.
async fn run(probes: &[Probe]) -> Result<(BTreeMap<String, Came>, Vec<String>)> {
    let engine = Echo::start().await?;
    let daemon = Daemon::start(&Setup::backend("openai", &engine.url())).await?;
    let key = daemon.key.clone().context("no first key")?;
    let mut came = BTreeMap::new();
    for (version, name) in VERSIONS {
        let caller = Caller::keyless(&daemon, version, Family::V4).await?;
        let sending = probes.iter().enumerate().map(|(nth, probe)| {
            let (caller, key, tag) = (&caller, &key, tag(name, nth));
            async move {
                let came = send(caller, probe, &tag, key).await;
                anyhow::Ok((tag, came.with_context(|| format!("{:?} over {name}", probe.name))?))
            }
        });
        let sent: Vec<_> = stream::iter(sending).buffered(ABREAST).try_collect().await?;
        came.extend(sent);
    }
    // It ends when everything has been asked that ever will be.
    daemon.stop().await?;
    let seen: Vec<Incoming> =
        engine.seen().into_iter().collect::<Result<_, _>>().map_err(anyhow::Error::msg)?;
    let mut wrong = Vec::new();
    let mut arrived = BTreeMap::<String, usize>::new();
    for request in &seen {
        check_composed(request, &engine).with_context(|| request.dump())?;
        *arrived.entry(echo::said(&request.body).unwrap_or_default()).or_default() += 1;
    }
    for (_, name) in VERSIONS {
        for (nth, probe) in probes.iter().enumerate() {
            let tag = tag(name, nth);
            let arrived = arrived.remove(&tag).unwrap_or_default();
            let expected = if name == "h3" { probe.h3 } else { probe.h2 };
            let what = judge(*came.get(&tag).context("not sent")?, arrived, expected);
            wrong.extend(what.map(|what| format!("{:?} over {name}: {what}", probe.name)));
        }
    }
    wrong.extend(arrived.keys().map(|tag| format!("nobody's request reached the engine: {tag:?}")));
    Ok((came, wrong))
}

#[tokio::test]
async fn reads_every_request_of_http_2_and_3_in_one_way_or_refuses_it() -> Result<()> {
    let (came, wrong) = run(table::PROBES).await?;
    for (_, name) in VERSIONS {
        let mut counts = BTreeMap::<String, usize>::new();
        for came in came.iter().filter(|(tag, _)| tag.starts_with(name)).map(|(_, came)| came) {
            *counts.entry(format!("{came:x?}")).or_default() += 1;
        }
        println!("{} probes over {name}: {counts:?}", table::PROBES.len());
    }
    ensure!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), came.len(), wrong.join("\n"));
    Ok(())
}

/// The judge is judged: a request that comes through although none was due is seen, and one that does not.
#[tokio::test]
async fn a_request_that_comes_through_would_be_seen() -> Result<()> {
    let probes = [
        table::probe("an honest request", &[], Expected::Refused),
        table::probe("another's", &[table::Edit::Set(":authority", "evil.example")], Expected::Served),
    ];
    let (_, wrong) = run(&probes).await?;
    ensure!(wrong.len() == 4, "{wrong:?}");
    Ok(())
}
