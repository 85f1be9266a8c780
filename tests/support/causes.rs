//! The causes in the admin's status: what is amiss with the box.
//!
//! Knows their form. Refuses to know why there is one.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{admin, daemon::Daemon};

/// How long one may take to come or go.
const PATIENCE: Duration = Duration::from_secs(20);

/// Their codes.
#[must_use]
pub fn codes(status: &Value) -> Vec<&str> {
    let causes = status["causes"].as_array().into_iter().flatten();
    causes.filter_map(|cause| cause["code"].as_str()).collect()
}

/// The first of this code.
#[must_use]
pub fn find<'status>(status: &'status Value, code: &str) -> Option<&'status Value> {
    status["causes"].as_array()?.iter().find(|cause| cause["code"] == code)
}

/// The first of this code in the status of this moment, if there is one.
///
/// # Errors
/// When the status cannot be read.
pub async fn now(daemon: &Daemon, code: &str) -> Result<Option<Value>> {
    Ok(find(&admin::read(daemon, "status").await?, code).cloned())
}

/// The cause of this code is there, this bad and in these words, and says what to do.
///
/// # Errors
/// When it is not.
pub fn cause(status: &Value, code: &str, severity: &str, words: &str) -> Result<()> {
    let found = find(status, code).with_context(|| format!("no {code}: {status}"))?;
    ensure!(found["severity"] == severity, "{found}");
    ensure!(found["what"].as_str().is_some_and(|what| what.contains(words)), "{found}");
    ensure!(found["next"].as_str().is_some_and(|next| next.len() > 5), "{found}");
    Ok(())
}

/// Waits until the status is so.
///
/// # Errors
/// When it cannot be read, or does not become so in time.
pub async fn until(daemon: &Daemon, so: impl Fn(&Value) -> bool) -> Result<()> {
    admin::until(daemon, "status", PATIENCE, so).await.map(drop)
}
