//! HTTP/3 from the client's side, by the same adaptor.
//!
//! Knows `h3`'s client. Refuses to know TLS and addresses. Invariant: the connection lives as long as one of its handles, and the
//! frames that it keeps whole have the limits of a server's.

use std::future::poll_fn;

use bytes::{Buf, Bytes};
use h3::{
    client::{RequestStream, SendRequest},
    error::{Code, ConnectionError, StreamError},
};
use http::{Request, Response};
use quinn::Endpoint;

use super::{
    adaptor::{Bidi, Opener, Transport, close},
    gate::FrameLimits,
};
use crate::{Limits, workers::spawn};

/// A connection. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Client {
    quic: quinn::Connection,
    endpoint: Endpoint,
    sender: SendRequest<Opener, Bytes>,
}

/// An answer's body.
pub(crate) struct Pieces(RequestStream<Bidi, Bytes>);

impl Client {
    /// Speaks HTTP/3 on a connection of this endpoint.
    ///
    /// # Errors
    /// The connection has ended.
    pub(crate) async fn new(endpoint: Endpoint, quic: quinn::Connection) -> Result<Self, ConnectionError> {
        let limits = Limits::default();
        let frames = FrameLimits {
            headers: limits.h3_headers_frame,
            other: limits.h3_other_frame,
            empty: limits.h3_empty_frames,
        };
        let transport = Transport::new(quic.clone(), frames, limits.quic_receive_window.into());
        let mut builder = h3::client::builder();
        builder.max_field_section_size(limits.header_bytes as u64).send_grease(false);
        let (mut driver, sender) = builder.build(transport).await?;
        spawn(async move {
            // Whoever waits for an answer on it hears why it ended.
            let _ended = poll_fn(|cx| driver.poll_close(cx)).await;
        });
        Ok(Self { quic, endpoint, sender })
    }

    /// Whether it can take a request.
    pub(crate) fn is_open(&self) -> bool {
        self.quic.close_reason().is_none()
    }

    /// Asks, and waits for the head of the answer.
    ///
    /// # Errors
    /// The connection ends, or the request is reset.
    pub(crate) async fn ask(&mut self, request: Request<Bytes>) -> Result<Response<Pieces>, StreamError> {
        let (head, body) = request.into_parts();
        let mut stream = self.sender.send_request(Request::from_parts(head, ())).await?;
        let sent = match stream.send_data(body).await {
            Ok(()) => stream.finish().await,
            stopped => stopped,
        };
        // Whoever refuses a request before its body is read may stop its sender before the answer is there.
        match stream.recv_response().await {
            Ok(response) => Ok(response.map(|()| Pieces(stream))),
            Err(error) => Err(sent.err().unwrap_or(error)),
        }
    }

    /// Closes the connection and waits until its last packet has gone out and been heard.
    pub(crate) async fn close(self) {
        close(&self.quic, Code::H3_NO_ERROR, b"");
        self.endpoint.wait_idle().await;
    }
}

impl Pieces {
    /// The next piece; none at the end.
    ///
    /// # Errors
    /// The stream was reset, or its connection has ended.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, StreamError> {
        let data = self.0.recv_data().await?;
        Ok(data.map(|mut data| data.copy_to_bytes(data.remaining())))
    }
}
