//! HTTP/3 by clients that are not our code: aioquic (tests/clients/h3.py) and ngtcp2's gtlsclient.
//!
//! Knows the two programs' command lines and output. Refuses to know QUIC. Invariant: a missing client is a failure with
//! the command that installs it, never a test passed over in silence.

use std::{net::SocketAddr, process::Stdio, sync::Arc};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{End, Event, Leave, PATIENCE, Request, Sent, Stream, Trust};
use crate::python;

/// How long a client may take to close its connection.
const GOODBYE: std::time::Duration = std::time::Duration::from_secs(2);

/// A running aioquic client.
#[derive(Debug)]
pub(super) struct Process {
    stdin: Option<ChildStdin>,
    child: Option<Child>,
    _ca: NamedTempFile,
}

impl Process {
    /// Tells the client to abandon the request and keep the connection.
    pub(super) async fn leave(&mut self) -> Result<()> {
        let stdin = self.stdin.as_mut().context("the HTTP/3 client has gone")?;
        stdin.write_all(b"leave\n").await.context("the HTTP/3 client has gone")?;
        Ok(stdin.flush().await?)
    }
}

/// A client whose input ends closes its connection, as a program that ends well does; killed, it would vanish.
impl Drop for Process {
    fn drop(&mut self) {
        drop(self.stdin.take());
        if let (Some(mut child), Ok(runtime)) = (self.child.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move { timeout(GOODBYE, child.wait()).await });
        }
    }
}

/// One line of the client's output, of the request with that index.
#[derive(Debug, Deserialize)]
struct Line {
    #[serde(default)]
    index: usize,
    #[serde(flatten)]
    said: Said,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Said {
    Head { status: u16, headers: Vec<(String, String)> },
    Data { hex: String },
    End,
    Reset { code: u64 },
    Closed { code: u64, reason: String },
    Left {},
}

impl Said {
    fn sent(&self) -> Option<Sent> {
        match self {
            Self::Head { status, .. } => Some(Sent::Answered(*status)),
            Self::Reset { code } => Some(Sent::Reset(*code)),
            _ => None,
        }
    }
}

/// Requests on their way, before the head of the first answer.
pub(super) struct Waiting {
    pub(super) process: Process,
    lines: Lines<BufReader<ChildStdout>>,
    stderr: ChildStderr,
}

/// Asks over HTTP/3 and waits for the head.
pub(super) async fn open(address: SocketAddr, trust: Trust<'_>, request: &Request) -> Result<Stream> {
    let Waiting { process, mut lines, mut stderr } = begin(address, trust, request, 1).await?;
    let first = said(&mut lines).await?;
    let Some(Line { said: Said::Head { status, headers }, .. }) = first else {
        let mut why = String::new();
        // Only a client that has ended has said all that it will say.
        if first.is_none() {
            let _ = stderr.read_to_string(&mut why).await;
        }
        bail!("the HTTP/3 client saw no head but {first:?} {why}");
    };
    let (events, receiver) = mpsc::unbounded_channel();
    tokio::spawn(forward(lines, vec![(events, oneshot::channel().0)]));
    Ok(Stream { status, headers, events: receiver, leave: Leave::Process(Box::new(process)) })
}

/// Asks the same so many times on one connection, all at once, and waits for every head.
pub(super) async fn open_many(
    address: SocketAddr,
    trust: Trust<'_>,
    request: &Request,
    count: usize,
) -> Result<Vec<Stream>> {
    let Waiting { process, lines, .. } = begin(address, trust, request, count).await?;
    let process = Arc::new(process);
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..count)
        .map(|_| {
            let (events, receiver) = mpsc::unbounded_channel();
            let (head, heard) = oneshot::channel();
            ((events, head), (receiver, heard))
        })
        .unzip();
    tokio::spawn(forward(lines, senders));
    let mut streams = Vec::new();
    for (events, heard) in receivers {
        let (status, headers) = heard.await.context("the HTTP/3 client saw no head")?;
        streams.push(Stream { status, headers, events, leave: Leave::Shared(Arc::clone(&process)) });
    }
    Ok(streams)
}

/// Sends these fields and nothing else, and waits for what comes of it.
pub(super) async fn send_fields(
    address: SocketAddr,
    trust: Trust<'_>,
    fields: &[(&str, &str)],
) -> Result<Sent> {
    let order = json!({"fields": fields, "count": 1});
    let Waiting { process: _process, mut lines, .. } = start(address, trust, order).await?;
    let first = said(&mut lines).await?;
    first
        .as_ref()
        .and_then(|line| line.said.sent())
        .with_context(|| format!("the HTTP/3 client saw {first:?}"))
}

/// Asks over HTTP/3 and goes on at once.
pub(super) async fn begin(
    address: SocketAddr,
    trust: Trust<'_>,
    request: &Request,
    count: usize,
) -> Result<Waiting> {
    let order = json!({
        "method": request.method, "path": request.path, "authority": request.authority,
        "headers": request.headers, "body": to_hex(&request.body), "count": count,
    });
    start(address, trust, order).await
}

/// Starts a client for an order that says all but where to.
async fn start(address: SocketAddr, trust: Trust<'_>, mut order: Value) -> Result<Waiting> {
    let ca_file = NamedTempFile::new()?;
    std::fs::write(ca_file.path(), trust.ca)?;
    order["host"] = host(address).into();
    order["port"] = address.port().into();
    order["ca"] = json!(ca_file.path());
    order["name"] = trust.name.into();
    let mut child = python::start("h3.py", &order).await?;
    let lines = BufReader::new(child.stdout.take().context("standard output")?).lines();
    let stderr = child.stderr.take().context("standard error")?;
    let process = Process { stdin: child.stdin.take(), child: Some(child), _ca: ca_file };
    Ok(Waiting { process, lines, stderr })
}

/// A link-local address means nothing without its link.
fn host(address: SocketAddr) -> String {
    match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
        _ => address.ip().to_string(),
    }
}

async fn said(lines: &mut Lines<BufReader<ChildStdout>>) -> Result<Option<Line>> {
    let Some(line) = lines.next_line().await? else { return Ok(None) };
    Ok(Some(serde_json::from_str(&line).with_context(|| format!("the HTTP/3 client said {line:?}"))?))
}

type Head = (u16, Vec<(String, String)>);

/// Hands every line to the request that it belongs to, until nothing more comes.
async fn forward(
    mut lines: Lines<BufReader<ChildStdout>>,
    requests: Vec<(mpsc::UnboundedSender<Event>, oneshot::Sender<Head>)>,
) {
    let (requests, mut heads): (Vec<_>, Vec<_>) =
        requests.into_iter().map(|(events, head)| (events, Some(head))).unzip();
    let last = loop {
        let Line { index, said } = match said(&mut lines).await {
            Ok(Some(line)) => line,
            Ok(None) => break "the client's output ended".to_owned(),
            Err(cause) => break format!("{cause:#}"),
        };
        let event = match said {
            Said::Data { hex } => Event::Data(from_hex(&hex)),
            Said::End => Event::End(End::Clean),
            Said::Reset { code } => Event::End(End::Broken(format!("reset {code:#x}"))),
            Said::Closed { code, reason } => break format!("connection closed {code:#x} {reason}"),
            Said::Left {} => continue,
            Said::Head { status, headers } => {
                let _ = heads[index].take().map(|head| head.send((status, headers)));
                continue;
            }
        };
        // A request whose reader has gone is of no interest any more.
        let _ = requests[index].send(event);
    };
    for request in &requests {
        let _ = request.send(Event::End(End::Broken(last.clone())));
    }
}

fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn from_hex(text: &str) -> Vec<u8> {
    let digit =
        |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap_or(0);
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(*pair.get(1).unwrap_or(&b'0'))).collect()
}

/// Asks for a path with ngtcp2's gtlsclient and gives back its output, headers and body among it. It checks no certificate.
///
/// # Errors
/// When the client is not installed, or does not end with success.
pub async fn gtlsclient(address: SocketAddr, method: &str, path: &str) -> Result<String> {
    let run = Command::new("gtlsclient")
        .args(["--exit-on-first-stream-close", "--timeout=10s", "--http-method", method])
        .arg(address.ip().to_string())
        .arg(address.port().to_string())
        .arg(format!("https://localhost:{}{path}", address.port()))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE, run).await.context("gtlsclient does not end")?;
    let output = output.context("gtlsclient is missing: run `just setup`")?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    ensure!(output.status.success(), "gtlsclient ended with {}:\n{text}", output.status);
    Ok(text)
}
