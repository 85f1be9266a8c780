//! The flight recorder at work: a recorder for each card, and what is to be written of them.
//!
//! Knows which recorder is which card's, and whether a write goes on. Refuses to know what is recorded (the core's) and where it lies (the
//! store's). Invariants: whoever looks at the cards never waits for the disk; what waits for one that hangs is bounded, a newer running
//! record taking the place of an older.

use std::{sync::Arc, time::Duration};

use ghostllm_core::heat::flight::{Card as Named, Flight, Look, Origin, Recorder, Requests, Step};
use ghostllm_gpu::{Identity, Maker};
use time::OffsetDateTime;
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::timeout,
};

use super::Card;
use crate::store::flight::{Room, Running, Work, millis};

/// More cards than a machine has; a recorder takes some 50 kB.
const CARDS: usize = 32;
/// So many whole records wait for a disk that hangs; then the oldest go.
const WAITING: usize = 8;
/// How long the last write may take when the program stops, as that of what requests have used.
const LAST_WRITE: Duration = Duration::from_secs(5);

/// All recorders.
pub(super) struct Recorders {
    room: Room,
    cards: Vec<Known>,
    work: Work,
    writing: Option<JoinHandle<()>>,
}

struct Known {
    /// The smallest number that no other has: its running record's.
    number: u32,
    index: u32,
    identity: Option<Arc<Identity>>,
    /// How many times it has answered.
    answers: u64,
    recorder: Box<Recorder>,
}

impl Known {
    /// Before a card has told its name, it is taken for the one of its number.
    fn is_of(&self, card: &Card) -> bool {
        match (&self.identity, &card.seen.identity) {
            (Some(own), Some(other)) => own.uuid == other.uuid,
            (None, _) | (_, None) => self.index == card.seen.index,
        }
    }

    fn look(&mut self, now: Duration, card: Option<&Card>, requests: Requests) -> Step {
        let Some(card) = card else {
            return self.recorder.look(&Look { now, sample: None, verdict: None, requests });
        };
        self.index = card.seen.index;
        if card.seen.identity.is_some() {
            self.identity.clone_from(&card.seen.identity);
        }
        // One that comes back is counted anew.
        let new = card.seen.number > 0 && card.seen.number != self.answers;
        self.answers = card.seen.number;
        let sample = new.then_some(&card.seen.sample);
        self.recorder.look(&Look { now, sample, verdict: Some(&card.verdict), requests })
    }

    fn flight(&self, origin: Origin) -> Flight {
        let names = self
            .identity
            .as_ref()
            .map_or([""; 4], |identity| [&*identity.name, &identity.uuid, &identity.bus, &identity.driver]);
        self.recorder.flight(origin, Named::new(self.index, names))
    }
}

impl Recorders {
    pub(super) fn new(room: Room) -> Self {
        let work = Work { begun: true, ..Work::default() };
        Self { room, cards: Vec::new(), work, writing: None }
    }

    /// Takes what was seen of the cards and decided of the requests, and has written what is due.
    pub(super) fn look(&mut self, now: Duration, cards: &[Card], requests: Requests) {
        // A processor is at its limit whenever it computes: it would write all day, and say nothing.
        let cards = || cards.iter().filter(|card| !is_processor(card));
        for card in cards() {
            if !self.cards.iter().any(|known| known.is_of(card)) && self.cards.len() < CARDS {
                self.add(card);
            }
        }
        for place in 0..self.cards.len() {
            let Some(known) = self.cards.get_mut(place) else { continue };
            let card = cards().find(|card| known.is_of(card));
            let step = known.look(now, card, requests);
            self.due(place, step, now);
        }
        // One that is gone has its record ended first.
        self.cards.retain(|known| known.recorder.is_at_work() || cards().any(|card| known.is_of(card)));
        self.write();
    }

    fn add(&mut self, card: &Card) {
        let number =
            (0..).find(|number| self.cards.iter().all(|known| known.number != *number)).unwrap_or_default();
        self.cards.push(Known {
            number,
            index: card.seen.index,
            identity: card.seen.identity.clone(),
            answers: 0,
            recorder: Box::default(),
        });
    }

    fn due(&mut self, place: usize, step: Step, now: Duration) {
        let Some(known) = self.cards.get(place) else { return };
        let running = match step {
            Step::Nothing => return,
            Step::Running => Running::Is(Box::new(known.flight(self.origin(now)))),
            Step::Whole => {
                if self.work.whole.len() >= WAITING {
                    self.work.whole.remove(0);
                }
                self.work.whole.push((known.number, known.flight(self.origin(now))));
                Running::Over
            }
            Step::Over => Running::Over,
        };
        self.work.running.insert(known.number, running);
    }

    fn origin(&self, now: Duration) -> Origin {
        let made = OffsetDateTime::now_utc();
        Origin {
            zero: millis(made - now),
            made: millis(made),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            boot: self.room.boot().to_owned(),
        }
    }

    /// Has it written, unless the last is still being written: then it waits, and takes in what comes meanwhile.
    fn write(&mut self) {
        if self.work.is_empty() || self.writing.as_ref().is_some_and(|writing| !writing.is_finished()) {
            return;
        }
        let (room, work) = (self.room.clone(), std::mem::take(&mut self.work));
        self.writing = Some(spawn_blocking(move || room.write(&work)));
    }

    /// The program ends, and says so: what is open becomes a record, and nothing runs any more.
    pub(super) async fn end(&mut self, now: Duration) {
        for place in 0..self.cards.len() {
            let Some(known) = self.cards.get(place) else { continue };
            let last = match (known.recorder.is_open(), known.recorder.is_at_work()) {
                (true, _) => Step::Whole,
                (false, true) => Step::Over,
                (false, false) => Step::Nothing,
            };
            self.due(place, last, now);
        }
        self.cards.clear();
        let ended = timeout(LAST_WRITE, async {
            if let Some(writing) = self.writing.take() {
                let _written = writing.await;
            }
            self.write();
            if let Some(writing) = self.writing.take() {
                let _written = writing.await;
            }
        });
        if ended.await.is_err() {
            tracing::error!("what the cards went through last is not kept: the disk does not answer");
        }
    }
}

fn is_processor(card: &Card) -> bool {
    card.seen.identity.as_ref().is_some_and(|identity| identity.maker == Maker::Processor)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ghostllm_core::heat::{Bounds, Judge, Prediction, flight::Trigger};

    use super::{super::cards::tests::seen, *};
    use crate::store::{
        StateDir,
        flight::{Found, glance},
    };

    /// Recorders in a state of their own.
    fn recorders(at: &Path) -> Recorders {
        Recorders::new(Room::new(&StateDir::open(&at.join("state")).unwrap()))
    }

    /// A card that is so far from where it gets slower.
    fn card(index: u32, uuid: &str, second: u64, margin: f32) -> Card {
        let seen = seen(index, uuid, second, margin);
        let verdict = Judge::new(Bounds::default()).look(Duration::from_secs(second), Some(&seen.sample));
        Card { seen, verdict, prediction: Prediction::UNKNOWN }
    }

    async fn looks(recorders: &mut Recorders, second: u64, cards: &[Card]) {
        recorders.look(Duration::from_secs(second), cards, Requests::default());
        if let Some(writing) = recorders.writing.take() {
            writing.await.unwrap();
        }
    }

    fn kept(at: &Path) -> Vec<(bool, Option<Trigger>, u32)> {
        let told = |found: Found| {
            let flight = found.flight.unwrap();
            (found.running, flight.gravest(), flight.card.index)
        };
        glance(&at.join("state")).unwrap().into_iter().map(told).collect()
    }

    #[tokio::test]
    async fn each_card_has_its_record_and_an_end_in_order_leaves_none_running() {
        let at = tempfile::tempdir().unwrap();
        let mut recorders = recorders(at.path());
        for second in 1..4 {
            let cards = [card(0, "a", second, 40.0), card(1, "b", second, 4.0), card(2, "c", second, -1.0)];
            looks(&mut recorders, second, &cards).await;
        }
        assert_eq!(kept(at.path()), [(true, Some(Trigger::Shutdown), 2), (true, None, 1)]);
        recorders.end(Duration::from_secs(4)).await;
        assert_eq!(kept(at.path()), [(false, Some(Trigger::Shutdown), 2)]);
        // The next start finds nothing that nobody has ended.
        let mut next = self::recorders(at.path());
        next.end(Duration::from_secs(5)).await;
        assert_eq!(kept(at.path()).len(), 1);
    }

    #[tokio::test]
    async fn a_card_that_is_gone_has_its_record_ended_and_one_of_another_number_is_the_same() {
        let at = tempfile::tempdir().unwrap();
        let mut recorders = recorders(at.path());
        looks(&mut recorders, 1, &[card(0, "x", 1, 40.0), card(1, "a", 1, 4.0)]).await;
        looks(&mut recorders, 2, &[card(0, "a", 2, 4.0)]).await;
        assert_eq!(recorders.cards.len(), 1, "a cool one that is gone is forgotten");
        looks(&mut recorders, 3, &[]).await;
        assert_eq!(kept(at.path()), [(true, Some(Trigger::Lost), 0)]);
        looks(&mut recorders, 63, &[]).await;
        assert_eq!(kept(at.path()), [(false, Some(Trigger::Lost), 0)]);
        assert!(recorders.cards.is_empty());
    }

    #[tokio::test]
    async fn a_processor_has_no_recorder() {
        let at = tempfile::tempdir().unwrap();
        let mut recorders = recorders(at.path());
        let mut hot = card(0, "a", 1, -1.0);
        let identity = hot.seen.identity.take().unwrap();
        hot.seen.identity = Some(Arc::new(Identity { maker: Maker::Processor, ..(*identity).clone() }));
        looks(&mut recorders, 1, &[hot]).await;
        assert!(recorders.cards.is_empty() && kept(at.path()).is_empty());
    }

    #[tokio::test]
    async fn what_waits_for_a_disk_that_hangs_is_bounded() {
        let at = tempfile::tempdir().unwrap();
        let mut recorders = recorders(at.path());
        let (go, gone) = std::sync::mpsc::channel::<()>();
        recorders.writing = Some(spawn_blocking(move || gone.recv().unwrap_or_default()));
        for second in 1..4000 {
            // A loss, each time that it is quiet for long enough.
            let cards = [card(0, "a", second, if second % 400 < 20 { -1.0 } else { 40.0 })];
            recorders.look(Duration::from_secs(second), &cards, Requests::default());
        }
        assert_eq!((recorders.work.whole.len(), recorders.work.running.len()), (WAITING, 1));
        go.send(()).unwrap();
        recorders.end(Duration::from_secs(4000)).await;
        assert_eq!(kept(at.path()).len(), WAITING);
    }
}
