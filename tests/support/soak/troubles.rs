//! When an engine could not answer, and why, so that an answer can be held against it.
//!
//! Knows moments. Refuses to know what is done to an engine. Invariant: a span is announced before it begins and said to be over
//! once it is, so that no answer is excused by a trouble that it has not met, and none is blamed for one that was under way.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// A trouble's last effects: the daemon may still be telling of it, or be about to notice.
pub const GRACE: Duration = Duration::from_secs(1);

/// Why an engine does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Its process was killed.
    Dead,
    /// Its process is stopped: it takes connections and says nothing.
    Hung,
    /// The configuration has no such backend.
    Absent,
}

/// One span of it. Between `from` and `certain`, and between `ending` and `until`, it may be so or not.
#[derive(Debug, Clone)]
struct Span {
    engine: &'static str,
    trouble: Trouble,
    from: Instant,
    certain: Option<Instant>,
    ending: Option<Instant>,
    until: Option<Instant>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Troubles(Mutex<Vec<Span>>);

/// One of them, for whoever makes it.
#[derive(Debug, Clone, Copy)]
pub struct Begun(usize);

/// What an engine suffered while a request was under way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Suffered {
    /// At some moment of it, perhaps.
    pub partly: Vec<Trouble>,
    /// All the time, certainly.
    pub wholly: Option<Trouble>,
}

impl Troubles {
    fn spans(&self) -> MutexGuard<'_, Vec<Span>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An engine is about to be in trouble.
    pub fn announce(&self, engine: &'static str, trouble: Trouble, now: Instant) -> Begun {
        let mut spans = self.spans();
        spans.push(Span { engine, trouble, from: now, certain: None, ending: None, until: None });
        Begun(spans.len() - 1)
    }

    /// Now it is, certainly.
    pub fn certain(&self, begun: Begun, now: Instant) {
        self.spans()[begun.0].certain = Some(now);
    }

    /// It is about to be over.
    pub fn ending(&self, begun: Begun, now: Instant) {
        self.spans()[begun.0].ending = Some(now);
    }

    /// It is over.
    pub fn over(&self, begun: Begun, now: Instant) {
        self.spans()[begun.0].until = Some(now);
    }

    /// What this engine suffered while a request was under way.
    #[must_use]
    pub fn of(&self, engine: &str, sent: Instant, ended: Instant) -> Suffered {
        let mut suffered = Suffered::default();
        for span in self.spans().iter().filter(|span| span.engine == engine) {
            if span.from > ended || span.until.is_some_and(|until| until + GRACE < sent) {
                continue;
            }
            suffered.partly.push(span.trouble);
            let begun = span.certain.is_some_and(|certain| certain + GRACE <= sent);
            if begun && span.ending.is_none_or(|ending| ended <= ending) {
                suffered.wholly = Some(span.trouble);
            }
        }
        suffered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_meets_a_trouble_partly_wholly_or_not() {
        let begun = Instant::now();
        let at = |seconds: u64| begun + Duration::from_secs(seconds);
        let troubles = Troubles::default();
        let death = troubles.announce("one", Trouble::Dead, at(10));
        let suffered = |sent, ended| troubles.of("one", at(sent), at(ended));
        let partly = Suffered { partly: vec![Trouble::Dead], wholly: None };
        // Announced, and nobody knows whether it has begun.
        assert_eq!(suffered(12, 13), partly);
        troubles.certain(death, at(11));
        let wholly = Suffered { wholly: Some(Trouble::Dead), ..partly.clone() };
        assert_eq!(suffered(12, 13), wholly);
        troubles.ending(death, at(20));
        troubles.over(death, at(21));
        assert_eq!(suffered(1, 9), Suffered::default());
        assert_eq!(suffered(1, 10), partly);
        assert_eq!(suffered(11, 13), partly);
        assert_eq!(suffered(12, 20), wholly);
        assert_eq!(suffered(12, 21), partly);
        assert_eq!(suffered(22, 23), partly);
        assert_eq!(suffered(23, 24), Suffered::default());
        assert_eq!(troubles.of("other", at(12), at(13)), Suffered::default());
    }
}
