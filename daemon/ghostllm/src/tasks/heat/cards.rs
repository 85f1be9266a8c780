//! Each card with its own judge, its own prediction and its own governor.
//!
//! Knows that a card is the same one by its number and its name on the bus. Refuses to know the gate. Invariants: a reading is judged once;
//! a card that another has taken the place of is begun anew.

use std::{sync::Arc, time::Duration};

use ghostllm_core::{
    admission::Counts,
    heat::{
        Bounds, ByClass, Decision, Governor, Judge, Moment, Point, Policy, Prediction, Predictor, Verdict,
    },
};
use ghostllm_gpu::{Identity, Maker, Seen};

use super::{Card, history::Kept};

/// All cards.
#[derive(Default)]
pub(super) struct Cards(Vec<Known>);

struct Known {
    index: u32,
    identity: Option<Arc<Identity>>,
    /// How many times it has answered.
    number: u64,
    judge: Judge,
    predictor: Predictor,
    governor: Governor,
    verdict: Verdict,
    prediction: Prediction,
}

impl Known {
    fn new(index: u32) -> Self {
        let mut judge = Judge::new(Bounds::default());
        let verdict = judge.look(Duration::ZERO, None);
        // What may run at most is told before it is asked for the first time.
        let governor = Governor::new(Policy::new(ByClass { interactive: 1, background: 0 }));
        Self {
            index,
            identity: None,
            number: 0,
            judge,
            predictor: Predictor::new(),
            governor,
            verdict,
            prediction: Prediction::UNKNOWN,
        }
    }

    fn is_processor(&self) -> bool {
        self.identity.as_ref().is_some_and(|identity| identity.maker == Maker::Processor)
    }

    /// Whether this is another card than the one that had its number.
    fn is_other(&self, seen: &Seen) -> bool {
        let uuids = self.identity.as_ref().zip(seen.identity.as_ref());
        uuids.is_some_and(|(before, now)| before.uuid != now.uuid) || seen.number < self.number
    }

    fn look(&mut self, now: Duration, seen: &Seen, kept: Option<&mut Kept>) {
        self.identity.clone_from(&seen.identity);
        let new = (seen.number > self.number).then_some(&seen.sample);
        self.number = seen.number;
        self.verdict = self.judge.look(now, new);
        if let Some(sample) = new {
            if let Some(margin) = sample.margins().slower {
                self.predictor.push(sample.at, margin);
            }
            if let Some(kept) = kept {
                kept.push(Point::of(sample, &self.verdict));
            }
        }
        self.prediction = self.predictor.look(now);
    }

    fn decide(&mut self, now: Duration, counts: Counts, most: ByClass<u32>) -> Decision {
        self.governor.allow(most);
        let Counts { running, waiting: queued } = counts;
        self.governor.decide(&Moment {
            now,
            verdict: &self.verdict,
            prediction: self.prediction,
            running,
            queued,
        })
    }
}

impl Cards {
    /// Takes what was seen, and says what it means; what is new is kept as well.
    pub(super) fn look(&mut self, now: Duration, seen: &[Seen], kept: &mut Vec<Kept>) -> Vec<Card> {
        self.0.retain(|known| seen.iter().any(|seen| seen.index == known.index && !known.is_other(seen)));
        let look = |seen: &Seen| {
            let place = self.0.iter().position(|known| known.index == seen.index).unwrap_or(self.0.len());
            if place == self.0.len() {
                self.0.push(Known::new(seen.index));
            }
            let known = self.0.get_mut(place)?;
            known.look(now, seen, Kept::of(kept, seen));
            Some(Card { seen: seen.clone(), verdict: known.verdict, prediction: known.prediction })
        };
        let mut looked: Vec<Card> = seen.iter().filter_map(look).collect();
        self.0.sort_by_key(|known| known.index);
        looked.sort_by_key(|card| card.seen.index);
        looked
    }

    /// What is decided, where `most` may run if nothing is in the way, and because of which card; none where there is no card.
    pub(super) fn decide(
        &mut self,
        now: Duration,
        counts: Counts,
        most: ByClass<u32>,
    ) -> Option<(usize, Decision)> {
        // A processor that computes is at its limit, which says nothing of what else would cool it: its heat is told, and nothing more.
        let governed = self.0.iter_mut().enumerate().filter(|(_, known)| !known.is_processor());
        let each = governed.map(|(place, known)| (place, known.decide(now, counts, most)));
        each.reduce(|(place, all), (other, one)| {
            let both = all.and(one);
            // Whose words they are, is whose sake it is for; where both are as strict, the first one's.
            let by_first = Decision { limits: both.limits, ..all } == both;
            (if by_first { place } else { other }, both)
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use ghostllm_core::heat::{Cause, Gate, State};
    use ghostllm_gpu::{Absent, Sample, Who};

    use super::*;

    const MOST: ByClass<u32> = ByClass { interactive: 8, background: 16 };

    /// A card by its number and its name, that has answered so many times and is so far from where it gets slower.
    pub(in crate::tasks::heat) fn seen(index: u32, uuid: &str, number: u64, margin: f32) -> Seen {
        let mut sample = Sample::missing(Duration::from_secs(number), Absent::Unsupported);
        sample.gpu.celsius = Ok(90.0 - margin);
        sample.gpu.to_slowdown = Ok(margin);
        sample.gpu.to_shutdown = Ok(margin + 5.0);
        let identity = Identity {
            maker: Maker::Nvidia,
            name: "Card".to_owned(),
            uuid: uuid.to_owned(),
            bus: String::new(),
            driver: String::new(),
        };
        Seen { index, identity: Some(Arc::new(identity)), sample, who: Who::default(), number, late: None }
    }

    fn decided(cards: &mut Cards, now: u64, seen: &[Seen], kept: &mut Vec<Kept>) -> (usize, Decision) {
        let now = Duration::from_secs(now);
        cards.look(now, seen, kept);
        cards.decide(now, Counts::default(), MOST).unwrap()
    }

    #[test]
    fn the_card_that_allows_the_least_decides_and_is_named() {
        let (mut cards, mut kept) = (Cards::default(), Vec::new());
        assert_eq!(cards.decide(Duration::ZERO, Counts::default(), MOST), None);
        let (place, free) =
            decided(&mut cards, 1, &[seen(0, "a", 1, 40.0), seen(1, "b", 1, 40.0)], &mut kept);
        assert_eq!((place, free.cause, free.limits), (0, Cause::Free, MOST));
        let (place, warm) = decided(&mut cards, 2, &[seen(0, "a", 2, 40.0), seen(1, "b", 2, 3.0)], &mut kept);
        assert_eq!((place, warm.cause, warm.limits.background), (1, Cause::Margin, 14));
        let (place, both) = decided(&mut cards, 3, &[seen(0, "a", 3, -4.0), seen(1, "b", 3, 3.0)], &mut kept);
        assert!(place == 0 && both.gate > Gate::Open, "{both:?}");
        assert_eq!(kept.iter().map(|kept| kept.fine().count()).collect::<Vec<_>>(), [3, 3]);
    }

    #[test]
    fn a_processor_s_heat_is_judged_and_nothing_comes_of_it() {
        let (mut cards, mut kept) = (Cards::default(), Vec::new());
        let mut hot = seen(0, "a", 1, -4.0);
        let identity = hot.identity.take().unwrap();
        hot.identity = Some(Arc::new(Identity { maker: Maker::Processor, ..(*identity).clone() }));
        let looked = cards.look(Duration::from_secs(1), &[hot], &mut kept);
        assert!(looked[0].verdict.margins.slowdown.is_some_and(|margin| margin < 0.0));
        assert_eq!(cards.decide(Duration::from_secs(1), Counts::default(), MOST), None);
    }

    #[test]
    fn a_reading_is_judged_once_and_one_that_does_not_come_makes_it_stale() {
        let (mut cards, mut kept) = (Cards::default(), Vec::new());
        let last = [seen(0, "a", 1, 40.0)];
        for now in 1..10 {
            let looked = cards.look(Duration::from_secs(now), &last, &mut kept);
            let state = if now < 6 { State::Cool } else { State::Stale };
            assert_eq!(looked[0].verdict.now, state, "{now}");
        }
        assert_eq!(kept[0].fine().count(), 1);
    }

    #[test]
    fn another_card_of_the_same_number_begins_anew_and_one_that_comes_back_goes_on() {
        let (mut cards, mut kept) = (Cards::default(), Vec::new());
        let (_, hot) = decided(&mut cards, 1, &[seen(0, "a", 1, 0.0)], &mut kept);
        assert_ne!(hot.cause, Cause::Free);
        let (_, other) = decided(&mut cards, 2, &[seen(0, "b", 2, 40.0)], &mut kept);
        assert_eq!(other.cause, Cause::Free);
        cards.look(Duration::from_secs(3), &[], &mut kept);
        assert!(cards.decide(Duration::from_secs(3), Counts::default(), MOST).is_none(), "there is none");
        cards.look(Duration::from_secs(4), &[seen(1, "a", 4, 40.0)], &mut kept);
        let known: Vec<_> = kept.iter().map(|kept| (kept.index(), kept.fine().count())).collect();
        assert_eq!(known, [(1, 2), (0, 1)]);
    }
}
