//! How the program stands, as its metrics tell it.

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin,
    client::{Caller, Family, Request, Version, open_unix, plain},
    daemon::{Daemon, Setup},
    double::Double,
    kept::{self, Dialer, Place},
    ollama::Ollama,
    sheet::Sheet,
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{FRANCE, ollama};

#[tokio::test]
async fn a_backend_that_goes_and_comes_is_seen() -> Result<()> {
    let mut double = Double::start(Ollama::default()).await;
    let setup = Setup::default()
        .with_backend("box", "ollama", &double.url(), "")
        .with_limits("find_interval = \"100ms\"");
    let daemon = Daemon::start(&setup).await?;
    let chat = plain(daemon.plain(false)?, &Request::chat("tiny", FRANCE, false)).await?;
    ensure!(chat.status == 200, "{}", chat.text());
    let of = |sheet: &Sheet, name: &str| sheet.sum(name, &[("backend", "box")]);
    let stands = |sheet: &Sheet, up: f64| {
        sheet.sum("ghostllm_ready", &[]) == up && of(sheet, "ghostllm_backend_up") == up
    };
    let sheet = Sheet::until(&daemon, |sheet| stands(sheet, 1.0)).await?;
    ensure!(of(&sheet, "ghostllm_backend_models") >= 1.0, "{}", sheet.text);
    ensure!(of(&sheet, "ghostllm_backend_connections_resting") >= 1.0, "{}", sheet.text);
    double.refuse().await;
    let sheet = Sheet::until(&daemon, |sheet| stands(sheet, 0.0)).await?;
    ensure!(of(&sheet, "ghostllm_backend_models") >= 1.0, "what it had is known still:\n{}", sheet.text);
    ensure!(sheet.sum("ghostllm_causes", &[("severity", "error")]) == 1.0, "{}", sheet.text);
    double.come_back().await;
    Sheet::until(&daemon, |sheet| stands(sheet, 1.0)).await?;
    daemon.stop().await
}

#[tokio::test]
async fn the_certificate_s_end_and_the_configuration_s_state_are_told() -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    let setup = Setup::backend("ollama", &double.url());
    let daemon = Daemon::start(&setup).await?;
    let state = |sheet: &Sheet| {
        ["ghostllm_config_last_reload_successful", "ghostllm_config_restart_needed"]
            .map(|name| sheet.sum(name, &[]))
    };
    let sheet = Sheet::until(&daemon, |sheet| state(sheet) == [1.0, 0.0]).await?;
    let certificates = admin::read(&daemon, "certificates").await?;
    for (field, metric) in [
        ("begins", "ghostllm_certificate_not_before_timestamp_seconds"),
        ("expires", "ghostllm_certificate_expiry_timestamp_seconds"),
    ] {
        let moment = certificates["server"][field].as_str().context(field)?;
        let moment = OffsetDateTime::parse(moment, &Rfc3339)?.unix_timestamp() as f64;
        ensure!(sheet.sum(metric, &[]) == moment, "{}", sheet.text);
    }
    let wrong = Setup { config: "[nonsense]\n".to_owned(), ..setup.clone() };
    daemon.reconfigure(&wrong).await?;
    Sheet::until(&daemon, |sheet| state(sheet)[0] == 0.0).await?;
    daemon.reconfigure(&setup.clone().with_limits("threads = 3")).await?;
    Sheet::until(&daemon, |sheet| state(sheet) == [1.0, 1.0]).await?;
    daemon.reconfigure(&setup).await?;
    Sheet::until(&daemon, |sheet| state(sheet) == [1.0, 0.0]).await?;
    daemon.stop().await
}

#[tokio::test]
async fn what_the_program_asks_itself_is_no_request() -> Result<()> {
    // Asked on each thread, five times a second and more.
    let setup = Setup::default()
        .with_environment("WATCHDOG_USEC", "800000")
        .with_environment("GHOSTLLM_LOG__LEVEL", "debug");
    let daemon = Daemon::start(&setup).await?;
    let uptime = |sheet: &Sheet| sheet.sum("ghostllm_uptime_seconds", &[]);
    let sheet = Sheet::until(&daemon, |sheet| uptime(sheet) > 2.0).await?;
    let asked = |sheet: &Sheet| sheet.sum("ghostllm_requests_total", &[("route", "/healthz")]);
    ensure!(asked(&sheet) == 0.0, "{}", sheet.text);
    ensure!(!daemon.stderr().contains("\"route\":\"/healthz\""), "{}", daemon.stderr());
    ensure!(plain(daemon.plain(false)?, &Request::get("/healthz")).await?.status == 200);
    Sheet::until(&daemon, |sheet| asked(sheet) == 1.0).await?;
    daemon.stop().await
}

#[tokio::test]
async fn the_process_is_the_one_that_the_system_knows() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let sheet = Sheet::of(&daemon).await?;
    let value = |name: &str| sheet.such(name, &[]).next().map(|sample| sample.value).context(name.to_owned());
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id()?))?;
    let number = |word: &str| -> Result<f64> {
        let line = status.lines().find_map(|line| line.strip_prefix(word)).context(word.to_owned())?;
        Ok(line.split_whitespace().next().context("no number")?.parse()?)
    };
    let (resident, peak) = (value("process_resident_memory_bytes")?, number("VmHWM:")? * 1024.0);
    ensure!(resident > 1e6 && resident <= peak, "{resident} bytes are held, {peak} at the most");
    ensure!(value("process_virtual_memory_bytes")? >= resident);
    let (open, most) = (value("process_open_fds")?, value("process_max_fds")?);
    ensure!(open >= 8.0 && open < most, "{open} of {most}");
    ensure!(value("process_threads")? >= 2.0 && value("process_cpu_seconds_total")? > 0.0, "{}", sheet.text);
    let began = value("process_start_time_seconds")?;
    let ago = OffsetDateTime::now_utc().unix_timestamp() as f64 - began;
    ensure!((-1.0..60.0).contains(&ago), "it began {ago} s ago");
    ensure!((0.0..60.0).contains(&value("ghostllm_uptime_seconds")?));
    let build = sheet.such("ghostllm_build_info", &[]).next().context("no build")?;
    ensure!(
        build.value == 1.0 && build.labels.iter().any(|(name, value)| name == "version" && !value.is_empty())
    );
    daemon.stop().await
}

#[tokio::test]
async fn connections_are_counted_by_listener_and_version() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let place = |version, address| Place { version, address, ca: daemon.state("ca/ca.pem"), key: None };
    let tls = ([127, 0, 0, 1], daemon.tls).into();
    let quic = ([127, 0, 0, 1], daemon.quic.context("no HTTP/3")?).into();
    // Whoever asks for the figures is one more on the plain port.
    let are = |sheet: &Sheet, wanted: [f64; 4]| {
        let ways = [("tls", "HTTP/1.1"), ("tls", "HTTP/2"), ("quic", "HTTP/3"), ("plain", "HTTP/1.1")];
        ways.into_iter().zip(wanted).all(|((listener, http), wanted)| {
            sheet.sum("ghostllm_connections", &[("listener", listener), ("http", http)]) == wanted
        })
    };
    Sheet::until(&daemon, |sheet| are(sheet, [0.0, 0.0, 0.0, 1.0])).await?;
    let (mut dialers, mut open) = (Vec::new(), Vec::new());
    for (version, address, many) in [
        (kept::Version::H1, tls, 3),
        (kept::Version::H2, tls, 2),
        (kept::Version::H3, quic, 1),
        (kept::Version::Plain, daemon.plain(false)?, 4),
    ] {
        let dialer = Dialer::new(&place(version, address))?;
        for _ in 0..many {
            open.push(dialer.dial().await?);
        }
        dialers.push(dialer);
    }
    Sheet::until(&daemon, |sheet| are(sheet, [3.0, 2.0, 1.0, 5.0])).await?;
    drop(open);
    Sheet::until(&daemon, |sheet| are(sheet, [0.0, 0.0, 0.0, 1.0])).await?;
    drop(dialers);
    daemon.stop().await
}

/// More than the 4,096 records that wait, and than what a pipe takes.
const MANY: usize = 6_000;

#[tokio::test]
async fn records_of_the_log_that_are_lost_are_counted() -> Result<()> {
    let setup = Setup::default().with_environment("GHOSTLLM_LOG__LEVEL", "debug");
    let daemon = Daemon::start(&setup).await?;
    ensure!(Sheet::of(&daemon).await?.sum("ghostllm_log_records_lost_total", &[]) == 0.0);
    daemon.leave_unread(true);
    let asking = (0..8).map(async |_| {
        for _ in 0..MANY / 8 {
            plain(daemon.plain(false)?, &Request::get("/healthz")).await?;
        }
        anyhow::Ok(())
    });
    futures_util::future::try_join_all(asking).await?;
    let sheet =
        Sheet::until(&daemon, |sheet| sheet.sum("ghostllm_log_records_lost_total", &[]) > 0.0).await?;
    println!("{} of {MANY} records were lost", sheet.sum("ghostllm_log_records_lost_total", &[]));
    daemon.leave_unread(false);
    daemon.stop().await
}

/// More than the 1,024 events that are kept: each chat is two.
const CHATS: usize = 600;

#[tokio::test]
async fn events_that_a_follower_has_missed_are_counted() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let follow = Request::get(&admin::path("events"));
    let mut stream = open_unix(daemon.admin()?, &follow).await?;
    stream.until(": GhostLLM's events").await?;
    let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
    caller.send(&Request::chat("tiny", FRANCE, false)).await?;
    let told = String::from_utf8(stream.until("request_begun").await?)?;
    let last = told.lines().rev().find_map(|line| line.strip_prefix("id: ")).context("no id")?.to_owned();
    drop(stream.leave().await?);
    ensure!(Sheet::of(&daemon).await?.sum("ghostllm_events_lost_total", &[]) == 0.0);
    for _ in 0..CHATS {
        plain(daemon.plain(false)?, &Request::chat("tiny", FRANCE, false)).await?;
    }
    let mut stream = open_unix(daemon.admin()?, &follow.with("last-event-id", &last)).await?;
    stream.until("event: missed").await?;
    let sheet = Sheet::until(&daemon, |sheet| sheet.sum("ghostllm_events_lost_total", &[]) > 0.0).await?;
    let lost = sheet.sum("ghostllm_events_lost_total", &[]);
    ensure!(lost >= (2 * CHATS - 1024) as f64 && lost <= (2 * CHATS) as f64, "{lost} were lost");
    drop(stream.leave().await?);
    daemon.stop().await
}
