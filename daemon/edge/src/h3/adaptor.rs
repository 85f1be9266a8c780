//! A quinn adaptor for the traits of `h3`, made for a server; our own client has it too.
//!
//! Knows quinn and the traits. Refuses to know requests and handlers. Invariant: whoever serves a request can
//! learn at any time that its client has left. It stands in for `h3-quinn` 0.0.10, which panics in
//! `stop_sending` and `recv_id` while a read is pending, lets `h3` buffer without bound, hides quinn's
//! `stopped()` and ends half a response cleanly when it is dropped.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h3::{
    error::Code,
    quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, StreamId, WriteBuf},
};
use quinn::VarInt;

use super::{
    gate::{FrameLimits, Gate},
    recv::{Recv, Unfinished},
    send::Send,
};

type Boxed<T> = Pin<Box<dyn Future<Output = T> + std::marker::Send + Sync>>;

/// How the sending half of a request's stream came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// We finished it and the peer's transport has acknowledged all of it.
    Acknowledged,
    /// The client wants no more of it, or its connection is gone.
    Left,
}

/// What a request's stream and the code that serves the request tell each other.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// DATA payload that `h3` has been given and the request's body has not yet taken out of it, in bytes.
    owed: AtomicU64,
    /// Bytes that quinn has taken from us.
    written: AtomicU64,
    /// Whether the request's headers were whole, so that every response is ours.
    answering: AtomicBool,
    /// Whether the request has pseudo-header fields that it must not have; set before `h3` has read them.
    malformed: AtomicBool,
}

impl Progress {
    pub(super) fn owe(&self, payload: u64) {
        self.owed.fetch_add(payload, Relaxed);
    }

    pub(super) fn repay(&self, payload: usize) {
        self.owed.fetch_sub(payload as u64, Relaxed);
    }

    pub(super) fn owes(&self) -> bool {
        self.owed.load(Relaxed) > 0
    }

    pub(super) fn wrote(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Relaxed);
    }

    /// Bytes written so far.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    pub(super) fn answer(&self) {
        self.answering.store(true, Relaxed);
    }

    pub(super) fn answering(&self) -> bool {
        self.answering.load(Relaxed)
    }

    pub(super) fn malform(&self) {
        self.malformed.store(true, Relaxed);
    }

    pub(super) fn malformed(&self) -> bool {
        self.malformed.load(Relaxed)
    }
}

/// The side channel of one accepted request.
pub(super) struct Accepted {
    /// Completes when the response's stream has ended, whoever ended it.
    pub(super) ended: Boxed<Ended>,
    pub(super) progress: Arc<Progress>,
}

/// One QUIC connection as `h3` wants it.
pub(super) struct Transport {
    quic: quinn::Connection,
    accept_request: Option<Boxed<Result<(quinn::SendStream, quinn::RecvStream), quinn::ConnectionError>>>,
    accept_one_way: Option<Boxed<Result<quinn::RecvStream, quinn::ConnectionError>>>,
    opener: Opener,
    limits: FrameLimits,
    unfinished: Unfinished,
    accepted: Option<Accepted>,
}

impl Transport {
    /// All requests together may hold `unfinished` bytes of frames that are not whole.
    pub(super) fn new(quic: quinn::Connection, limits: FrameLimits, unfinished: u64) -> Self {
        Self {
            opener: Opener::new(quic.clone()),
            quic,
            accept_request: None,
            accept_one_way: None,
            limits,
            unfinished: Unfinished::new(unfinished),
            accepted: None,
        }
    }

    /// The side channel of the request that `h3` has just handed out. One place is enough: `h3` accepts a
    /// stream and hands it out, or refuses it, in one step. A table would leak the refused ones.
    pub(super) fn take_accepted(&mut self) -> Option<Accepted> {
        self.accepted.take()
    }
}

impl quic::Connection<Bytes> for Transport {
    type RecvStream = Recv;
    type OpenStreams = Opener;

    fn poll_accept_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Recv, ConnectionErrorIncoming>> {
        let quic = &self.quic;
        let accept = self.accept_one_way.get_or_insert_with(|| {
            let quic = quic.clone();
            Box::pin(async move { quic.accept_uni().await })
        });
        let accepted = ready!(accept.as_mut().poll(cx));
        self.accept_one_way = None;
        let stream = accepted.map_err(connection_error)?;
        Poll::Ready(Ok(Recv::one_way(stream, Gate::one_way(self.limits), self.quic.clone())))
    }

    fn poll_accept_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bidi, ConnectionErrorIncoming>> {
        let quic = &self.quic;
        let accept = self.accept_request.get_or_insert_with(|| {
            let quic = quic.clone();
            Box::pin(async move { quic.accept_bi().await })
        });
        let accepted = ready!(accept.as_mut().poll(cx));
        self.accept_request = None;
        let (send, recv) = accepted.map_err(connection_error)?;
        let (progress, unfinished) = (Arc::new(Progress::default()), self.unfinished.clone());
        self.accepted = Some(Accepted { ended: ended(&send), progress: Arc::clone(&progress) });
        Poll::Ready(Ok(Bidi {
            send: Send::request(send, Arc::clone(&progress)),
            recv: Recv::request(recv, Gate::request(self.limits), self.quic.clone(), progress, unfinished),
        }))
    }

    fn opener(&self) -> Opener {
        Opener::new(self.quic.clone())
    }
}

fn ended(send: &quinn::SendStream) -> Boxed<Ended> {
    let stopped = send.stopped();
    Box::pin(async move {
        match stopped.await {
            Ok(None) => Ended::Acknowledged,
            Ok(Some(_)) | Err(_) => Ended::Left,
        }
    })
}

impl quic::OpenStreams<Bytes> for Transport {
    type BidiStream = Bidi;
    type SendStream = Send;

    fn poll_open_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bidi, StreamErrorIncoming>> {
        self.opener.poll_open_bidi(cx)
    }

    fn poll_open_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<Send, StreamErrorIncoming>> {
        self.opener.poll_open_send(cx)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.opener.close(code, reason);
    }
}

/// Opens streams: our control and QPACK streams on a server, requests on a client.
pub(super) struct Opener {
    quic: quinn::Connection,
    open_request: Option<Boxed<Result<(quinn::SendStream, quinn::RecvStream), quinn::ConnectionError>>>,
    open_one_way: Option<Boxed<Result<quinn::SendStream, quinn::ConnectionError>>>,
}

impl Opener {
    fn new(quic: quinn::Connection) -> Self {
        Self { quic, open_request: None, open_one_way: None }
    }
}

impl Clone for Opener {
    fn clone(&self) -> Self {
        Self::new(self.quic.clone())
    }
}

impl quic::OpenStreams<Bytes> for Opener {
    type BidiStream = Bidi;
    type SendStream = Send;

    fn poll_open_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bidi, StreamErrorIncoming>> {
        let quic = &self.quic;
        let open = self.open_request.get_or_insert_with(|| {
            let quic = quic.clone();
            Box::pin(async move { quic.open_bi().await })
        });
        let opened = ready!(open.as_mut().poll(cx));
        self.open_request = None;
        let (send, recv) = opened.map_err(lost)?;
        Poll::Ready(Ok(Bidi {
            send: Send::request(send, Arc::default()),
            recv: Recv::ours(recv, self.quic.clone()),
        }))
    }

    fn poll_open_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<Send, StreamErrorIncoming>> {
        let quic = &self.quic;
        let open = self.open_one_way.get_or_insert_with(|| {
            let quic = quic.clone();
            Box::pin(async move { quic.open_uni().await })
        });
        let opened = ready!(open.as_mut().poll(cx));
        self.open_one_way = None;
        Poll::Ready(Ok(Send::one_way(opened.map_err(lost)?)))
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        close(&self.quic, code, reason);
    }
}

/// Both halves of a request's stream.
pub(super) struct Bidi {
    send: Send,
    recv: Recv,
}

impl quic::BidiStream<Bytes> for Bidi {
    type SendStream = Send;
    type RecvStream = Recv;

    fn split(self) -> (Send, Recv) {
        (self.send, self.recv)
    }
}

impl quic::RecvStream for Bidi {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        self.recv.poll_data(cx)
    }

    fn stop_sending(&mut self, code: u64) {
        self.recv.stop_sending(code);
    }

    fn recv_id(&self) -> StreamId {
        self.recv.recv_id()
    }
}

impl quic::SendStream<Bytes> for Bidi {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_ready(cx)
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.send.send_data(data)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_finish(cx)
    }

    fn reset(&mut self, code: u64) {
        self.send.reset(code);
    }

    fn send_id(&self) -> StreamId {
        self.send.send_id()
    }
}

/// Closes the connection with one of HTTP/3's codes.
pub(super) fn close(quic: &quinn::Connection, code: Code, reason: &[u8]) {
    quic.close(quic_code(code.value()), reason);
}

/// An HTTP/3 code as quinn wants it. What does not fit cannot come from `h3`.
pub(super) fn quic_code(code: u64) -> VarInt {
    VarInt::from_u64(code).unwrap_or(VarInt::MAX)
}

/// A stream's number as `h3` wants it. Both types hold 62 bits, so the conversion cannot fail.
pub(super) fn stream_id(id: quinn::StreamId) -> StreamId {
    let number = VarInt::from(id).into_inner();
    StreamId::try_from(number).unwrap_or_else(|_| unreachable!("QUIC stream numbers have 62 bits"))
}

fn connection_error(error: quinn::ConnectionError) -> ConnectionErrorIncoming {
    match error {
        quinn::ConnectionError::ApplicationClosed(closed) => {
            ConnectionErrorIncoming::ApplicationClose { error_code: closed.error_code.into_inner() }
        }
        quinn::ConnectionError::TimedOut => ConnectionErrorIncoming::Timeout,
        other => ConnectionErrorIncoming::Undefined(Arc::new(other)),
    }
}

/// The connection's end as an error of one of its streams.
pub(super) fn lost(error: quinn::ConnectionError) -> StreamErrorIncoming {
    StreamErrorIncoming::ConnectionErrorIncoming { connection_error: connection_error(error) }
}
