//! HTTP/3 over loopback, against `h3`'s own client and against hand-made bytes.
//!
//! Clients that share no code with us are in the workspace's `tests/clients`.

mod client;
mod draining;
mod exchanges;
mod failing;
mod leaving;
mod limits;
mod pseudo;
mod silence;
mod support;
