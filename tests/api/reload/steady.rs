//! Ten thousand requests while the configuration is read anew a hundred times, a third of them in vain: none fails.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures_util::future::try_join_all;
use ghostllm_tests::{
    certificate::Pair,
    client::{Caller, Family, Request, VERSIONS, Version},
    daemon::{Daemon, Setup},
    double::Double,
    kept::{Dialer, Sender},
    ollama::Ollama,
    openai::{OpenAi, Style},
    script::Sin,
    sse::Chat,
};
use tokio::sync::watch;

use super::parts::dialer;
use crate::{FRANCE, PARIS};

const REQUESTS: usize = 10_000;
const RELOADS: usize = 100;
/// Connections of each version: HTTP/1.1 has one request on each, the others several.
const CONNECTIONS: usize = 3;
/// Requests at the same time on one of HTTP/2 or 3.
const AT_ONCE: usize = 3;

/// What the configurations are made of.
struct Made {
    setup: Setup,
    engines: [Double; 2],
    pair: Pair,
}

impl Made {
    /// The configuration of one reload: every third is bad, each in its own way; the others move the backends, the
    /// limits, the names and the certificate.
    fn configuration(&self, round: usize) -> (Setup, bool) {
        let [one, other] = &self.engines;
        let (first, second) = if round.is_multiple_of(2) { (one, other) } else { (other, one) };
        let limits =
            format!("streams = {}\nbody = \"{}MiB\"\nheader_count = {}", 50 + round, 1 + round, 60 + round);
        let mut setup = self.setup.clone().with_backend("box", "ollama", &first.url(), "");
        // One more that comes and goes, and would serve the same model.
        if round.is_multiple_of(4) {
            setup = setup.with_backend("spare", "ollama", &second.url(), "");
        }
        setup = setup.with_limits(&limits);
        setup.listen.push_str(&format!("names = [\"round-{round}.internal\"]\n"));
        if round.is_multiple_of(5) {
            setup.listen.push_str(&self.pair.lines());
        }
        if !round.is_multiple_of(3) {
            return (setup, true);
        }
        let faults = [
            "\n[limits.more]\n",
            "\nnonsense\n",
            "\n[log]\nlevel = \"loud\"\n",
            "\n[[backends]]\nname = \"box\"\n",
            "\n[[backends]]\nname = \"new\"\nkind = \"openai\"\nurl = \"http://127.0.0.1:1\"\nkey_file = \"/nowhere\"\n",
        ];
        setup.config.push_str(faults[round / 3 % faults.len()]);
        (setup, false)
    }
}

/// What came of it.
#[derive(Debug, Default)]
struct Figures {
    taken: usize,
    refused: usize,
    by_watching: usize,
    longest: Duration,
}

/// A load that goes on until enough was asked and everything was reloaded.
struct Load {
    asked: watch::Sender<usize>,
    reloaded: Cell<bool>,
}

impl Load {
    /// Asks again and again on one connection, and counts. Each answer must be whole.
    async fn ask(&self, dialer: &Dialer, sender: &Sender, bodies: &[Bytes; 2]) -> Result<()> {
        while *self.asked.borrow() < REQUESTS || !self.reloaded.get() {
            self.asked.send_modify(|asked| *asked += 1);
            let number = *self.asked.borrow();
            let stream = number.is_multiple_of(2);
            let mut answer = sender.ask(dialer.request(&bodies[usize::from(stream)])?).await?;
            let mut body = Vec::new();
            while let Some(piece) = answer.piece().await? {
                body.extend_from_slice(&piece);
            }
            let text = || String::from_utf8_lossy(&body).into_owned();
            if stream {
                let chat = Chat::read(&body)?;
                ensure!(chat.done && chat.text() == PARIS, "request {number}: {}", text());
            } else {
                ensure!(text().contains(PARIS), "request {number}: {}", text());
            }
        }
        Ok(())
    }
}

/// Reloads once a hundredth of the requests has been asked, and again.
async fn reload(daemon: &Daemon, made: &Made, load: &Load) -> Result<Figures> {
    let mut figures = Figures::default();
    for round in 1..=RELOADS {
        let due = (round - 1) * REQUESTS / RELOADS;
        load.asked.subscribe().wait_for(|asked| *asked >= due).await?;
        let (setup, sound) = made.configuration(round);
        let begun = Instant::now();
        // Every tenth is found by itself.
        let watched = round.is_multiple_of(10);
        daemon.configure(&setup)?;
        let status = if watched { daemon.wait_reloaded().await } else { daemon.reload().await }
            .with_context(|| format!("round {round}"))?;
        figures.by_watching += usize::from(watched);
        if !watched {
            figures.longest = figures.longest.max(begun.elapsed());
        }
        ensure!(status.contains("not in use") != sound, "round {round}: {status}");
        if sound {
            figures.taken += 1;
            handshakes(daemon, made, round).await?;
        } else {
            figures.refused += 1;
        }
    }
    load.reloaded.set(true);
    Ok(figures)
}

/// Those that begin now see what the configuration names now.
async fn handshakes(daemon: &Daemon, made: &Made, round: usize) -> Result<()> {
    let caller = Caller::at(daemon, Version::H2, ([127, 0, 0, 1], 0).into())?;
    let caller = match round.is_multiple_of(5) {
        true => caller.trusting(&std::fs::read(&made.pair.certificate)?),
        false => caller,
    };
    caller.dial().await.with_context(|| format!("round {round}: another certificate is shown")).map(drop)
}

#[tokio::test]
async fn none_of_ten_thousand_requests_fails_in_a_hundred_reloads() -> Result<()> {
    let engines = [Double::start(Ollama::default()).await, Double::start(Ollama::default()).await];
    let scratch = tempfile::tempdir()?;
    let pair = Pair::make(scratch.path(), "owner", "localhost")?;
    let setup = Setup::default().with_limits("config_interval = \"50ms\"");
    let made = Made { setup, engines, pair };
    // A stream of each version that is open all the time; its backend is taken away by the first reload.
    let mut gated = Vec::new();
    let mut first = made.configuration(2).0;
    for version in VERSIONS {
        let model = format!("gated-{version:?}").to_lowercase();
        let double = Double::start(OpenAi::new(Style::Vllm, &model)).await;
        double.misbehave(&model, Sin::Gated);
        double.release(1);
        first = first.with_backend(&model, "openai", &double.url(), "");
        gated.push((version, model, double));
    }
    let daemon = Daemon::start(&first).await?;
    let mut streams = Vec::new();
    for (version, model, _) in &gated {
        let caller = Caller::new(&daemon, *version, Family::V4).await?;
        let mut stream = caller.open(&Request::chat(model, FRANCE, true)).await?;
        let body = stream.until("data: ").await?;
        streams.push((version, stream, body));
    }
    let load = Load { asked: watch::Sender::new(0), reloaded: Cell::new(false) };
    let bodies = [false, true].map(|stream| Bytes::from(Request::chat("tiny", FRANCE, stream).body));
    let mut dialers = Vec::new();
    for version in VERSIONS {
        let dialer = dialer(&daemon, version)?;
        for _ in 0..CONNECTIONS {
            let at_once = if version == Version::H1 { 1 } else { AT_ONCE };
            let sender = dialer.dial().await?;
            dialers.extend((0..at_once).map(|_| (version, sender.clone())));
        }
    }
    let keepers: Vec<_> = VERSIONS.iter().map(|version| dialer(&daemon, *version)).collect::<Result<_>>()?;
    let of = |version: Version| &keepers[VERSIONS.iter().position(|other| *other == version).unwrap()];
    let begun = Instant::now();
    let asking = try_join_all(dialers.iter().map(|(version, sender)| {
        let work = load.ask(of(*version), sender, &bodies);
        async move { work.await.with_context(|| format!("{version:?}")) }
    }));
    let (_, figures) = tokio::try_join!(asking, reload(&daemon, &made, &load))?;
    let took = begun.elapsed();
    gated.iter().for_each(|(_, _, double)| double.release(1000));
    for (version, stream, mut body) in streams {
        body.extend(stream.finish().await?.body);
        ensure!(Chat::read(&body)?.done, "{version:?}: a stream was cut: {}", String::from_utf8_lossy(&body));
    }
    daemon.wait_said_times("which was taken away, has ended", VERSIONS.len()).await?;
    println!(
        "{} requests over HTTP/1.1, 2 and 3 in {:.1} s, {} reloads ({} taken, {} refused, {} by watching the files), the \
         longest {} ms; 0 requests failed, 0 connections were lost, {} streams stayed open all the time",
        *load.asked.borrow(),
        took.as_secs_f64(),
        RELOADS,
        figures.taken,
        figures.refused,
        figures.by_watching,
        figures.longest.as_millis(),
        VERSIONS.len(),
    );
    daemon.stop().await
}
