//! Answers that a client wants otherwise than engines give them: several to one request, or with one call of a function at the most.
//!
//! Knows when the engine is to be asked again. Refuses to know what it is asked, and how the parts are put together. Invariants: a
//! request never has two places at its engine, and holds no more connections than another; where one of several answers fails, the
//! whole has failed.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use ghostllm_core::{
    chat::Usage,
    dialect::openai::{
        one_call,
        passthrough::Passed,
        several::{Several, begins_prompt, choices, joined},
    },
    error::{ApiError, BackendFault},
};

use super::{Answer, Asked, ChatBytes, ChatCall, ChatError, Kind, Parts, Voice};
use crate::apart;

type Next = Pin<Box<dyn Future<Output = Result<ChatBytes, ChatError>> + Send>>;

/// Whether a chat is one of those.
pub(super) fn is_wanted(call: &ChatCall) -> bool {
    match &call.asked {
        Asked::AsSent { passed, .. } => passed.one_call || passed.choices > 1,
        // It wants one answer, out of events of which the further calls are left out.
        Asked::Read { .. } => false,
    }
}

/// Asks for such an answer.
pub(super) async fn chat(parts: Arc<Parts>, call: ChatCall) -> Result<Answer, ChatError> {
    let Asked::AsSent { body, passed } = call.asked.clone() else { return parts.chat(call).await };
    let wish = Arc::new(Wish { parts, call, body, passed });
    match wish.ask(0).await? {
        Answer::Stream(chunks) => Ok(Answer::Stream(Box::new(chunks.shaped(Shape::new(wish))))),
        Answer::Whole(body, usage) => wish.whole(body, usage).await,
    }
}

/// Such a request.
struct Wish {
    parts: Arc<Parts>,
    call: ChatCall,
    body: Bytes,
    passed: Box<Passed>,
}

impl Wish {
    fn choices(&self) -> u32 {
        self.passed.choices
    }

    /// What was counted of answers so far and of the next ones, which begin with this choice.
    fn added(&self, before: Usage, choice: u32, next: Usage) -> Usage {
        if begins_prompt(choice, self.passed.samples()) {
            before.and_prompt(next)
        } else {
            before.and_choice(next)
        }
    }

    /// One reply. An engine that may know how to give several answers is asked for all of them at first, and where it refuses that,
    /// or the request for whatever else, for one alone: then it is known which.
    async fn ask(&self, choice: u32) -> Result<Answer, ChatError> {
        let own = matches!(self.parts.kind, Kind::OpenAi);
        if choice == 0 && (own || self.choices() == 1) {
            let answered = self.parts.chat(self.call.clone()).await;
            if self.choices() == 1 || self.may_ask().is_err() || !is_refused(&answered) {
                return answered;
            }
        }
        let alone = self.alone(choice).await.map_err(ChatError::Request)?;
        self.parts.chat(alone).await
    }

    /// One more reply of a stream.
    fn stream(self: Arc<Self>, choice: u32) -> Next {
        Box::pin(async move {
            match self.ask(choice).await.map_err(fault)? {
                Answer::Stream(chunks) => Ok(*chunks),
                Answer::Whole(..) => {
                    Err(BackendFault::garbage("an answer in one piece instead of a stream").into())
                }
            }
        })
    }

    /// The request for one answer alone.
    async fn alone(&self, choice: u32) -> Result<ChatCall, ApiError> {
        let (passed, limits) = (self.passed.clone(), Arc::clone(&self.parts.limits));
        let seed = self.call.defaults.sampling.seed;
        let read = move |body: &Bytes| {
            let body = passed.with_choice(body, seed, choice);
            passed
                .inspect_again(&body, &limits)
                .map(|passed| Asked::AsSent { body, passed: Box::new(passed) })
        };
        let asked = apart::read(&self.body, read).await?;
        // The ids of calls are made of it, and are to differ.
        let voice = self.call.voice.clone();
        let id = if choice == 0 { voice.id } else { format!("{}x{choice}", voice.id) };
        Ok(ChatCall { asked, voice: Voice { id, ..voice }, ..self.call.clone() })
    }

    /// The whole of which the first reply is here.
    async fn whole(&self, first: Bytes, mut usage: Usage) -> Result<Answer, ChatError> {
        let shaped = |body| if self.passed.one_call { one_call::whole(body) } else { body };
        let (wanted, most) = (self.choices() as usize, self.parts.limits.backend_answer.as_usize());
        let (mut given, mut held) = (choices(&first), first.len());
        let mut others = Vec::new();
        while given < wanted {
            self.call.meter.comes_to(usage);
            let choice = u32::try_from(given).unwrap_or(u32::MAX);
            self.may_ask().map_err(ChatError::Request)?;
            let Answer::Whole(body, counted) = self.ask(choice).await.map_err(fault)? else {
                return Err(BackendFault::garbage("a stream that was not asked for").into());
            };
            held += body.len();
            if held > most {
                return Err(BackendFault::TooLong { limit: most }.into());
            }
            given += choices(&body).max(1);
            usage = self.added(usage, choice, counted);
            others.push(shaped(body));
        }
        let first = shaped(first);
        let body = if others.is_empty() { first } else { joined(&first, &others, self.passed.samples())? };
        Ok(Answer::Whole(body, usage))
    }

    /// An engine of another's that gives fewer answers than were asked for is asked again no more often than our own.
    fn may_ask(&self) -> Result<(), ApiError> {
        let most = self.parts.limits.choices;
        if self.choices() as usize > most { Err(self.passed.too_many(most)) } else { Ok(()) }
    }
}

/// Whether the engine says that the request is wrong, as those do that know of no more than one answer (422 of a validator).
fn is_refused(answered: &Result<Answer, ChatError>) -> bool {
    matches!(answered, Err(ChatError::Fault(BackendFault::Answered { status: 400 | 422, .. })))
}

/// What becomes of one that failed behind the first.
fn fault(error: ChatError) -> BackendFault {
    match error {
        ChatError::Fault(fault) => fault,
        // The same request was taken a moment ago.
        ChatError::Request(_) | ChatError::Stopping => {
            BackendFault::garbage("a request that was taken is refused now")
        }
    }
}

/// What is done with the events of a stream.
pub(super) struct Shape {
    one_call: bool,
    /// None where one reply has all that is wanted: a request of megabytes is not kept for nothing.
    several: Option<(Several, Arc<Wish>)>,
    /// The choice that is asked for once the reply's connection is free.
    next: Option<u32>,
    /// With which choice the reply that speaks has begun.
    choice: u32,
    asking: Option<Next>,
    /// What was counted in the replies before.
    before: Option<Usage>,
}

impl Shape {
    fn new(wish: Arc<Wish>) -> Self {
        let (one_call, choices, samples) = (wish.passed.one_call, wish.choices(), wish.passed.samples());
        let several = (choices > 1)
            .then(|| (Several::new(choices, wish.passed.include_usage).answering(samples), wish));
        Self { one_call, several, next: None, choice: 0, asking: None, before: None }
    }

    /// Whether the reply that speaks is the last.
    pub(super) fn is_last(&self) -> bool {
        self.next.is_none() && self.asking.is_none()
    }

    /// The counts of all replies.
    pub(super) fn usage(&self, now: Usage) -> Usage {
        match (self.before, &self.several) {
            // Until the next reply speaks, the last one is among those before.
            (Some(before), _) if self.asking.is_some() => before,
            (Some(before), Some((_, wish))) => wish.added(before, self.choice, now),
            (_, _) => now,
        }
    }

    /// The choice that is waited for; `now` is the one of the reply that speaks, none where it has finished all of its own.
    pub(super) fn speaking(&self, now: Option<u32>) -> Option<u32> {
        let Some((several, _)) = &self.several else { return now };
        if self.is_last() {
            return now.map(|choice| several.given() + choice);
        }
        Some(several.given())
    }

    /// The next events; `chunks` is the reply that speaks, and becomes the next one.
    pub(super) fn poll(
        &mut self,
        chunks: &mut ChatBytes,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, ChatError>>> {
        loop {
            if let Some(asking) = &mut self.asking {
                let next = ready!(asking.as_mut().poll(cx));
                self.asking = None;
                match next {
                    Ok(next) => *chunks = next,
                    Err(error) => return Poll::Ready(Some(Err(error))),
                }
            }
            let Some(events) = ready!(chunks.poll_reply(cx)) else {
                let (Some(choice), Some((_, wish))) = (self.next.take(), &self.several) else {
                    return Poll::Ready(None);
                };
                // All that the reply has said was given.
                if let Err(error) = wish.may_ask() {
                    return Poll::Ready(Some(Err(ChatError::Request(error))));
                }
                let next = Arc::clone(wish).stream(choice);
                (self.before, self.asking) = (Some(self.usage(chunks.counted())), Some(next));
                self.choice = choice;
                continue;
            };
            let events = match events {
                Ok(events) => Ok(self.shaped(&events, chunks.has_ended())),
                Err(fault) => Err(fault.into()),
            };
            if !matches!(&events, Ok(events) if events.is_empty()) {
                return Poll::Ready(Some(events));
            }
        }
    }

    fn shaped(&mut self, events: &Bytes, ended: bool) -> Bytes {
        let mut out = BytesMut::with_capacity(events.len());
        if self.one_call {
            one_call::pass(events, &mut out);
        } else {
            out.extend_from_slice(events);
        }
        if let Some((several, _)) = &mut self.several {
            let shaped = out.split();
            several.pass(&shaped, &mut out);
            if ended {
                self.next = several.next_choice(&mut out);
            }
        }
        out.freeze()
    }
}
