//! The body of a streamed chat: the engine's events, keep-alives between them, and the event that tells a failure.
//!
//! Invariants: a failure is the last event and then [`StreamFailed`]; never `[DONE]` behind it. Dropping the body
//! drops the engine's connection.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::Stream;
use ghostllm_core::{ApiError, error::BackendFault};
use ghostllm_edge::{
    StreamFailed, drain,
    room::{Lack, Room},
};
use http_body::{Body, Frame};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    Shared,
    account::Account,
    panics,
    record::By,
    requests::{Ending, Request},
};
use crate::{
    backend::{Answer, ChatBytes, ChatError, Voice, registry::Registry},
    metrics::Metrics,
};

/// How long a client waits for the end of an engine's body that has nothing more to say. With the last event or a moment after it is
/// the rule; an engine that is later has its connection closed instead of kept.
const END: Duration = Duration::from_secs(1);

type Answering = Pin<Box<dyn Future<Output = Result<Answer, ChatError>> + Send>>;

/// Where the next event comes from.
enum Source {
    /// The engine has not said anything yet.
    Awaited(Answering),
    /// The engine speaks.
    Streaming(Box<ChatBytes>),
    /// All has been given; its connection to the engine may be used again if the engine's body ends in time, for which the timer is.
    Over(Box<ChatBytes>),
    /// The last event has been given; the stream has failed.
    Failed,
    /// All has been given.
    Ended,
}

/// Why a request goes on no longer, by whom, and what its client hears.
pub(super) struct Stopped {
    pub(super) cause: &'static str,
    pub(super) by: By,
    pub(super) shown: ApiError,
}

/// How a stream sounds while its engine is silent.
pub(super) struct Tone {
    pub(super) voice: Voice,
    /// What is sent then, before its first event, and how often.
    pub(super) keep_alive: Bytes,
    pub(super) every: Duration,
}

/// A stream of events for the client.
pub(super) struct Events {
    source: Source,
    /// Hears of the engine's failure.
    registry: Arc<Registry>,
    /// Hears of its own.
    room: Room,
    metrics: Arc<Metrics>,
    account: Account,
    keep_alive: Bytes,
    every: Duration,
    /// What a failure is told in before the engine has said anything, and where what has read it is lost.
    voice: Voice,
    /// How many events were given whose language numbers them: behind a panic its last ones go on from there.
    numbered: u64,
    /// When the client was last sent something; none before the first time.
    sent: Option<Instant>,
    timer: Pin<Box<Sleep>>,
    /// Completes when the program's end will not wait any longer, or the request is ended by somebody.
    ending: Pin<Box<dyn Future<Output = Stopped> + Send>>,
}

impl Events {
    /// The events of an engine that speaks already.
    pub(super) fn of(chunks: Box<ChatBytes>, account: Account, tone: Tone, shared: &Shared) -> Self {
        Self::new(Source::Streaming(chunks), account, tone, shared, Some(Instant::now()))
    }

    /// The events of an engine that is still silent. A keep-alive goes out at once, since the client has been
    /// waiting for its headers.
    pub(super) fn awaited<F>(answering: Pin<Box<F>>, account: Account, tone: Tone, shared: &Shared) -> Self
    where
        F: Future<Output = Result<Answer, ChatError>> + Send + 'static,
    {
        Self::new(Source::Awaited(answering), account, tone, shared, None)
    }

    fn new(source: Source, account: Account, tone: Tone, shared: &Shared, sent: Option<Instant>) -> Self {
        let Tone { voice, keep_alive, every } = tone;
        let timer = Box::pin(sleep_until(Instant::now() + every));
        let registry = Arc::clone(&shared.registry);
        let ending = Box::pin(ending(shared.drain.clone(), Arc::clone(account.request())));
        let (metrics, room) = (Arc::clone(&shared.metrics), shared.room.clone());
        let numbered = 0;
        Self {
            source,
            registry,
            room,
            metrics,
            account,
            keep_alive,
            every,
            voice,
            numbered,
            sent,
            timer,
            ending,
        }
    }

    /// The same, and a panic of whatever reads the engine is a failure like any other; behind the last event it is none of the client's.
    fn poll_caught(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, StreamFailed>>> {
        // What a panic leaves behind may look like the end.
        let said = self.is_said();
        // What has panicked is dropped, and not asked again.
        catch_unwind(AssertUnwindSafe(|| self.poll_event(cx))).unwrap_or_else(|_its_words| {
            self.metrics.panicked();
            if said {
                self.source = Source::Ended;
                return Poll::Ready(None);
            }
            // It has no last words of its own either.
            self.source = Source::Failed;
            Poll::Ready(Some(Ok(self.fail(&panics::CAUSE, &ApiError::internal(), None))))
        })
    }

    /// The next event of the engine, or the failure's; none at the end.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, StreamFailed>>> {
        loop {
            match &mut self.source {
                Source::Awaited(answering) => {
                    let Poll::Ready(answer) = answering.as_mut().poll(cx) else { return Poll::Pending };
                    match answer {
                        Ok(Answer::Stream(chunks)) => self.source = Source::Streaming(chunks),
                        Ok(Answer::Whole(..)) => {
                            let cause = "a backend answered in one piece what was asked for as a stream";
                            return Poll::Ready(Some(Ok(self.fail(&cause, &ApiError::internal(), None))));
                        }
                        Err(error) => return Poll::Ready(Some(Ok(self.fault(error)))),
                    }
                }
                Source::Streaming(chunks) => {
                    #[cfg(feature = "freeze")]
                    super::frozen("stream", self.account.trace());
                    let Poll::Ready(chunk) = Pin::new(&mut *chunks).poll_next(cx) else {
                        return Poll::Pending;
                    };
                    return Poll::Ready(self.given(chunk));
                }
                Source::Over(chunks) => {
                    #[cfg(feature = "freeze")]
                    super::frozen("over", self.account.trace());
                    let ended = Pin::new(&mut *chunks).poll_next(cx).is_ready();
                    if !ended && self.timer.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    self.source = Source::Ended;
                }
                Source::Failed => {
                    self.source = Source::Ended;
                    return Poll::Ready(Some(Err(StreamFailed)));
                }
                Source::Ended => return Poll::Ready(None),
            }
        }
    }

    /// What becomes of what the engine's stream gives.
    fn given(&mut self, chunk: Option<Result<Bytes, ChatError>>) -> Option<Result<Bytes, StreamFailed>> {
        match (chunk, std::mem::replace(&mut self.source, Source::Ended)) {
            (Some(Ok(bytes)), Source::Streaming(chunks)) => {
                self.account.counted(chunks.usage());
                self.numbered = chunks.numbered();
                // Most clients leave at `[DONE]`, and have been answered.
                self.source = if chunks.is_over() {
                    self.account.over(chunks.usage());
                    self.timer.as_mut().reset(Instant::now() + END);
                    Source::Over(chunks)
                } else {
                    Source::Streaming(chunks)
                };
                Some(Ok(bytes))
            }
            (Some(Err(error)), source) => {
                self.source = source;
                Some(Ok(self.fault(error)))
            }
            (None, Source::Streaming(chunks)) => {
                self.account.completed(chunks.usage());
                None
            }
            (_, _) => None,
        }
    }

    /// Whether the last event has been given: nothing comes behind it.
    fn is_said(&self) -> bool {
        matches!(self.source, Source::Over(_) | Source::Failed | Source::Ended)
    }

    /// The last event of a request that goes on no longer; none where it has been given, and only the engine's end was waited for.
    fn poll_ending(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if matches!(self.source, Source::Failed | Source::Ended) {
            return Poll::Pending;
        }
        let Poll::Ready(stopped) = self.ending.as_mut().poll(cx) else { return Poll::Pending };
        if matches!(self.source, Source::Over(_)) {
            self.source = Source::Ended;
            return Poll::Ready(None);
        }
        Poll::Ready(Some(self.fail(&stopped.cause, &stopped.shown, Some(stopped.by))))
    }

    /// An engine that always has the next event ready must not keep a request going that is to end.
    fn is_to_end(&self) -> bool {
        self.account.request().ending().is_some() && !self.is_said()
    }

    /// The engine has failed.
    fn fault(&mut self, error: ChatError) -> Bytes {
        blame(&self.registry, &self.room, &error);
        let (cause, by) = (error.to_string(), by(&error));
        let shown = self.voice.form.words(self.account.in_its_words(error.into()));
        self.fail(&cause, &shown, by)
    }

    fn fail(&mut self, cause: &dyn std::fmt::Display, shown: &ApiError, by: Option<By>) -> Bytes {
        self.account.failed(cause, shown, by);
        match std::mem::replace(&mut self.source, Source::Failed) {
            Source::Streaming(mut chunks) => chunks.failure(shown),
            Source::Awaited(_) | Source::Over(_) | Source::Failed | Source::Ended => {
                self.voice.failure(shown, self.numbered)
            }
        }
    }

    /// What the client is sent then.
    fn keep_alive(&self) -> Bytes {
        match &self.source {
            Source::Streaming(chunks) => chunks.keep_alive(&self.keep_alive),
            Source::Awaited(_) | Source::Over(_) | Source::Failed | Source::Ended => self.keep_alive.clone(),
        }
    }

    /// A keep-alive when the client has been sent nothing for too long.
    ///
    /// The timer is not moved at every event, only when it fires early: an event costs a clock reading.
    fn poll_keep_alive(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        if self.is_said() {
            return Poll::Pending;
        }
        let Some(sent) = self.sent else { return Poll::Ready(self.keep_alive()) };
        while self.timer.as_mut().poll(cx).is_ready() {
            let due = sent + self.every;
            if due <= Instant::now() {
                self.timer.as_mut().reset(Instant::now() + self.every);
                return Poll::Ready(self.keep_alive());
            }
            self.timer.as_mut().reset(due);
        }
        Poll::Pending
    }
}

/// Tells of a failure whoever is concerned by it.
pub(super) fn blame(registry: &Registry, room: &Room, error: &ChatError) {
    match error {
        // These say nothing of the backend; of memory it is counted already.
        ChatError::Fault(BackendFault::Full { .. }) => room.turned_away(Lack::Descriptors),
        ChatError::Fault(BackendFault::NoMemory) | ChatError::Request(_) | ChatError::Stopping => {}
        ChatError::Fault(_) => registry.nudge(),
    }
}

/// Who has ended it, where its engine has not failed.
pub(super) fn by(error: &ChatError) -> Option<By> {
    matches!(error, ChatError::Stopping).then_some(By::Shutdown)
}

/// Waits until a request is to go on no longer.
pub(super) async fn ending(drain: drain::Watch, request: Arc<Request>) -> Stopped {
    tokio::select! {
        () = drain.ending() => Stopped { cause: "the program ends", by: By::Shutdown, shown: ChatError::Stopping.into() },
        ending = request.ended() => ending.into(),
    }
}

impl From<Ending> for Stopped {
    fn from(ending: Ending) -> Self {
        Self { cause: ending.cause(), by: ending.into(), shown: ending.into() }
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = StreamFailed;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamFailed>>> {
        let this = self.get_mut();
        let event = if this.is_to_end() { Poll::Pending } else { this.poll_caught(cx) };
        let polled = match event {
            Poll::Ready(event) => Poll::Ready(event),
            Poll::Pending => match this.poll_ending(cx) {
                Poll::Ready(event) => Poll::Ready(event.map(Ok)),
                Poll::Pending => this.poll_keep_alive(cx).map(|bytes| Some(Ok(bytes))),
            },
        };
        if polled.is_ready() {
            this.sent = Some(Instant::now());
            this.account.request().sent();
        }
        polled.map(|event| event.map(|event| event.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.source, Source::Ended)
    }
}
