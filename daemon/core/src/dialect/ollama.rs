//! Ollama's native language, as an engine speaks it to us.
//!
//! Knows `/api/chat`, `/api/generate`, `/api/embed`, `/api/tags` and `/api/version` as recorded from 0.33. Refuses to know OpenAI's
//! language, and Ollama's own `/v1`, which drops fields and hides failures. Invariant: an answer is complete only when a done line says so.

mod embed;
mod generate;
mod logprobs;
mod models;
mod request;
mod response;
mod tools;
mod version;

pub use embed::{embed_body, parse_embed};
pub use generate::generate_body;
pub use models::{Tag, parse_tags};
pub use request::chat_body;
pub use response::ChatDecoder;
pub use version::Version;
