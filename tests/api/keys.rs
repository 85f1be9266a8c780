//! Keys while the daemon runs: made, used, rotated, revoked, ended, guessed.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin::{self, Made},
    client::{Caller, Event, Family, Request, Stream, Version, plain},
    daemon::Daemon,
    double::Double,
    expect::check_failed,
    script::Sin,
};
use serde_json::{Value, json};

use crate::{FRANCE, check_error, ollama, ollama_with, on_every_version, sinner};

/// What the issue of a revocation promises; met by far, with room for a slow machine.
const SOON: Duration = Duration::from_secs(1);

async fn caller(daemon: &Daemon, version: Version, key: &str) -> Result<Caller> {
    Ok(Caller::keyless(daemon, version, Family::V4).await?.with_key(Some(key)))
}

/// A stream of the model `tiny`, which hangs behind its first words.
async fn hanging(version: Version, order: &Value) -> Result<(Double, Daemon, Made, Begun)> {
    let (double, daemon) = sinner(Sin::StallAfter(2), "", "").await?;
    let made = admin::make(&daemon, order).await?;
    let caller = caller(&daemon, version, &made.key).await?;
    let mut stream = caller.open(&Request::chat("tiny", FRANCE, true)).await?;
    ensure!(stream.status == 200);
    let body = stream.until("data: ").await?;
    Ok((double, daemon, made, Begun { version, stream, body }))
}

/// A stream, and what has come of it.
struct Begun {
    version: Version,
    stream: Stream,
    body: Vec<u8>,
}

impl Begun {
    /// Waits for its end, which must be a failure that says this.
    async fn fails(mut self, said: &str, code: &str) -> Result<()> {
        let end = loop {
            match self.stream.next().await? {
                Event::Data(bytes) => self.body.extend_from_slice(&bytes),
                Event::End(end) => break end,
            }
        };
        check_failed(self.version, &self.body, &end, "", code)?;
        let text = String::from_utf8_lossy(&self.body);
        ensure!(text.contains(said), "{text}");
        Ok(())
    }
}

on_every_version!(
    a_revoked_key_ends_what_it_has_begun,
    a_cancelled_request_ends_and_its_engine_is_free,
    a_key_s_end_ends_what_it_has_begun
);

async fn a_revoked_key_ends_what_it_has_begun(version: Version) -> Result<()> {
    let (double, daemon, made, stream) = hanging(version, &json!({"name": "laptop"})).await?;
    let begun = Instant::now();
    admin::done(&daemon, "DELETE", &format!("keys/{}", made.id), None).await?;
    stream.fails("revoked", "invalid_api_key").await?;
    let took = begun.elapsed();
    double.wait_left("/api/chat").await;
    println!("revoked: a running stream over {version:?} had ended after {} ms", took.as_millis());
    ensure!(took < SOON, "{took:?}");
    let again = caller(&daemon, version, &made.key).await?.send(&Request::get("/v1/models")).await?;
    check_error(&again, 401, Some("invalid_api_key"))?;
    daemon.stop().await
}

async fn a_cancelled_request_ends_and_its_engine_is_free(version: Version) -> Result<()> {
    let (double, daemon, made, stream) = hanging(version, &json!({"name": "laptop"})).await?;
    let list = admin::read(&daemon, "requests").await?;
    let request = &list["requests"][0];
    ensure!(
        request["key"] == made.id && request["caller"] == "laptop" && request["model"] == "tiny",
        "{list}"
    );
    ensure!(
        request["backend"] == "box" && request["state"] == "answering" && request["from"] == "127.0.0.1",
        "{list}"
    );
    ensure!(
        request["http"]
            == format!("{version:?}")
                .replace("H1", "HTTP/1.1")
                .replace("H2", "HTTP/2")
                .replace("H3", "HTTP/3"),
        "{list}"
    );
    let id = request["id"].as_str().context("no id")?;
    ensure!(stream.stream.header("x-request-id") == Some(id), "{list}");
    admin::done(&daemon, "DELETE", &format!("requests/{id}"), None).await?;
    stream.fails("ended by an admin", "request_cancelled").await?;
    double.wait_left("/api/chat").await;
    let again = admin::ask(&daemon, "DELETE", &format!("requests/{id}"), None).await?;
    check_error(&again, 404, Some("not_found"))?;
    ensure!(admin::read(&daemon, "requests").await?["requests"] == json!([]));
    daemon.stop().await
}

async fn a_key_s_end_ends_what_it_has_begun(version: Version) -> Result<()> {
    let (double, daemon, made, stream) =
        hanging(version, &json!({"name": "short", "expires_in_s": 2})).await?;
    stream.fails("time was over", "invalid_api_key").await?;
    double.wait_left("/api/chat").await;
    let again = caller(&daemon, version, &made.key).await?.send(&Request::get("/v1/models")).await?;
    let said = check_error(&again, 401, Some("invalid_api_key"))?;
    ensure!(said.contains("time is over"), "{said}");
    daemon.stop().await
}

#[tokio::test]
async fn a_key_that_is_rotated_without_an_overlap_ends_what_it_has_begun() -> Result<()> {
    let (double, daemon, made, stream) = hanging(Version::H2, &json!({"name": "laptop"})).await?;
    let order = json!({"overlap_s": 0});
    admin::made(
        &daemon,
        &admin::done(&daemon, "POST", &format!("keys/{}/rotate", made.id), Some(&order)).await?,
    )?;
    stream.fails("time was over", "invalid_api_key").await?;
    double.wait_left("/api/chat").await;
    daemon.stop().await
}

#[tokio::test]
async fn whoever_follows_the_events_is_cut_off_with_their_key() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    for version in ghostllm_tests::client::VERSIONS {
        let made = admin::make(&daemon, &json!({"name": format!("{version:?}"), "role": "viewer"})).await?;
        let events = Request::get(&admin::path("events"));
        let mut stream = caller(&daemon, version, &made.key).await?.open(&events).await?;
        ensure!(stream.status == 200);
        stream.until("GhostLLM's events").await?;
        let begun = Instant::now();
        admin::done(&daemon, "DELETE", &format!("keys/{}", made.id), None).await?;
        let answer = stream.finish().await?;
        println!("revoked: the events over {version:?} had ended after {} ms", begun.elapsed().as_millis());
        ensure!(
            begun.elapsed() < SOON && answer.end == ghostllm_tests::client::End::Clean,
            "{:?}",
            answer.end
        );
        ensure!(
            !answer.text().contains("event: key") && !answer.text().contains("event: audit"),
            "{}",
            answer.text()
        );
    }
    daemon.stop().await
}

#[tokio::test]
async fn a_key_in_the_wrong_place_is_repeated_nowhere() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let made = admin::make(&daemon, &json!({"name": "laptop"})).await?;
    let answer = admin::ask(&daemon, "DELETE", &format!("keys/{}", made.key), None).await?;
    check_error(&answer, 404, Some("not_found"))?;
    let answer = admin::ask(&daemon, "POST", "keys", Some(&json!({"name": "x", "role": made.key}))).await?;
    ensure!(answer.status == 400 && !answer.text().contains(&made.key[13..30]), "{}", answer.text());
    for order in [json!({"name": made.key}), json!({"name": "y", "models": [format!("*{}", made.key)]})] {
        let answer = admin::ask(&daemon, "POST", "keys", Some(&order)).await?;
        ensure!(answer.status == 400 && !answer.text().contains(&made.key[13..30]), "{}", answer.text());
    }
    let socket = daemon.plain(true)?;
    for path in [format!("/{}", made.key), format!("/v1/chat/completions/{}", made.key)] {
        check_error(&plain(socket, &Request::get(&path)).await?, 404, Some("unknown_url"))?;
    }
    for path in [format!("/{}", made.key.replace('_', "%5F")), format!("/v1/models/%67{}", &made.key[1..])] {
        let answer = plain(socket, &Request::get(&path)).await?;
        ensure!(answer.status == 404 && !answer.text().contains(&made.key[13..30]), "{}", answer.text());
    }
    let mut told = Request::get("/v1/models");
    told.method.clone_from(&made.key);
    let answer = plain(socket, &told).await?;
    ensure!(answer.status == 405 && !answer.text().contains(&made.key[13..30]), "{}", answer.text());
    let mut misled = Request::get("/v1/models");
    misled.authority.clone_from(&made.key);
    check_error(&plain(socket, &misled).await?, 421, Some("misdirected_request"))?;
    let audit = admin::read(&daemon, "audit").await?;
    ensure!(
        audit["entries"].as_array().map(Vec::len) == Some(5)
            && !audit.to_string().contains(&made.key[13..30]),
        "{audit}"
    );
    // The log and the state are looked through at the end.
    daemon.stop().await
}

#[tokio::test]
async fn a_whole_answer_ends_with_its_key_before_any_header() -> Result<()> {
    let (double, daemon) = sinner(Sin::HangBeforeHeaders, "", "").await?;
    let made = admin::make(&daemon, &json!({"name": "laptop"})).await?;
    let caller = caller(&daemon, Version::H2, &made.key).await?;
    let request = Request::chat("tiny", FRANCE, false);
    let revoke = async {
        double.wait_hanging("/api/chat").await;
        admin::done(&daemon, "DELETE", &format!("keys/{}", made.id), None).await
    };
    let (answer, revoked) = tokio::join!(caller.send(&request), revoke);
    revoked?;
    check_error(&answer?, 401, Some("invalid_api_key"))?;
    double.wait_left("/api/chat").await;
    daemon.stop().await
}

#[tokio::test]
async fn a_key_is_rotated_with_an_overlap_and_outlives_a_restart() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let old =
        admin::make(&daemon, &json!({"name": "laptop", "class": "background", "models": ["tiny*"]})).await?;
    let new = admin::made(
        &daemon,
        &admin::done(&daemon, "POST", &format!("keys/{}/rotate", old.id), Some(&json!({"overlap_s": 600})))
            .await?,
    )?;
    for key in [&old.key, &new.key] {
        let answer = caller(&daemon, Version::H1, key).await?.send(&Request::get("/v1/models")).await?;
        ensure!(answer.status == 200, "{}", answer.text());
    }
    let list = admin::read(&daemon, "keys").await?;
    let key = |id: &str| {
        let found = list["keys"].as_array().into_iter().flatten().find(|key| key["id"] == id);
        found.cloned().with_context(|| format!("no {id} in {list}"))
    };
    ensure!(key(&old.id)?["state"] == "rotated" && key(&old.id)?["replaced_by"] == new.id, "{list}");
    ensure!(key(&new.id)?["class"] == "background" && key(&new.id)?["models"] == json!(["tiny*"]), "{list}");
    ensure!(key(&new.id)?["last_used"].is_string(), "{list}");
    for secret in [&old.key, &new.key] {
        ensure!(!list.to_string().contains(&secret[13..30]) && !daemon.stderr().contains(&secret[13..30]));
    }
    let file = std::fs::read_to_string(daemon.state("keys.json"))?;
    ensure!(!file.contains(&new.key[13..30]) && file.contains(&new.id), "{file}");
    let digests: Vec<&str> = file.split('"').filter(|word| word.len() == 64).collect();
    ensure!(digests.len() == 3 && !digests.iter().any(|digest| list.to_string().contains(digest)), "{list}");
    // A digest opens nothing.
    let answer = caller(&daemon, Version::H1, digests[0]).await?.send(&Request::get("/v1/models")).await?;
    check_error(&answer, 401, Some("invalid_api_key"))?;
    daemon.stop().await
}

#[tokio::test]
async fn a_key_for_some_models_sees_and_uses_no_others() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let all = caller(&daemon, Version::H2, &admin::make(&daemon, &json!({"name": "all"})).await?.key).await?;
    let names = |list: Value| -> Vec<String> {
        let models = list["data"].as_array().cloned().unwrap_or_default();
        models.iter().filter_map(|model| model["id"].as_str().map(str::to_owned)).collect()
    };
    let every = names(all.send(&Request::get("/v1/models")).await?.json()?);
    ensure!(every.len() > 1 && every.iter().any(|name| name.starts_with("tiny")), "{every:?}");
    let some = admin::make(&daemon, &json!({"name": "some", "models": ["tiny"]})).await?;
    let some = caller(&daemon, Version::H2, &some.key).await?;
    let mine = names(some.send(&Request::get("/v1/models")).await?.json()?);
    ensure!(mine.len() == 1 && mine[0].starts_with("tiny"), "{mine:?}");
    let answer = some.send(&Request::chat("tiny", FRANCE, false)).await?;
    ensure!(answer.status == 200, "{}", answer.text());
    let other = every.iter().find(|name| **name != mine[0]).context("no other model")?;
    // Go's reader would take the second one.
    let both = format!(
        "{{\"model\":\"tiny\",\"Model\":\"{other}\",\"messages\":[{{\"role\":\"user\",\"content\":\"x\"}}]}}"
    );
    let answer = some.send(&Request::post_bytes("/v1/chat/completions", both.as_bytes())).await?;
    ensure!(answer.status == 400 && answer.text().contains("twice"), "{}", answer.text());
    for asked in [other.clone(), format!("box/{other}")] {
        let answer = some.send(&Request::chat(&asked, FRANCE, false)).await?;
        check_error(&answer, 404, Some("model_not_found"))?;
        let answer = some.send(&Request::get(&format!("/v1/models/{asked}"))).await?;
        check_error(&answer, 404, Some("model_not_found"))?;
    }
    daemon.stop().await
}

#[tokio::test]
async fn whoever_guesses_is_told_to_wait_and_a_right_key_is_let_in_all_along() -> Result<()> {
    let (_double, daemon) = ollama_with("wrong_keys = 5", "").await?;
    let right = Caller::new(&daemon, Version::H1, Family::V4).await?;
    let wrong = caller(&daemon, Version::H1, "gllm_nonsense").await?;
    for number in 1..=8 {
        let answer = wrong.send(&Request::get("/v1/models")).await?;
        if number <= 5 {
            check_error(&answer, 401, Some("invalid_api_key"))?;
        } else {
            let said = check_error(&answer, 429, Some("rate_limit_exceeded"))?;
            let wait: u64 = answer.header("retry-after").unwrap_or_default().parse()?;
            ensure!((1..=60).contains(&wait) && said.contains("right one"), "{wait} {said}");
        }
        let answer = right.send(&Request::get("/v1/models")).await?;
        ensure!(answer.status == 200, "a right key was locked out: {}", answer.text());
    }
    // Another address is another source, and a program on the plain port may send what it likes.
    let other = Caller::keyless(&daemon, Version::H1, Family::V6).await?.with_key(Some("gllm_nonsense"));
    check_error(&other.send(&Request::get("/v1/models")).await?, 401, Some("invalid_api_key"))?;
    for _ in 0..10 {
        let request = Request::get("/v1/models").with("authorization", "Bearer placeholder");
        ensure!(plain(daemon.plain(false)?, &request).await?.status == 200);
    }
    daemon.wait_said("wrong API keys come from there").await?;
    ensure!(daemon.stderr().matches("wrong API keys come from there").count() == 1);
    daemon.stop().await
}

#[tokio::test]
async fn the_first_key_is_shown_once_over_the_socket() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let waits = admin::read(&daemon, "keys").await?;
    ensure!(waits["first_waits_since"].is_string(), "{waits}");
    let first = admin::made(&daemon, &admin::done(&daemon, "POST", "keys/first", None).await?)?;
    ensure!(Some(&first.key) == daemon.key.as_ref() && !daemon.state("first-key").exists());
    let again = admin::ask(&daemon, "POST", "keys/first", None).await?;
    check_error(&again, 404, Some("not_found"))?;
    ensure!(admin::read(&daemon, "keys").await?["first_waits_since"].is_null());
    let answer = caller(&daemon, Version::H1, &first.key).await?.send(&Request::get("/v1/models")).await?;
    ensure!(answer.status == 200, "the key itself stays good");
    daemon.stop().await
}

#[tokio::test]
async fn a_wrong_order_is_told_what_is_wrong_and_changes_nothing() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    for (order, param) in [
        (json!({"name": ""}), Some("name")),
        (json!({"name": "x\u{1b}[31m"}), Some("name")),
        (json!({"name": "first"}), Some("name")),
        (json!({"name": "x", "role": "user", "scopes": ["chat"]}), Some("scopes")),
        (json!({"name": "x", "expires_in_s": 0}), Some("expires_in_s")),
        (json!({"name": "x", "role": "root"}), None),
        (json!({"name": "x", "roles": "user"}), None),
        (json!(["x"]), None),
        (json!({}), None),
    ] {
        let answer = admin::ask(&daemon, "POST", "keys", Some(&order)).await?;
        ensure!(answer.status == 400, "{order}: {} {}", answer.status, answer.text());
        let error = answer.json()?;
        ensure!(error["error"]["param"].as_str() == param, "{order}: {error}");
    }
    ensure!(admin::read(&daemon, "keys").await?["keys"].as_array().map(Vec::len) == Some(1));
    daemon.stop().await
}
