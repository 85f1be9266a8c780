//! Every command of the README, as it stands there: run in a shell, against the real daemon, with what a person would put in its
//! places. Invariant: a command that nobody here knows how to run fails the test.

use std::{fs, os::unix::fs::symlink, path::PathBuf};

use anyhow::{Context, Result, bail, ensure};
use ghostllm_tests::{
    admin, binary,
    client::{Caller, Family, Request, Version},
    daemon::{Daemon, Setup},
    double::Double,
    ollama::Ollama,
    root,
    script::Sin,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    FRANCE,
    ctl::{Ran, ran},
};

const PASSPHRASE: &str = "four words for nobody";

/// The lines of its shell blocks, without their comments, and then the commands that its sentences name.
fn commands() -> Result<(Vec<String>, Vec<String>)> {
    let readme = fs::read_to_string(root().join("README.md"))?;
    let blocks = readme.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
    let joined = blocks.map(|block| block.replace("\\\n", " ")).collect::<String>();
    let bare = |line: &str| line.split("  #").next().unwrap_or_default().trim().to_owned();
    let prose: String = readme.split("```").step_by(2).collect();
    let named = prose.split('`').skip(1).step_by(2).filter(|span| {
        ["ghostctl ", "ghostllm ", "sudo ", "config ", "age "].iter().any(|start| span.starts_with(start))
    });
    Ok((joined.lines().map(bare).collect(), named.map(|span| span.replace('\n', " ")).collect()))
}

/// A person's shell on the box, with the programs in its path.
pub(crate) struct Shell {
    dir: TempDir,
    daemon: Option<Daemon>,
}

impl Shell {
    /// In front of this double, or of what the daemon finds.
    pub(crate) async fn new(double: Option<&Double>) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("ghostllm-test-").tempdir()?;
        let programs = dir.path().join("bin");
        fs::create_dir(&programs)?;
        for name in ["ghostctl", "ghostllm"] {
            symlink(binary(name), programs.join(name))?;
        }
        // Whoever runs this may do what `sudo` would let them do, in a mount namespace that is thrown away.
        symlink("/usr/bin/env", programs.join("sudo"))?;
        let mut shell = Self { dir, daemon: None };
        shell.daemon = Some(shell.start(double).await?);
        Ok(shell)
    }

    async fn start(&self, double: Option<&Double>) -> Result<Daemon> {
        let mut setup = match double {
            Some(double) => Setup::backend("ollama", &double.url()),
            None => Setup::default().with_limits("find_interval = \"50ms\""),
        };
        setup.state = false;
        setup.arguments = vec!["--state-dir".to_owned(), self.path("state").display().to_string()];
        Daemon::start(&setup).await
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn daemon(&self) -> Result<&Daemon> {
        self.daemon.as_ref().context("it has been stopped")
    }

    /// Types a line, in a mount namespace in which the system's own certificates are as they were before.
    pub(crate) async fn types(&self, line: &str) -> Result<Ran> {
        self.answers(line, &[]).await
    }

    /// The same, and what is answered to each question.
    pub(crate) async fn answers(&self, line: &str, answers: &[(&str, &str)]) -> Result<Ran> {
        let own = "mount -t tmpfs -o mode=0755 none /usr/local/share/ca-certificates && mount -t tmpfs none /etc/ssl/certs";
        let mut command = Command::new("unshare");
        command.args(["--mount", "bash", "-euc", &format!("{own}\nexec \"$@\""), "bash"]);
        if !answers.is_empty() {
            command.arg("python3").arg(root().join("tests/support/at-terminal.py"));
            command.args(answers.iter().flat_map(|(question, answer)| [question, answer])).arg("--");
        }
        command.args(["bash", "-euo", "pipefail", "-c", line]).current_dir(self.dir.path());
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH")?);
        command.env_clear().env("PATH", path).env("HOME", self.dir.path());
        command.env("STATE_DIRECTORY", self.path("state")).stdin(std::process::Stdio::null());
        if let Some(daemon) = &self.daemon {
            command.env("GHOSTLLM_SOCKET", daemon.admin()?);
            command.env("BOX_CONFIG", daemon.config());
        }
        ran(&mut command).await
    }

    /// Ends its daemon well.
    pub(crate) async fn stop(self) -> Result<()> {
        self.daemon.context("it has been stopped")?.stop().await
    }

    /// Types a line that ends well.
    async fn does(&self, line: &str) -> Result<String> {
        let ran = self.types(line).await?;
        ensure!(ran.code == Some(0), "{line}: {ran:?}");
        Ok(ran.out)
    }
}

#[tokio::test]
async fn its_lines_for_curl_get_an_answer_as_pasted() -> Result<()> {
    let shell = Shell::new(None).await?;
    let daemon = shell.daemon()?;
    let key = fs::read_to_string(shell.path("state/first-key"))?;
    let plain = daemon.plain(false)?.port().to_string();
    let (lines, _) = commands()?;
    let about_curl = |line: &&String| line.starts_with("curl ") || line.starts_with("export ");
    let pasted: Vec<String> = lines.iter().filter(about_curl).cloned().collect();
    ensure!(pasted.len() == 3, "{pasted:?}");
    let pasted = pasted.join("\n").replace("11430", &plain).replace("11443", &daemon.tls.to_string());
    let answer = shell.does(&pasted.replace("gllm_...", key.trim())).await?;
    ensure!(answer.contains("\"chat.completion\"") && answer.contains("ghostllm-demo"), "{answer}");
    shell.daemon.context("it serves")?.stop().await
}

/// It ended with one of these codes: how the machine is, is not known.
pub(crate) fn ends(line: &str, ran: &Ran, codes: &[i32]) -> Result<()> {
    ensure!(ran.code.is_some_and(|code| codes.contains(&code)), "{line}: {ran:?}");
    Ok(())
}

/// What a person does with a line of the blocks.
async fn done(shell: &Shell, line: &str, request: &str) -> Result<()> {
    match line {
        // How these tests are run; and the lines for curl, which have a test above.
        _ if line.is_empty() || line.starts_with("cargo install --locked just && just ") => {}
        _ if line.starts_with("curl ") || line.starts_with("export ") => {}
        // Until it is interrupted.
        "ghostctl events" | "ghostctl status --watch" => {
            let ran = shell.types(&format!("timeout --preserve-status --signal=INT 1 {line}")).await?;
            ensure!(ran.code == Some(130), "{line}: {ran:?}");
        }
        // This daemon writes to its standard error, and the machine may keep no journal.
        "ghostctl logs --since 2h --level warn" => ends(line, &shell.types(line).await?, &[0, 5])?,
        // The machine may have no card, or one that is not well.
        "ghostctl gpu" => ends(line, &shell.types(line).await?, &[0, 1])?,
        "ghostctl gpu history --card 0 --span 24h" => {
            let ran = shell.types(line).await?;
            let shown = ran.code == Some(0) && !ran.out.is_empty();
            ensure!(shown || ran.err.contains("ghostctl gpu lists them"), "{line}: {ran:?}");
        }
        "ghostctl requests cancel 1f3c9a02" => {
            let line = line.replace("1f3c9a02", request);
            let ran = shell.answers(&line, &[("Type yes to go on: ", "yes")]).await?;
            ensure!(ran.code == Some(0) && ran.out.contains("has ended"), "{line}: {ran:?}");
        }
        _ => {
            let out = shell.does(line).await?;
            ensure!(!out.is_empty() || line == "ghostctl reload", "{line} says nothing");
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_line_of_its_blocks_does_what_it_says() -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    double.misbehave("tiny", Sin::StallAfter(2));
    let shell = Shell::new(Some(&double)).await?;
    let key = fs::read_to_string(shell.path("state/first-key"))?;
    let caller = Caller::keyless(shell.daemon()?, Version::H1, Family::V4).await?.with_key(Some(key.trim()));
    let mut stream = caller.open(&Request::chat("tiny", FRANCE, true)).await?;
    stream.until(" capital").await?;
    let open = admin::read(shell.daemon()?, "requests").await?;
    let request = open["requests"][0]["id"].as_str().with_context(|| open.to_string())?;
    let (lines, _) = commands()?;
    ensure!(lines.iter().filter(|line| line.starts_with("ghostctl ")).count() >= 13, "{lines:?}");
    for line in lines {
        done(&shell, &line, request).await?;
    }
    ensure!(stream.finish().await?.text().contains("request_cancelled"), "it was not cancelled");
    shell.daemon.context("it serves")?.stop().await
}

/// What a person does with a command that a sentence names.
async fn meant(shell: &mut Shell, named: &str, key: &str) -> Result<()> {
    let types = async |line: &str| shell.does(line).await;
    match named {
        // Every daemon of these tests is started so.
        "ghostllm serve [--config FILE] [--profile NAME] [--state-dir DIR] [--set KEY=VALUE]…" => {}
        "ghostllm inspect" => {
            let out = types(named).await?;
            ensure!(out.contains(", process ") && out.contains("\nlisteners "), "{named}: {out}");
        }
        "ghostllm inspect --flight" => {
            ensure!(types(named).await?.starts_with("flights "), "{named}");
        }
        "ghostllm bench [MODEL] [-c N] [--requests N] [--http 1|2|3]" => {
            for (http, another) in [("1", ""), ("2", "-2"), ("3", "-3")] {
                let key = format!("ghostctl keys create bench{another} --scope chat --expires 1h");
                let bench =
                    format!("ghostllm bench ghostllm-demo -c 1 --requests 2 --http {http} --max-tokens 4");
                let out = types(&format!("export GHOSTLLM_KEY=$({key})\n{bench}")).await?;
                ensure!(out.contains("overhead of the gateway"), "{named}: {out}");
            }
        }
        "ghostctl status" => drop(types(named).await?),
        "ghostctl gpu" => ends(named, &shell.types(named).await?, &[0, 1])?,
        "ghostctl logs" => ends(named, &shell.types(named).await?, &[0, 5])?,
        "ghostllm config check [FILE]" => {
            types("ghostllm config check").await?;
            types("ghostllm config check \"$BOX_CONFIG\"").await?;
        }
        "config show" => ensure!(types("ghostllm config show").await?.contains("[limits]"), "{named}"),
        "config example" => ensure!(types("ghostllm config example").await?.contains("[listen]"), "{named}"),
        "config unset" => drop(types("ghostctl config unset log.level").await?),
        "ghostctl config set KEY VALUE" => drop(types("ghostctl config set log.level debug").await?),
        "ghostctl keys first" => ensure!(types(named).await?.contains("gllm_"), "{named}"),
        "ghostctl keys rotate ID" => {
            ensure!(types(&named.replace("ID", key)).await?.contains("gllm_"), "{named}");
        }
        "ghostctl keys revoke ID" => {
            let ran = shell.answers(&named.replace("ID", key), &[("Type yes to go on: ", "yes")]).await?;
            ensure!(ran.code == Some(0), "{named}: {ran:?}");
        }
        "ghostctl completion bash" => drop(types("ghostctl completion bash | bash -n").await?),
        "ghostctl backup FILE" => {
            let twice = [("Passphrase: ", PASSPHRASE), (": ", PASSPHRASE)];
            let ran = shell.answers(&named.replace("FILE", "box.backup"), &twice).await?;
            ensure!(ran.code == Some(0) && !ran.out.contains(PASSPHRASE), "{named}: {ran:?}");
        }
        "ghostctl restore --list FILE" => {
            let line = named.replace("FILE", "box.backup");
            let ran = shell.answers(&line, &[("Passphrase: ", PASSPHRASE)]).await?;
            ensure!(ran.code == Some(0) && ran.out.contains("state/keys.json"), "{named}: {ran:?}");
        }
        "age -d FILE | tar tv" => {
            let line = named.replace("FILE", "box.backup");
            let ran = shell.answers(&line, &[("passphrase: ", PASSPHRASE)]).await?;
            ensure!(ran.code == Some(0) && ran.out.contains("state/keys.json"), "{named}: {ran:?}");
        }
        "ghostctl restore FILE" => {
            shell.daemon.take().context("it serves")?.stop().await?;
            let answers = [("Passphrase: ", PASSPHRASE), ("Type yes to go on: ", "yes")];
            let ran = shell.answers(&named.replace("FILE", "box.backup"), &answers).await?;
            ensure!(ran.code == Some(0), "{named}: {ran:?}");
            shell.daemon = Some(shell.start(None).await?);
        }
        "sudo \"$(command -v ghostctl)\" --socket \"$GHOSTLLM_SOCKET\" cert trust" => {
            ensure!(types(named).await?.contains("ghostllm-ca.crt"), "{named}");
        }
        _ => bail!("the README names `{named}`, and no test knows how to run it"),
    }
    Ok(())
}

#[tokio::test]
async fn every_command_that_its_sentences_name_does_what_they_say() -> Result<()> {
    let mut shell = Shell::new(None).await?;
    let made = admin::make(shell.daemon()?, &json!({"name": "named"})).await?;
    let (_, named) = commands()?;
    ensure!(named.len() >= 14, "{named:?}");
    for command in &named {
        meant(&mut shell, command, &made.id).await?;
    }
    shell.daemon.context("it serves")?.stop().await
}
