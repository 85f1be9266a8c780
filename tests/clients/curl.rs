//! curl: one process that sends many requests, its bodies read from files.
//!
//! Knows curl's options and exit codes. Refuses to know what is asked. Invariant: curl tells each transfer's end by an
//! exit code of its own, and no transfer is missing.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::root;
use serde::Deserialize;
use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    failures::{Ask, Run, Way},
    order::output,
};

/// A curl, and the HTTP version that it is told to speak.
#[derive(Debug)]
pub(crate) struct Curl {
    /// The root that it runs in; none for this machine's own.
    chroot: Option<PathBuf>,
    version: &'static str,
}

/// What curl's `--write-out '%{json}'` says of one transfer.
#[derive(Debug, Deserialize)]
struct Said {
    exitcode: u8,
    errormsg: Option<String>,
    response_code: u16,
    filename_effective: String,
}

impl Curl {
    /// This machine's curl; Debian's speaks HTTP/1.1 and HTTP/2.
    pub(crate) fn here(version: &'static str) -> Self {
        Self { chroot: None, version }
    }

    /// The curl of the moving distribution that llama.cpp's server runs in, which speaks HTTP/3 too.
    pub(crate) fn moving(version: &'static str) -> Result<Self> {
        let chroot = root().join(".tools/sid");
        ensure!(
            chroot.join("usr/bin/curl").exists(),
            "tests/support/llama-server.sh makes {}",
            chroot.display()
        );
        Ok(Self { chroot: Some(chroot), version })
    }

    fn command(&self) -> Command {
        let Some(chroot) = &self.chroot else { return Command::new("curl") };
        let mut command = Command::new("chroot");
        command.arg(chroot).arg("curl");
        command
    }

    async fn says_of_itself(&self) -> Result<String> {
        let mut command = self.command();
        command.arg("--version");
        Ok(output(command, "").await?.0)
    }

    /// The first number of its version.
    pub(crate) async fn major(&self) -> Result<u32> {
        let said = self.says_of_itself().await?;
        let version = said.split(' ').nth(1).context("curl says no version")?;
        Ok(version.split('.').next().unwrap_or_default().parse()?)
    }

    /// curl's own name and version, and its HTTP library's.
    pub(crate) async fn name(&self) -> Result<String> {
        let said = self.says_of_itself().await?;
        let words: Vec<&str> = said.lines().next().unwrap_or_default().split(' ').collect();
        let parts =
            words.iter().filter(|word| ["nghttp2/", "ngtcp2/"].iter().any(|part| word.starts_with(part)));
        let parts: Vec<&str> = parts.copied().collect();
        Ok(format!("curl {} {}, {}", words.get(1).unwrap_or(&""), self.version, parts.join(" ")))
    }

    /// Sends all of them and gives back what became of each.
    pub(crate) async fn run(&self, ask: &Ask, way: &Way) -> Result<Vec<Run>> {
        let outside = self.chroot.as_ref().map_or_else(std::env::temp_dir, |chroot| chroot.join("tmp"));
        let dir = tempfile::Builder::new().prefix("ghostllm-curl-").tempdir_in(outside)?;
        let inside = match &self.chroot {
            Some(chroot) => Path::new("/").join(dir.path().strip_prefix(chroot)?),
            None => dir.path().to_path_buf(),
        };
        std::fs::write(dir.path().join("ca.pem"), &ask.ca)?;
        std::fs::write(dir.path().join("body"), &ask.body)?;
        let mut command = self.command();
        command
            .args(["--silent", self.version, "--max-time", "20", "--write-out", "%{json}\\n"])
            .args(["--parallel", "--parallel-max", &way.parallel.to_string()])
            .arg("--cacert")
            .arg(inside.join("ca.pem"))
            .arg("--data-binary")
            .arg(format!("@{}", inside.join("body").display()))
            .args(["--header", "content-type: application/json"])
            .args(["--header", &format!("authorization: Bearer {}", ask.key)])
            .arg("--output")
            .arg(inside.join("out.#1"));
        if way.slow {
            command.args(["--limit-rate", "200K"]);
        }
        command.arg(format!("{}?run=[1-{}]", ask.url, way.runs));
        // Told to be silent, curl 7.88 still shows the progress of parallel transfers, on its standard error.
        let (said, _progress) = output(command, "").await?;
        said.lines().map(|line| read(line, &dir)).collect()
    }
}

fn read(line: &str, dir: &TempDir) -> Result<Run> {
    let said: Said = serde_json::from_str(line).with_context(|| format!("curl said {line:?}"))?;
    let file = Path::new(&said.filename_effective).file_name().context("curl named no file")?;
    ensure!(file.to_string_lossy().starts_with("out."), "curl wrote to {file:?}");
    Ok(Run {
        status: said.response_code,
        text: std::fs::read_to_string(dir.path().join(file)).unwrap_or_default(),
        end: if said.exitcode == 0 { "clean" } else { "reset" }.into(),
        why: format!("({}) {}", said.exitcode, said.errormsg.unwrap_or_default()),
    })
}
