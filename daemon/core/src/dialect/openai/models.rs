//! The list of models.
//!
//! Knows OpenAI's model object, as we send it and as engines send it, and what ours has beside OpenAI's fields. Refuses to
//! know which models exist. Invariant: an empty list is a list, never null; what is not known is left out.

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::chat::Heeds;
use crate::dialect::json;
use crate::error::BackendFault;
use crate::routing::{Capability, Model, is_name};

/// A model as one caller is shown it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShownModel<'a> {
    /// The name that it is asked for.
    pub id: &'a str,
    /// What its backend says of it.
    pub model: &'a Model,
    /// Its backend's kind, `ollama`, `openai`, `engine` or `gguf`.
    pub backend_kind: &'a str,
    /// Its tokens of context.
    pub context_length: Option<u64>,
    /// The model that answers, where `id` is another name for it and the caller may know.
    pub alias_of: Option<&'a str>,
}

/// OpenAI's four fields, and ours behind them.
#[derive(Serialize)]
struct Object<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'a str,
    backend_kind: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    capabilities: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context_length: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alias_of: Option<&'a str>,
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Object<'a>>,
}

fn object<'a>(shown: &ShownModel<'a>) -> Object<'a> {
    let ShownModel { id, model, backend_kind, context_length, alias_of } = *shown;
    Object {
        id,
        object: "model",
        created: model.created,
        owned_by: &model.owned_by,
        backend_kind,
        capabilities: model.capabilities.iter().map(|capability| capability.word()).collect(),
        context_length,
        alias_of,
    }
}

/// The body of `GET /v1/models`.
#[must_use]
pub fn models_body<'a>(models: impl IntoIterator<Item = ShownModel<'a>>) -> Bytes {
    let mut out = BytesMut::new();
    let data = models.into_iter().map(|shown| object(&shown)).collect();
    json::write(&mut out, &List { object: "list", data });
    out.freeze()
}

/// The body of `GET /v1/models/{id}`.
#[must_use]
pub fn model_body(shown: &ShownModel<'_>) -> Bytes {
    let mut out = BytesMut::new();
    json::write(&mut out, &object(shown));
    out.freeze()
}

/// Reads an engine's list of models; `owned_by` is what ours will say. An entry without an id that a request could name is
/// passed over.
///
/// # Errors
/// [`BackendFault::Garbage`] where it is not such a list.
pub fn parse_models(body: &[u8], owned_by: &str) -> Result<Vec<Model>, BackendFault> {
    #[derive(Deserialize)]
    struct Listed {
        data: Option<Vec<Value>>,
    }
    let listed: Listed = json::read(body, "list of models").map_err(BackendFault::garbage)?;
    let model = |entry: Value| {
        let id = entry.get("id").and_then(Value::as_str).filter(|id| is_name(id))?;
        let words = entry.get("capabilities").and_then(Value::as_array).into_iter().flatten();
        Some(Model {
            id: id.to_owned(),
            created: entry.get("created").and_then(Value::as_u64).unwrap_or(0),
            owned_by: owned_by.to_owned(),
            capabilities: Capability::of_words(words.filter_map(Value::as_str)),
            context_length: context_length(&entry),
            heeds: entry.get("heeds").and_then(Value::as_array).map(|words| heeds(words)),
        })
    };
    Ok(listed.data.unwrap_or_default().into_iter().filter_map(model).collect())
}

/// What the template of a model of our own engine goes by.
fn heeds(words: &[Value]) -> Heeds {
    Heeds::of_words(words.iter().filter_map(Value::as_str))
}

/// The tokens of context, where the engine says them: vLLM's word, that of llama.cpp's server and our engine, and our own.
fn context_length(entry: &Value) -> Option<u64> {
    ["/max_model_len", "/meta/n_ctx", "/context_length"]
        .iter()
        .find_map(|place| entry.pointer(place)?.as_u64().filter(|length| *length > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_engines_say_of_a_model_is_shown_and_what_they_do_not_is_left_out() {
        let list = br#"{"data":[
            {"id":"a","created":7,"max_model_len":2048,"context_length":5},
            {"id":"b","meta":{"n_ctx":1024,"n_ctx_train":4096},"capabilities":["tools","x",1],"heeds":["enable_thinking",1]},
            {"id":"c","meta":null,"max_model_len":-1,"capabilities":"tools"}]}"#;
        let models = parse_models(list, "engine").unwrap();
        let switch = Heeds { switch: true, ..Heeds::default() };
        assert_eq!(models.iter().map(|model| model.heeds).collect::<Vec<_>>(), [None, Some(switch), None]);
        let shown = |model, alias_of| {
            let &Model { ref id, context_length, .. } = model;
            let body =
                model_body(&ShownModel { id, model, backend_kind: "openai", context_length, alias_of });
            String::from_utf8(body.to_vec()).unwrap()
        };
        assert_eq!(
            models.iter().map(|model| shown(model, None)).collect::<Vec<_>>(),
            [
                r#"{"id":"a","object":"model","created":7,"owned_by":"engine","backend_kind":"openai","context_length":2048}"#,
                r#"{"id":"b","object":"model","created":0,"owned_by":"engine","backend_kind":"openai","capabilities":["tools"],"context_length":1024}"#,
                r#"{"id":"c","object":"model","created":0,"owned_by":"engine","backend_kind":"openai"}"#,
            ]
        );
        assert!(shown(&models[2], Some("d")).ends_with(r#""backend_kind":"openai","alias_of":"d"}"#));
        assert_eq!(models_body([]), r#"{"object":"list","data":[]}"#);
    }
}
