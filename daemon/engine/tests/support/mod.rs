//! Starts the real engine on a socket in a directory of its own, and speaks HTTP/1.1 to it.
//!
//! Knows the program and its wire. Invariant: the engine ends with the value that started it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's support may end the test")]

use serde_json::{Value, json};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Ample for anything that a test waits for; only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running engine.
pub(crate) struct Engine {
    child: Child,
    directory: tempfile::TempDir,
    log: Arc<Mutex<String>>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The chunks of a stream, without `[DONE]`.
    pub(crate) fn chunks(&self) -> Vec<Value> {
        let data = self.body.lines().filter_map(|line| line.strip_prefix("data: "));
        data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
    }
}

impl Engine {
    /// Starts an engine with these further arguments and waits until it answers.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[])
    }

    /// The same with these variables of its environment.
    pub(crate) fn start_with(arguments: &[&str], environment: &[(&str, &OsStr)]) -> Self {
        Self::start_of(Path::new(env!("CARGO_BIN_EXE_ghostllm-engine")), arguments, environment)
    }

    /// The same of the program in this file.
    pub(crate) fn start_of(program: &Path, arguments: &[&str], environment: &[(&str, &OsStr)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("models")).unwrap();
        // Its standard input is our end of a pipe: should the test die, so does the engine.
        let child = Command::new(program)
            .arg("--socket")
            .arg(directory.path().join("socket"))
            .arg("--models")
            .arg(directory.path().join("models"))
            .arg("--die-with-parent")
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut engine = Self { child, directory, log: Arc::default() };
        let mut lines = BufReader::new(engine.child.stderr.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("serving")), "the engine ended");
        let log = Arc::clone(&engine.log);
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| log.lock().unwrap().push_str(&(line + "\n")));
        });
        engine
    }

    /// What it has said since it serves.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn models(&self) -> PathBuf {
        self.directory.path().join("models")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub(crate) fn terminate(&self) {
        let id = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).unwrap();
    }

    /// Waits until it has ended by itself. Its standard input stays open meanwhile, whose end would end it as well.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let _open = self.child.stdin.take();
        self.child.wait().unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        finish(self.send("GET", path, ""))
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Reply {
        finish(self.send("POST", path, body))
    }

    /// A chat with the demo at temperature 0; `more` is added to, or put in place of, the fields.
    pub(crate) fn chat(&self, text: &str, more: &Value) -> Reply {
        self.post("/v1/chat/completions", &chat_body(text, more))
    }

    /// A completion by the demo at temperature 0; `more` is added to, or put in place of, the fields.
    pub(crate) fn complete(&self, prompt: &str, more: &Value) -> Reply {
        let mut body = json!({"model": "ghostllm-demo", "temperature": 0, "prompt": prompt});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.post("/v1/completions", &body.to_string())
    }

    /// The largest size that the engine's memory had so far.
    pub(crate) fn peak_bytes(&mut self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }

    /// Sends a head that promises `length` bytes, and these, and leaves it at that.
    pub(crate) fn send_part(&self, path: &str, length: usize, part: &str) -> UnixStream {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: engine\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all((head + part).as_bytes()).unwrap();
        stream
    }

    /// Asks anew until the answer is as wanted; each question is a round trip, so this is no busy loop.
    pub(crate) fn wait_for_reply(&self, body: &str, wanted: impl Fn(&Reply) -> bool) -> Reply {
        let start = Instant::now();
        loop {
            let reply = self.post("/v1/chat/completions", body);
            if wanted(&reply) {
                return reply;
            }
            assert!(start.elapsed() < PATIENCE, "never so: {}", reply.body);
        }
    }

    /// Sends a request and leaves the answer unread.
    pub(crate) fn send(&self, method: &str, path: &str, body: &str) -> UnixStream {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: engine\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + body).as_bytes()).unwrap();
        stream
    }

    pub(crate) fn status(&self) -> Value {
        self.get("/status").json()
    }

    /// Asks for the status until it is as wanted; each question is a round trip, so this is no busy loop.
    pub(crate) fn wait_for(&self, wanted: impl Fn(&Value) -> bool) -> Duration {
        let start = Instant::now();
        while !wanted(&self.status()) {
            assert!(start.elapsed() < PATIENCE, "never so: {}", self.status());
        }
        start.elapsed()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn chat_body(text: &str, more: &Value) -> String {
    let mut body =
        json!({"model": "ghostllm-demo", "temperature": 0, "messages": [{"role": "user", "content": text}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body.to_string()
}

/// Waits until its log has this.
pub(crate) fn says(engine: &Engine, wanted: &str) {
    let begun = Instant::now();
    while !engine.log().contains(wanted) {
        assert!(begun.elapsed() < PATIENCE, "{wanted} is not in\n{}", engine.log());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Reads an answer to its end.
pub(crate) fn finish(mut stream: UnixStream) -> Reply {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let head = head.to_lowercase();
    let body = if head.contains("transfer-encoding: chunked") { unchunked(body) } else { body.to_owned() };
    Reply { status, head, body }
}

fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        body.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
    body
}

/// Puts a model among the engine's that never ends its turn by itself and has room for minutes of talk: the demo with
/// its end marks renamed, so that they are words like others, and a longer context. Named `endless`.
pub(crate) fn add_endless(engine: &Engine) {
    let mut bytes = std::fs::read(demo()).unwrap();
    for (old, new) in
        [(b"<|im_end|>".as_slice(), b"<|im_eee|>".as_slice()), (b"<|endoftext|>", b"<|eeeoftext|>")]
    {
        let places: Vec<usize> = (0..60_000).filter(|at| bytes[*at..].starts_with(old)).collect();
        assert!(!places.is_empty());
        places.iter().for_each(|at| bytes[*at..*at + new.len()].copy_from_slice(new));
    }
    for (key, value) in [("llama.context_length", 50_000_u32), ("tokenizer.ggml.eos_token_id", 5)] {
        let at = (0..60_000).find(|at| bytes[*at..].starts_with(key.as_bytes())).unwrap() + key.len() + 4;
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    std::fs::write(engine.models().join("endless.gguf"), bytes).unwrap();
}

/// Puts a model among the engine's that says in its file how to pool (`llama_pooling_type`).
pub(crate) fn add_pooled(engine: &Engine, name: &str, pooling: u32) {
    add_numbered(engine, name, &[("llama.pooling_type", pooling)]);
}

/// Puts a model among the engine's that names tokens for filling in: before the text, before the suffix, and behind both.
pub(crate) fn add_filling(engine: &Engine, name: &str, marks: [u32; 3]) {
    let keys = ["pre", "suf", "mid"].map(|mark| format!("tokenizer.ggml.fim_{mark}_token_id"));
    let numbers: Vec<(&str, u32)> = keys.iter().map(String::as_str).zip(marks).collect();
    add_numbered(engine, name, &numbers);
}

/// Puts a model among the engine's that wants its first token before each text: the demo with that switch turned. Named `led`.
pub(crate) fn add_led(engine: &Engine) {
    let key = b"tokenizer.ggml.add_bos_token";
    let mut bytes = std::fs::read(demo()).unwrap();
    // Behind the key stands its type, in 32 bits.
    let at = bytes.windows(key.len()).position(|window| window == key).unwrap() + key.len() + 4;
    assert_eq!(bytes[at], 0);
    bytes[at] = 1;
    std::fs::write(engine.models().join("led.gguf"), bytes).unwrap();
}

/// Puts the demo among the engine's models with these numbers more in its head.
fn add_numbered(engine: &Engine, name: &str, numbers: &[(&str, u32)]) {
    let mut bytes = std::fs::read(demo()).unwrap();
    let text = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    let number =
        |(key, number): &(&str, u32)| [text(key), [4, *number].map(u32::to_le_bytes).concat()].concat();
    let mut more = numbers.iter().flat_map(number).collect::<Vec<_>>();
    // A text of such a length that what follows stands where it stood within its 32 bytes.
    let padding =
        |length: usize| [text("x"), 8_u32.to_le_bytes().to_vec(), text(&"x".repeat(length))].concat();
    let length = (more.len() + padding(0).len()).next_multiple_of(32) - more.len() - padding(0).len();
    more.extend(padding(length));
    let entries = u64::from_le_bytes(bytes[16..24].try_into().unwrap()) + numbers.len() as u64 + 1;
    bytes[16..24].copy_from_slice(&entries.to_le_bytes());
    bytes.splice(24..24, more);
    std::fs::write(engine.models().join(format!("{name}.gguf")), bytes).unwrap();
}

/// Puts a model among the engine's whose prompt opens the reasoning, as those do that always reason: the demo with the end of its
/// template written anew. Named `thinker`.
pub(crate) fn add_thinker(engine: &Engine) {
    let mut bytes = std::fs::read(demo()).unwrap();
    let old = b"{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n' }}\n{%- endif %}";
    let at = (0..60_000).find(|at| bytes[*at..].starts_with(old)).unwrap();
    let new = format!("{:<width$}}}}}", "{{- '<|im_start|>assistant\\n<think>'", width = old.len() - 2);
    bytes[at..at + old.len()].copy_from_slice(new.as_bytes());
    std::fs::write(engine.models().join("thinker.gguf"), bytes).unwrap();
}

/// The demo's file.
pub(crate) fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/ghostllm-demo.gguf")
}
