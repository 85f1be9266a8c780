//! Requests over HTTP/1.1 that two readers read differently, as raw bytes to the daemon, and to nginx and haproxy in front of
//! the same sort of engine. Judged by what reaches the engine, and by what the two others refuse.
//!
//! Invariants, for every probe on both ports: the engine is asked for nothing that the client did not send as a request; what
//! it is asked is the client's body, under fields of the daemon's own; behind bytes that could be read in two ways nothing is
//! read at all; and what nginx or haproxy refuses is refused, but where the table names the reason.

mod chunks;
mod fields;
mod hosts;
mod lengths;
mod outcome;
mod requests;
mod table;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use ghostllm_tests::{
    client::{Caller, Family, Version},
    daemon::{Daemon, Setup},
    proxies::{Program, Proxy},
    wire::Incoming,
};
use tokio::net::UnixStream;

use self::{
    outcome::{Answer, Door, Outcome, tag_of},
    table::{Expected, Probe},
};
use crate::support::echo::{self, Echo};

/// So many connections at once to each.
const ABREAST: usize = 8;
/// Runs on the TLS port are counted from here, since both ports have one engine.
const OVER_TLS: usize = 500;
/// What waits for more is given up soon, and what was answered is not: a connection that is left open where it should be
/// closed fails by the client's patience.
const LIMITS: &str = "header_read = \"5s\"\nbody_idle = \"5s\"\n";

/// Sends every probe there.
async fn send(probes: &[Probe], door: &Door, key: &str, from: usize) -> Result<Vec<Vec<Answer>>> {
    let sending = probes.iter().enumerate().map(|(nth, probe)| async move {
        let bytes = probe.bytes(from + nth, key);
        door.send(&bytes, probe.cut)
            .await
            .with_context(|| format!("{:?}: {}", probe.name, bytes.escape_ascii()))
    });
    stream::iter(sending).buffered(ABREAST).try_collect().await
}

fn outcomes(answers: Vec<Vec<Answer>>, from: usize, seen: &[Incoming]) -> Vec<Outcome> {
    answers.into_iter().enumerate().map(|(nth, answers)| Outcome::new(from + nth, answers, seen)).collect()
}

/// The daemon's outcomes, on the plain port and over TLS, and everything that its engine was asked.
async fn ghostllm(probes: &[Probe]) -> Result<(Vec<Outcome>, Vec<Outcome>, Vec<Incoming>)> {
    let engine = Echo::start().await?;
    let daemon = Daemon::start(&Setup::backend("openai", &engine.url()).with_limits(LIMITS)).await?;
    let key = format!("Authorization: Bearer {}\r\n", daemon.key.as_deref().context("no first key")?);
    let tls = Door::Tls(Box::new(Caller::keyless(&daemon, Version::H1, Family::V4).await?));
    let plain = Door::Plain(daemon.plain(false)?);
    let (plain, tls) = tokio::try_join!(send(probes, &plain, "", 0), send(probes, &tls, &key, OVER_TLS))?;
    // It ends when everything has been asked that ever will be.
    daemon.stop().await?;
    let seen: Vec<Incoming> =
        engine.seen().into_iter().collect::<Result<_, _>>().map_err(anyhow::Error::msg)?;
    for request in &seen {
        check_composed(request, &engine).with_context(|| request.dump())?;
    }
    Ok((outcomes(plain, 0, &seen), outcomes(tls, OVER_TLS, &seen), seen))
}

/// What the engine is asked is of the daemon's making, but for the body.
pub(crate) fn check_composed(request: &Incoming, engine: &Echo) -> Result<()> {
    ensure!(request.method == "POST" && request.target == "/v1/chat/completions", "another request line");
    let tag = tag_of(request).context("no body of ours")?;
    ensure!(request.body == echo::body(&tag).into_bytes(), "another body");
    let mut names: Vec<String> = request.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort();
    let ours = [
        "accept",
        "accept-encoding",
        "content-length",
        "content-type",
        "host",
        "traceparent",
        "user-agent",
        "x-request-id",
    ];
    ensure!(names == ours, "other fields");
    // What a client may choose of it is short and plain.
    for name in ["traceparent", "x-request-id"] {
        let plain = |value: &str| {
            value.len() <= 128
                && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:+/=".contains(&byte))
        };
        ensure!(request.header(name).is_some_and(plain), "{name}: {:?}", request.header(name));
    }
    ensure!(request.header("host") == Some(&engine.address.to_string()), "another Host");
    Ok(())
}

/// The same bytes, without a key, to nginx or haproxy. What arrives at their engine broken is theirs to answer for.
async fn reference(program: Program, probes: &[Probe]) -> Result<Vec<Outcome>> {
    let engine = Echo::start().await?;
    let directory = tempfile::Builder::new().prefix("ghostllm-test-").tempdir()?;
    // A socket of its own, since neither can be asked which port the kernel gave it.
    let socket = directory.path().join("socket");
    let configuration = match program {
        Program::Nginx => nginx(&socket, &engine),
        Program::Haproxy => haproxy(&socket, &engine),
    };
    let listens = async || UnixStream::connect(&socket).await.is_ok();
    let proxy = Proxy::start(program, directory.path(), &configuration, listens).await?;
    let answers =
        send(probes, &Door::Unix(socket.clone()), "", 0).await.with_context(|| program.to_string())?;
    drop(proxy);
    let seen: Vec<Incoming> = engine.seen().into_iter().flatten().collect();
    Ok(outcomes(answers, 0, &seen))
}

fn nginx(socket: &Path, engine: &Echo) -> String {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {name};\n"))
        .concat();
    format!(
        "daemon off;\nuser root;\nworker_processes 1;\npid nginx.pid;\nerror_log stderr crit;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n access_log off;\n {temporary} client_header_timeout 5s;\n client_body_timeout 5s;\n\
         lingering_close off;\n\
         server {{\n listen unix:{};\n server_name localhost;\n\
         location / {{ proxy_pass http://{}; proxy_http_version 1.1; proxy_set_header Connection \"\"; }}\n }}\n}}\n",
        socket.display(),
        engine.address
    )
}

fn haproxy(socket: &Path, engine: &Echo) -> String {
    format!(
        "global\n maxconn 1000\n nbthread 1\n\
         defaults\n mode http\n timeout connect 2s\n timeout client 5s\n timeout http-request 5s\n\
         timeout http-keep-alive 60s\n timeout server 5s\n\
         frontend in\n bind unix@{}\n default_backend engine\n\
         backend engine\n server engine {}\n",
        socket.display(),
        engine.address
    )
}

#[tokio::test]
async fn reads_every_request_in_one_way_or_refuses_it() -> Result<()> {
    let probes = table::all();
    let ((plain, tls, seen), nginx, haproxy) = tokio::try_join!(
        ghostllm(&probes),
        reference(Program::Nginx, &probes),
        reference(Program::Haproxy, &probes)
    )?;
    let mut wrong = Vec::new();
    let mut judged = Judged::default();
    for (nth, probe) in probes.iter().enumerate() {
        for (port, outcome, run, expected) in
            [("plain", &plain[nth], nth, probe.plain), ("TLS", &tls[nth], OVER_TLS + nth, probe.tls)]
        {
            if let Err(what) = outcome.check(run, expected) {
                wrong.push(format!("{:?} on the {port} port: {what}", probe.name));
            }
        }
        let peers = [(Program::Nginx, &nginx[nth]), (Program::Haproxy, &haproxy[nth])];
        if let Err(what) = judged.compare(probe, [&plain[nth], &tls[nth]], peers) {
            wrong.push(what);
        }
    }
    let expected: usize = plain.iter().chain(&tls).map(|outcome| outcome.arrived.len()).sum();
    if seen.len() != expected {
        wrong.push(format!(
            "{} requests reached the engine, and {expected} can be told whose they are",
            seen.len()
        ));
    }
    judged.print(&[
        ("ghostllm (plain)", &plain),
        ("ghostllm (TLS)", &tls),
        ("nginx", &nginx),
        ("haproxy", &haproxy),
    ]);
    ensure!(wrong.is_empty(), "{} of {} probes:\n{}", wrong.len(), probes.len(), wrong.join("\n"));
    Ok(())
}

/// The judge is judged: a second request that the probe does not own up to is seen.
#[tokio::test]
async fn a_smuggled_request_would_be_seen() -> Result<()> {
    let smuggling = table::probe("a second request", "<sized>\r\n<body><smuggled>", Expected::Served(1));
    let (plain, tls, seen) = ghostllm(&[smuggling]).await?;
    for (outcomes, run) in [(plain, 0), (tls, OVER_TLS)] {
        let [outcome] = &outcomes[..] else { anyhow::bail!("one outcome for one probe") };
        ensure!(outcome.check(run, Expected::Served(1)).is_err(), "{outcome} and nobody minded");
        ensure!(outcome.arrived == ["first", "smuggled", "next"], "{outcome}");
    }
    ensure!(seen.len() == 6, "{} requests", seen.len());
    Ok(())
}

/// How the daemon stands beside the others.
#[derive(Default)]
struct Judged {
    /// Probes that it serves and another refuses, with the reason in the table.
    named: Vec<String>,
    /// Reasons in the table that nobody needs; another version of nginx or haproxy may.
    needless: Vec<String>,
    /// Probes that it refuses on both ports, and both others serve.
    alone: Vec<&'static str>,
}

impl Judged {
    fn compare(
        &mut self,
        probe: &Probe,
        ours: [&Outcome; 2],
        peers: [(Program, &Outcome); 2],
    ) -> Result<(), String> {
        let refusing = peers.iter().filter(|(_, outcome)| outcome.is_refusal());
        let refusing: Vec<String> =
            refusing.map(|(program, outcome)| format!("{program} ({})", outcome.status())).collect();
        let (by, name) = (refusing.join(" and "), probe.name);
        let served = ours.iter().any(|outcome| !outcome.is_refusal());
        match probe.named {
            Some(_) if !served || refusing.is_empty() => self.needless.push(name.into()),
            Some(reason) => self.named.push(format!("{name}, refused by {by}: {reason}")),
            None if served && !refusing.is_empty() => {
                return Err(format!("{name:?} is served, and refused by {by}"));
            }
            None if !served && refusing.is_empty() => self.alone.push(name),
            None => {}
        }
        Ok(())
    }

    fn print(&self, outcomes: &[(&str, &[Outcome])]) {
        let each = |what: fn(&Outcome) -> bool| {
            let of = |(name, all): &(&str, &[Outcome])| {
                format!("{name} {}", all.iter().filter(|outcome| what(outcome)).count())
            };
            outcomes.iter().map(of).collect::<Vec<_>>().join(", ")
        };
        println!(
            "{} probes, refused by {}; smuggled past {}; {} differ by name, {} are refused by ghostllm alone",
            outcomes.first().map_or(0, |(_, all)| all.len()),
            each(Outcome::is_refusal),
            each(|outcome| outcome.arrived.contains(&"smuggled")),
            self.named.len(),
            self.alone.len()
        );
        self.named.iter().for_each(|text| println!("differs by name: {text}"));
        self.needless.iter().for_each(|text| println!("needs no name here: {text}"));
        println!("refused by ghostllm alone: {}", self.alone.join("; "));
    }
}
