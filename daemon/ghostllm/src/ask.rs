//! Asking the daemon how it is, over its admin's socket.
//!
//! Knows where that may be, and the admin API's forms. Refuses to change anything, and to know what is to be done where nobody answers.
//! Invariants: a socket that a person has named is the only one that is asked; an answer comes within its time and has at most
//! [`LARGEST`] bytes.

use std::{
    env,
    ffi::OsString,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use ghostllm_core::{
    admin::FORM,
    places,
    routes::{Admin, Endpoint, TABLE},
};
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{net::UnixStream, time::timeout};

/// The configuration, with its comments, is the longest of the answers; it has some ten thousand bytes.
const LARGEST: usize = 4 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    /// There is no connection.
    #[error("no connection can be made: {0}")]
    Unconnected(io::Error),
    /// It took too long.
    #[error("it did not answer within {0:?}")]
    Late(Duration),
    /// The daemon is of another version.
    #[error("it answers in form {0}, and this program knows {form}", form = FORM)]
    Form(u32),
    /// What came is no answer.
    #[error("{0}")]
    Odd(String),
}

/// Of which form an answer is.
#[derive(Deserialize)]
struct Form {
    version: u32,
}

/// The socket of the daemon whose state directory somebody has named, else the one that the environment names, else the first that
/// there is. The one that the configuration sets is that of its state directory, and otherwise looked for first.
///
/// # Errors
/// There is none: where it was looked for.
pub(crate) fn find(set: Option<PathBuf>, state: Option<&Path>) -> Result<PathBuf, Vec<PathBuf>> {
    let all = match (state, variable(places::ADMIN_VARIABLE)) {
        (Some(state), _) => vec![set.unwrap_or_else(|| state.join(places::ADMIN_NAME))],
        (None, Some(named)) => vec![PathBuf::from(named)],
        (None, None) => set.into_iter().chain(places::admin_sockets(variable)).collect(),
    };
    // One that may not be looked for counts as there: whoever connects is told that it is denied.
    let there = |path: &&PathBuf| match path.symlink_metadata() {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::PermissionDenied,
    };
    let found = all.iter().find(there).cloned();
    found.ok_or(all)
}

fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// Asks for one of the forms.
///
/// # Errors
/// None has come in this time.
pub(crate) async fn ask<T: DeserializeOwned>(
    socket: &Path,
    endpoint: Admin,
    within: Duration,
) -> Result<T, Unanswered> {
    let row = TABLE.iter().find(|row| row.endpoint == Endpoint::Admin(endpoint));
    let path = row.map(|row| row.path).unwrap_or_default();
    let asked = timeout(within, exchange(socket, path)).await;
    let body = asked.unwrap_or_else(|_late| Err(Unanswered::Late(within)))?;
    let odd =
        |error: serde_json::Error| Unanswered::Odd(format!("its answer is not as it should be: {error}"));
    let Form { version } = serde_json::from_slice(&body).map_err(odd)?;
    if version != FORM {
        return Err(Unanswered::Form(version));
    }
    serde_json::from_slice(&body).map_err(odd)
}

async fn exchange(socket: &Path, path: &str) -> Result<Bytes, Unanswered> {
    let stream = UnixStream::connect(socket).await.map_err(Unanswered::Unconnected)?;
    let odd = |error: hyper::Error| Unanswered::Odd(error.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(odd)?;
    let request = Request::get(path)
        .header(header::HOST, "localhost")
        .header(header::USER_AGENT, concat!("ghostllm/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(|error| Unanswered::Odd(error.to_string()))?;
    let asked = async {
        let (head, body) = sender.send_request(request).await.map_err(odd)?.into_parts();
        let body = Limited::new(body, LARGEST).collect().await;
        let body = body.map_err(|error| Unanswered::Odd(error.to_string()))?.to_bytes();
        match head.status {
            StatusCode::OK => Ok(body),
            status => Err(Unanswered::Odd(format!("it answered {path} with {status}"))),
        }
    };
    let mut asked = std::pin::pin!(asked);
    tokio::select! {
        biased;
        done = &mut asked => done,
        // Why it has ended is what the question fails with, if it does.
        _ended = connection => asked.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_the_only_one_that_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let (own, set) = (dir.path().join(places::ADMIN_NAME), dir.path().join("set"));
        assert_eq!(find(None, Some(dir.path())), Err(vec![own.clone()]));
        assert_eq!(find(Some(set.clone()), Some(dir.path())), Err(vec![set.clone()]));
        std::fs::write(&own, "").unwrap();
        assert_eq!(find(None, Some(dir.path())), Ok(own));
        std::fs::write(&set, "").unwrap();
        assert_eq!(find(Some(set.clone()), Some(dir.path())), Ok(set));
    }

    #[tokio::test]
    async fn whoever_is_not_there_is_told_from_whoever_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join(places::ADMIN_NAME);
        let within = Duration::from_millis(50);
        let asked = ask::<serde_json::Value>(&socket, Admin::Status, within).await;
        assert!(
            matches!(&asked, Err(Unanswered::Unconnected(error)) if error.kind() == ErrorKind::NotFound),
            "{asked:?}"
        );
        let _silent = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let asked = ask::<serde_json::Value>(&socket, Admin::Status, within).await;
        assert!(matches!(asked, Err(Unanswered::Late(_))), "{asked:?}");
    }
}
