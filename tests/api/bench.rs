//! `ghostllm bench`: what it measures against engines whose times are known, and what it says where it cannot.

use std::{collections::HashSet, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin, binary,
    certificate::Pair,
    client::Version,
    daemon::{Daemon, Setup, Signal},
    double::Double,
    ollama::Ollama,
    openai::{OpenAi, Style},
    process, root, schema,
    script::Sin,
};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    ctl::{Ran, ran},
    ollama, on_every_version, sinner,
};

on_every_version!(
    measures_both_ways_with_the_same_requests_and_sees_the_engine_s_own_delay,
    takes_no_certificate_that_another_ca_has_signed,
);

/// How long the engine thinks before its first token.
const THINKS: Duration = Duration::from_millis(40);

fn number(version: Version) -> &'static str {
    match version {
        Version::H1 => "1",
        Version::H2 => "2",
        Version::H3 => "3",
    }
}

fn spoken(version: Version) -> &'static str {
    match version {
        Version::H1 => "HTTP/1.1",
        Version::H2 => "HTTP/2",
        Version::H3 => "HTTP/3",
    }
}

/// The program as a person has it at hand: the daemon's socket, and a key in the environment.
fn command(daemon: &Daemon, key: Option<&str>, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(binary("ghostllm"));
    command
        .env_clear()
        .env("LANG", "C.UTF-8")
        .env("GHOSTLLM_SOCKET", daemon.admin()?)
        .arg("bench")
        .args(arguments);
    if let Some(key) = key {
        command.env("GHOSTLLM_KEY", key);
    }
    command.stdin(Stdio::null());
    Ok(command)
}

async fn bench(daemon: &Daemon, arguments: &[&str]) -> Result<Ran> {
    ran(&mut command(daemon, daemon.key.as_deref(), arguments)?).await
}

/// A run that ends well; its form.
async fn measured(daemon: &Daemon, arguments: &[&str]) -> Result<Value> {
    let ran = bench(daemon, &[arguments, &["--json"]].concat()).await?;
    ensure!(ran.code == Some(0) && ran.err.is_empty(), "{arguments:?}: {ran:?}");
    of_form("Benched", &ran)
}

/// Its one line of JSON, which must be of this form.
fn of_form(form: &str, ran: &Ran) -> Result<Value> {
    ensure!(ran.out.matches('\n').count() == 1, "{ran:?}");
    let value: Value = serde_json::from_str(&ran.out)?;
    schema::fits(form, &value)?;
    Ok(value)
}

/// A figure of a leg.
fn figure(benched: &Value, leg: &str, figure: &str, which: &str) -> Result<f64> {
    benched[leg][figure][which]
        .as_f64()
        .with_context(|| format!("no {which} of {figure} of {leg}: {benched:#}"))
}

async fn measures_both_ways_with_the_same_requests_and_sees_the_engine_s_own_delay(
    version: Version,
) -> Result<()> {
    let (double, daemon) = sinner(Sin::LateBodyBy(THINKS), "", "").await?;
    let arguments = ["tiny", "-c", "2", "--requests", "12", "--http", number(version)];
    let benched = measured(&daemon, &arguments).await?;
    ensure!(benched["http"] == spoken(version) && benched["ended"] == "completed", "{benched:#}");
    ensure!(
        benched["model"] == "tiny" && benched["backend"] == "box" && benched["kind"] == "ollama",
        "{benched:#}"
    );
    ensure!(
        benched["at_once"] == 2 && benched["rounds"] == 2 && benched["direct_missing"].is_null(),
        "{benched:#}"
    );
    for leg in ["gateway", "direct"] {
        ensure!(benched[leg]["answered"] == 12 && benched[leg]["errors"] == json!([]), "{benched:#}");
        // Twelve words, a full stop, and the token that ends the turn.
        ensure!(benched[leg]["tokens"] == 12 * 14 && benched[leg]["counted"] == true, "{benched:#}");
        let late = THINKS.as_secs_f64() * 1000.0;
        let (best, half) = (
            figure(&benched, leg, "first_token_ms", "best")?,
            figure(&benched, leg, "first_token_ms", "p50")?,
        );
        let (nine, worst) = (
            figure(&benched, leg, "first_token_ms", "p90")?,
            figure(&benched, leg, "first_token_ms", "worst")?,
        );
        ensure!(late <= best && best <= half && half <= nine && nine <= worst, "{benched:#}");
        ensure!(benched[leg]["first_token_ms"]["p99"].is_null(), "of twelve there is none: {benched:#}");
        ensure!(figure(&benched, leg, "answer_ms", "p50")? >= half, "{benched:#}");
        // Six turns of two at a time, one after the other.
        ensure!(benched[leg]["seconds"].as_f64() >= Some(6.0 * THINKS.as_secs_f64()), "{benched:#}");
    }
    let (gateway, direct) = (
        figure(&benched, "gateway", "first_token_ms", "p50")?,
        figure(&benched, "direct", "first_token_ms", "p50")?,
    );
    let cost = &benched["overhead"]["first_token"];
    let told = cost["difference"].as_f64().context("a difference")?;
    ensure!((told - (gateway - direct)).abs() < 0.01, "{benched:#}");
    let percent = cost["percent"].as_f64().context("percent")?;
    ensure!((percent - (gateway - direct) / direct * 100.0).abs() < 0.01, "{benched:#}");
    ensure!(cost["low"].as_f64() <= Some(percent) && Some(percent) <= cost["high"].as_f64(), "{benched:#}");
    same_requests(&double)?;
    daemon.stop().await
}

/// What the engine was asked: the same each time, but for the number that makes each prompt a new one.
fn same_requests(double: &Double) -> Result<()> {
    let asked: Vec<Value> = double.seen_at("/api/chat").iter().map(|seen| seen.request.json()).collect();
    // One that chooses the model, two that warm up each leg, twelve that count.
    ensure!(asked.len() == 1 + 2 * (2 + 12), "{}", asked.len());
    let prompt = |body: &Value| body["messages"][0]["content"].as_str().unwrap_or_default().to_owned();
    let prompts: HashSet<String> = asked.iter().map(prompt).collect();
    ensure!(prompts.len() == asked.len(), "a prompt came twice: {prompts:?}");
    let lengths: HashSet<usize> = prompts.iter().map(String::len).collect();
    ensure!(lengths.len() == 1, "{prompts:?}");
    let others: HashSet<String> = asked
        .iter()
        .skip(1)
        .map(|body| {
            format!("{} {} {}", body["options"], body["stream"], prompt(body).get(9..).unwrap_or_default())
        })
        .collect();
    ensure!(others.len() == 1, "{others:?}");
    let options = &asked[1]["options"];
    ensure!(
        options["num_predict"] == 64 && options["temperature"].as_f64() == Some(0.0) && options["seed"] == 1,
        "{options}"
    );
    Ok(())
}

async fn takes_no_certificate_that_another_ca_has_signed(version: Version) -> Result<()> {
    let (double, daemon) = ollama().await?;
    let dir = tempfile::tempdir()?;
    let (other, own) = (dir.path().join("other.pem"), dir.path().join("own.pem"));
    std::fs::write(&other, foreign_ca().await?)?;
    std::fs::copy(daemon.state("ca/ca.pem"), &own)?;
    let with = async |ca: &Path| {
        let ca = ca.display().to_string();
        bench(&daemon, &["tiny", "--requests", "2", "--http", number(version), "--ca", &ca]).await
    };
    let refused = with(&other).await?;
    ensure!(refused.code == Some(69) && refused.out.is_empty(), "{refused:?}");
    ensure!(refused.err.contains("is not trusted") && refused.err.contains("--ca"), "{refused:?}");
    ensure!(double.seen_at("/api/chat").is_empty(), "it was asked all the same");
    let taken = with(&own).await?;
    ensure!(taken.code == Some(0), "{taken:?}");
    daemon.stop().await
}

/// The CA of another box.
async fn foreign_ca() -> Result<Vec<u8>> {
    let other = Daemon::start(&Setup::default()).await?;
    let ca = std::fs::read(other.state("ca/ca.pem"))?;
    other.stop().await?;
    Ok(ca)
}

#[tokio::test]
async fn an_engine_of_openai_s_language_and_the_embedded_one_are_measured_beside_the_gateway() -> Result<()> {
    let double = Double::start(OpenAi::new(Style::Llama, "tiny")).await;
    double.misbehave("tiny", Sin::LateBodyBy(THINKS));
    let daemon = Daemon::start(&Setup::backend("openai", &double.url())).await?;
    let benched = measured(&daemon, &["openai/tiny", "--requests", "5"]).await?;
    ensure!(benched["model"] == "openai/tiny" && benched["kind"] == "openai", "{benched:#}");
    for leg in ["gateway", "direct"] {
        ensure!(figure(&benched, leg, "first_token_ms", "best")? >= 40.0, "{benched:#}");
        ensure!(figure(&benched, leg, "tokens_per_second", "worst")? > 0.0, "{benched:#}");
    }
    daemon.stop().await?;

    let daemon = Daemon::start(&Setup::default()).await?;
    let benched = measured(&daemon, &["--requests", "4", "--max-tokens", "8"]).await?;
    ensure!(benched["model"] == "ghostllm-demo" && benched["kind"] == "engine", "{benched:#}");
    ensure!(benched["direct"]["answered"] == 4 && benched["direct"]["counted"] == true, "{benched:#}");
    ensure!(benched["direct"]["at"].as_str().is_some_and(|at| at.ends_with("engine.sock")), "{benched:#}");
    daemon.stop().await
}

#[tokio::test]
#[ignore = "needs llama.cpp's server from a moving distribution: LLAMA_SERVER_URL"]
async fn llama_cpp_s_real_server_is_measured_over_every_version() -> Result<()> {
    let url =
        std::env::var("LLAMA_SERVER_URL").context("LLAMA_SERVER_URL must hold the URL of a llama-server")?;
    let daemon = Daemon::start(&Setup::backend("openai", &url)).await?;
    for http in ["1", "2", "3"] {
        let benched =
            measured(&daemon, &["tiny", "--requests", "6", "--max-tokens", "16", "--http", http]).await?;
        ensure!(benched["gateway"]["answered"] == 6 && benched["direct"]["answered"] == 6, "{benched:#}");
        ensure!(
            benched["gateway"]["counted"] == true && benched["overhead"]["first_token"].is_object(),
            "{benched:#}"
        );
    }
    daemon.stop().await
}

#[tokio::test]
async fn without_a_name_the_first_model_that_can_chat_is_taken() -> Result<()> {
    let (double, daemon) = ollama().await?;
    let refusal = json!({"error": "\"tiny-embed\" does not support chat"}).to_string();
    double.misbehave("tiny-embed", Sin::Status("400 Bad Request", refusal));
    let benched = measured(&daemon, &["--requests", "2"]).await?;
    ensure!(benched["model"] == "tiny-think:latest", "{benched:#}");
    let named = bench(&daemon, &["tiny-embed", "--requests", "2"]).await?;
    ensure!(named.code == Some(1) && named.err.contains("does not support chat"), "{named:?}");
    daemon.stop().await
}

#[tokio::test]
async fn what_a_person_sees_fits_the_screen_and_has_no_colours_where_there_is_no_terminal() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let ran = bench(&daemon, &["tiny", "--requests", "10"]).await?;
    ensure!(ran.code == Some(0) && ran.err.is_empty(), "a progress bar is for a terminal: {ran:?}");
    for words in [
        "direct",
        "gateway",
        "p50",
        "first token, ms",
        "10 of 10",
        "overhead of the gateway",
        "└",
        "●",
        "p99 needs 100",
    ] {
        ensure!(ran.out.contains(words), "{words}: {}", ran.out);
    }
    ensure!(
        !ran.out.contains('\u{1b}') && ran.out.lines().all(|line| line.chars().count() <= 80),
        "{}",
        ran.out
    );
    let mut ascii = command(&daemon, daemon.key.as_deref(), &["tiny", "--requests", "2"])?;
    let ascii = crate::ctl::ran(ascii.env("LC_ALL", "C")).await?;
    ensure!(ascii.code == Some(0) && ascii.out.is_ascii(), "{ascii:?}");
    daemon.stop().await
}

#[tokio::test]
async fn a_terminal_shows_how_far_it_is_in_colours_unless_they_are_unwanted() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let at_terminal = async |no_color: &str| {
        let mut command = Command::new("python3");
        command.arg(root().join("tests/support/at-terminal.py")).arg("--").arg(binary("ghostllm"));
        command.args(["bench", "tiny", "--requests", "4"]).env("GHOSTLLM_SOCKET", daemon.admin()?);
        command.env("GHOSTLLM_KEY", daemon.key.as_deref().context("a key")?);
        command.env("LANG", "C.UTF-8").env_remove("LC_ALL").env("TERM", "xterm").env("NO_COLOR", no_color);
        let ran = ran(&mut command).await?;
        ensure!(ran.code == Some(0), "{ran:?}");
        anyhow::Ok(ran.out)
    };
    let coloured = at_terminal("").await?;
    ensure!(coloured.contains("4/8") && coloured.contains("8/8") && coloured.contains('█'), "{coloured}");
    ensure!(coloured.contains("\u{1b}[36m") && coloured.contains("\u{1b}[35m"), "{coloured}");
    let plain = at_terminal("1").await?;
    ensure!(plain.contains("8/8") && !plain.contains("\u{1b}[3"), "{plain}");
    daemon.stop().await
}

#[tokio::test]
async fn what_cannot_be_measured_is_told_with_its_code_and_the_next_step() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let gone = admin::make(&daemon, &json!({"name": "gone"})).await?;
    admin::done(&daemon, "DELETE", &format!("keys/{}", gone.id), None).await?;
    let narrow = admin::make(&daemon, &json!({"name": "narrow", "models": ["other"]})).await?;
    let none = admin::make(&daemon, &json!({"name": "none", "scopes": ["models"]})).await?;
    let own = daemon.key.clone().context("a key")?;
    let mistyped = format!("{}{}", &own[..own.len() - 1], if own.ends_with('x') { 'y' } else { 'x' });
    let few = ["tiny", "-c", "3", "--requests", "2"];
    let cases: [(&str, &[&str], i32, &str); 11] = [
        (&own, &["tiny", "-c", "0"], 2, "0 is not in 1..=64"),
        (&own, &["tiny", "--requests", "0"], 2, "0 is not in 1..="),
        (&own, &["tiny", "--http", "4"], 2, "--http"),
        (&own, &few, 2, "--requests 3 or more"),
        (&own, &["tinny"], 2, "Did you mean tiny:latest?"),
        (&own, &["tiny", "--ca", "/nowhere/ca.pem"], 2, "/nowhere/ca.pem cannot be read"),
        ("", &["tiny"], 77, "ghostctl keys create bench"),
        (&mistyped, &["tiny"], 77, "ghostctl keys create bench"),
        (&gone.key, &["tiny"], 77, "ghostctl keys create bench"),
        (&narrow.key, &["tiny"], 2, "this key may not use it"),
        (&none.key, &["tiny"], 77, "does not take the key"),
    ];
    for (key, arguments, code, words) in cases {
        let ran = ran(&mut command(&daemon, Some(key), arguments)?).await?;
        ensure!(
            ran.code == Some(code) && ran.out.is_empty() && ran.err.contains(words),
            "{arguments:?}: {ran:?}"
        );
        ensure!(key.is_empty() || !ran.err.contains(key), "{ran:?}");
    }
    let told = ran(&mut command(&daemon, None, &["tiny", "--json"])?).await?;
    let refused = of_form("Refused", &told)?;
    ensure!(told.code == Some(77) && refused["error"]["code"] == "denied", "{told:?}");
    daemon.stop().await
}

#[tokio::test]
async fn the_socket_that_the_configuration_sets_is_the_daemon_s() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let arguments = ["tiny", "--requests", "2", "--json"];
    let mut command = command(&daemon, daemon.key.as_deref(), &arguments)?;
    command.env_remove("GHOSTLLM_SOCKET").env("HOME", "/nowhere");
    let ran = ran(command.env("GHOSTLLM_LISTEN__ADMIN", daemon.admin()?)).await?;
    ensure!(ran.code == Some(0) && of_form("Benched", &ran)?["gateway"]["answered"] == 2, "{ran:?}");
    daemon.stop().await
}

#[tokio::test]
async fn without_a_daemon_it_says_where_it_has_looked() -> Result<()> {
    let dir = tempfile::tempdir()?;
    for arguments in [&["--state-dir", "/nowhere"][..], &["--socket", "/nowhere/admin.sock"], &[]] {
        let mut command = Command::new(binary("ghostllm"));
        command.env_clear().env("HOME", dir.path()).stdin(Stdio::null()).arg("bench").args(arguments);
        let ran = ran(&mut command).await?;
        ensure!(ran.code == Some(69) && ran.err.contains("ghostllm serve"), "{ran:?}");
        let place =
            if arguments.is_empty() { ".local/state/ghostllm/admin.sock" } else { "/nowhere/admin.sock" };
        ensure!(ran.err.contains(place), "{ran:?}");
    }
    Ok(())
}

#[tokio::test]
async fn where_the_backend_cannot_be_asked_the_gateway_is_measured_alone() -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("box-key"), "a-key-of-the-backend")?;
    // Only the service has its credentials.
    let setup = Setup::default()
        .with_backend("box", "ollama", &double.url(), "key_file = \"box-key\"")
        .with_environment("CREDENTIALS_DIRECTORY", &dir.path().display().to_string());
    let daemon = Daemon::start(&setup).await?;
    let benched = measured(&daemon, &["tiny", "--requests", "3"]).await?;
    ensure!(benched["gateway"]["answered"] == 3, "{benched:#}");
    ensure!(benched["direct"].is_null() && benched["overhead"].is_null(), "{benched:#}");
    ensure!(benched["direct_missing"].as_str().is_some_and(|why| why.contains("credential")), "{benched:#}");
    let text = bench(&daemon, &["tiny", "--requests", "3"]).await?;
    ensure!(text.code == Some(0) && text.out.contains("overhead is not known"), "{text:?}");
    ensure!(!text.out.contains('%') && !text.out.contains("a-key-of-the-backend"), "{text:?}");
    daemon.stop().await
}

#[tokio::test]
async fn a_backend_that_goes_away_ends_the_run_with_what_there_is() -> Result<()> {
    let (mut double, daemon) = sinner(Sin::Slow(Duration::from_millis(1)), "", "").await?;
    let arguments = ["tiny", "--requests", "48", "--json"];
    let mut command = command(&daemon, daemon.key.as_deref(), &arguments)?;
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
    double.wait("forty requests", |seen| (seen.len() >= 40).then_some(())).await;
    double.refuse().await;
    let output = child.wait_with_output().await?;
    let ran = Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout)?,
        err: String::from_utf8(output.stderr)?,
    };
    let benched = of_form("Benched", &ran)?;
    ensure!(ran.code == Some(1) && ran.err.contains("requests failed"), "{ran:?}");
    ensure!(benched["ended"] == "gave_up", "{benched:#}");
    let failed = |leg: &str| benched[leg]["errors"].as_array().map_or(0, Vec::len);
    ensure!(failed("gateway") + failed("direct") > 0, "{benched:#}");
    ensure!(benched["direct"]["answered"].as_u64().is_some_and(|count| count > 0), "{benched:#}");
    daemon.stop().await
}

#[tokio::test]
async fn ctrl_c_prints_what_there_is() -> Result<()> {
    let (double, daemon) = sinner(Sin::Slow(Duration::from_millis(2)), "", "").await?;
    let mut command = command(&daemon, daemon.key.as_deref(), &["tiny", "--requests", "48", "--json"])?;
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
    double.wait("forty requests", |seen| (seen.len() >= 40).then_some(())).await;
    let id = child.id().context("it has ended")?;
    // The key is in its memory: soft and hard, no core is to be had.
    let limits = std::fs::read_to_string(format!("/proc/{id}/limits"))?;
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).context("no such limit")?;
    ensure!(core.split_whitespace().filter(|word| *word == "0").count() == 2, "{core}");
    process::signal(id, Signal::SIGINT)?;
    let output = child.wait_with_output().await?;
    let ran = Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout)?,
        err: String::from_utf8(output.stderr)?,
    };
    let benched = of_form("Benched", &ran)?;
    ensure!(ran.code == Some(130) && benched["ended"] == "interrupted", "{ran:?}");
    for leg in ["gateway", "direct"] {
        ensure!(benched[leg]["answered"].as_u64().is_some_and(|count| count > 0), "{benched:#}");
        ensure!(benched[leg]["errors"] == json!([]), "{benched:#}");
    }
    daemon.stop().await
}

#[tokio::test]
async fn an_owner_s_certificate_is_checked_by_the_ca_that_is_named() -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    let dir = tempfile::tempdir()?;
    let pair = Pair::make(dir.path(), "own", "box.example")?;
    let mut setup = Setup::backend("ollama", &double.url());
    setup.listen += &pair.lines();
    let daemon = Daemon::start(&setup).await?;
    let unknown = bench(&daemon, &["tiny", "--requests", "2"]).await?;
    ensure!(unknown.code != Some(0) && unknown.err.contains("--ca FILE"), "{unknown:?}");
    let ca = pair.certificate.display().to_string();
    let known = bench(&daemon, &["tiny", "--requests", "2", "--ca", &ca]).await?;
    ensure!(known.code == Some(0), "{known:?}");
    daemon.stop().await
}
