//! A response in one piece.
//!
//! Knows the response object. Refuses to know engines. Invariant: it is given out only when the answer is complete, and
//! never holds more than its limit.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::echo::Echo;
use super::item::{self, Head, Held, Item, Items, KeptItem, Outcome, Status, inside, write_response};
use crate::chat::{ChatEvent, FinishReason, Usage};
use crate::error::BackendFault;

#[cfg(test)]
mod tests;

/// Gathers the events of one answer.
#[derive(Debug)]
pub struct ResponseWhole {
    head: Head,
    echo: Arc<Echo>,
    items: Items,
    finish: Option<FinishReason>,
    usage: Option<Usage>,
}

impl ResponseWhole {
    /// An answer whose id is made of `unique`, with its creation time in Unix seconds, and the most bytes that are held.
    #[must_use]
    pub fn new(unique: &str, created: u64, echo: Arc<Echo>, limit: usize) -> Self {
        let head = Head { id: format!("resp_{unique}"), created };
        Self { head, echo, items: Items::new(unique, limit), finish: None, usage: None }
    }

    /// Takes the next event.
    ///
    /// # Errors
    /// [`BackendFault::TooLong`] where the answer passes the limit.
    pub fn event(&mut self, event: ChatEvent) -> Result<(), BackendFault> {
        match event {
            ChatEvent::Text { text, logprobs } => {
                // The probabilities of what is thought or called begin no message.
                if text.is_empty() && !self.items.speaks() {
                    return Ok(());
                }
                let logprobs = inside(logprobs.as_deref());
                self.items.hold(text.len() + logprobs.len())?;
                if !self.items.speaks() {
                    self.items.close(Status::Completed);
                    self.items.begin(Held::Message { text: String::new(), logprobs: String::new() });
                }
                self.items.say(&text, &logprobs);
            }
            ChatEvent::Reasoning(text) => {
                self.items.hold(text.len())?;
                if !matches!(self.items.open(), Some((_, Item { held: Held::Reasoning(_), .. }))) {
                    self.items.close(Status::Completed);
                    self.items.begin(Held::Reasoning(String::new()));
                }
                self.items.think(&text);
            }
            ChatEvent::ToolCall { id, name, arguments, .. } => {
                self.items.hold(id.len() + name.len() + arguments.len())?;
                self.items.close(Status::Completed);
                self.items.begin(Held::Call(item::call(&self.echo, id, name, arguments)));
                self.items.close(Status::Completed);
            }
            ChatEvent::Usage(usage) => self.usage = Some(usage),
            ChatEvent::Finish(reason) => {
                self.items.close(Outcome::of(reason).last());
                self.finish = Some(reason);
            }
        }
        Ok(())
    }

    /// How many bytes it holds, or will with its body.
    #[must_use]
    pub fn held(&self) -> usize {
        self.items.held() * 2 + self.echo.fields.len() * 2
    }

    /// What was counted, where it was.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// The items that a later request may name; none before the answer is complete.
    #[must_use]
    pub fn kept(&self) -> Vec<KeptItem> {
        if self.finish.is_some() { self.items.kept() } else { Vec::new() }
    }

    /// The body of the answer.
    ///
    /// # Errors
    /// [`BackendFault::EndedEarly`] where no finish reason came.
    pub fn body(&self) -> Result<Bytes, BackendFault> {
        let outcome = Outcome::of(self.finish.ok_or(BackendFault::EndedEarly)?);
        let held = self.items.held();
        let mut out = BytesMut::with_capacity(1024 + held + held / 4);
        write_response(&self.head, &self.echo, &self.items, outcome, self.usage, &mut out);
        Ok(out.freeze())
    }
}
