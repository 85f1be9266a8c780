//! The list of models.
//!
//! Knows OpenAI's model object, as we send it and as engines send it. Refuses to know which models exist.
//! Invariant: an empty list is a list, never null.

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::dialect::json;
use crate::error::BackendFault;
use crate::routing::{Model, is_name};

#[derive(Serialize)]
struct Object<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'a str,
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Object<'a>>,
}

fn object(model: &Model) -> Object<'_> {
    Object { id: &model.id, object: "model", created: model.created, owned_by: &model.owned_by }
}

/// The body of `GET /v1/models`.
#[must_use]
pub fn models_body<'a>(models: impl IntoIterator<Item = &'a Model>) -> Bytes {
    let mut out = BytesMut::new();
    json::write(&mut out, &List { object: "list", data: models.into_iter().map(object).collect() });
    out.freeze()
}

/// The body of `GET /v1/models/{id}`.
#[must_use]
pub fn model_body(model: &Model) -> Bytes {
    let mut out = BytesMut::new();
    json::write(&mut out, &object(model));
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
        let created = entry.get("created").and_then(Value::as_u64).unwrap_or(0);
        Some(Model { id: id.to_owned(), created, owned_by: owned_by.to_owned() })
    };
    Ok(listed.data.unwrap_or_default().into_iter().filter_map(model).collect())
}
