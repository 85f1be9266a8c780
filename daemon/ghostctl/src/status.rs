//! `ghostctl status`: does the daemon serve, and can a model answer?
//!
//! Knows `/healthz` and `/readyz`. Refuses to guess: only a 200 is well. Invariant: whatever is not well is said
//! together with the next step.

use std::time::Duration;

use serde_json::json;

use crate::{
    get::{self, GetError},
    url::Url,
};

/// The version of the JSON form; it rises when a field goes or changes its meaning.
const FORM: u32 = 1;

/// How the daemon is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    /// It serves and a model can answer.
    Ready,
    /// It serves; no model can answer.
    NoModel,
    /// Something answers, but not as this daemon does when it is well.
    NotWell {
        /// What, and at which path.
        why: String,
    },
    /// Nothing answers.
    NotReachable {
        /// What the system said.
        why: String,
    },
}

/// Asks both questions, each within the given time.
pub(crate) fn ask(url: &Url, within: Duration) -> Status {
    match get::status(url, "/healthz", within) {
        Ok(200) => {}
        Ok(other) => return Status::NotWell { why: format!("/healthz answers {other}") },
        Err(failed @ GetError::NotHttp) => return Status::NotWell { why: failed.to_string() },
        Err(failed) => return Status::NotReachable { why: failed.to_string() },
    }
    match get::status(url, "/readyz", within) {
        Ok(200) => Status::Ready,
        Ok(503) => Status::NoModel,
        Ok(other) => Status::NotWell { why: format!("/readyz answers {other}") },
        // It answered a moment ago, so it is there.
        Err(failed) => Status::NotWell { why: format!("/readyz: {failed}") },
    }
}

impl Status {
    /// One line for a person.
    pub(crate) fn sentence(&self, url: &Url) -> String {
        match self {
            Self::Ready => format!("serving at {url}; a model can answer"),
            Self::NoModel => format!("serving at {url}, but no model can answer: {}", self.next(url)),
            Self::NotWell { why } => format!("not as it should be at {url}: {why}. {}", self.next(url)),
            Self::NotReachable { why } => format!("not reachable at {url}: {why}. {}", self.next(url)),
        }
    }

    /// What a person does next; empty when there is nothing to do.
    fn next(&self, url: &Url) -> String {
        match self {
            Self::Ready => String::new(),
            Self::NoModel => {
                format!("start Ollama and run `ollama pull llama3.2`; {url}/ shows the other ways, the daemon's log what it tried")
            }
            Self::NotWell { .. } => {
                "See the daemon's log (journalctl -u ghostllm); if another program has this port, give the daemon's with --url"
                    .to_owned()
            }
            Self::NotReachable { .. } => {
                "Start the daemon (systemctl start ghostllm, or ghostllm serve); if it listens elsewhere (`[listen] plain`), \
                 give that with --url"
                    .to_owned()
            }
        }
    }

    /// The same for programs: `version`, `url`, `state`, `serving`, `ready`, `why` and `next` (null where there is none).
    pub(crate) fn json(&self, url: &Url) -> String {
        let (state, why) = match self {
            Self::Ready => ("ready", None),
            Self::NoModel => ("no_model", None),
            Self::NotWell { why } => ("not_well", Some(why)),
            Self::NotReachable { why } => ("not_reachable", Some(why)),
        };
        json!({
            "version": FORM,
            "url": url.to_string(),
            "state": state,
            "serving": matches!(self, Self::Ready | Self::NoModel),
            "ready": *self == Self::Ready,
            "why": why,
            "next": Some(self.next(url)).filter(|next| !next.is_empty()),
        })
        .to_string()
    }

    /// 0 well, 1 not well, 3 not reachable.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Ready => 0,
            Self::NoModel | Self::NotWell { .. } => 1,
            Self::NotReachable { .. } => 3,
        }
    }
}
