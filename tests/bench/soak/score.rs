//! How many answers were as they should be, by kind and version, and the first that were not, in full.
//!
//! Knows verdicts. Refuses to know how they were come to.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
    time::Duration,
};

use ghostllm_tests::soak::verdict::{Came, Wrong};

use crate::mix::{Draw, Kind};

/// So many wrong answers are told in full.
const TOLD: usize = 8;
/// So many characters of a body.
const SHOWN: usize = 600;
/// Of what was going on, the last so many notes.
const REMEMBERED: usize = 6;

/// Of one kind, over one version.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Count {
    pub(crate) asked: u64,
    pub(crate) right: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Score {
    pub(crate) counts: BTreeMap<(Kind, String), Count>,
    pub(crate) lost: u64,
    pub(crate) wrong: Vec<String>,
    /// How often each sort of thing was done to the daemon and its engines.
    pub(crate) done: BTreeMap<&'static str, u64>,
    recent: VecDeque<(Duration, String)>,
}

impl Score {
    /// Something is done, at this time of the run.
    pub(crate) fn note(&mut self, at: Duration, what: &'static str, text: String) {
        *self.done.entry(what).or_default() += 1;
        self.recent.push_back((at, text));
        if self.recent.len() > REMEMBERED {
            self.recent.pop_front();
        }
    }

    pub(crate) fn add(
        &mut self,
        at: Duration,
        draw: &Draw,
        by: (&str, u64),
        came: &Came,
        verdict: Result<(), Wrong>,
    ) {
        let count = self.counts.entry((draw.kind, by.0.to_owned())).or_default();
        count.asked += 1;
        let Err(wrong) = verdict else {
            count.right += 1;
            return;
        };
        self.lost += u64::from(matches!(wrong, Wrong::Lost(_)));
        if self.wrong.len() < TOLD {
            let text = self.in_full(at, draw, by, came, &wrong);
            self.wrong.push(text);
        }
    }

    fn in_full(
        &self,
        at: Duration,
        draw: &Draw,
        (over, number): (&str, u64),
        came: &Came,
        wrong: &Wrong,
    ) -> String {
        let (kind, text) = match wrong {
            Wrong::Lost(text) => ("lost", text),
            Wrong::Other(text) => ("wrong", text),
        };
        let took = came.ended.saturating_duration_since(came.sent);
        let mut said = format!(
            "{kind} at {:.1} s: {text}\n    asked:  soak-{number} over {over}, {} {} {}, for {:?}\n    came:   {:?} after {:.3} s, {:?}, {}\n    before it:",
            at.as_secs_f64(),
            draw.method,
            draw.path,
            shown(&draw.body),
            draw.asked,
            came.status,
            took.as_secs_f64(),
            came.end,
            shown(&came.body),
        );
        for (when, what) in &self.recent {
            let _never = write!(said, " {:.1} s {what};", when.as_secs_f64());
        }
        said
    }

    /// Of all, or of one kind.
    pub(crate) fn total(&self, kind: Option<Kind>) -> Count {
        let such = self.counts.iter().filter(|((other, _), _)| kind.is_none_or(|kind| kind == *other));
        such.fold(Count::default(), |all, (_, count)| Count {
            asked: all.asked + count.asked,
            right: all.right + count.right,
        })
    }
}

/// The end of a body says most.
fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let from = text.len().saturating_sub(SHOWN);
    let from = text.ceil_char_boundary(from);
    format!("{}{:?}", if from > 0 { "…" } else { "" }, &text[from..])
}
