//! What is in the memory of the daemon and its engine, keys and prompts, is read by no other program of their user, and by
//! nobody from a core.

use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    path::Path,
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{
    binary,
    client::{Caller, Family, Request, Version},
    daemon::{Daemon, Setup, Signal},
    process,
};
use nix::unistd::geteuid;

use crate::FRANCE;

/// Reads the environment and the memory of each process, and attaches to it; a line for each, with what came of the three.
const PROBE: &str = r#"
import ctypes, errno, os, sys
ptrace = ctypes.CDLL(None, use_errno=True).ptrace
PTRACE_SEIZE = 0x4206
def opened(path):
    try:
        os.close(os.open(path, os.O_RDONLY))
        return "open"
    except OSError as error:
        return errno.errorcode[error.errno]
for pid in sys.argv[1:]:
    seized = ptrace(PTRACE_SEIZE, ctypes.c_long(int(pid)), None, None) == 0
    attached = "open" if seized else errno.errorcode[ctypes.get_errno()]
    print(opened(f"/proc/{pid}/environ"), opened(f"/proc/{pid}/mem"), attached)
"#;

/// A process that is killed with the value.
struct Bystander(std::process::Child);

impl Drop for Bystander {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// An ordinary user: the test's own, or in its stead one that has no name.
fn ordinary() -> Option<u32> {
    geteuid().is_root().then_some(54321)
}

/// What a program of that user, started here, runs as.
fn command(program: &str) -> Command {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new(program);
    if let Some(user) = ordinary() {
        command.uid(user).gid(user);
    }
    command.current_dir("/").stdin(Stdio::null());
    command
}

/// What another program of the user may do with each of these processes.
fn probe(processes: &[u32]) -> Result<Vec<String>> {
    let mut command = command("/usr/bin/python3");
    let output = command.args(["-c", PROBE]).args(processes.iter().map(u32::to_string)).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
}

/// A daemon of an ordinary user whose engine runs, in a directory where the program of the engine lies for all to run.
async fn with_engine(folder: &Path) -> Result<(Daemon, u32)> {
    let engine = folder.join("ghostllm-engine");
    fs::copy(binary("ghostllm-engine"), &engine)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    let line = format!("binary = \"{}\"", engine.display());
    let daemon = Daemon::start(&Setup { user: ordinary(), ..Setup::default() }.with_engine(&line)).await?;
    let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
    let answer = caller.send(&Request::chat("ghostllm-demo", FRANCE, false)).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    let engine = daemon.engine()?;
    Ok((daemon, engine))
}

#[tokio::test]
async fn no_other_program_of_the_user_reads_the_memory() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (daemon, engine) = with_engine(folder.path()).await?;
    let bystander = Bystander(command("/usr/bin/sleep").arg("60").spawn()?);
    let seen = probe(&[daemon.id()?, engine, bystander.0.id()])?;
    let [of_daemon, of_engine, of_another] = &seen[..] else { anyhow::bail!("{seen:?}") };
    println!("environment, memory, attaching: daemon {of_daemon}; engine {of_engine}; sleep {of_another}");
    // Where Yama is strict, nobody attaches to anything that it has not started.
    let yama = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    let strict = !matches!(yama.trim(), "" | "0");
    let open = if strict { of_another.starts_with("open ") } else { of_another == "open open open" };
    ensure!(open, "this probe cannot tell anything apart: {of_another}");
    for (who, seen) in [("the daemon", of_daemon), ("the engine", of_engine)] {
        ensure!(seen == "EACCES EACCES EPERM", "{who}: {seen}");
    }
    for id in [daemon.id()?, engine] {
        let limits = fs::read_to_string(format!("/proc/{id}/limits"))?;
        let line = limits.lines().find(|line| line.starts_with("Max core file size")).context("no limit")?;
        let words: Vec<&str> = line.split_whitespace().skip(4).take(2).collect();
        ensure!(words == ["0", "0"], "{line}");
    }
    daemon.stop().await
}

/// Dumps what it may, in that folder.
fn dumping(folder: &Path) -> String {
    format!("ulimit -c \"$(ulimit -H -c)\" && cd '{}' && exec \"$0\" \"$@\"", folder.display())
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    entries.collect()
}

/// Another program, killed the same way, does leave a core here. Where it does not, that is told: then nothing can be shown but
/// that the kernel says so of the daemon as well.
fn control(signal: Signal) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let script = dumping(folder.path());
    let mut child = Bystander(Command::new("sh").args(["-c", &script, "sleep", "60"]).spawn()?);
    // Once it is sleep, and no shell any more.
    while process::arguments(child.0.id()).first().is_none_or(|program| program != "sleep") {
        std::thread::yield_now();
    }
    process::signal(child.0.id(), signal)?;
    let status: ExitStatus = child.0.wait()?;
    if status.core_dumped() {
        println!("{signal}: sleep has dumped a core, in its folder lies {:?}", names(folder.path())?);
    } else {
        println!("{signal}: not even sleep dumps a core here, so that this shows little");
    }
    Ok(())
}

/// Kills it. Rust's own handler of SIGSEGV takes the first one, for want of a fault, and steps aside.
async fn crash(id: u32, signal: Signal) {
    while !process::is_gone(id) {
        let _already_gone = process::signal(id, signal);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_crash_leaves_no_core() -> Result<()> {
    for signal in [Signal::SIGABRT, Signal::SIGSEGV] {
        control(signal)?;
        let folder = tempfile::tempdir()?;
        let prefix = vec!["sh".to_owned(), "-c".to_owned(), dumping(folder.path())];
        let daemon = Daemon::start(&Setup { prefix, ..Setup::default() }).await?;
        let caller = Caller::new(&daemon, Version::H1, Family::V4).await?;
        let answer = caller.send(&Request::chat("ghostllm-demo", FRANCE, false)).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        crash(daemon.engine()?, signal).await;
        // The kernel's own words for its end, which are "(core dumped)" at their end where one was.
        let number = signal as i32;
        daemon.wait_said(&format!("signal: {number} ({signal})")).await?;
        ensure!(!daemon.stderr().contains("core dumped"), "the engine's core:\n{}", daemon.stderr());
        crash(daemon.id()?, signal).await;
        let ended = daemon.wait().await?;
        ensure!(ended.status.signal() == Some(number), "{}", ended.status);
        ensure!(!ended.status.core_dumped(), "the daemon's core: {}", ended.status);
        ensure!(names(folder.path())?.is_empty(), "{:?}", names(folder.path())?);
    }
    Ok(())
}
