//! Loads a file in a child process first, so that a file on which llama.cpp aborts costs that child only.
//!
//! llama.cpp checks many numbers of a file with assertions that end the process. The head was judged before
//! ([`crate::gguf`]); this catches what only llama.cpp knows to be wrong. Invariants: the engine never loads a file that
//! a child did not survive; a child's program and libraries are of one build, also after an upgrade has replaced them.

use super::{TINY, llama};
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use std::ffi::OsStr;
use std::io::Read;
use std::num::NonZeroU32;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The hidden argument by which the program runs [`child`]. It stays what it is: the engine of before an upgrade may give it to the new one.
pub const ARGUMENT: &str = "--try-model";
/// What a child is called in lists of processes.
const NAME: &str = "ghostllm-engine";
/// The kernel's link to the program that runs, which leads to it also where its file is gone (proc_pid_exe(5)).
const OWN: &str = "/proc/self/exe";
/// What stands behind the path that this link shows where another file has the path, or none.
const GONE: &[u8] = b" (deleted)";
/// Tokens that a tiny model is given: enough for each kind of its tensors to be used.
const BATCH: u32 = 128;
/// How often the child is looked at: short beside the time that it takes.
const GLANCE: Duration = Duration::from_millis(5);
/// What is read of the child's log.
const LOG_BYTES: u64 = 64 << 10;

/// Has a child of this program load the file, within `limit`.
///
/// # Errors
/// What the child died of, for people.
pub(super) fn survives(path: &Path, limit: Duration) -> Result<(), String> {
    let start = || {
        let mut command = Command::new(program()?);
        command.arg0(NAME);
        // Else ggml starts a debugger on its way out.
        command.arg(ARGUMENT).arg(path).env("GGML_NO_BACKTRACE", "1");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()
    };
    let mut child = start().map_err(|error| {
        format!("a trial of the file could not be started: {error}; is the engine's program still installed? Then start it anew")
    })?;
    let log = child.stderr.take();
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(mut log) = log {
            // What does not fit is read and dropped, so that the child never waits for us.
            let _ = log.by_ref().take(LOG_BYTES).read_to_end(&mut text);
            let _ = std::io::copy(&mut log, &mut std::io::sink());
        }
        String::from_utf8_lossy(&text).into_owned()
    });
    let status = wait(&mut child, limit);
    let log = reader.join().unwrap_or_default();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(verdict(status, &log)),
        Err(problem) => Err(problem),
    }
}

/// The program that tries a file: this very one, from the kernel's own link, since an upgrade replaces the file long before it starts us
/// anew. Where llama.cpp lies in libraries beside it, they have been replaced with it, and what fits them is the program that lies at its path
/// now: what that survives is most likely sound for us as well, and half of each would be neither.
fn program() -> std::io::Result<PathBuf> {
    if cfg!(feature = "dynamic-backends") {
        std::fs::read_link(OWN).map(in_its_place)
    } else {
        Ok(OWN.into())
    }
}

/// The path of a program, whatever has become of the file that had it.
fn in_its_place(shown: PathBuf) -> PathBuf {
    let before = shown.as_os_str().as_bytes().strip_suffix(GONE);
    before.map(|path| OsStr::from_bytes(path).into()).unwrap_or(shown)
}

fn wait(child: &mut Child, limit: Duration) -> Result<ExitStatus, String> {
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if start.elapsed() < limit => std::thread::sleep(GLANCE),
            other => {
                // Killing a child that has just ended fails, and is not needed.
                let _ = child.kill();
                let _ = child.wait();
                return Err(match other {
                    Err(error) => format!("a trial of the file failed: {error}"),
                    _ => format!("llama.cpp did not come to an end with it within {limit:?}"),
                });
            }
        }
    }
}

fn verdict(status: ExitStatus, log: &str) -> String {
    let reason = log.lines().rev().find(|line| line.contains("GGML_ASSERT") || line.contains("ERROR"));
    let reason = reason.map_or_else(String::new, |line| format!(": {}", last_part(line)));
    match status.signal() {
        Some(signal) => format!("llama.cpp crashed on it (signal {signal}){reason}"),
        None => format!("llama.cpp could not load it{reason}"),
    }
}

/// A line of the log without its time and module.
fn last_part(line: &str) -> &str {
    let line = line.split_once("llama-cpp-2: ").map_or(line, |(_, rest)| rest);
    let line = line.split(" module=").next().unwrap_or(line).trim();
    line.get(..line.floor_char_boundary(300)).unwrap_or(line)
}

/// What the child does: loads the head and vocabulary, makes a context; a tiny model also thinks once.
///
/// # Errors
/// Why the file cannot be used.
pub fn child(path: &Path) -> Result<(), String> {
    let backend = llama::start()?;
    let tiny = std::fs::metadata(path).is_ok_and(|status| status.len() < TINY);
    // Weights of a large model are not read: they are only numbers.
    let params = LlamaModelParams::default().with_n_gpu_layers(0).with_no_alloc(!tiny);
    let weights = LlamaModel::load_from_file(&backend, path, &params).map_err(|error| error.to_string())?;
    let tokens = weights.vocab().tokenize(b"Hello, world", true, true);
    let params = LlamaContextParams::default()
        .with_n_ctx(NonZeroU32::new(2 * BATCH))
        .with_n_batch(BATCH)
        .with_n_ubatch(BATCH)
        .with_n_threads(1)
        .with_n_threads_batch(1);
    let mut context = weights.new_context(&backend, params).map_err(|error| error.to_string())?;
    if tiny && !tokens.is_empty() {
        let mut batch = LlamaBatch::new(BATCH as usize, 1);
        let some = tokens.get(..tokens.len().min(BATCH as usize)).unwrap_or_default();
        batch.add_sequence(some, 0, false).map_err(|error| error.to_string())?;
        context.decode(&mut batch).map_err(|error| error.to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_replaced_is_looked_for_where_it_was() {
        for shown in ["/usr/libexec/engine", "/usr/libexec/engine (deleted)"] {
            assert_eq!(in_its_place(shown.into()), Path::new("/usr/libexec/engine"), "{shown}");
        }
    }

    #[test]
    fn a_trial_ends_in_time_or_is_ended() {
        let start = |line: &str| {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", line]).stdin(Stdio::piped()).spawn().unwrap()
        };
        let hour = Duration::from_secs(3600);
        assert!(wait(&mut start("exit 0"), hour).unwrap().success());
        let mut child = start("exec cat");
        // `Child::wait` closes it, which would end the child.
        let _open = child.stdin.take();
        let problem = wait(&mut child, Duration::from_millis(50)).unwrap_err();
        assert!(problem.ends_with("within 50ms"), "{problem}");
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }
}
