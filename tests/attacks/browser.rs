//! Pages of other sites, in a real Chromium: they post, embed, open and connect to whatever a page can reach, from an origin
//! of their own, from none, and from one whose name leads to the daemon in the meantime (DNS rebinding).
//!
//! Knows what a page may try (`browser/evil.js`), and that a page of this box may chat. Invariants: no page's attempt reaches
//! the engine, and none reads a byte but the refusal of its own name; each that the browser sends is seen to be refused.

mod chromium;
mod site;

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::daemon::{Daemon, Setup};
use serde::Deserialize;
use tokio::time::timeout;

use self::{
    chromium::Chromium,
    site::{EVIL, Site},
};
use crate::support::echo::{self, Echo};

/// How long the daemon may take to have answered what a page has sent.
const PATIENCE: Duration = Duration::from_secs(10);
const CHAT: &str = "/v1/chat/completions";

/// One attempt, as its page tells of it.
#[derive(Debug, Deserialize)]
struct Attempt {
    name: String,
    base: String,
    /// What the browser sends to the chats' path for it, whatever the answer: OPTIONS where it asks first.
    sends: Option<String>,
    /// What the page could read.
    read: Option<String>,
    failed: Option<String>,
}

/// What the daemon's log says of a request.
#[derive(Debug)]
struct Answered {
    method: String,
    path: String,
    status: u64,
}

impl Answered {
    /// None of a request whose client has left before it was answered.
    fn read(line: &str) -> Result<Option<Self>> {
        let line: serde_json::Value = serde_json::from_str(line)?;
        let text = |name: &str| line[name].as_str().map(str::to_owned);
        let path = text("path").or_else(|| text("route"));
        let all = text("method").zip(path).zip(line["status"].as_u64());
        Ok(all.map(|((method, path), status)| Self { method, path, status }))
    }
}

#[tokio::test]
async fn lets_no_page_of_another_site_do_anything() -> Result<()> {
    let engine = Echo::start().await?;
    let site = Site::start().await?;
    // The same site once more, at the port that the daemon will have.
    let rebound = site.again().await?;
    let browser = Chromium::start(&format!("http://{EVIL}:{}/?{}", site.port, rebound.port))?;
    site.loaded().await.context("the page that is to be rebound")?;
    let port = rebound.end().await;
    let mut setup = Setup::backend("openai", &engine.url());
    setup.listen = format!("tls = \"[::]:0\"\nplain = [\"127.0.0.1:{port}\"]\n");
    setup.config += "[log]\nlevel = \"debug\"\nformat = \"json\"\n";
    let daemon = Daemon::start(&setup).await?;
    ensure!(daemon.plain(false)?.port() == port, "somebody else has taken the port");
    site.go(port, daemon.tls);

    let mut attempts = Vec::new();
    for role in ["evil", "sandboxed", "data", "rebound"] {
        attempts.extend(reported(&site, role).await?.into_iter().map(|attempt| (role, attempt)));
    }
    let sent = ["POST", "OPTIONS"].map(|method| {
        let sends = |attempt: &Attempt| attempt.sends.as_deref() == Some(method);
        (method, attempts.iter().filter(|(_, attempt)| sends(attempt)).count())
    });
    let windows = windows(&attempts);
    let answered = answered(&daemon, sent, windows).await?;
    browser.end().await?;
    for (role, attempt) in &attempts {
        check_unread(role, attempt)?;
    }
    check_refused(&answered, &attempts)?;
    ensure!(engine.seen().is_empty(), "the engine was asked: {:?}", engine.seen());

    let honest = honest_page(&site, &engine).await?;
    println!(
        "{} attempts of 4 pages in {}: {} requests reached the daemon ({}), the engine was asked 0 times, and no page read \
         anything; a page of this box had {honest} chats answered",
        attempts.len(),
        Chromium::version().await?,
        answered.len(),
        tally(&answered)
    );
    daemon.stop().await
}

/// What the page of that role has tried.
async fn reported(site: &Site, role: &str) -> Result<Vec<Attempt>> {
    let report = site.report(role).await?;
    let attempts: Vec<Attempt> =
        serde_json::from_slice(&report).with_context(|| String::from_utf8_lossy(&report).into_owned())?;
    ensure!(!attempts.is_empty(), "the {role} page has tried nothing");
    Ok(attempts)
}

/// A page reads nothing, but that the daemon does not answer for the name that was led to it.
fn check_unread(role: &str, attempt: &Attempt) -> Result<()> {
    let read = attempt.read.as_deref();
    let good = read.is_none_or(|read| role == "rebound" && read.starts_with("421 "));
    ensure!(good, "the {role} page has read of {}, by {}: {read:?}", attempt.base, attempt.name);
    Ok(())
}

/// Waits until so many requests of these methods for chats have been answered, since nobody tells a page of a beacon's end;
/// and until the page was given to so many windows; gives every request.
async fn answered(daemon: &Daemon, sent: [(&str, usize); 2], windows: usize) -> Result<Vec<Answered>> {
    const LINE: &str = "\"target\":\"ghostllm::pipeline::record\"";
    /// The daemon asks itself whether its threads answer.
    const OWN: &str = "\"from\":\"socket\"";
    let all = || {
        let log = daemon.stderr();
        let lines = log.lines().filter(|line| line.contains(LINE) && !line.contains(OWN));
        lines.filter_map(|line| Answered::read(line).transpose()).collect::<Result<Vec<_>>>()
    };
    let enough = async {
        loop {
            let seen = daemon.stderr().matches(LINE).count();
            let answered = all()?;
            let of =
                |method: &str| answered.iter().filter(|one| one.method == method && one.path == CHAT).count();
            let pages = answered.iter().filter(|one| one.status == 200).count();
            if pages >= windows && sent.iter().all(|(method, count)| of(method) >= *count) {
                return anyhow::Ok(answered);
            }
            daemon.wait_said_times(LINE, seen + 1).await?;
        }
    };
    timeout(PATIENCE, enough).await.with_context(|| format!("of {sent:?} came only {:?}", all()))?
}

/// The links that have led to the page.
fn windows(attempts: &[(&str, Attempt)]) -> usize {
    attempts.iter().filter(|(_, attempt)| attempt.name == "a window of the page").count()
}

/// Whatever the browser has sent was refused, but for the static page, which any link may lead to.
fn check_refused(answered: &[Answered], attempts: &[(&str, Attempt)]) -> Result<()> {
    for one in answered {
        let refused = matches!(one.status, 403 | 415 | 421);
        let page = one.method == "GET" && one.path == "/" && one.status == 200;
        // The browser looks for the page's picture by itself.
        ensure!(refused || page || one.path == "/favicon.ico", "{one:?}");
    }
    let (windows, pages) = (windows(attempts), answered.iter().filter(|one| one.status == 200).count());
    ensure!(
        windows > 0 && pages == windows,
        "{windows} links led to the page, and it was given {pages} times"
    );
    let failed: Vec<_> =
        attempts.iter().filter(|(_, one)| one.name.starts_with("a window") && one.failed.is_some()).collect();
    ensure!(failed.is_empty(), "{failed:?}");
    // The name that was led to the daemon is refused as a name.
    ensure!(answered.iter().any(|one| one.status == 421), "no request came by the other name");
    Ok(())
}

/// A page that a program on this box serves may chat on the plain port, and read the answers. Gives their number.
async fn honest_page(site: &Site, engine: &Echo) -> Result<usize> {
    let browser = Chromium::start(&format!("http://localhost:{}/honest", site.port))?;
    let attempts = reported(site, "honest").await?;
    browser.end().await?;
    for attempt in &attempts {
        let read = attempt.read.as_deref().unwrap_or_default();
        ensure!(read.starts_with("200 ") && read.contains("from the honest page"), "{attempt:?}");
    }
    let said: Vec<_> = engine.seen().into_iter().map(|seen| echo::said(&seen.ok()?.body)).collect();
    let due = vec![Some("from the honest page".to_owned()); attempts.len()];
    ensure!(!attempts.is_empty() && said == due, "the engine was asked {said:?}");
    Ok(attempts.len())
}

/// How often each status.
fn tally(answered: &[Answered]) -> String {
    let mut counts = BTreeMap::<u64, usize>::new();
    for one in answered {
        *counts.entry(one.status).or_default() += 1;
    }
    counts.iter().map(|(status, count)| format!("{count} x {status}")).collect::<Vec<_>>().join(", ")
}
