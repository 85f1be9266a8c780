//! The edge: sockets in, requests out.
//!
//! Knows tokio, hyper, quinn, h3 and rustls. Refuses to know language models, backends and the
//! configuration's format. Invariant: whatever the HTTP version, a [`Handler`] sees one request type with
//! one body type and the same [`Connection`] facts, and its future and its body are dropped as soon as the
//! client is gone.
#![forbid(unsafe_code)]

pub mod accept;
pub mod bind;
pub mod body;
mod broken;
pub mod ca;
pub mod client;
pub mod connection;
mod counted;
pub mod deadline;
mod descriptors;
pub mod drain;
pub mod ended;
pub mod freeze;
pub mod guard;
mod h3;
pub mod limits;
pub mod listener;
pub mod probe;
pub mod pulse;
pub mod quic;
pub mod room;
pub mod sources;
pub mod tcp;
pub mod tls;
pub mod unix;
pub mod ways;
pub mod workers;

pub use body::{BodyError, EndsAtDrain, RequestBody, ResponseBody, StreamFailed};
pub use connection::{Connection, Transport};
pub use limits::Limits;
pub use listener::Serve;

use std::future::Future;

use http::{Request, Response, StatusCode, Version, request};

/// What serves every request of every HTTP version: a request in, a response out, never an error.
///
/// The [`Connection`] that the request came in on stands in the request's extensions. Dropping the returned
/// future, or the response's body, means that the client has gone.
pub trait Handler: Clone + Send + Sync + 'static {
    /// Answers one request.
    fn handle(&self, request: Request<RequestBody>) -> impl Future<Output = Response<ResponseBody>> + Send;

    /// What a client gets whose request passes a limit of the edge's own: 414 or 431. The connection stands in its extensions here
    /// as well.
    fn refuse(&self, status: StatusCode, _head: &request::Parts) -> Response<ResponseBody> {
        let mut response = Response::new(body::empty());
        *response.status_mut() = status;
        response
    }

    /// Hears of a request whose head could not be read, and which was answered with this status alone.
    fn unread(&self, _status: StatusCode, _version: Version, _connection: &Connection) {}
}
