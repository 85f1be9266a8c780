//! Every request that was sent, against the records and the counters that the daemon has of it.
//!
//! Knows the record's fields and the counter's labels. Refuses to know whether an answer was right. Invariant: a request has
//! exactly one record, with the status that its client has seen, and counts once; a client that left before the head may have
//! seen less than was sent, and nothing else may differ.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;

use crate::sheet::Sheet;

/// What the ids of our requests begin with; the harness's own bear none.
pub const PREFIX: &str = "soak-";
/// What is told of each kind of difference.
const TOLD: usize = 5;
/// The counter of requests.
const COUNTER: &str = "ghostllm_requests_total";
/// Whoever asks for the figures is counted once they have been put together: this route's own records are looked at alone.
const FIGURES: &str = "/metrics";

/// By which way a request was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    /// The row of the route table.
    pub route: &'static str,
    /// As records and labels have the version.
    pub http: &'static str,
}

/// What its client has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// An answer of this status.
    Status(u16),
    /// It left once it had heard a status: whatever was sent, if anything was.
    Left,
    /// It left before that: where its daemon had not read its head by then, there is no record, and no count of it.
    Unheard,
    /// No answer, although it had not left.
    Nothing,
}

#[derive(Debug, Default)]
struct Entry {
    seen: Option<Seen>,
    /// The record's status, which may be none.
    logged: Option<Option<u16>>,
    /// On its way.
    way: Option<Way>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    open: HashMap<u64, Entry>,
    counts: BTreeMap<Way, BTreeMap<Option<u16>, u64>>,
    records: u64,
    unknown: u64,
    /// Who left before they heard anything, recorded or not.
    unheard: u64,
    amiss: Vec<String>,
}

/// So many who left unheard may have no record, in however short a run; in a longer one, half of them.
const FEW: u64 = 5;

/// The account of a run.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<State>);

impl Ledger {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request is about to be sent; its number.
    pub fn send(&self) -> u64 {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.open.insert(number, Entry::default());
        number
    }

    /// It is over.
    pub fn end(&self, number: u64, way: Way, seen: Seen) {
        let mut state = self.state();
        state.unheard += u64::from(seen == Seen::Unheard);
        let status = if let Seen::Status(status) = seen { Some(status) } else { None };
        *state.counts.entry(way).or_default().entry(status).or_default() += 1;
        state.settle(number, |entry| (entry.seen, entry.way) = (Some(seen), Some(way)));
    }

    /// A record of the daemon's; whoever bears no id of ours is passed over.
    pub fn log(&self, record: &Value) {
        let id = record["client_request"].as_str().and_then(|id| id.strip_prefix(PREFIX)?.parse().ok());
        let Some(number) = id else { return };
        let status = record["status"].as_u64().and_then(|status| u16::try_from(status).ok());
        let mut state = self.state();
        state.records += 1;
        state.settle(number, |entry| entry.logged = Some(status));
    }

    /// How many were sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.state().next
    }

    /// How many records there were of them.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.state().records
    }

    /// What the records do not agree on, once all must have been written: those that are missing, those too many, those of another
    /// status.
    #[must_use]
    pub fn unrecorded(&self) -> Vec<String> {
        let state = self.state();
        let mut said = state.amiss.clone();
        if state.unknown > 0 {
            said.push(format!(
                "{} records of requests that had one already, or were never sent",
                state.unknown
            ));
        }
        let lost = state.open.iter().filter(|(_, entry)| entry.seen != Some(Seen::Unheard));
        let (missing, left) = (state.missing(), state.unheard);
        if missing > FEW && missing * 2 > left {
            said.push(format!("{missing} of the {left} who left before they heard anything have no record"));
        }
        let mut lost: Vec<u64> = lost.map(|(number, _)| *number).collect();
        lost.sort_unstable();
        if !lost.is_empty() {
            let some: Vec<String> =
                lost.iter().take(TOLD).map(|number| format!("{PREFIX}{number}")).collect();
            said.push(format!("{} requests have no record, or no end: {} …", lost.len(), some.join(", ")));
        }
        said
    }

    /// How many left before they were heard by anybody.
    #[must_use]
    pub fn unheard(&self) -> u64 {
        self.state().missing()
    }

    /// What the counters do not agree on, of all that was sent between the two sheets.
    #[must_use]
    pub fn miscounted(&self, before: &Sheet, after: &Sheet) -> Vec<String> {
        let grown = |labels: &[(&str, &str)]| after.sum(COUNTER, labels) - before.sum(COUNTER, labels);
        let mut said = Vec::new();
        let state = self.state();
        for (way, statuses) in state.counts.iter().filter(|(way, _)| way.route != FIGURES) {
            let labels = [("route", way.route), ("http", way.http)];
            let unheard = |entry: &&Entry| entry.seen == Some(Seen::Unheard) && entry.way == Some(*way);
            let unheard = state.open.values().filter(unheard).count() as u64;
            let all = statuses.values().sum::<u64>() - unheard;
            let total = grown(&labels);
            if total != all as f64 {
                said.push(format!("{} over {}: {all} were sent, {total} counted", way.route, way.http));
            }
            // Of those that left, some had been sent a 200, and the others have no status.
            for (status, count) in statuses.iter().filter_map(|(status, count)| Some(((*status)?, count))) {
                let text = status.to_string();
                let counted = grown(&[labels[0], labels[1], ("status", &text)]);
                if status != 200 && counted != *count as f64 {
                    said.push(format!(
                        "{} over {}: {count} × {status} seen, {counted} counted",
                        way.route, way.http
                    ));
                }
            }
        }
        said
    }
}

impl State {
    /// How many who left unheard have no record.
    fn missing(&self) -> u64 {
        self.open.values().filter(|entry| entry.seen == Some(Seen::Unheard)).count() as u64
    }

    fn settle(&mut self, number: u64, change: impl FnOnce(&mut Entry)) {
        let Some(entry) = self.open.get_mut(&number) else {
            self.unknown += 1;
            return;
        };
        let twice = entry.logged.is_some();
        let before = entry.seen;
        change(entry);
        if twice && entry.seen == before {
            self.unknown += 1;
        }
        let (Some(seen), Some(logged), way) = (entry.seen, entry.logged, entry.way) else { return };
        self.open.remove(&number);
        // Whoever answers before a body's end and closes may be unheard: what it has sent is known by its record.
        if let (Seen::Nothing, Some(_), Some(way)) = (seen, logged, way) {
            let statuses = self.counts.entry(way).or_default();
            for (status, change) in [(None, -1), (logged, 1)] {
                let count = statuses.entry(status).or_default();
                *count = count.saturating_add_signed(change);
            }
        }
        if let Seen::Status(status) = seen
            && logged != Some(status)
            && self.amiss.len() < TOLD
        {
            self.amiss.push(format!("{PREFIX}{number}: {status} was seen, its record has {logged:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CHAT: Way = Way { route: "/v1/chat/completions", http: "HTTP/2" };

    fn record(number: u64, status: Option<u16>) -> Value {
        json!({"client_request": format!("{PREFIX}{number}"), "status": status})
    }

    fn sheet(of_200: u32, of_404: u32, left: u32) -> Sheet {
        let line = |status: &str, count: u32| {
            format!("{COUNTER}{{route=\"{}\",http=\"HTTP/2\",status=\"{status}\"}} {count}\n", CHAT.route)
        };
        Sheet::read(&[line("200", of_200), line("404", of_404), line("", left)].concat()).unwrap()
    }

    /// Three requests: one answered, one refused, one left.
    fn three() -> Ledger {
        let ledger = Ledger::default();
        for seen in [Seen::Status(200), Seen::Status(404), Seen::Left] {
            let number = ledger.send();
            ledger.end(number, CHAT, seen);
        }
        ledger
    }

    #[test]
    fn whoever_is_recorded_once_is_in_order_in_either_order() {
        let ledger = three();
        for (number, status) in [(0, Some(200)), (1, Some(404)), (2, None)] {
            ledger.log(&record(number, status));
        }
        let early = ledger.send();
        ledger.log(&record(early, Some(200)));
        ledger.end(early, CHAT, Seen::Status(200));
        ledger.log(&json!({"client_request": "somebody-else's"}));
        assert_eq!(ledger.unrecorded(), Vec::<String>::new());
        assert_eq!((ledger.sent(), ledger.records()), (4, 4));
    }

    #[test]
    fn a_missing_record_is_seen() {
        let ledger = three();
        for (number, status) in [(0, Some(200)), (2, Some(200))] {
            ledger.log(&record(number, status));
        }
        assert_eq!(ledger.unrecorded(), ["1 requests have no record, or no end: soak-1 …"]);
    }

    #[test]
    fn who_left_before_anybody_heard_him_need_not_have_a_record() {
        let ledger = three();
        for (number, status) in [(0, Some(200)), (1, Some(404)), (2, None)] {
            ledger.log(&record(number, status));
        }
        for is_logged in [true, false] {
            let number = ledger.send();
            ledger.end(number, CHAT, Seen::Unheard);
            if is_logged {
                ledger.log(&record(number, None));
            }
        }
        assert_eq!((ledger.unrecorded(), ledger.unheard()), (Vec::<String>::new(), 1));
        assert_eq!(ledger.miscounted(&sheet(0, 0, 0), &sheet(1, 1, 2)), Vec::<String>::new());
        assert_eq!(ledger.miscounted(&sheet(0, 0, 0), &sheet(1, 1, 3)).len(), 1);
        for _ in 0..FEW {
            ledger.end(ledger.send(), CHAT, Seen::Unheard);
        }
        let many = ["6 of the 7 who left before they heard anything have no record"];
        assert_eq!((ledger.unrecorded(), ledger.unheard()), (many.map(str::to_owned).to_vec(), 6));
    }

    #[test]
    fn a_second_record_is_seen_before_and_behind_the_end() {
        let ledger = three();
        for number in [0, 0] {
            ledger.log(&record(number, Some(200)));
        }
        let open = ledger.send();
        for _ in 0..2 {
            ledger.log(&record(open, Some(200)));
        }
        assert!(ledger.unrecorded()[0].starts_with("2 records of requests"), "{:?}", ledger.unrecorded());
    }

    #[test]
    fn a_record_of_another_status_is_seen() {
        let ledger = three();
        ledger.log(&record(1, Some(200)));
        assert_eq!(ledger.unrecorded()[0], "soak-1: 404 was seen, its record has Some(200)");
    }

    #[test]
    fn counters_agree_or_it_is_told_where_they_do_not() {
        let (ledger, before) = (three(), sheet(10, 10, 10));
        // Whoever left may have been sent a 200 or nothing.
        for after in [sheet(11, 11, 11), sheet(12, 11, 10)] {
            assert_eq!(ledger.miscounted(&before, &after), Vec::<String>::new());
        }
        for after in [sheet(11, 11, 10), sheet(12, 10, 11), sheet(12, 12, 10)] {
            assert_ne!(ledger.miscounted(&before, &after), Vec::<String>::new());
        }
    }

    #[test]
    fn a_request_without_an_answer_is_held_against_nobody_s_status() {
        let ledger = Ledger::default();
        let number = ledger.send();
        ledger.end(number, CHAT, Seen::Nothing);
        assert_eq!(ledger.unrecorded().len(), 1);
        ledger.log(&record(number, Some(500)));
        assert_eq!(ledger.unrecorded(), Vec::<String>::new());
    }

    #[test]
    fn an_answer_that_its_client_did_not_hear_counts_as_its_record_has_it() {
        for recorded_first in [false, true] {
            let (ledger, before) = (Ledger::default(), sheet(0, 0, 0));
            let number = ledger.send();
            if recorded_first {
                ledger.log(&record(number, Some(404)));
            }
            ledger.end(number, CHAT, Seen::Nothing);
            if !recorded_first {
                ledger.log(&record(number, Some(404)));
            }
            assert_eq!(ledger.miscounted(&before, &sheet(0, 1, 0)), Vec::<String>::new());
            assert_eq!(ledger.miscounted(&before, &sheet(0, 0, 1)).len(), 1);
        }
    }
}
