//! The lines of the page at `/`, run as a person pastes them.
//!
//! Knows a shell, and HTML as far as it stands around a line. Refuses to know what the lines are. Invariant: every line of
//! "Call it" is run or named here, and each of them brings the model's words.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    client::{Request, plain},
    daemon::{Daemon, Setup},
    double::Double,
    ollama::Ollama,
    root,
};
use tempfile::TempDir;
use tokio::process::Command;

use crate::order::output;

/// What the model says to the page's `Hello`.
const ANSWER: &str = "Hello! How can I help you today?";
/// What the page has installed into an environment of its own: the tests have it there, from a pinned list.
const INSTALL: &str = "python3 -m venv ghostllm-env\nghostllm-env/bin/pip install openai\n";

/// The text of each box of lines, from this heading on to the end of its section.
fn lines(page: &str, heading: &str) -> Result<Vec<String>> {
    let (_, rest) = page.split_once(heading).with_context(|| format!("the page has no {heading}"))?;
    let (section, _) = rest.split_once("</section>").context("the section has no end")?;
    let boxes = section.split("<pre><code>").skip(1).filter_map(|rest| rest.split("</code></pre>").next());
    let text = |html: &str| {
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")]
            .iter()
            .fold(html.to_owned(), |text, (escape, sign)| text.replace(escape, sign))
    };
    Ok(boxes.map(text).collect())
}

/// Runs lines in a shell in that directory, and gives back what they print.
async fn paste(lines: &str, at: &Path, key: &str) -> Result<String> {
    let mut command = Command::new("bash");
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .args(["-euo", "pipefail", "-c", lines])
        .current_dir(at)
        .env("GHOSTLLM_KEY", key)
        .env("PATH", format!("{}:{path}", root().join(".tools/node/bin").display()))
        .env_remove("SSL_CERT_FILE")
        .env_remove("NODE_EXTRA_CA_CERTS")
        .env_remove("CURL_CA_BUNDLE");
    let (said, errors) = output(command, "").await?;
    ensure!(!said.is_empty(), "{lines}\nprints nothing, and says:\n{errors}");
    Ok(said)
}

/// Fetches the CA by the page's lines, then runs those of "Call it".
async fn check(listen: &str, blocks: usize) -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    let setup = Setup::backend("ollama", &double.url());
    // A name that every machine resolves, its own included.
    let listen = format!("{}names = [\"127.0.0.1\"]\n{listen}", setup.listen);
    let daemon = Daemon::start(&Setup { listen, ..setup }).await?;
    let key = daemon.key.clone().context("no key")?;
    let page = plain(daemon.plain(false)?, &Request::get("/").authority("127.0.0.1")).await?.text();
    let directory = TempDir::new()?;
    let at = directory.path();
    std::os::unix::fs::symlink(root().join(".tools/venv"), at.join("ghostllm-env"))?;
    let trust = lines(&page, "<h2 id=\"trust\">")?;
    let [fetch, print, ..] = trust.as_slice() else { anyhow::bail!("{trust:?}") };
    let fetched = format!("{fetch} 2>/dev/null\n{print}");
    let print = paste(&fetched, at, &key).await?;
    let print = print.trim().rsplit('=').next().unwrap_or_default();
    ensure!(daemon.stderr().contains(print), "the log shows another fingerprint than {print}");
    let mut asked = 0;
    for lines in lines(&page, "<h2 id=\"call\">")? {
        if lines.starts_with("read -rs GHOSTLLM_KEY;") {
            continue;
        }
        let said = paste(&lines.replacen(INSTALL, "", 1), at, &key).await?;
        ensure!(said.contains(ANSWER), "{lines}\nprints:\n{said}");
        asked += 1;
    }
    ensure!(asked == blocks, "{asked} boxes of lines were run");
    daemon.stop().await
}

#[tokio::test]
async fn its_lines_work_as_pasted() -> Result<()> {
    // curl on the box, curl, Python and Node over TLS.
    check("", 4).await
}

#[tokio::test]
async fn its_lines_work_as_pasted_where_the_plain_port_wants_a_key() -> Result<()> {
    check("plain_auth = \"key\"\n", 4).await
}
