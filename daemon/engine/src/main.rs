//! `ghostllm-engine`: reads arguments, opens the socket, starts the inference thread, serves.
//!
//! Knows exit codes (0; 1 internal; 2 usage; 69 the socket is taken; 77 permission). All else is in the library.

use clap::Parser;
use ghostllm_engine::dumps;
use ghostllm_engine::library::{Demo, Library};
use ghostllm_engine::lifeline;
use ghostllm_engine::limits::Limits;
use ghostllm_engine::manager;
use ghostllm_engine::queue::Queue;
use ghostllm_engine::serve::{Engine, serve};
use ghostllm_engine::socket::{self, SocketError};
use ghostllm_engine::worker::{Complaints, Settings, trial, work};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Threads that look at files and bodies. Each keeps some of the memory that it once needed, so they are few: two readers
/// of bodies, and two for a file system that is slow.
const LOOKERS: usize = 4;

/// The inference thread's stack. What compiles schemas calls itself for each of their levels, at up to 10 kB each, and the limit
/// `schema_levels` has thousands of them. Only what is used of it is memory.
const STACK: usize = 64 << 20;

/// Serves GGUF files over OpenAI's wire on a Unix socket.
#[derive(Debug, Parser)]
#[command(name = "ghostllm-engine", version, after_help = Limits::help())]
struct Arguments {
    /// Where to listen; a socket handed down by systemd goes first
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// A directory with .gguf files; may be given more than once
    #[arg(long, value_name = "DIR")]
    models: Vec<PathBuf>,
    /// Another file as the demo model
    #[arg(long, value_name = "FILE", conflicts_with = "no_demo")]
    demo: Option<PathBuf>,
    /// Offer no demo model
    #[arg(long)]
    no_demo: bool,
    /// Threads to infer with [default: 1 for tiny models, else up to 4]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Requests that may wait while one runs
    #[arg(long, value_name = "N", default_value_t = 32)]
    queue: usize,
    /// Tokens of context [default: 8192, or less where the model was trained on less]
    #[arg(long, value_name = "N")]
    context: Option<u32>,
    /// Set a limit of those below; may be given more than once
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    limits: Vec<String>,
    /// End with the process that started this one
    #[arg(long)]
    die_with_parent: bool,
    /// What a child of the engine is started with, to try a file
    #[arg(long, hide = true, value_name = "FILE")]
    try_model: Option<PathBuf>,
    /// Log what llama.cpp says
    #[arg(long)]
    verbose: bool,
}

/// A failed start: the exit code and why.
type Failed = (u8, String);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let complaints = start_log(arguments.verbose);
    match run(&arguments, complaints) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, problem)) => {
            tracing::error!("{problem}");
            ExitCode::from(code)
        }
    }
}

fn start_log(verbose: bool) -> Complaints {
    let complaints = Complaints::default();
    let level = if verbose { LevelFilter::DEBUG } else { LevelFilter::ERROR };
    let shown = Targets::new().with_default(LevelFilter::INFO).with_target("llama", level);
    let lines =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false).with_filter(shown);
    tracing_subscriber::registry().with(complaints.clone()).with(lines).init();
    complaints
}

fn run(arguments: &Arguments, complaints: Complaints) -> Result<(), Failed> {
    dumps::forbid()
        .map_err(|error| (1, format!("cannot keep its memory to itself (prctl, setrlimit): {error}")))?;
    if let Some(path) = &arguments.try_model {
        return trial::child(path).map_err(|problem| (1, problem));
    }
    if arguments.die_with_parent {
        lifeline::tie_to_parent().map_err(|error| (1, error.to_string()))?;
    }
    let limits = Limits::read(&arguments.limits).map_err(|problem| (2, problem))?;
    let (listener, made) = listener(arguments.socket.as_deref())?;
    let demo = match &arguments.demo {
        Some(path) => Demo::File(path.clone()),
        None if arguments.no_demo => Demo::None,
        None => Demo::BuiltIn,
    };
    let library = Library::new(arguments.models.clone(), limits.files, &demo)
        .map_err(|failure| (2, failure.message))?;
    let queue = Queue::new(arguments.queue, limits.silence);
    let settings = Settings { threads: arguments.threads, context: arguments.context, limits };
    let worker_queue = Arc::clone(&queue);
    let worker = std::thread::Builder::new()
        .name("inference".into())
        .stack_size(STACK)
        .spawn(move || work(&worker_queue, settings, &complaints))
        .map_err(|error| (1, format!("cannot start the inference thread: {error}")))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(LOOKERS)
        .build()
        .map_err(|error| (1, format!("cannot start the runtime: {error}")))?;
    let engine = Engine::new(library, Arc::clone(&queue), settings);
    let served = runtime.block_on(serve_until_told(engine, limits.grace, listener));
    if let Some(path) = made {
        // A socket that nobody answers on would only mislead; should it be gone already, so much the better.
        let _ = std::fs::remove_file(path);
    }
    queue.close();
    // Connections are gone, so the worker ends its job within one batch; a panic in it was logged where it happened.
    drop(runtime);
    let _ = worker.join();
    served.map_err(|error| (1, format!("cannot serve: {error}")))
}

/// The socket, and its path where this process made it.
fn listener(path: Option<&Path>) -> Result<(UnixListener, Option<&Path>), Failed> {
    if let Some(listener) =
        socket::inherited().map_err(|error| (2, format!("the socket handed down: {error}")))?
    {
        return Ok((listener, None));
    }
    let Some(path) = path else {
        return Err((2, "no socket: give --socket PATH, or hand one down with LISTEN_FDS".into()));
    };
    socket::bind(path).map(|listener| (listener, Some(path))).map_err(|error| {
        let code = match &error {
            SocketError::Taken(_) => 69,
            SocketError::Path(_) => 2,
            SocketError::Io(_, error) if error.kind() == std::io::ErrorKind::PermissionDenied => 77,
            SocketError::Io(..) => 1,
        };
        (code, error.to_string())
    })
}

async fn serve_until_told(
    engine: Arc<Engine>,
    grace: Duration,
    listener: UnixListener,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::UnixListener::from_std(listener)?;
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let models = engine.library.list();
    if models.iter().all(|model| model.demo) {
        tracing::info!(
            "there is no model but the demo, a toy; put a .gguf file into the model directory for a real one"
        );
    }
    tracing::info!(models = models.len(), "serving");
    manager::ready(models.len());
    let queue = Arc::clone(&engine.queue);
    let told = async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        tracing::info!("ending: waiting for requests that run");
        manager::stopping(grace);
    };
    tokio::select! {
        () = serve(engine, listener, told) => {}
        () = manager::feed(&queue.pulse) => {}
    }
    Ok(())
}
