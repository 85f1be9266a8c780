//! A backend's answer, in the client's language.
//!
//! Knows how the bytes of a reply pass through the core's decoders. Refuses to know HTTP's details and the client.
//! Invariant: every piece that a stream gives is made of whole events, so that a keep-alive fits between any two;
//! behind an error nothing follows.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use ghostllm_core::{
    chat::{ChatEvent, Usage},
    dialect::{
        ollama::ChatDecoder,
        openai::{ChatStream, ChatWhole, StreamRepair},
    },
    error::BackendFault,
};

use super::wire::Reply;

/// The answer to a chat.
pub enum Answer {
    /// In one piece: the JSON body for the client, and what the engine counted, where it said so.
    Whole(Bytes, Option<Usage>),
    /// Piece by piece.
    Stream(Box<ChatBytes>),
}

/// A streamed answer: the client's own bytes, events of OpenAI's stream with `data: [DONE]` at the end.
///
/// Dropping it before its end closes the connection to the engine at once. It ends after the first error.
pub struct ChatBytes {
    /// None once nothing more is wanted of it.
    reply: Option<Box<Reply>>,
    decoder: Decoder,
    out: BytesMut,
    fault: Option<BackendFault>,
    ending: bool,
}

/// Turns an engine's bytes into the client's.
pub(super) enum Decoder {
    /// Ollama's lines.
    Ollama(Box<OllamaDecoder>),
    /// OpenAI's own events.
    OpenAi(Box<StreamRepair>),
}

/// Ollama's lines to OpenAI's chunks.
pub(super) struct OllamaDecoder {
    pub(super) lines: ChatDecoder,
    pub(super) stream: ChatStream,
    pub(super) counted: bool,
}

impl Decoder {
    fn feed(&mut self, bytes: &[u8], out: &mut BytesMut) -> Result<(), BackendFault> {
        match self {
            Self::OpenAi(repair) => repair.feed(bytes, out),
            Self::Ollama(ollama) => ollama.pass(out, |lines, events| lines.feed(bytes, events)),
        }
    }

    /// The body has ended.
    fn finish(&mut self, out: &mut BytesMut) -> Result<(), BackendFault> {
        match self {
            Self::OpenAi(repair) => repair.finish(out),
            Self::Ollama(ollama) => ollama.pass(out, ChatDecoder::finish),
        }
    }

    /// The body has broken off.
    fn broke(&mut self, fault: BackendFault, out: &mut BytesMut) -> Result<(), BackendFault> {
        match self {
            Self::OpenAi(repair) => repair.broke(fault, out),
            // Its last line has all that an answer's end has.
            Self::Ollama(_) => Err(fault),
        }
    }

    fn is_done(&self) -> bool {
        match self {
            Self::OpenAi(repair) => repair.is_done(),
            Self::Ollama(ollama) => ollama.lines.is_done(),
        }
    }

    fn usage(&self) -> Option<Usage> {
        match self {
            Self::OpenAi(repair) => repair.usage(),
            Self::Ollama(ollama) => ollama.counted.then(|| ollama.stream.usage()),
        }
    }
}

impl OllamaDecoder {
    /// What came before a fault is good, and is given out.
    fn pass(
        &mut self,
        out: &mut BytesMut,
        read: impl FnOnce(&mut ChatDecoder, &mut Vec<ChatEvent>) -> Result<(), BackendFault>,
    ) -> Result<(), BackendFault> {
        let was_done = self.lines.is_done();
        let mut events = Vec::new();
        let result = read(&mut self.lines, &mut events);
        for event in &events {
            self.counted |= matches!(event, ChatEvent::Usage(_));
            self.stream.event(event, out);
        }
        if !was_done && self.lines.is_done() {
            self.stream.finish(out);
        }
        result
    }
}

impl ChatBytes {
    /// A stream, once its first event is there.
    ///
    /// # Errors
    /// The engine failed before it said anything.
    pub(super) async fn open(reply: Reply, decoder: Decoder) -> Result<Self, BackendFault> {
        let (reply, out) = (Some(Box::new(reply)), BytesMut::new());
        let mut stream = Self { reply, decoder, out, fault: None, ending: false };
        poll_fn(|cx| stream.poll_fill(cx)).await;
        match stream.fault.take_if(|_| stream.out.is_empty()) {
            Some(fault) => Err(fault),
            None => Ok(stream),
        }
    }

    /// What the engine counted, as far as it has said so; most say it at the end.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.decoder.usage()
    }

    /// Whether all was given, `[DONE]` as well: what is left is the end of the engine's own body, which concerns no client.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ending && self.out.is_empty() && self.fault.is_none()
    }

    /// Reads until there is something for the client, a fault, or the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.out.is_empty() && self.fault.is_none() {
            let Some(reply) = &mut self.reply else { return Poll::Ready(()) };
            if self.ending {
                ready!(reply.poll_end(cx));
                self.reply = None;
                return Poll::Ready(());
            }
            let taken = match ready!(reply.poll_next(cx)) {
                Some(Ok(bytes)) => self.decoder.feed(&bytes, &mut self.out),
                Some(Err(fault)) => self.decoder.broke(fault, &mut self.out),
                None => self.decoder.finish(&mut self.out),
            };
            if !self.out.is_empty() {
                reply.bear();
            }
            if let Err(fault) = taken {
                self.fault = Some(fault);
                self.reply = None;
            } else if self.decoder.is_done() {
                self.ending = true;
                reply.complete();
            }
        }
        Poll::Ready(())
    }
}

impl Stream for ChatBytes {
    type Item = Result<Bytes, BackendFault>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        ready!(self.poll_fill(cx));
        if !self.out.is_empty() {
            return Poll::Ready(Some(Ok(self.out.split().freeze())));
        }
        Poll::Ready(self.fault.take().map(Err))
    }
}

/// Gathers a whole answer out of Ollama's stream, so that its silence and its failures are seen while it is made.
pub(super) async fn gather(
    mut reply: Reply,
    mut lines: ChatDecoder,
    mut whole: ChatWhole,
    comes: impl Fn(usize) -> Result<(), BackendFault>,
) -> Result<Answer, BackendFault> {
    let mut events = Vec::new();
    while !lines.is_done() {
        match reply.next().await {
            Some(bytes) => lines.feed(&bytes?, &mut events)?,
            None => lines.finish(&mut events)?,
        }
        if !events.is_empty() {
            reply.bear();
        }
        for event in events.drain(..) {
            let before = whole.held();
            whole.event(event)?;
            comes(whole.held() - before)?;
        }
    }
    reply.complete();
    poll_fn(|cx| reply.poll_end(cx)).await;
    Ok(Answer::Whole(whole.body()?, Some(whole.usage())))
}
