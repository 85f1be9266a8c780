//! The evil site, and the honest one: a server for their pages, which also hears what these have found.
//!
//! Knows paths and roles. Refuses to know what the pages try.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use bytes::BytesMut;
use ghostllm_tests::wire::{Incoming, read_request};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::timeout,
};

/// The attacker's name.
pub(crate) const EVIL: &str = "evil.example";
/// How long a browser may take to start, and its pages to try everything.
const PATIENCE: Duration = Duration::from_secs(50);
const SCRIPT: &str = include_str!("evil.js");

/// A server. Dropping it ends it soon.
pub(crate) struct Site {
    pub(crate) port: u16,
    shared: Arc<Shared>,
    accept: JoinHandle<()>,
}

struct Shared {
    /// Where the pages' script and everything else comes from.
    home: u16,
    /// Where the daemon is: its plain port, and its TLS port.
    daemon: watch::Sender<Option<(u16, u16)>>,
    loaded: watch::Sender<bool>,
    /// By role.
    reports: Mutex<HashMap<String, Vec<u8>>>,
    reported: watch::Sender<()>,
}

impl Site {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let shared = Arc::new(Shared {
            home: listener.local_addr()?.port(),
            daemon: watch::Sender::new(None),
            loaded: watch::Sender::new(false),
            reports: Mutex::default(),
            reported: watch::Sender::new(()),
        });
        Self::serve(listener, shared)
    }

    /// The same site at another port.
    pub(crate) async fn again(&self) -> Result<Self> {
        Self::serve(TcpListener::bind("127.0.0.1:0").await?, Arc::clone(&self.shared))
    }

    fn serve(listener: TcpListener, shared: Arc<Shared>) -> Result<Self> {
        let port = listener.local_addr()?.port();
        let accept = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { port, shared, accept })
    }

    /// Closes the port, for whoever shall have it next, and every connection. Gives the port.
    pub(crate) async fn end(mut self) -> u16 {
        self.accept.abort();
        let _aborted = (&mut self.accept).await;
        self.port
    }

    /// Waits until the page runs whose name will lead elsewhere.
    pub(crate) async fn loaded(&self) -> Result<()> {
        let mut loaded = self.shared.loaded.subscribe();
        timeout(PATIENCE, loaded.wait_for(|loaded| *loaded))
            .await
            .context("no page was loaded in time")??;
        Ok(())
    }

    /// Tells every page where the daemon is, which they wait for.
    pub(crate) fn go(&self, plain: u16, tls: u16) {
        self.shared.daemon.send_replace(Some((plain, tls)));
    }

    /// Waits for what the page of that role tells.
    pub(crate) async fn report(&self, role: &str) -> Result<Vec<u8>> {
        let mut reported = self.shared.reported.subscribe();
        let came = async {
            loop {
                if let Some(report) = self.shared.reports().remove(role) {
                    return anyhow::Ok(report);
                }
                reported.changed().await?;
            }
        };
        timeout(PATIENCE, came).await.with_context(|| format!("the {role} page tells nothing"))?
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

impl Shared {
    fn reports(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<u8>>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Aborting this task drops the set, and so every connection.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, Arc::clone(&shared)));
    }
}

/// One request for each connection, so that nothing keeps the browser at a port that somebody else will have.
async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let mut buffer = BytesMut::new();
    let Ok(Some(request)) = read_request(&mut stream, &mut buffer).await else { return };
    let (status, kind, body) = answer(&request, &shared).await;
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nAccess-Control-Allow-Origin: *\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    let _left = stream.write_all(format!("{head}{body}").as_bytes()).await;
    let _closed = stream.shutdown().await;
}

async fn answer(request: &Incoming, shared: &Shared) -> (String, &'static str, String) {
    let ok = |kind, body| ("200 OK".to_owned(), kind, body);
    let page =
        |role, name, more: &str| ok("text/html", page(role, &format!("http://{name}:{}", shared.home), more));
    let query = request.target.split_once('?').map_or("", |(_, query)| query);
    match (request.method.as_str(), request.path()) {
        ("GET", "/") => page("evil", EVIL, &frames(shared.home, query)),
        ("GET", "/sandboxed") => page("sandboxed", EVIL, ""),
        ("GET", "/rebound") => page("rebound", EVIL, ""),
        ("GET", "/honest") => page("honest", "localhost", ""),
        ("GET", "/evil.js") => ok("text/javascript", SCRIPT.to_owned()),
        ("GET", "/go") => {
            let mut daemon = shared.daemon.subscribe();
            let known = daemon.wait_for(Option::is_some).await;
            let (plain, tls) = known.ok().and_then(|known| *known).unwrap_or_default();
            ok("application/json", format!("{{\"plain\": {plain}, \"tls\": {tls}}}"))
        }
        ("POST", "/loaded") => {
            shared.loaded.send_replace(true);
            ok("text/plain", String::new())
        }
        ("POST", "/report") => {
            shared.reports().insert(query.to_owned(), request.body.clone());
            shared.reported.send_replace(());
            ok("text/plain", String::new())
        }
        ("POST", "/detour") => {
            (format!("307 Temporary Redirect\r\nLocation: {query}"), "text/plain", String::new())
        }
        _ => ("404 Not Found".to_owned(), "text/plain", String::new()),
    }
}

fn page(role: &str, home: &str, more: &str) -> String {
    format!("<!doctype html><meta charset=utf-8><body>{}{more}", script(role, home))
}

fn script(role: &str, home: &str) -> String {
    format!("<script>const role = '{role}', home = '{home}'</script><script src='{home}/evil.js'></script>")
}

/// Pages within the page: two of no origin, and the one whose name will lead to the daemon, which has `port` then.
fn frames(home: u16, port: &str) -> String {
    let data = script("data", &format!("http://{EVIL}:{home}"));
    format!(
        "<iframe sandbox=allow-scripts src=/sandboxed></iframe>\
         <iframe src=\"data:text/html,<!doctype html><body>{data}\"></iframe>\
         <iframe src=http://{EVIL}:{port}/rebound></iframe>"
    )
}
