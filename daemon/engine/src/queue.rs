//! The queue between those who ask and the one thread that infers.
//!
//! Knows order, the bound, and who has left. Knows nothing of models or HTTP. Invariant: a job whose ticket is gone
//! is not begun, and takes no place; at most one job runs.
//!
//! Continuous batching would take several jobs at a time here, and change nothing above.

use crate::body::Body;
use crate::error::Failure;
use crate::library::Model;
use crate::pulse::Pulse;
use crate::wire::answer::{Finish, Part, Usage};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// What comes back from the inference thread.
#[derive(Debug)]
pub enum Event {
    /// The model is loaded and the request is sound; pieces follow.
    Begun,
    /// A part of the answer.
    Part(Part),
    /// One of several answers is whole; parts of the next one follow.
    Next(Finish),
    /// The answer is whole.
    Ended(Finish, Usage),
    /// The vectors of all texts, which were so many tokens.
    Embedded(Vec<Vec<f32>>, usize),
    /// It failed; nothing follows.
    Failed(Failure),
}

/// What is to be done with a model.
#[derive(Debug)]
pub enum Work {
    /// Load it, and answer [`Event::Ended`].
    Load,
    /// Load it if need be, and answer the chat that this is; it was found sound.
    Chat(Arc<Body>),
    /// The same of a request for completions.
    Complete(Arc<Body>),
    /// The same of a request for embeddings.
    Embed(Arc<Body>),
}

/// A piece of work in the queue.
#[derive(Debug)]
pub struct Job {
    id: u64,
    /// The model that it needs.
    pub model: Arc<Model>,
    /// What to do.
    pub work: Work,
    events: mpsc::UnboundedSender<Event>,
    pulse: Arc<Pulse>,
}

impl Job {
    /// Tells the one who asked. The channel needs no bound: an answer has at most as many pieces as the context has
    /// tokens, and a slow reader must not hold up the thread that all share.
    pub fn tell(&self, event: Event) {
        // A reader that has left is noticed by `abandoned`.
        let _ = self.events.send(event);
    }

    /// Whether the one who asked has left. It is asked between any two steps, and so is the sign of life of whoever asks.
    #[must_use]
    pub fn abandoned(&self) -> bool {
        self.pulse.beat();
        self.events.is_closed()
    }

    /// Before a step that may take so much longer than others.
    pub fn takes(&self, longer: Duration) {
        self.pulse.beat_before(longer);
    }

    /// For signs of life from within a step.
    #[must_use]
    pub fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }
}

/// The asker's end: dropping it takes the job back, wherever it is.
#[derive(Debug)]
pub struct Ticket {
    id: u64,
    queue: Arc<Queue>,
    /// What the job tells.
    pub events: mpsc::UnboundedReceiver<Event>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.events.close();
        self.queue.lock().waiting.retain(|job| job.id != self.id);
    }
}

/// What the queue holds at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Jobs that run: none or one.
    pub running: usize,
    /// Jobs that wait.
    pub queued: usize,
    /// Jobs taken in since the start.
    pub accepted: u64,
    /// The model in memory.
    pub loaded: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Job>,
    running: bool,
    accepted: u64,
    loaded: Option<String>,
    /// Nothing is taken in any more.
    draining: bool,
    closed: bool,
}

/// The queue itself.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    /// How many jobs may wait.
    pub limit: usize,
    /// Of whoever takes the jobs.
    pub pulse: Arc<Pulse>,
}

impl Queue {
    /// A queue in which `limit` jobs may wait while one runs, which gives a sign of life within `silence`.
    #[must_use]
    pub fn new(limit: usize, silence: Duration) -> Arc<Self> {
        let pulse = Arc::new(Pulse::new(silence));
        Arc::new(Self { state: Mutex::default(), arrived: Condvar::new(), limit, pulse })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change of the state is one statement, so a panic elsewhere leaves it sound.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a job in.
    ///
    /// # Errors
    /// 503 when all places are taken, or the engine is ending.
    pub fn submit(self: &Arc<Self>, model: Arc<Model>, work: Work) -> Result<Ticket, Failure> {
        let mut state = self.lock();
        let free = !state.running && state.waiting.is_empty();
        if state.draining || (state.waiting.len() >= self.limit && !free) {
            return Err(Failure::queue_full(self.limit));
        }
        let (events, receiver) = mpsc::unbounded_channel();
        state.accepted += 1;
        let id = state.accepted;
        state.waiting.push_back(Job { id, model, work, events, pulse: Arc::clone(&self.pulse) });
        drop(state);
        self.arrived.notify_one();
        Ok(Ticket { id, queue: Arc::clone(self), events: receiver })
    }

    /// The next job, when there is one; `None` once the queue is closed. Whoever calls has ended the job before.
    #[must_use]
    pub fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        state.running = false;
        self.pulse.rest();
        loop {
            if state.closed {
                state.waiting.clear();
                return None;
            }
            if let Some(job) = state.waiting.pop_front() {
                state.running = true;
                self.pulse.beat();
                return Some(job);
            }
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Notes which model is in memory.
    pub fn set_loaded(&self, model: Option<String>) {
        self.lock().loaded = model;
    }

    /// What the queue holds now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let state = self.lock();
        Snapshot {
            running: usize::from(state.running),
            queued: state.waiting.len(),
            accepted: state.accepted,
            loaded: state.loaded.clone(),
        }
    }

    /// Takes nothing in any more; what is in it goes on.
    pub fn drain(&self) {
        self.lock().draining = true;
    }

    /// Takes nothing in any more, and lets the waiting go.
    pub fn close(&self) {
        let mut state = self.lock();
        (state.draining, state.closed) = (true, true);
        drop(state);
        self.arrived.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_millis(5);

    fn submit(queue: &Arc<Queue>) -> Result<Ticket, Failure> {
        queue.submit(Arc::new(Model::demo_for_tests()), Work::Load)
    }

    #[test]
    fn the_bound_is_reached_and_not_passed() {
        let queue = Queue::new(2, SILENCE);
        let _running = submit(&queue).unwrap();
        let job = queue.next().unwrap();
        let (_one, two) = (submit(&queue).unwrap(), submit(&queue).unwrap());
        let failure = submit(&queue).unwrap_err();
        assert_eq!(
            (failure.status.as_u16(), failure.code, failure.retry_after()),
            (503, Some("queue_full"), Some(1))
        );
        drop(two);
        assert_eq!((queue.snapshot().running, queue.snapshot().queued), (1, 1));
        assert!(submit(&queue).is_ok());
        drop(job);
    }

    #[test]
    fn a_queue_of_none_still_runs_one() {
        let queue = Queue::new(0, SILENCE);
        let _first = submit(&queue).unwrap();
        assert!(submit(&queue).is_err());
    }

    #[test]
    fn who_leaves_is_noticed_while_waiting_and_while_running() {
        let queue = Queue::new(4, SILENCE);
        let (running, waiting) = (submit(&queue).unwrap(), submit(&queue).unwrap());
        let job = queue.next().unwrap();
        assert!(!job.abandoned());
        drop(running);
        assert!(job.abandoned());
        drop(waiting);
        assert_eq!(queue.snapshot().queued, 0);
    }

    #[test]
    fn who_takes_a_job_gives_signs_of_life_until_it_waits_for_the_next() {
        let queue = Queue::new(4, SILENCE);
        let ticket = submit(&queue).unwrap();
        std::thread::sleep(2 * SILENCE);
        assert!(!queue.pulse.is_late());
        let job = queue.next().unwrap();
        std::thread::sleep(2 * SILENCE);
        assert!(queue.pulse.is_late());
        assert!(!job.abandoned() && !queue.pulse.is_late());
        job.takes(Duration::from_secs(3600));
        std::thread::sleep(2 * SILENCE);
        assert!(!queue.pulse.is_late());
        drop((job, ticket));
        queue.close();
        assert!(queue.next().is_none() && !queue.pulse.is_late());
    }

    #[test]
    fn closing_ends_the_worker() {
        let queue = Queue::new(4, SILENCE);
        let _ticket = submit(&queue).unwrap();
        queue.close();
        assert!(queue.next().is_none());
        assert!(submit(&queue).is_err());
    }
}
