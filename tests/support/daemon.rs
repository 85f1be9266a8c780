//! The daemon as a process: started with its own state, waited for by the notify protocol, stopped by SIGTERM.
//!
//! Knows the command line, the notify protocol, exit codes and the state directory. Refuses to know the daemon's code.
//! Invariant: no daemon outlives its test, and a failed wait shows what the daemon wrote.

use std::{
    ffi::OsStr,
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
pub use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_gettime};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::UnixDatagram,
    process::{Child, Command},
    sync::{
        Mutex as AsyncMutex,
        mpsc::{UnboundedReceiver, unbounded_channel},
        watch,
    },
    time::timeout,
};

use crate::{binary, canary::Watch, process, root};

/// How long a daemon may take to be ready, or to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a daemon is started with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The configuration's `[listen]` lines; free ports by default.
    pub listen: String,
    /// The rest of the configuration: `[limits]`, `[[backends]]`.
    pub config: String,
    /// Further arguments.
    pub arguments: Vec<String>,
    /// Pass `--state-dir` with a directory of the test's own.
    pub state: bool,
    /// Environment variables; the test's own are not handed on.
    pub environment: Vec<(String, String)>,
    /// A program and its arguments that becomes the daemon: `without-ipv6.py`, `hand-down.py`.
    pub prefix: Vec<String>,
    /// The daemon's program; as Cargo built it for this test, by default.
    pub program: Option<PathBuf>,
    /// The user that it runs as, by number, and no group but the one of that number; the test's own by default.
    pub user: Option<u32>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            listen: "tls = \"[::]:0\"\nplain = [\"127.0.0.1:0\", \"[::1]:0\"]\n".into(),
            config: String::new(),
            arguments: Vec::new(),
            state: true,
            environment: Vec::new(),
            prefix: Vec::new(),
            program: None,
            user: None,
        }
    }
}

impl Setup {
    /// A daemon with one backend named `kind`, of that kind, at that URL.
    #[must_use]
    pub fn backend(kind: &str, url: &str) -> Self {
        Self::default().with_backend(kind, kind, url, "")
    }

    /// One more backend, with further lines of its table.
    #[must_use]
    pub fn with_backend(mut self, name: &str, kind: &str, url: &str, lines: &str) -> Self {
        let _ = write!(
            self.config,
            "\n[[backends]]\nname = \"{name}\"\nkind = \"{kind}\"\nurl = \"{url}\"\n{lines}\n"
        );
        self
    }

    /// One more backend that is a file.
    #[must_use]
    pub fn with_file(mut self, name: &str, path: &Path) -> Self {
        let path = path.display();
        let _ =
            write!(self.config, "\n[[backends]]\nname = \"{name}\"\nkind = \"gguf\"\npath = \"{path}\"\n");
        self
    }

    /// Lines of `[engine]`.
    #[must_use]
    pub fn with_engine(mut self, lines: &str) -> Self {
        self.config = format!("[engine]\n{lines}\n{}", self.config);
        self
    }

    /// Lines of `[limits]`.
    #[must_use]
    pub fn with_limits(mut self, lines: &str) -> Self {
        let rest = self.config.strip_prefix("[limits]\n").unwrap_or(&self.config);
        self.config = format!("[limits]\n{lines}\n{rest}");
        self
    }

    /// Hands these down to it (see `hand-down.py`).
    #[must_use]
    pub fn handed(mut self, sockets: &[String]) -> Self {
        let script = root().join("tests/support/hand-down.py").display().to_string();
        let sockets = sockets.iter().cloned();
        self.prefix =
            ["python3".to_owned(), script].into_iter().chain(sockets).chain(["--".to_owned()]).collect();
        self
    }

    /// The whole configuration.
    fn text(&self) -> String {
        format!("[listen]\n{}\n{}", self.listen, self.config)
    }

    /// Its secrets, and where they are looked for: in the state directory of these arguments, or that below the daemon's own
    /// directory.
    fn watch(&self, dir: &Path) -> Watch {
        let given = self.arguments.iter().skip_while(|argument| *argument != "--state-dir").nth(1);
        let own = if self.state { "state" } else { ".local/state/ghostllm" };
        Watch::new(given.map_or_else(|| dir.join(own), PathBuf::from), dir.join("ghostllm.toml"))
    }

    /// One more environment variable.
    #[must_use]
    pub fn with_environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }
}

/// A running daemon. Dropping it kills the process and removes its state. However it ends, what it leaves behind is looked
/// through for secrets.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    said: Said,
    watch: Watch,
    dir: TempDir,
    notices: Notices,
    /// TCP port of the TLS listener.
    pub tls: u16,
    /// UDP port of HTTP/3; none where UDP was taken.
    pub quic: Option<u16>,
    /// The plain listeners.
    pub plain: Vec<SocketAddr>,
    /// The admin's Unix socket; none where it could not be had.
    pub admin: Option<PathBuf>,
    /// The key of the first start, read before its first use takes the file away.
    pub key: Option<String>,
}

/// Everything on the daemon's standard error so far.
#[derive(Debug, Clone)]
struct Said {
    text: Arc<Mutex<String>>,
    grown: watch::Receiver<usize>,
    /// Nobody reads meanwhile.
    unread: watch::Sender<bool>,
}

/// A daemon that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// The same whole: a signal, and whether a core was dumped.
    pub status: ExitStatus,
    /// Its standard error.
    pub stderr: String,
}

impl Daemon {
    /// Starts a daemon and waits until it is ready.
    ///
    /// # Errors
    /// When it ends before it is ready, or is not ready in time; the error holds its standard error.
    pub async fn start(setup: &Setup) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("ghostllm-test-").tempdir()?;
        let (mut child, said, notices) = spawn(setup, dir.path())?;
        let ready = tokio::select! {
            ready = timeout(PATIENCE, wait_ready(&notices)) => ready.context("not ready in time").flatten(),
            status = child.wait() => Err(anyhow::anyhow!("it ended before it was ready: {}", status?)),
        };
        let ready = ready.with_context(|| format!("the daemon wrote:\n{}", said.text()))?;
        let port = |key: &str| {
            ready.get(key).map(|value| value.parse::<SocketAddr>().map(|at| at.port())).transpose()
        };
        let plain = ready.get("X_GHOSTLLM_PLAIN").unwrap_or_default();
        let plain = plain.split(',').filter(|at| !at.is_empty()).map(str::parse).collect::<Result<_, _>>()?;
        let tls = port("X_GHOSTLLM_TLS")?.context("READY=1 came without X_GHOSTLLM_TLS")?;
        let quic = port("X_GHOSTLLM_QUIC")?;
        let admin = ready.get("X_GHOSTLLM_ADMIN").map(PathBuf::from);
        let key = std::fs::read_to_string(dir.path().join("state/first-key")).ok();
        let key = key.map(|key| key.trim().to_owned());
        let watch = setup.watch(dir.path());
        if let Some(key) = &key {
            watch.add("the first key", key);
        }
        let daemon = Self { child, said, watch, dir, notices, tls, quic, plain, admin, key };
        // Readiness comes by another way and overtakes the log; a test may ask at once what the start has said.
        daemon.wait_said("GhostLLM serves").await?;
        Ok(daemon)
    }

    /// Starts a daemon that is expected to end by itself.
    ///
    /// # Errors
    /// When it is still running after the patience of this harness, or becomes ready.
    pub async fn fail(setup: &Setup) -> Result<Ended> {
        let dir = tempfile::Builder::new().prefix("ghostllm-test-").tempdir()?;
        let (mut child, said, notices) = spawn(setup, dir.path())?;
        tokio::select! {
            status = timeout(PATIENCE, child.wait()) => {
                let status = status.with_context(|| format!("it goes on; it wrote:\n{}", said.text()))??;
                said.until_closed().await;
                setup.watch(dir.path()).check(&said.text())?;
                Ok(Ended { code: status.code(), status, stderr: said.text() })
            }
            _ = wait_ready(&notices) => bail!("it became ready; it wrote:\n{}", said.text()),
        }
    }

    /// The admin's Unix socket.
    ///
    /// # Errors
    /// When there is none.
    pub fn admin(&self) -> Result<&Path> {
        let said = || format!("it serves no admin's socket; it wrote:\n{}", self.stderr());
        self.admin.as_deref().with_context(said)
    }

    /// The plain listener of that family.
    ///
    /// # Errors
    /// When there is none.
    pub fn plain(&self, six: bool) -> Result<SocketAddr> {
        self.plain.iter().copied().find(|at| at.is_ipv6() == six).context("no plain listener of that family")
    }

    /// A file in the state directory.
    #[must_use]
    pub fn state(&self, name: &str) -> PathBuf {
        self.dir.path().join("state").join(name)
    }

    /// A directory of the test's own, beside the state.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.dir.path()
    }

    /// What it has written to its standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.said.text()
    }

    /// What it has written since this was asked last, looked through for secrets, and then forgotten: for a run of days.
    ///
    /// # Errors
    /// A secret has come out.
    pub fn take_stderr(&self) -> Result<String> {
        let text = std::mem::take(&mut *self.said.text.lock().unwrap_or_else(PoisonError::into_inner));
        self.watch.check_part(&text)?;
        Ok(text)
    }

    /// The next lines that it tells its supervisor.
    ///
    /// # Errors
    /// The socket fails.
    pub async fn notice(&self) -> Result<String> {
        self.notices.next().await
    }

    /// Waits until its standard error contains this text.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn wait_said(&self, text: &str) -> Result<()> {
        self.wait_said_times(text, 1).await
    }

    /// The same, one of these.
    ///
    /// # Errors
    /// When it says none of them in time.
    pub async fn wait_any_said(&self, texts: &[&str]) -> Result<()> {
        self.wait_until_said(&format!("{texts:?}"), |said| texts.iter().any(|text| said.contains(text))).await
    }

    /// The same, so many times.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn wait_said_times(&self, text: &str, times: usize) -> Result<()> {
        self.wait_until_said(&format!("{text:?}"), |said| said.matches(text).count() >= times).await
    }

    async fn wait_until_said(&self, what: &str, so: impl Fn(&str) -> bool) -> Result<()> {
        let mut said = self.said.clone();
        let found = timeout(PATIENCE, async {
            while !so(&said.text()) {
                said.grown.changed().await?;
            }
            anyhow::Ok(())
        });
        found.await.flatten_said(|| format!("the daemon never said {what}; it wrote:\n{}", self.stderr()))
    }

    /// Whether its standard error is left unread, as by a program that hangs; what it writes stays in the pipe, as far as that goes.
    pub fn leave_unread(&self, unread: bool) {
        self.said.unread.send_replace(unread);
    }

    /// The most memory that it has held so far, in bytes (`VmHWM` of proc(5)).
    ///
    /// # Errors
    /// When the process has ended.
    pub fn peak_memory(&self) -> Result<u64> {
        let pid = self.id()?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib << 10)
    }

    /// Its process.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn id(&self) -> Result<u32> {
        self.child.id().context("the daemon has ended already")
    }

    /// The process of its own engine, which is the only one that it ever starts.
    ///
    /// # Errors
    /// When it has none, or has started something else.
    pub fn engine(&self) -> Result<u32> {
        let children = process::children(self.id()?)?;
        ensure!(children.len() <= 1, "it has started more than its engine: {children:?}");
        children.first().copied().with_context(|| format!("it has no engine; it wrote:\n{}", self.stderr()))
    }

    /// Sends SIGTERM and goes on.
    ///
    /// # Errors
    /// When the process has ended already.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::SIGTERM)
    }

    /// Sends a signal and goes on.
    ///
    /// # Errors
    /// When the process has ended already.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        process::signal(self.id()?, signal)
    }

    /// Lets it have no more than so many files and sockets open; what is open stays. Gives back the limit before.
    ///
    /// # Errors
    /// When the process has ended already.
    pub async fn limit_descriptors(&self, most: u64) -> Result<u64> {
        let pid = self.child.id().context("the daemon has ended already")?.to_string();
        let prlimit = |more: &[&str]| {
            Command::new("prlimit").args(["--pid", &pid, "--noheadings", "--raw"]).args(more).output()
        };
        let before = prlimit(&["--nofile", "--output", "SOFT"]).await?;
        let set = prlimit(&[&format!("--nofile={most}:")]).await?;
        ensure!(set.status.success(), "prlimit: {}", String::from_utf8_lossy(&set.stderr));
        Ok(String::from_utf8(before.stdout)?.trim().parse()?)
    }

    /// Waits until the daemon tells its supervisor of how things stand, in words that contain `text`.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn wait_status(&self, text: &str) -> Result<()> {
        let told = timeout(PATIENCE, async {
            loop {
                let lines = self.notices.next().await?;
                if lines.lines().any(|line| line.starts_with("STATUS=") && line.contains(text)) {
                    return anyhow::Ok(());
                }
            }
        });
        told.await.flatten_said(|| format!("no STATUS with {text:?}; it wrote:\n{}", self.stderr()))
    }

    /// Its configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.dir.path().join("ghostllm.toml")
    }

    /// Puts another configuration in the place of its own, at once and whole.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn configure(&self, setup: &Setup) -> Result<()> {
        let new = self.dir.path().join("ghostllm.toml.new");
        std::fs::write(&new, setup.text())?;
        Ok(std::fs::rename(new, self.config())?)
    }

    /// The same, and has it read; gives back what it tells its supervisor of how things stand then.
    ///
    /// # Errors
    /// As above, or it does not say in time that it has read it.
    pub async fn reconfigure(&self, setup: &Setup) -> Result<String> {
        self.configure(setup)?;
        self.reload().await
    }

    /// Has it read its configuration anew (SIGHUP); gives back what it tells its supervisor of how things stand then.
    ///
    /// # Errors
    /// It does not say in time that it has.
    pub async fn reload(&self) -> Result<String> {
        // A file that it has found by itself may be read twice: what began before this is not what is waited for.
        let since = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?);
        self.signal(Signal::SIGHUP)?;
        self.reloaded_since(since).await
    }

    /// Waits until it tells its supervisor that a reload is over; gives back how things stand then.
    ///
    /// # Errors
    /// It does not say so in time.
    pub async fn wait_reloaded(&self) -> Result<String> {
        self.reloaded_since(Duration::ZERO).await
    }

    /// The same, of a reload that began after `since` by the monotonic clock, as it is told by `MONOTONIC_USEC=` (sd_notify(3)).
    async fn reloaded_since(&self, since: Duration) -> Result<String> {
        let mut status = String::new();
        let reloaded = timeout(PATIENCE, async {
            let mut begun = false;
            loop {
                let notice = Ready(self.notices.next().await?);
                let began = notice
                    .get("MONOTONIC_USEC")
                    .and_then(|began| began.parse().ok())
                    .map(Duration::from_micros);
                begun |= notice.get("RELOADING") == Some("1") && began.is_some_and(|began| began >= since);
                if let Some(text) = notice.get("STATUS") {
                    text.clone_into(&mut status);
                }
                if begun && notice.get("READY") == Some("1") {
                    return anyhow::Ok(());
                }
            }
        });
        reloaded.await.flatten_said(|| format!("no reload was over; it wrote:\n{}", self.stderr()))?;
        Ok(status)
    }

    /// Waits until the daemon tells its supervisor that it is stopping.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn wait_stopping(&self) -> Result<()> {
        let stopping = timeout(PATIENCE, async {
            loop {
                if self.notices.next().await?.lines().any(|line| line == "STOPPING=1") {
                    return anyhow::Ok(());
                }
            }
        });
        stopping.await.flatten_said(|| format!("no STOPPING=1; it wrote:\n{}", self.stderr()))
    }

    /// One more secret that must come out nowhere (`canary`); the first key is known.
    pub fn secret(&self, text: &str) {
        self.watch.add("a secret of the test", text);
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not end in time, or a secret has come out.
    pub async fn wait(mut self) -> Result<Ended> {
        if let Some(id) = self.child.id() {
            self.watch.look_at(id);
        }
        let status: ExitStatus = timeout(PATIENCE, self.child.wait())
            .await
            .with_context(|| format!("it does not end; it wrote:\n{}", self.said.text()))??;
        self.said.until_closed().await;
        let stderr = self.said.text();
        self.watch.check(&stderr)?;
        Ok(Ended { code: status.code(), status, stderr })
    }

    /// Stops it and checks that it ends with 0 and that it never panicked.
    ///
    /// # Errors
    /// When it ends with another code, its log holds a panic, or a secret has come out.
    pub async fn stop(mut self) -> Result<()> {
        // While it lives; `wait` may see no more than a zombie.
        self.watch.look_at(self.id()?);
        self.terminate()?;
        let ended = self.wait().await?;
        ensure!(ended.code == Some(0), "exit code {:?}; it wrote:\n{}", ended.code, ended.stderr);
        ensure!(!ended.stderr.contains("panicked at"), "it panicked:\n{}", ended.stderr);
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(id) = self.child.id() {
            self.watch.look_at(id);
        }
        let checked = self.watch.check(&self.said.text());
        assert!(checked.is_ok() || std::thread::panicking(), "{checked:?}");
    }
}

impl Said {
    fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the process has closed its standard error.
    async fn until_closed(&self) {
        let mut grown = self.grown.clone();
        while grown.changed().await.is_ok() {}
    }
}

/// A wait's two errors as one.
trait FlattenSaid {
    fn flatten_said(self, message: impl FnOnce() -> String) -> Result<()>;
}

impl FlattenSaid for Result<Result<()>, tokio::time::error::Elapsed> {
    fn flatten_said(self, message: impl FnOnce() -> String) -> Result<()> {
        match self {
            Ok(Ok(())) => Ok(()),
            Ok(Err(cause)) => Err(cause.context(message())),
            Err(_) => bail!(message()),
        }
    }
}

/// The lines of one notification.
#[derive(Debug)]
struct Ready(String);

impl Ready {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
    }
}

/// What the daemon has told its supervisor and nobody has read yet.
#[derive(Debug)]
struct Notices(AsyncMutex<UnboundedReceiver<String>>);

impl Notices {
    /// Takes them as they come: a full socket holds up whoever tells something, which a service manager never does.
    fn of(socket: UnixDatagram) -> Self {
        let (told, notices) = unbounded_channel();
        tokio::spawn(async move {
            let mut buffer = vec![0; 65536];
            while let Ok(count) = socket.recv(&mut buffer).await {
                if told.send(String::from_utf8_lossy(&buffer[..count]).into_owned()).is_err() {
                    return;
                }
            }
        });
        Self(AsyncMutex::new(notices))
    }

    async fn next(&self) -> Result<String> {
        self.0.lock().await.recv().await.context("nothing more is told")
    }
}

async fn wait_ready(notices: &Notices) -> Result<Ready> {
    loop {
        let ready = Ready(notices.next().await?);
        if ready.get("READY") == Some("1") {
            return Ok(ready);
        }
    }
}

fn spawn(setup: &Setup, dir: &Path) -> Result<(Child, Said, Notices)> {
    let config = dir.join("ghostllm.toml");
    std::fs::write(&config, setup.text())?;
    let socket = dir.join("notify");
    let notices = Notices::of(UnixDatagram::bind(&socket)?);
    let mut program = setup.program.clone().unwrap_or_else(|| binary("ghostllm"));
    if setup.user.is_some() {
        // The checkout may lie where this user may not look.
        let copy = dir.join("ghostllm");
        std::fs::copy(&program, &copy)?;
        program = copy;
    }
    let mut line = setup.prefix.iter().map(OsStr::new).chain([program.as_os_str(), OsStr::new("serve")]);
    let mut command = Command::new(line.next().context("a program")?);
    command.args(line);
    if let Some(user) = setup.user {
        for path in [dir, &config, &socket] {
            std::os::unix::fs::chown(path, Some(user), Some(user))?;
        }
        command.uid(user).gid(user);
    }
    if setup.state {
        command.arg("--state-dir").arg(dir.join("state"));
    }
    let mut child = command
        .arg("--config")
        .arg(&config)
        .args(&setup.arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", dir)
        .env("NOTIFY_SOCKET", &socket)
        // Nothing listens on port 1: a test never finds an Ollama that happens to run on this machine.
        .env("OLLAMA_HOST", "127.0.0.1:1")
        // Where a program that counts its lines writes them (coverage.sh).
        .envs(std::env::var_os("LLVM_PROFILE_FILE").map(|file| ("LLVM_PROFILE_FILE", file)))
        .envs(setup.environment.iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("the daemon's binary does not start")?;
    let said = listen(child.stderr.take().context("standard error")?);
    Ok((child, said, notices))
}

/// Gathers standard error in the background; the sender's end is the stream's end.
fn listen(stderr: tokio::process::ChildStderr) -> Said {
    let (grow, grown) = watch::channel(0);
    let (unread, mut reading) = watch::channel(false);
    let text = Arc::new(Mutex::new(String::new()));
    let into = Arc::clone(&text);
    tokio::spawn(async move {
        let mut lines = BufReader::new(stderr).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            // A daemon whose handle is gone is read to its end.
            let _read_on = reading.wait_for(|unread| !unread).await;
            let mut text = into.lock().unwrap_or_else(PoisonError::into_inner);
            text.push_str(&line);
            text.push('\n');
            grow.send_replace(text.len());
        }
    });
    Said { text, grown, unread }
}
