//! Writes what is generated into a folder: the admin API's schema, the page of routes and permissions, that of the metrics, that of
//! conformance, and the description of the whole API with its page.
#![expect(clippy::expect_used, reason = "whoever runs it sees why it fails")]

use std::{env, fs, path::PathBuf};

fn main() {
    let folder = PathBuf::from(env::args_os().nth(1).expect("a folder"));
    fs::write(folder.join("admin-api.schema.json"), ghostllm_core::admin::schema())
        .expect("the schema is written");
    fs::write(folder.join("metrics.md"), ghostllm_core::metrics::page()).expect("the page is written");
    fs::write(folder.join("conformance.md"), ghostllm_core::conformance::page())
        .expect("the page is written");
    fs::write(folder.join("openapi.json"), ghostllm_core::openapi::document())
        .expect("the document is written");
    fs::write(folder.join("api.html"), ghostllm_core::openapi::page()).expect("the page is written");
    fs::write(folder.join("routes.md"), ghostllm_core::routes::page()).expect("the page is written");
}
