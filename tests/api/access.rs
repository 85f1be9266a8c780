//! Every route × everybody who may ask × every HTTP version: who is let in, and who is not.
//!
//! The routes are those that the daemon itself tells; what each caller may do stands here once more, by hand, so that a change of
//! either is seen. Invariant: there is no route that is not in the matrix.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin::{self, Made},
    client::{Caller, Family, Request, VERSIONS, plain, unix},
    daemon::Daemon,
    kept::{self, Dialer, Place, Sender},
};
use serde_json::{Value, json};

use crate::{ollama, ollama_with};

/// What each caller may do, as the documents promise it.
const MAY: &[(&str, &[&str])] = &[
    ("none", &[]),
    ("unknown", &[]),
    ("expired", &[]),
    ("revoked", &[]),
    ("user", &["chat", "embeddings", "models"]),
    ("viewer", &["models", "metrics", "status"]),
    (
        "operator",
        &[
            "chat",
            "embeddings",
            "models",
            "metrics",
            "status",
            "configuration",
            "cancel_requests",
            "test_backends",
            "reload",
            "renew_certificate",
        ],
    ),
    ("admin", &["*"]),
    ("scope chat", &["chat"]),
    ("scope embeddings", &["embeddings"]),
    ("scope models", &["models"]),
    ("scope metrics", &["metrics"]),
    ("scope admin", &["*"]),
];

/// Those that the daemon does not know, or not any more.
const STRANGERS: [&str; 4] = ["none", "unknown", "expired", "revoked"];

/// A key that this box never made, with the right checksum.
const FOREIGN: &str = "gllm_ELAU4eqF1fJjkkpe9PiTw9KSulA8Ghct30vZz4HpdQ5c5b9cPF10AO66P";

/// One route, as the daemon tells it.
#[derive(Debug, Clone)]
struct Route {
    method: String,
    path: String,
    permission: Option<String>,
}

async fn routes(daemon: &Daemon) -> Result<Vec<Route>> {
    let list = admin::read(daemon, "routes").await?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let route = |row: &Value| {
        Ok(Route {
            method: text(&row["method"]).context("no method")?,
            path: text(&row["path"]).context("no path")?,
            permission: text(&row["permission"]),
        })
    };
    list["routes"].as_array().context("no routes")?.iter().map(route).collect()
}

/// Everybody who may ask, with the key that they show.
async fn callers(daemon: &Daemon) -> Result<BTreeMap<&'static str, Option<String>>> {
    let mut callers = BTreeMap::from([("none", None), ("unknown", Some(FOREIGN.to_owned()))]);
    for (name, _) in MAY {
        let order = match name.strip_prefix("scope ") {
            Some(scope) => json!({"name": name, "scopes": [scope]}),
            None if STRANGERS.contains(name) => json!({"name": name, "role": "admin"}),
            None => json!({"name": name, "role": name}),
        };
        if ["none", "unknown"].contains(name) {
            continue;
        }
        let Made { id, key } = admin::make(daemon, &order).await?;
        match *name {
            "revoked" => drop(admin::done(daemon, "DELETE", &format!("keys/{id}"), None).await?),
            // Rotated without an overlap, it ends at once.
            "expired" => {
                let order = json!({"overlap_s": 0});
                admin::done(daemon, "POST", &format!("keys/{id}/rotate"), Some(&order)).await?;
            }
            _ => {}
        }
        callers.insert(*name, Some(key));
    }
    Ok(callers)
}

/// No JSON, so that whoever is let in hears 400, and nothing is done.
const NO_ORDER: &[u8] = b"{";

/// The path of a route, where the ids are nobody's.
fn filled(route: &Route) -> String {
    route.path.replace("{model...}", "tiny").replace("{name}", "nobody").replace("{id}", "nobody")
}

/// The request for a route, which changes nothing when it is let in.
fn request(route: &Route) -> Request {
    match route.method.as_str() {
        "GET" => Request::get(&filled(route)),
        method => Request::post_bytes(&filled(route), NO_ORDER).method(method),
    }
}

/// Whether the route's own part has answered, and not who looks at keys.
fn is_in(status: u16, text: &str) -> Result<bool> {
    match status {
        401 | 403 | 429 => Ok(false),
        200 | 400 | 404 | 409 | 502 | 503 => Ok(true),
        other => anyhow::bail!("status {other}: {text}"),
    }
}

fn may(caller: &str, permission: Option<&str>) -> bool {
    let Some(permission) = permission else { return true };
    let list = MAY.iter().find(|(name, _)| *name == caller).map(|(_, list)| *list).unwrap_or_default();
    list.contains(&"*") || list.contains(&permission)
}

/// One caller's connection, which is made anew when it was closed.
struct Asking<'a> {
    dialer: &'a Dialer,
    sender: Option<Sender>,
    key: Option<&'a str>,
}

impl Asking<'_> {
    /// The status of the answer, and for an error its text.
    async fn status(&mut self, route: &Route) -> Result<(u16, String)> {
        for _ in 0..2 {
            let sender = match self.sender.take() {
                Some(sender) => sender,
                None => self.dialer.dial().await?,
            };
            let body: &[u8] = if route.method == "GET" { b"" } else { NO_ORDER };
            let request = self.dialer.asking(&route.method, &filled(route), body, self.key)?;
            let Ok((head, mut answer)) = sender.heard(request).await else { continue };
            let status = head.status.as_u16();
            // The body of the events has no end.
            if route.path == admin::path("events") && status == 200 {
                return Ok((status, String::new()));
            }
            let mut text = Vec::new();
            while let Some(piece) = answer.piece().await? {
                text.extend_from_slice(&piece);
            }
            self.sender = Some(sender);
            return Ok((status, String::from_utf8_lossy(&text).into_owned()));
        }
        anyhow::bail!("{} {}: two connections were closed without an answer", route.method, route.path)
    }
}

#[tokio::test]
async fn every_route_lets_in_whom_it_should_and_nobody_else() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let (routes, callers) = (routes(&daemon).await?, callers(&daemon).await?);
    ensure!(routes.len() >= 28, "{routes:?}");
    ensure!(routes.iter().filter(|route| route.path.starts_with(admin::PREFIX)).count() >= 20, "{routes:?}");
    let (mut asked, mut leaks) = (0, Vec::new());
    let ca = daemon.state("ca/ca.pem");
    for version in [kept::Version::H1, kept::Version::H2, kept::Version::H3] {
        let port = if version == kept::Version::H3 { daemon.quic.context("no HTTP/3")? } else { daemon.tls };
        let address = ([127, 0, 0, 1], port).into();
        let dialer = Dialer::new(&Place { version, address, ca: ca.clone(), key: None })?;
        for (name, key) in &callers {
            let mut asking = Asking { dialer: &dialer, sender: None, key: key.as_deref() };
            for route in &routes {
                let (status, text) = asking.status(route).await?;
                // A backup is given out on the box alone.
                let wanted = may(name, route.permission.as_deref()) && route.path != admin::path("backup");
                let got = is_in(status, &text)?;
                asked += 1;
                if wanted != got {
                    leaks.push(format!("{name} {} {} over {version}: {status}", route.method, route.path));
                }
                let refused: &[u16] = if STRANGERS.contains(name) { &[401, 429] } else { &[403] };
                ensure!(
                    got || refused.contains(&status),
                    "{name} {} {}: {status} {text}",
                    route.method,
                    route.path
                );
            }
        }
    }
    println!("access: {asked} requests, {} of {} routes, {} leaks", routes.len(), routes.len(), leaks.len());
    ensure!(leaks.is_empty(), "{}", leaks.join("\n"));
    daemon.stop().await
}

#[tokio::test]
async fn the_plain_port_serves_no_admin_api_and_the_socket_all_of_it() -> Result<()> {
    // This client keeps its connections.
    let (_double, daemon) = ollama_with("admin_connections = 64", "").await?;
    let key = admin::of_role(&daemon, "admin").await?.key;
    for route in routes(&daemon).await?.iter().filter(|route| route.path.starts_with(admin::PREFIX)) {
        for request in [request(route), request(route).with("authorization", &format!("Bearer {key}"))] {
            let answer = plain(daemon.plain(false)?, &request).await.with_context(|| format!("{route:?}"))?;
            ensure!(
                answer.status == 403,
                "{} {}: {} {}",
                route.method,
                route.path,
                answer.status,
                answer.text()
            );
        }
        // The body of the events has no end.
        if route.path != admin::path("events") {
            let answer =
                unix(daemon.admin()?, &request(route)).await.with_context(|| format!("{route:?}"))?;
            ensure!(
                is_in(answer.status, &answer.text())?,
                "{} {}: {}",
                route.method,
                route.path,
                answer.status
            );
        }
    }
    daemon.stop().await
}

#[tokio::test]
async fn no_spelling_of_a_path_or_a_host_leads_round_the_table() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let user = daemon.key.clone();
    let spellings = [
        "/admin/api/v1/keys/",
        "/admin/api/v1//keys",
        "//admin/api/v1/keys",
        "/admin/api/v1/./keys",
        "/v1/../admin/api/v1/keys",
        "/v1/models/../../admin/api/v1/keys",
        "/v1/models/%2e%2e/%2e%2e/admin/api/v1/keys",
        "/admin%2fapi%2fv1%2fkeys",
        "/%61dmin/api/v1/keys",
        "/ADMIN/api/v1/keys",
        "/admin/api/v1/keys;x",
        "/admin/api/v1/keys%00",
        "/admin/api/v1/keys%20",
        "/admin/api/v1/keys?role=admin",
        "/admin/api/v1/keys#x",
        "/admin\\api\\v1\\keys",
    ];
    let mut asked = 0;
    for version in VERSIONS {
        let keyless = Caller::keyless(&daemon, version, Family::V4).await?;
        for caller in [keyless.clone(), keyless.clone().with_key(user.as_deref())] {
            for path in spellings {
                // A client that will not send it cannot be let in by it.
                let Ok(answer) = caller.send(&Request::get(path)).await else { continue };
                ensure!(!(200..300).contains(&answer.status), "{path} over {version:?}: {}", answer.text());
                asked += 1;
            }
        }
    }
    for host in [
        "localhost:4000/#@x",
        "localhost@evil",
        "localhost#x",
        "localhost/admin",
        "localhost,evil",
        "",
        "[::1",
        "a b",
    ] {
        let request = Request::get("/admin/api/v1/keys").authority(host);
        let caller = Caller::keyless(&daemon, ghostllm_tests::client::Version::H1, Family::V4).await?;
        if let Ok(answer) = caller.send(&request).await {
            ensure!([400, 421].contains(&answer.status), "{host}: {} {}", answer.status, answer.text());
            asked += 1;
        }
    }
    ensure!(asked >= 60, "only {asked} were sent");
    daemon.stop().await
}
