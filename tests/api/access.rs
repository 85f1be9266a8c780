//! Every route × everybody who may ask × every HTTP version: who is let in, and who is not.
//!
//! The routes are those that the daemon itself tells; what each caller may do stands here once more, by hand, so that a change of
//! either is seen. Invariant: there is no route that is not in the matrix.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    admin::{self, Made},
    client::{Answer, Caller, Family, Request, VERSIONS, plain, unix},
    daemon::Daemon,
};
use serde_json::{Value, json};

use crate::ollama;

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

/// The request for a route, which changes nothing when it is let in: the ids are nobody's, and the orders are none.
fn request(route: &Route) -> Request {
    let path = route.path.replace("{model...}", "tiny").replace("{name}", "nobody").replace("{id}", "nobody");
    match route.method.as_str() {
        "GET" => Request::get(&path),
        // It is no JSON, so that whoever is let in hears 400, or acts on nobody.
        method => Request::post_bytes(&path, b"{").method(method),
    }
}

/// Whether the route's own part has answered, and not who looks at keys.
fn is_in(answer: &Answer) -> Result<bool> {
    match answer.status {
        401 | 403 | 429 => Ok(false),
        200 | 400 | 404 | 409 | 502 | 503 => Ok(true),
        other => anyhow::bail!("status {other}: {}", answer.text()),
    }
}

fn may(caller: &str, permission: Option<&str>) -> bool {
    let Some(permission) = permission else { return true };
    let list = MAY.iter().find(|(name, _)| *name == caller).map(|(_, list)| *list).unwrap_or_default();
    list.contains(&"*") || list.contains(&permission)
}

/// Routes whose whole answer never ends or that do what they say without an order; what they are asked is whether they let in, by the
/// head alone.
fn acts_without_order(route: &Route) -> bool {
    route.method == "POST"
        && ["reload", "config/check", "certificates/renew", "certificates/authority", "keys/first"]
            .iter()
            .any(|rest| route.path == admin::path(rest))
}

async fn status(caller: &Caller, route: &Route) -> Result<Answer> {
    let request = request(route);
    if route.path == admin::path("events") {
        // Its body has no end.
        let stream = caller.open(&request).await?;
        let (status, headers) = (stream.status, stream.headers.clone());
        if status != 200 {
            return stream.finish().await;
        }
        drop(stream.leave().await?);
        return Ok(Answer { status, headers, body: Vec::new(), end: ghostllm_tests::client::End::Clean });
    }
    caller.send(&request).await
}

#[tokio::test]
async fn every_route_lets_in_whom_it_should_and_nobody_else() -> Result<()> {
    let (_double, daemon) = ollama().await?;
    let (routes, callers) = (routes(&daemon).await?, callers(&daemon).await?);
    ensure!(routes.len() >= 28, "{routes:?}");
    ensure!(routes.iter().filter(|route| route.path.starts_with(admin::PREFIX)).count() >= 20, "{routes:?}");
    let (mut asked, mut leaks) = (0, Vec::new());
    for version in VERSIONS {
        let keyless = Caller::keyless(&daemon, version, Family::V4).await?;
        for (name, key) in &callers {
            let caller = keyless.clone().with_key(key.as_deref());
            for route in &routes {
                let answer = status(&caller, route).await?;
                let (wanted, got) = (may(name, route.permission.as_deref()), is_in(&answer)?);
                asked += 1;
                if wanted != got {
                    leaks.push(format!(
                        "{name} {} {} over {version:?}: {}",
                        route.method, route.path, answer.status
                    ));
                }
                let refused = if STRANGERS.contains(name) { vec![401, 429] } else { vec![403] };
                ensure!(
                    got || refused.contains(&answer.status),
                    "{name} {} {}: {} {}",
                    route.method,
                    route.path,
                    answer.status,
                    answer.text()
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
    let (_double, daemon) = ollama().await?;
    let key = admin::of_role(&daemon, "admin").await?.key;
    for route in routes(&daemon).await?.iter().filter(|route| route.path.starts_with(admin::PREFIX)) {
        for request in [request(route), request(route).with("authorization", &format!("Bearer {key}"))] {
            let answer = plain(daemon.plain(false)?, &request).await?;
            ensure!(
                answer.status == 403,
                "{} {}: {} {}",
                route.method,
                route.path,
                answer.status,
                answer.text()
            );
        }
        if !acts_without_order(route) && route.path != admin::path("events") {
            let answer = unix(daemon.admin()?, &request(route)).await?;
            ensure!(is_in(&answer)?, "{} {}: {}", route.method, route.path, answer.status);
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
