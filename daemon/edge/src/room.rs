//! How much room there is for those who come: of memory, as somebody else measures it, and of descriptors.
//!
//! Knows what connections and requests take of both. Refuses to know how memory is measured, and what its bounds are. Invariant: what
//! was measured is used up by those who come, and by the bytes of their bodies, until it is measured anew; what they were let in for and
//! do not hold yet is theirs until they do. What somebody who is in grows by otherwise is seen when it is measured.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{
            AtomicBool, AtomicI64, AtomicU64,
            Ordering::{AcqRel, Relaxed},
        },
    },
    time::Instant,
};

pub use crate::descriptors::is_out;

use crate::descriptors::Descriptors;

/// What a chat may come to hold, its connection's share included (F-04 of the research on security; 120 to 260 kB were measured).
const REQUEST: i64 = 300 << 10;
/// The same: with less than this no chat is let in.
pub const CHAT: u64 = REQUEST.unsigned_abs();
/// Of that, what is for a body of some kB (twice its length), which is not charged once more.
const SMALL: i64 = 64 << 10;
/// Of that, what it holds while its engine is silent (48 to 100 kB were measured), and is measured: the rest is promised to it.
const WAITING: i64 = 64 << 10;
/// What a connection holds before it asks for anything: TLS' buffers and keys (50 kB were measured).
const CONNECTION: i64 = 64 << 10;

/// What is wanting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// Memory.
    Memory,
    /// Descriptors.
    Descriptors,
}

impl Lack {
    /// In a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Descriptors => "descriptors",
        }
    }

    const fn place(self) -> usize {
        match self {
            Self::Memory => 0,
            Self::Descriptors => 1,
        }
    }
}

/// What a chat's body has been charged, and has not come yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Charge {
    /// How often memory had been measured then.
    looks: u64,
    /// Bytes for the length that was stated, until memory is measured anew.
    ahead: i64,
    /// Bytes that each chat has.
    small: i64,
}

/// How many bytes chats may still come to hold.
#[derive(Debug)]
pub struct Promised(i64);

/// All of it. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Room(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Bytes of memory for chats; all there are where nobody has said otherwise.
    requests: AtomicI64,
    /// The same for connections.
    connections: AtomicI64,
    /// How often it was measured.
    looks: AtomicU64,
    /// Bytes that those who are in may still come to hold.
    promised: AtomicI64,
    descriptors: Descriptors,
    /// How many chats were refused, by what was wanting.
    refused: [AtomicU64; 2],
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            requests: AtomicI64::new(i64::MAX),
            connections: AtomicI64::new(i64::MAX),
            looks: AtomicU64::new(0),
            promised: AtomicI64::new(0),
            descriptors: Descriptors::default(),
            refused: Default::default(),
        }
    }
}

impl Room {
    /// What those who are in have been promised, before memory is measured.
    #[must_use]
    pub fn promised(&self) -> Promised {
        Promised(self.0.promised.load(Relaxed))
    }

    /// From now on there are so many bytes for chats, of which those who are in have been promised some, and so many for connections.
    /// How many are left for further chats.
    pub fn measured(&self, requests: u64, connections: u64) -> u64 {
        self.measured_since(&Promised(0), requests, connections)
    }

    /// The same, where memory was measured after that was promised: what somebody was given meanwhile may stand in neither.
    pub fn measured_since(&self, before: &Promised, requests: u64, connections: u64) -> u64 {
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let left = match signed(requests) {
            i64::MAX => i64::MAX,
            there => (there - self.0.promised.load(Relaxed).max(before.0)).max(0),
        };
        self.0.requests.store(left, Relaxed);
        self.0.connections.store(signed(connections), Relaxed);
        self.0.looks.fetch_add(1, AcqRel);
        left.unsigned_abs()
    }

    /// Counts the open descriptors anew.
    pub fn count(&self) {
        // Where they cannot be counted, what was known stays.
        let _counted = self.0.descriptors.count();
    }

    /// Room for a chat whose body states so many bytes, or none: what its body is charged, and what it has for as long as it stays.
    ///
    /// # Errors
    /// What is wanting.
    pub fn take(&self, body: u64) -> Result<(Charge, Stay), Lack> {
        let looks = self.0.looks.load(Relaxed);
        let body = gathered(body);
        let (there, due) = (&self.0.requests, REQUEST.saturating_add(body));
        let lack = if there.load(Relaxed) < due {
            Lack::Memory
        } else if !self.0.descriptors.take() {
            // Memory is taken last: of who is refused nothing is kept.
            Lack::Descriptors
        } else if !took(there, due) {
            self.0.descriptors.opened();
            Lack::Memory
        } else {
            return Ok((Charge { looks, ahead: body, small: SMALL }, Stay::begin(self)));
        };
        Err(self.refuse(lack))
    }

    /// So many more bytes of a chat's body have come, whatever it has stated. What was charged for its length is theirs only until
    /// memory is measured anew: a body that is held back has nothing then, and one that states no length never had.
    ///
    /// # Errors
    /// What is wanting.
    pub fn comes(&self, charge: &mut Charge, bytes: usize) -> Result<(), Lack> {
        let looks = self.0.looks.load(Relaxed);
        if charge.looks != looks {
            // What has come until now was measured.
            (charge.looks, charge.ahead) = (looks, 0);
        }
        let mut due = gathered(bytes as u64);
        for paid in [&mut charge.ahead, &mut charge.small] {
            let part = due.min(*paid);
            *paid -= part;
            due -= part;
        }
        if due == 0 || took(&self.0.requests, due) { Ok(()) } else { Err(self.refuse(Lack::Memory)) }
    }

    /// A chat's body comes no further: what was charged for the rest of its length is given back, unless memory was measured meanwhile,
    /// which has forgotten it.
    pub fn leaves(&self, charge: &mut Charge) {
        let there = &self.0.requests;
        // Without a limit nothing was taken.
        if charge.looks == self.0.looks.load(Relaxed) && there.load(Relaxed) != i64::MAX {
            there.fetch_add(std::mem::take(&mut charge.ahead), AcqRel);
        }
    }

    /// A chat that was let in ends for want of this all the same.
    pub fn turned_away(&self, lack: Lack) {
        let _lack = self.refuse(lack);
    }

    fn refuse(&self, lack: Lack) -> Lack {
        if let Some(refused) = self.0.refused.get(lack.place()) {
            refused.fetch_add(1, Relaxed);
        }
        lack
    }

    /// How many chats were refused for want of this.
    #[must_use]
    pub fn refused(&self, lack: Lack) -> u64 {
        self.0.refused.get(lack.place()).map_or(0, |refused| refused.load(Relaxed))
    }

    /// What is wanting for one more connection.
    #[must_use]
    pub fn lacks(&self) -> Option<Lack> {
        if self.0.connections.load(Relaxed) < CONNECTION {
            return Some(Lack::Memory);
        }
        (!self.0.descriptors.may_accept()).then_some(Lack::Descriptors)
    }

    /// A connection was accepted.
    pub(crate) fn accepted(&self) {
        let _there = took(&self.0.connections, CONNECTION);
        self.0.descriptors.accepted();
    }

    /// A connection begins that has no descriptor of its own.
    pub(crate) fn begun(&self) {
        let _there = took(&self.0.connections, CONNECTION);
    }
}

/// What a chat has for as long as it stays: its descriptor, until that is open, and the memory that it may still come to hold. A chat
/// whose engine is silent holds a part of what it was charged; without the promise of the rest, those who came next would take it, and all
/// of them would grow at once when the engine speaks.
#[derive(Debug)]
pub struct Stay {
    room: Room,
    /// Bytes.
    promised: i64,
    slot: Slot,
}

impl Stay {
    fn begin(room: &Room) -> Self {
        // Without a limit nobody writes, as in `took`.
        let promised = if room.0.requests.load(Relaxed) == i64::MAX { 0 } else { REQUEST - WAITING };
        room.0.promised.fetch_add(promised, AcqRel);
        Self { room: room.clone(), promised, slot: Slot::await_one(room) }
    }

    /// Its descriptor.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.slot.clone()
    }

    /// When that was open.
    #[must_use]
    pub fn opened(&self) -> Option<Instant> {
        self.slot.0.opened.get().copied()
    }

    /// So many bytes of its answer were given to its connection: it holds them, which is measured, or its reader has them.
    pub fn gave(&mut self, bytes: usize) {
        let part = i64::try_from(bytes).unwrap_or(i64::MAX).min(self.promised);
        if part > 0 {
            self.promised -= part;
            self.room.0.promised.fetch_sub(part, AcqRel);
        }
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.gave(usize::MAX);
        self.slot.0.given_up();
    }
}

/// The descriptor of a chat's backend, which is taken when the chat is let in and opened once its body has come. Clones are the same.
#[derive(Debug, Clone)]
pub struct Slot(Arc<Awaited>);

#[derive(Debug)]
struct Awaited {
    room: Room,
    is_awaited: AtomicBool,
    opened: OnceLock<Instant>,
}

impl Slot {
    fn await_one(room: &Room) -> Self {
        let (room, is_awaited, opened) = (room.clone(), AtomicBool::new(true), OnceLock::new());
        Self(Arc::new(Awaited { room, is_awaited, opened }))
    }

    /// It is open, or an open one serves as well.
    pub fn opened(&self) {
        self.0.opened.get_or_init(Instant::now);
        self.0.given_up();
    }
}

impl Awaited {
    fn given_up(&self) {
        if self.is_awaited.swap(false, AcqRel) {
            self.room.0.descriptors.opened();
        }
    }
}

/// What a body takes in the end: it is gathered, and grows by halves of itself.
fn gathered(body: u64) -> i64 {
    i64::try_from(body).unwrap_or(i64::MAX).saturating_mul(2)
}

/// Takes so much of what there is, if it is there. Without a limit nobody writes, so that no thread waits for another's.
fn took(there: &AtomicI64, bytes: i64) -> bool {
    match there.load(Relaxed) {
        i64::MAX => true,
        left if left < bytes => false,
        // Two at once may take the last of it, which is one too many.
        _ => {
            there.fetch_sub(bytes, AcqRel);
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_limit_there_is_always_memory() {
        let room = Room::default();
        for _ in 0..100 {
            let (mut charge, _stay) = room.take(u64::MAX).unwrap();
            assert_eq!(room.comes(&mut charge, usize::MAX), Ok(()));
            room.measured(u64::MAX, u64::MAX);
            assert_eq!(room.comes(&mut charge, usize::MAX), Ok(()));
            room.leaves(&mut room.take(1).unwrap().0);
            room.accepted();
        }
        assert_eq!(room.lacks(), None);
        assert_eq!([room.refused(Lack::Memory), room.refused(Lack::Descriptors)], [0, 0]);
    }

    #[test]
    fn what_was_measured_is_used_up_by_those_who_come() {
        let room = Room::default();
        let (chat, connection) = (REQUEST.unsigned_abs(), CONNECTION.unsigned_abs());
        room.measured(3 * chat, 2 * connection);
        let lacks = |body| room.take(body).err();
        assert_eq!([lacks(0), lacks(chat / 2)], [None; 2]);
        assert_eq!(lacks(0), Some(Lack::Memory));
        assert_eq!(room.refused(Lack::Memory), 1);
        assert_eq!(room.lacks(), None, "connections have a bound of their own");
        room.accepted();
        room.begun();
        assert_eq!(room.lacks(), Some(Lack::Memory));
        room.measured(chat, connection);
        assert_eq!((lacks(1), room.lacks()), (Some(Lack::Memory), None));
        assert_eq!(
            [lacks(u64::MAX), lacks(0)],
            [Some(Lack::Memory), None],
            "what does not fit takes nothing"
        );
    }

    #[test]
    fn what_is_refused_for_want_of_descriptors_takes_no_memory() {
        let room = Room::default();
        room.measured(REQUEST.unsigned_abs(), u64::MAX);
        room.0.descriptors.exhaust();
        assert_eq!([room.take(0).err(), room.take(0).err()], [Some(Lack::Descriptors); 2]);
        assert_eq!(room.0.requests.load(Relaxed), REQUEST);
    }

    #[test]
    fn what_a_body_has_stated_and_does_not_send_is_given_back() {
        let (room, chat) = (Room::default(), REQUEST.unsigned_abs());
        let left = || room.0.requests.load(Relaxed);
        room.measured(chat + 2000, u64::MAX);
        let mut half = room.take(1000).unwrap().0;
        assert_eq!(left(), 0);
        assert_eq!(room.comes(&mut half, 400), Ok(()));
        room.leaves(&mut half);
        assert_eq!(left(), 1200);
        room.leaves(&mut half);
        assert_eq!(left(), 1200, "once");
        room.measured(chat + 2000, u64::MAX);
        let mut held = room.take(1000).unwrap().0;
        room.measured(10, u64::MAX);
        room.leaves(&mut held);
        assert_eq!(left(), 10, "it was measured meanwhile");
    }

    #[test]
    fn a_body_is_charged_as_it_comes_whatever_it_has_stated() {
        let room = Room::default();
        let (chat, small) = (REQUEST.unsigned_abs(), usize::try_from(SMALL).unwrap() / 2);
        let measured = |bytes| room.measured(bytes, u64::MAX);
        measured(chat + 2000);
        // One of unknown length has its share, then what there is, and no more.
        let mut unknown = room.take(0).unwrap().0;
        assert_eq!(room.comes(&mut unknown, small), Ok(()));
        assert_eq!(room.comes(&mut unknown, 1000), Ok(()));
        assert_eq!(room.comes(&mut unknown, 1), Err(Lack::Memory));
        assert_eq!(room.refused(Lack::Memory), 1);
        // What was stated is charged once where it comes at once,
        measured(chat + 2000);
        let mut stated = room.take(1000).unwrap().0;
        assert_eq!(room.comes(&mut stated, 600), Ok(()));
        assert_eq!(room.comes(&mut stated, 400 + small), Ok(()));
        // and again where it is held back until memory is measured anew.
        measured(chat + 2000);
        let mut held = room.take(1000).unwrap().0;
        measured(1998);
        assert_eq!(room.comes(&mut held, small), Ok(()), "each chat has so much");
        assert_eq!(room.comes(&mut held, 999), Ok(()));
        assert_eq!(room.comes(&mut held, 1), Err(Lack::Memory));
        measured(0);
        assert_eq!(
            room.comes(&mut Charge { small: 2, ..Charge::default() }, 1),
            Ok(()),
            "a short one comes whole"
        );
    }

    #[test]
    fn what_a_chat_was_charged_and_does_not_hold_yet_stays_charged_until_it_does() {
        let (room, chat) = (Room::default(), REQUEST.unsigned_abs());
        let promised = (REQUEST - WAITING).unsigned_abs();
        assert_eq!(room.measured(10 * chat, u64::MAX), 10 * chat);
        let mut stays: Vec<_> = (0..2).map(|_| room.take(0).unwrap().1).collect();
        let left = || room.measured(10 * chat, u64::MAX);
        assert_eq!(left(), 10 * chat - 2 * promised);
        stays[0].gave(1000);
        assert_eq!(left(), 10 * chat - 2 * promised + 1000);
        stays[0].gave(usize::MAX);
        stays[0].gave(1);
        assert_eq!(left(), 10 * chat - promised, "no more than it was promised");
        drop(stays.remove(0));
        assert_eq!(left(), 10 * chat - promised);
        drop(stays);
        assert_eq!(left(), 10 * chat);
        // What is promised beyond what there is, is nobody's.
        let _stay = room.take(0).unwrap().1;
        assert_eq!(room.measured(1, u64::MAX), 0);
        assert_eq!(room.measured(u64::MAX, u64::MAX), i64::MAX.unsigned_abs());
        assert_eq!(room.take(0).unwrap().1.promised, 0, "nothing is promised of what has no end");
    }

    #[test]
    fn what_was_given_while_memory_was_measured_counts_as_promised() {
        let (room, chat) = (Room::default(), REQUEST.unsigned_abs());
        room.measured(10 * chat, u64::MAX);
        let mut stay = room.take(0).unwrap().1;
        let before = room.promised();
        stay.gave(usize::MAX);
        assert_eq!(room.measured_since(&before, chat, u64::MAX), WAITING.unsigned_abs());
        assert_eq!(room.measured(chat, u64::MAX), chat);
    }

    #[test]
    fn a_descriptor_is_awaited_until_it_is_open_or_its_chat_has_gone() {
        let room = Room::default();
        let awaited = || room.0.descriptors.awaited();
        let [opened, left] = [(); 2].map(|()| room.take(0).unwrap().1);
        assert_eq!((awaited(), opened.opened()), (2, None));
        let slot = opened.slot();
        slot.opened();
        slot.opened();
        assert!(awaited() == 1 && opened.opened().is_some());
        drop(opened);
        assert_eq!(awaited(), 1);
        drop(left);
        assert_eq!(awaited(), 0);
    }
}
