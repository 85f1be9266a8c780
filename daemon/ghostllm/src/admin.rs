//! What the box says about itself over HTTP: so far the page at `/`.
//!
//! Knows the pages and their headers. Refuses to know sockets, keys and backends; facts come in as arguments.
//! Invariant: what is shown without a key names no model and no secret.

pub mod page;

pub use page::{Answering, Page, PageFacts};
