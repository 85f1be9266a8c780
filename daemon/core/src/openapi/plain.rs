//! The routes that no model answers: the page, this description, the health, the figures and the CA.

use serde_json::json;

use super::operation::{Answer, Operation, Tag};
use crate::error::Code;

const TAGGED: [(&str, &str); 2] = [
    ("etag", "What If-None-Match is compared with: 304 for a client that has this very text."),
    ("cache-control", "no-cache: it is to be asked for again each time, which the tag makes cheap."),
];

fn tagged(about: &'static str, media: &'static str) -> Answer {
    let form =
        if media == "application/json" { json!({"type": "object"}) } else { json!({"type": "string"}) };
    Answer { headers: TAGGED.into(), ..Answer::new(about, media, form) }
}

fn unchanged() -> Answer {
    Answer {
        status: 304,
        about: "The client has it already.".to_owned(),
        content: Vec::new(),
        headers: TAGGED.into(),
    }
}

pub(super) fn page() -> Operation {
    Operation::new(
        "page",
        Tag::Box,
        "The page of the box",
        "What this is, how to trust it, and lines that work as pasted.",
    )
    .gives(tagged("The page.", "text/html"))
    .gives(unchanged())
}

pub(super) fn openapi() -> Operation {
    let about = "OpenAPI 3.1. It is the program's, the same on every box, and says nothing of this one.";
    Operation::new("openapi", Tag::Box, "This document", about)
        .gives(tagged("The document.", "application/json"))
        .gives(unchanged())
}

pub(super) fn docs() -> Operation {
    let about = "This document as a page for people. It loads nothing from anywhere.";
    Operation::new("docs", Tag::Box, "This document, to be read", about)
        .gives(tagged("The page.", "text/html"))
        .gives(unchanged())
}

pub(super) fn health() -> Operation {
    Operation::new(
        "health",
        Tag::Box,
        "Whether the box serves",
        "Whether any model can answer is what `/readyz` tells.",
    )
    .gives(Answer::line(200, "It serves."))
}

pub(super) fn ready() -> Operation {
    let about = "One line; whoever may see the status gets what is amiss as well, a line each.";
    Operation::new("ready", Tag::Box, "Whether a model can answer", about)
        .gives(Answer::line(200, "A model can answer."))
        .gives(Answer::line(503, "None can, or the program is about to end."))
}

pub(super) fn ready_check() -> Operation {
    let about = "One of `[[health]]` in the configuration. To whoever may not see the status a name that there is not looks like \
                 a check that fails; whoever may is told why it fails.";
    Operation::new("readyCheck", Tag::Box, "Whether a check of the admin's own passes", about)
        .of("The check's name.")
        .gives(Answer::line(200, "It passes."))
        .gives(Answer::line(503, "It fails."))
        .fails(&[Code::NotFound])
}

pub(super) fn metrics() -> Operation {
    let text = json!({"type": "string"});
    let about =
        "For Prometheus, or as OpenMetrics where `Accept` asks for it. packaging/docs/metrics.md names each.";
    let answer = Answer::new("The figures.", "text/plain", text.clone()).or(
        "application/openmetrics-text",
        text,
        None,
    );
    Operation::new("metrics", Tag::Monitoring, "The figures that monitoring collects", about).gives(answer)
}

pub(super) fn authority(id: &'static str, summary: &'static str, media: &'static str) -> Operation {
    let about = "Its certificate, without its key. 404 where a certificate of the owner's is shown.";
    let answer = Answer::new("The certificate.", media, json!({"type": "string"}));
    let answer = Answer {
        headers: vec![("content-disposition", "It is to be kept as a file of this name.")],
        ..answer
    };
    Operation::new(id, Tag::Box, summary, about).gives(answer).fails(&[Code::NotFound])
}
