//! Keys and time: one that has ended stays so, whatever the clock shows.

use std::{
    fs::File,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin,
    client::{Caller, Family, Request, Version},
    daemon::{Daemon, Setup},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::check_error;

/// A daemon whose state outlives it.
fn kept() -> Result<(TempDir, Setup, PathBuf)> {
    let scratch = tempfile::tempdir()?;
    let state = scratch.path().canonicalize()?.join("state");
    let arguments = vec!["--state-dir".to_owned(), state.display().to_string()];
    let setup = Setup { arguments, state: false, ..Setup::backend("openai", "http://127.0.0.1:1") };
    Ok((scratch, setup, state.join("keys.json")))
}

async fn status(daemon: &Daemon, key: &str) -> Result<u16> {
    let ca = Caller::keyless(daemon, Version::H1, Family::V4).await?;
    let answer = ca.with_key(Some(key)).send(&Request::get("/v1/models")).await?;
    if answer.status == 401 {
        let said = check_error(&answer, 401, Some("invalid_api_key"))?;
        ensure!(said.contains("time is over"), "{said}");
    }
    Ok(answer.status)
}

fn has_lost_its_clock(status: &Value) -> bool {
    let causes = status["causes"].as_array().into_iter().flatten();
    causes.into_iter().any(|cause| cause["code"] == "clock_lost")
}

#[tokio::test]
async fn a_clock_that_shows_less_than_the_state_knows_opens_no_key_that_has_ended() -> Result<()> {
    let (_scratch, setup, file) = kept()?;
    let daemon = Daemon::start(&setup).await?;
    let short = admin::make(&daemon, &json!({"name": "short", "expires_in_s": 1800})).await?;
    let long = admin::make(&daemon, &json!({"name": "long"})).await?;
    ensure!((status(&daemon, &short.key).await?, status(&daemon, &long.key).await?) == (200, 200));
    ensure!(!has_lost_its_clock(&admin::read(&daemon, "status").await?));
    daemon.stop().await?;
    // As if the box had been on for an hour more, and then lost that hour.
    let later = SystemTime::now() + Duration::from_secs(3600);
    File::open(&file)?.set_modified(later)?;
    for start in 0..2 {
        let daemon = Daemon::start(&setup).await?;
        ensure!(status(&daemon, &short.key).await? == 401, "start {start}: it is open again");
        ensure!(status(&daemon, &long.key).await? == 200);
        daemon.wait_said("the clock shows less than the state knows").await?;
        let standing = admin::read(&daemon, "status").await?;
        ensure!(has_lost_its_clock(&standing) && standing["condition"] != "ready", "{standing}");
        // A change of the keys, dated by the clock that is wrong, takes nothing back.
        let other = admin::make(&daemon, &json!({"name": format!("{start}"), "expires_in_s": 600})).await?;
        ensure!(status(&daemon, &other.key).await? == 200, "a new key has its whole time");
        admin::done(&daemon, "DELETE", &format!("keys/{}", other.id), None).await?;
        daemon.stop().await?;
    }
    Ok(())
}

#[tokio::test]
async fn that_a_key_has_ended_is_on_the_disk_soon_and_its_name_is_free() -> Result<()> {
    let (_scratch, setup, file) = kept()?;
    let daemon = Daemon::start(&setup).await?;
    let order = json!({"name": "guest", "expires_in_s": 4});
    let made = admin::make(&daemon, &order).await?;
    let again = admin::ask(&daemon, "POST", "keys", Some(&order)).await?;
    check_error(&again, 400, Some("invalid_value"))?;
    while status(&daemon, &made.key).await? == 200 {
        // Each is a connection of its own, and stays open.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let ended = SystemTime::now();
    let witnessed = async {
        while std::fs::metadata(&file)?.modified()? + Duration::from_secs(1) < ended {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(10), witnessed).await.context("it is not on the disk")??;
    admin::make(&daemon, &order).await?;
    daemon.stop().await
}
