//! The embedded inference engine: whose it is, where it is reached, and its life if it is ours.
//!
//! Knows that there is a program that answers on a Unix socket. Refuses to know models and its wire beyond
//! `GET /healthz`. Invariant: an engine that somebody else starts is never spawned beside; one of ours ends with the
//! daemon; and whatever becomes of it, the daemon goes on.

mod child;
mod health;
mod life;
mod place;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ghostllm_core::{config, places};
use tokio::{sync::watch, time};

use crate::store::StateDir;
use life::{Life, Process};
use place::Place;

use super::supervisor::{Policy, Supervisor};

/// Where the packaged unit of the engine listens.
pub(crate) const UNITS_SOCKET: &str = places::ENGINE_SOCKET;
/// The engine's program, beside ours.
pub(crate) const PROGRAM: &str = "ghostllm-engine";
/// While its first answer is awaited, the engine is asked this often: short beside its start, which takes 50 ms.
const ASK_AGAIN: Duration = Duration::from_millis(20);
/// A killed process is gone within this, unless the kernel itself is stuck.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// How patiently an engine of ours is watched.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// From its start to its first answer; looking through the models on a slow disk takes its time.
    start: Duration,
    /// Between one answer and the next question.
    every: Duration,
    /// For one answer.
    answer: Duration,
    /// Between SIGTERM and SIGKILL, once nobody waits for an answer any more.
    end: Duration,
}

impl Pace {
    fn of(config: &config::Engine) -> Self {
        Self {
            start: config.start_wait,
            every: config.check_interval,
            answer: config.check_wait,
            end: config.stop_wait,
        }
    }
}

/// The task that keeps the engine alive.
#[derive(Debug, Clone, Copy)]
pub struct EngineTask;

/// Where the engine is reached. An engine of ours ends with this value, so it is kept as long as the program runs.
pub struct EngineAt {
    /// Its socket, which may appear, and vanish for a while, at any time; none if there is no engine.
    pub socket: Option<PathBuf>,
    /// Where GGUF files are to be put; none if somebody else starts the engine, or there is none.
    pub models: Option<PathBuf>,
    /// Whose engine it is, or why there is none and what to do about it; one sentence, as the log has it.
    pub note: String,
    ours: Option<Ours>,
}

/// What is kept of an engine that we start.
struct Ours {
    ending: watch::Sender<bool>,
    process: watch::Receiver<Process>,
    /// A directory made for the socket alone goes with the last who knows it.
    _place: Arc<Place>,
    end: Duration,
}

/// What surrounds the decision, so that tests can lay it out.
struct Surroundings<'a> {
    units_socket: &'a Path,
    beside: Option<PathBuf>,
    /// Where a socket goes whose path in the state directory would be too long.
    short: Vec<PathBuf>,
    pace: Pace,
}

impl EngineTask {
    /// Decides whose engine it is; starts our own if it is nobody else's, and keeps it alive. Returns at once, within
    /// a runtime. Blocks for a few files.
    #[must_use]
    pub fn start(config: &config::Engine, state: &StateDir, supervisor: &Supervisor) -> EngineAt {
        let runtime =
            std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
        let surroundings = Surroundings {
            units_socket: Path::new(UNITS_SOCKET),
            beside: std::env::current_exe().ok().map(|own| own.with_file_name(PROGRAM)),
            short: runtime.into_iter().chain([PathBuf::from("/tmp")]).collect(),
            pace: Pace::of(config),
        };
        start(config, state, supervisor, surroundings)
    }
}

fn start(
    config: &config::Engine,
    state: &StateDir,
    supervisor: &Supervisor,
    surroundings: Surroundings<'_>,
) -> EngineAt {
    let theirs = config.socket.as_deref().or_else(|| {
        let there = std::fs::metadata(surroundings.units_socket);
        there.is_ok_and(|there| there.file_type().is_socket()).then_some(surroundings.units_socket)
    });
    if let Some(socket) = theirs {
        let note = format!("the engine at {} is used, which somebody else starts", socket.display());
        tracing::info!("{note}");
        // Where another one looks is its own affair.
        let models = (socket == Path::new(UNITS_SOCKET)).then(|| PathBuf::from(places::ENGINE_MODELS));
        return EngineAt { socket: Some(socket.to_owned()), models, note, ours: None };
    }
    spawn(config, state, supervisor, surroundings).unwrap_or_else(|note| {
        tracing::warn!("{note}");
        EngineAt { socket: None, models: None, note, ours: None }
    })
}

/// Starts our own; an error is the sentence that says why there is none.
fn spawn(
    config: &config::Engine,
    state: &StateDir,
    supervisor: &Supervisor,
    surroundings: Surroundings<'_>,
) -> Result<EngineAt, String> {
    let binary = binary(config.binary.as_deref(), surroundings.beside)?;
    let place = Arc::new(Place::find(state, &surroundings.short)?);
    let models = place::models(config.models.as_deref(), state);
    let socket = place.socket.clone();
    let note = format!("{} is started, and serves the models in {}", binary.display(), models.display());
    tracing::info!("{note}");
    let (ending, told) = watch::channel(false);
    let (process, seen) = watch::channel(Process::None);
    let end = surroundings.pace.end;
    let life = Arc::new(Life {
        binary,
        arguments: arguments(config),
        place: Arc::clone(&place),
        models: models.clone(),
        pace: surroundings.pace,
        ending: told,
        process,
    });
    supervisor.spawn("engine", Policy::Restartable, move || {
        let life = Arc::clone(&life);
        async move { life.live().await }
    });
    let ours = Some(Ours { ending, process: seen, _place: place, end });
    Ok(EngineAt { socket: Some(socket), models: Some(models), note, ours })
}

/// The engine's own options and limits, those that the configuration names.
fn arguments(config: &config::Engine) -> Vec<String> {
    let options = [
        ("--threads", config.threads.map(|threads| threads.to_string())),
        ("--context", config.context.map(|tokens| tokens.to_string())),
        ("--queue", config.queue.map(|places| places.to_string())),
    ];
    let limits = [
        ("batch", config.batch.map(|tokens| tokens.to_string())),
        ("longest_body", config.longest_body.map(|size| size.bytes().to_string())),
        ("stop_texts", config.stop_texts.map(|texts| texts.to_string())),
        ("files", config.files.map(|files| files.to_string())),
        ("trial_wait", config.trial_wait.map(|time| format!("{}ms", time.as_millis()))),
        ("template_work", config.template_work.map(|work| work.to_string())),
    ];
    let options = options.into_iter().filter_map(|(name, value)| Some([name.to_owned(), value?]));
    let limits = limits
        .into_iter()
        .filter_map(|(name, value)| Some(["--limit".to_owned(), format!("{name}={}", value?)]));
    options.chain(limits).flatten().collect()
}

/// The engine's program: what the configuration says, else our sibling.
fn binary(configured: Option<&Path>, beside: Option<PathBuf>) -> Result<PathBuf, String> {
    let (binary, fix) = match (configured, beside) {
        (Some(configured), _) => (place::absolute(configured), "correct engine.binary, or leave it out"),
        (None, Some(beside)) => (
            beside,
            "put it there (cargo build --release -p ghostllm-engine makes it), or name its place in engine.binary",
        ),
        (None, None) => {
            return Err(
                "the embedded engine is not started, since this program does not know where it lies \
                        itself; name the engine's place in engine.binary"
                    .to_owned(),
            );
        }
    };
    let shown = binary.display();
    let trouble = match std::fs::metadata(&binary) {
        Err(error) => format!("{shown}: {error}"),
        Ok(there) if !there.is_file() => format!("{shown} is no file"),
        Ok(there) if there.permissions().mode() & 0o111 == 0 => format!("{shown} is not executable"),
        Ok(_) => return Ok(binary),
    };
    Err(format!(
        "there is no embedded engine: {trouble}; {fix}. GGUF files and the demo model cannot be served"
    ))
}

impl EngineAt {
    /// Waits until the engine answers, for `limit` at most; whether it does. At once `false` if there is none.
    pub async fn wait_ready(&self, limit: Duration) -> bool {
        let Some(socket) = &self.socket else { return false };
        if let Some(ours) = &self.ours {
            let mut process = ours.process.clone();
            let serving = process.wait_for(|process| matches!(process, Process::Serving(_)));
            return matches!(time::timeout(limit, serving).await, Ok(Ok(_)));
        }
        let ready = async {
            while health::ask(socket).await.is_err() {
                time::sleep(ASK_AGAIN).await;
            }
        };
        time::timeout(limit, ready).await.is_ok()
    }

    /// The process of an engine of ours, while it runs.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        match *self.ours.as_ref()?.process.borrow() {
            Process::Started(id) | Process::Serving(id) => Some(id),
            Process::None | Process::Starting => None,
        }
    }

    /// Ends an engine of ours, and waits until it is gone: SIGTERM, a while, SIGKILL. To be called when all answers are
    /// given, and before the supervisor's stop, which would kill it. What somebody else started is left alone.
    pub async fn stop(&self) {
        let Some(ours) = &self.ours else { return };
        ours.ending.send_replace(true);
        let mut process = ours.process.clone();
        let gone = process.wait_for(|process| *process == Process::None);
        if time::timeout(ours.end + LAST_WAIT, gone).await.is_err() {
            tracing::warn!("the engine cannot be killed; it is left to the kernel");
        }
    }
}

impl fmt::Debug for EngineAt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("EngineAt");
        shown.field("socket", &self.socket).field("models", &self.models).field("note", &self.note);
        shown.field("process", &self.process()).finish()
    }
}
