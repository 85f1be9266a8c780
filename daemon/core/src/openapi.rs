//! The description of the whole API: an OpenAPI 3.1 document for programs, and a page for people.
//!
//! Knows what the program itself goes by: the table of routes, the table of fields, the kinds of failure, the limits and the
//! forms. Refuses to know a box: it says the same on each, and nothing of any. Invariants: every row of the table of routes
//! is in it, since a new one does not compile until it is described; what a chat's field comes to is read off its table.

mod admin;
mod chat;
mod completions;
mod embeddings;
mod fails;
mod fields;
mod headers;
mod listing;
mod operation;
mod page;
mod plain;
mod responses;
mod schemas;

#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

pub use page::page;

use crate::admin::sorted;
use crate::routes::{Access, Row, TABLE, Verb};
use operation::{Operation, Tag};
use schemas::Schemas;

/// The version of OpenAPI that the document follows (spec.openapis.org/oas/v3.1.1); its schemas are JSON Schema draft 2020-12.
pub const VERSION: &str = "3.1.1";

const ABOUT: &str = "The language models of one box, behind OpenAI's API, over HTTP/1.1, HTTP/2 and HTTP/3. A program written \
    for OpenAI needs another base URL (this address and /v1) and another key, and nothing else.\n\nEach path that takes GET takes \
    HEAD. What a path needs of its caller stands in `x-ghostllm-permission`. On the plain port, which is for programs on the box \
    itself, no key is needed unless the box's admin has said so; the admin API is not served there. What is in none of these paths \
    is 404, and 401 for whoever shows no key. Figures of limits are the ones that hold where the admin has set no others.";

/// The document, as it is served and written to `packaging/docs/openapi.json`: JSON, its names in order.
#[must_use]
pub fn document() -> String {
    format!("{:#}\n", sorted(value()))
}

/// The same as a value.
fn value() -> Value {
    let mut schemas = Schemas::new();
    let paths = paths(&mut schemas);
    json!({
        "openapi": VERSION,
        "info": {
            "title": "GhostLLM",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        // Relative to where the document came from.
        "servers": [{"url": "/", "description": "The box that this came from"}],
        "tags": Tag::ALL.map(|tag| json!({"name": tag.name(), "description": tag.about()})),
        "security": security(),
        "paths": paths,
        "components": {
            "securitySchemes": security_schemes(),
            "headers": headers::answers(),
            "parameters": headers::requests(),
            "responses": fails::responses(&mut schemas),
            "schemas": schemas.all(),
        },
    })
}

/// Any one of them.
fn security() -> Value {
    json!([{"bearer": []}, {"x-api-key": []}, {"api-key": []}])
}

fn security_schemes() -> Value {
    json!({
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "gllm_...",
            "description": "As OpenAI's clients send it. Where several of these fields are there, this one counts.",
        },
        "x-api-key": {
            "type": "apiKey", "in": "header", "name": "X-API-Key", "description": "As Anthropic's clients send it.",
        },
        "api-key": {"type": "apiKey", "in": "header", "name": "API-Key", "description": "As Azure's clients send it."},
    })
}

fn paths(schemas: &mut Schemas) -> Map<String, Value> {
    let mut paths = Map::new();
    for row in TABLE {
        let described = described(row, &operation::of(row.endpoint, schemas), schemas);
        let path = paths.entry(path(row)).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(verb(row.verb).to_owned(), described);
        }
    }
    paths
}

/// Its path as OpenAPI writes it, which has no word for a part that holds slashes.
fn path(row: &Row) -> String {
    row.path.replace("...}", "}")
}

/// The name of the part of its path that stands for something; none where there is none.
fn part(row: &Row) -> Option<&'static str> {
    let (_, rest) = row.path.split_once('{')?;
    let (name, _) = rest.split_once('}')?;
    Some(name.trim_end_matches("..."))
}

const fn verb(verb: Verb) -> &'static str {
    match verb {
        Verb::Get => "get",
        Verb::Post => "post",
        Verb::Patch => "patch",
        Verb::Delete => "delete",
    }
}

fn described(row: &Row, operation: &Operation, schemas: &mut Schemas) -> Value {
    let mut described = json!({
        "operationId": operation.id,
        "tags": [operation.tag.name()],
        "summary": operation.summary,
        "description": operation.about,
        "responses": responses(row, operation, schemas),
    });
    let Some(fields) = described.as_object_mut() else { return described };
    let parameters = parameters(row, operation);
    if !parameters.is_empty() {
        fields.insert("parameters".to_owned(), parameters.into());
    }
    if let Some(body) = &operation.body {
        fields.insert("requestBody".to_owned(), body.described());
    }
    match row.access {
        Access::Public => fields.insert("security".to_owned(), json!([])),
        Access::Needs(permission) => {
            fields.insert("x-ghostllm-permission".to_owned(), permission.name().into())
        }
    };
    if row.on_the_socket_alone() {
        fields.insert("x-ghostllm-socket-alone".to_owned(), true.into());
    }
    described
}

fn parameters(row: &Row, operation: &Operation) -> Vec<Value> {
    let path = part(row).map(|name| {
        json!({
            "name": name, "in": "path", "required": true, "description": operation.part,
            "schema": {"type": "string", "minLength": 1},
        })
    });
    let own = operation.parameters.iter().map(operation::Parameter::described);
    path.into_iter().chain(own).chain(headers::sent(operation.tag)).collect()
}

fn responses(row: &Row, operation: &Operation, schemas: &mut Schemas) -> Map<String, Value> {
    let mut responses = Map::new();
    for answer in &operation.answers {
        responses.insert(answer.status.to_string(), answer.described(operation.tag));
    }
    for status in fails::statuses(row, &operation.fails) {
        let name = fails::component(status);
        responses
            .entry(status.as_str().to_owned())
            .or_insert_with(|| json!({"$ref": format!("#/components/responses/{name}")}));
    }
    // What a newer daemon may say, or one whose engine fails in a way of its own.
    responses.insert("default".to_owned(), fails::any(schemas));
    responses
}
