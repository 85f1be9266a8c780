//! The engine: serves GGUF files over OpenAI's wire on a Unix socket.
#![forbid(unsafe_code)]

pub mod error;
pub mod gguf;
pub mod output;
pub mod template;
