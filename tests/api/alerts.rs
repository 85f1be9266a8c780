//! What the admin's webhook is told: what becomes amiss, and what is over. The webhook is a server of this test's own.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin,
    causes::{cause, codes},
    client::{Caller, Family, Request, Version},
    daemon::{Daemon, Setup},
    double::Double,
    machine::Machine,
    ollama::Ollama,
    sheet::Sheet,
};
use http::{Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    time::timeout,
};

use crate::{
    check_error,
    ctl::ctl,
    heat::{self, COOL, SLOWED},
};

const PATIENCE: Duration = Duration::from_secs(60);
const KEY: &str = "a-key-that-nobody-may-see";
/// Stands behind a webhook's host, as Slack's keys do.
const HOOK: &str = "T024BE7LD-hunter2";

/// What a webhook was sent.
#[derive(Debug)]
struct Sent {
    path: String,
    authorization: Option<String>,
    alert: Value,
}

/// A webhook.
struct Webhook {
    port: u16,
    sent: mpsc::UnboundedReceiver<Sent>,
    answers: watch::Sender<StatusCode>,
}

impl Webhook {
    async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let (tell, sent) = mpsc::unbounded_channel();
        let (answers, says) = watch::channel(StatusCode::NO_CONTENT);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tell, says) = (tell.clone(), says.clone());
                let answer = service_fn(move |request| took(request, tell.clone(), *says.borrow()));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
            }
        });
        Ok(Self { port, sent, answers })
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook/v1", self.port)
    }

    async fn next(&mut self) -> Result<Sent> {
        timeout(PATIENCE, self.sent.recv()).await.context("nothing was sent")?.context("it is gone")
    }
}

async fn took(
    request: http::Request<Incoming>,
    tell: mpsc::UnboundedSender<Sent>,
    status: StatusCode,
) -> Result<Response<Full<bytes::Bytes>>> {
    let path = format!("{} {}", request.method(), request.uri());
    let authorization = request.headers().get(header::AUTHORIZATION);
    let authorization = authorization.map(|value| value.to_str().map(str::to_owned)).transpose()?;
    let json = request.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    ensure!(json, "{:?}", request.headers());
    let alert = serde_json::from_slice(&request.into_body().collect().await?.to_bytes())?;
    tell.send(Sent { path, authorization, alert })?;
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    Ok(response)
}

fn setup(double: &Double, lines: &str) -> Setup {
    let mut setup = Setup::default().with_backend("box", "ollama", &double.url(), "");
    setup.config.push_str(&format!("\n[alerts]\n{lines}\n"));
    setup.with_limits("find_interval = \"50ms\"")
}

#[tokio::test]
async fn a_webhook_is_told_what_begins_and_what_is_over() -> Result<()> {
    let (mut double, mut webhook) = (Double::start(Ollama::default()).await, Webhook::start().await?);
    let folder = tempfile::tempdir()?;
    let key = folder.path().join("key");
    std::fs::write(&key, format!("{KEY}\n"))?;
    let lines =
        format!("webhook = \"{}\"\nwebhook_key_file = \"{}\"\nafter = \"0s\"", webhook.url(), key.display());
    let daemon = Daemon::start(&setup(&double, &lines)).await?;
    daemon.secret(KEY);
    double.refuse().await;
    let mut began = Vec::new();
    while !began.iter().any(|code| code == "backend_down") {
        let sent = webhook.next().await?;
        ensure!(sent.path == "POST /hook/v1", "{sent:?}");
        ensure!(sent.authorization.as_deref() == Some("Bearer a-key-that-nobody-may-see"), "{sent:?}");
        let alert = &sent.alert;
        ensure!(alert["version"] == 1 && alert["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{alert}");
        ensure!(alert["text"].as_str().is_some_and(|text| text.contains("Next: ")), "{alert}");
        began.extend(alert["began"].as_array().into_iter().flatten().map(|cause| cause["code"].clone()));
    }
    // What lasts is not told again, and its end is.
    double.come_back().await;
    let over = webhook.next().await?.alert;
    let ended: Vec<_> = over["ended"].as_array().into_iter().flatten().map(|cause| &cause["code"]).collect();
    ensure!(ended.contains(&&Value::from("backend_down")) && over["began"] == json!([]), "{over}");
    ensure!(over["text"].as_str().is_some_and(|text| text.contains("over: the backend box")), "{over}");
    daemon.stop().await
}

#[tokio::test]
async fn a_webhook_is_told_of_a_card_that_its_heat_slows_down_and_that_it_has_cooled() -> Result<()> {
    let (double, mut webhook) = (Double::start(Ollama::default()).await, Webhook::start().await?);
    let machine = Machine::new(COOL)?;
    let mut setup = heat::setup(&double, &machine, "");
    setup.config.push_str(&format!("\n[alerts]\nwebhook = \"{}\"\nafter = \"0s\"\n", webhook.url()));
    let daemon = Daemon::start(&setup).await?;
    admin::until(&daemon, "gpu", PATIENCE, |gpu| gpu["cards"][0]["state"] == "cool").await?;
    machine.becomes(&format!("{COOL}{SLOWED}"))?;
    let told = |alert: &Value, list: &str| {
        let causes = alert[list].as_array().into_iter().flatten();
        let of_cards = |cause: &&Value| cause["code"].as_str().is_some_and(|code| code.starts_with("gpu_"));
        let says = |cause: &Value| {
            cause["what"].as_str().is_some_and(|what| what.contains("card 0 (NVIDIA Fake 4090)"))
        };
        causes.filter(of_cards).any(says)
    };
    while !told(&webhook.next().await?.alert, "began") {}
    // It is told in the log and in a metric as well.
    daemon.wait_said("card 0 (NVIDIA Fake 4090) is slowed down by its heat").await?;
    let sheet = Sheet::of(&daemon).await?;
    ensure!(
        sheet.text.contains("ghostllm_gpu_state{gpu=\"0\",state=\"throttled_by_heat\"} 1"),
        "{}",
        sheet.text
    );
    machine.becomes(COOL)?;
    while !told(&webhook.next().await?.alert, "ended") {}
    daemon.stop().await
}

#[tokio::test]
async fn a_webhook_that_fails_is_told_later_and_the_status_says_so_meanwhile() -> Result<()> {
    let (mut double, mut webhook) = (Double::start(Ollama::default()).await, Webhook::start().await?);
    webhook.answers.send_replace(StatusCode::INTERNAL_SERVER_ERROR);
    // An address that is a secret itself stands in a file.
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("url");
    std::fs::write(&file, format!("{}?token={KEY}\n", webhook.url()))?;
    let lines = format!("webhook_file = \"{}\"\nafter = \"0s\"", file.display());
    let daemon = Daemon::start(&setup(&double, &lines)).await?;
    daemon.secret(KEY);
    double.refuse().await;
    let first = webhook.next().await?;
    ensure!(first.path == format!("POST /hook/v1?token={KEY}"), "{first:?}");
    let first = first.alert;
    let unsent = |status: &Value| codes(status).contains(&"alerts_unsent");
    let status = admin::until(&daemon, "status", PATIENCE, unsent).await?;
    cause(
        &status,
        "alerts_unsent",
        "warning",
        "the webhook of [alerts] was not told what is amiss: it answered 500",
    )?;
    daemon.wait_said("the webhook of [alerts] was not told what is amiss").await?;
    webhook.answers.send_replace(StatusCode::OK);
    let again = webhook.next().await?.alert;
    for cause in first["began"].as_array().into_iter().flatten() {
        let told = again["began"].as_array().into_iter().flatten().any(|told| told["code"] == cause["code"]);
        ensure!(told, "{cause} is lost: {again}");
    }
    daemon.wait_said("the webhook of [alerts] is told again").await?;
    let status = admin::read(&daemon, "status").await?;
    ensure!(!codes(&status).contains(&"alerts_unsent"), "{status}");
    daemon.stop().await
}

#[tokio::test]
async fn where_a_key_goes_is_said_on_the_box_alone() -> Result<()> {
    let (double, webhook) = (Double::start(Ollama::default()).await, Webhook::start().await?);
    let folder = tempfile::tempdir()?;
    let key = folder.path().join("key");
    std::fs::write(&key, KEY)?;
    let lines = format!("webhook = \"{}\"\nwebhook_key_file = \"{}\"", webhook.url(), key.display());
    let daemon = Daemon::start(&setup(&double, &lines)).await?;
    daemon.secret(KEY);
    let absent = lines.replace("/key", "/absent");
    let gone = Daemon::fail(&setup(&double, &absent)).await?;
    ensure!(gone.stderr.contains("webhook_key_file") && gone.stderr.contains("absent"), "{}", gone.stderr);
    let over = Daemon::fail(&setup(&double, &lines.replace("127.0.0.1", "192.0.2.1"))).await?;
    ensure!(over.stderr.contains("in the clear"), "{}", over.stderr);
    let keyed = admin::of_role(&daemon, "admin").await?;
    let caller = Caller::new(&daemon, Version::H2, Family::V4).await?.with_key(Some(&keyed.key));
    let change = json!({"set": {"alerts.webhook": "https://elsewhere.example/"}});
    let refused = caller.send(&Request::post(&admin::path("config"), &change).method("PATCH")).await?;
    check_error(&refused, 403, None)?;
    daemon.stop().await
}

#[tokio::test]
async fn what_stands_behind_a_webhook_s_host_is_shown_nowhere() -> Result<()> {
    let (mut double, mut webhook) = (Double::start(Ollama::default()).await, Webhook::start().await?);
    webhook.answers.send_replace(StatusCode::INTERNAL_SERVER_ERROR);
    let host = format!("http://127.0.0.1:{}", webhook.port);
    let lines = format!("webhook = \"{host}/services/{HOOK}\"\nafter = \"0s\"");
    let daemon = Daemon::start(&setup(&double, &lines)).await?;
    let before = admin::read(&daemon, "config").await?;
    ensure!(
        before["toml"].as_str().is_some_and(|toml| toml.contains(&format!("webhook = \"{host}\" # "))),
        "{before}"
    );
    // Another one, set by an admin, which the audit log and the list of what is kept tell.
    let change = json!({"set": {"alerts.webhook": format!("{host}/services/again-{HOOK}")}});
    admin::done(&daemon, "PATCH", "config", Some(&change)).await?;
    double.refuse().await;
    // What was amiss at the start went to the first one.
    while webhook.next().await?.path != format!("POST /services/again-{HOOK}") {}
    let unsent = |status: &Value| codes(status).contains(&"alerts_unsent");
    let status = admin::until(&daemon, "status", PATIENCE, unsent).await?;
    let (audit, after) = (admin::read(&daemon, "audit").await?, admin::read(&daemon, "config").await?);
    ensure!(audit.to_string().contains(&format!("alerts.webhook = {host}")), "{audit}");
    ensure!(after["kept"]["alerts.webhook"] == host, "{after}");
    let mut all = vec![daemon.stderr()];
    all.extend([before, status, audit, after].map(|answer| answer.to_string()));
    for arguments in
        [&["config", "show"][..], &["config", "show", "--json"], &["audit"], &["status"], &["doctor"]]
    {
        let ran = ctl(&daemon, arguments).await?;
        all.push(format!("{}{}", ran.out, ran.err));
    }
    for said in &all {
        ensure!(!said.contains(HOOK) && !said.contains("/services"), "it is told: {said}");
    }
    daemon.stop().await?;
    // Nor is one that cannot be used.
    for wrong in [
        format!("ftp://hooks.lan/{HOOK}"),
        format!("https://{HOOK}@hooks.lan/"),
        format!("https://hooks.lan/ {HOOK}"),
    ] {
        let failed = Daemon::fail(&setup(&double, &format!("webhook = \"{wrong}\""))).await?;
        ensure!(
            failed.stderr.contains("alerts.webhook") && !failed.stderr.contains(HOOK),
            "{}",
            failed.stderr
        );
    }
    Ok(())
}
