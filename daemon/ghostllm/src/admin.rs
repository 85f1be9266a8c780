//! What the box says about itself over HTTP: the page at `/`, the description of the API, and what the admin API knows.
//!
//! Knows the pages and their headers. Refuses to know sockets, keys and backends; facts come in as arguments.
//! Invariant: what is shown without a key names no model and no secret.

mod desk;
mod document;
pub(crate) mod events;
pub mod page;

pub(crate) use desk::{Configured, Desk, Order};
pub use document::Document;
pub(crate) use document::Documents;
pub use page::{Answering, Page, PageFacts};
