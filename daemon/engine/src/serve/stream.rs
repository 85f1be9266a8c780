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
        let opening = answer.opening();
        let mut stream = Self { ticket: Some(ticket), answer, include_usage, ready: VecDeque::new() };
        if let Some(opening) = opening {
            stream.say(opening);
        }
        stream
    }

    /// Says a chunk. Where the counts are asked for, OpenAI's chunks before them say that they have none.
    fn say(&mut self, mut chunk: Value) {
        if let Some(fields) = chunk.as_object_mut().filter(|_| self.include_usage) {
            fields.entry("usage").or_insert(Value::Null);
        }
        self.ready.push_back(event(&chunk));
    }

    fn take(&mut self, next: Option<Event>) {
        match next {
            Some(Event::Begun) => {}
            Some(Event::Part(part)) => {
                let chunk = self.answer.part(&part);
                self.say(chunk);
            }
            Some(Event::Next(finish)) => {
                let chunk = self.answer.closing(finish);
                self.say(chunk);
            }
            Some(Event::Ended(finish, usage)) => {
                let chunk = self.answer.closing(finish);
                self.say(chunk);
                if self.include_usage {
                    let counts = self.answer.usage(usage);
                    self.say(counts);
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
