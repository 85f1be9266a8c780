//! Each card with its own judge, its own prediction and its own governor.
//!
//! Knows that a card is the same one by its name, and by its number before that is known. Refuses to know the gate. Invariants: a reading
//! is judged once; a card that another has taken the place of is begun anew; one that is seen no more while it holds the box low, as all are
//! when their library fails, goes on as one that does not answer, until it holds nothing low any more.

use std::time::Duration;

use ghostllm_core::{
    admission::Counts,
    config::CardChoice,
    heat::{
        Bounds, ByClass, Cause, Decision, Governor, Judge, Moment, Point, Policy, Prediction, Predictor,
        Verdict,
    },
};
use ghostllm_gpu::{Maker, Seen};

use super::{Card, history::Kept};

/// All cards.
#[derive(Default)]
pub(super) struct Cards(Vec<Known>);

struct Known {
    /// As it was seen last.
    seen: Seen,
    /// How many of its answers were judged, since it was first asked or asked anew.
    number: u64,
    /// Whether requests are kept waiting for its sake.
    holds: bool,
    judge: Judge,
    predictor: Predictor,
    governor: Governor,
    verdict: Verdict,
    prediction: Prediction,
}

impl Known {
    fn new(seen: &Seen) -> Self {
        let mut judge = Judge::new(Bounds::default());
        let verdict = judge.look(Duration::ZERO, None);
        // What may run at most is told before it is asked for the first time.
        let governor = Governor::new(Policy::new(ByClass { interactive: 1, background: 0 }));
        Self {
            seen: seen.clone(),
            number: 0,
            holds: false,
            judge,
            predictor: Predictor::new(),
            governor,
            verdict,
            prediction: Prediction::UNKNOWN,
        }
    }

    fn is_processor(&self) -> bool {
        self.seen.identity.as_ref().is_some_and(|identity| identity.maker == Maker::Processor)
    }

    fn is_heeded(&self, heeded: &[CardChoice]) -> bool {
        let number = usize::try_from(self.seen.index).unwrap_or(usize::MAX);
        let uuid = self.seen.identity.as_ref().map_or("", |identity| identity.uuid.as_str());
        heeded.iter().any(|choice| choice.means(number, uuid))
    }

    /// Whether both tell one name.
    fn is_named(&self, seen: &Seen) -> bool {
        let names = self.seen.identity.as_ref().zip(seen.identity.as_ref());
        names.is_some_and(|(own, other)| own.uuid == other.uuid)
    }

    /// Whether it may be that card: one that has not told its name since it is asked anew is taken for the one of its number.
    fn may_be(&self, seen: &Seen) -> bool {
        let unnamed = self.seen.identity.is_none() || seen.identity.is_none();
        unnamed && self.seen.index == seen.index
    }

    fn look(&mut self, now: Duration, seen: &Seen, kept: Option<&mut Kept>) -> Card {
        // A library that was opened anew counts anew.
        self.number = self.number.min(seen.number);
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
        let identity = seen.identity.clone().or_else(|| self.seen.identity.take());
        self.seen.clone_from(seen);
        self.seen.identity = identity;
        self.card()
    }

    /// It is asked no more.
    fn miss(&mut self, now: Duration) -> Card {
        self.verdict = self.judge.look(now, None);
        self.prediction = self.predictor.look(now);
        self.seen.late = self.verdict.age;
        self.card()
    }

    fn card(&self) -> Card {
        Card { seen: self.seen.clone(), verdict: self.verdict, prediction: self.prediction }
    }

    fn decide(&mut self, now: Duration, counts: Counts, most: ByClass<u32>) -> Decision {
        self.governor.allow(most);
        let Counts { running, waiting: queued } = counts;
        let (verdict, prediction) = (&self.verdict, self.prediction);
        let decision = self.governor.decide(&Moment { now, verdict, prediction, running, queued });
        self.holds = decision.cause != Cause::Free;
        decision
    }
}

impl Cards {
    /// Takes what was seen, and says what it means, by the cards' numbers; what is new is kept as well.
    pub(super) fn look(&mut self, now: Duration, seen: &[Seen], kept: &mut Vec<Kept>) -> Vec<Card> {
        let mut before = std::mem::take(&mut self.0);
        // Those first that tell their names: what is left of the others can only be told by its number.
        let (named, unnamed): (Vec<&Seen>, Vec<&Seen>) =
            seen.iter().partition(|seen| seen.identity.is_some());
        let mut looked: Vec<(Known, Card)> = Vec::with_capacity(seen.len() + before.len());
        for seen in named.into_iter().chain(unnamed) {
            let place = before.iter().position(|known| known.is_named(seen));
            let place = place.or_else(|| before.iter().position(|known| known.may_be(seen)));
            let mut known = place.map_or_else(|| Known::new(seen), |place| before.swap_remove(place));
            let card = known.look(now, seen, Kept::of(kept, seen));
            looked.push((known, card));
        }
        let is_free = |index: u32| !seen.iter().any(|seen| seen.index == index);
        for mut known in before.into_iter().filter(|known| known.holds && is_free(known.seen.index)) {
            let card = known.miss(now);
            looked.push((known, card));
        }
        looked.sort_by_key(|(_, card)| card.seen.index);
        let (known, cards) = looked.into_iter().unzip();
        self.0 = known;
        cards
    }

    /// Whether interactive requests wait for one another when nothing is in the way.
    pub(super) fn waits(&mut self, waits: bool) {
        self.0.iter_mut().for_each(|known| known.governor.waits(waits));
    }

    /// Nothing is decided: no card holds anything low any more.
    pub(super) fn release(&mut self) {
        self.0.iter_mut().for_each(|known| known.holds = false);
    }

    /// Whether one of these is there, and would be heeded.
    pub(super) fn heeds_any(&self, heeded: &[CardChoice]) -> bool {
        self.0.iter().any(|known| !known.is_processor() && known.is_heeded(heeded))
    }

    /// What is decided, where `most` may run if nothing is in the way, and because of which card; none where there is no card, or
    /// none of these.
    pub(super) fn decide(
        &mut self,
        now: Duration,
        counts: Counts,
        most: ByClass<u32>,
        heeded: &[CardChoice],
    ) -> Option<(usize, Decision)> {
        // A processor that computes is at its limit, which says nothing of what else would cool it: its heat is told, and nothing more.
        let governed = self
            .0
            .iter_mut()
            .enumerate()
            .filter(|(_, known)| !known.is_processor() && known.is_heeded(heeded));
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
    use std::sync::Arc;

    use ghostllm_core::heat::{Gate, State};
    use ghostllm_gpu::{Absent, Identity, Sample, Who};

    use super::*;

    const ALL: [CardChoice; 1] = [CardChoice::All];
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

    /// So many wait that the background gives way to them.
    fn decided(cards: &mut Cards, now: u64, seen: &[Seen], kept: &mut Vec<Kept>) -> (usize, Decision) {
        let now = Duration::from_secs(now);
        cards.look(now, seen, kept);
        let counts = Counts { waiting: MOST, ..Counts::default() };
        cards.decide(now, counts, MOST, &ALL).unwrap()
    }

    #[test]
    fn the_card_that_allows_the_least_decides_and_is_named() {
        let (mut cards, mut kept) = (Cards::default(), Vec::new());
        assert_eq!(cards.decide(Duration::ZERO, Counts::default(), MOST, &ALL), None);
        let (place, free) =
            decided(&mut cards, 1, &[seen(0, "a", 1, 40.0), seen(1, "b", 1, 40.0)], &mut kept);
        assert_eq!((place, free.cause, free.limits), (0, Cause::Free, MOST));
        let (place, warm) = decided(&mut cards, 2, &[seen(0, "a", 2, 40.0), seen(1, "b", 2, 3.0)], &mut kept);
        assert_eq!((place, warm.cause, warm.limits.background), (1, Cause::Margin, 14));
        let (place, both) = decided(&mut cards, 3, &[seen(0, "a", 3, -4.0), seen(1, "b", 3, 3.0)], &mut kept);
        assert!(place == 0 && both.gate > Gate::Open, "{both:?}");
        let only = |cards: &mut Cards, choice| {
            cards.decide(Duration::from_secs(3), Counts::default(), MOST, &[choice])
        };
        let (place, second) = only(&mut cards, CardChoice::Uuid("b".to_owned())).unwrap();
        assert!(place == 1 && second.gate == Gate::Open, "{second:?}");
        assert!(only(&mut cards, CardChoice::Number(0)).is_some_and(|(_, first)| first.gate > Gate::Open));
        assert_eq!(only(&mut cards, CardChoice::Number(2)), None);
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
        assert_eq!(cards.decide(Duration::from_secs(1), Counts::default(), MOST, &ALL), None);
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
        assert!(
            cards.decide(Duration::from_secs(3), Counts::default(), MOST, &ALL).is_none(),
            "there is none"
        );
        cards.look(Duration::from_secs(4), &[seen(1, "a", 4, 40.0)], &mut kept);
        let known: Vec<_> = kept.iter().map(|kept| (kept.index(), kept.fine().count())).collect();
        assert_eq!(known, [(1, 2), (0, 1)]);
    }

    #[test]
    fn a_hot_card_whose_library_fails_holds_the_box_low_for_a_minute_and_goes_on_where_it_was() {
        let (mut cards, mut kept) = (Cards::default(), Vec::new());
        // Its fortieth answer.
        let (_, hot) = decided(&mut cards, 1, &[Seen { number: 40, ..seen(0, "a", 1, 0.0) }], &mut kept);
        assert!(hot.limits.background < MOST.background, "{hot:?}");
        for now in 2..30 {
            let looked = cards.look(Duration::from_secs(now), &[], &mut kept);
            assert_eq!((looked.len(), looked[0].seen.late.is_some()), (1, true), "{now}");
            let (place, decision) =
                cards.decide(Duration::from_secs(now), Counts::default(), MOST, &ALL).unwrap();
            assert!(place == 0 && decision.limits.background <= hot.limits.background, "{now}: {decision:?}");
        }
        // Asked anew, and not yet answered: its name is not told either.
        let unnamed = Seen { identity: None, ..seen(0, "a", 0, 0.0) };
        let (_, asked) = decided(&mut cards, 30, &[unnamed], &mut kept);
        assert_eq!((asked.cause, asked.limits), (Cause::Blind, hot.limits));
        let (_, again) = decided(&mut cards, 31, &[Seen { number: 1, ..seen(0, "a", 31, 0.0) }], &mut kept);
        assert!(again.limits.background <= hot.limits.background, "{again:?}");
        // Seen no more, it is forgotten once it holds nothing low.
        let gone = (32..1000).find(|now| {
            cards.look(Duration::from_secs(*now), &[], &mut kept);
            cards.decide(Duration::from_secs(*now), Counts::default(), MOST, &ALL).is_none()
        });
        assert!(gone.is_some_and(|gone| gone > 32 + 60), "{gone:?}");
    }
}
