//! The log's way out: a queue with an end to it, and the one thread that hands on what stands in it.
//!
//! Knows records as bytes, and time. Refuses to know what they say and who takes them. Invariants: whoever logs waits for nobody,
//! since nothing is held over a write; records keep their order; those of requests are held for [`FOR`] at most, so that many
//! share a write, and any other goes out at once behind them; what finds the queue full is counted, and that is told.

use std::{
    convert::Infallible,
    io::{self, Write},
    mem,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

#[cfg(feature = "freeze")]
use ghostllm_edge::freeze;
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use crate::tasks::state::{Backoff, PANICKED, Policy, Report, Seen};

/// How long a record may be held: short to a person, long enough for those of a busy moment to share one write.
const FOR: Duration = Duration::from_millis(50);
/// As many bytes as this are not held: what a pipe takes at once (pipe(7)).
const AT_ONCE: usize = 64 * 1024;
/// The most that waits, and as much again is being written: a second of a busy box's requests.
const BYTES: usize = 1024 * 1024;
/// The same in records.
const RECORDS: usize = 4096;
/// How long the end of the program waits for whoever takes the log.
const LAST: Duration = Duration::from_secs(1);
/// Who tells of every request.
const REQUESTS: &str = "ghostllm::pipeline::record";

/// The thread's name.
pub(super) const THREAD: &str = "log";

/// Records one behind the other.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// Who takes records; it may take its time.
pub(super) trait Output: Send + 'static {
    /// Hands them on, in their order; how many nobody has taken.
    fn hand_on(&mut self, records: &Batch) -> u64;
}

/// Where records go in.
#[derive(Debug, Clone)]
pub(super) struct Queue(Arc<Shared>);

/// When it is dropped it waits, though not for ever, until what has been logged before is written.
#[derive(Debug)]
pub(super) struct Writing {
    shared: Arc<Shared>,
    /// How its thread is.
    pub(super) task: Seen,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// There is something to be written, or less time for it.
    wanted: Condvar,
    /// Something has been written.
    written: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Batch,
    /// Not to be held any longer.
    at_once: bool,
    /// Records that found no room and have not been told of.
    lost: u64,
    /// Those that have been told of.
    told: u64,
    /// The thread has something in hand.
    busy: bool,
}

/// Takes one record.
#[derive(Debug)]
pub(super) struct Line<'a> {
    shared: &'a Shared,
    held: bool,
}

impl Batch {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn count(&self) -> u64 {
        self.ends.len() as u64
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).filter_map(|(begin, end)| self.bytes.get(begin..*end))
    }

    pub(super) fn push(&mut self, record: &[u8]) {
        self.bytes.extend_from_slice(record);
        self.ends.push(self.bytes.len());
    }

    /// Whether one more may wait. Those of requests leave a quarter to others: a stranger can have any number of them written.
    fn has_room(&self, record: &[u8], held: bool) -> bool {
        let (records, bytes) = if held { (RECORDS / 4 * 3, BYTES / 4 * 3) } else { (RECORDS, BYTES) };
        self.ends.len() < records && self.bytes.len() + record.len() <= bytes
    }

    /// Empties it; the room of a flood is not kept.
    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.bytes.shrink_to(AT_ONCE);
        self.ends.shrink_to(RECORDS / 16);
    }
}

impl Queue {
    /// Starts the thread that hands records on to `output`. With `tell` it says how many were lost, by a record of its own.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub(super) fn start(mut output: impl Output, tell: fn(u64)) -> io::Result<(Self, Writing)> {
        let (state, wanted, written) = Default::default();
        let shared = Arc::new(Shared { state, wanted, written });
        let of_thread = Arc::clone(&shared);
        let report = Report::new(THREAD, Policy::Restartable);
        let task = report.seen();
        let work = move || of_thread.work(&mut output, tell, &report);
        thread::Builder::new().name(THREAD.into()).spawn(work)?;
        Ok((Self(Arc::clone(&shared)), Writing { shared, task }))
    }

    /// How many records were lost so far.
    pub(super) fn lost(&self) -> u64 {
        let state = self.0.lock();
        state.told + state.lost
    }

    /// One record; whether of those that may be held.
    pub(super) fn push(&self, record: &[u8], meta: &Metadata<'_>) {
        self.0.push(record, is_held(meta));
    }
}

fn is_held(meta: &Metadata<'_>) -> bool {
    meta.target() == REQUESTS && *meta.level() >= Level::INFO
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { shared: &self.0, held: false }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line<'a> {
        Line { shared: &self.0, held: is_held(meta) }
    }
}

impl Write for Line<'_> {
    /// The formatter writes each record whole.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        self.shared.push(record, self.held);
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, record: &[u8], held: bool) {
        let mut state = self.lock();
        if !state.waiting.has_room(record, held) {
            state.lost += 1;
            return;
        }
        let (first, before) = (state.waiting.ends.is_empty(), state.at_once);
        state.waiting.push(record);
        state.at_once |= !held || state.waiting.bytes.len() > AT_ONCE;
        // Its thread sleeps only before a first record, and for a moment behind one that is held.
        if first || state.at_once != before {
            drop(state);
            self.wanted.notify_one();
        }
    }

    /// The life of the thread: a panic costs what it had in hand, and a rest.
    fn work(&self, output: &mut impl Output, tell: fn(u64), report: &Report) {
        let (mut batch, mut backoff) = (Batch::default(), Backoff::default());
        loop {
            let begun = Instant::now();
            let writing = AssertUnwindSafe(|| self.write_on(output, tell, &mut batch));
            let Err(_its_words) = panic::catch_unwind(writing);
            let mut state = self.lock();
            state.lost += batch.count();
            state.busy = false;
            drop(state);
            batch.clear();
            report.waits(PANICKED.to_owned());
            thread::sleep(backoff.next(begun.elapsed()).0);
            report.again();
        }
    }

    fn write_on(&self, output: &mut impl Output, tell: fn(u64), batch: &mut Batch) -> Infallible {
        let mut taken = true;
        loop {
            self.take(batch);
            #[cfg(feature = "freeze")]
            if freeze::is_possible() {
                freeze::here(THREAD);
            }
            // What was lost came behind these.
            self.tell(taken, tell);
            let untaken = output.hand_on(batch);
            taken = untaken < batch.count();
            batch.clear();
            self.lock().lost += untaken;
            self.tell(taken, tell);
            self.lock().busy = false;
            self.written.notify_all();
        }
    }

    /// Tells what was lost, if that comes through: nothing does while nobody takes anything, nor where the queue is full.
    fn tell(&self, taken: bool, tell: fn(u64)) {
        let mut state = self.lock();
        if !taken || state.lost == 0 || !state.waiting.ends.is_empty() {
            return;
        }
        let lost = mem::take(&mut state.lost);
        state.told += lost;
        drop(state);
        tell(lost);
    }

    /// What waits, once there is something and a moment for more has passed.
    fn take(&self, batch: &mut Batch) {
        let empty = |state: &mut State| state.waiting.ends.is_empty();
        let state = self.wanted.wait_while(self.lock(), empty).unwrap_or_else(PoisonError::into_inner);
        let moment = self.wanted.wait_timeout_while(state, FOR, |state| !state.at_once);
        let mut state = moment.unwrap_or_else(PoisonError::into_inner).0;
        mem::swap(&mut state.waiting, batch);
        (state.at_once, state.busy) = (false, true);
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let end = Instant::now() + LAST;
        let mut state = self.shared.lock();
        while state.busy || !state.waiting.ends.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state.at_once = true;
            self.shared.wanted.notify_one();
            state = self.shared.written.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
