//! The engine: serves GGUF files over OpenAI's wire on a Unix socket.
#![forbid(unsafe_code)]

pub mod template;
