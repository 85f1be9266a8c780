//! How much room there is: of memory, as far as the process's control groups let it, and of descriptors.
//!
//! Knows how often to look, and what follows; the gauge knows where the kernel says it, and core what that means. Refuses to know what those
//! who come take, which [`Room`] counts between two looks. Invariants: without a limit of memory nothing is ever refused for it; what
//! cannot be read is said once.

mod gauge;
mod growth;

use std::{sync::Arc, time::Duration};

use ghostllm_core::cgroup::{self, Bounds, Memory};
use ghostllm_edge::{
    drain::{self, EndIdle},
    room::{CHAT, Lack, Room, is_out},
};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};

use crate::{app::Standing, pipeline::Pipeline};
use gauge::{Gauge, apart};
use growth::Growth;

/// How often is looked where memory has a limit: the limits and the usage of each group, and near the bounds of what that consists,
/// which is a longer file.
const LIMITED: Duration = Duration::from_millis(100);
/// How often where it has none, or where it is not known, and then the groups are looked for anew: a controller that is turned on again
/// has other files. Descriptors are counted by those who take the last as well.
const UNLIMITED: Duration = Duration::from_secs(1);
/// So long there must have been room for connections before it is told that they are accepted; the listeners' log has the same.
const WELL: Duration = Duration::from_secs(1);
/// With less than one part in so many of the limit this program has not filled the memory, and its connections are no help.
const OWN: u64 = 10;
/// So much it has in any case, as long as that is no more than a quarter of the limit: the program at rest (7 MB by `just bench`, more
/// with its threads and pages of files) leaves the dire state also where the limit is small.
const REST: u64 = 24 << 20;
/// What can be done without is dropped, and spare memory given back, so often at the most while there is too little: either takes
/// milliseconds.
const AGAIN: Duration = Duration::from_secs(1);
/// So long spare memory is given back after it was short as well: those who held it are on their way out still.
const BEHIND: Duration = Duration::from_secs(5);
/// Where others have filled it, and giving back has not helped, the next time comes later and later, but no later than this.
const LONG: Duration = Duration::from_secs(60);
/// What is known of the memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Gauged {
    /// None of the process's groups limits it.
    #[default]
    Unlimited,
    /// How much, what that means, and where it is short how much of it is this program's.
    Limited(Memory, cgroup::Room, Option<Own>),
    /// So much is used, and there is enough, but the chats that are in may come to hold it.
    Promised(Memory),
    /// It cannot be read, for this reason.
    Unknown(String),
}

/// How much of what is short is this program's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Own {
    /// With the group's sockets.
    pub(crate) bytes: u64,
    /// Others have filled it, and chats are let in still.
    pub(crate) goes_on: bool,
}

/// What is looked at, and whom that concerns.
#[derive(Clone)]
pub(crate) struct Watching {
    pub(crate) room: Room,
    pub(crate) pipeline: Pipeline,
    pub(crate) standing: Arc<Standing>,
    pub(crate) idle: EndIdle,
    /// Counts the connections.
    pub(crate) drain: drain::Watch,
}

/// Looks again and again.
pub(crate) async fn watch(watching: Watching) {
    let (mut gauge, mut state, mut paused) = (None, State::default(), Paused::default());
    loop {
        if gauge.is_none() {
            gauge = watching.open().await;
        }
        // The gauge's among them.
        watching.room.count();
        let is_limited = watching.look(&mut gauge, &mut state).await;
        watching.standing.pauses(paused.next(watching.room.lacks()));
        sleep(if is_limited { LIMITED } else { UNLIMITED }).await;
    }
}

/// What was so at the last look.
#[derive(Default)]
struct State {
    room: cgroup::Room,
    trims: Trims,
    dropped: Option<Instant>,
    /// How many chats were refused for want of memory.
    refused: u64,
    /// Whether memory is short, and others have filled it.
    others: bool,
    growth: Growth,
    /// Whether there is none for a chat.
    full: Paused,
    /// Whether it is there, and those who are in may come to hold it.
    promised: bool,
    /// Whether either was so when it was told last.
    amiss: bool,
}

/// When spare memory was given back, and how long that is not done again.
#[derive(Default)]
struct Trims {
    last: Option<Instant>,
    rest: Duration,
    /// When memory was short last.
    short: Option<Instant>,
}

impl Trims {
    /// Where this program has filled the memory, what was freed since may be much: it is not waited for longer than [`AGAIN`].
    fn is_due(&mut self, short: bool, others: bool) -> bool {
        if short {
            self.short = Some(Instant::now());
        } else if self.short.is_none_or(|short| short.elapsed() > BEHIND) {
            return false;
        }
        let rest = if others { self.rest.max(AGAIN) } else { AGAIN };
        self.last.is_none_or(|last| last.elapsed() >= rest)
    }

    fn done(&mut self, has_helped: bool) {
        self.last = Some(Instant::now());
        self.rest = if has_helped { AGAIN } else { (self.rest.max(AGAIN) * 2).min(LONG) };
    }
}

/// Why no connection is accepted: a want that comes and goes is told as one.
#[derive(Default)]
struct Paused {
    lack: Option<Lack>,
    /// Since when nothing is wanting.
    well: Option<Instant>,
}

impl Paused {
    fn next(&mut self, lack: Option<Lack>) -> Option<Lack> {
        if lack.is_some() {
            (self.lack, self.well) = (lack, None);
        } else if self.well.get_or_insert_with(Instant::now).elapsed() >= WELL {
            self.lack = None;
        }
        self.lack
    }
}

fn is_due(last: &mut Option<Instant>) -> bool {
    let due = last.is_none_or(|last| last.elapsed() >= AGAIN);
    if due {
        *last = Some(Instant::now());
    }
    due
}

impl Watching {
    /// None where no group could limit memory, or it cannot be read.
    async fn open(&self) -> Option<Gauge> {
        // It does not panic.
        match spawn_blocking(Gauge::open).await.ok()? {
            Ok(Some(gauge)) => return Some(gauge),
            Ok(None) => self.unlimited(),
            // For want of descriptors, what was known stays.
            Err(error) if is_out(&error) => {}
            Err(error) => self.unknown(&error.to_string()),
        }
        None
    }

    /// Whether there is a limit.
    async fn look(&self, gauge: &mut Option<Gauge>, state: &mut State) -> bool {
        let bounds = self.bounds();
        let Some(mut memory) = self.read(gauge, bounds).await else { return false };
        let refused = self.room.refused(Lack::Memory);
        let wanted = refused != std::mem::replace(&mut state.refused, refused);
        // What was freed may still be the allocator's, and counts as used until it has given it back.
        let short = wanted || state.room.next(memory, bounds) > cgroup::Room::Enough;
        if state.trims.is_due(short, state.others) {
            trim().await;
            let Some(after) = self.read(gauge, bounds).await else { return false };
            state.trims.done(after.used < memory.used);
            memory = after;
        }
        let before = state.room;
        let room = before.next(memory, bounds);
        // As long as there is enough nobody asks.
        let own = if room > cgroup::Room::Enough { apart(gauge, Gauge::own).await.flatten() } else { None };
        let spare = own.map_or(0, |own| spare(own, memory.limit, before));
        state.others = spare > 0;
        state.room = if spare > 0 { room.min(cgroup::Room::Short) } else { room };
        let (chats, connections_may) = shares(memory, bounds, state.room, spare);
        // Who is let in by what was left until now is among those who are in.
        let connections = u64::try_from(self.drain.connections()).unwrap_or(u64::MAX);
        let left = chats.saturating_sub(state.growth.of(memory.used, self.room.load(), connections));
        self.room.measured(left, connections_may);
        if left < CHAT {
            state.promised = chats >= CHAT;
        }
        let is_full = state.full.next((left < CHAT).then_some(Lack::Memory)).is_some();
        if state.room == cgroup::Room::Dire && is_due(&mut state.dropped) {
            self.idle.now();
            self.pipeline.drop_caches();
        }
        let gauged = match state.room {
            cgroup::Room::Enough if is_full && state.promised => Gauged::Promised(memory),
            // A chat would take it beyond the bound.
            cgroup::Room::Enough if is_full => Gauged::Limited(memory, cgroup::Room::Short, None),
            room => Gauged::Limited(memory, room, own.map(|bytes| Own { bytes, goes_on: !is_full })),
        };
        let is_amiss = is_full || state.room > cgroup::Room::Enough;
        // What goes well from the start on is not told.
        let was_amiss = std::mem::replace(&mut state.amiss, is_amiss);
        if self.standing.gauged(gauged.clone()) && (is_amiss || was_amiss) {
            say(&gauged);
        }
        true
    }

    /// How much is used; none where nothing limits it, or it cannot be read.
    async fn read(&self, gauge: &mut Option<Gauge>, bounds: Bounds) -> Option<Memory> {
        let from = bounds.short / 2;
        let looked = apart(gauge, move |gauge| gauge.look(from)).await;
        match looked {
            Some(Ok(Some(memory))) => return Some(memory),
            Some(Ok(None)) => self.unlimited(),
            Some(Err(error)) => {
                // The files of a controller that was turned off say nothing any more, also once it is on again.
                *gauge = None;
                self.unknown(&error.to_string());
            }
            // Whoever found no groups has said so.
            None => {}
        }
        // Nobody is refused for what is not known.
        self.room.measured(u64::MAX, u64::MAX);
        None
    }

    fn unlimited(&self) {
        let _is_new = self.standing.gauged(Gauged::Unlimited);
    }

    fn bounds(&self) -> Bounds {
        let settings = self.pipeline.settings();
        let percent = |percent: usize| u64::try_from(percent).unwrap_or(u64::MAX);
        Bounds { short: percent(settings.limits.memory_shed), dire: percent(settings.limits.memory_drop) }
    }

    fn unknown(&self, why: &str) {
        if self.standing.gauged(Gauged::Unknown(why.to_owned())) {
            tracing::warn!(
                "how much memory this program may have cannot be read, so it is not kept to: {why}"
            );
        }
    }
}

/// How much this program, which holds so much of the limit, may grow by before it is among those that have filled it: until then it is
/// another program of the group, such as the engine, and closing connections frees nothing. It is left at half of that, or at
/// [`REST`].
fn spare(own: u64, limit: u64, before: cgroup::Room) -> u64 {
    let parts = if before == cgroup::Room::Dire { 2 * OWN } else { OWN };
    (limit / parts).max(REST.min(limit / 4)).saturating_sub(own)
}

/// How many bytes there are for chats, and how many for connections. Where others have filled the memory, this program may have what it
/// has to spare: as for chats, up to the second bound.
fn shares(memory: Memory, bounds: Bounds, now: cgroup::Room, spare: u64) -> (u64, u64) {
    let of = |room: cgroup::Room, bound| if now >= room { 0 } else { memory.below(bound) };
    let chats = of(cgroup::Room::Short, bounds.short).max(spare.min(memory.below(bounds.dire)));
    (chats, of(cgroup::Room::Dire, bounds.dire).max(spare))
}

/// Gives spare memory back, beside the requests.
async fn trim() {
    // It does not panic.
    let _given = spawn_blocking(ghostllm_sys::trim).await;
}

fn say(gauged: &Gauged) {
    match gauged {
        Gauged::Limited(memory, cgroup::Room::Enough, _) => {
            tracing::info!(%memory, "there is enough memory again");
        }
        Gauged::Limited(memory, cgroup::Room::Short, own) if own.is_some_and(|own| own.goes_on) => {
            tracing::warn!(%memory, "memory is short, but others have filled it: chats go on until it is nearly used up");
        }
        Gauged::Limited(memory, cgroup::Room::Short, _) => {
            tracing::warn!(%memory, "memory is short: new chats are refused until there is more");
        }
        Gauged::Limited(memory, cgroup::Room::Dire, _) => tracing::warn!(
            %memory,
            "memory is nearly used up: connections without a request are closed, further ones wait, and what can be made anew is dropped"
        ),
        Gauged::Promised(memory) => tracing::warn!(
            %memory,
            "the memory that is left may be taken by the chats that are open: new chats are refused until some of them have ended"
        ),
        // These have words of their own.
        Gauged::Unlimited | Gauged::Unknown(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_others_have_filled_leaves_this_program_some() {
        use cgroup::Room::{Dire, Short};
        // In MiB.
        let spare = |own: u64, limit: u64, before| spare(own << 20, limit << 20, before) >> 20;
        assert_eq!([0, 99, 100, 900].map(|own| spare(own, 1000, Short)), [100, 1, 0, 0]);
        assert_eq!([49, 50, 99].map(|own| spare(own, 1000, Dire)), [1, 0, 0]);
        // At rest it is among those only in the smallest groups.
        assert_eq!([23, 24].map(|own| [spare(own, 128, Short), spare(own, 128, Dire)]), [[1; 2], [0; 2]]);
        assert_eq!([9, 10].map(|own| [spare(own, 40, Short), spare(own, 40, Dire)]), [[1; 2], [0; 2]]);
    }

    #[test]
    fn chats_go_on_up_to_the_second_bound_where_others_have_filled_the_memory() {
        use cgroup::Room::{Dire, Enough, Short};
        let bounds = Bounds { short: 80, dire: 95 };
        let of = |used, now, spare| shares(Memory { limit: 1000, used }, bounds, now, spare);
        assert_eq!(of(300, Enough, 0), (500, 650));
        assert_eq!([of(850, Short, 0), of(850, Short, 70)], [(0, 100), (70, 100)]);
        assert_eq!([of(930, Short, 70), of(950, Short, 70)], [(20, 70), (0, 70)]);
        assert_eq!(of(950, Dire, 0), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_others_have_filled_is_trimmed_for_in_vain_ever_more_seldom() {
        let mut trims = Trims::default();
        assert!(trims.is_due(true, true));
        for rest in [2, 4, 8, 16, 32, 60, 60] {
            trims.done(false);
            tokio::time::advance(Duration::from_millis(rest * 1000 - 1)).await;
            assert!(!trims.is_due(true, true), "{rest}");
            assert!(trims.is_due(true, false), "what this program has filled it may free at any time");
            tokio::time::advance(Duration::from_millis(1)).await;
            assert!(trims.is_due(true, true), "{rest}");
        }
        trims.done(true);
        assert!(!trims.is_due(true, false));
        tokio::time::advance(AGAIN).await;
        assert!(trims.is_due(true, true));
    }

    #[tokio::test(start_paused = true)]
    async fn spare_memory_is_given_back_for_a_while_after_it_was_short() {
        let mut trims = Trims::default();
        assert!(!trims.is_due(false, false), "it never was");
        assert!(trims.is_due(true, false));
        trims.done(true);
        for _ in 0..5 {
            assert!(!trims.is_due(false, false));
            tokio::time::advance(AGAIN).await;
            assert!(trims.is_due(false, false));
            trims.done(true);
        }
        tokio::time::advance(AGAIN).await;
        assert!(!trims.is_due(false, false), "long ago");
    }

    #[tokio::test(start_paused = true)]
    async fn connections_are_told_to_be_accepted_once_they_have_been_for_a_second() {
        let mut paused = Paused::default();
        assert_eq!(paused.next(None), None);
        let memory = Some(Lack::Memory);
        assert_eq!([paused.next(memory), paused.next(None)], [memory; 2]);
        tokio::time::advance(Duration::from_millis(900)).await;
        assert_eq!([paused.next(None), paused.next(memory), paused.next(None)], [memory; 3]);
        tokio::time::advance(Duration::from_millis(900)).await;
        assert_eq!(paused.next(None), memory);
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!(paused.next(None), None);
    }
}
