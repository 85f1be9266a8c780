//! How many series there are, whoever asks for whatever.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures_util::future::try_join_all;
use ghostllm_tests::{
    client::{Request, plain},
    daemon::{Daemon, Setup},
    double::Double,
    kept::{Dialer, Place, Sender, Version},
    ollama::Ollama,
    script::Sin,
    sheet::Sheet,
};

use crate::FRANCE;

/// So many names, as the issue has it.
const NAMES: usize = 100_000;
/// Over so many connections of HTTP/2.
const CONNECTIONS: usize = 4;
/// With so many requests at a time on each.
const AT_ONCE: usize = 16;

/// A name that nobody has asked for: SplitMix64's step and finaliser (Steele, Lea and Flood 2014), of three kinds.
fn name(number: usize) -> String {
    let mut bits = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits ^= bits >> 31;
    match number % 3 {
        0 => format!("{bits:016x}"),
        1 => format!("library/{bits:x}:latest"),
        _ => format!("\\u00e9 \\\"{bits:o}\\\""),
    }
}

fn asking(name: &str) -> Bytes {
    let body =
        format!("{{\"model\":\"{name}\",\"messages\":[{{\"role\":\"user\",\"content\":\"{FRANCE}\"}}]}}");
    Bytes::from(body)
}

/// Asks for one after the other, as long as there are any.
async fn ask_on(dialer: &Dialer, sender: &Sender, next: &AtomicUsize, asked: (&str, usize)) -> Result<usize> {
    let (prefix, most) = asked;
    let mut refused = 0;
    loop {
        let number = next.fetch_add(1, Relaxed);
        if number >= most {
            return Ok(refused);
        }
        let (head, mut answer) =
            sender.heard(dialer.request(&asking(&format!("{prefix}{}", name(number))))?).await?;
        answer.finish().await?;
        ensure!(head.status == 404, "{} for {}", head.status, name(number));
        refused += 1;
    }
}

/// Asks for so many names behind this prefix; all of them are nobody's.
async fn ask_all(daemon: &Daemon, prefix: &str, most: usize) -> Result<()> {
    let place = Place {
        version: Version::H2,
        address: ([127, 0, 0, 1], daemon.tls).into(),
        ca: daemon.state("ca/ca.pem"),
        key: daemon.key.clone(),
    };
    let (dialer, next) = (Dialer::new(&place)?, Arc::new(AtomicUsize::new(0)));
    let senders = try_join_all((0..CONNECTIONS).map(|_| dialer.dial())).await?;
    let asking = senders.iter().flat_map(|sender| (0..AT_ONCE).map(move |_| sender));
    let refused = try_join_all(asking.map(|sender| ask_on(&dialer, sender, &next, (prefix, most)))).await?;
    ensure!(refused.iter().sum::<usize>() == most, "{refused:?}");
    Ok(())
}

/// Each series by its name and labels.
fn series(sheet: &Sheet) -> HashSet<String> {
    let name = |line: &str| line.rsplit_once(' ').map(|(series, _)| series.to_owned());
    sheet.text.lines().filter(|line| !line.starts_with('#')).filter_map(name).collect()
}

/// Their records are not written: the harness keeps all that a daemon says.
const SILENT: (&str, &str) = ("GHOSTLLM_LOG__FILTER", "ghostllm::pipeline::record=error");

#[tokio::test]
async fn a_hundred_thousand_model_names_make_no_series() -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    let setup = Setup::backend("ollama", &double.url()).with_environment(SILENT.0, SILENT.1);
    let daemon = Daemon::start(&setup).await?;
    ask_all(&daemon, "", 100).await?;
    let refused = |many: usize| {
        move |sheet: &Sheet| {
            let labels = [("http", "HTTP/2"), ("status", "404")];
            // Whoever asks for the figures has series as well, from the second time on.
            let asked = sheet.sum("ghostllm_requests_total", &[("route", "/metrics")]) > 0.0;
            asked && sheet.sum("ghostllm_requests_total", &labels) == many as f64
        }
    };
    let before = Sheet::until(&daemon, refused(100)).await?;
    let begun = Instant::now();
    ask_all(&daemon, "", NAMES).await?;
    let took = begun.elapsed();
    let after = Sheet::until(&daemon, refused(NAMES + 100)).await?;
    let (few, many) = (series(&before), series(&after));
    println!(
        "{NAMES} model names over {CONNECTIONS} connections in {:.1} s: {} series before, {} after",
        took.as_secs_f64(),
        few.len(),
        many.len()
    );
    ensure!(few == many, "{:?}", few.symmetric_difference(&many).collect::<Vec<_>>());
    daemon.stop().await
}

#[tokio::test]
async fn names_that_go_to_a_backend_of_which_nothing_is_known_are_one_series() -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    double.misbehave("/api/tags", Sin::HangBeforeHeaders);
    let limits = "first_lists = \"50ms\"\nbackend_list = \"1h\"";
    let daemon = Daemon::start(&Setup::backend("ollama", &double.url()).with_limits(limits)).await?;
    // Until it has said what it has, it may have any that is asked of it by name.
    ask_all(&daemon, "ollama/", 300).await?;
    let labels = [("status", "404"), ("model", "other"), ("backend", "ollama")];
    let sheet = Sheet::until(&daemon, |sheet| sheet.sum("ghostllm_requests_total", &labels) == 300.0).await?;
    let models: HashSet<_> = sheet.samples.iter().flat_map(|sample| &sample.labels).collect();
    let models: Vec<_> =
        models.iter().filter(|(name, _)| name.ends_with("model")).map(|(_, value)| value).collect();
    ensure!(models.iter().all(|model| model.is_empty() || *model == "other"), "{models:?}");
    daemon.stop().await
}

/// Whoever scrapes again and again is shown the same for a second.
#[tokio::test]
async fn many_scrapers_cost_what_one_costs() -> Result<()> {
    let daemon = Daemon::start(&Setup::default()).await?;
    let (begun, mut shown, mut asked) = (Instant::now(), HashSet::new(), 0_u64);
    while begun.elapsed() < Duration::from_secs(2) {
        let answer = plain(daemon.plain(false)?, &Request::get("/metrics")).await?;
        let sheet = Sheet::read(&answer.text())?;
        let uptime = sheet.such("ghostllm_uptime_seconds", &[]).next().context("no uptime")?.value;
        shown.insert(uptime.to_bits());
        asked += 1;
    }
    let most = begun.elapsed().as_secs() + 1;
    println!("{asked} scrapes in {:.1} s were shown {} states", begun.elapsed().as_secs_f64(), shown.len());
    ensure!(shown.len() as u64 <= most && shown.len() >= 2, "{} states of {most}", shown.len());
    ensure!(asked > most, "only {asked} were asked for");
    daemon.stop().await
}
