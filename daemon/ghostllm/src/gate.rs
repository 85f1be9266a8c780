//! The gate in front of the backends on this machine: who begins at once, who waits, who is refused.
//!
//! Knows the clock and who is to be woken; the core decides ([`Admission`]). Refuses to know what is asked for and why limits are what they
//! are. Invariants: a request's turn is given back when it is dropped, be it that it ran or that it waited, and whoever may begin because of
//! that is woken then; the lock is held for that and no longer.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use ghostllm_core::{
    ApiError,
    admission::{Admission, Class, Counts, Entered, Orders, Refusal, Ticket, Whose},
    heat::ByClass,
};
use tokio::{sync::oneshot, time::timeout};

/// The gate. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    begun: Instant,
    /// Makes numbers of callers.
    numbers: RandomState,
    state: Mutex<State>,
    /// Requests that were refused because of heat, and because too many wait.
    hot: AtomicU64,
    full: AtomicU64,
}

#[derive(Debug)]
struct State {
    admission: Admission,
    /// Those that wait, by their numbers.
    calls: HashMap<u64, oneshot::Sender<()>>,
}

/// A request's turn, from when it was let in until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    gate: Gate,
    ticket: Option<Ticket>,
}

/// What a request waits for before it asks its engine; nothing, where it has begun.
#[derive(Debug)]
pub(crate) struct Wait(Option<Called>);

#[derive(Debug)]
struct Called {
    gate: Gate,
    class: Class,
    hear: oneshot::Receiver<()>,
}

/// Requests that were refused since the program began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Refused {
    /// The cards were too hot.
    pub(crate) hot: u64,
    /// As many waited as may, or their turn did not come in time.
    pub(crate) full: u64,
}

impl Gate {
    pub(crate) fn new(orders: Orders) -> Self {
        let state = State { admission: Admission::new(orders), calls: HashMap::new() };
        Self(Arc::new(Inner {
            begun: Instant::now(),
            numbers: RandomState::new(),
            state: Mutex::new(state),
            hot: AtomicU64::default(),
            full: AtomicU64::default(),
        }))
    }

    /// Lets a request in, which then runs or waits; `caller` is what tells its caller from others.
    ///
    /// # Errors
    /// 503 `gpu_thermal` or `queue_full`.
    pub(crate) fn enter(&self, caller: &str, class: Class) -> Result<(Turn, Wait), ApiError> {
        let whose = Whose(self.0.numbers.hash_one(caller));
        let (now, mut state) = (self.now(), self.state());
        let entered = state.admission.enter(whose, class, now).map_err(|refusal| self.refuse(refusal))?;
        let (ticket, wait) = match entered {
            Entered::Begins(ticket) => (ticket, Wait(None)),
            Entered::Waits(ticket) => {
                let (call, hear) = oneshot::channel();
                state.calls.insert(ticket.number(), call);
                (ticket, Wait(Some(Called { gate: self.clone(), class, hear })))
            }
        };
        drop(state);
        Ok((Turn { gate: self.clone(), ticket: Some(ticket) }, wait))
    }

    /// From now on this is kept to. To be said once a second, be it new or not: whoever has waited long enough goes before others then.
    pub(crate) fn obey(&self, orders: Orders) {
        let mut state = self.state();
        state.admission.obey(orders);
        state.call(self.now());
    }

    /// What it keeps to.
    pub(crate) fn orders(&self) -> Orders {
        self.state().admission.orders()
    }

    /// How many run and wait.
    pub(crate) fn counts(&self) -> Counts {
        self.state().admission.counts()
    }

    /// The most that ran at once since this was asked last.
    pub(crate) fn peak(&self) -> ByClass<u32> {
        self.state().admission.peak()
    }

    /// How many were refused.
    pub(crate) fn refused(&self) -> Refused {
        Refused { hot: self.0.hot.load(Relaxed), full: self.0.full.load(Relaxed) }
    }

    /// Counts it.
    fn refuse(&self, refusal: Refusal) -> ApiError {
        let count = match refusal {
            Refusal::Hot { .. } => &self.0.hot,
            Refusal::Full | Refusal::Share | Refusal::Late { .. } => &self.0.full,
        };
        count.fetch_add(1, Relaxed);
        refusal.into()
    }

    fn now(&self) -> Duration {
        self.0.begun.elapsed()
    }

    /// Nothing that is done under the lock can leave it half changed.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn call(&mut self, now: Duration) {
        while let Some(number) = self.admission.begin(now) {
            if let Some(call) = self.calls.remove(&number) {
                // Whoever no longer hears it is about to give its turn back.
                let _heard = call.send(());
            }
        }
    }
}

impl Wait {
    /// That of a request that passes no gate.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Whether it need not wait any more.
    #[cfg(test)]
    fn is_over(&mut self) -> bool {
        self.0.as_mut().is_none_or(|called| called.hear.try_recv().is_ok())
    }

    /// Completes when the request may begin.
    ///
    /// # Errors
    /// 503 `queue_full` or `gpu_thermal`: its turn has not come within `longest`.
    pub(crate) async fn over(self, longest: Duration) -> Result<(), ApiError> {
        let Some(Called { gate, class, hear }) = self.0 else { return Ok(()) };
        match timeout(longest, hear).await {
            Ok(Ok(())) => Ok(()),
            // Its turn was given back: it is not to begin.
            Ok(Err(_)) => std::future::pending().await,
            Err(_elapsed) => {
                let why = gate.state().admission.late(class, longest);
                Err(gate.refuse(why))
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let mut state = self.gate.state();
        state.calls.remove(&ticket.number());
        state.admission.leave(ticket);
        state.call(self.gate.now());
    }
}

#[cfg(test)]
mod tests {
    use ghostllm_core::{error::Code, heat};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn one_at_a_time(queue: u32) -> Orders {
        let limits = ByClass { interactive: Some(1), background: Some(1) };
        Orders { limits, gate: heat::Gate::Open, queue, hot: ByClass::default() }
    }

    #[tokio::test]
    async fn whoever_waits_is_called_when_a_turn_is_given_back() {
        let gate = Gate::new(one_at_a_time(2));
        let (first, wait) = gate.enter("a", Class::Interactive).unwrap();
        wait.over(LONG).await.unwrap();
        let (second, mut wait) = gate.enter("a", Class::Interactive).unwrap();
        assert_eq!(gate.enter("a", Class::Interactive).unwrap_err().code(), Code::QueueFull, "half is a's");
        let (third, mut last) = gate.enter("b", Class::Interactive).unwrap();
        assert!(!wait.is_over() && !last.is_over());
        assert_eq!(gate.enter("c", Class::Interactive).unwrap_err().code(), Code::QueueFull);
        // Its client leaves while it waits.
        drop(second);
        assert_eq!(gate.counts().waiting.sum(), 1);
        drop(first);
        last.over(LONG).await.unwrap();
        assert_eq!((gate.counts().running.sum(), gate.counts().waiting.sum()), (1, 0));
        drop(third);
        assert_eq!((gate.counts(), gate.refused()), (Counts::default(), Refused { hot: 0, full: 2 }));
        assert!(gate.state().calls.is_empty(), "nobody is left to be called");
    }

    #[tokio::test]
    async fn a_gate_that_opens_calls_those_that_wait() {
        let gate = Gate::new(Orders { gate: heat::Gate::Hold, ..one_at_a_time(2) });
        let (_turn, wait) = gate.enter("a", Class::Background).unwrap();
        gate.obey(Orders { gate: heat::Gate::Refuse { retry_after: 7 }, ..one_at_a_time(2) });
        let refused = gate.enter("a", Class::Interactive).unwrap_err();
        assert_eq!((refused.code(), refused.retry_after()), (Code::GpuThermal, Some(7)));
        gate.obey(one_at_a_time(2));
        wait.over(LONG).await.unwrap();
        assert_eq!((gate.counts().running.background, gate.peak().background), (1, 1));
        assert_eq!(gate.refused(), Refused { hot: 1, full: 0 });
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_waited_too_long_hears_why() {
        let gate = Gate::new(one_at_a_time(2));
        let (_first, _begun) = gate.enter("a", Class::Interactive).unwrap();
        let (turn, wait) = gate.enter("a", Class::Interactive).unwrap();
        let late = wait.over(LONG).await.unwrap_err();
        assert_eq!((late.code(), late.retry_after()), (Code::QueueFull, Some(5)), "{late}");
        drop(turn);
        let (turn, wait) = gate.enter("a", Class::Interactive).unwrap();
        gate.obey(Orders { gate: heat::Gate::Refuse { retry_after: 7 }, ..one_at_a_time(2) });
        let hot = wait.over(LONG).await.unwrap_err();
        assert_eq!((hot.code(), hot.retry_after()), (Code::GpuThermal, Some(7)), "{hot}");
        drop(turn);
        // Heat has left its class no place, while the other's are free.
        let limits = ByClass { interactive: Some(1), background: Some(0) };
        let by_heat = ByClass { interactive: false, background: true };
        gate.obey(Orders { limits, hot: by_heat, ..one_at_a_time(2) });
        let (turn, wait) = gate.enter("a", Class::Background).unwrap();
        let hot = wait.over(LONG).await.unwrap_err();
        assert_eq!((hot.code(), hot.retry_after()), (Code::GpuThermal, Some(30)), "{hot}");
        drop(turn);
        assert_eq!((gate.counts().waiting.sum(), gate.refused()), (0, Refused { hot: 2, full: 1 }));
    }
}
