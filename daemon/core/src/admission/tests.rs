//! Who begins and who waits; and what holds whatever comes.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;

use super::{Admission, Class, Counts, Entered, LEAST, Measure, Orders, PATIENCE, Refusal, Ticket, Whose};
use crate::{
    ApiError,
    error::Code,
    heat::{ByClass, Gate},
};

const START: Duration = Duration::ZERO;

fn orders(interactive: Option<u32>, background: Option<u32>, queue: u32) -> Orders {
    Orders { limits: ByClass { interactive, background }, gate: Gate::Open, queue, hot: ByClass::default() }
}

fn both(interactive: u32, background: u32) -> ByClass<u32> {
    ByClass { interactive, background }
}

/// Of a caller of its own.
fn enter(gate: &mut Admission, class: Class) -> Result<Entered, Refusal> {
    let whose = Whose(gate.last);
    gate.enter(whose, class, START)
}

fn begins(gate: &mut Admission, class: Class) -> Ticket {
    match enter(gate, class) {
        Ok(Entered::Begins(ticket)) => ticket,
        other => panic!("it is to begin: {other:?}"),
    }
}

fn waits(gate: &mut Admission, class: Class) -> Ticket {
    match enter(gate, class) {
        Ok(Entered::Waits(ticket)) => ticket,
        other => panic!("it is to wait: {other:?}"),
    }
}

#[test]
fn without_a_limit_all_begin() {
    let mut gate = Admission::new(orders(None, None, 0));
    let all: Vec<_> = (0..1000).map(|_| begins(&mut gate, Class::Interactive)).collect();
    assert_eq!(gate.counts().running, both(1000, 0));
    all.into_iter().for_each(|ticket| gate.leave(ticket));
    assert_eq!(gate.counts(), Counts::default());
    assert_eq!((gate.peak(), gate.peak()), (both(1000, 0), both(0, 0)));
}

#[test]
fn the_first_comes_first_and_whoever_left_is_passed_over() {
    let mut gate = Admission::new(orders(Some(1), Some(0), 3));
    let running = begins(&mut gate, Class::Interactive);
    let [first, second, third] = [(); 3].map(|()| waits(&mut gate, Class::Interactive));
    assert_eq!(enter(&mut gate, Class::Interactive), Err(Refusal::Full), "three may wait");
    gate.leave(second);
    assert_eq!(gate.begin(START), None);
    gate.leave(running);
    assert_eq!(gate.begin(START), Some(first.number()));
    assert_eq!(gate.begin(START), None, "one at a time");
    let fourth = waits(&mut gate, Class::Interactive);
    gate.leave(first);
    assert_eq!(gate.begin(START), Some(third.number()));
    gate.leave(third);
    assert_eq!(gate.begin(START), Some(fourth.number()));
}

#[test]
fn the_background_gives_way_to_who_waits_but_not_for_ever() {
    let mut gate = Admission::new(orders(Some(1), Some(1), 9));
    let running = begins(&mut gate, Class::Interactive);
    let waiting = waits(&mut gate, Class::Interactive);
    let background = waits(&mut gate, Class::Background);
    assert_eq!(gate.begin(PATIENCE.saturating_sub(Duration::from_nanos(1))), None);
    assert_eq!(gate.begin(PATIENCE), Some(background.number()));
    gate.leave(background);
    gate.leave(running);
    assert_eq!(gate.begin(START), Some(waiting.number()));
    // Nobody of the interactive waits now.
    begins(&mut gate, Class::Background);
}

#[test]
fn a_gate_that_holds_lets_nobody_begin_and_one_that_refuses_takes_nobody() {
    let mut gate = Admission::new(orders(None, None, 2));
    let running = begins(&mut gate, Class::Interactive);
    let held = Orders { gate: Gate::Hold, ..gate.orders() };
    gate.obey(held);
    let waiting = waits(&mut gate, Class::Interactive);
    gate.obey(Orders { gate: Gate::Refuse { retry_after: 17 }, ..held });
    assert_eq!(enter(&mut gate, Class::Background), Err(Refusal::Hot { retry_after: 17 }));
    gate.leave(running);
    assert_eq!(gate.begin(START), None, "those that wait go on waiting");
    gate.obey(orders(None, None, 2));
    assert_eq!(gate.begin(START), Some(waiting.number()));
}

#[test]
fn fewer_than_run_ends_none() {
    let mut gate = Admission::new(orders(None, None, 1));
    let mut running: Vec<_> = (0..4).map(|_| begins(&mut gate, Class::Interactive)).collect();
    gate.obey(orders(Some(2), Some(0), 1));
    assert_eq!(gate.counts().running, both(4, 0));
    let waiting = waits(&mut gate, Class::Interactive);
    running.drain(..2).for_each(|ticket| gate.leave(ticket));
    assert_eq!(gate.begin(START), None);
    running.drain(..1).for_each(|ticket| gate.leave(ticket));
    assert_eq!(gate.begin(START), Some(waiting.number()));
}

#[test]
fn whoever_has_waited_too_long_hears_of_heat_where_it_is_heat_that_lets_none_begin() {
    let waited = Duration::from_secs(60);
    let late = |orders: Orders| Class::ALL.map(|class| Admission::new(orders).late(class, waited));
    let (full, hot) = (Refusal::Late { waited }, Refusal::Hot { retry_after: 30 });
    let set = orders(Some(2), Some(0), 9);
    assert_eq!(late(set), [full, full], "a limit that somebody has set");
    assert_eq!(late(Orders { hot: ByClass { interactive: false, background: true }, ..set }), [full, hot]);
    assert_eq!(late(Orders { gate: Gate::Hold, ..set }), [hot, hot]);
    let soon = Refusal::Hot { retry_after: 7 };
    assert_eq!(late(Orders { gate: Gate::Refuse { retry_after: 7 }, ..set }), [soon, soon]);
}

#[test]
fn a_refusal_tells_its_client_when_to_come_again() {
    let hot = ApiError::from(Refusal::Hot { retry_after: 30 });
    assert_eq!((hot.code(), hot.retry_after()), (Code::GpuThermal, Some(30)));
    for refusal in [Refusal::Full, Refusal::Share] {
        let full = ApiError::from(refusal);
        assert_eq!((full.code(), full.retry_after()), (Code::QueueFull, Some(5)));
    }
}

#[test]
fn one_caller_does_not_fill_the_queue_for_the_others() {
    let mut gate = Admission::new(orders(Some(1), Some(0), 5));
    let running = begins(&mut gate, Class::Interactive);
    let greedy = Whose(u64::MAX);
    let mut all = Vec::new();
    // Of both classes together.
    for class in [Class::Interactive, Class::Background, Class::Interactive] {
        match gate.enter(greedy, class, START) {
            Ok(Entered::Waits(ticket)) => all.push(ticket),
            other => panic!("three of five are half: {other:?}"),
        }
    }
    assert_eq!(gate.enter(greedy, Class::Interactive, START), Err(Refusal::Share));
    let other = waits(&mut gate, Class::Interactive);
    // One that begins, and one that leaves, hold no place any more.
    gate.leave(running);
    assert_eq!(gate.begin(START), Some(all[0].number()));
    assert!(matches!(gate.enter(greedy, Class::Interactive, START), Ok(Entered::Waits(_))));
    assert_eq!(gate.enter(greedy, Class::Interactive, START), Err(Refusal::Share));
    gate.leave(all.remove(1));
    assert!(matches!(gate.enter(greedy, Class::Interactive, START), Ok(Entered::Waits(_))));
    waits(&mut gate, Class::Interactive);
    assert_eq!(enter(&mut gate, Class::Interactive), Err(Refusal::Full), "five wait");
    gate.leave(other);
    // A queue of one has a place for whoever comes first.
    let mut least = Admission::new(orders(Some(0), Some(0), 1));
    waits(&mut least, Class::Interactive);
    assert_eq!(Orders { queue: 0, ..least.orders() }.share(), 0);
}

#[test]
fn a_class_is_called_by_its_name() {
    for class in Class::ALL {
        assert_eq!(Class::named(class.name()), Some(class));
    }
    assert_eq!((Class::named("Background"), Class::named("")), (Some(Class::Background), None));
}

#[test]
fn what_ran_of_late_is_counted_down_from_unless_a_limit_is_set() {
    let none = ByClass::default();
    let at = |minutes: u64| Duration::from_secs(minutes * 60);
    let mut measure = Measure::default();
    assert_eq!(measure.most(none), LEAST);
    measure.push(at(0), both(7, 1));
    measure.push(at(3), both(5, 9));
    measure.push(at(3), both(1, 0));
    assert_eq!(measure.most(none), both(7, 9));
    assert_eq!(measure.most(ByClass { interactive: Some(2), background: None }), both(2, 9));
    measure.push(at(9), both(0, 0));
    assert_eq!(measure.most(none), both(7, 9), "within ten minutes");
    measure.push(at(10), both(0, 0));
    assert_eq!(measure.most(none), both(5, 9));
    measure.push(at(1000), both(6, 0));
    assert_eq!(measure.most(none), both(6, 2));
}

/// What may come.
#[derive(Debug, Clone, Copy)]
enum Step {
    Enter(Whose, Class),
    /// The one at this place of those that there are ends, or leaves the queue.
    Leave(usize),
    Obey(Orders),
    Wait(u8),
}

fn class() -> impl Strategy<Value = Class> {
    prop::sample::select(Class::ALL.to_vec())
}

fn enters() -> impl Strategy<Value = Step> {
    (0..3_u64, class()).prop_map(|(whose, class)| Step::Enter(Whose(whose), class))
}

fn step() -> impl Strategy<Value = Step> {
    let limit = || prop::option::of(0..6_u32);
    let gate = prop::sample::select(vec![
        Gate::Open,
        Gate::Open,
        Gate::Open,
        Gate::Hold,
        Gate::Refuse { retry_after: 9 },
    ]);
    let obeyed = (limit(), limit(), gate, 0..8_u32).prop_map(|(interactive, background, gate, queue)| {
        Step::Obey(Orders { gate, ..orders(interactive, background, queue) })
    });
    prop_oneof![
        6 => enters(),
        4 => any::<usize>().prop_map(Step::Leave),
        1 => obeyed,
        2 => any::<u8>().prop_map(Step::Wait),
    ]
}

/// The gate, and what must be true of it by what was seen from outside.
struct Outside {
    gate: Admission,
    now: Duration,
    /// Those that are there, and whether each runs.
    there: Vec<(Ticket, bool)>,
    /// Whose each was, by its number.
    whose: BTreeMap<u64, Whose>,
}

impl Outside {
    fn new() -> Self {
        let gate = Admission::new(orders(None, None, 4));
        Self { gate, now: START, there: Vec::new(), whose: BTreeMap::new() }
    }

    fn running(&self, class: Class) -> u32 {
        let runs = |(ticket, runs): &&(Ticket, bool)| *runs && ticket.class() == class;
        u32::try_from(self.there.iter().filter(runs).count()).unwrap()
    }

    fn waiting(&self) -> u32 {
        u32::try_from(self.there.iter().filter(|(_, runs)| !runs).count()).unwrap()
    }

    /// How many wait of this caller.
    fn held(&self, whose: Whose) -> u32 {
        let held = |(ticket, runs): &&(Ticket, bool)| !runs && self.whose[&ticket.number()] == whose;
        u32::try_from(self.there.iter().filter(held).count()).unwrap()
    }

    fn comes(&mut self, ticket: Ticket, runs: bool, whose: Whose) {
        self.whose.insert(ticket.number(), whose);
        self.there.push((ticket, runs));
    }

    /// One begins: there was a place for it, and none of its class that came before it waits.
    fn begins(&mut self, number: u64, class: Class) {
        let orders = self.gate.orders();
        assert_eq!(orders.gate, Gate::Open);
        assert!(orders.limits.of(class).is_none_or(|limit| self.running(class) < limit), "{orders:?}");
        let before =
            |(ticket, runs): &(Ticket, bool)| !runs && ticket.class() == class && ticket.number() < number;
        assert!(!self.there.iter().any(before), "{number} overtakes");
    }

    fn enter(&mut self, whose: Whose, class: Class) {
        let (orders, waiting, held) = (self.gate.orders(), self.waiting(), self.held(whose));
        match self.gate.enter(whose, class, self.now) {
            Ok(Entered::Begins(ticket)) => {
                self.begins(ticket.number(), class);
                self.comes(ticket, true, whose);
            }
            Ok(Entered::Waits(ticket)) => {
                assert!(waiting < orders.queue && held < orders.share());
                self.comes(ticket, false, whose);
            }
            Err(Refusal::Full) => assert!(waiting >= orders.queue),
            // So that whoever has none waiting is refused for want of any place alone.
            Err(Refusal::Share) => assert!(waiting < orders.queue && held >= orders.share() && held > 0),
            Err(Refusal::Hot { .. }) => assert!(matches!(orders.gate, Gate::Refuse { .. })),
            Err(Refusal::Late { waited }) => panic!("it has not waited, and not for {waited:?}"),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Enter(whose, class) => self.enter(whose, class),
            Step::Leave(_) if self.there.is_empty() => {}
            Step::Leave(place) => {
                let place = place % self.there.len();
                let (ticket, _) = self.there.remove(place);
                self.gate.leave(ticket);
            }
            Step::Obey(orders) => self.gate.obey(orders),
            Step::Wait(seconds) => self.now += Duration::from_secs(seconds.into()),
        }
        while let Some(number) = self.gate.begin(self.now) {
            let place = self.there.iter().position(|(ticket, _)| ticket.number() == number).unwrap();
            assert!(!self.there[place].1, "it runs already");
            self.begins(number, self.there[place].0.class());
            self.there[place].1 = true;
        }
        let Counts { running, waiting } = self.gate.counts();
        assert_eq!(running, both(self.running(Class::Interactive), self.running(Class::Background)));
        assert_eq!(waiting.sum(), self.waiting(), "who left leaves no trace");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn limits_are_kept_by_those_that_begin_and_no_more_wait_than_may(
        steps in prop::collection::vec(step(), 0..200)
    ) {
        let mut outside = Outside::new();
        for step in steps {
            outside.step(step);
        }
        // Once all have left, nothing is left of them.
        for (ticket, _) in std::mem::take(&mut outside.there) {
            outside.gate.leave(ticket);
        }
        prop_assert_eq!(outside.gate.counts(), Counts::default());
        prop_assert!(outside.gate.held.is_empty(), "{:?}", outside.gate.held);
    }

    #[test]
    fn nobody_waits_for_ever_once_the_gate_is_open(
        steps in prop::collection::vec(step(), 0..100),
        interactive in 1..4_u32,
        background in 1..4_u32,
        more in prop::collection::vec(enters(), 0..8),
    ) {
        let mut outside = Outside::new();
        for step in steps {
            outside.step(step);
        }
        let waiting: Vec<u64> =
            outside.there.iter().filter(|(_, runs)| !runs).map(|(ticket, _)| ticket.number()).collect();
        outside.step(Step::Obey(orders(Some(interactive), Some(background), 64)));
        // Each turn one that runs ends, others come, and time goes by.
        let mut turns = 0;
        while outside.there.iter().any(|(ticket, runs)| !runs && waiting.contains(&ticket.number())) {
            for enters in more.iter().take(1 + turns % 8) {
                outside.step(*enters);
            }
            for class in Class::ALL {
                let runs = |(ticket, runs): &(Ticket, bool)| *runs && ticket.class() == class;
                if let Some(place) = outside.there.iter().position(runs) {
                    outside.step(Step::Leave(place));
                }
            }
            outside.step(Step::Wait(7));
            turns += 1;
            prop_assert!(turns < 512, "{waiting:?} wait for ever");
        }
    }
}
