//! OpenAI's chat completions, older completions and embeddings: what our clients speak, and some engines too.
//!
//! Knows the request fields, the chunks and the answers. Refuses to know Ollama. Invariant: what is sent is read
//! by the strictest client that was tried; what is received is checked before it is believed.

mod body;
mod choice;
mod completions;
mod decode;
mod embeddings;
pub(super) mod fields;
pub(super) mod media;
pub(in crate::dialect) mod message;
pub mod models;
pub mod one_call;
pub mod passthrough;
mod refused;
mod repair;
pub(super) mod request;
pub mod several;
mod stream;
pub mod table;
mod text_calls;
mod thinking;
mod turns;
mod unstreamed;
mod whole;

pub use body::chat_body;
pub use completions::{
    CompletionStream, CompletionWhole, ROWS as COMPLETION_ROWS, inspect_completion, parse_completion,
};
pub use decode::ChunkDecoder;
pub use embeddings::{
    PassedEmbeddings, ROWS as EMBEDDING_ROWS, Vectors, check_embeddings, embeddings_body, inspect_embeddings,
    parse_embeddings,
};
pub use models::{ShownModel, model_body, models_body, parse_models};
pub use repair::{StreamRepair, Whole, check_whole, check_whole_completion, refuses_counts};
pub use request::parse_chat;
pub(crate) use request::{CHOICES_LIMIT, COUNT_LIMIT, TOOLS_LIMIT};
pub use stream::{ChatStream, DONE, KEEP_ALIVE_COMMENT};
pub use text_calls::TextCalls;
pub use unstreamed::as_stream;
pub use whole::ChatWhole;
