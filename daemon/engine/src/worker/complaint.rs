//! Remembers the last thing that llama.cpp complained of, so that an error can say why.
//!
//! llama.cpp's functions answer failure with a null pointer; the reason is only in its log, which comes here through
//! `tracing`. Invariant: at most one complaint of bounded length is kept.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex, PoisonError};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// A line of llama.cpp's log is rarely longer.
const LENGTH: usize = 400;

/// The last complaint; clones share it. As a layer of the subscriber it listens, elsewhere it tells.
#[derive(Debug, Clone, Default)]
pub struct Complaints(Arc<Mutex<Option<String>>>);

impl Complaints {
    /// Forgets.
    pub fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What llama.cpp last logged as an error.
    #[must_use]
    pub fn last(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<S: Subscriber> Layer<S> for Complaints {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() != Level::ERROR || !event.metadata().target().starts_with("llama") {
            return;
        }
        let mut message = Message::default();
        event.record(&mut message);
        let mut text = message.0;
        text.truncate(text.floor_char_boundary(LENGTH));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(text.trim().to_owned());
    }
}

#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            // Writing to a String cannot fail.
            let _ = write!(self.0, "{value:?}");
        }
    }
}
