use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};

use super::*;
use crate::tasks::state::{Phase, TaskList};

/// How long a thread may take that is not waited for by its end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Gives out what is handed on, a batch at a time, and goes on once that has been taken.
struct Asks(SyncSender<Vec<String>>);

impl Output for Asks {
    fn hand_on(&mut self, records: &Batch) -> u64 {
        let texts = records.records().map(|record| String::from_utf8(record.to_vec()).unwrap());
        u64::from(self.0.send(texts.collect()).is_err()) * records.count()
    }
}

/// Takes nothing.
struct Gone;

impl Output for Gone {
    fn hand_on(&mut self, records: &Batch) -> u64 {
        records.count()
    }
}

fn untold(_lost: u64) {}

fn asking() -> (Queue, Writing, Receiver<Vec<String>>) {
    let (give, given) = sync_channel(0);
    let (queue, writing) = Queue::start(Asks(give), untold).unwrap();
    (queue, writing, given)
}

/// Everything until this record has come.
fn until(given: &Receiver<Vec<String>>, last: &str) -> Vec<String> {
    let mut all = Vec::new();
    while all.last().is_none_or(|text| text != last) {
        all.extend(given.recv_timeout(PATIENCE).unwrap());
    }
    all
}

#[test]
fn records_keep_their_order_and_none_waits_for_ever() {
    let (queue, _writing, given) = asking();
    queue.0.push(b"a request", true);
    queue.0.push(b"a warning", false);
    queue.0.push(b"one more", true);
    assert_eq!(until(&given, "one more"), ["a request", "a warning", "one more"]);
    queue.0.push(b"alone", true);
    assert_eq!(given.recv_timeout(PATIENCE).unwrap(), ["alone"]);
}

#[test]
fn those_of_requests_share_a_write() {
    let (queue, _writing, given) = asking();
    // While the thread has these in hand, as many come as there may be.
    queue.0.push(b"first", false);
    let texts: Vec<String> = (0..100).map(|number| format!("request {number}")).collect();
    texts.iter().for_each(|text| queue.0.push(text.as_bytes(), true));
    let mut all = given.recv_timeout(PATIENCE).unwrap();
    let batches =
        std::iter::from_fn(|| (all.len() < 101).then(|| all.extend(given.recv_timeout(PATIENCE).unwrap())));
    // One for whatever came while the thread woke, one for the rest.
    assert!(batches.count() <= 2);
    assert_eq!(all[1..], texts);
}

#[test]
fn whoever_logs_waits_for_nobody_and_what_is_lost_is_counted_once() {
    let (give, given) = sync_channel(0);
    static TOLD: Mutex<Vec<u64>> = Mutex::new(Vec::new());
    let (queue, writing) = Queue::start(Asks(give), |lost| TOLD.lock().unwrap().push(lost)).unwrap();
    queue.0.push(b"in hand", false);
    while !queue.0.lock().busy {
        thread::yield_now();
    }
    // Nobody takes the first one meanwhile: were any of these to wait for it, this would hang.
    for number in 0..RECORDS + 7 {
        queue.0.push(number.to_string().as_bytes(), false);
    }
    assert_eq!(queue.0.lock().lost, 7);
    assert_eq!(given.recv_timeout(PATIENCE).unwrap(), ["in hand"]);
    let kept = given.recv_timeout(PATIENCE).unwrap();
    assert_eq!((kept.len(), kept.last().unwrap().as_str()), (RECORDS, "4095"));
    drop(writing);
    assert_eq!(*TOLD.lock().unwrap(), [7]);
}

#[test]
fn bytes_are_limited_as_records_are() {
    let (queue, writing, given) = asking();
    queue.0.push(b"in hand", false);
    while !queue.0.lock().busy {
        thread::yield_now();
    }
    let half = vec![b'x'; BYTES / 2];
    (0..3).for_each(|_| queue.0.push(&half, false));
    let waiting = |state: &State| (state.lost, state.waiting.bytes.len());
    assert_eq!(waiting(&queue.0.lock()), (1, BYTES));
    given.recv_timeout(PATIENCE).unwrap();
    assert_eq!(given.recv_timeout(PATIENCE).unwrap().len(), 2);
    // The room of a flood is given back, by the one batch and by the other.
    for text in ["one", "another"] {
        queue.0.push(text.as_bytes(), false);
        assert_eq!(given.recv_timeout(PATIENCE).unwrap(), [text]);
    }
    drop(writing);
    assert!(queue.0.lock().waiting.bytes.capacity() <= AT_ONCE);
}

#[test]
fn a_flood_of_requests_leaves_room_for_what_is_wrong() {
    let (queue, _writing, given) = asking();
    queue.0.push(b"in hand", false);
    while !queue.0.lock().busy {
        thread::yield_now();
    }
    for _ in 0..RECORDS {
        queue.0.push(b"a request", true);
    }
    queue.0.push(b"a warning", false);
    let lost = queue.0.lock().lost;
    assert_eq!(lost, (RECORDS / 4) as u64);
    assert_eq!(until(&given, "a warning").len(), RECORDS / 4 * 3 + 2);
}

#[test]
fn what_nobody_takes_is_not_told_to_nobody() {
    let (say, said) = channel();
    static SAY: Mutex<Option<std::sync::mpsc::Sender<u64>>> = Mutex::new(None);
    *SAY.lock().unwrap() = Some(say);
    let tell = |lost| SAY.lock().unwrap().as_ref().unwrap().send(lost).unwrap();
    let (queue, writing) = Queue::start(Gone, tell).unwrap();
    queue.0.push(b"into nowhere", false);
    drop(writing);
    assert_eq!(queue.0.lock().lost, 1);
    assert!(said.try_recv().is_err());
}

#[test]
fn the_end_waits_for_what_is_held_and_not_for_ever() {
    let (queue, writing, given) = asking();
    let task = writing.task.clone();
    queue.0.push(b"a request", true);
    let reader = thread::spawn(move || (given.recv().unwrap(), given));
    drop(writing);
    let (last, given) = reader.join().unwrap();
    assert_eq!(last, ["a request"]);
    // What comes later is written as well.
    queue.0.push(b"one more", true);
    assert_eq!(given.recv_timeout(PATIENCE).unwrap(), ["one more"]);
    queue.0.push(b"nobody takes it", false);
    drop(Writing { shared: Arc::clone(&queue.0), task });
}

/// Panics at its first record.
struct Panics(Asks, bool);

impl Output for Panics {
    fn hand_on(&mut self, records: &Batch) -> u64 {
        assert!(std::mem::replace(&mut self.1, true), "as an output may");
        self.0.hand_on(records)
    }
}

#[test]
fn a_panic_costs_what_was_in_hand_and_the_thread_goes_on() {
    let (give, given) = sync_channel(0);
    let (queue, writing) = Queue::start(Panics(Asks(give), false), untold).unwrap();
    let state = || {
        let list = TaskList::default();
        list.add(writing.task.clone());
        list.states().remove(0)
    };
    queue.0.push(b"in hand", false);
    while state().phase != Phase::Waiting {
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(state().last_error.as_deref(), Some(PANICKED));
    queue.0.push(b"behind it", false);
    assert_eq!(given.recv_timeout(PATIENCE).unwrap(), ["behind it"]);
    assert_eq!((state().phase, state().restarts), (Phase::Running, 1));
}
