//! OpenAI's Responses: what its newer clients speak, Codex and `@ai-sdk/openai` by default.
//!
//! Knows the request's fields and items, the response object and the events of its stream. Refuses to know engines, and
//! to keep anything: each request holds its whole conversation. Invariants: what cannot be kept is refused by its field;
//! what is harmless and not acted on is named ([`ResponseRequest::ignored`]); a stream ends with exactly one of
//! `response.completed`, `response.incomplete` and `response.failed`.

mod echo;
mod input;
mod item;
mod request;
mod stream;
mod tools;
mod whole;

pub use echo::Echo;
pub use request::{ResponseRequest, parse_response};
pub use stream::ResponseStream;
pub use whole::ResponseWhole;
