//! What one chat has of the room.
//!
//! Knows its descriptor, and what is gathered for it. Refuses to know how much room there is. Invariant: whatever becomes of the chat, what
//! it has is given back, and once.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{
            AtomicBool, AtomicI64,
            Ordering::{AcqRel, Relaxed},
        },
    },
    time::Instant,
};

use super::{Lack, Room, SMALL, gathered, took};

/// What a chat has for as long as it stays: its place among those who may come to hold what they were charged, and its descriptor, until
/// that is open. A chat whose engine is silent, or whose reader takes all that comes, holds a part of what it was charged, and all of it once
/// the engine speaks, or the reader takes nothing more: and all chats may do so at once.
#[derive(Debug)]
pub struct Stay {
    slot: Slot,
}

impl Stay {
    pub(super) fn begin(room: &Room) -> Self {
        room.0.chats.fetch_add(1, AcqRel);
        Self { slot: Slot::await_one(room) }
    }

    /// Its descriptor, and what is gathered for it.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.slot.clone()
    }

    /// When its descriptor was open.
    #[must_use]
    pub fn opened(&self) -> Option<Instant> {
        self.slot.0.opened.get().copied()
    }

    /// So many bytes of its body, which were charged as they came, are held for it.
    pub fn holds(&self, bytes: usize) {
        self.slot.0.hold(gathered(bytes as u64));
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.slot.0.room.0.chats.fetch_sub(1, AcqRel);
        self.slot.0.given_up();
    }
}

/// The descriptor of a chat's backend, which is taken when the chat is let in and opened once its body has come, and the bytes that are
/// gathered for it. Clones are the same.
#[derive(Debug, Clone)]
pub struct Slot(Arc<Awaited>);

#[derive(Debug)]
struct Awaited {
    room: Room,
    is_awaited: AtomicBool,
    opened: OnceLock<Instant>,
    /// Bytes that are gathered.
    held: AtomicI64,
    /// Bytes of an answer that the chat's own charge covers.
    small: AtomicI64,
}

impl Slot {
    fn await_one(room: &Room) -> Self {
        Self(Arc::new(Awaited {
            room: room.clone(),
            is_awaited: AtomicBool::new(true),
            opened: OnceLock::new(),
            held: AtomicI64::new(0),
            small: AtomicI64::new(SMALL),
        }))
    }

    /// It is open, or an open one serves as well.
    pub fn opened(&self) {
        self.0.opened.get_or_init(Instant::now);
        self.0.given_up();
    }

    /// So many more bytes of an answer that is given out whole are gathered.
    ///
    /// # Errors
    /// What is wanting.
    pub fn gathers(&self, bytes: usize) -> Result<(), Lack> {
        let (chat, due) = (&self.0, gathered(bytes as u64));
        let covered = chat.small.load(Relaxed).min(due);
        chat.small.fetch_sub(covered, Relaxed);
        if due > covered && !took(&chat.room.0.requests, due - covered) {
            return Err(chat.room.refuse(Lack::Memory));
        }
        chat.hold(due);
        Ok(())
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.room.0.gathered.fetch_sub(*self.held.get_mut(), AcqRel);
    }
}

impl Awaited {
    fn given_up(&self) {
        if self.is_awaited.swap(false, AcqRel) {
            self.room.0.descriptors.opened();
        }
    }

    fn hold(&self, bytes: i64) {
        self.held.fetch_add(bytes, AcqRel);
        self.room.0.gathered.fetch_add(bytes, AcqRel);
    }
}
