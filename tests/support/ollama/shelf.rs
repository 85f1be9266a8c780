//! The models that the double has, and which of them is loaded.
//!
//! Knows `/api/tags`, `/api/ps` and `/api/show`. Refuses to know generation. Invariant: a loaded model stands on the shelf.

use time::{Duration, OffsetDateTime};

use super::{error, go, json};
use crate::{script::Reply, wire::Incoming};

/// One model.
#[derive(Debug, Clone)]
pub struct Model {
    /// Its full name, tag included.
    pub name: String,
    /// It thinks before it answers.
    pub thinks: bool,
    /// It makes embeddings: its name says so (`tiny-embed`).
    pub embeds: bool,
    /// It fills in between two texts: its name says so (`tiny-fill`).
    pub inserts: bool,
    size: u64,
    digest: String,
    modified: String,
    show: String,
}

impl Model {
    /// A model of that name (`tiny` becomes `tiny:latest`).
    #[must_use]
    pub fn new(name: &str, thinks: bool) -> Self {
        let name = if name.contains(':') { name.to_owned() } else { format!("{name}:latest") };
        let show = if thinks {
            include_str!("../../recordings/ollama/show-tiny-think.json")
        } else {
            include_str!("../../recordings/ollama/show-tiny.json")
        };
        Self {
            digest: name
                .bytes()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
                .chars()
                .cycle()
                .take(64)
                .collect(),
            modified: "2026-11-23T10:42:13.994042091Z".into(),
            size: 1_151_415,
            show: show.into(),
            thinks,
            embeds: name.contains("embed"),
            inserts: name.contains("fill"),
            name,
        }
    }

    fn recorded(name: &str, thinks: bool, size: u64, digest: &str, modified: &str) -> Self {
        Self { size, digest: digest.into(), modified: modified.into(), ..Self::new(name, thinks) }
    }
}

/// Every model, in the order of `/api/tags`.
#[derive(Debug)]
pub struct Shelf {
    models: Vec<Model>,
    loaded: Vec<(String, OffsetDateTime)>,
}

impl Default for Shelf {
    fn default() -> Self {
        let embed = "ff936abe4909685291c043daf7aa648d6c26c8f8e19229788c72a17bd6b45194";
        let think = "84681647089251f8c9b3763d2265549ddbd2f65fcf3b776d5f963d2a954a6b7b";
        let tiny = "a59f3f99e7a57df1f0645a7f7a4e8196e945b4f952cd50ef3f76402a6a5f7278";
        Self::new(vec![
            Model::recorded("tiny-embed", false, 1_151_431, embed, "2026-11-23T10:42:14.361881935Z"),
            Model::recorded("tiny-think", true, 1_151_735, think, "2026-11-23T10:42:14.207721789Z"),
            Model::recorded("tiny", false, 1_151_415, tiny, "2026-11-23T10:42:13.994042091Z"),
        ])
    }
}

impl Shelf {
    /// These models, none of them loaded.
    #[must_use]
    pub fn new(models: Vec<Model>) -> Self {
        Self { models, loaded: Vec::new() }
    }

    /// Finds a model by its name, with `:latest` where it has no tag.
    pub(super) fn find(&self, name: &str) -> Option<&Model> {
        let full = full_name(name);
        self.models.iter().find(|model| model.name == full)
    }

    pub(super) fn load(&mut self, name: &str) {
        self.unload(name);
        self.loaded.push((full_name(name), OffsetDateTime::now_utc() + Duration::minutes(5)));
    }

    pub(super) fn unload(&mut self, name: &str) {
        let full = full_name(name);
        self.loaded.retain(|(loaded, _)| *loaded != full);
    }

    pub(super) fn tags(&self) -> String {
        let models: Vec<String> = self
            .models
            .iter()
            .map(|model| {
                let insert = if model.inserts { ",\"insert\"" } else { "" };
                format!(
                    "{{{},\"modified_at\":\"{}\",\"size\":{},\"digest\":\"{}\",{},\"capabilities\":[\"completion\"{insert}]}}",
                    names(model),
                    model.modified,
                    model.size,
                    model.digest,
                    details(true)
                )
            })
            .collect();
        format!("{{\"models\":[{}]}}", models.join(","))
    }

    pub(super) fn loaded(&self) -> String {
        let models: Vec<String> = self
            .loaded
            .iter()
            .filter_map(|(name, until)| {
                let model = self.find(name)?;
                Some(format!(
                    "{{{},\"size\":11114904,\"digest\":\"{}\",{},\"expires_at\":\"{}\",\"size_vram\":0,\"context_length\":2048}}",
                    names(model),
                    model.digest,
                    details(false),
                    go::rfc3339(*until)
                ))
            })
            .collect();
        format!("{{\"models\":[{}]}}", models.join(","))
    }
}

fn full_name(name: &str) -> String {
    if name.contains(':') { name.to_owned() } else { format!("{name}:latest") }
}

fn names(model: &Model) -> String {
    let name = go::quote(&model.name);
    format!("\"name\":{name},\"model\":{name}")
}

fn details(lengths: bool) -> String {
    let lengths = if lengths { ",\"context_length\":2048,\"embedding_length\":128" } else { "" };
    format!(
        "\"details\":{{\"parent_model\":\"\",\"format\":\"gguf\",\"family\":\"llama\",\"families\":[\"llama\"],\
         \"parameter_size\":\"1.05M\",\"quantization_level\":\"Q8_0\"{lengths}}}"
    )
}

/// `POST /api/show`.
pub(super) fn show(request: &Incoming, shelf: &Shelf) -> Reply {
    if request.body.is_empty() {
        return error("400 Bad Request", "missing request body");
    }
    let body = request.json();
    let name = ["model", "name"].iter().find_map(|key| body[*key].as_str()).unwrap_or_default();
    if name.is_empty() {
        return error("400 Bad Request", "model is required");
    }
    if name.contains(' ') || name.contains("::") {
        return error("400 Bad Request", "invalid model name");
    }
    match shelf.find(name) {
        Some(model) => json("200 OK", &model.show),
        None => error("404 Not Found", &format!("model '{}' not found", full_name(name))),
    }
}
