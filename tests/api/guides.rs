//! The guides of `packaging/docs/guides`, as they stand there: lines for a shell are run, settings are read, nginx is started with what it is
//! told to have. Invariant: a block that is neither run nor said not to be, and why, fails the test, and so does a command in a sentence.

use std::{fs, net::TcpListener, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use ghostllm_tests::{
    binary,
    client::{Request, plain},
    daemon::{Daemon, Setup},
    double::Double,
    ollama::Ollama,
    proxies::{Program, Proxy},
    root,
    script::Sin,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpStream,
    time::timeout,
};

use crate::{
    ctl::ran,
    readme::{Shell, ends},
};

/// What stands before a block that nobody runs: these words, the reason, and a colon at the line's end.
const NOT_RUN: &str = "Not run by a test, ";
/// What stands before one that is run in a booted Debian, by `tests/package/guides.sh`.
const IN_A_BOX: &str = "Run by the packages' tests:";
/// What a command begins with.
const COMMANDS: [&str; 6] = ["ghostctl ", "ghostllm ", "sudo ", "systemctl ", "systemd-analyze ", "age "];

/// A block of a guide.
struct Block {
    /// Its guide.
    file: String,
    /// `sh`, `toml`, …
    kind: String,
    text: String,
    /// The last line before it.
    told: String,
}

impl Block {
    /// Whether it is said that nobody runs it, and why.
    fn is_excused(&self) -> bool {
        let reason = self.told.rsplit_once(NOT_RUN).map(|(_, reason)| reason.trim_end_matches(':'));
        self.told.ends_with(':') && reason.is_some_and(|reason| !reason.is_empty())
    }
}

/// The guides by their names.
fn guides() -> Result<Vec<(String, String)>> {
    let mut guides = Vec::new();
    for entry in fs::read_dir(root().join("packaging/docs/guides"))? {
        let path = entry?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        guides.push((file, fs::read_to_string(&path)?));
    }
    Ok(guides)
}

/// All blocks of all guides, but those that say that they are not run.
fn blocks() -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    for (file, guide) in guides()? {
        let parts: Vec<&str> = guide.split("```").collect();
        ensure!(parts.len() % 2 == 1, "{file}: a block has no end");
        for pair in parts.chunks_exact(2) {
            let [before, block] = pair else { continue };
            let (kind, text) = block.split_once('\n').context("a block without a line")?;
            let told = before.trim_end().lines().next_back().unwrap_or_default().to_owned();
            blocks.push(Block { file: file.clone(), kind: kind.to_owned(), text: text.to_owned(), told });
        }
    }
    blocks.retain(|block| !block.is_excused());
    Ok(blocks)
}

#[tokio::test]
async fn every_block_is_of_a_kind_that_is_run() -> Result<()> {
    let blocks = blocks()?;
    let of = |kind: &str| blocks.iter().filter(|block| block.kind == kind).count();
    let (shell, settings, nginx, caddy) = (of("sh"), of("toml"), of("nginx"), of("caddyfile"));
    ensure!(shell >= 8 && settings >= 10 && nginx == 2 && caddy == 1, "{shell} {settings} {nginx} {caddy}");
    let in_a_box = fs::read_to_string(root().join("tests/package/guides.sh"))?
        + &fs::read_to_string(root().join("tests/package/checks.sh"))?;
    for Block { file, kind, text, told } in &blocks {
        let run = match kind.as_str() {
            "nginx" | "caddyfile" if told.ends_with(IN_A_BOX) => {
                let guide = file.trim_end_matches(".md");
                in_a_box.contains(&format!("block_of_guide {guide} {kind} "))
            }
            "sh" | "toml" | "nginx" => true,
            "console" => {
                let guide = file.trim_end_matches(".md");
                let asked_for = in_a_box.lines().any(|line| line.trim() == format!("as_guided {guide}"));
                told.ends_with(IN_A_BOX) && asked_for && text.lines().all(|line| line.starts_with("$ "))
            }
            _ => false,
        };
        ensure!(run, "{file}: nobody runs this block of {kind}, and it does not say so, and why:\n{text}");
    }
    ensure!(of("console") >= 4, "{}", of("console"));
    Ok(())
}

/// Runs a command that a sentence names.
async fn meant(shell: &Shell, named: &str) -> Result<()> {
    let passphrase = [("passphrase: ", "four words that nobody guesses")];
    let (line, answers, codes): (_, &[_], &[i32]) = match named {
        // The machine may not be well.
        "ghostctl doctor" => (named, &[], &[0, 1]),
        "ghostctl config set" => ("ghostctl config set log.level debug", &[], &[0]),
        "age -d box.backup | tar tv" | "age -d box.backup | tar x" => (named, &passphrase, &[0]),
        _ => bail!("`{named}` is a command that no test knows how to run"),
    };
    // Elsewhere than where this daemon has its state, which the backup's would be laid over.
    let line = format!("mkdir -p elsewhere && cp box.backup elsewhere && cd elsewhere\n{line}");
    ends(&line, &shell.answers(&line, answers).await?, codes)
}

#[tokio::test]
async fn every_line_for_a_shell_does_what_it_says() -> Result<()> {
    let shell = Shell::new(None).await?;
    let plain = shell.daemon()?.plain(false)?.port().to_string();
    for Block { file, text, .. } in blocks()?.into_iter().filter(|block| block.kind == "sh") {
        for line in text.lines().filter_map(|line| line.split("  #").next()).filter(|line| !line.is_empty()) {
            let line = line.trim().replace("11430", &plain);
            // The shell's system trusts nobody yet.
            let roots = "touch /etc/ssl/certs/ca-certificates.crt";
            let ran = shell.types(&format!("{roots}\n{line}")).await.with_context(|| file.clone())?;
            // The machine may have no card, or one that is not well.
            let codes: &[i32] = if line == "ghostctl gpu" { &[0, 1] } else { &[0] };
            ends(&line, &ran, codes).with_context(|| file.clone())?;
        }
    }
    // Behind the blocks, which have made what they work on.
    let mut named = 0;
    for (file, guide) in guides()? {
        let prose: String = guide.split("```").step_by(2).collect();
        let spans = prose.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " "));
        for span in spans.filter(|span| COMMANDS.iter().any(|command| span.starts_with(command))) {
            meant(&shell, &span).await.with_context(|| file.clone())?;
            named += 1;
        }
    }
    ensure!(named >= 5, "{named} commands in sentences");
    shell.stop().await
}

#[tokio::test]
async fn every_setting_can_be_set_so() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let guide = folder.path().join("guide.toml");
    for Block { file, text, .. } in blocks()?.into_iter().filter(|block| block.kind == "toml") {
        fs::write(&guide, &text)?;
        let mut check = tokio::process::Command::new(binary("ghostllm"));
        let ran = ran(check.args(["config", "check"]).arg(&guide).env_clear()).await?;
        ensure!(ran.code == Some(0), "{file}: {text}{ran:?}");
    }
    Ok(())
}

#[tokio::test]
async fn nginx_hands_a_stream_on_as_the_guide_has_it() -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    let mut setup = Setup::backend("ollama", &double.url());
    setup.listen.push_str("names = [\"llm.example.org\"]\n");
    let daemon = Daemon::start(&setup).await?;
    let folder = tempfile::tempdir()?;
    let here = |name: &str| folder.path().join(name).display().to_string();
    certificate(folder.path()).await?;
    let ca = plain(daemon.plain(false)?, &Request::get("/ca.pem")).await?;
    fs::write(here("ca.pem"), ca.body)?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let block = blocks()?.into_iter().find(|block| block.kind == "nginx").context("no block for nginx")?;
    let server = block
        .text
        .replace("listen 443 ssl", &format!("listen 127.0.0.1:{port} ssl"))
        .replace("11443", &daemon.tls.to_string())
        .replace("/etc/ssl/llm.pem", &here("llm.pem"))
        .replace("/etc/ssl/llm.key", &here("llm.key"))
        .replace("/etc/ssl/ghostllm-ca.pem", &here("ca.pem"));
    let configuration = format!(
        "daemon off; pid {}; error_log stderr; events {{}}\nhttp {{ access_log off; client_body_temp_path {}; proxy_temp_path {}; \
         fastcgi_temp_path {}; uwsgi_temp_path {}; scgi_temp_path {};\n{server}\n}}\n",
        here("pid"),
        here("body"),
        here("proxy"),
        here("fastcgi"),
        here("uwsgi"),
        here("scgi"),
    );
    let listens = async || TcpStream::connect(("127.0.0.1", port)).await.is_ok();
    let proxy = Proxy::start(Program::Nginx, folder.path(), &configuration, listens).await?;
    let key = daemon.key.clone().context("no first key")?;
    let ask = format!(
        "curl -sSN --cacert llm.pem --resolve llm.example.org:{port}:127.0.0.1 \
         https://llm.example.org:{port}/v1/chat/completions -H \"Authorization: Bearer $KEY\" -H 'Content-Type: application/json' \
         -d '{{\"model\":\"tiny\",\"stream\":true,\"messages\":[{{\"role\":\"user\",\"content\":\"hello\"}}]}}'"
    );
    // Each event comes when it is said, and not when all are.
    double.misbehave("tiny", Sin::Gated);
    double.release(2);
    let mut curl = tokio::process::Command::new("bash");
    curl.args(["-c", &ask]).current_dir(folder.path()).env("KEY", key).stdout(Stdio::piped());
    let mut curl = curl.kill_on_drop(true).spawn()?;
    let mut lines = BufReader::new(curl.stdout.take().context("no pipe")?).lines();
    let first = timeout(Duration::from_secs(20), lines.next_line()).await.context("nothing came")??;
    ensure!(first.as_ref().is_some_and(|line| line.starts_with("data: {")), "{first:?}");
    double.release(1000);
    let mut last = String::new();
    while let Some(line) = lines.next_line().await? {
        last = if line.is_empty() { last } else { line };
    }
    ensure!(last == "data: [DONE]" && curl.wait().await?.success(), "{last}");
    drop(proxy);
    daemon.stop().await
}

/// The proxy's own, for its name.
async fn certificate(folder: &Path) -> Result<()> {
    let mut openssl = tokio::process::Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "1",
    ]);
    openssl.args(["-subj", "/CN=llm.example.org", "-addext", "subjectAltName=DNS:llm.example.org"]);
    openssl.args(["-keyout", "llm.key", "-out", "llm.pem"]).current_dir(folder);
    let made = openssl.output().await?;
    ensure!(made.status.success(), "{made:?}");
    Ok(())
}
