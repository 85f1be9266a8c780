//! `ghostctl logs` over what the real daemon has written into a real journald, which has a mount namespace of its own.

use std::{
    io::{BufRead, BufReader, Lines, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::{binary, root};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// What a busy machine may take for what takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(15);

/// The namespaces of a journald, which ends with this.
struct Journal {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Drop for Journal {
    fn drop(&mut self) {
        let _ended_already = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM);
        let _ended = self.child.wait();
    }
}

impl Journal {
    fn new() -> Result<Self> {
        let mut child = Command::new("unshare")
            .args(["--mount", "--cgroup"])
            .arg(root().join("tests/support/journald.sh"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().context("its input")?;
        let mut said = String::new();
        let mut output = BufReader::new(child.stdout.take().context("its output")?);
        output.read_line(&mut said)?;
        ensure!(said == "ready\n", "journald does not start: `just setup` installs it: {said}");
        Ok(Self { child, input, output })
    }

    /// A command that sees this journal.
    fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--cgroup", "--target", &self.child.id().to_string()]);
        command
            .arg(program.as_ref())
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("TZ", "UTC");
        command.stdin(Stdio::null());
        command
    }

    fn logs(&self, arguments: &[&str]) -> Result<Output> {
        Ok(self.command(binary("ghostctl")).arg("logs").args(arguments).output()?)
    }

    /// A program of that unit's.
    fn of_a_unit(&self, unit: &str, program: impl AsRef<Path>) -> Command {
        let mut command = self.command("/usr/bin/python3");
        command.arg(root().join("tests/support/of-a-unit.py")).arg(unit).arg(program.as_ref());
        command
    }

    /// A line of the engine's, which stays until the line is in the journal: journald looks whose it is while there is a process to look at.
    fn engine_says(&self, words: &str) -> Result<()> {
        let mut command = self.of_a_unit("ghostllm-engine.service", "/bin/sh");
        let mut engine = command.args(["-c", "echo \"$0\"; read _", words]).stdin(Stdio::piped()).spawn()?;
        let begun = Instant::now();
        while !self.of_process(engine.id())?.iter().any(|entry| entry["MESSAGE"] == words) {
            ensure!(begun.elapsed() < PATIENCE, "{words:?} does not come to the journal");
            std::thread::sleep(Duration::from_millis(50));
        }
        drop(engine.stdin.take());
        engine.wait()?;
        Ok(())
    }

    /// What this process has written itself, as the journal keeps it.
    fn of_process(&self, pid: u32) -> Result<Vec<Value>> {
        let mut command = self.command("journalctl");
        let ran =
            command.args(["--output=json", "--no-pager", "--quiet"]).arg(format!("_PID={pid}")).output()?;
        ensure!(ran.status.success(), "{ran:?}");
        let out = String::from_utf8(ran.stdout)?;
        Ok(out.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
    }

    /// Has it rotated, stopped, continued, killed or started.
    fn order(&mut self, order: &str) -> Result<()> {
        writeln!(self.input, "{order}")?;
        let mut said = String::new();
        self.output.read_line(&mut said)?;
        ensure!(said == "done\n", "{order}: {said:?}");
        Ok(())
    }

    /// The entries once there are some of this message.
    fn entries(&self, arguments: &[&str], wanted: &str) -> Result<Vec<Value>> {
        let begun = Instant::now();
        loop {
            let ran = self.logs(&[arguments, &["--json"]].concat())?;
            ensure!(ran.status.code() == Some(0), "{ran:?}");
            let out = String::from_utf8(ran.stdout)?;
            let entries: Vec<Value> = out.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
            let there = |entry: &Value| entry["message"].as_str().is_some_and(|text| text.contains(wanted));
            if entries.iter().any(there) {
                return Ok(entries);
            }
            ensure!(begun.elapsed() < PATIENCE, "{wanted:?} is not there: {entries:#?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A daemon whose log is the journal's.
struct Serving {
    child: Child,
    /// Its plain port.
    plain: SocketAddr,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _ended = self.child.wait();
    }
}

impl Serving {
    /// With a state and a configuration in this directory.
    fn new(journal: &Journal, at: &Path) -> Result<Self> {
        let config = at.join("ghostllm.toml");
        let listen = "[listen]\ntls = \"[::1]:0\"\nplain = [\"127.0.0.1:0\"]\n[log]\nlevel = \"debug\"\n";
        let backend = "[[backends]]\nname = \"off\"\nkind = \"ollama\"\nurl = \"http://127.0.0.1:1\"\n";
        std::fs::write(&config, format!("{listen}{backend}"))?;
        let notify = UnixDatagram::bind(at.join("notify"))?;
        notify.set_read_timeout(Some(PATIENCE))?;
        let mut command = journal.of_a_unit("ghostllm.service", binary("ghostllm"));
        command.arg("serve").arg("--config").arg(&config).arg("--state-dir").arg(at.join("state"));
        let child = command.env("NOTIFY_SOCKET", at.join("notify")).spawn()?;
        let mut serving = Self { child, plain: SocketAddr::from(([0; 4], 0)) };
        let mut notice = [0; 4096];
        loop {
            let count = notify.recv(&mut notice).context("READY=1")?;
            let text = String::from_utf8_lossy(&notice[..count]);
            let plain = text.lines().find_map(|line| line.strip_prefix("X_GHOSTLLM_PLAIN="));
            if let Some(plain) = plain {
                serving.plain = plain.parse()?;
                return Ok(serving);
            }
        }
    }

    /// Asks whether it serves, so many times on one connection; the longest time that an answer took.
    fn ask(&self, times: usize) -> Result<Duration> {
        let mut stream = TcpStream::connect(self.plain)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let (mut longest, mut buffer) = (Duration::ZERO, [0; 4096]);
        for time in 0..times {
            let begun = Instant::now();
            stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
            let mut answer = 0;
            while !buffer[..answer].ends_with(b"the edge serves\n") {
                let read = stream.read(&mut buffer[answer..]);
                answer += read.with_context(|| format!("no answer to request {time}"))?;
            }
            longest = longest.max(begun.elapsed());
        }
        Ok(longest)
    }
}

/// How many of these records were lost, as they say.
fn lost(entries: &[Value]) -> Result<u64> {
    let told = entries.iter().filter_map(|entry| entry["fields"]["lost"].as_str());
    Ok(told.map(str::parse::<u64>).sum::<Result<u64, _>>()?)
}

fn of_requests(entries: &[Value]) -> u64 {
    entries.iter().filter(|entry| entry["fields"]["route"] == "/healthz").count() as u64
}

#[test]
fn what_the_daemon_writes_is_read_with_its_level_and_its_fields() -> Result<()> {
    let journal = Journal::new()?;
    let at = tempfile::tempdir()?;
    let mut daemon = Serving::new(&journal, at.path())?;
    let entries = journal.entries(&[], "GhostLLM serves")?;
    let pid = daemon.child.id();
    kill(Pid::from_raw(pid.cast_signed()), Signal::SIGTERM)?;
    daemon.child.wait()?;
    journal.engine_says("a model is loaded")?;
    let last = journal.entries(&["-n", "1"], "a model is loaded")?;
    ensure!(last.len() == 1 && last[0]["unit"] == "ghostllm-engine.service", "{last:#?}");
    ensure!(last[0]["program"] == "sh" && last[0]["level"] == "info", "{last:#?}");
    let found = entries.iter().find(|entry| entry["fields"].as_object().is_some_and(|all| !all.is_empty()));
    let found = found.with_context(|| format!("no entry has fields: {entries:#?}"))?;
    ensure!(found["unit"] == "ghostllm.service" && found["program"] == "ghostllm", "{found:#}");
    ensure!(found["pid"] == pid && found["target"].is_string(), "{found:#}");
    // The same for people, in this box's time.
    let shown = String::from_utf8(journal.logs(&["-n", "100"])?.stdout)?;
    let message = found["message"].as_str().context("a message")?;
    let line = shown.lines().find(|line| line.contains(message)).context("its line")?;
    println!("{line}");
    let (name, value) = found["fields"].as_object().and_then(|all| all.iter().next()).context("a field")?;
    ensure!(line.contains(&format!(" {name}=")) && line.contains(value.as_str().unwrap_or("?")), "{line}");
    let clock = found["at"].as_str().context("a time")?.replace('T', " ");
    ensure!(line.starts_with(&clock[..19]), "{line} is not of {clock}");
    Ok(())
}

/// `ghostctl logs --follow`, and what it says.
fn follow(journal: &Journal, arguments: &[&str]) -> Result<(Child, Lines<BufReader<ChildStdout>>)> {
    let mut command = journal.command(binary("ghostctl"));
    let mut child = command.args(["logs", "--follow"]).args(arguments).stdout(Stdio::piped()).spawn()?;
    let lines = BufReader::new(child.stdout.take().context("its output")?).lines();
    Ok((child, lines))
}

#[test]
fn who_follows_goes_on_over_a_rotation_and_ends_well_at_ctrl_c() -> Result<()> {
    let mut journal = Journal::new()?;
    journal.engine_says("before")?;
    journal.entries(&[], "before")?;
    let (mut all, mut lines) = follow(&journal, &[])?;
    let mut next = || lines.next().context("it has ended")?.map_err(anyhow::Error::from);
    ensure!(next()?.ends_with(" sh: before"));
    for number in 0..4 {
        let words = format!("entry {number}");
        journal.engine_says(&words)?;
        let line = next()?;
        ensure!(line.ends_with(&format!(" INFO sh: {words}")), "{line}");
        // Behind what has been read, so that the next entry is in a file that was not there when this began.
        journal.order("rotate")?;
    }
    kill(Pid::from_raw(all.id().cast_signed()), Signal::SIGINT)?;
    let ended = all.wait()?;
    ensure!(ended.code() == Some(130), "{ended}");
    // All that rotation has spread over files are read again, in their order.
    let entries = journal.entries(&[], "entry 3")?;
    let messages: Vec<&str> = entries.iter().filter_map(|entry| entry["message"].as_str()).collect();
    ensure!(messages == ["before", "entry 0", "entry 1", "entry 2", "entry 3"], "{messages:?}");
    Ok(())
}

/// More records than the journal's socket takes, the log's queue, and what its thread has in hand.
const MANY: usize = 12_000;

#[test]
fn a_journal_that_hangs_holds_no_request_up_and_hears_how_much_it_has_missed() -> Result<()> {
    let mut journal = Journal::new()?;
    let at = tempfile::tempdir()?;
    let daemon = Serving::new(&journal, at.path())?;
    journal.entries(&[], "GhostLLM serves")?;
    let at_rest = daemon.ask(500)?;
    journal.order("stop")?;
    let meanwhile = daemon.ask(MANY)?;
    journal.order("continue")?;
    println!(
        "the longest answer of 500 at rest: {at_rest:?}, of {MANY} with a stopped journald: {meanwhile:?}"
    );
    let all = (MANY + 500) as u64;
    let entries = journal.entries(&["-n", "20000"], "records of the log were lost")?;
    let (told, lost) = (of_requests(&entries), lost(&entries)?);
    println!("{told} records of requests are in the journal and {lost} were lost");
    ensure!(told < all && (all..all + 50).contains(&(told + lost)), "{told} and {lost} of {all}");
    Ok(())
}

#[test]
fn a_journal_that_dies_holds_no_request_up_and_has_the_log_again_when_it_is_back() -> Result<()> {
    let mut journal = Journal::new()?;
    let at = tempfile::tempdir()?;
    let daemon = Serving::new(&journal, at.path())?;
    journal.entries(&[], "GhostLLM serves")?;
    journal.order("kill")?;
    let meanwhile = daemon.ask(500)?;
    journal.order("start")?;
    println!("the longest answer of 500 without a journald: {meanwhile:?}");
    daemon.ask(1)?;
    // Standard error was the dead one's as well. The new one does not know whose unit the process is, which takes systemd.
    let begun = Instant::now();
    let (told, lost) = loop {
        let all = journal.of_process(daemon.child.id())?;
        let said = |words: &str| {
            all.iter().any(|entry| entry["MESSAGE"].as_str().is_some_and(|text| text.contains(words)))
        };
        let lost = all.iter().filter_map(|entry| entry["F_LOST"].as_str()).map(str::parse::<u64>);
        let lost = lost.sum::<Result<u64, _>>()?;
        let told = all.iter().filter(|entry| entry["F_ROUTE"] == "/healthz").count() as u64;
        if said("the journal is back") && lost > 0 && told + lost >= 501 {
            break (told, lost);
        }
        ensure!(begun.elapsed() < PATIENCE, "{told} are told and {lost} lost of 501: {all:#?}");
        std::thread::sleep(Duration::from_millis(50));
    };
    println!("{told} records of requests are in the journal and {lost} were lost");
    ensure!(told + lost < 551, "more than there were");
    Ok(())
}

/// A copy where every user may run it.
fn for_everybody(at: &Path) -> Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(at, std::fs::Permissions::from_mode(0o755))?;
    let copy = at.join("ghostctl");
    std::fs::copy(binary("ghostctl"), &copy)?;
    Ok(copy)
}

#[test]
fn who_may_not_read_the_journal_hears_who_may() -> Result<()> {
    let journal = Journal::new()?;
    journal.engine_says("hello")?;
    journal.entries(&[], "hello")?;
    let at = tempfile::tempdir()?;
    let program = for_everybody(at.path())?;
    let stranger = |arguments: &[&str]| {
        let mut command = journal.command("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program).arg("logs");
        command.args(arguments).output()
    };
    let refused = stranger(&[])?;
    let said = String::from_utf8_lossy(&refused.stderr);
    ensure!(refused.status.code() == Some(4) && refused.stdout.is_empty(), "{refused:?}");
    for words in ["systemd-journal", "adm", "Next: sudo ghostctl logs", "usermod -aG systemd-journal"] {
        ensure!(said.contains(words), "{words}: {said}");
    }
    let refused: Value = serde_json::from_slice(&stranger(&["--json"])?.stdout)?;
    ensure!(refused["error"]["code"] == "denied", "{refused}");
    // Whoever is in the group that the files belong to reads them.
    let mut command = journal.command("sh");
    let line = "chgrp -R 54330 /run/log/journal && exec setpriv --reuid=65534 --regid=65534 --groups=54330 \"$0\" logs";
    let read = command.args(["-c", line]).arg(&program).output()?;
    ensure!(
        read.status.code() == Some(0) && String::from_utf8_lossy(&read.stdout).contains("hello"),
        "{read:?}"
    );
    Ok(())
}

#[test]
fn a_box_without_a_journal_says_where_else_the_log_may_be() -> Result<()> {
    let line = "mount -t tmpfs none /run/log; [ ! -d /var/log/journal ] || mount -t tmpfs none /var/log/journal; exec \"$0\" logs";
    let ran = Command::new("unshare").args(["--mount", "sh", "-c", line]).arg(binary("ghostctl")).output()?;
    let said = String::from_utf8_lossy(&ran.stderr);
    ensure!(ran.status.code() == Some(5), "{ran:?}");
    ensure!(
        said.contains("no journal") && said.contains("Next: systemctl status systemd-journald"),
        "{said}"
    );
    Ok(())
}

#[test]
fn the_daemon_that_faces_the_network_links_no_libsystemd() -> Result<()> {
    let linked = |program: &str| -> Result<String> {
        let ran = Command::new("ldd").arg(binary(program)).output()?;
        ensure!(ran.status.success(), "{ran:?}");
        Ok(String::from_utf8(ran.stdout)?)
    };
    // What is looked for is there to be found.
    ensure!(linked("ghostctl")?.contains("libsystemd.so"), "ghostctl is built without its feature `journal`");
    for program in ["ghostllm", "ghostllm-engine"] {
        let linked = linked(program)?;
        ensure!(linked.contains("libc.so") && !linked.contains("libsystemd"), "{program} links {linked}");
    }
    Ok(())
}
