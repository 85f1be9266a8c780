//! A daemon on a Unix socket that answers what a test wants.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// What was asked: method and target, the whole head, and the body.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) line: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// Gives the whole response to a question.
type Answers = dyn Fn(&Asked) -> Vec<u8> + Send + Sync;

/// The daemon; it ends with the test's process.
pub(crate) struct Daemon {
    _dir: TempDir,
    pub(crate) socket: PathBuf,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Daemon {
    /// One that answers like this.
    pub(crate) fn answering(answers: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("admin.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, answers) = (asked.clone(), Arc::<Answers>::from(Box::new(answers) as Box<Answers>));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, answers) = (seen.clone(), answers.clone());
                thread::spawn(move || serve(stream, &seen, &*answers));
            }
        });
        Self { _dir: dir, socket, asked }
    }

    /// One that is well and has one of everything.
    pub(crate) fn well() -> Self {
        Self::answering(|asked| match usual(&asked.line) {
            Some(answer) => response(200, &answer.to_string()),
            None => refusal(404, "Nothing has this path.", "route_not_found"),
        })
    }

    /// One that answers this question so, and the others as usual.
    pub(crate) fn with(line: &'static str, status: u16, body: String) -> Self {
        Self::answering(move |asked| match usual(&asked.line) {
            _ if asked.line == line => response(status, &body),
            Some(answer) => response(200, &answer.to_string()),
            None => refusal(404, "Nothing has this path.", "route_not_found"),
        })
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(stream: UnixStream, seen: &Mutex<Vec<Asked>>, answers: &Answers) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let length =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    let line = head.lines().next().unwrap().replace(" HTTP/1.1", "").replace("/admin/api/v1", "");
    let asked = Asked { line, head, body: String::from_utf8(body).unwrap() };
    seen.lock().unwrap().push(asked.clone());
    // Whoever has gone needs no answer.
    let _sent = reader.get_mut().write_all(&answers(&asked));
}

/// A whole response.
pub(crate) fn response(status: u16, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The API's error object.
pub(crate) fn refusal(status: u16, message: &str, code: &str) -> Vec<u8> {
    response(status, &error(message, code))
}

pub(crate) fn error(message: &str, code: &str) -> String {
    json!({ "error": { "message": message, "type": "some_error", "param": null, "code": code } }).to_string()
}

/// A certificate as a box's CA has it; no key of it exists any more.
pub(crate) const PEM: &str = "-----BEGIN CERTIFICATE-----
MIIBITCByaADAgECAgEBMAoGCCqGSM49BAMCMBExDzANBgNVBAMMBmNhbm5lZDAe
Fw0yNjAxMDEwMDAwMDBaFw0zNjAxMDEwMDAwMDBaMBExDzANBgNVBAMMBmNhbm5l
ZDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABAAAAAAAAAAAAAAAAAAAAAAAAAAA
-----END CERTIFICATE-----
";

pub(crate) const SHA256: &str =
    "AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99";

/// What is asked for everywhere has a long name, letters of two columns, and what a terminal would obey.
pub(crate) const EVIL: &str = "模型 of the laptop\u{1b}[2J\u{9b}31m\u{202e} that stands in the kitchen";

/// A key that was never anybody's.
pub(crate) const KEY: &str = "gllm_Ab3dE6gHthisisnobodyssecretthisisnobodyssecret12345678901";

fn key() -> Value {
    json!({
        "id": "Ab3dE6gH", "name": EVIL, "role": "operator", "scopes": [], "class": "background",
        "models": ["llama3*", "Qwen/Qwen3-Coder-480B-A35B-Instruct:*"], "created": "2026-11-01T00:00:00Z",
        "expires": "2099-01-01T00:00:00Z", "state": "rotated", "replaced_by": "Zz9yX8wV", "last_used": "2026-11-02T00:00:00Z"
    })
}

pub(crate) fn status(condition: &str) -> Value {
    let cause = |code: &str, severity: &str, what: &str, next: &str| json!({ "code": code, "severity": severity, "what": what, "next": next });
    let causes = match condition {
        "ready" => json!([]),
        "no_model" => {
            json!([cause("no_model", "error", "No model can answer: no backend was found.", "ollama serve")])
        }
        _ => json!([
            cause(
                "backend_down",
                "warning",
                &format!("The backend {EVIL} does not answer: Connection refused (os error 111)."),
                "systemctl start ollama"
            ),
            cause("first_key_waits", "note", "The first key waits to be shown.", "ghostctl keys first"),
        ]),
    };
    let listener = |kind: &str, address: &str, speaks: &str, serves: bool, key: bool| json!({ "kind": kind, "address": address, "speaks": speaks, "serves": serves, "key": key });
    json!({
        "version": 1, "condition": condition, "causes": causes, "host": "ghostbox", "program": "0.1.0", "pid": 4711,
        "since": "2026-11-28T09:00:00Z", "uptime_s": 11_520, "models": 3, "backends": 2, "backends_up": 1, "requests": 4,
        "connections": 12, "keys": 5, "certificate_expires": "2099-01-01T00:00:00Z",
        "listeners": [
            listener("tls", "[::]:11443", "HTTP/1.1, HTTP/2", true, true),
            listener("quic", "[::]:11443", "HTTP/3", false, true),
            listener("plain", "127.0.0.1:11430", "HTTP/1.1, HTTP/2", true, false),
            listener("admin", "/home/somebody-with-a-long-name/.local/state/ghostllm/admin.sock", "HTTP/1.1", true, false),
        ]
    })
}

fn certificates() -> Value {
    json!({
        "version": 1,
        "server": {
            "names": ["ghostbox", "ghostbox.local", "localhost", "127.0.0.1", "::1", "192.168.178.23", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff"],
            "expires": "2099-01-01T00:00:00Z", "renews": "2098-12-01T00:00:00Z"
        },
        "authority": { "sha256": SHA256, "pem": PEM },
        "left_out": [format!("{EVIL}: outside of what the CA may name; ghostctl cert renew --new-ca")]
    })
}

pub(crate) fn request(id: &str) -> Value {
    json!({
        "id": id, "key": "Ab3dE6gH", "caller": EVIL, "from": "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff", "http": "HTTP/3",
        "model": "Qwen/Qwen3-Coder-480B-A35B-Instruct:fp8", "backend": "vllm", "state": "answering",
        "since": "2026-11-28T09:00:00Z", "age_ms": 83_250, "events": 412
    })
}

pub(crate) const REQUEST: &str = "1f3c9a02b4d5e6f70123456789abcdef";

fn backend(name: &str, up: Option<bool>) -> Value {
    let fault = (up == Some(false)).then(|| format!("{EVIL}: connection refused"));
    json!({ "name": name, "kind": "openai", "at": "http://[2001:db8:aaaa:bbbb::1]:8000/some/long/path/v1", "up": up, "fault": fault, "models": 2, "requests": 1 })
}

fn task(name: &str, policy: &str, state: &str, last_error: Option<&str>) -> Value {
    json!({ "name": name, "policy": policy, "state": state, "restarts": u8::from(last_error.is_some()), "last_error": last_error })
}

fn usage() -> Value {
    let counts = |requests: u64, estimated: u64| {
        json!({
            "requests": requests, "refused": 0, "failed": 1, "cancelled": 2, "uncounted": 1, "prompt_tokens": 18_446_744_073_709_u64,
            "completion_tokens": 51_004, "cached_tokens": 300_000, "reasoning_tokens": 7, "estimated_requests": estimated,
            "estimated_tokens": estimated * 10
        })
    };
    json!({
        "version": 1, "from": "2026-10-30", "to": "2026-11-28", "by": ["key", "model"], "more": true, "unreadable": ["2026-10"],
        "rows": [
            { "day": null, "key": "Ab3dE6gH", "caller": EVIL, "model": "Qwen/Qwen3-Coder-480B-A35B-Instruct:fp8", "counts": counts(120, 2) },
            { "day": null, "key": null, "caller": "local", "model": EVIL, "counts": counts(1, 0) }
        ],
        "total": counts(121, 2)
    })
}

/// A card that is well.
pub(crate) fn card() -> Value {
    let untold = json!({ "missing": "this card does not tell it" });
    let value = |value: Value| json!({ "value": value });
    let number = |number: u64| json!({ "value": number });
    let sensor = |celsius: f64| json!({ "celsius": { "value": celsius }, "to_soft": { "value": 24.0 }, "to_slowdown": { "value": 26.0 }, "to_shutdown": { "value": 31.0 } });
    json!({
        "index": 0, "uuid": "GPU-7a1b", "name": EVIL, "maker": "nvidia", "pci": "0000:01:00.0", "driver": "nvidia 580.95.05",
        "state": "cool", "since": "2026-11-28T09:00:00Z",
        "throttles": value(json!([{ "reason": "power_cap", "words": "it is at its power limit" }])),
        "margins": { "slower": 24.0, "slowdown": 26.0, "shutdown": 31.0 },
        "slower": { "outlook": "never", "seconds": null, "earliest_s": null, "latest_s": null },
        "gpu": sensor(61.0), "memory_heat": sensor(70.5),
        "hotspot": { "celsius": untold, "to_soft": untold, "to_slowdown": untold, "to_shutdown": untold },
        "power": { "watts": { "value": 612.4 }, "limit": { "value": 700.0 }, "millijoules": number(45_360_000_000) },
        "clocks": { "core": number(1755), "core_most": number(1980), "memory": number(2619), "memory_most": number(2619) },
        "utilisation": { "core": number(98), "memory": number(61) },
        "memory": { "total": number(80 << 30), "used": number(61 << 30), "shared": null },
        "fan": untold,
        "link": { "generation": number(5), "generation_most": number(5), "lanes": number(16), "lanes_most": number(16) },
        "faults": {
            "ecc_corrected": number(0), "ecc_uncorrected": number(0), "rows_remapped": number(0), "rows_pending": value(json!(false)),
            "rows_failed": value(json!(false)), "pages_retired": untold, "xid": value(Value::Null), "xid_age_s": null
        },
        "instances": { "count": number(1), "list": [{ "index": 0, "total": number(10 << 30), "used": number(1 << 30) }] },
        "processes": { "count": number(40), "list": [{ "pid": 4711, "name": EVIL, "bytes": number(60 << 30), "instance": 0 }] },
        "age_s": 0.4, "late_s": null
    })
}

fn gpu() -> Value {
    let most = json!({ "interactive": 8, "background": 4 });
    let none = json!({ "interactive": null, "background": null });
    json!({
        "version": 1, "at": "2026-11-28T09:00:00.5Z", "missing": [], "cards": [card()],
        "governor": {
            "mode": "on", "limits": none,
            "running": { "interactive": 3, "background": 1 }, "waiting": { "interactive": 0, "background": 0 },
            "decision": {
                "limits": none, "most": most, "gate": "open", "retry_after": null, "cause": "none", "card": null,
                "words": "as many requests run at once as are allowed: it is 24 °C below where it gets slower"
            }
        }
    })
}

fn gpu_history() -> Value {
    let point = |second: u32| {
        json!({
            "at": format!("2026-11-28T09:00:{second:02}Z"), "celsius": 61.0 + f64::from(second), "memory_heat": 70.0, "hotspot": null, "margin": 24.0,
            "watts": null, "utilisation": 98, "clock": 1755, "state": "cool", "throttles": ["power_cap"]
        })
    };
    json!({ "version": 1, "card": 0, "span": "10m", "points": (0..60).map(point).collect::<Vec<_>>() })
}

fn model(id: &str, requests: usize) -> Value {
    json!({ "id": id, "backend": "vllm", "up": requests > 0, "requests": requests, "new_here": true })
}

fn audited(result: &str) -> Value {
    json!({
        "at": "2026-11-28T09:00:00Z", "who": "uid 1000", "name": EVIL, "from": "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff",
        "act": "certificates.renew_authority", "on": REQUEST, "result": result, "detail": "the words of somebody who has much to say"
    })
}

/// The answers of a daemon that is well and has one of everything.
pub(crate) fn usual(line: &str) -> Option<Value> {
    let made = || json!({ "version": 1, "id": "Ab3dE6gH", "key": KEY, "info": key() });
    let list =
        || json!({ "version": 1, "keys": [key(), key()], "first_waits_since": "2026-11-27T00:00:00Z" });
    Some(match line {
        "GET /status" => status("ready"),
        "GET /keys" | "DELETE /keys/Ab3dE6gH" => list(),
        "POST /keys" | "POST /keys/Ab3dE6gH/rotate" => made(),
        "POST /keys/first" => json!({ "version": 1, "id": "Ab3dE6gH", "key": KEY }),
        "GET /models" => {
            json!({ "version": 1, "models": [model("Qwen/Qwen3-Coder-480B-A35B-Instruct:fp8-with-a-long-tail", 2), model(EVIL, 0)] })
        }
        "GET /backends" => {
            json!({ "version": 1, "backends": [backend("a b", Some(true)), backend("vllm", None)] })
        }
        "POST /backends/a%20b/test" => backend("a b", Some(true)),
        "POST /backends/vllm/test" => backend("vllm", Some(false)),
        "GET /requests" => {
            json!({ "version": 1, "requests": [request(REQUEST), request("1f3c9a02ffffffffffffffffffffffff"), request("abcdef0123456789abcdef0123456789")] })
        }
        "DELETE /requests/1f3c9a02b4d5e6f70123456789abcdef" => json!({ "version": 1, "id": REQUEST }),
        "GET /tasks" => json!({ "version": 1, "request_panics": 2, "tasks": [
            task("plain [2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:11430", "critical", "running", None),
            task("engine", "restartable", "waiting", Some("it ended by itself (signal 9) \u{1b}[2J and once more, in words that take more than a line does")),
            task("quic [::]:11443", "restartable", "hanging", None), task("news", "restartable", "ended", None)] }),
        "GET /usage?days=30&by=key,model" => usage(),
        "GET /gpu" => gpu(),
        "GET /gpu/history?card=0&span=10m" => gpu_history(),
        "GET /certificates" => certificates(),
        "POST /certificates/renew" | "POST /certificates/authority" => {
            json!({ "version": 1, "certificates": certificates() })
        }
        "GET /config" => {
            json!({ "version": 1, "toml": "[listen]\ntls = \"[::]:11443\" # /etc/ghostllm/ghostllm.toml:3\n", "files": ["/etc/ghostllm/ghostllm.toml"],
                "kept": { "log.level": "debug" }, "refused": "line 3: \u{1b}[2Jodd", "restart": ["listen.tls"],
                "pending": [{ "setting": "listen.tls", "in_use": "\"[::]:11443\"", "on_disk": null, "place": "/etc/\u{1b}[2Ja.toml:3:1" }] })
        }
        "PATCH /config" => {
            json!({ "version": 1, "taken": true, "fault": null, "changed": ["log.level"], "restart": ["listen.tls"] })
        }
        "POST /config/check" => {
            json!({ "version": 1, "sound": true, "faults": [], "files": ["/etc/ghostllm/ghostllm.toml"] })
        }
        "POST /reload" => {
            json!({ "version": 1, "taken": true, "fault": null, "changed": ["limits.drain_grace"], "restart": ["listen.tls"] })
        }
        "GET /audit?last=20" | "GET /audit?last=3" => {
            json!({ "version": 1, "entries": [audited("done"), audited("denied"), audited("failed")], "more": true })
        }
        _ => return None,
    })
}
