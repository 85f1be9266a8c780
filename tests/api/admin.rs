//! The admin API: how the box is, what is done to it, who did it, and what happens meanwhile.

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin, causes,
    client::{Caller, Family, Request, Version, open_unix},
    daemon::{Daemon, Setup},
    double::Double,
    ollama::Ollama,
    script::Sin,
};
use serde_json::{Value, json};

use crate::{FRANCE, check_error, ollama, sinner};

#[tokio::test]
async fn status_says_in_words_how_the_box_is() -> Result<()> {
    let (mut double, daemon) = ollama().await?;
    let status = admin::read(&daemon, "status").await?;
    ensure!(status["version"] == 1 && status["condition"] == "ready", "{status}");
    ensure!(status["backends"] == 1 && status["backends_up"] == 1 && status["keys"] == 1, "{status}");
    ensure!(causes::codes(&status).contains(&"first_key_waits"), "{status}");
    ensure!(status["pid"] == daemon.id()?, "{status}");
    let kinds: Vec<_> =
        status["listeners"].as_array().into_iter().flatten().map(|one| one["kind"].clone()).collect();
    ensure!(kinds == ["tls", "quic", "plain", "plain", "admin"], "{status}");
    double.refuse().await;
    admin::done(&daemon, "POST", "backends/box/test", None).await?;
    let status = admin::read(&daemon, "status").await?;
    ensure!(status["condition"] == "no_model", "{status}");
    let codes = causes::codes(&status);
    ensure!(codes[0] == "no_model" && codes.contains(&"backend_down"), "{status}");
    for cause in status["causes"].as_array().into_iter().flatten() {
        ensure!(
            ["what", "next"].iter().all(|field| cause[field].as_str().is_some_and(|text| !text.is_empty())),
            "{cause}"
        );
    }
    double.come_back().await;
    let tested = admin::done(&daemon, "POST", "backends/box/test", None).await?;
    ensure!(tested["up"] == true && tested["models"].as_u64() > Some(0), "{tested}");
    ensure!(admin::read(&daemon, "status").await?["condition"] == "ready");
    let missing = admin::ask(&daemon, "POST", "backends/nobody/test", None).await?;
    check_error(&missing, 404, Some("not_found"))?;
    daemon.stop().await
}

#[tokio::test]
async fn lists_say_what_v1_says() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let models = admin::read(&daemon, "models").await?;
    let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
    let public = caller.send(&Request::get("/v1/models")).await?.json()?;
    let ids = |list: &Value| -> Vec<Value> {
        list.as_array().into_iter().flatten().map(|model| model["id"].clone()).collect()
    };
    ensure!(
        !ids(&models["models"]).is_empty() && ids(&models["models"]) == ids(&public["data"]),
        "{models} {public}"
    );
    let backends = admin::read(&daemon, "backends").await?;
    ensure!(
        backends["backends"][0]["name"] == "box" && backends["backends"][0]["kind"] == "ollama",
        "{backends}"
    );
    let certificates = admin::read(&daemon, "certificates").await?;
    let pem = certificates["authority"]["pem"].as_str().context("no CA")?;
    ensure!(pem.as_bytes() == caller.send(&Request::get("/ca.pem")).await?.body, "{certificates}");
    let config = admin::read(&daemon, "config").await?;
    ensure!(
        config["toml"]
            .as_str()
            .is_some_and(|toml| toml.contains("[limits]") && toml.contains("kind = \"ollama\"")),
        "{config}"
    );
    ensure!(config["files"] == json!([daemon.config().display().to_string()]), "{config}");
    daemon.stop().await
}

#[tokio::test]
async fn a_reload_waits_and_a_bad_file_fails_it_with_its_place() -> Result<()> {
    let (double, daemon) = ollama().await?;
    let setup = |limits: &str| Setup::backend("ollama", &double.url()).with_limits(limits);
    daemon.configure(&setup("wrong_keys = 7"))?;
    let checked = admin::done(&daemon, "POST", "config/check", None).await?;
    ensure!(checked["sound"] == true && checked["faults"] == json!([]), "{checked}");
    let reloaded = admin::done(&daemon, "POST", "reload", None).await?;
    ensure!(
        reloaded["taken"] == true && reloaded["changed"].to_string().contains("limits.wrong_keys"),
        "{reloaded}"
    );
    let config = admin::read(&daemon, "config").await?;
    ensure!(config["toml"].as_str().is_some_and(|toml| toml.contains("wrong_keys = 7")), "{config}");
    daemon.configure(&setup("wrong_keys = \"many\""))?;
    let checked = admin::done(&daemon, "POST", "config/check", None).await?;
    let faults = checked["faults"].to_string();
    ensure!(
        checked["sound"] == false && faults.contains("wrong_keys") && faults.contains(".toml:"),
        "{checked}"
    );
    let refused = admin::ask(&daemon, "POST", "reload", None).await?;
    let said = check_error(&refused, 409, Some("conflict"))?;
    ensure!(said.contains("wrong_keys") && said.contains(".toml:"), "{said}");
    let status = admin::read(&daemon, "status").await?;
    ensure!(
        causes::codes(&status).contains(&"configuration_refused") && status["condition"] == "degraded",
        "{status}"
    );
    ensure!(admin::read(&daemon, "config").await?["refused"].is_string());
    daemon.configure(&setup("wrong_keys = 7"))?;
    admin::done(&daemon, "POST", "reload", None).await?;
    ensure!(!causes::codes(&admin::read(&daemon, "status").await?).contains(&"configuration_refused"));
    daemon.stop().await
}

#[tokio::test]
async fn certificates_are_made_anew_and_so_is_the_ca() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let served = |daemon: &Daemon| std::fs::read(daemon.state("ca/server.pem"));
    let before = (admin::read(&daemon, "certificates").await?, served(&daemon)?);
    let renewed = admin::done(&daemon, "POST", "certificates/renew", None).await?;
    ensure!(renewed["certificates"]["authority"] == before.0["authority"], "the CA is the same");
    ensure!(served(&daemon)? != before.1, "the certificate is another");
    let ready = Request::get("/readyz");
    let old = Caller::new(&daemon, Version::H2, Family::V4).await?;
    ensure!(old.send(&ready).await?.status == 200);
    let kept = std::fs::read(daemon.state("ca/authority.pem"))?;
    let renewed = admin::done(&daemon, "POST", "certificates/authority", None).await?;
    ensure!(renewed["certificates"]["authority"]["sha256"] != before.0["authority"]["sha256"], "{renewed}");
    let before = std::fs::read_dir(daemon.state("ca"))?.flatten().map(|entry| entry.path());
    let before = before.filter(|path| path.display().to_string().contains("authority.pem.before-"));
    let before: Vec<_> = before.map(std::fs::read).collect::<Result<_, _>>()?;
    ensure!(before == [kept], "the old one is kept");
    ensure!(old.send(&ready).await.is_err(), "whoever trusts the old one alone is not answered");
    let pem = renewed["certificates"]["authority"]["pem"].as_str().context("no CA")?;
    let new = old.trusting(pem.as_bytes());
    for version in [Version::H1, Version::H2, Version::H3] {
        let _ = version;
        ensure!(new.send(&ready).await?.status == 200);
    }
    ensure!(new.send(&Request::get("/ca.pem")).await?.body == pem.as_bytes(), "it is given out");
    daemon.stop().await
}

#[tokio::test]
async fn every_act_is_in_the_audit_log_and_who_is_refused_once_a_minute() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let made = admin::make(&daemon, &json!({"name": "an admin", "role": "admin"})).await?;
    let remote = Caller::keyless(&daemon, Version::H3, Family::V6).await?.with_key(Some(&made.key));
    let order = json!({"name": "laptop"});
    let laptop =
        admin::made(&daemon, &remote.send(&Request::post(&admin::path("keys"), &order)).await?.json()?)?;
    remote.send(&Request::get(&admin::path(&format!("keys/{}", laptop.id))).method("DELETE")).await?;
    for _ in 0..2 {
        remote.send(&Request::get(&admin::path("keys/nobody")).method("DELETE")).await?;
    }
    let user = Caller::new(&daemon, Version::H2, Family::V4).await?;
    for _ in 0..5 {
        let answer = user.send(&Request::post(&admin::path("keys"), &order)).await?;
        check_error(&answer, 403, Some("forbidden"))?;
    }
    let audit = loop {
        let audit = admin::read(&daemon, "audit").await?;
        if audit["entries"].to_string().contains("denied") {
            break audit;
        }
        tokio::task::yield_now().await;
    };
    let entries = audit["entries"].as_array().context("no entries")?;
    let shown: Vec<String> = entries
        .iter()
        .map(|entry| {
            [&entry["act"], &entry["result"], &entry["from"], &entry["who"]]
                .map(|field| field.as_str().unwrap_or_default())
                .join(" ")
        })
        .collect();
    let uid = nix::unistd::geteuid();
    let first = daemon.key.as_ref().context("no key")?[5..13].to_owned();
    ensure!(
        shown
            == [
                format!("keys.create done socket uid {uid}"),
                format!("keys.create done ::1 {}", made.id),
                format!("keys.revoke done ::1 {}", made.id),
                format!("keys.revoke failed ::1 {}", made.id),
                format!("keys.revoke failed ::1 {}", made.id),
                format!("keys.create denied 127.0.0.1 {first}"),
            ],
        "{audit:#}"
    );
    ensure!(entries[1]["on"] == laptop.id && entries[1]["name"] == "an admin", "{audit:#}");
    let last = admin::read(&daemon, "audit?last=2").await?;
    ensure!(last["entries"].as_array().map(Vec::len) == Some(2) && last["more"] == true, "{last}");
    check_error(&admin::ask(&daemon, "GET", "audit?last=0", None).await?, 400, Some("invalid_value"))?;
    let denied = std::fs::read_to_string(daemon.state("denied.log"))?;
    ensure!(denied.lines().count() == 3, "in vain, in vain, and denied: {denied}");
    let text = std::fs::read_to_string(daemon.state("audit.log"))?;
    ensure!(
        text.lines().count() == 3 && !text.contains(&made.key[13..30]) && !text.contains(&laptop.key[13..30])
    );
    daemon.stop().await
}

#[tokio::test]
async fn whoever_follows_the_events_leaves_connections_to_those_who_ask() -> Result<()> {
    let setup = Setup::backend("ollama", "http://127.0.0.1:1").with_limits("admin_connections = 60");
    let daemon = Daemon::start(&setup).await?;
    let path = admin::path("events");
    let mut open = Vec::new();
    for _ in 0..30 {
        let mut stream = open_unix(daemon.admin()?, &Request::get(&path)).await?;
        stream.until(": GhostLLM's events").await?;
        open.push(stream);
    }
    for _ in 0..3 {
        let answer = admin::ask(&daemon, "GET", "events", None).await?;
        let said = check_error(&answer, 503, Some("queue_full"))?;
        ensure!(
            said.starts_with("30 others like this follow the events")
                && said.contains("limits.admin_connections"),
            "{said}"
        );
    }
    admin::make(&daemon, &json!({"name": "repaired"})).await?;
    drop(open.pop());
    let begun = std::time::Instant::now();
    loop {
        let mut again = open_unix(daemon.admin()?, &Request::get(&path)).await?;
        if again.until(": GhostLLM's events").await.is_ok() {
            break;
        }
        ensure!(begun.elapsed() < std::time::Duration::from_secs(10), "the place is not free again");
    }
    // Over the network each key has places of its own.
    let viewers = [
        admin::make(&daemon, &json!({"name": "one", "role": "viewer"})).await?,
        admin::make(&daemon, &json!({"name": "two", "role": "viewer"})).await?,
    ];
    let mut far = Vec::new();
    for (viewer, wanted) in viewers.iter().zip([17, 1]) {
        let caller = Caller::keyless(&daemon, Version::H2, Family::V4).await?.with_key(Some(&viewer.key));
        for number in 1..=wanted {
            let mut stream = caller.open(&Request::get(&path)).await?;
            if number == 17 {
                ensure!(stream.status == 503, "{}", stream.status);
                let said = stream.finish().await?.text();
                ensure!(said.contains("16 others like this") && said.contains("another key"), "{said}");
                continue;
            }
            stream.until(": GhostLLM's events").await?;
            far.push(stream);
        }
    }
    daemon.stop().await
}

/// The events in a piece of a stream: kind and id.
fn events(text: &str) -> Vec<(String, String)> {
    let of = |block: &str, field: &str| {
        block.lines().find_map(|line| line.strip_prefix(field)).map(str::to_owned).unwrap_or_default()
    };
    let blocks = text.split("\n\n").filter(|block| block.contains("data: "));
    blocks.map(|block| (of(block, "event: "), of(block, "id: "))).collect()
}

#[tokio::test]
async fn events_are_told_as_they_happen_and_resumed_behind_the_last_one() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let follow = |last: Option<String>| {
        let request = Request::get(&admin::path("events"));
        last.map_or_else(|| request.clone(), |last| request.clone().with("last-event-id", &last))
    };
    let mut stream = open_unix(daemon.admin()?, &follow(None)).await?;
    ensure!(stream.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")));
    stream.until(": GhostLLM's events").await?;
    let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
    caller.send(&Request::chat("tiny", FRANCE, true)).await?;
    let mut text = String::from_utf8(stream.until("request_ended").await?)?;
    text.push_str(&String::from_utf8(stream.until("\n\n").await?)?);
    let told = events(&text);
    let kinds: Vec<&str> = told.iter().map(|(kind, _)| kind.as_str()).collect();
    ensure!(kinds == ["request_begun", "request_ended"], "{text}");
    ensure!(text.contains("\"outcome\":\"completed\"") && !text.contains(FRANCE), "{text}");
    drop(stream.leave().await?);
    // What happened while nobody listened is told to whoever comes back.
    let made = admin::make(&daemon, &json!({"name": "laptop"})).await?;
    let mut stream = open_unix(daemon.admin()?, &follow(Some(told[0].1.clone()))).await?;
    let text = String::from_utf8(stream.until("event: audit").await?)?;
    let kinds: Vec<String> = events(&text).into_iter().map(|(kind, _)| kind).collect();
    ensure!(
        kinds.first().map(String::as_str) == Some("request_ended") && kinds.contains(&"key".to_owned()),
        "{text}"
    );
    ensure!(!text.contains(&made.key[13..30]), "{text}");
    drop(stream.leave().await?);
    // An id of another process's.
    let mut stream = open_unix(daemon.admin()?, &follow(Some("abc-1".to_owned()))).await?;
    let text = String::from_utf8(stream.until("data: ").await?)?;
    ensure!(text.contains("event: missed"), "{text}");
    daemon.stop().await
}

#[tokio::test]
async fn a_test_asks_the_one_backend_alone() -> Result<()> {
    let (one, other) = (Double::start(Ollama::default()).await, Double::start(Ollama::default()).await);
    let setup = Setup::default().with_backend("one", "ollama", &one.url(), "");
    let setup = setup.with_backend("other", "ollama", &other.url(), "").with_limits("find_interval = \"1h\"");
    let daemon = Daemon::start(&setup).await?;
    let asked = |double: &Double| double.seen_at("/api/tags").len();
    // The start's own round, and the first of those that never end.
    for double in [&one, &other] {
        double.wait("two rounds", |seen| (seen.len() >= 2).then_some(())).await;
    }
    let before = (asked(&one), asked(&other));
    for _ in 0..3 {
        let tested = admin::done(&daemon, "POST", "backends/one/test", None).await?;
        ensure!(tested["name"] == "one" && tested["up"] == true, "{tested}");
    }
    ensure!((asked(&one), asked(&other)) == (before.0 + 3, before.1), "{before:?}, {}", asked(&other));
    daemon.stop().await
}

#[tokio::test]
async fn requests_are_counted_for_the_model_and_backend_that_answer() -> Result<()> {
    let (_double, daemon) = sinner(Sin::StallAfter(2), "", "").await?;
    let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
    let mut open = Vec::new();
    for name in ["tiny", "tiny:latest", "box/tiny"] {
        let mut stream = caller.open(&Request::chat(name, FRANCE, true)).await?;
        stream.until("data: ").await?;
        open.push(stream);
    }
    let models = admin::read(&daemon, "models").await?;
    for model in models["models"].as_array().context("no models")? {
        ensure!(model["requests"] == if model["id"] == "tiny:latest" { 3 } else { 0 }, "{models:#}");
    }
    ensure!(admin::read(&daemon, "backends").await?["backends"][0]["requests"] == 3);
    drop(open);
    daemon.stop().await
}

#[tokio::test]
async fn what_needs_a_restart_is_shown_as_it_is_in_use_and_as_it_stands_on_disk() -> Result<()> {
    let (double, daemon) = ollama().await?;
    let setup = Setup::backend("ollama", &double.url());
    let changed = Setup {
        listen: setup.listen.replace("[::]:0", "[::]:1") + "http3 = false\n",
        ..setup.clone().with_limits("wrong_keys = 7")
    };
    daemon.configure(&changed)?;
    admin::done(&daemon, "POST", "reload", None).await?;
    let config = admin::read(&daemon, "config").await?;
    let toml = config["toml"].as_str().context("no toml")?;
    let line =
        |key: &str| toml.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap_or_default();
    ensure!(
        line("tls").starts_with("tls = \"[::]:0\" # in use; \"[::]:1\" from a restart on"),
        "{}",
        line("tls")
    );
    ensure!(line("http3").starts_with("http3 = true # in use; false from a restart on"), "{}", line("http3"));
    ensure!(
        line("wrong_keys").starts_with("wrong_keys = 7 # ") && !line("wrong_keys").contains("restart"),
        "{toml}"
    );
    ensure!(config["restart"] == json!(["listen.tls", "listen.http3"]), "{config:#}");
    let pending = |setting: &str| {
        let all = config["pending"].as_array().into_iter().flatten();
        all.into_iter().find(|one| one["setting"] == setting).cloned().unwrap_or_default()
    };
    ensure!(config["pending"].as_array().map(Vec::len) == Some(2), "{config:#}");
    let tls = pending("listen.tls");
    ensure!(tls["in_use"] == "\"[::]:0\"" && tls["on_disk"] == "\"[::]:1\"", "{tls}");
    let http3 = pending("listen.http3");
    ensure!(http3["in_use"] == "true" && http3["on_disk"] == "false", "{http3}");
    ensure!(tls["place"].as_str().is_some_and(|place| place.contains("ghostllm.toml:2:")), "{tls}");
    daemon.configure(&setup)?;
    admin::done(&daemon, "POST", "reload", None).await?;
    let config = admin::read(&daemon, "config").await?;
    ensure!(config["pending"] == json!([]) && config["restart"] == json!([]), "{config:#}");
    daemon.stop().await
}
