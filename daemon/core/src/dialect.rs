//! The languages that clients and engines speak.
//!
//! Each dialect knows one wire format and how it maps to [`crate::chat`]. None knows another dialect, with two
//! exceptions: bodies for an engine that speaks OpenAI's language are edited in place ([`openai::passthrough`]), and
//! OpenAI's two APIs read fields, pictures and numbers alike ([`responses`]). [`render`] alone knows all that clients
//! speak.
//! Invariant: nothing here reads more than it is given, waits, or draws a random number.

#[cfg(test)]
pub(crate) mod arbitrary;
pub mod json;
pub mod ollama;
pub mod openai;
#[cfg(test)]
pub(crate) mod recorded;
pub mod render;
#[cfg(test)]
mod replayed;
pub mod responses;
#[cfg(test)]
mod round_trips;
pub mod tool_text;
mod unread;
