//! The requests: how many, in which order, how many at a time.
//!
//! Knows seats and clocks. Refuses to know what is behind a seat. Invariants: the legs take turns in rounds, the first of one round being the
//! second of the next, so that whatever drifts (heat, a neighbour) comes to both; what has been measured stays where it is, however the
//! run ends.

use std::{cell::RefCell, time::Duration};

use futures_util::{StreamExt as _, stream};
use ghostllm_core::admin::{BenchEnd, BenchError};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{
    answer::{Failed, Sample},
    leg::{Asked, Seat},
    progress::Progress,
};

/// Rounds, where there are enough requests for them; an even number gives each leg as many first turns as the other.
const ROUNDS: usize = 8;
/// A turn has so many requests for each that is open at a time, where there are enough: at its end fewer are open.
const LEAST_OF_A_TURN: usize = 2;
/// So many failures in a row on one leg, and the rest would fail as well.
const HOPELESS: usize = 10;
/// Kinds of failures that are told apart.
const MOST_KINDS: usize = 20;
/// How often the progress is drawn while nothing happens.
const LOOK: Duration = Duration::from_millis(250);

/// One leg with what it has come to.
pub(super) struct Leg {
    /// What it is called.
    pub(super) name: &'static str,
    seats: RefCell<Vec<Seat>>,
    /// What it has come to.
    pub(super) tally: Tally,
}

/// What a leg has come to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// The answers that came whole.
    pub(super) samples: Vec<Sample>,
    /// The others, by kind.
    pub(super) errors: Vec<BenchError>,
    spent: Duration,
    /// When the turn began that is not over.
    since: Option<Instant>,
    in_a_row: usize,
    /// The failure that came last.
    last: Option<BenchError>,
}

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// Requests of each leg.
    pub(super) requests: usize,
    /// At a time.
    pub(super) at_once: usize,
    /// Tokens of an answer at the most.
    pub(super) max_tokens: u32,
    /// The number of the first request; no other run has the same soon.
    pub(super) first: u64,
}

impl Plan {
    /// How many requests each turn has, one turn of each leg a round.
    pub(super) fn rounds(&self) -> Vec<usize> {
        let most = self.requests / (self.at_once * LEAST_OF_A_TURN).max(1);
        let rounds = match most.min(ROUNDS) {
            0 => 1,
            // An odd number would begin once more with the one than with the other.
            more if more > 1 => more - more % 2,
            one => one,
        };
        (0..rounds)
            .map(|round| self.requests * (round + 1) / rounds - self.requests * round / rounds)
            .collect()
    }
}

impl Leg {
    pub(super) fn new(name: &'static str, seats: Vec<Seat>) -> Self {
        Self { name, seats: RefCell::new(seats), tally: Tally::default() }
    }

    /// One turn.
    async fn turn(&mut self, numbers: std::ops::Range<u64>, plan: &Plan, progress: &mut Progress) {
        let Self { name, seats, tally } = self;
        let seats = &*seats;
        let ask = |number| async move {
            // As many are asked at a time as there are seats.
            let Some(mut seat) = seats.borrow_mut().pop() else {
                return Err(Failed::new("connection", "no seat is free"));
            };
            let answered = seat.ask(Asked { number, max_tokens: plan.max_tokens }).await;
            seats.borrow_mut().push(seat);
            answered
        };
        tally.begin();
        let mut answers = std::pin::pin!(stream::iter(numbers).map(ask).buffer_unordered(plan.at_once));
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                biased;
                answer = answers.next() => {
                    let Some(answer) = answer else { break };
                    tally.add(answer);
                    progress.one_more(name);
                    if tally.is_hopeless() {
                        break;
                    }
                }
                _ = look.tick() => progress.draw(name),
            }
        }
        tally.end();
    }

    /// Closes its connections.
    pub(super) async fn close(&mut self) {
        for seat in self.seats.take() {
            seat.close().await;
        }
    }
}

impl Tally {
    fn begin(&mut self) {
        self.since = Some(Instant::now());
    }

    fn end(&mut self) {
        self.spent += self.since.take().map(|since| since.elapsed()).unwrap_or_default();
    }

    fn add(&mut self, answer: Result<Sample, Failed>) {
        match answer {
            Ok(sample) => {
                self.in_a_row = 0;
                self.samples.push(sample);
            }
            Err(Failed { code, message, .. }) => {
                self.in_a_row += 1;
                self.last = Some(BenchError { code: code.clone(), count: 1, message: message.clone() });
                let kinds = self.errors.len();
                match self.errors.iter_mut().find(|known| known.code == code) {
                    Some(known) => {
                        known.count += 1;
                        known.message = message;
                    }
                    None if kinds < MOST_KINDS => self.errors.push(BenchError { code, count: 1, message }),
                    None => {
                        if let Some(last) = self.errors.last_mut() {
                            last.count += 1;
                        }
                    }
                }
            }
        }
    }

    fn is_hopeless(&self) -> bool {
        self.in_a_row >= HOPELESS
    }

    /// A leg that was given up has lost the seats of those who were still asking.
    fn warmed(self) -> Result<(), BenchError> {
        let is_cold = self.samples.is_empty() || self.is_hopeless();
        self.last.filter(|_| is_cold).map_or(Ok(()), Err)
    }

    /// How long its turns took, the one that was cut off included.
    pub(super) fn seconds(&self) -> f64 {
        let open = self.since.map(|since| since.elapsed()).unwrap_or_default();
        (self.spent + open).as_secs_f64()
    }
}

/// A turn that does not count: connections are used once, the model is loaded, caches are filled.
///
/// # Errors
/// No request was answered, or there is no hope: how the last one failed.
pub(super) async fn warm_up(
    leg: &mut Leg,
    from: u64,
    plan: &Plan,
    progress: &mut Progress,
) -> Result<(), BenchError> {
    leg.turn(from..from + as_number(plan.at_once), plan, progress).await;
    std::mem::take(&mut leg.tally).warmed()
}

/// All rounds.
pub(super) async fn run(legs: &mut [Leg], plan: &Plan, progress: &mut Progress) -> BenchEnd {
    let mut next = plan.first;
    for (round, many) in plan.rounds().into_iter().enumerate() {
        let mut order: Vec<&mut Leg> = legs.iter_mut().collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for leg in order {
            let from = next;
            next += as_number(many);
            leg.turn(from..next, plan, progress).await;
            if leg.tally.is_hopeless() {
                return BenchEnd::GaveUp;
            }
        }
    }
    BenchEnd::Completed
}

fn as_number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(requests: usize, at_once: usize) -> Plan {
        Plan { requests, at_once, max_tokens: 8, first: 0 }
    }

    #[test]
    fn every_request_has_its_round_and_rounds_are_even() {
        assert_eq!(plan(32, 1).rounds(), [4; 8]);
        assert_eq!(plan(32, 4).rounds(), [8; 4]);
        assert_eq!(plan(1, 1).rounds(), [1]);
        assert_eq!(plan(3, 3).rounds(), [3]);
        assert_eq!(plan(7, 1).rounds(), [3, 4]);
        for requests in 1..200 {
            for at_once in 1..20 {
                let rounds = plan(requests, at_once).rounds();
                assert_eq!(rounds.iter().sum::<usize>(), requests, "{requests} {at_once}");
                assert!(rounds.len() == 1 || rounds.len().is_multiple_of(2), "{rounds:?}");
                assert!(
                    rounds.len() == 1 || rounds.iter().all(|many| *many >= at_once),
                    "{rounds:?} {at_once}"
                );
            }
        }
    }

    #[test]
    fn failures_are_counted_by_kind_and_end_the_run_when_there_is_no_hope() {
        let mut tally = Tally::default();
        let sample = Sample { first: LOOK, whole: LOOK, tokens: 1, counted: true };
        for number in 0..HOPELESS - 1 {
            tally.add(Err(Failed::new(
                if number % 2 == 0 { "late" } else { "connection" },
                format!("{number}"),
            )));
        }
        assert!(!tally.is_hopeless());
        tally.add(Ok(sample));
        for _ in 0..HOPELESS {
            assert!(!tally.is_hopeless());
            tally.add(Err(Failed::new("late", "no")));
        }
        assert!(tally.is_hopeless() && tally.samples.len() == 1);
        tally.add(Err(Failed::new("connection", "7")));
        let told: Vec<(&str, usize, &str)> = tally
            .errors
            .iter()
            .map(|error| (error.code.as_str(), error.count, error.message.as_str()))
            .collect();
        assert_eq!(told, [("late", 15, "no"), ("connection", 5, "7")]);
        tally.add(Err(Failed::new("late", "the last")));
        let last = tally.warmed().unwrap_err();
        assert_eq!((last.code.as_str(), last.message.as_str()), ("late", "the last"));
        let mut some = Tally::default();
        some.add(Err(Failed::new("late", "no")));
        some.add(Ok(sample));
        assert_eq!(some.warmed(), Ok(()), "some have answered");
    }
}
