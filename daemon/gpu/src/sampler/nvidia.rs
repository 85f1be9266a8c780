//! NVIDIA's library, kept open as long as it works.
//!
//! Knows when it is opened anew. Invariant: it is never opened while a thread of the last time is left, so that a driver that hangs is
//! hung on once.

use std::{
    sync::{Arc, atomic::Ordering},
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{Shared, Slot, watch};
use crate::{
    missing::Missing,
    nvml::{NvmlCard, Session},
};

/// How often it is looked whether all is well.
const LOOK: Duration = Duration::from_millis(500);

/// Opens the library and has its cards watched, until the sampler ends.
pub(super) fn keep(shared: &Arc<Shared>) {
    loop {
        let began = shared.now();
        shared.opening();
        let opened = Session::open(&shared.options.nvml_library);
        // It may have hung until after the end.
        if shared.wait(Duration::ZERO) {
            return;
        }
        match opened {
            Err(missing) => shared.opened(Err(missing)),
            Ok(session) => serve(shared, session),
        }
        // What has worked for long is opened anew at once: it was the driver that changed.
        let lasted = shared.now().saturating_sub(began);
        if shared.wait(shared.options.reopen.saturating_sub(lasted)) {
            return;
        }
    }
}

/// Has the cards watched until the library works no more, or the sampler ends, and their threads have ended.
fn serve(shared: &Arc<Shared>, session: Session) {
    let before = shared.nvidia();
    let known = |index: u32| before.iter().find(|slot| slot.index() == index).map(AsRef::as_ref);
    let slots: Vec<_> = (0..session.count).map(|index| Arc::new(Slot::new(index, known(index)))).collect();
    shared.opened(Ok(slots.clone()));
    let session = Arc::new(session);
    let threads: Result<Vec<_>, _> = slots.iter().map(|slot| start(shared, &session, slot)).collect();
    let Ok(threads) = threads else {
        shared.end(&slots);
        return shared
            .opened(Err(Missing::Other { why: "the system gives no thread for each card".to_owned() }));
    };
    let mut lost = None;
    let is_broken = |slot: &Arc<Slot>| slot.over.load(Ordering::Relaxed);
    while !slots.iter().any(is_broken) && !threads.iter().any(JoinHandle::is_finished) {
        if shared.wait(LOOK) {
            return;
        }
        // NVML finds a card again after a reset only if it is started anew, which the other cards are not to be troubled with.
        let now = shared.now();
        lost = if slots.iter().all(|slot| slot.is_lost()) { lost.or(Some(now)) } else { None };
        if lost.is_some_and(|since| now.saturating_sub(since) >= shared.options.reopen) {
            break;
        }
    }
    shared.end(&slots);
    while !threads.iter().all(JoinHandle::is_finished) {
        if shared.wait(LOOK) {
            return;
        }
    }
}

fn start(shared: &Arc<Shared>, session: &Arc<Session>, slot: &Arc<Slot>) -> std::io::Result<JoinHandle<()>> {
    let (shared, session, slot) = (Arc::clone(shared), Arc::clone(session), Arc::clone(slot));
    let name = format!("gpu-{}", slot.index());
    thread::Builder::new().name(name).spawn(move || {
        let mut card = NvmlCard::new(&session.nvml, slot.index(), &session.driver);
        watch(&shared, &slot, &mut card);
    })
}
