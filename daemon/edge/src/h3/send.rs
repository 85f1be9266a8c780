//! The sending half of a stream.
//!
//! Knows quinn's stream. Refuses to know responses. Invariants: a response that was not finished ends in a
//! reset, never in what looks like its end; a frame's header and a small payload leave in one packet.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use h3::{
    error::Code,
    quic::{self, StreamErrorIncoming, StreamId, WriteBuf},
};

use super::adaptor::{Progress, lost, quic_code, stream_id};

/// Frames up to this size are copied behind their header, so that one event is one write and one packet.
/// A little more than the largest UDP payload that a path of Ethernet carries.
const SMALL: usize = 2048;

pub(super) struct Send {
    stream: quinn::SendStream,
    writing: Option<WriteBuf<Bytes>>,
    small: BytesMut,
    /// Finished or reset.
    closed: bool,
    /// Set for a request's stream. Our own control streams must live until the connection ends.
    progress: Option<Arc<Progress>>,
}

impl Send {
    pub(super) fn request(stream: quinn::SendStream, progress: Arc<Progress>) -> Self {
        Self { stream, writing: None, small: BytesMut::new(), closed: false, progress: Some(progress) }
    }

    pub(super) fn one_way(stream: quinn::SendStream) -> Self {
        Self { stream, writing: None, small: BytesMut::new(), closed: false, progress: None }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), quinn::WriteError>> {
        let mut stream = Pin::new(&mut self.stream);
        let count = |bytes| self.progress.as_ref().map_or((), |progress| progress.wrote(bytes));
        while !self.small.is_empty() {
            let taken = ready!(stream.as_mut().poll_write(cx, &self.small))?;
            self.small.advance(taken);
            count(taken);
        }
        while let Some(frame) = self.writing.as_mut().filter(|frame| Buf::has_remaining(*frame)) {
            let taken = ready!(stream.as_mut().poll_write(cx, frame.chunk()))?;
            frame.advance(taken);
            count(taken);
        }
        Poll::Ready(Ok(()))
    }
}

impl quic::SendStream<Bytes> for Send {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        if let Some(frame) = self.writing.as_mut().filter(|_| self.small.is_empty()) {
            gather(frame, &mut self.small);
        }
        ready!(self.poll_write(cx)).map_err(write_error)?;
        self.writing = None;
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.writing = Some(data.into());
        Ok(())
    }

    fn poll_finish(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.closed = true;
        // An error says that the peer has already stopped the stream, which `Ended::Left` reports.
        let _stopped = self.stream.finish();
        Poll::Ready(Ok(()))
    }

    fn reset(&mut self, code: u64) {
        self.closed = true;
        let _ended = self.stream.reset(quic_code(code));
    }

    fn send_id(&self) -> StreamId {
        stream_id(self.stream.id())
    }
}

impl Drop for Send {
    fn drop(&mut self) {
        let Some(progress) = self.progress.as_ref().filter(|_| !self.closed) else { return };
        // quinn would finish the stream here, and half a response would look like a whole one.
        let code = match (progress.answering(), progress.written()) {
            (true, _) => Code::H3_INTERNAL_ERROR,
            // Before a handler is asked: nothing was done, and the client may try again.
            (false, 0) => Code::H3_REQUEST_REJECTED,
            // `h3` itself has answered 431 and dropped the stream, which is whole then.
            (false, _) => return,
        };
        quic::SendStream::reset(self, code.value());
    }
}

/// Moves a small frame that is in pieces into one piece; leaves any other as it is.
fn gather(frame: &mut impl Buf, small: &mut BytesMut) {
    if frame.remaining() <= SMALL && frame.chunk().len() < frame.remaining() {
        small.put(frame);
    }
}

fn write_error(error: quinn::WriteError) -> StreamErrorIncoming {
    match error {
        quinn::WriteError::Stopped(code) => {
            StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() }
        }
        quinn::WriteError::ConnectionLost(error) => lost(error),
        other => StreamErrorIncoming::Unknown(Box::new(other)),
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Buf, BytesMut};

    use super::{SMALL, gather};

    #[test]
    fn gathers_a_header_and_a_small_payload_only() {
        let gathered = |header: &[u8], payload: &[u8]| {
            let (mut frame, mut small) = (header.chain(payload), BytesMut::new());
            gather(&mut frame, &mut small);
            assert_eq!(small.len() + frame.remaining(), header.len() + payload.len());
            small
        };
        assert_eq!(gathered(b"\x00\x05", b"hello"), &b"\x00\x05hello"[..]);
        assert_eq!(gathered(b"\x00\x05", &[0; SMALL - 2]).len(), SMALL);
        assert!(gathered(b"\x00\x05", &[0; SMALL - 1]).is_empty());
        assert!(gathered(b"\x00\x00", b"").is_empty());
    }
}
