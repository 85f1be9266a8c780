//! The receiving half of a stream: every byte passes the gate before `h3` sees it.
//!
//! Knows quinn's stream and the gate. Refuses to know what the bytes mean. Invariants: `h3` never holds more
//! payload than one read brought, and a stream that is dropped early is stopped with a code of HTTP/3.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use h3::{
    error::Code,
    quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, StreamId},
};
use tokio::task::coop;

use super::{
    adaptor::{Progress, close, lost, quic_code, stream_id},
    gate::{Excessive, Gate},
};

/// The most that one read takes; quinn hands out what one or a few packets brought, so it is rarely reached.
const READ: usize = 64 * 1024;

/// What the requests of one connection hold of frames that are not whole yet. Each has its limit, and a connection's streams
/// with a head of that size that stays a byte short would hold several MiB for nobody's benefit.
#[derive(Debug, Clone)]
pub(super) struct Unfinished {
    held: Arc<AtomicU64>,
    most: u64,
}

impl Unfinished {
    /// They may hold so many bytes together.
    pub(super) fn new(most: u64) -> Self {
        Self { held: Arc::default(), most }
    }

    /// One that held `before` holds `now`; whether that is too much for all of them.
    fn change(&self, before: u64, now: u64) -> bool {
        self.held.fetch_sub(before, Relaxed);
        self.held.fetch_add(now, Relaxed).saturating_add(now) > self.most
    }
}

pub(super) struct Recv {
    stream: quinn::RecvStream,
    quic: quinn::Connection,
    gate: Option<Gate>,
    progress: Option<Arc<Progress>>,
    unfinished: Option<Unfinished>,
    /// How much of that is this stream's.
    buffered: u64,
    /// Nothing is left to stop: the stream has ended, was reset or stopped.
    done: bool,
}

impl Recv {
    pub(super) fn request(
        stream: quinn::RecvStream,
        gate: Gate,
        quic: quinn::Connection,
        progress: Arc<Progress>,
        unfinished: Unfinished,
    ) -> Self {
        let (progress, unfinished) = (Some(progress), Some(unfinished));
        Self { stream, quic, gate: Some(gate), progress, unfinished, buffered: 0, done: false }
    }

    pub(super) fn one_way(stream: quinn::RecvStream, gate: Gate, quic: quinn::Connection) -> Self {
        Self { stream, quic, gate: Some(gate), progress: None, unfinished: None, buffered: 0, done: false }
    }

    /// The answer to a stream that we opened ourselves, which only a client does.
    pub(super) fn ours(stream: quinn::RecvStream, quic: quinn::Connection) -> Self {
        Self { stream, quic, gate: None, progress: None, unfinished: None, buffered: 0, done: false }
    }

    fn inspect(&mut self, bytes: &[u8]) -> Result<(), StreamErrorIncoming> {
        let Some(gate) = &mut self.gate else { return Ok(()) };
        match gate.pass(bytes) {
            Ok(payload) => {
                if let Some(progress) = &self.progress {
                    progress.owe(payload);
                    if gate.malformed() {
                        progress.malform();
                    }
                }
                let before = std::mem::replace(&mut self.buffered, gate.buffered());
                match &self.unfinished {
                    Some(unfinished) if unfinished.change(before, self.buffered) => {
                        Err(self.break_off(Code::H3_EXCESSIVE_LOAD, b"too many unfinished frames"))
                    }
                    _ => Ok(()),
                }
            }
            Err(Excessive) => Err(self.break_off(Code::H3_EXCESSIVE_LOAD, b"frame too large")),
        }
    }

    /// Closes the connection, and gives the error that tells `h3` so.
    fn break_off(&mut self, code: Code, reason: &[u8]) -> StreamErrorIncoming {
        self.done = true;
        close(&self.quic, code, reason);
        let connection_error = ConnectionErrorIncoming::ApplicationClose { error_code: code.value() };
        StreamErrorIncoming::ConnectionErrorIncoming { connection_error }
    }
}

impl quic::RecvStream for Recv {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        if self.progress.as_ref().is_some_and(|progress| progress.owes()) {
            // `h3` asks for more before it hands out what it has (h3 #308), and a slow backend would fill the
            // memory. No waker is needed: it turns to its own buffer next and finds payload there.
            return Poll::Pending;
        }
        // `h3` reads on until there is nothing; a peer that floods must not hold the worker thread.
        let turn = ready!(coop::poll_proceed(cx));
        // A dropped `read_chunk` keeps no state, so that no boxed future stands in the way of a stop.
        let read = ready!(pin!(self.stream.read_chunk(READ, true)).poll(cx));
        turn.made_progress();
        match read {
            Ok(Some(chunk)) => {
                self.inspect(&chunk.bytes)?;
                Poll::Ready(Ok(Some(chunk.bytes)))
            }
            // RFC 9114 section 7.1.
            Ok(None) if self.gate.as_ref().is_some_and(|gate| !gate.may_end()) => {
                Poll::Ready(Err(self.break_off(Code::H3_FRAME_ERROR, b"frame cut off")))
            }
            Ok(None) => {
                self.done = true;
                Poll::Ready(Ok(None))
            }
            Err(error) => {
                self.done = true;
                Poll::Ready(Err(read_error(error)))
            }
        }
    }

    fn stop_sending(&mut self, code: u64) {
        self.done = true;
        // The error says that the stream has ended, which is what a stop is for.
        let _ended = self.stream.stop(quic_code(code));
    }

    fn recv_id(&self) -> StreamId {
        stream_id(self.stream.id())
    }
}

impl Drop for Recv {
    fn drop(&mut self) {
        if let Some(unfinished) = &self.unfinished {
            unfinished.change(self.buffered, 0);
        }
        if self.done {
            return;
        }
        // The end may be here unread, as it is after every request without a body: then nothing is stopped.
        let mut cx = Context::from_waker(Waker::noop());
        let at_end = matches!(pin!(self.stream.read_chunk(1, true)).poll(&mut cx), Poll::Ready(Ok(None)));
        if !at_end {
            // "I need no more of the request" (RFC 9114 section 4.1.1), or `h3` has dropped a stream of a type that it knows and
            // has no use for (section 6.2); quinn's own 0 is no code of HTTP/3.
            let one_way = self.gate.is_some() && self.progress.is_none();
            let code = if one_way { Code::H3_STREAM_CREATION_ERROR } else { Code::H3_NO_ERROR };
            quic::RecvStream::stop_sending(self, code.value());
        }
    }
}

fn read_error(error: quinn::ReadError) -> StreamErrorIncoming {
    match error {
        quinn::ReadError::Reset(code) => {
            StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() }
        }
        quinn::ReadError::ConnectionLost(error) => lost(error),
        other => StreamErrorIncoming::Unknown(Box::new(other)),
    }
}
