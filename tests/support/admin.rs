//! The admin API over the daemon's Unix socket.
//!
//! Knows its paths and forms. Invariant: what is not answered with 200 is an error that shows the answer.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::{
    client::{Answer, Request, unix},
    daemon::Daemon,
};

/// What the admin API's paths begin with.
pub const PREFIX: &str = "/admin/api/v1/";

/// The path of this part of the admin API.
#[must_use]
pub fn path(rest: &str) -> String {
    format!("{PREFIX}{rest}")
}

/// A key that was made: its id and the whole key.
#[derive(Debug, Clone)]
pub struct Made {
    /// The id.
    pub id: String,
    /// The whole key.
    pub key: String,
}

/// Asks for something over the socket; `order` is the body, where there is one.
///
/// # Errors
/// When the connection fails.
pub async fn ask(daemon: &Daemon, method: &str, rest: &str, order: Option<&Value>) -> Result<Answer> {
    let request = match order {
        Some(order) => Request::post(&path(rest), order),
        None => Request::get(&path(rest)),
    };
    unix(daemon.admin()?, &request.method(method)).await
}

/// The same, where it must be answered with 200; the answer's JSON.
///
/// # Errors
/// When it is not.
pub async fn done(daemon: &Daemon, method: &str, rest: &str, order: Option<&Value>) -> Result<Value> {
    let answer = ask(daemon, method, rest, order).await?;
    ensure!(answer.status == 200, "{method} {rest}: {} {}", answer.status, answer.text());
    answer.json()
}

/// What there is to read.
///
/// # Errors
/// When it is not answered with 200.
pub async fn read(daemon: &Daemon, rest: &str) -> Result<Value> {
    done(daemon, "GET", rest, None).await
}

/// Waits until what there is to read is so, and gives it.
///
/// # Errors
/// When it is not answered with 200, or does not become so in time.
pub async fn until(
    daemon: &Daemon,
    rest: &str,
    patience: Duration,
    so: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let begun = Instant::now();
    loop {
        let seen = read(daemon, rest).await?;
        if so(&seen) {
            return Ok(seen);
        }
        ensure!(begun.elapsed() < patience, "{seen:#}\n{}", daemon.stderr());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Makes a key.
///
/// # Errors
/// When it cannot be made.
pub async fn make(daemon: &Daemon, order: &Value) -> Result<Made> {
    made(daemon, &done(daemon, "POST", "keys", Some(order)).await?)
}

/// Makes a key of this role.
///
/// # Errors
/// When it cannot be made.
pub async fn of_role(daemon: &Daemon, role: &str) -> Result<Made> {
    make(daemon, &json!({"name": format!("a {role}"), "role": role})).await
}

/// The key in an answer, which must come out nowhere else.
///
/// # Errors
/// When there is none.
pub fn made(daemon: &Daemon, answer: &Value) -> Result<Made> {
    let text = |field: &str| answer[field].as_str().unwrap_or_default().to_owned();
    let made = Made { id: text("id"), key: text("key") };
    ensure!(made.key.starts_with(&format!("gllm_{}", made.id)) && made.id.len() == 8, "no key: {answer}");
    daemon.secret(&made.key);
    Ok(made)
}
