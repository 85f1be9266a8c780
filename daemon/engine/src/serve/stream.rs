//! A streamed answer as a body: server-sent events, `[DONE]` at the end.
//!
//! Invariant: an answer that failed ends with an error event and without `[DONE]`.

use crate::queue::{Event, Ticket};
use crate::wire::answer::Answer;
use bytes::Bytes;
use http_body::Frame;
use serde_json::Value;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The body. Dropping it takes the request back.
#[derive(Debug)]
pub(super) struct AnswerStream {
    /// Gone once the answer has ended.
    ticket: Option<Ticket>,
    answer: Box<dyn Answer>,
    include_usage: bool,
    ready: VecDeque<Bytes>,
}

impl AnswerStream {
    pub(super) fn new(ticket: Ticket, answer: Box<dyn Answer>, include_usage: bool) -> Self {
        let ready = answer.opening().iter().map(event).collect();
        Self { ticket: Some(ticket), answer, include_usage, ready }
    }

    fn take(&mut self, next: Option<Event>) {
        match next {
            Some(Event::Begun) => {}
            Some(Event::Part(part)) => self.ready.push_back(event(&self.answer.part(&part))),
            Some(Event::Next(finish)) => self.ready.push_back(event(&self.answer.closing(finish))),
            Some(Event::Ended(finish, usage)) => {
                self.ready.push_back(event(&self.answer.closing(finish)));
                if self.include_usage {
                    self.ready.push_back(event(&self.answer.usage(usage)));
                }
                self.ready.push_back(Bytes::from_static(b"data: [DONE]\n\n"));
                self.ticket = None;
            }
            Some(Event::Failed(failure)) => {
                self.ready.push_back(event(&failure.body()));
                self.ticket = None;
            }
            Some(Event::Embedded(..)) | None => {
                self.ready.push_back(event(&super::broken().body()));
                self.ticket = None;
            }
        }
    }
}

fn event(data: &Value) -> Bytes {
    Bytes::from(format!("data: {data}\n\n"))
}

impl http_body::Body for AnswerStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            let Some(ticket) = &mut self.ticket else { return Poll::Ready(None) };
            match ticket.events.poll_recv(cx) {
                Poll::Ready(next) => self.take(next),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
