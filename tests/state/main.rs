//! State on disk, from outside: killed, traced, damaged, opened to others, on a disk that fails.
//!
//! Knows the daemon, the store room's own test binary (`tests/store-writer`), strace and mounts. Refuses to know the room's
//! code. Invariant: what this machine cannot do is a failed test that says so, never one that is left out.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test crate: a panic is a failed test, and figures are there to be seen"
)]

mod daemon;
mod damage;
mod disks;
mod kills;
mod modes;
mod order;
mod random;
mod upgrade;

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::binary;
use tempfile::TempDir;

/// The store room's test binary, waiting for steps. Dropped, its input ends, and so does it.
pub(crate) struct Steps {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    log: PathBuf,
    _scratch: TempDir,
}

impl Steps {
    /// Starts it on that directory, by way of that program and its arguments.
    pub(crate) fn start(prefix: &[&OsStr], directory: &Path) -> Result<Self> {
        let scratch = tempfile::tempdir()?;
        let log = scratch.path().join("log");
        let program = binary("store-writer");
        let mut line = prefix.iter().copied().chain([program.as_os_str(), OsStr::new("steps")]);
        let first = line.next().context("a program")?;
        let mut child = Command::new(first)
            .args(line)
            .arg(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log)?)
            .spawn()
            .with_context(|| format!("{first:?} does not start; is it missing? `just setup` installs it"))?;
        let (input, output) =
            (child.stdin.take().context("its input")?, child.stdout.take().context("its output")?);
        let mut steps = Self { child, input, output: BufReader::new(output), log, _scratch: scratch };
        let found = steps.line()?;
        ensure!(found.starts_with("found "), "{found:?}; it wrote:\n{}", steps.log());
        Ok(steps)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        ensure!(!line.is_empty(), "it ended; it wrote:\n{}", self.log());
        Ok(line.trim_end().to_owned())
    }

    /// Has one step done; what it said when it was done.
    pub(crate) fn step(&mut self, step: &str) -> Result<String> {
        writeln!(self.input, "{step}")?;
        self.line()
    }

    /// The same, where this is what it has to say.
    pub(crate) fn expect(&mut self, step: &str, said: &str) -> Result<()> {
        let answer = self.step(step)?;
        ensure!(answer.starts_with(said), "{step}: {answer:?} instead of {said:?}; its log:\n{}", self.log());
        Ok(())
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends its input and waits for its end.
    pub(crate) fn end(self) -> Result<()> {
        let Self { mut child, input, .. } = self;
        drop(input);
        let status = child.wait()?;
        ensure!(status.success(), "it ended with {status}");
        Ok(())
    }
}

/// How often the log says that the alert begins, and that it is over.
pub(crate) fn alerts(log: &str) -> (usize, usize) {
    // In JSON and in text; a refused request's record has the word as its code.
    let forms = ["\"alert\":\"state_unwritable\"", "alert=\"state_unwritable\""];
    let all: usize = forms.iter().map(|form| log.matches(form).count()).sum();
    let over = log.matches("state can be written again").count();
    (all - over, over)
}

/// What `store-writer open` said of a state directory: its output, or its last words.
pub(crate) fn open(directory: &Path) -> Result<Result<String, String>> {
    let output = Command::new(binary("store-writer")).arg("open").arg(directory).output()?;
    let [said, log] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    ensure!(output.status.code().is_some(), "a signal ended it; it wrote:\n{log}");
    ensure!(!log.contains("panicked"), "it panicked:\n{log}");
    if output.status.success() {
        return Ok(Ok(said.trim_end().to_owned()));
    }
    Ok(Err(log.lines().last().unwrap_or_default().to_owned()))
}

/// Runs a line of a shell, as a person would paste it.
pub(crate) fn shell(line: &str) -> Result<()> {
    let output = Command::new("sh").args(["-c", line]).output()?;
    ensure!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The names in a directory, sorted.
pub(crate) fn names(directory: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
