//! The engine task, with the real engine and with small scripts that misbehave.

use super::*;
use crate::tasks::supervisor::Phase;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{fs, os::unix::net::UnixListener};

/// Ample for anything that a test waits for; only a fault reaches it.
const PATIENCE: Duration = Duration::from_secs(25);

/// As fast as a loaded machine allows without mistaking slowness for a hang.
const FAST: Pace = Pace {
    start: PATIENCE,
    every: Duration::from_millis(50),
    answer: Duration::from_millis(700),
    end: Duration::from_secs(2),
};

struct Box {
    directory: tempfile::TempDir,
    state: StateDir,
    supervisor: Supervisor,
}

impl Box {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::open(&directory.path().join("state")).unwrap();
        Self { directory, state, supervisor: Supervisor::new() }
    }

    fn start(&self, config: &config::Engine, beside: Option<PathBuf>, pace: Pace) -> EngineAt {
        let units_socket = &self.directory.path().join("unit.sock");
        start(
            config,
            &self.state,
            &self.supervisor,
            Surroundings { units_socket, beside, short: vec![], pace },
        )
    }

    /// Starts a shell script in the engine's place.
    fn script(&self, text: &str, pace: Pace) -> EngineAt {
        let path = self.directory.path().join("script");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        self.start(&config::Engine::default(), Some(path), pace)
    }

    async fn error(&self, wanted: &str) {
        let failed = async {
            loop {
                let error = self.supervisor.list().states()[0].last_error.clone().unwrap_or_default();
                if error.contains(wanted) {
                    return;
                }
                time::sleep(Duration::from_millis(5)).await;
            }
        };
        let state = || self.supervisor.list().states();
        time::timeout(PATIENCE, failed).await.unwrap_or_else(|_| panic!("never \"{wanted}\": {:?}", state()));
    }
}

/// The real engine, which is built beside the tests.
fn real() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let path = own.parent().and_then(Path::parent).unwrap().join(PROGRAM);
    assert!(
        path.exists(),
        "{} is not built: run `cargo build --release -p ghostllm-engine` first",
        path.display()
    );
    path
}

async fn running(engine: &EngineAt, not: Option<u32>) -> u32 {
    let mut process = engine.ours.as_ref().unwrap().process.clone();
    let new = |process: &Process| matches!(process, Process::Started(id) | Process::Serving(id) if Some(*id) != not);
    let seen = time::timeout(PATIENCE, process.wait_for(new)).await.unwrap();
    match *seen.unwrap() {
        Process::Started(id) | Process::Serving(id) => id,
        Process::None | Process::Starting => unreachable!(),
    }
}

fn signal(id: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(id).unwrap()), signal).unwrap();
}

/// Reaped, and so gone.
fn is_gone(id: u32) -> bool {
    kill(Pid::from_raw(i32::try_from(id).unwrap()), None) == Err(nix::errno::Errno::ESRCH)
}

#[tokio::test]
async fn an_engine_of_somebody_else_is_used_and_none_is_spawned() {
    let here = Box::new();
    let config = config::Engine { socket: Some("/their/socket".into()), ..config::Engine::default() };
    let engine = here.start(&config, Some("/bin/true".into()), FAST);
    assert_eq!(engine.socket.as_deref(), Some(Path::new("/their/socket")));
    assert!(here.supervisor.list().states().is_empty() && engine.process().is_none());
    assert!(!engine.wait_ready(Duration::from_millis(30)).await);
    engine.stop().await;

    // The unit's socket is found; a plain file in its place is not it.
    let unit = here.directory.path().join("unit.sock");
    fs::write(&unit, "").unwrap();
    let absent = here.start(&config::Engine::default(), Some("/nowhere/engine".into()), FAST);
    assert_eq!(absent.socket, None);
    fs::remove_file(&unit).unwrap();
    let _theirs = UnixListener::bind(&unit).unwrap();
    let engine = here.start(&config::Engine::default(), Some("/bin/true".into()), FAST);
    assert_eq!(engine.socket, Some(unit));
    assert!(here.supervisor.list().states().is_empty());
}

#[tokio::test]
async fn without_the_program_the_daemon_goes_on_and_says_what_to_do() {
    let here = Box::new();
    let beside = Some(PathBuf::from("/nowhere/ghostllm-engine"));
    let engine = here.start(&config::Engine::default(), beside.clone(), FAST);
    assert!(engine.note.contains("/nowhere/ghostllm-engine: No such file"), "{}", engine.note);
    assert!(engine.note.contains("cargo build --release -p ghostllm-engine"), "{}", engine.note);
    assert!(engine.socket.is_none() && !engine.wait_ready(PATIENCE).await);
    engine.stop().await;
    let file = here.directory.path().join("no-program");
    fs::write(&file, "").unwrap();
    let config = config::Engine { binary: Some(file), ..config::Engine::default() };
    let engine = here.start(&config, beside, FAST);
    assert!(engine.note.contains("/no-program is not executable; correct engine.binary"), "{}", engine.note);
    assert!(here.supervisor.list().states().is_empty());
}

#[tokio::test]
async fn without_a_place_for_the_socket_there_is_no_engine() {
    let here = Box::new();
    let state = StateDir::open(&here.directory.path().join("s".repeat(100))).unwrap();
    let units_socket = Path::new("/nowhere/engine.sock");
    let surroundings =
        Surroundings { units_socket, beside: Some("/bin/true".into()), short: vec![], pace: FAST };
    let engine = start(&config::Engine::default(), &state, &here.supervisor, surroundings);
    assert!(engine.socket.is_none() && engine.note.contains("shorter path"), "{}", engine.note);
}

#[tokio::test]
async fn an_engine_that_ends_is_told_with_its_status() {
    let here = Box::new();
    let engine = here.script("exit 69", FAST);
    here.error("it ended by itself (exit status: 69)").await;
    assert!(!engine.wait_ready(Duration::from_millis(30)).await);
    // It ends at once although the next start is awaited.
    engine.stop().await;
    assert_eq!(engine.process(), None);
}

#[tokio::test]
async fn an_engine_gets_its_arguments_and_little_of_our_environment() {
    let here = Box::new();
    let told = here.directory.path().join("told");
    let engine = here.script(&format!("(echo \"$@\"; env) > '{}'; exit 3", told.display()), FAST);
    here.error("exit status: 3").await;
    let told = fs::read_to_string(told).unwrap();
    let socket = engine.socket.clone().unwrap();
    let models = here.state.path().join("models");
    let arguments = format!("--socket {} --models {} --die-with-parent", socket.display(), models.display());
    assert_eq!(told.lines().next(), Some(arguments.as_str()));
    assert!(models.is_dir() && engine.models == Some(models));
    assert!(told.contains("\nGGML_NO_BACKTRACE=1\n"), "{told}");
    // What a shell adds by itself is not ours.
    let ours = ["PATH", "HOME", "GGML_NO_BACKTRACE", "PWD", "OLDPWD", "SHLVL", "_"];
    let strange = told.lines().skip(1).find(|line| !ours.contains(&line.split('=').next().unwrap()));
    assert_eq!(strange, None);
}

#[tokio::test]
async fn an_engine_that_never_answers_is_killed() {
    let here = Box::new();
    let pace = Pace { start: Duration::from_millis(100), ..FAST };
    let engine = here.script("trap '' TERM; read forever", pace);
    let first = running(&engine, None).await;
    here.error("did not answer within 100ms of its start").await;
    assert!(is_gone(first));
}

#[tokio::test]
async fn an_engine_that_does_not_end_when_told_is_killed() {
    let here = Box::new();
    let pace = Pace { end: Duration::from_millis(100), ..FAST };
    let up = here.directory.path().join("up");
    nix::unistd::mkfifo(&up, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let engine = here.script(&format!("trap '' TERM; echo up > '{}'; read forever", up.display()), pace);
    let id = running(&engine, None).await;
    assert_eq!(tokio::fs::read_to_string(up).await.unwrap(), "up\n");
    engine.stop().await;
    assert!(is_gone(id));
}

#[tokio::test]
async fn the_real_engine_answers_and_ends_when_told() {
    let here = Box::new();
    let engine = here.start(&config::Engine::default(), Some(real()), FAST);
    assert!(engine.wait_ready(PATIENCE).await);
    let id = engine.process().unwrap();
    engine.stop().await;
    assert!(is_gone(id));
    // It ended by itself: a killed one leaves its socket.
    assert!(!engine.socket.unwrap().exists());
    let ended = async {
        while here.supervisor.list().states()[0].phase != Phase::Ended {
            tokio::task::yield_now().await;
        }
    };
    time::timeout(PATIENCE, ended).await.unwrap();
    assert_eq!(here.supervisor.list().states()[0].restarts, 0);
}

#[tokio::test]
async fn the_real_engine_comes_back_after_a_crash() {
    let here = Box::new();
    let engine = here.start(&config::Engine::default(), Some(real()), FAST);
    assert!(engine.wait_ready(PATIENCE).await);
    let first = engine.process().unwrap();
    signal(first, Signal::SIGKILL);
    let second = running(&engine, Some(first)).await;
    assert!(is_gone(first) && engine.wait_ready(PATIENCE).await);
    here.error("signal: 9").await;
    engine.stop().await;
    assert!(is_gone(second));
}

#[tokio::test]
async fn the_real_engine_comes_back_after_a_hang() {
    let here = Box::new();
    let engine = here.start(&config::Engine::default(), Some(real()), FAST);
    assert!(engine.wait_ready(PATIENCE).await);
    let first = engine.process().unwrap();
    signal(first, Signal::SIGSTOP);
    running(&engine, Some(first)).await;
    assert!(is_gone(first) && engine.wait_ready(PATIENCE).await);
    here.error("it hung: 2 times in a row").await;
}

#[tokio::test]
async fn the_real_engine_ends_with_the_supervisor() {
    let here = Box::new();
    let engine = here.start(&config::Engine::default(), Some(real()), FAST);
    assert!(engine.wait_ready(PATIENCE).await);
    let id = engine.process().unwrap();
    here.supervisor.stop().await;
    let gone = async {
        while !is_gone(id) {
            time::sleep(Duration::from_millis(5)).await;
        }
    };
    time::timeout(PATIENCE, gone).await.unwrap();
}
