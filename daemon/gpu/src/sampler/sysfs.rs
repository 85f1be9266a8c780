//! The cards that the kernel's files tell of, and the processor where there is none.
//!
//! Knows when it is looked for new ones. Invariants: a card that was seen stays, lost if need be, until somebody has given it to another
//! driver; there is never a second thread for one card, however long the first hangs; the processor is asked only where the machine has
//! no card at all, of whatever maker.

use std::{
    sync::{Arc, atomic::Ordering},
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{Ask, Shared, Slot, watch};
use crate::sysfs::{FileCard, Processor, cards, is_given_away};

/// How often it is looked whether there is a card of NVIDIA now.
const LOOK: Duration = Duration::from_millis(500);

/// One that is being asked.
struct Asked {
    /// Its place on the bus; empty for the processor, which has none.
    bus: String,
    slot: Arc<Slot>,
    thread: JoinHandle<()>,
}

impl Asked {
    /// Its thread is to end, or has ended.
    fn is_over(&self) -> bool {
        self.slot.over.load(Ordering::Relaxed)
    }
}

/// Looks for cards and has them watched, until the sampler ends.
pub(super) fn keep(shared: &Arc<Shared>) {
    let mut asked = Vec::new();
    loop {
        let began = shared.now();
        let mut has_changed = look(shared, &mut asked);
        loop {
            has_changed |= processor(shared, &mut asked);
            if std::mem::take(&mut has_changed) {
                let shown = asked.iter().filter(|one| !one.is_over());
                shared.others(shown.map(|one| Arc::clone(&one.slot)).collect());
            }
            let left = shared.options.reopen.saturating_sub(shared.now().saturating_sub(began));
            if shared.wait(left.clamp(LOOK / 10, LOOK)) {
                return;
            }
            if left <= LOOK {
                break;
            }
        }
    }
}

/// Begins with cards that are new, and ends with those that were given away; whether there were any.
fn look(shared: &Arc<Shared>, asked: &mut Vec<Asked>) -> bool {
    let root = &shared.options.sysfs_root;
    let mut has_changed = false;
    for one in asked.iter().filter(|one| !one.bus.is_empty() && !one.is_over()) {
        if one.slot.is_lost() && is_given_away(root, &one.bus) {
            shared.end(std::slice::from_ref(&one.slot));
            has_changed = true;
        }
    }
    // One whose file hangs is no longer shown, and stays here, so that it is hung on once.
    asked.retain(|one| !(one.is_over() && one.thread.is_finished()));
    for bus in cards(root) {
        if asked.iter().any(|one| one.bus == bus) {
            continue;
        }
        let card = FileCard::new(root, &bus);
        // Where the system gives no thread, it is asked for one at the next look.
        if let Ok(one) = begin(shared, bus, card) {
            asked.push(one);
            has_changed = true;
        }
    }
    asked.sort_by(|one, other| one.bus.cmp(&other.bus));
    has_changed
}

/// Begins with the processor where there is no card, and ends with it where there is one; whether that has changed.
fn processor(shared: &Arc<Shared>, asked: &mut Vec<Asked>) -> bool {
    let is_wanted = shared.is_without_nvidia() && asked.iter().all(|one| one.bus.is_empty());
    match asked.iter().find(|one| one.bus.is_empty()) {
        Some(one) if !is_wanted && !one.is_over() => {
            shared.end(std::slice::from_ref(&one.slot));
            true
        }
        None if is_wanted => {
            let found = Processor::find(&shared.options.sysfs_root);
            let begun = found.and_then(|found| begin(shared, String::new(), found).ok());
            let is_begun = begun.is_some();
            asked.extend(begun);
            is_begun
        }
        _ => false,
    }
}

fn begin(shared: &Arc<Shared>, bus: String, mut card: impl Ask + Send + 'static) -> std::io::Result<Asked> {
    let slot = Arc::new(Slot::new(0, None));
    let (its_shared, its_slot) = (Arc::clone(shared), Arc::clone(&slot));
    // The kernel keeps 15 characters of a thread's name: without the domain of its bus.
    let name = if bus.is_empty() { "processor" } else { bus.get(5..).unwrap_or(&bus) };
    let builder = thread::Builder::new().name(format!("gpu-{name}"));
    let thread = builder.spawn(move || watch(&its_shared, &its_slot, &mut card))?;
    Ok(Asked { bus, slot, thread })
}
