//! Both formats, and what is shipped for Prometheus and Grafana, read by programs that are not our own.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin,
    client::{Answer, Caller, Family, Request, Version, plain},
    daemon::Daemon,
    root,
    script::Sin,
};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

use crate::{FRANCE, ollama};

/// How long a parser may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// What must stand in no line.
const SECRET: &str = "the canary of the metrics";

/// Runs a program with this input; gives its output.
async fn run(mut command: Command, input: &str) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    child.stdin.take().context("no standard input")?.write_all(input.as_bytes()).await?;
    let ended = timeout(PATIENCE, child.wait_with_output()).await.context("it does not end")??;
    let (out, err) = (String::from_utf8(ended.stdout)?, String::from_utf8_lossy(&ended.stderr).into_owned());
    ensure!(ended.status.success(), "{}\n{out}\n{err}", ended.status);
    Ok(format!("{out}{err}"))
}

fn promtool(arguments: &[&str]) -> Result<Command> {
    let program = root().join(".tools/prometheus/promtool");
    ensure!(program.exists(), "{} is missing: run `just setup`", program.display());
    let mut command = Command::new(program);
    command.args(arguments).current_dir(monitoring());
    Ok(command)
}

fn monitoring() -> PathBuf {
    root().join("packaging/monitoring")
}

/// The names of the families and of the samples in an answer, as Python's parser of that format reads them.
async fn parsed(format: &str, text: &str) -> Result<Value> {
    let python = root().join(".tools/venv/bin/python");
    ensure!(python.exists(), "{} is missing: run `just setup`", python.display());
    let mut command = Command::new(python);
    command.arg(root().join("tests/clients/metrics.py")).arg(format);
    Ok(serde_json::from_str(&run(command, text).await?)?)
}

/// One that has been busy with all that there is.
async fn busy(daemon: &Daemon, key: &str) -> Result<()> {
    for version in [Version::H1, Version::H2, Version::H3] {
        let caller = Caller::keyless(daemon, version, Family::V4).await?.with_key(Some(key));
        for stream in [true, false] {
            let request = Request::chat("tiny", SECRET, stream).with("x-request-id", "canary-of-the-metrics");
            ensure!(caller.send(&request).await?.status == 200);
        }
        for path in ["/v1/models", "/v1/models/tiny", "/no/canary-of-the-metrics", "/admin/api/v1/keys"] {
            caller.send(&Request::get(path)).await?;
        }
        caller.send(&Request::chat("canary-of-the-metrics", FRANCE, false)).await?;
    }
    Ok(())
}

async fn shown(daemon: &Daemon, accept: &str) -> Result<Answer> {
    let answer = plain(daemon.plain(false)?, &Request::get("/metrics").with("accept", accept)).await?;
    ensure!(answer.status == 200, "{}", answer.text());
    Ok(answer)
}

/// The names in the generated page, each with its kind.
fn documented() -> Result<BTreeMap<String, String>> {
    let page = std::fs::read_to_string(root().join("packaging/docs/metrics.md"))?;
    let table = page.split("## Labels").next().unwrap_or_default();
    let row = |line: &str| {
        let (name, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
        Some((name.to_owned(), rest.split(' ').next()?.to_owned()))
    };
    let rows: BTreeMap<_, _> = table.lines().filter_map(row).collect();
    ensure!(rows.len() >= 30, "{rows:?}");
    Ok(rows)
}

/// What may be asked for: names of samples, and of labels.
fn askable() -> Result<BTreeSet<String>> {
    let page = std::fs::read_to_string(root().join("packaging/docs/metrics.md"))?;
    let labels = page.split("## Labels").nth(1).context("no labels")?.split("## ").next().unwrap_or_default();
    let labels =
        labels.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next().map(str::to_owned));
    let samples = documented()?.into_iter().flat_map(|(name, kind)| match kind.as_str() {
        "histogram" => ["bucket", "sum", "count"].map(|part| format!("{name}_{part}")).to_vec(),
        _ => vec![name],
    });
    Ok(labels.chain(samples).collect())
}

/// The words of a text that look like names of our metrics.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    words
        .filter(|word| ["ghostllm_", "gen_ai_", "process_"].iter().any(|ours| word.starts_with(ours)))
        .collect()
}

/// What the labels may be whose row of the page has all their values and nothing else that stands for one.
fn values() -> Result<BTreeMap<String, BTreeSet<String>>> {
    let page = std::fs::read_to_string(root().join("packaging/docs/metrics.md"))?;
    let row = |line: &str| {
        let (label, words) = line.strip_prefix("| `")?.split_once("` | ")?;
        let values = words.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        [
            "ended", "why", "severity", "kind", "sensor", "to", "part", "reason", "state", "cause", "class",
            "gate",
        ]
        .contains(&label)
        .then(|| (label.to_owned(), values))
    };
    let labels = page.split("## Labels").nth(1).context("no labels")?;
    let all: BTreeMap<_, BTreeSet<_>> = labels.lines().filter_map(row).collect();
    ensure!(all.len() == 12 && all.values().all(|values| values.len() >= 2), "{all:?}");
    Ok(all)
}

/// The values of these labels that a text asks for or leaves out: `cold` and `hot` of `heat=~"cold|hot"`.
fn chosen<'a>(text: &'a str, of: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<(String, &'a str)> {
    let mut chosen = BTreeSet::new();
    for label in of.keys() {
        for how in ["=", "!=", "=~", "!~"] {
            let begins = format!("{label}{how}\"");
            for (at, _) in text.match_indices(&begins) {
                let whole =
                    !text[..at].ends_with(|letter: char| letter.is_ascii_alphanumeric() || letter == '_');
                let words = text[at + begins.len()..].split('"').next().unwrap_or_default();
                chosen.extend(words.split('|').filter(|_| whole).map(|word| (label.clone(), word)));
            }
        }
    }
    chosen
}

/// All questions of the dashboard, with values in the place of what Grafana puts in.
fn questions(dashboard: &Value) -> Result<Vec<String>> {
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let questions = targets.map(|target| {
        let question = target["expr"].as_str().context("no question")?;
        let filled = question.replace("$__rate_interval", "5m").replace("$instance", ".*");
        let filled = filled.replace("$model", ".*").replace("$job", "ghostllm");
        ensure!(!filled.contains('$'), "{question}");
        Ok(filled)
    });
    questions.collect()
}

#[tokio::test]
async fn alerts_and_dashboard_ask_for_what_there_is() -> Result<()> {
    let read = |name: &str| std::fs::read_to_string(monitoring().join(name));
    let (rules, dashboard) = (read("ghostllm.rules.yml")?, read("grafana-dashboard.json")?);
    let (askable, asked) = (askable()?, [&rules, &dashboard].map(|text| names(text)));
    for (file, asked) in ["the rules", "the dashboard"].into_iter().zip(&asked) {
        ensure!(asked.len() >= 8, "{asked:?}");
        let nowhere: Vec<_> = asked.iter().filter(|name| !askable.contains(**name)).collect();
        ensure!(nowhere.is_empty(), "{file}: {nowhere:?}");
    }
    let values = values()?;
    for (file, text) in [("the rules", &rules), ("the dashboard", &dashboard.replace("\\\"", "\""))] {
        let chosen = chosen(text, &values);
        ensure!(chosen.len() >= 5, "{file}: {chosen:?}");
        let never: Vec<_> = chosen.iter().filter(|(label, value)| !values[label].contains(*value)).collect();
        ensure!(never.is_empty(), "{file} ask for what no label is: {never:?}");
    }
    // Whoever looks at the cards there sees all that is known of them.
    let unseen: Vec<_> = askable
        .iter()
        .filter(|name| name.starts_with("ghostllm_gpu_") && !asked[1].contains(name.as_str()))
        .collect();
    ensure!(unseen.is_empty(), "the dashboard does not show {unseen:?}");
    // Whether each is a question, Prometheus' own parser says: as the rule of a series that is recorded.
    let questions = questions(&serde_json::from_str(&dashboard)?)?;
    let rule = |(number, question)| json!({"record": format!("panel:{number}"), "expr": question});
    let rules: Vec<Value> = questions.iter().enumerate().map(rule).collect();
    let file = tempfile::NamedTempFile::new()?;
    // JSON is YAML.
    std::fs::write(file.path(), json!({"groups": [{"name": "dashboard", "rules": rules}]}).to_string())?;
    let checked = run(promtool(&["check", "rules", &file.path().display().to_string()])?, "").await?;
    ensure!(checked.contains(&format!("SUCCESS: {} rules", questions.len())), "{checked}");
    println!("{} questions of the dashboard are sound", questions.len());
    Ok(())
}

#[tokio::test]
async fn both_formats_are_read_by_parsers_of_others_and_hold_nothing_of_a_request() -> Result<()> {
    let (double, daemon) = ollama().await?;
    let made = admin::make(&daemon, &json!({"name": "canary-of-the-metrics"})).await?;
    busy(&daemon, &made.key).await?;
    double.misbehave("tiny", Sin::Garbage);
    let failing = plain(daemon.plain(false)?, &Request::chat("tiny", FRANCE, false)).await?;
    ensure!(failing.status == 502, "{}", failing.text());
    // What was shown before may be shown for a second.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let prometheus = shown(&daemon, "text/plain").await?;
    let open = shown(&daemon, "application/openmetrics-text; version=1.0.0, text/plain;q=0.5").await?;
    ensure!(prometheus.header("content-type") == Some("text/plain; version=0.0.4; charset=utf-8"));
    ensure!(
        open.header("content-type") == Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let said = run(promtool(&["check", "metrics"])?, &prometheus.text()).await?;
    ensure!(said.trim().is_empty(), "promtool has something to say:\n{said}");
    // Where nothing limits the memory, there is no figure of that.
    let unlimited = !prometheus.text().contains("ghostllm_memory_limit");
    let is_there = |name: &String| !(unlimited && name.starts_with("ghostllm_memory_"));
    let documented: BTreeSet<String> = documented()?.into_keys().filter(is_there).collect();
    for (format, answer) in [("prometheus", &prometheus), ("openmetrics", &open)] {
        let read = parsed(format, &answer.text()).await.with_context(|| answer.text())?;
        let names: BTreeSet<String> = serde_json::from_value(read["names"].clone())?;
        ensure!(
            names == documented,
            "{format}: {:?}",
            names.symmetric_difference(&documented).collect::<Vec<_>>()
        );
        println!("{format}: {} metrics, {} samples, all of them in the page", names.len(), read["samples"]);
        let text = answer.text();
        for secret in [SECRET, "canary", "127.0.0.1", "[::1]", "gllm_", &made.id, &made.key, &double.url()] {
            ensure!(!text.contains(secret), "{format} has {secret}:\n{text}");
        }
    }
    daemon.stop().await
}

#[tokio::test]
async fn the_alerts_are_sound_and_fire_when_they_should() -> Result<()> {
    let checked = run(promtool(&["check", "rules", "ghostllm.rules.yml"])?, "").await?;
    ensure!(checked.contains("SUCCESS"), "{checked}");
    let tested = run(promtool(&["test", "rules", "ghostllm.rules.test.yml"])?, "").await?;
    ensure!(tested.contains("SUCCESS"), "{tested}");
    // Each of them is tested.
    let (rules, tests) = (
        std::fs::read_to_string(monitoring().join("ghostllm.rules.yml"))?,
        std::fs::read_to_string(monitoring().join("ghostllm.rules.test.yml"))?,
    );
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    for alert in &alerts {
        ensure!(tests.contains(&format!("alertname: {alert}\n")), "{alert} is not tested");
    }
    ensure!(alerts.len() >= 8, "{alerts:?}");
    println!("{} alerts, each of them tested", alerts.len());
    Ok(())
}
