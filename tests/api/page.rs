//! The page's lines have a name that the certificate bears and that its reader can use.

use anyhow::{Result, ensure};
use ghostllm_tests::{
    certificate::Pair,
    client::{Request, plain},
    daemon::{Daemon, Setup},
};
use tempfile::TempDir;

/// No engine: the page is the same without one.
fn bare(listen: &str) -> Setup {
    let setup = Setup::backend("openai", "http://127.0.0.1:1");
    Setup { listen: setup.listen.clone() + listen, ..setup }
}

/// The page, for who asks for this host.
async fn page(daemon: &Daemon, host: &str) -> Result<(u16, String)> {
    let answer = plain(daemon.plain(false)?, &Request::get("/").authority(host)).await?;
    Ok((answer.status, answer.text()))
}

#[tokio::test]
async fn names_the_box_as_its_reader_does() -> Result<()> {
    let daemon = Daemon::start(&bare("names = [\"first.internal\", \"second.internal\"]\n")).await?;
    for (host, shown) in [
        ("localhost", "first.internal"),
        ("127.0.0.1", "first.internal"),
        ("second.internal", "second.internal"),
        ("SECOND.internal:11443", "second.internal"),
    ] {
        let (status, text) = page(&daemon, host).await?;
        let line = format!("https://{shown}:{}", daemon.tls);
        ensure!(status == 200 && text.contains(&line), "{host}: {status}, without {line}");
    }
    daemon.stop().await
}

#[tokio::test]
async fn an_owner_s_certificate_says_what_the_box_is_called() -> Result<()> {
    let directory = TempDir::new()?;
    let pair = |name: &str| Pair::make(directory.path(), "owner", name);
    let daemon = Daemon::start(&bare(&pair("llm.example.org")?.lines())).await?;
    for host in ["localhost", "llm.example.org"] {
        let (status, text) = page(&daemon, host).await?;
        let line = format!("https://llm.example.org:{}", daemon.tls);
        ensure!(status == 200 && text.contains(&line), "{host}: {status}, without {line}");
    }
    // A new certificate brings its name along, and takes the old one away.
    pair("new.example.org")?;
    daemon.wait_said("new.example.org").await?;
    while page(&daemon, "new.example.org").await?.0 != 200 {
        tokio::task::yield_now().await;
    }
    let (status, _) = page(&daemon, "llm.example.org").await?;
    ensure!(status == 421, "the name of a certificate that is gone gets {status}");
    daemon.stop().await
}
