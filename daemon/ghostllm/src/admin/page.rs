//! The page at `/`, the same on every port: what this is, how to trust it, and lines that work as pasted.
//!
//! Knows the page's template and its headers. Refuses to know where the facts come from. Invariant: whatever is
//! put in is escaped, a name that could be no host's is put in nowhere, and nothing on the page loads or runs.

mod template;
#[cfg(test)]
mod tests;

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Response};

use super::document::Document;
use template::Template;

const SOURCE: &str = include_str!("../../../../web-ui/index.html");

/// What the page says about this box; a new page is rendered whenever one of these changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageFacts {
    /// The daemon's version.
    pub version: String,
    /// The name that others reach the box by; one that its certificate has.
    pub name: String,
    /// Every other name and address that the certificate has and others may reach it by, as a URL spells it.
    pub names: Vec<String>,
    /// The TLS port.
    pub tls_port: u16,
    /// The first plain listener that is open; `None` when there is none.
    pub plain: Option<SocketAddr>,
    /// The plain listener wants a key as well.
    pub plain_wants_key: bool,
    /// SHA-256 of the box's CA as `AB:CD:…`; `None` when a person's own certificate is shown.
    pub fingerprint: Option<String>,
    /// Who answers.
    pub answering: Answering,
}

/// Who answers a chat now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answering {
    /// At least one real model.
    Model,
    /// The demo model and no other.
    DemoOnly,
    /// Nothing.
    Nothing,
}

/// The page, rendered once for one set of facts and each name, with its headers.
#[derive(Debug, Clone)]
pub struct Page {
    facts: PageFacts,
    document: Document,
    /// The same for who comes by one of the other names, each made when somebody does.
    others: Vec<(String, OnceLock<Arc<Self>>)>,
}

impl Page {
    /// Renders the page.
    #[must_use]
    pub fn render(facts: &PageFacts) -> Self {
        let others = facts.names.iter().filter(|name| **name != facts.name);
        Self { others: others.map(|name| (name.clone(), OnceLock::new())).collect(), ..Self::alone(facts) }
    }

    fn alone(facts: &PageFacts) -> Self {
        Self { facts: facts.clone(), document: Document::page(Bytes::from(fill(facts))), others: Vec::new() }
    }

    /// The page for who has reached the box by this host, as a URL spells it: whoever can, can paste it. Any other changes
    /// nothing.
    #[must_use]
    pub fn reached_by(&self, host: &str) -> Option<&Arc<Self>> {
        let (name, page) = self.others.iter().find(|(name, _)| name == host)?;
        let facts = || PageFacts { name: name.clone(), ..self.facts.clone() };
        Some(page.get_or_init(|| Arc::new(Self::alone(&facts()))))
    }

    /// The document.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        self.document.body()
    }

    /// The answer to a GET or HEAD: 200, or 304 for a client that already has this very page.
    #[must_use]
    pub fn answer(&self, method: &Method, request: &HeaderMap) -> Response<Bytes> {
        self.document.answer(method, request)
    }
}

fn fill(facts: &PageFacts) -> String {
    let name = host_name(&facts.name);
    let origin = format!("https://{name}:{}", facts.tls_port);
    let local_origin = facts.plain.map(|address| format!("http://{address}")).unwrap_or_default();
    let print = facts.fingerprint.as_deref().and_then(groups);
    let real = facts.answering == Answering::Model;
    let mut template = Template::new(SOURCE)
        .value("version", &facts.version)
        .value("name", name)
        .value("tls", &format!("{origin}/v1"))
        .value("origin", &origin)
        .value("local", &format!("{local_origin}/v1"))
        .value("local_origin", &local_origin)
        .part("own", print.is_some())
        .part("given", facts.fingerprint.is_none())
        .part("real", real)
        .part("unreal", !real)
        .part("demo", facts.answering == Answering::DemoOnly)
        .part("nothing", facts.answering == Answering::Nothing)
        .part("plain", facts.plain.is_some())
        .part("keyed", facts.plain_wants_key)
        .part("keyless", !facts.plain_wants_key);
    for (at, group) in print.unwrap_or_default().iter().enumerate() {
        template = template.value(&format!("print{}", at + 1), group);
    }
    template.render()
}

/// The name, where it can be a host's. Escaping protects the page, not the shell that its lines are pasted into.
fn host_name(name: &str) -> &str {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    if !name.is_empty() && !name.starts_with('-') && name.chars().all(fits) { name } else { "localhost" }
}

/// A fingerprint in eight groups of four bytes, `AB:CD:EF:01`; `None` where it is none.
fn groups(fingerprint: &str) -> Option<[String; 8]> {
    let pairs: Vec<&str> = fingerprint.split(':').collect();
    let is_pair = |pair: &&str| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !pairs.iter().all(is_pair) {
        return None;
    }
    let groups: Vec<String> = pairs.chunks(4).map(|group| group.join(":")).collect();
    (pairs.len() == 32).then_some(groups)?.try_into().ok()
}
