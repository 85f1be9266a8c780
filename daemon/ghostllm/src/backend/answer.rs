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
    chat::Usage,
    dialect::{
        openai::{KEEP_ALIVE_COMMENT, several::numbered},
        render::WholeOut,
    },
    error::{ApiError, BackendFault},
};
use ghostllm_edge::room::Slot;

use super::{ChatCall, ChatError, gathers, shape::Shape, wire::Reply};
pub(super) use decoder::{Decoder, Read, Reader};
use decoder::{Tally, Told, is_further_call};

mod decoder;

/// The answer to a chat.
pub enum Answer {
    /// In one piece: the JSON body for the client, and what the engine counted, or what is estimated where it did not.
    Whole(Bytes, Usage),
    /// Piece by piece.
    Stream(Box<ChatBytes>),
}

/// A streamed answer: the client's own bytes, events of its dialect with the last one at the end.
///
/// Dropping it before its end closes the connection to the engine at once. It ends after the first error.
pub struct ChatBytes {
    /// None once nothing more is wanted of it.
    reply: Option<Box<Reply>>,
    decoder: Decoder,
    charge: Charge,
    out: BytesMut,
    fault: Option<BackendFault>,
    ending: bool,
    /// Where the client wants its events otherwise, or more of them than one reply has.
    shape: Option<Box<Shape>>,
    /// Of the conversation, for an estimate until the engine has told its counts.
    prompt_bytes: u64,
}

/// What of an answer is held is charged for.
struct Charge {
    slot: Option<Slot>,
    /// Bytes.
    charged: usize,
}

impl Charge {
    /// So much is held now.
    fn to(&mut self, held: usize) -> Result<(), BackendFault> {
        if held > self.charged {
            gathers(self.slot.as_ref(), held - self.charged)?;
            self.charged = held;
        }
        Ok(())
    }
}

impl ChatBytes {
    /// A stream, once its first event is there.
    ///
    /// # Errors
    /// The engine failed before it said anything.
    pub(super) async fn open(
        reply: Reply,
        decoder: Decoder,
        slot: Option<Slot>,
        prompt_bytes: u64,
    ) -> Result<Self, BackendFault> {
        let (reply, out) = (Some(Box::new(reply)), BytesMut::new());
        let charge = Charge { slot, charged: 0 };
        let mut stream =
            Self { reply, decoder, charge, out, fault: None, ending: false, shape: None, prompt_bytes };
        poll_fn(|cx| stream.poll_fill(cx)).await;
        match stream.fault.take_if(|_| stream.out.is_empty()) {
            Some(fault) => Err(fault),
            None => Ok(stream),
        }
    }

    /// The same, with its events in another shape.
    pub(super) fn shaped(self, shape: Shape) -> Self {
        Self { shape: Some(Box::new(shape)), ..self }
    }

    /// What the engine counted; until it has said so, which most do at the end, what is estimated.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.shape.as_ref().map_or_else(|| self.counted(), |shape| shape.usage(self.counted()))
    }

    /// The same of this reply alone.
    pub(super) fn counted(&self) -> Usage {
        self.decoder.tally().usage(self.prompt_bytes)
    }

    /// What is told of this reply's texts so far: once it is open, of its first event.
    pub(super) fn told(&self) -> Told {
        self.decoder.tally().told()
    }

    /// What is sent while the engine is silent, out of what is sent before its first event: an empty delta is one of the choice that
    /// is waited for, since behind a choice's end nothing more of it may come; behind the last one's it is a comment.
    pub(crate) fn keep_alive(&self, first: &Bytes) -> Bytes {
        let now = self.decoder.speaking();
        match self.shape.as_ref().map_or(now, |shape| shape.speaking(now)) {
            Some(0) => first.clone(),
            Some(choice) => numbered(first, choice),
            None => Bytes::from_static(KEEP_ALIVE_COMMENT),
        }
    }

    /// The last of this stream, which has failed: what has come and was not given, and the failure.
    pub(crate) fn failure(&mut self, error: &ApiError) -> Bytes {
        // What another reply has said is not in its shape yet, and behind it more is to come.
        if self.shape.is_some() {
            return self.decoder.failure(error);
        }
        let mut last = self.out.split();
        // Behind an answer's own end nothing follows.
        if !self.ending {
            last.extend_from_slice(&self.decoder.failure(error));
        }
        last.freeze()
    }

    /// How many events have been given whose language numbers them, once all that has come is given.
    pub(crate) fn numbered(&self) -> u64 {
        self.decoder.numbered()
    }

    /// Whether all was given, the last event as well: what is left is the end of the engine's own body, which concerns no client.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.has_ended() && self.shape.as_ref().is_none_or(|shape| shape.is_last())
    }

    /// The same of this reply alone.
    pub(super) fn has_ended(&self) -> bool {
        self.ending && self.out.is_empty() && self.fault.is_none()
    }

    /// The next events of this reply, as it has them.
    pub(super) fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BackendFault>>> {
        ready!(self.poll_fill(cx));
        if !self.out.is_empty() {
            return Poll::Ready(Some(Ok(self.out.split().freeze())));
        }
        Poll::Ready(self.fault.take().map(Err))
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
            let before = self.decoder.gathered();
            let taken = match ready!(reply.poll_next(cx)) {
                Some(Ok(bytes)) => self.decoder.feed(&bytes, &mut self.out),
                Some(Err(fault)) => self.decoder.broke(fault, &mut self.out),
                None => self.decoder.finish(&mut self.out),
            };
            if !self.out.is_empty() || self.decoder.gathered() > before {
                reply.bear();
            }
            let held = self.decoder.held();
            let charged = self.charge.to(held);
            if let Err(fault) = taken.and(charged) {
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
    type Item = Result<Bytes, ChatError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let Some(mut shape) = this.shape.take() else {
            return this.poll_reply(cx).map_err(ChatError::Fault);
        };
        let events = shape.poll(this, cx);
        this.shape = Some(shape);
        events
    }
}

/// Gathers a whole answer out of a stream, so that its silence and its failures are seen while it is made. Gives with it what was told
/// of its texts.
pub(super) async fn gather(
    mut reply: Reply,
    mut reader: Reader,
    mut whole: WholeOut,
    call: &ChatCall,
) -> Result<(Answer, Told), BackendFault> {
    let (one_call, prompt_bytes) = (call.asked.one_call(), call.asked.prompt_bytes());
    let (mut events, mut tally) = (Vec::new(), Tally::default());
    let mut charge = Charge { slot: call.slot.clone(), charged: 0 };
    while !reader.is_done() {
        let before = reader.gathered();
        match reply.next().await {
            Some(Ok(bytes)) => reader.feed(&bytes, &mut events)?,
            Some(Err(fault)) => reader.broke(fault, &mut events)?,
            None => reader.finish(&mut events)?,
        }
        if !events.is_empty() || reader.gathered() > before {
            reply.bear();
        }
        for event in events.drain(..) {
            let event = tally.event(event, prompt_bytes);
            if one_call && is_further_call(&event) {
                continue;
            }
            whole.event(event)?;
        }
        if let Some(usage) = tally.so_far(prompt_bytes) {
            call.meter.gathers(usage);
        }
        charge.to(reader.gathered() + whole.held())?;
    }
    if let Some(estimate) = tally.estimate(whole.counts_anyway(), prompt_bytes) {
        whole.event(estimate)?;
    }
    reply.complete();
    poll_fn(|cx| reply.poll_end(cx)).await;
    let body = whole.body()?;
    if let Some(keeper) = &call.voice.keeper {
        keeper.keep(whole.kept());
    }
    Ok((Answer::Whole(body, tally.usage(prompt_bytes)), tally.told()))
}
