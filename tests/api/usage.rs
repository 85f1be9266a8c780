//! What requests have used: counted of each, whether its client asks for it or not, kept by day, and shown.

mod counted;
mod estimated;

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin,
    causes::{cause, codes, until},
    client::{Caller, Family, Request, Version},
    daemon::{Daemon, Setup, Signal},
    double::Double,
    ollama::Ollama,
    script::Sin,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{FRANCE, check_error, ctl::ctl};
use counted::Wire;

/// A daemon that writes what it has counted this often.
fn writing(mut setup: Setup, every: &str) -> Setup {
    setup.config.push_str(&format!("\n[usage]\nwrite_interval = \"{every}\"\n"));
    setup
}

/// What is told, once so many requests are counted: the last may be on its way.
async fn told(daemon: &Daemon, query: &str, requests: u64) -> Result<Value> {
    let told = async {
        loop {
            let report = admin::read(daemon, &format!("usage{query}")).await?;
            if report["total"]["requests"].as_u64() >= Some(requests) {
                return anyhow::Ok(report);
            }
            tokio::task::yield_now().await;
        }
    };
    let report = tokio::time::timeout(Duration::from_secs(10), told).await;
    let report = report.with_context(|| format!("{requests} requests were never counted"))??;
    ensure!(report["total"]["requests"] == requests, "{report}");
    Ok(report)
}

/// Checks these of the counts, and that all others are 0.
fn check(counts: &Value, expected: &Value) -> Result<()> {
    for (name, count) in counts.as_object().context("counts")? {
        let wanted = expected.get(name).cloned().unwrap_or(json!(0));
        ensure!(*count == wanted, "{name} is not {wanted}: {counts:#}");
    }
    Ok(())
}

/// A state that outlives its daemons.
struct Home {
    dir: TempDir,
    double: Double,
    setup: Setup,
}

impl Home {
    async fn new() -> Result<Self> {
        let (dir, double) = (tempfile::tempdir()?, Double::start(Ollama::default()).await);
        let mut setup = Setup::backend("ollama", &double.url());
        setup.state = false;
        setup.arguments = vec!["--state-dir".to_owned(), dir.path().join("state").display().to_string()];
        Ok(Self { dir, double, setup })
    }

    async fn daemon(&self, every: &str) -> Result<Daemon> {
        Daemon::start(&writing(self.setup.clone(), every)).await
    }

    /// The months' files.
    fn months(&self) -> Result<Vec<PathBuf>> {
        let mut months = Vec::new();
        for entry in fs::read_dir(self.dir.path().join("state"))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("usage-") && name.ends_with(".json") {
                months.push(path);
            }
        }
        Ok(months)
    }

    /// Waits until so many requests are on the disk.
    async fn written(&self, requests: u64) -> Result<()> {
        let found = format!("\"requests\":{requests},");
        let written = async {
            loop {
                let texts = self.months()?.into_iter().map(fs::read_to_string);
                if texts.flatten().any(|text| text.contains(&found)) {
                    return anyhow::Ok(());
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), written).await.context("never written")?
    }
}

async fn chat(daemon: &Daemon) -> Result<()> {
    let answer =
        ghostllm_tests::client::plain(daemon.plain(false)?, &Request::chat("tiny", FRANCE, true)).await?;
    ensure!(answer.status == 200, "{}", answer.text());
    Ok(())
}

#[tokio::test]
async fn a_stream_that_goes_on_is_on_the_disk_before_a_crash() -> Result<()> {
    let home = Home::new().await?;
    let daemon = home.daemon("50ms").await?;
    home.double.misbehave("tiny", Sin::StallAfter(Wire::Ollama.pieces(2)));
    let key = admin::make(&daemon, &json!({"name": "laptop"})).await?.key;
    let caller = Caller::keyless(&daemon, Version::H1, Family::V4).await?.with_key(Some(&key));
    let mut stream = caller.open(&Request::chat("tiny", FRANCE, true)).await?;
    stream.until(" capital").await?;
    home.written(1).await?;
    // It is not over, and nobody is told that it is.
    let total = admin::read(&daemon, "usage").await?["total"].clone();
    ensure!(total["requests"] == 0, "{total:#}");
    daemon.signal(Signal::SIGKILL)?;
    daemon.wait().await?;
    let again = home.daemon("50ms").await?;
    let total = told(&again, "", 1).await?["total"].clone();
    ensure!(total["completion_tokens"] == 2 && total["cancelled"] == 1, "{total:#}");
    again.stop().await?;
    // What ends takes the place of what was known of it.
    let third = home.daemon("50ms").await?;
    let caller = Caller::keyless(&third, Version::H1, Family::V4).await?.with_key(Some(&key));
    let mut stream = caller.open(&Request::chat("tiny", FRANCE, true)).await?;
    stream.until(" capital").await?;
    home.written(2).await?;
    let _left = stream.leave().await?;
    let total = told(&third, "", 2).await?["total"].clone();
    ensure!(total["completion_tokens"] == 4 && total["cancelled"] == 2, "{total:#}");
    third.stop().await?;
    let last = home.daemon("60s").await?;
    let total = admin::read(&last, "usage").await?["total"].clone();
    ensure!(total["requests"] == 2 && total["completion_tokens"] == 4, "{total:#}");
    last.stop().await
}

#[tokio::test]
async fn what_was_written_outlives_a_kill_and_a_stop_writes_the_rest() -> Result<()> {
    let home = Home::new().await?;
    let daemon = home.daemon("20ms").await?;
    chat(&daemon).await?;
    home.written(1).await?;
    daemon.signal(Signal::SIGKILL)?;
    daemon.wait().await?;

    let daemon = home.daemon("60s").await?;
    told(&daemon, "", 1).await?;
    chat(&daemon).await?;
    let report = told(&daemon, "", 2).await?;
    ensure!(report["rows"][0]["caller"] == "local" && report["rows"][0]["key"].is_null(), "{report:#}");
    daemon.stop().await?;

    // A damaged file falls back to its copy.
    let months = home.months()?;
    ensure!(months.len() == 1, "{months:?}");
    fs::write(&months[0], "{")?;
    let daemon = home.daemon("60s").await?;
    told(&daemon, "", 2).await?;
    ensure!(daemon.stderr().contains("last good copy"), "{}", daemon.stderr());
    daemon.stop().await
}

#[tokio::test]
async fn a_month_without_a_good_file_is_counted_anew_and_told_until_what_is_set_aside_is_gone() -> Result<()>
{
    let home = Home::new().await?;
    let daemon = home.daemon("60s").await?;
    chat(&daemon).await?;
    told(&daemon, "", 1).await?;
    daemon.stop().await?;
    let months = home.months()?;
    ensure!(months.len() == 1, "{months:?}");
    for file in [months[0].clone(), months[0].with_extension("json.last")] {
        fs::write(file, "garbage")?;
    }
    let daemon = home.daemon("20ms").await?;
    let report = told(&daemon, "", 0).await?;
    let month = report["to"].as_str().context("no day")?[..7].to_owned();
    ensure!(report["unreadable"] == json!([month]), "{report:#}");
    until(&daemon, |status| codes(status).contains(&"usage_set_aside")).await?;
    let status = admin::read(&daemon, "status").await?;
    cause(&status, "usage_set_aside", "warning", "is set aside, and is counted anew")?;
    ensure!(status["condition"] == "degraded", "{status}");
    chat(&daemon).await?;
    home.written(1).await?;
    daemon.stop().await?;
    // It is told after a new start as well, and ends with what was set aside.
    let daemon = home.daemon("20ms").await?;
    until(&daemon, |status| codes(status).contains(&"usage_set_aside")).await?;
    let shown = ctl(&daemon, &["usage"]).await?;
    ensure!(shown.out.contains("local") && shown.err.contains(&month), "{shown:?}");
    for entry in fs::read_dir(home.dir.path().join("state"))? {
        let path = entry?.path();
        if path.to_string_lossy().contains(".bad-") {
            fs::remove_file(path)?;
        }
    }
    until(&daemon, |status| !codes(status).contains(&"usage_set_aside")).await?;
    ensure!(told(&daemon, "", 1).await?["unreadable"] == json!([]));
    daemon.stop().await
}

#[tokio::test]
async fn no_key_is_called_as_callers_without_one_are() -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    let daemon = Daemon::start(&Setup::backend("ollama", &double.url())).await?;
    for name in ["local", "Local", "uid 0", "uid unknown", "other", "system"] {
        let answer = admin::ask(&daemon, "POST", "keys", Some(&json!({ "name": name }))).await?;
        check_error(&answer, 400, Some("invalid_value"))?;
        ensure!(answer.json()?["error"]["param"] == "name", "{name}: {}", answer.text());
        ensure!(answer.text().contains("callers without a key"), "{}", answer.text());
    }
    admin::make(&daemon, &json!({"name": "local box"})).await?;
    daemon.stop().await
}

#[tokio::test]
async fn usage_that_cannot_be_written_is_told_stops_nothing_and_is_written_once_it_can() -> Result<()> {
    let home = Home::new().await?;
    let daemon = home.daemon("20ms").await?;
    let month = told(&daemon, "", 0).await?["to"].as_str().context("no day")?[..7].to_owned();
    // A directory in the copy's place, which nothing but that file minds.
    let copy = home.dir.path().join(format!("state/usage-{month}.json.last"));
    fs::create_dir_all(copy.join("x"))?;
    chat(&daemon).await?;
    until(&daemon, |status| codes(status).contains(&"usage_unwritable")).await?;
    let status = admin::read(&daemon, "status").await?;
    cause(&status, "usage_unwritable", "warning", "what requests have used cannot be written")?;
    ensure!(status["condition"] == "degraded" && !codes(&status).contains(&"state_unwritable"), "{status}");
    daemon.wait_status("what requests have used cannot be written").await?;
    // Chats go on and are counted, and keys can be changed.
    chat(&daemon).await?;
    told(&daemon, "", 2).await?;
    admin::make(&daemon, &json!({"name": "laptop"})).await?;
    fs::remove_dir_all(&copy)?;
    until(&daemon, |status| !codes(status).contains(&"usage_unwritable")).await?;
    home.written(2).await?;
    let alerts = |over: &str| {
        let said = daemon.stderr();
        let lines = said.lines().filter(|line| line.contains("usage_unwritable"));
        lines.filter(|line| line.contains("\"over\":true") == (over == "over")).count()
    };
    ensure!((alerts("begun"), alerts("over")) == (1, 1), "{}", daemon.stderr());
    daemon.stop().await
}

#[tokio::test]
async fn a_question_names_days_keys_and_models_and_a_wrong_one_is_refused_by_name() -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    let daemon = Daemon::start(&Setup::backend("ollama", &double.url())).await?;
    let made = admin::make(&daemon, &json!({"name": "lap top"})).await?;
    let caller = Caller::keyless(&daemon, Version::H3, Family::V6).await?.with_key(Some(&made.key));
    for _ in 0..2 {
        caller.send(&Request::chat("tiny", FRANCE, false)).await?;
    }
    chat(&daemon).await?;
    told(&daemon, "", 3).await?;
    for (query, requests) in [
        (format!("?key={}", made.id), 2),
        ("?key=lap%20top&days=1".to_owned(), 2),
        ("?key=local&model=tiny&by=day".to_owned(), 1),
        ("?model=other".to_owned(), 0),
        ("?from=2020-01-01&to=2020-12-31".to_owned(), 0),
    ] {
        told(&daemon, &query, requests).await?;
    }
    let report = admin::read(&daemon, "usage?by=model").await?;
    ensure!(report["by"] == json!(["model"]) && report["rows"][0]["caller"].is_null(), "{report:#}");
    for (query, param) in [("days=0", "days"), ("to=yesterday", "to"), ("by=hour", "by")] {
        let answer = admin::ask(&daemon, "GET", &format!("usage?{query}"), None).await?;
        check_error(&answer, 400, Some("invalid_value"))?;
        ensure!(answer.json()?["error"]["param"] == param, "{}", answer.text());
    }
    // As whoever may see what is asked at the moment.
    let viewer = admin::of_role(&daemon, "viewer").await?;
    let usage = Request::get(&admin::path("usage"));
    let viewer = caller.clone().with_key(Some(&viewer.key));
    ensure!(viewer.send(&usage).await?.status == 200);
    check_error(&caller.send(&usage).await?, 403, Some("forbidden"))?;
    daemon.stop().await
}

#[tokio::test]
async fn ghostctl_shows_a_table_with_its_total() -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    let daemon = Daemon::start(&Setup::backend("ollama", &double.url())).await?;
    let none = ctl(&daemon, &["usage"]).await?;
    ensure!(
        none.code == Some(0) && none.out.is_empty() && none.err.contains("No model was asked"),
        "{none:?}"
    );
    let made = admin::make(&daemon, &json!({"name": "laptop"})).await?;
    let caller = Caller::keyless(&daemon, Version::H1, Family::V4).await?.with_key(Some(&made.key));
    caller.send(&Request::chat("tiny", FRANCE, false)).await?;
    chat(&daemon).await?;
    told(&daemon, "", 2).await?;
    let table = ctl(&daemon, &["usage"]).await?;
    println!("{}", table.out);
    ensure!(table.code == Some(0) && table.err.is_empty(), "{table:?}");
    for words in [&format!("laptop ({})", made.id), "local", "tiny", "\nall ", "COMPLETION", "(UTC)"] {
        ensure!(table.out.contains(words), "{words}: {}", table.out);
    }
    ensure!(table.out.lines().all(|line| line.chars().count() <= 80), "{}", table.out);
    let days = ctl(&daemon, &["usage", "--days", "1", "--by", "day", "--key", "laptop"]).await?;
    ensure!(days.out.contains("DAY") && !days.out.contains("local"), "{days:?}");
    let json = ctl(&daemon, &["usage", "--model", "tiny", "--json"]).await?;
    let report: Value = serde_json::from_str(&json.out)?;
    ensure!(report["version"] == 1 && report["total"]["requests"] == 2, "{report:#}");
    ensure!(ctl(&daemon, &["usage", "--days", "0"]).await?.code == Some(2));
    daemon.stop().await
}
