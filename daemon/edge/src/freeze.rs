//! For tests alone: tasks and threads that hang or panic at a word.
//!
//! Knows names, and a file with orders. Refuses to know what they do. Invariant: without the feature `freeze`, which no package has, nothing of
//! this is in the program (`tests/support/hookless.sh`).

/// The work of the task of that name. It hangs as a whole: nothing of it goes on.
#[cfg(not(feature = "freeze"))]
pub fn task<F: Future>(_name: &str, work: F) -> F {
    work
}

/// The work of the thread of that name, which hangs with everything else on it.
#[cfg(not(feature = "freeze"))]
pub fn thread<F: Future>(_name: &str, work: F) -> F {
    work
}

#[cfg(feature = "freeze")]
pub use meant::{here, is_possible, task, thread};

#[cfg(feature = "freeze")]
mod meant {
    use std::{env, fs, future::poll_fn, pin::pin, task::Poll, thread::park, time::Duration};

    use tokio::time::{MissedTickBehavior, interval};

    /// Names the file: a line `NAME` hangs the one of that name, and `panic:NAME` lets it panic. Not the task itself, since the program that is
    /// started anew must not hang again.
    const VARIABLE: &str = "FREEZE_GHOSTLLM";

    /// How often the file is looked at.
    const LOOK: Duration = Duration::from_millis(50);

    enum Order {
        Hang,
        Panic,
    }

    fn order(name: &str) -> Option<Order> {
        let text = fs::read_to_string(env::var_os(VARIABLE)?).ok()?;
        text.lines().map(str::trim).find_map(|line| match line.strip_prefix("panic:") {
            Some(meant) => (meant == name).then_some(Order::Panic),
            None => (line == name).then_some(Order::Hang),
        })
    }

    /// Whether there can be any such word.
    #[must_use]
    pub fn is_possible() -> bool {
        env::var_os(VARIABLE).is_some()
    }

    /// See above.
    pub fn task<F: Future>(name: &str, work: F) -> impl Future<Output = F::Output> + use<F> {
        looking(name.to_owned(), work, false)
    }

    /// See above.
    pub fn thread<F: Future>(name: &str, work: F) -> impl Future<Output = F::Output> + use<F> {
        looking(name.to_owned(), work, true)
    }

    /// Panics at this very place, or holds up its thread.
    pub fn here(name: &str) {
        match order(name) {
            Some(Order::Panic) => panic!("a test wants it"),
            Some(Order::Hang) => hang(),
            None => {}
        }
    }

    fn hang() -> ! {
        loop {
            park();
        }
    }

    async fn looking<F: Future>(name: String, work: F, thread: bool) -> F::Output {
        if !is_possible() {
            return work.await;
        }
        let (mut work, mut look, mut hangs) = (pin!(work), interval(LOOK), false);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        poll_fn(move |context| {
            while look.poll_tick(context).is_ready() {
                hangs = match order(&name) {
                    Some(Order::Panic) => panic!("a test wants it"),
                    Some(Order::Hang) if thread => hang(),
                    other => other.is_some(),
                };
            }
            if hangs { Poll::Pending } else { work.as_mut().poll(context) }
        })
        .await
    }
}
