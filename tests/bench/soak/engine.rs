//! The engines behind the soak: the doubles of Ollama and of vLLM, each in a process of its own, which can be killed, stopped and
//! brought back at its address.
//!
//! Knows processes. Refuses to know what the daemon makes of them. Invariant: one that is back has its port before anybody is told.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use anyhow::{Context, Result, bail};
use ghostllm_tests::{
    daemon::Signal,
    double::Double,
    ollama::{Model, Ollama},
    openai::{OpenAi, Style},
    process,
    script::Sin,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    sync::Mutex,
    time::{sleep, timeout},
};

/// What Ollama's double has: one that answers at once, one that takes its time, one that never says a word, one that falls silent
/// and one that closes the connection in the middle.
const MODELS: [&str; 5] = ["quick", "paced", "hangs", "stalls", "breaks"];
/// vLLM's only one, which takes its time.
const OTHER: &str = "other";
/// Before each token of those.
const PACE: Duration = Duration::from_millis(15);
/// Tokens before the others fail.
const SAID: usize = 3;
/// A port may be somebody else's for a moment: a client's own end of a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves as `--wire=ollama` or `--wire=openai` at `--listen=ADDRESS`, for as long as it lives.
pub(crate) async fn serve(arguments: &[String]) -> Result<()> {
    let given = |name: &str| arguments.iter().find_map(|argument| argument.strip_prefix(name));
    let address = given("--listen=").unwrap_or("127.0.0.1:0");
    let double = match given("--wire=") {
        Some("ollama") => {
            let models = MODELS.map(|name| Model::new(name, false)).to_vec();
            let double = Double::start_unwatched(address, Ollama::with(models)).await?;
            double.misbehave("paced", Sin::Slow(PACE));
            double.misbehave("hangs", Sin::HangBeforeHeaders);
            double.misbehave("stalls", Sin::StallAfter(SAID));
            double.misbehave("breaks", Sin::FinAfter(SAID));
            double
        }
        Some("openai") => {
            let double = Double::start_unwatched(address, OpenAi::new(Style::Vllm, OTHER)).await?;
            double.misbehave(OTHER, Sin::Slow(PACE));
            double
        }
        wire => bail!("--wire is ollama or openai, and not {wire:?}"),
    };
    println!("{}", double.address());
    std::future::pending().await
}

/// One of them. Dropping it ends its process.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) name: &'static str,
    wire: &'static str,
    address: SocketAddr,
    child: Mutex<Child>,
}

impl Engine {
    pub(crate) async fn start(name: &'static str, wire: &'static str) -> Result<Self> {
        let (child, address) = spawn(wire, "127.0.0.1:0").await?;
        Ok(Self { name, wire, address, child: Mutex::new(child) })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// SIGKILL, and its connections with it.
    pub(crate) async fn die(&self) -> Result<()> {
        Ok(self.child.lock().await.kill().await?)
    }

    /// Starts it again where it was.
    pub(crate) async fn come_back(&self) -> Result<()> {
        let again = async {
            loop {
                match spawn(self.wire, &self.address.to_string()).await {
                    Ok((child, _)) => return child,
                    Err(_) => sleep(Duration::from_millis(50)).await,
                }
            }
        };
        let child =
            timeout(PATIENCE, again).await.with_context(|| format!("{} does not come back", self.name))?;
        *self.child.lock().await = child;
        Ok(())
    }

    /// SIGSTOP: the kernel takes its connections, and nobody answers.
    pub(crate) async fn hang(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP).await
    }

    /// SIGCONT.
    pub(crate) async fn go_on(&self) -> Result<()> {
        self.signal(Signal::SIGCONT).await
    }

    async fn signal(&self, signal: Signal) -> Result<()> {
        process::signal(self.child.lock().await.id().context("it has ended")?, signal)
    }
}

async fn spawn(wire: &str, address: &str) -> Result<(Child, SocketAddr)> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["engine", &format!("--wire={wire}"), &format!("--listen={address}")])
        .stdout(Stdio::piped())
        // What it says of a port that is taken is said by whoever waits.
        .stderr(Stdio::null())
        .kill_on_drop(true)
        // A Ctrl-C is for the soak alone, which has a summary to write.
        .process_group(0)
        .spawn()
        .context("the engine does not start")?;
    let mut lines = BufReader::new(child.stdout.take().context("standard output")?).lines();
    let address = lines.next_line().await?.context("the engine has ended")?.parse()?;
    Ok((child, address))
}
