//! Recorded exchanges: the bytes that went to a real engine and came back.
//!
//! Knows the files under `tests/recordings`. Refuses to know what they mean. Invariant: nothing is changed on reading;
//! only [`masked`] changes bytes, and only what differs between two runs of one server.

use std::{fs, path::PathBuf};

/// One exchange.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Its file name without the endings.
    pub name: String,
    /// The bytes sent.
    pub request: Vec<u8>,
    /// The bytes received, framing included.
    pub response: Vec<u8>,
}

/// Where one engine's recordings lie.
#[must_use]
pub fn folder(engine: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("recordings").join(engine)
}

/// One exchange by its name.
///
/// # Panics
/// When there is no such recording.
#[must_use]
pub fn load(engine: &str, name: &str) -> Recording {
    let read = |kind: &str| fs::read(folder(engine).join(format!("{name}.{kind}.http"))).expect(name);
    Recording { name: name.into(), request: read("request"), response: read("response") }
}

/// Every exchange of one engine, by name.
///
/// # Panics
/// When the folder cannot be read.
#[must_use]
pub fn all(engine: &str) -> Vec<Recording> {
    let mut names: Vec<String> = fs::read_dir(folder(engine))
        .expect("the folder of recordings")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".request.http").map(str::to_owned))
        .collect();
    names.sort();
    names.iter().map(|name| load(engine, name)).collect()
}

/// The response as text, with what two runs never share replaced: dates, times, durations, ids of tool calls, and the
/// sizes that hang on the length of these.
///
/// # Panics
/// When the response is not UTF-8.
#[must_use]
pub fn masked(response: &[u8]) -> String {
    let text = std::str::from_utf8(response).expect("a recorded response in UTF-8");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let mut out = String::new();
    for line in head.split("\r\n") {
        let timed = ["created_at", "expires_at", "total_duration"]
            .iter()
            .any(|key| body.contains(&format!("\"{key}\"")));
        let name = line.split(':').next().unwrap_or_default();
        if name == "Date" || (name == "Content-Length" && timed) {
            out += name;
        } else {
            out += line;
        }
        out += "\n";
    }
    for line in body.split("\r\n") {
        let size = usize::from_str_radix(line, 16).ok();
        match size {
            Some(size) if size > 0 => out += "CHUNK",
            _ => out += &mask_values(line),
        }
        out += "\n";
    }
    out
}

fn mask_values(line: &str) -> String {
    let mut line = line.to_owned();
    for key in ["created_at", "expires_at", "id"] {
        line = mask(&line, &format!("\"{key}\":\""), '"');
    }
    for key in ["total_duration", "load_duration", "prompt_eval_duration", "eval_duration"] {
        line = mask(&mask(&line, &format!("\"{key}\":"), ','), &format!("\"{key}\":"), '}');
    }
    line
}

/// Replaces what stands between `before` and the next `end` (digits only, where `end` is no quote).
fn mask(line: &str, before: &str, end: char) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(before) {
        let (head, tail) = rest.split_at(at + before.len());
        let stop = tail.find(end).unwrap_or(tail.len());
        let value = &tail[..stop];
        out += head;
        if end == '"' || value.bytes().all(|byte| byte.is_ascii_digit()) {
            out += "MASKED";
            rest = &tail[stop..];
        } else {
            rest = tail;
        }
    }
    out + rest
}
