//! A probe: one field with a value, and where its effect is looked for.
//!
//! Knows how scenes are looked at. Invariant: a look compares with the same request without the field, so that what is there anyway is
//! never taken for its effect.

use serde_json::{Map, Value, json};

use super::bench::Scene;

type Seen = Box<dyn Fn(&Scene, &Scene) -> bool + Send + Sync>;

/// Where the effect of a field that is neither refused nor ignored is looked for, with it and without it.
pub(super) enum Look {
    /// Nowhere: it is one that is.
    Nowhere,
    /// What the backend does with it.
    Works(Seen),
    /// That it reaches the backend.
    Passed(Seen),
    /// What the daemon does in its place.
    Emulated(Seen),
}

/// One field of a request.
pub(super) struct Probe {
    /// Its name on the page.
    pub field: &'static str,
    /// The path that it is sent to.
    pub path: &'static str,
    /// What is sent with it and without it.
    pub beside: Map<String, Value>,
    /// The body's fields that it is sent by.
    pub sent: Value,
    /// How many times each is sent.
    pub times: usize,
    /// Where its effect is seen.
    pub look: Look,
}

impl Probe {
    /// A field with this value, sent to `path` with these fields.
    pub(super) fn new(path: &'static str, base: &Value, field: &'static str, value: &Value) -> Self {
        let sent = match field.split_once('.') {
            None => json!({ field: value }),
            Some((outer, inner)) => json!({ outer: { inner: value } }),
        };
        let beside = base.as_object().cloned().unwrap_or_default();
        Self { field, path, beside, sent, times: 1, look: Look::Nowhere }
    }

    /// These fields are sent as well, with it and without it; `null` takes one away.
    pub(super) fn beside(mut self, more: &Value) -> Self {
        self.beside.extend(more.as_object().cloned().unwrap_or_default());
        self
    }

    /// Each request is sent twice.
    pub(super) fn twice(self) -> Self {
        Self { times: 2, ..self }
    }

    /// It works: this is so with it, and not without it.
    pub(super) fn works(self, seen: impl Fn(&Scene) -> bool + Send + Sync + 'static) -> Self {
        self.works_against(move |with, without| seen(with) && !seen(without))
    }

    /// It works: this is so of what happens with it and without it.
    pub(super) fn works_against(self, seen: impl Fn(&Scene, &Scene) -> bool + Send + Sync + 'static) -> Self {
        Self { look: Look::Works(Box::new(seen)), ..self }
    }

    /// It works: the backend is sent one request, with this value at this JSON pointer (RFC 6901).
    pub(super) fn on_wire(self, pointer: &'static str, value: Value) -> Self {
        self.works(move |scene| {
            scene.wire.len() == 1 && scene.wire.iter().all(|body| body.pointer(pointer) == Some(&value))
        })
    }

    /// It is passed: the same, where it came from.
    pub(super) fn unchanged(self) -> Self {
        let pointer = format!("/{}", self.field.replace('.', "/"));
        let value = self.sent.pointer(&pointer).cloned();
        self.passed(move |scene| {
            scene.wire.len() == 1 && scene.wire.iter().all(|body| body.pointer(&pointer) == value.as_ref())
        })
    }

    /// It is passed: this is so with it, and not without it.
    pub(super) fn passed(self, seen: impl Fn(&Scene) -> bool + Send + Sync + 'static) -> Self {
        let look = Look::Passed(Box::new(move |with, without| seen(with) && !seen(without)));
        Self { look, ..self }
    }

    /// It is emulated: this is so with it, and not without it.
    pub(super) fn emulated(self, seen: impl Fn(&Scene) -> bool + Send + Sync + 'static) -> Self {
        self.emulated_against(move |with, without| seen(with) && !seen(without))
    }

    /// It is emulated: this is so of what happens with it and without it.
    pub(super) fn emulated_against(
        self,
        seen: impl Fn(&Scene, &Scene) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { look: Look::Emulated(Box::new(seen)), ..self }
    }

    /// The body.
    pub(super) fn body(&self, with: bool) -> Value {
        let mut body = self.beside.clone();
        if with {
            body.extend(self.sent.as_object().cloned().unwrap_or_default());
        }
        // Null is nothing to the daemon as well, but a wire may have it.
        body.retain(|_, value| !value.is_null());
        Value::Object(body)
    }
}
