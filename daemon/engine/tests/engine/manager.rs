//! What a service manager hears: that the engine serves, that it goes on while it does, that it does not, and that it ends.

use crate::support::{Engine, add_endless, chat_body, finish, says};
use serde_json::json;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

/// So often four signs are due.
const WATCHDOG: Duration = Duration::from_millis(400);
/// Only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Hears what it is told.
struct Manager {
    directory: tempfile::TempDir,
    socket: UnixDatagram,
}

impl Manager {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { directory, socket }
    }

    fn start(&self, arguments: &[&str]) -> Engine {
        let (notify, usec) = (self.directory.path().join("notify"), WATCHDOG.as_micros().to_string());
        let environment = [("NOTIFY_SOCKET", notify.as_os_str()), ("WATCHDOG_USEC", usec.as_ref())];
        Engine::start_with(arguments, &environment)
    }

    /// The next word.
    fn hears(&self) -> String {
        let mut bytes = [0; 512];
        let length = self.socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    /// Waits until a word has this in it.
    fn waits_for(&self, wanted: &str) {
        let begun = Instant::now();
        while !self.hears().contains(wanted) {
            assert!(begun.elapsed() < PATIENCE, "{wanted} does not come");
        }
    }

    /// Forgets what was said before; how many words that was.
    fn forgets(&self) -> u32 {
        self.socket.set_nonblocking(true).unwrap();
        let said = (0..).find(|_| self.socket.recv(&mut [0; 512]).is_err()).unwrap();
        self.socket.set_nonblocking(false).unwrap();
        said
    }
}

#[test]
fn it_is_ready_goes_on_at_rest_and_at_work_and_ends() {
    let manager = Manager::new();
    let mut engine = manager.start(&[]);
    let first = manager.hears();
    assert_eq!(first, "READY=1\nSTATUS=Serving; models: 1\n");
    for _ in 0..4 {
        assert_eq!(manager.hears(), "WATCHDOG=1\n");
    }
    add_endless(&engine);
    let body = chat_body("Tell me a story.", &json!({"model": "endless", "stream": true}));
    let answer = engine.send("POST", "/v1/chat/completions", &body);
    engine.wait_for(|status| status["loaded"] == "endless");
    manager.forgets();
    for _ in 0..4 {
        assert_eq!(manager.hears(), "WATCHDOG=1\n");
    }
    assert_eq!(engine.status()["running"], 1);
    drop(answer);
    engine.terminate();
    // The 30 s of the limit `grace`, and what follows them.
    manager.waits_for("STOPPING=1\nSTATUS=Finishing requests that run\nEXTEND_TIMEOUT_USEC=45000000\n");
    assert!(engine.ended().success());
    assert!(!engine.log().contains("no sign of life"), "{}", engine.log());
}

#[test]
fn a_step_that_is_too_long_is_no_sign_of_life() {
    let manager = Manager::new();
    // All of the prompt is one step, of a second or more.
    let engine = manager.start(&["--context", "8192", "--limit", "batch=8192", "--limit", "silence=1ms"]);
    add_endless(&engine);
    // Letters that make up no words are a token each.
    let text = "qzxj".repeat(600);
    let body = chat_body(&text, &json!({"model": "endless", "max_tokens": 1}));
    let answer = engine.send("POST", "/v1/chat/completions", &body);
    says(&engine, "no sign of life of the inference thread");
    manager.forgets();
    let begun = Instant::now();
    let reply = finish(answer);
    let (said, took) = (manager.forgets(), begun.elapsed());
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(reply.json()["usage"]["prompt_tokens"].as_u64().unwrap() > 2000, "{}", reply.body);
    // Else it would have said four in each of its times; two may come behind the step's end.
    assert!(said <= 2 || WATCHDOG / 4 * said < took / 2, "{said} in {took:?}");
    says(&engine, "the inference thread goes on again");
    assert_eq!(manager.hears(), "WATCHDOG=1\n");
}
