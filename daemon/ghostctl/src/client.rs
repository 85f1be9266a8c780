//! One question over the admin socket, and its answer.
//!
//! Knows HTTP/1.1 over a Unix socket, and the API's error object. Refuses to know what is asked. Invariants: an answer comes within
//! the deadline and has at most [`LARGEST`] bytes; paths and methods are those of core's table and stand nowhere else.

mod refused;
mod stream;

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};

use bytes::Bytes;
use ghostllm_core::{
    admin::FORM,
    routes::{Admin, Endpoint, TABLE},
};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{net::UnixStream, time::timeout};

use crate::{
    exit::{Exit, Failure},
    output::text,
    socket,
};

/// No answer of the admin API is longer; a backup, the longest, has the keys (16 MiB at the most), what requests have used (as much)
/// and the audit log (4 MiB).
const LARGEST: usize = 40 << 20;
/// How long an answer may take, if nobody has said it.
const USUAL: Duration = Duration::from_secs(10);
/// The same, for one that is slow: the daemon gives up by itself before this.
const SLOW: Duration = Duration::from_secs(90);
/// What a path's segment need not escape (RFC 3986 section 2.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Who is asked, and how long that may take.
#[derive(Debug)]
pub(crate) struct Client {
    named: Option<PathBuf>,
    within: Option<Duration>,
}

/// A question.
#[derive(Debug)]
pub(crate) struct Question {
    endpoint: Admin,
    name: String,
    query: String,
    body: Option<String>,
    /// It may take the daemon longer than most.
    slow: bool,
}

/// An answer: what it says, and its text in one line.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    /// What it says.
    pub(crate) what: T,
    /// The text.
    pub(crate) json: String,
}

impl Question {
    /// To this endpoint.
    pub(crate) fn new(endpoint: Admin) -> Self {
        Self { endpoint, name: String::new(), query: String::new(), body: None, slow: false }
    }

    /// One that waits for files to be read, checked and taken, perhaps from a disk that is slow.
    pub(crate) fn slow(mut self) -> Self {
        self.slow = true;
        self
    }

    /// About this key, backend or request.
    pub(crate) fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// With this behind the path's question mark.
    pub(crate) fn query(mut self, query: String) -> Self {
        self.query = query;
        self
    }

    /// With this as its body, a form of core's, which is always JSON.
    pub(crate) fn body(mut self, form: &impl serde::Serialize) -> Self {
        self.body = serde_json::to_string(form).ok();
        self
    }

    fn request(&self, last: Option<&str>) -> Result<Request<Full<Bytes>>, Failure> {
        let row = TABLE.iter().find(|row| row.endpoint == Endpoint::Admin(self.endpoint));
        let (path, method) =
            row.map(|row| (row.path, row.verb.method())).ok_or_else(|| refused::odd("no such route"))?;
        let mut path = match path.split_once('{') {
            Some((before, rest)) => {
                let behind = rest.split_once('}').map_or("", |(_, behind)| behind);
                format!("{before}{}{behind}", utf8_percent_encode(&self.name, SEGMENT))
            }
            None => path.to_owned(),
        };
        if !self.query.is_empty() {
            path = format!("{path}?{}", self.query);
        }
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
        request = request.header(header::USER_AGENT, concat!("ghostctl/", env!("CARGO_PKG_VERSION")));
        if self.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let body = Full::new(Bytes::from(self.body.clone().unwrap_or_default()));
        request.body(body).map_err(|error| refused::odd(&error.to_string()))
    }
}

impl Client {
    /// The daemon behind the named socket, or behind the first that exists; an answer may take this long, or as long as is usual.
    pub(crate) fn new(named: Option<PathBuf>, within: Option<Duration>) -> Self {
        Self { named, within }
    }

    /// Its socket.
    pub(crate) fn socket(&self) -> Result<PathBuf, Failure> {
        socket::find(self.named.as_ref())
    }

    /// Asks, and waits for an answer that is no JSON.
    pub(crate) async fn bytes(&self, question: &Question) -> Result<Bytes, Failure> {
        let path = self.socket()?;
        let request = question.request(None)?;
        let reads = request.method() == Method::GET;
        let within = self.within.unwrap_or(if question.slow { SLOW } else { USUAL });
        let asked = timeout(within, exchange(&path, request)).await;
        let (status, body) = asked.unwrap_or_else(|_late| Err(refused::late(&path, within, reads)))?;
        if !status.is_success() {
            let body = std::str::from_utf8(&body).map_err(|_not_text| refused::not_ours(&path))?;
            return Err(refused::by_the_api(status, body, &path));
        }
        Ok(body)
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, question: &Question) -> Result<Answer<T>, Failure> {
        let path = self.socket()?;
        let body = self.bytes(question).await?;
        let body = String::from_utf8(body.into()).map_err(|_not_text| refused::not_ours(&path))?;
        // A later form may lack what this one shows, and still be read as if there were none.
        if let Ok(Form { version: Some(version) }) = serde_json::from_str(&body)
            && version != FORM
        {
            return Err(another_form(version));
        }
        let what = serde_json::from_str(&body).map_err(|error| not_understood(&body, &error, &path))?;
        Ok(Answer { what, json: text::one_line(&body) })
    }
}

async fn exchange(path: &Path, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), Failure> {
    let reads = request.method() == Method::GET;
    let (mut sender, connection) = connect(path).await?;
    let mut asked = pin!(async {
        let response =
            sender.send_request(request).await.map_err(|error| refused::broken(path, &error, reads))?;
        whole(response, path, reads).await
    });
    tokio::select! {
        biased;
        done = &mut asked => done,
        // Why it has ended is what the question fails with, if it does.
        _ended = connection => asked.await,
    }
}

type Connection = http1::Connection<TokioIo<UnixStream>, Full<Bytes>>;

async fn connect(path: &Path) -> Result<(http1::SendRequest<Full<Bytes>>, Connection), Failure> {
    let stream = UnixStream::connect(path).await.map_err(|error| not_connected(path, &error))?;
    http1::handshake(TokioIo::new(stream)).await.map_err(|error| refused::broken(path, &error, true))
}

fn not_connected(path: &Path, error: &io::Error) -> Failure {
    if error.kind() == ErrorKind::PermissionDenied {
        return refused::denied(path, format!("{} may not be opened: {error}", path.display()));
    }
    let why = match error.kind() {
        ErrorKind::NotFound => "it does not exist".to_owned(),
        ErrorKind::ConnectionRefused => "nobody listens there".to_owned(),
        _ => error.to_string(),
    };
    let message = format!("the daemon is not reachable at {}: {why}", path.display());
    Failure::new(Exit::Unreachable, message).next(socket::START)
}

/// The whole body, as long as it is not too long.
async fn whole(
    response: Response<Incoming>,
    path: &Path,
    reads: bool,
) -> Result<(StatusCode, Bytes), Failure> {
    let (head, body) = response.into_parts();
    match Limited::new(body, LARGEST).collect().await {
        Ok(body) => Ok((head.status, body.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => Err(refused::too_long(path)),
        Err(error) => Err(refused::broken(path, &*error, reads)),
    }
}

/// Of which form an answer is.
#[derive(Deserialize)]
struct Form {
    version: Option<u32>,
}

fn another_form(version: u32) -> Failure {
    let message = format!("the daemon answers in form {version}, and this ghostctl knows {FORM}");
    Failure::new(Exit::Failed, message).next("install the ghostctl that came with this daemon")
}

/// An answer that is not as it should be, or of something that is not the daemon.
fn not_understood(body: &str, error: &serde_json::Error, path: &Path) -> Failure {
    if serde_json::from_str::<Form>(body).is_err() {
        return refused::not_ours(path);
    }
    let message = format!("the daemon's answer is not as it should be: {error}");
    Failure::new(Exit::Failed, message)
        .next("ghostctl version, which shows whether the two are of one version")
}

#[cfg(test)]
mod tests {
    use ghostllm_core::routes::{Found, find};

    use super::*;

    /// Which bounds a reload as well, and would leave nobody to say why it has failed.
    #[test]
    fn a_unit_s_reload_may_take_as_long_as_is_waited_for_it() {
        let unit = include_str!("../../../systemd/ghostllm.service");
        let allowed = unit.lines().find_map(|line| line.strip_prefix("TimeoutStartSec=")).unwrap();
        let allowed: u64 = allowed.strip_suffix('s').unwrap().parse().unwrap();
        assert!(Duration::from_secs(allowed) > SLOW, "{allowed} s");
    }

    #[test]
    fn every_question_leads_to_its_own_route_with_its_name_whole() {
        for row in TABLE {
            let Endpoint::Admin(endpoint) = row.endpoint else { continue };
            let name = "a/b c?d#ü%";
            let request = Question::new(endpoint).named(name).query("n=3".into()).request(Some("7")).unwrap();
            let Found::Row(found, taken) = find(request.method(), request.uri().path()) else {
                panic!("{row:?}")
            };
            assert_eq!(found.endpoint, row.endpoint);
            assert!(taken.is_empty() || taken == name, "{taken}");
            assert_eq!(request.uri().query(), Some("n=3"));
        }
    }
}
