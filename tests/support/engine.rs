//! The embedded engine as a process that a test starts, as a service manager would, and the files that it serves.
//!
//! Knows the engine's command line, its socket and what makes a GGUF file. Refuses to know its code. Invariant: no engine
//! outlives its test.

use std::{
    os::{
        fd::OwnedFd,
        unix::{fs::PermissionsExt as _, net::UnixListener},
    },
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::UnixStream,
    process::{Child, Command},
    time::timeout,
};

use crate::{binary, root};

/// How long the engine may take for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running engine. Dropping it kills the process.
#[derive(Debug)]
pub struct Engine {
    child: Child,
}

impl Engine {
    /// Starts an engine on this socket and waits until it serves.
    ///
    /// # Errors
    /// When it ends before.
    pub async fn start(socket: &Path, arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(binary("ghostllm-engine"));
        command.arg("--socket").arg(socket).args(arguments).stdin(Stdio::null());
        Self::run(command).await
    }

    /// Starts an engine that is handed this listener down, as systemd does with a socket unit (`sd_listen_fds(3)`).
    ///
    /// # Errors
    /// When it ends before it serves.
    pub async fn activated(listener: UnixListener) -> Result<Self> {
        let mut command = Command::new("/bin/sh");
        // The first descriptor that is handed down is number 3; the shell's own id is the engine's after `exec`.
        command
            .args(["-c", "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\""])
            .arg(binary("ghostllm-engine"))
            .stdin(Stdio::from(OwnedFd::from(listener)));
        Self::run(command).await
    }

    async fn run(mut command: Command) -> Result<Self> {
        let mut child = command.stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
        let mut lines = BufReader::new(child.stderr.take().context("standard error")?).lines();
        let serving = async {
            let mut said = String::new();
            while let Some(line) = lines.next_line().await? {
                if line.contains("serving") {
                    return anyhow::Ok(());
                }
                said += &line;
            }
            anyhow::bail!("the engine ended: {said}")
        };
        timeout(PATIENCE, serving).await.context("the engine does not serve in time")??;
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child })
    }

    /// Kills it and waits until it is gone.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }
}

/// Asks an engine on its socket, over a connection of its own; its status and its body.
///
/// # Errors
/// When nobody answers, or not with JSON.
pub async fn ask(socket: &Path, method: &str, path: &str, body: &[u8]) -> Result<(u16, Value)> {
    let answered = async {
        let stream = UnixStream::connect(socket).await?;
        let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header("host", "engine")
            .body(Full::new(Bytes::copy_from_slice(body)))?;
        let response = send.send_request(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, serde_json::from_slice(&body)?))
    };
    timeout(PATIENCE, answered).await.context("the engine does not answer in time")?
}

/// Asks an engine for its status until that is as wanted; each question is a round trip, so this is no busy loop.
///
/// # Errors
/// When it never is.
pub async fn wait_status(socket: &Path, wanted: impl Fn(&Value) -> bool) -> Result<()> {
    let reached = async {
        loop {
            let (code, status) = ask(socket, "GET", "/status", b"").await?;
            ensure!(code == 200, "{code} {status}");
            if wanted(&status) {
                return Ok(());
            }
        }
    };
    timeout(PATIENCE, reached).await.context("the engine's status is never as wanted")?
}

/// The demo model's file.
#[must_use]
pub fn demo() -> PathBuf {
    root().join("daemon/engine/demo/ghostllm-demo.gguf")
}

/// The demo with its end marks renamed, so that they are words like others, and a longer context: a model that never ends
/// its turn by itself.
///
/// # Panics
/// When the demo's file is not as it was when this was written.
#[must_use]
pub fn endless() -> Vec<u8> {
    /// What is changed stands in the file's head.
    const HEAD: usize = 60_000;
    let mut bytes = std::fs::read(demo()).unwrap();
    for (old, new) in
        [(b"<|im_end|>".as_slice(), b"<|im_eee|>".as_slice()), (b"<|endoftext|>", b"<|eeeoftext|>")]
    {
        let places: Vec<usize> = (0..HEAD).filter(|at| bytes[*at..].starts_with(old)).collect();
        assert!(!places.is_empty());
        places.iter().for_each(|at| bytes[*at..*at + new.len()].copy_from_slice(new));
    }
    for (key, value) in [("llama.context_length", 50_000_u32), ("tokenizer.ggml.eos_token_id", 5)] {
        let at = (0..HEAD).find(|at| bytes[*at..].starts_with(key.as_bytes())).unwrap() + key.len() + 4;
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    bytes
}

/// The demo with three of its tokens named for filling in: it takes a suffix.
///
/// # Panics
/// As [`endless`].
#[must_use]
pub fn filling() -> Vec<u8> {
    numbered(&[
        ("tokenizer.ggml.fim_pre_token_id", 1000),
        ("tokenizer.ggml.fim_suf_token_id", 1001),
        ("tokenizer.ggml.fim_mid_token_id", 1002),
    ])
}

/// The demo with these numbers more in its head.
///
/// # Panics
/// As [`endless`].
#[must_use]
pub fn numbered(numbers: &[(&str, u32)]) -> Vec<u8> {
    // GGUF: 4 is an unsigned number of 32 bits, 8 a text; a text has its length before it, in 64 bits.
    let text = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    let number =
        |(key, number): &(&str, u32)| [text(key), [4, *number].map(u32::to_le_bytes).concat()].concat();
    let mut more: Vec<u8> = numbers.iter().flat_map(number).collect();
    // So long that what follows stands where it stood within its 32 bytes.
    let padding =
        |length: usize| [text("x"), 8_u32.to_le_bytes().to_vec(), text(&"x".repeat(length))].concat();
    let (numbers_length, least) = (more.len(), padding(0).len());
    more.extend(padding((numbers_length + least).next_multiple_of(32) - numbers_length - least));
    let mut bytes = std::fs::read(demo()).unwrap();
    let entries = u64::from_le_bytes(bytes[16..24].try_into().unwrap()) + numbers.len() as u64 + 1;
    bytes[16..24].copy_from_slice(&entries.to_le_bytes());
    bytes.splice(24..24, more);
    bytes
}

/// Puts a file in place whole: whoever looks sees none of it or all.
///
/// # Errors
/// When it cannot be written.
pub fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    let aside = path.with_extension("part");
    std::fs::write(&aside, bytes)?;
    Ok(std::fs::rename(aside, path)?)
}

/// A program that runs the engine without root's right to read every file, as a user of its own would; a script, to be
/// named by `engine.binary`.
///
/// # Errors
/// When it cannot be written.
pub fn bounded(directory: &Path) -> Result<PathBuf> {
    let path = directory.join("bounded-engine");
    let engine = binary("ghostllm-engine");
    // Whoever is not root has no such right to drop, nor may they.
    let drop = if nix::unistd::geteuid().is_root() {
        "setpriv --bounding-set=-dac_override,-dac_read_search -- "
    } else {
        ""
    };
    std::fs::write(&path, format!("#!/bin/sh\nexec {drop}'{}' \"$@\"\n", engine.display()))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700))?;
    Ok(path)
}
