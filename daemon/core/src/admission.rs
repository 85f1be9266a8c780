//! Who may begin, and who waits: one gate for all requests whose answers this machine's cards compute.
//!
//! Knows how many run and wait of each class and of each caller, and what is to be obeyed. Refuses to know what a request asks for, who a
//! caller is (it goes by numbers, [`Whose`]) and why the limits are what they are. Refuses to know the clock: every moment is a
//! [`Duration`] since an instant that the caller has chosen once. Invariants: a request that runs is never ended, so that limits are kept
//! by those that begin; whoever comes waits behind all of its class; who has left is nowhere any more; no more wait than may, and of one
//! caller no more than half of these, so that none fills the queue for all others.
//!
//! The policy is in [`Admission::next`] alone: of one class the first comes first, and the background begins while nobody of the
//! interactive waits, or once it has waited for [`PATIENCE`]. Another policy puts other queues behind the same four verbs: who comes
//! ([`Admission::enter`]), who leaves ([`Admission::leave`]), what is obeyed ([`Admission::obey`]), who begins ([`Admission::begin`]).

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use crate::{
    ApiError,
    error::RETRY_AFTER_OVERLOAD,
    heat::{ByClass, Gate},
};

mod ease;
mod measure;
#[cfg(test)]
mod tests;

pub use ease::Ease;
pub use measure::{LEAST, Measure};

/// So long the first of the background gives way to interactive requests that wait: without an end, a box that is always busy would
/// never come to it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// `Retry-After` of those whom heat has kept from beginning in time, in seconds: what a card takes to cool, where nothing foretells it
/// ([`Policy::retry`](crate::heat::Policy)).
const RETRY_AFTER_HOT: u32 = 30;

/// The field of a request's head that names its class.
pub const PRIORITY: &str = "ghostllm-priority";

/// What a request is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Class {
    /// Somebody waits for it.
    #[default]
    Interactive,
    /// It has time.
    Background,
}

/// Whose a request is: what stands for a caller here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Whose(pub u64);

/// What is obeyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orders {
    /// How many of each class may run at once; none is without limit.
    pub limits: ByClass<Option<u32>>,
    /// What is done with those that come.
    pub gate: Gate,
    /// How many may wait, of both classes together.
    pub queue: u32,
    /// Whether it is heat, and no setting, that lets none of a class begin by its limit.
    pub hot: ByClass<bool>,
}

/// One request's place, be it that it runs or that it waits. To be given back by [`Admission::leave`], however it ends.
#[derive(Debug, PartialEq, Eq)]
pub struct Ticket {
    number: u64,
    class: Class,
}

/// What becomes of a request that is let in.
#[derive(Debug, PartialEq, Eq)]
pub enum Entered {
    /// It runs.
    Begins(Ticket),
    /// It waits until [`Admission::begin`] names its number.
    Waits(Ticket),
}

/// Why a request is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The cards are too hot, for so many seconds as it seems.
    Hot {
        /// `Retry-After`, in seconds.
        retry_after: u32,
    },
    /// As many wait as may.
    Full,
    /// As many of its caller's wait as may.
    Share,
    /// Its turn has not come in time.
    Late {
        /// For so long it has waited.
        waited: Duration,
    },
}

/// How many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Run.
    pub running: ByClass<u32>,
    /// Wait.
    pub waiting: ByClass<u32>,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    whose: Whose,
    since: Duration,
}

/// The gate.
#[derive(Debug)]
pub struct Admission {
    orders: Orders,
    running: ByClass<u32>,
    /// Most that ran at once since somebody asked.
    peak: ByClass<u32>,
    waiting: ByClass<VecDeque<Waiting>>,
    /// How many wait of each caller of whom any does.
    held: BTreeMap<Whose, u32>,
    last: u64,
}

impl Class {
    /// Both, those first that go first.
    pub const ALL: [Self; 2] = [Self::Interactive, Self::Background];

    /// The one of this name, be it in capitals or not.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name().eq_ignore_ascii_case(name))
    }

    /// As a client and a metric's label call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Background => "background",
        }
    }
}

impl Orders {
    /// How many may wait of one caller: half of all, and one where there are so few.
    #[must_use]
    pub fn share(&self) -> u32 {
        self.queue.div_ceil(2)
    }
}

impl<T> ByClass<T> {
    /// The one of this class.
    pub fn of(&self, class: Class) -> &T {
        match class {
            Class::Interactive => &self.interactive,
            Class::Background => &self.background,
        }
    }

    /// The same, to be changed.
    pub fn of_mut(&mut self, class: Class) -> &mut T {
        match class {
            Class::Interactive => &mut self.interactive,
            Class::Background => &mut self.background,
        }
    }

    /// One for each class, made of what both have for it.
    pub fn with<U, V>(self, other: ByClass<U>, both: impl Fn(T, U) -> V) -> ByClass<V> {
        ByClass {
            interactive: both(self.interactive, other.interactive),
            background: both(self.background, other.background),
        }
    }
}

impl ByClass<u32> {
    /// Of both classes together.
    #[must_use]
    pub fn sum(self) -> u32 {
        self.interactive.saturating_add(self.background)
    }
}

impl Ticket {
    /// Its number, which no other ticket of its gate has.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What its request is like.
    #[must_use]
    pub fn class(&self) -> Class {
        self.class
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Hot { retry_after } => Self::gpu_thermal(retry_after),
            Refusal::Full => Self::queue_full(RETRY_AFTER_OVERLOAD),
            Refusal::Share => Self::share_full(RETRY_AFTER_OVERLOAD),
            Refusal::Late { waited } => Self::waited_too_long(waited.as_secs(), RETRY_AFTER_OVERLOAD),
        }
    }
}

impl Admission {
    /// An empty one.
    #[must_use]
    pub fn new(orders: Orders) -> Self {
        let (running, waiting, held) = Default::default();
        Self { orders, running, peak: ByClass::default(), waiting, held, last: 0 }
    }

    /// Takes a request of this caller, which runs or waits.
    ///
    /// # Errors
    /// [`Refusal`], of which nothing is kept.
    pub fn enter(&mut self, whose: Whose, class: Class, now: Duration) -> Result<Entered, Refusal> {
        if let Gate::Refuse { retry_after } = self.orders.gate {
            return Err(Refusal::Hot { retry_after });
        }
        let number = self.last + 1;
        let ticket = Ticket { number, class };
        if self.waiting.of(class).is_empty() && self.has_place(class) && self.goes_before(class, now) {
            self.last = number;
            self.runs(class);
            return Ok(Entered::Begins(ticket));
        }
        if self.counts().waiting.sum() >= self.orders.queue {
            return Err(Refusal::Full);
        }
        let held = self.held.get(&whose).copied().unwrap_or(0);
        if held >= self.orders.share() {
            return Err(Refusal::Share);
        }
        self.held.insert(whose, held + 1);
        self.last = number;
        self.waiting.of_mut(class).push_back(Waiting { number, whose, since: now });
        Ok(Entered::Waits(ticket))
    }

    /// One ends, or waits no longer: its client has left.
    #[expect(clippy::needless_pass_by_value, reason = "whoever has given it back has it no more")]
    pub fn leave(&mut self, ticket: Ticket) {
        let Ticket { number, class } = ticket;
        let waiting = self.waiting.of_mut(class);
        // They stand in the order of their numbers.
        let place = waiting.binary_search_by_key(&number, |waiting| waiting.number);
        if let Some(left) = place.ok().and_then(|place| waiting.remove(place)) {
            self.waits_no_more(left.whose);
        } else {
            let running = self.running.of_mut(class);
            *running = running.saturating_sub(1);
        }
    }

    /// Why one of this class is to wait no longer that has waited for so long; it is still to leave. While a card lets none begin, be it by
    /// the gate or by its class's limit, it is that.
    #[must_use]
    pub fn late(&self, class: Class, waited: Duration) -> Refusal {
        match self.orders.gate {
            Gate::Open if !*self.orders.hot.of(class) => Refusal::Late { waited },
            Gate::Open | Gate::Hold => Refusal::Hot { retry_after: RETRY_AFTER_HOT },
            Gate::Refuse { retry_after } => Refusal::Hot { retry_after },
        }
    }

    /// From now on this is kept to, by those that begin.
    pub fn obey(&mut self, orders: Orders) {
        self.orders = orders;
    }

    /// The number of one that waited and runs from now on; to be asked until there is none, whenever anything has changed, and now and
    /// then.
    pub fn begin(&mut self, now: Duration) -> Option<u64> {
        let class = self.next(now)?;
        let first = self.waiting.of_mut(class).pop_front()?;
        self.waits_no_more(first.whose);
        self.runs(class);
        Some(first.number)
    }

    /// How many there are.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let count = |queue: &VecDeque<Waiting>| u32::try_from(queue.len()).unwrap_or(u32::MAX);
        let ByClass { interactive, background } = &self.waiting;
        let waiting = ByClass { interactive: count(interactive), background: count(background) };
        Counts { running: self.running, waiting }
    }

    /// What it keeps to.
    #[must_use]
    pub fn orders(&self) -> Orders {
        self.orders
    }

    /// The most of each class that ran at once since this was asked last.
    pub fn peak(&mut self) -> ByClass<u32> {
        std::mem::replace(&mut self.peak, self.running)
    }

    /// Of which class the next one is.
    fn next(&self, now: Duration) -> Option<Class> {
        let may = |class: Class| {
            !self.waiting.of(class).is_empty() && self.has_place(class) && self.goes_before(class, now)
        };
        Class::ALL.into_iter().find(|class| may(*class))
    }

    fn has_place(&self, class: Class) -> bool {
        let limit = *self.orders.limits.of(class);
        self.orders.gate == Gate::Open && limit.is_none_or(|limit| *self.running.of(class) < limit)
    }

    /// Whether this class gives way to no other.
    fn goes_before(&self, class: Class, now: Duration) -> bool {
        let first = self.waiting.background.front();
        class == Class::Interactive
            || self.waiting.interactive.is_empty()
            || first.is_some_and(|first| now.saturating_sub(first.since) >= PATIENCE)
    }

    fn waits_no_more(&mut self, whose: Whose) {
        if let Some(held) = self.held.get_mut(&whose) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                self.held.remove(&whose);
            }
        }
    }

    fn runs(&mut self, class: Class) {
        let running = self.running.of_mut(class);
        *running = running.saturating_add(1);
        let now = *running;
        let peak = self.peak.of_mut(class);
        *peak = now.max(*peak);
    }
}
