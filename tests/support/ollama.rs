//! The Ollama double: the native API's bytes as recorded from Ollama 0.33.0-rc2 (`tests/recordings/ollama`).
//!
//! Knows routes, statuses, texts, key order and header order of the real server. Refuses to know sockets. Invariant:
//! what it answers differs from a recording only in times, durations, and the ids of tool calls (tests/doubles).

mod chat;
mod embed;
mod generate;
mod go;
mod mind;
mod odds;
mod shelf;

use std::sync::{Mutex, PoisonError};

use serde_json::Value;

pub use mind::{Ask, Call, Thought, think};
pub use shelf::{Model, Shelf};

use crate::{
    double::Voice,
    script::{Body, Header, Reply},
    wire::Incoming,
};

/// The headers that Ollama allows in a preflight, as recorded (103).
const ALLOWED_HEADERS: &str = "Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta,X-Stainless-Arch,\
    X-Stainless-Async,X-Stainless-Custom-Poll-Interval,X-Stainless-Helper-Method,X-Stainless-Lang,X-Stainless-Os,\
    X-Stainless-Package-Version,X-Stainless-Poll-Helper,X-Stainless-Retry-Count,X-Stainless-Runtime,\
    X-Stainless-Runtime-Version,X-Stainless-Timeout";

/// An Ollama with some models on its shelf.
#[derive(Debug, Default)]
pub struct Ollama {
    shelf: Mutex<Shelf>,
    age: Age,
}

/// Which Ollama it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Age {
    /// The recorded one.
    #[default]
    Recorded,
    /// One before 0.12.11, whose Go passes over `logprobs` as over any field that it does not know; with the version that it says, if any.
    BeforeOdds(Option<&'static str>),
}

impl Ollama {
    /// An Ollama with these models; [`Default`] has the three of the recordings.
    #[must_use]
    pub fn with(models: Vec<Model>) -> Self {
        Self { shelf: Mutex::new(Shelf::new(models)), age: Age::default() }
    }

    /// The same, but so old that it tells no probabilities of tokens, with the version that it says; with none it is behind a proxy that
    /// lets nobody ask for it.
    #[must_use]
    pub fn before_odds(self, version: Option<&'static str>) -> Self {
        Self { age: Age::BeforeOdds(version), ..self }
    }
}

impl Voice for Ollama {
    fn answer(&self, request: &Incoming) -> Reply {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let mut reply = match self.age {
            Age::Recorded => route(request, &mut shelf),
            Age::BeforeOdds(version) => aged(request, &mut shelf, version),
        };
        reply.headless = request.method == "HEAD";
        reply
    }
}

fn aged(request: &Incoming, shelf: &mut Shelf, version: Option<&str>) -> Reply {
    if request.path() == "/api/version" {
        return match version {
            Some(version) => json("200 OK", &format!("{{\"version\":\"{version}\"}}")),
            None => text("404 Not Found", "text/plain", "404 page not found"),
        };
    }
    let mut request = request.clone();
    if let Ok(Value::Object(mut body)) = serde_json::from_slice(&request.body) {
        for unknown in ["logprobs", "top_logprobs"] {
            body.remove(unknown);
        }
        request.body = Value::Object(body).to_string().into_bytes();
    }
    route(&request, shelf)
}

fn route(request: &Incoming, shelf: &mut Shelf) -> Reply {
    if !host_allowed(request.header("host").unwrap_or_default()) {
        return bare("403 Forbidden");
    }
    if let Some(origin) = request.header("origin") {
        if !origin_allowed(origin) {
            return bare("403 Forbidden");
        }
        if request.method == "OPTIONS" {
            return preflight(origin);
        }
    }
    let reads = matches!(request.method.as_str(), "GET" | "HEAD");
    let posts = request.method == "POST";
    match request.path() {
        "/" if reads => text("200 OK", "text/plain; charset=utf-8", "Ollama is running"),
        "/api/version" if reads => json("200 OK", "{\"version\":\"0.33.0-rc2\"}"),
        "/api/tags" if reads => json("200 OK", &shelf.tags()),
        "/api/ps" if request.method == "GET" => json("200 OK", &shelf.loaded()),
        "/api/show" if posts => shelf::show(request, shelf),
        "/api/chat" if posts => chat::chat(request, shelf),
        "/api/generate" if posts => generate::generate(request, shelf),
        "/api/embed" if posts => embed::embed(request, shelf),
        "/" | "/api/version" | "/api/tags" | "/api/ps" | "/api/show" | "/api/chat" | "/api/generate"
        | "/api/embed" => text("405 Method Not Allowed", "text/plain", "405 method not allowed"),
        _ => text("404 Not Found", "text/plain", "404 page not found"),
    }
}

/// Ollama's rule on a loopback listener: an address of this network, or a local name.
fn host_allowed(host: &str) -> bool {
    let name =
        host.rsplit_once(':').map_or(host, |(name, port)| if port.contains(']') { host } else { name });
    let name = name.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = name.parse::<std::net::IpAddr>() {
        return match address {
            std::net::IpAddr::V4(four) => four.is_loopback() || four.is_private() || four.is_unspecified(),
            std::net::IpAddr::V6(six) => six.is_loopback() || six.is_unique_local() || six.is_unspecified(),
        };
    }
    name.is_empty()
        || name == "localhost"
        || [".localhost", ".local", ".internal"].iter().any(|suffix| name.ends_with(suffix))
}

fn origin_allowed(origin: &str) -> bool {
    let apps = ["app://", "file://", "tauri://", "vscode-webview://", "vscode-file://"];
    if apps.iter().any(|scheme| origin.starts_with(scheme)) {
        return true;
    }
    let Some((scheme, rest)) = origin.split_once("://") else { return false };
    let host = rest.split(':').next().unwrap_or_default();
    matches!(scheme, "http" | "https") && matches!(host, "localhost" | "127.0.0.1" | "0.0.0.0")
}

fn date() -> Header {
    Header::Pair("Date", go::http_date(time::OffsetDateTime::now_utc()))
}

/// A gin answer with a content type and a known length; Go chunks what does not fit its buffer of 2048 bytes.
fn text(status: &'static str, kind: &str, body: &str) -> Reply {
    let body = body.as_bytes().to_vec();
    let whole = body.len() <= 2048;
    Reply {
        status,
        headers: vec![
            Header::Pair("Content-Type", kind.into()),
            date(),
            Header::Length,
            Header::Close,
            Header::Chunked,
        ],
        lowercase: false,
        body: if whole { Body::Whole(body) } else { Body::Stream(vec![body]) },
        headless: false,
        generated: false,
    }
}

fn json(status: &'static str, body: &str) -> Reply {
    text(status, "application/json; charset=utf-8", body)
}

/// Gin's `{"error": "..."}`.
fn error(status: &'static str, message: &str) -> Reply {
    json(status, &format!("{{\"error\":{}}}", go::quote(message)))
}

fn bare(status: &'static str) -> Reply {
    let mut reply = text(status, "", "");
    reply.headers.remove(0);
    reply
}

fn preflight(origin: &str) -> Reply {
    let pair = |name, value: &str| Header::Pair(name, value.into());
    let mut reply = bare("204 No Content");
    reply.body = Body::None;
    reply.headers = vec![
        pair("Access-Control-Allow-Headers", ALLOWED_HEADERS),
        pair("Access-Control-Allow-Methods", "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"),
        pair("Access-Control-Allow-Origin", origin),
        pair("Access-Control-Max-Age", "43200"),
        pair("Vary", "Origin"),
        pair("Vary", "Access-Control-Request-Method"),
        pair("Vary", "Access-Control-Request-Headers"),
        date(),
        Header::Close,
    ];
    reply
}
