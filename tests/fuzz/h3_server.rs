//! `h3`'s own server on a stream that lies in memory.
//!
//! Knows what `h3` asks of QUIC. Refuses to know frames: `h3` says what it has read. Invariant: every byte is there at once,
//! so that nothing has to wait, and who waits nevertheless has an end that is no end.

use std::{
    collections::VecDeque,
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes};
use h3::{
    error::{Code, StreamError},
    quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, StreamId, WriteBuf},
};

/// What `h3` made of a request stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// It took the first field section for a request's.
    pub(crate) taken: bool,
    /// Bytes of body that it gave out.
    pub(crate) body: u64,
    /// It read the stream to its end and found nothing wrong.
    pub(crate) whole: bool,
}

/// Lets `h3` read a request stream that comes in these pieces, and then ends, or breaks off as the edge makes it do where a
/// frame is not whole.
pub(crate) fn read(pieces: &[&[u8]], whole: bool, field_section: u64) -> Seen {
    let mut seen = Seen { taken: false, body: 0, whole: false };
    // quinn hands out no empty chunk, and `h3` 0.0.8 would turn around one for ever.
    let pieces = pieces.iter().filter(|piece| !piece.is_empty());
    let stream = Stream { left: pieces.map(|piece| Bytes::copy_from_slice(piece)).collect(), whole };
    let outcome = {
        let mut serving = pin!(serve(Quic(Some(stream)), field_section, &mut seen));
        serving.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    };
    seen.whole = matches!(outcome, Poll::Ready(Ok(())));
    seen
}

async fn serve(quic: Quic, field_section: u64, seen: &mut Seen) -> Result<(), StreamError> {
    let mut builder = h3::server::builder();
    builder.max_field_section_size(field_section).send_grease(false);
    let mut driver = builder.build::<_, Bytes>(quic).await.expect("our own streams open at once");
    let resolver =
        driver.accept().await.expect("a request stream is there").expect("a request stream is there");
    let (_request, mut stream) = resolver.resolve_request().await?;
    seen.taken = true;
    while let Some(mut data) = stream.recv_data().await? {
        let here = data.copy_to_bytes(data.remaining());
        seen.body += here.len() as u64;
    }
    stream.recv_trailers().await.map(|_trailers| ())
}

/// A connection with one request stream, until it is accepted.
struct Quic(Option<Stream>);

/// A stream of either kind: what comes is these pieces, what goes is gone.
#[derive(Default)]
struct Stream {
    left: VecDeque<Bytes>,
    whole: bool,
}

impl quic::Connection<Bytes> for Quic {
    type RecvStream = Stream;
    type OpenStreams = Self;

    fn poll_accept_recv(&mut self, _: &mut Context<'_>) -> Poll<Result<Stream, ConnectionErrorIncoming>> {
        Poll::Pending
    }

    fn poll_accept_bidi(&mut self, _: &mut Context<'_>) -> Poll<Result<Stream, ConnectionErrorIncoming>> {
        self.0.take().map_or(Poll::Pending, |stream| Poll::Ready(Ok(stream)))
    }

    fn opener(&self) -> Self {
        Self(None)
    }
}

impl quic::OpenStreams<Bytes> for Quic {
    type BidiStream = Stream;
    type SendStream = Stream;

    fn poll_open_bidi(&mut self, _: &mut Context<'_>) -> Poll<Result<Stream, StreamErrorIncoming>> {
        Poll::Pending
    }

    fn poll_open_send(&mut self, _: &mut Context<'_>) -> Poll<Result<Stream, StreamErrorIncoming>> {
        Poll::Ready(Ok(Stream::default()))
    }

    fn close(&mut self, _: Code, _: &[u8]) {}
}

impl quic::RecvStream for Stream {
    type Buf = Bytes;

    fn poll_data(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        let next = self.left.pop_front();
        if next.is_none() && !self.whole {
            let error_code = Code::H3_FRAME_ERROR.value();
            let connection_error = ConnectionErrorIncoming::ApplicationClose { error_code };
            return Poll::Ready(Err(StreamErrorIncoming::ConnectionErrorIncoming { connection_error }));
        }
        Poll::Ready(Ok(next))
    }

    fn stop_sending(&mut self, _: u64) {}

    fn recv_id(&self) -> StreamId {
        StreamId::try_from(0).expect("the first stream's number")
    }
}

impl quic::SendStream<Bytes> for Stream {
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, _: T) -> Result<(), StreamErrorIncoming> {
        Ok(())
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        Poll::Ready(Ok(()))
    }

    fn reset(&mut self, _: u64) {}

    fn send_id(&self) -> StreamId {
        StreamId::try_from(0).expect("the first stream's number")
    }
}
