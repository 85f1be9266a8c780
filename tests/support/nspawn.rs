//! A Debian with a systemd of its own, in which the units and the programs of this tree lie: see `nspawn.sh`.
//!
//! Knows systemctl, and how a place inside is reached from without. Refuses to know what is tested. Invariant: it has the loopback
//! network alone, and is gone with this value or with the test's process, however that ends.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdin, Command},
    time::{sleep, timeout},
};

use crate::{binary, kept::Place, kept::Version, netns::Namespace, root};

/// How long it may take to boot, on a machine that does other things as well; and whatever systemd is asked for there.
const PATIENCE: Duration = Duration::from_secs(25);
/// How often something is looked at again.
const LOOK: Duration = Duration::from_millis(20);
/// The daemon's unit.
pub const UNIT: &str = "ghostllm.service";

/// A booted Debian.
#[derive(Debug)]
pub struct Container {
    /// Ends once its input does.
    script: Child,
    input: Option<ChildStdin>,
    /// Its first process.
    leader: u32,
}

impl Container {
    /// Boots one, in which nothing of ours runs yet.
    ///
    /// # Errors
    /// What keeps it from booting.
    pub async fn boot() -> Result<Self> {
        let programs = binary("ghostllm").parent().context("the programs' directory")?.to_owned();
        let mut script = Command::new(root().join("tests/support/nspawn.sh"))
            .arg("boot")
            .env("GHOSTLLM_PROGRAMS", programs)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (input, output) = (script.stdin.take(), script.stdout.take().context("its output")?);
        let mut line = String::new();
        timeout(PATIENCE, BufReader::new(output).read_line(&mut line))
            .await
            .context("it does not boot in time")??;
        let leader =
            line.trim().strip_prefix("booted ").with_context(|| format!("nspawn.sh: {line}"))?.parse()?;
        Ok(Self { script, input, leader })
    }

    /// The same, with the daemon started.
    ///
    /// # Errors
    /// As above, or it does not start.
    pub async fn started() -> Result<Self> {
        let container = Self::boot().await?;
        container.systemctl("start ghostllm").await?;
        Ok(container)
    }

    /// Ends it, and waits until nothing is left.
    ///
    /// # Errors
    /// It goes on.
    pub async fn end(mut self) -> Result<()> {
        drop(self.input.take());
        timeout(PATIENCE, self.script.wait()).await.context("it does not end")??;
        Ok(())
    }

    /// Where a file of it is seen from here.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.leader))
    }

    /// Its network.
    ///
    /// # Errors
    /// It has ended.
    pub fn network(&self) -> Result<Namespace> {
        Namespace::of(self.leader)
    }

    /// Writes a file, with the directories above it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = self.path(path);
        fs::create_dir_all(path.parent().context("a directory")?)?;
        Ok(fs::write(path, text)?)
    }

    /// Lines for a unit, which count from the next reload of systemd on, done here.
    ///
    /// # Errors
    /// It cannot be written, or systemd does not take it.
    pub async fn drop_in(&self, unit: &str, text: &str) -> Result<()> {
        self.write(&format!("/etc/systemd/system/{unit}.d/test.conf"), text)?;
        self.systemctl("daemon-reload").await?;
        Ok(())
    }

    /// Runs a program in it.
    ///
    /// # Errors
    /// It takes too long, or cannot be started.
    pub async fn run(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.leader.to_string(), "--mount", "--uts", "--ipc", "--net", "--pid"])
            .args(["--cgroup", "--root", "--wd", "--"])
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        Ok(timeout(PATIENCE, command.output()).await.with_context(|| format!("{arguments:?} goes on"))??)
    }

    /// `systemctl` with these words; what it prints.
    ///
    /// # Errors
    /// It fails; with what it and the daemon's journal say.
    pub async fn systemctl(&self, words: &str) -> Result<String> {
        match self.tried(words).await? {
            (true, said) => Ok(said),
            (false, said) => bail!("systemctl {words}: {said}\n{}", self.journal().await?),
        }
    }

    /// The same where it may fail: whether it has succeeded, and what it has written.
    ///
    /// # Errors
    /// It cannot be started.
    pub async fn tried(&self, words: &str) -> Result<(bool, String)> {
        let arguments: Vec<_> = ["systemctl"].into_iter().chain(words.split_whitespace()).collect();
        let Output { status, stdout, stderr } = self.run(&arguments).await?;
        Ok((status.success(), String::from_utf8_lossy(&[stdout, stderr].concat()).trim().to_owned()))
    }

    /// A property of the daemon's unit.
    ///
    /// # Errors
    /// systemctl fails.
    pub async fn property(&self, name: &str) -> Result<String> {
        self.systemctl(&format!("show --property={name} --value {UNIT}")).await
    }

    /// Waits until that property satisfies this.
    ///
    /// # Errors
    /// It does not in time.
    pub async fn until(&self, name: &str, is: impl Fn(&str) -> bool) -> Result<String> {
        let begun = Instant::now();
        loop {
            let value = self.property(name).await?;
            if is(&value) {
                return Ok(value);
            }
            ensure!(begun.elapsed() < PATIENCE, "{name} is {value:?}\n{}", self.journal().await?);
            sleep(LOOK).await;
        }
    }

    /// The daemon's process, as this machine counts them.
    ///
    /// # Errors
    /// It has none.
    pub async fn daemon(&self) -> Result<u32> {
        let inner = self.property("MainPID").await?;
        ensure!(inner != "0", "the service has no process");
        // The last number of each is the one in the innermost namespace.
        let named = |process: &Path| {
            let status = fs::read_to_string(process.join("status")).ok()?;
            let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
            let is = numbers.split_whitespace().nth(1) == Some(inner.as_str());
            let own = fs::read_link(process.join("ns/pid")).ok()?;
            let here = fs::read_link(format!("/proc/{}/ns/pid", self.leader)).ok()?;
            (is && own == here).then(|| process.file_name()?.to_str()?.parse().ok()).flatten()
        };
        let mut processes = fs::read_dir("/proc")?.filter_map(|entry| named(&entry.ok()?.path()));
        processes.next().with_context(|| format!("process {inner} is not seen"))
    }

    /// What systemd and the daemon have said of the service.
    ///
    /// # Errors
    /// journalctl fails.
    pub async fn journal(&self) -> Result<String> {
        let output = self
            .run(&["journalctl", "--boot", "--no-pager", "--output=short-precise", "--unit=ghostllm*"])
            .await?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// How that version is spoken to there, on IPv4.
    #[must_use]
    pub fn place(&self, version: Version) -> Place {
        let port = if version == Version::Plain { 11430 } else { 11443 };
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        Place { version, address, ca: self.path("/var/lib/ghostllm/ca/ca.pem"), key: None }
    }
}
