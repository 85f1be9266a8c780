//! One request and its response.
//!
//! Knows the handler and both halves of one stream. Refuses to know the connection's other requests.
//! Invariants: the handler's future and the response's body are dropped as soon as the client leaves or takes
//! nothing for too long; a response ends cleanly only when it is whole.

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use h3::{
    error::{Code, StreamError},
    server::{RequestResolver, RequestStream},
};
use http::{Method, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tokio::{
    sync::oneshot,
    task::coop,
    time::{Instant, sleep, timeout},
};

use super::{
    adaptor::{Accepted, Progress, Transport},
    body, flight,
    head::{self, Follows, Refusal},
    send::Send,
};
use crate::{Connection, EndsAtDrain, Handler, Limits, ResponseBody, Serve, StreamFailed, drain::Watch};

/// What a request's end says of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It asked and was answered, or left during the answer.
    Answered,
    /// It sent no request that could be answered, or took it back before the answer began.
    Broken,
}

/// Why a response did not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// The client has left, or its connection has.
    Left,
    /// The client has taken no byte for the write limit.
    Stalled,
    /// The handler's body ended in [`StreamFailed`]; its last event is on the way.
    Failed,
    /// The handler's body does not have the length that its head stated, or the head is too large.
    Wrong,
}

/// Reads a request, has it handled and sends the response.
pub(super) async fn serve<H: Handler>(
    resolver: RequestResolver<Transport, Bytes>,
    accepted: Accepted,
    connection: Connection,
    quic: &quinn::Connection,
    Serve { handler, limits, drain, .. }: &Serve<H>,
) -> Outcome {
    let whole_within = limits.header_read.min(limits.handshake);
    // Both steps before the response are in boxes, whose room is not held while it is sent.
    let resolved = Box::pin(resolver.resolve_request());
    let Ok(Ok((request, stream))) = timeout(whole_within, resolved).await else {
        return Outcome::Broken;
    };
    accepted.progress.answer();
    let (send, recv) = stream.split();
    let mut exchange = Exchange { send, accepted, quic, limits, drain };
    exchange.run(request, recv, connection, handler).await
}

struct Exchange<'a> {
    send: RequestStream<Send, Bytes>,
    accepted: Accepted,
    quic: &'a quinn::Connection,
    limits: &'a Limits,
    drain: &'a Watch,
}

impl Exchange<'_> {
    async fn run<H: Handler>(
        &mut self,
        mut request: Request<()>,
        recv: body::Half,
        connection: Connection,
        handler: &H,
    ) -> Outcome {
        // `h3` lets the last of several win, and forgets that there were more. Without any authority, or with one that Host
        // contradicts, it has reset the stream with this code itself.
        if self.accepted.progress.malformed() {
            return self.refuse(Code::H3_MESSAGE_ERROR);
        }
        let method = request.method().clone();
        let length = match head::admit(&mut request, self.limits) {
            Ok(length) => length,
            Err(Refusal::Malformed) => return self.refuse(Code::H3_MESSAGE_ERROR),
            Err(Refusal::Answer(status)) => {
                request.extensions_mut().insert(connection);
                let (head, ()) = request.into_parts();
                return self.answer(&method, handler.refuse(status, &head)).await;
            }
        };
        let progress = Arc::clone(&self.accepted.progress);
        // Held until the response has ended.
        let (park, _parked) = oneshot::channel();
        let Ok(body) = body::open(recv, park, progress, length, self.limits).await else {
            return self.refuse(Code::H3_MESSAGE_ERROR);
        };
        request.extensions_mut().insert(connection);
        let response = tokio::select! {
            biased;
            response = Box::pin(handler.handle(request.map(|()| body))) => response,
            _ = &mut self.accepted.ended => return self.refuse(Code::H3_REQUEST_CANCELLED),
        };
        // The handler has read trailers that make the whole request malformed.
        if self.accepted.progress.malformed() {
            return self.refuse(Code::H3_MESSAGE_ERROR);
        }
        self.answer(&method, response).await
    }

    fn refuse(&mut self, code: Code) -> Outcome {
        self.send.stop_stream(code);
        Outcome::Broken
    }

    async fn answer(&mut self, method: &Method, response: Response<ResponseBody>) -> Outcome {
        if response.extensions().get::<EndsAtDrain>().is_none() {
            self.sent(method, response).await;
            return Outcome::Answered;
        }
        let cut = self.drain.clone().begun_for(self.limits.h3_linger);
        tokio::select! {
            () = self.sent(method, response) => {}
            () = cut => self.send.stop_stream(Code::H3_REQUEST_CANCELLED),
        }
        Outcome::Answered
    }

    /// Sends the response. Its body is dropped before anything is waited for that comes after it.
    async fn sent(&mut self, method: &Method, response: Response<ResponseBody>) {
        match self.stream(method, response).await {
            Ok(()) => self.acknowledged().await,
            Err(Cut::Left | Cut::Stalled) => self.send.stop_stream(Code::H3_REQUEST_CANCELLED),
            Err(Cut::Failed) => {
                self.linger().await;
                self.send.stop_stream(Code::H3_INTERNAL_ERROR);
            }
            Err(Cut::Wrong) => {
                tracing::error!(%method, "a response differs from the length its head stated; its stream is reset");
                self.send.stop_stream(Code::H3_INTERNAL_ERROR);
            }
        }
    }

    async fn stream(&mut self, method: &Method, response: Response<ResponseBody>) -> Result<(), Cut> {
        let (parts, mut body) = response.into_parts();
        let (head, follows) = head::respond(parts, method, body.size_hint().exact());
        let idle = self.limits.write_idle;
        written(self.send.send_response(head), &self.accepted.progress, idle).await?;
        let mut left = match follows {
            Follows::Nothing => return self.finish().await,
            Follows::Exactly(length) => Some(length),
            Follows::Stream => None,
        };
        while let Some(frame) = self.next(&mut body).await? {
            match frame.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => {
                    if let Some(left) = &mut left {
                        *left = left.checked_sub(data.len() as u64).ok_or(Cut::Wrong)?;
                    }
                    written(self.send.send_data(data), &self.accepted.progress, idle).await?;
                }
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    written(self.send.send_trailers(trailers), &self.accepted.progress, idle).await?;
                }
            }
        }
        if left.is_some_and(|left| left > 0) {
            return Err(Cut::Wrong);
        }
        self.finish().await
    }

    async fn next(&mut self, body: &mut ResponseBody) -> Result<Option<Frame<Bytes>>, Cut> {
        // A body that is always ready must not hold the worker thread.
        coop::consume_budget().await;
        let frame = tokio::select! {
            biased;
            frame = body.frame() => frame,
            _ = &mut self.accepted.ended => return Err(Cut::Left),
        };
        frame.transpose().map_err(|StreamFailed| Cut::Failed)
    }

    async fn finish(&mut self) -> Result<(), Cut> {
        written(self.send.finish(), &self.accepted.progress, self.limits.write_idle).await
    }

    /// Waits until the client's transport has all of the response, so that a connection which drains counts
    /// the request as open until then: closed any earlier, the last event is lost in a quarter of runs.
    ///
    /// A client that has vanished would hold it open until the connection's idle limit. One that is there sends
    /// packets, if only to acknowledge the probes for what it has not acknowledged (RFC 9002 section 6.2.4).
    async fn acknowledged(&mut self) {
        let deadline = Instant::now() + self.limits.write_idle;
        loop {
            let heard = self.quic.stats().udp_rx.datagrams;
            if timeout(self.limits.h3_vanished, &mut self.accepted.ended).await.is_ok() {
                return;
            }
            if self.quic.stats().udp_rx.datagrams == heard || Instant::now() >= deadline {
                return;
            }
        }
    }

    /// Gives the last event of a failed stream time to leave quinn's send buffer, and then to be read, before the reset:
    /// the reset throws away what stands in the buffer, up to `quic_send_window`, which a slow client takes seconds for.
    ///
    /// quinn 0.11.12 does not tell when a stream's data is acknowledged: `SendStream::stopped` answers only after
    /// `finish`, which would be the clean end that this must not be. An acknowledgement would not do either: it means
    /// that the client's transport has the data, and a transport may throw away what its application has not read when
    /// the reset comes (RFC 9000 section 3.2; quinn's own does). So the clock decides from there, stretched where three
    /// round trips, in which a lost packet is sent again, take longer.
    async fn linger(&mut self) {
        let wait = |quic: &quinn::Connection| self.limits.failure_linger.max(quic.rtt() * 3);
        let leaving = async {
            // Other responses may keep the connection busy without an end; this one has had its share by then.
            let sent = flight::sent(self.quic, wait(self.quic), self.limits.h3_vanished);
            let _elapsed = timeout(self.limits.write_idle, sent).await;
            sleep(wait(self.quic)).await;
        };
        tokio::select! {
            () = leaving => {}
            _ = &mut self.accepted.ended => {}
        }
    }
}

/// Drives a write as long as the client takes bytes; each byte that it takes starts the limit anew. Looks every half of the limit,
/// so that a client which takes nothing more is given up before one and a half of it have passed.
async fn written(
    write: impl Future<Output = Result<(), StreamError>>,
    progress: &Progress,
    idle: Duration,
) -> Result<(), Cut> {
    let mut write = pin!(write);
    let (mut before, mut since) = (progress.written(), Instant::now());
    loop {
        match timeout(idle / 2, write.as_mut()).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(StreamError::HeaderTooBig { .. })) => return Err(Cut::Wrong),
            Ok(Err(_)) => return Err(Cut::Left),
            Err(_elapsed) if progress.written() > before => {
                (before, since) = (progress.written(), Instant::now());
            }
            Err(_elapsed) if since.elapsed() >= idle => return Err(Cut::Stalled),
            Err(_elapsed) => {}
        }
    }
}
