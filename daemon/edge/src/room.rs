//! How much room there is for those who come: of memory, as somebody else measures it, and of descriptors.
//!
//! Knows what connections and requests take of both. Refuses to know how memory is measured, and what its bounds are. Invariants: what
//! was measured is used up by those who come, and by the bytes that are gathered of bodies and answers, until it is measured anew;
//! whoever measures is told what those who are in may come to hold.

mod stay;

use std::sync::{
    Arc,
    atomic::{
        AtomicI64, AtomicU64,
        Ordering::{AcqRel, Relaxed},
    },
};

pub use crate::descriptors::is_out;
pub use stay::{Slot, Stay};

use crate::descriptors::Descriptors;

/// What a chat may come to hold, its connection's share included (F-04 of the research on security; 120 to 260 kB were measured).
const REQUEST: i64 = 300 << 10;
/// The same: with less than this no chat is let in.
pub const CHAT: u64 = REQUEST.unsigned_abs();
/// Of that, what is for a body of some kB (twice its length), which is not charged once more.
const SMALL: i64 = 64 << 10;
/// Of that, what it holds at the least, while its engine is silent: 48 to 100 kB were measured.
pub const WAITING: u64 = 48 << 10;
/// What a connection holds before it asks for anything: TLS' buffers and keys (50 kB were measured).
const CONNECTION: i64 = 64 << 10;
/// The same.
pub const IDLE: u64 = CONNECTION.unsigned_abs();

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

/// Who is in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// How many chats.
    pub chats: u64,
    /// How many bytes of their bodies and answers are gathered.
    pub gathered: u64,
}

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
    /// Chats that are in, and what is gathered for them, in bytes.
    chats: AtomicI64,
    gathered: AtomicI64,
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
            chats: AtomicI64::new(0),
            gathered: AtomicI64::new(0),
            descriptors: Descriptors::default(),
            refused: Default::default(),
        }
    }
}

impl Room {
    /// Who is in now.
    #[must_use]
    pub fn load(&self) -> Load {
        let of = |count: &AtomicI64| u64::try_from(count.load(Relaxed)).unwrap_or(0);
        Load { chats: of(&self.0.chats), gathered: of(&self.0.gathered) }
    }

    /// From now on there are so many bytes for further chats, and so many for connections.
    pub fn measured(&self, requests: u64, connections: u64) {
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.0.requests.store(signed(requests), Relaxed);
        self.0.connections.store(signed(connections), Relaxed);
        self.0.looks.fetch_add(1, AcqRel);
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

/// What a body, or an answer, takes in the end: it is gathered, and grows by halves of itself.
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
    fn who_is_in_counts_until_he_leaves_and_what_is_gathered_for_him_until_nobody_gathers() {
        let room = Room::default();
        let mut stays: Vec<_> = (0..2).map(|_| room.take(0).unwrap().1).collect();
        stays[0].holds(1000);
        let slot = stays[1].slot();
        slot.gathers(500).unwrap();
        assert_eq!(room.load(), Load { chats: 2, gathered: 3000 });
        drop(stays.remove(0));
        assert_eq!(room.load(), Load { chats: 1, gathered: 1000 });
        drop(stays);
        assert_eq!(room.load(), Load { chats: 0, gathered: 1000 });
        drop(slot);
        assert_eq!(room.load(), Load::default());
    }

    #[test]
    fn an_answer_is_gathered_as_long_as_there_is_memory_for_it() {
        let (room, chat) = (Room::default(), REQUEST.unsigned_abs());
        let small = usize::try_from(SMALL / 2).unwrap();
        room.measured(chat + 2000, u64::MAX);
        let (_charge, stay) = room.take(0).unwrap();
        let slot = stay.slot();
        assert_eq!(
            [small, 600, 400, 1].map(|bytes| slot.gathers(bytes)),
            [Ok(()), Ok(()), Ok(()), Err(Lack::Memory)]
        );
        assert_eq!(room.refused(Lack::Memory), 1);
        room.measured(u64::MAX, u64::MAX);
        assert_eq!(slot.gathers(usize::MAX / 4), Ok(()), "without a limit");
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
