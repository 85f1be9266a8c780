//! How much room there is: of memory, as far as the process's control groups let it, and of descriptors.
//!
//! Knows where the kernel says it and how often to look; core knows what that means. Refuses to know what those who come take, which
//! [`Room`] counts between two looks. Invariants: no look needs a descriptor more than the last one, unless there was
//! nothing to look at; without a limit of memory nothing is ever refused for it; what cannot be read is said once. The files are read
//! beside the threads that serve, one look after the other.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
    time::Duration,
};

use ghostllm_core::cgroup::{self, Bounds, GROUPS, Groups, MOUNTS, Memory, Version};
use ghostllm_edge::{
    drain::EndIdle,
    room::{CHAT, Lack, Room},
};
use nix::libc::{EMFILE, ENFILE};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};

use crate::{app::Standing, pipeline::Pipeline, process};

/// How often is looked where memory has a limit: the limits and the usage of each group, and near the bounds of what that consists,
/// which is a longer file.
const LIMITED: Duration = Duration::from_millis(100);
/// How often where it has none, or where it is not known, and then the groups are looked for anew: a controller that is turned on again
/// has other files. Descriptors are counted by those who take the last as well.
const UNLIMITED: Duration = Duration::from_secs(1);
/// How old what the usage consists of may be below half of the first bound, where it decides nothing.
const FAR: Duration = Duration::from_secs(1);
/// So long there must have been room for connections before it is told that they are accepted; the listeners' log has the same.
const WELL: Duration = Duration::from_secs(1);
/// With less than one part in so many of the limit this program has not filled the memory, and its connections are no help.
const OWN: u64 = 10;
/// So much it has in any case, as long as that is no more than a quarter of the limit: the program at rest (7 MB by `just bench`, more
/// with its threads and pages of files) leaves the dire state also where the limit is small.
const REST: u64 = 24 << 20;
/// What it holds itself.
const STATUS: &str = "/proc/self/status";
/// What can be done without is dropped, and spare memory given back, so often at the most while there is too little: either takes
/// milliseconds.
const AGAIN: Duration = Duration::from_secs(1);
/// So long spare memory is given back after it was short as well: those who held it are on their way out still.
const BEHIND: Duration = Duration::from_secs(5);
/// Where others have filled it, and giving back has not helped, the next time comes later and later, but no later than this.
const LONG: Duration = Duration::from_secs(60);
/// More than the longest of these files has (4 KiB).
const LONGEST: usize = 16 << 10;

/// What is known of the memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Gauged {
    /// None of the process's groups limits it.
    #[default]
    Unlimited,
    /// How much, what that means, and where it is short how much of it is this program's.
    Limited(Memory, cgroup::Room, Option<Own>),
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
}

/// The files of the groups, which stay open, so that they can be read without a descriptor to spare.
struct Gauge {
    version: Version,
    groups: Vec<Files>,
    /// Where it cannot be opened, nothing is said of it.
    own: Option<File>,
    text: Vec<u8>,
}

struct Files {
    limits: Vec<(&'static str, File)>,
    usage: File,
    stat: File,
    /// When that was read, and what it said.
    seen: Option<Instant>,
    reclaimable: u64,
    sockets: u64,
}

impl Gauge {
    /// None where no group could limit memory.
    fn open() -> io::Result<Option<Self>> {
        let read = |path| absent(fs::read_to_string(path));
        let (Some(groups), Some(mounts)) = (read(GROUPS)?, read(MOUNTS)?) else { return Ok(None) };
        let Some(found) = Groups::of(&groups, &mounts) else { return Ok(None) };
        let files =
            found.directories.iter().map(|directory| Files::open(Path::new(directory), found.version));
        let groups = files.filter_map(|files| absent(files).transpose()).collect::<io::Result<Vec<_>>>()?;
        let own = File::open(STATUS).ok();
        let version = found.version;
        Ok((!groups.is_empty()).then(|| Self { version, groups, own, text: vec![0; LONGEST] }))
    }

    /// None where no group limits it now. From so many percent of a limit on, what is used is of this moment.
    fn look(&mut self, from: u64) -> anyhow::Result<Option<Memory>> {
        let Self { version, groups, text, .. } = self;
        let mut nearest = None;
        for files in groups {
            nearest = Memory::nearest(nearest.into_iter().chain(files.look(*version, text, from)?));
        }
        Ok(nearest)
    }

    /// How much is this program's at the most: what it holds, and what the kernel holds for the sockets of its groups.
    fn own(&mut self) -> Option<u64> {
        let status = whole(self.own.as_ref()?, &mut self.text).ok()?;
        let sockets = self.groups.iter().map(|files| files.sockets).max().unwrap_or_default();
        Some((process::number(&status, "VmRSS:")? << 10).saturating_add(sockets))
    }
}

impl Files {
    fn open(directory: &Path, version: Version) -> io::Result<Self> {
        let open = |name: &'static str| File::open(directory.join(name));
        let mut limits = vec![(version.limit(), open(version.limit())?)];
        if let Some(name) = version.high() {
            limits.extend(absent(open(name))?.map(|file| (name, file)));
        }
        let (usage, stat) = (open(version.usage())?, open(version.stat())?);
        Ok(Self { limits, usage, stat, seen: None, reclaimable: 0, sockets: 0 })
    }

    /// None where it has no limit now.
    fn look(&mut self, version: Version, text: &mut [u8], from: u64) -> anyhow::Result<Option<Memory>> {
        let mut limits = Vec::new();
        for (name, file) in &self.limits {
            limits.push((*name, whole(file, text)?));
        }
        let limit = cgroup::limit(limits.iter().map(|(name, limit)| (*name, limit.as_str())))?;
        let Some(limit) = limit else { return Ok(None) };
        let usage = whole(&self.usage, text)?;
        let is_near = Memory::of(version, limit, &usage, 0)?.below(from) == 0;
        if is_near || self.seen.is_none_or(|seen| seen.elapsed() >= FAR) {
            let stat = whole(&self.stat, text)?;
            (self.reclaimable, self.sockets) = (cgroup::reclaimable(version, &stat)?, cgroup::sockets(&stat));
            self.seen = Some(Instant::now());
        }
        Ok(Some(Memory::of(version, limit, &usage, self.reclaimable)?))
    }
}

/// What is not there, as in the root of a hierarchy, is none.
fn absent<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Ok(there) => Ok(Some(there)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// All of a file as it is now. The kernel makes it anew for whoever reads from its beginning.
fn whole(file: &File, text: &mut [u8]) -> io::Result<String> {
    let mut length = 0;
    while let Some(rest) = text.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, length as u64)? {
            0 => break,
            more => length += more,
        }
    }
    Ok(String::from_utf8_lossy(text.get(..length).unwrap_or_default()).into_owned())
}

/// Does this with the gauge, if there is one, where it holds up nobody who is served.
async fn apart<T: Send + 'static>(
    gauge: &mut Option<Gauge>,
    work: impl FnOnce(&mut Gauge) -> T + Send + 'static,
) -> Option<T> {
    let mut taken = gauge.take()?;
    let working = spawn_blocking(move || {
        let done = work(&mut taken);
        (taken, done)
    });
    // It does not panic; if it did, the groups would be looked for anew.
    let (back, done) = working.await.ok()?;
    *gauge = Some(back);
    Some(done)
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
            Err(error) if matches!(error.raw_os_error(), Some(EMFILE | ENFILE)) => {}
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
        let (chats, connections) = shares(memory, bounds, state.room, spare);
        self.room.measured(chats, connections);
        if state.room == cgroup::Room::Dire && is_due(&mut state.dropped) {
            self.idle.now();
            self.pipeline.drop_caches();
        }
        let own = own.map(|bytes| Own { bytes, goes_on: chats >= CHAT });
        let is_new = self.standing.gauged(Gauged::Limited(memory, state.room, own));
        if is_new && (before, state.room) != (cgroup::Room::Enough, cgroup::Room::Enough) {
            say(memory, state.room, own);
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

fn say(memory: Memory, room: cgroup::Room, own: Option<Own>) {
    match room {
        cgroup::Room::Enough => tracing::info!(%memory, "there is enough memory again"),
        cgroup::Room::Short if own.is_some_and(|own| own.goes_on) => {
            tracing::warn!(%memory, "memory is short, but others have filled it: chats go on until it is nearly used up");
        }
        cgroup::Room::Short => {
            tracing::warn!(%memory, "memory is short: new chats are refused until there is more");
        }
        cgroup::Room::Dire => tracing::warn!(
            %memory,
            "memory is nearly used up: connections without a request are closed, further ones wait, and what can be made anew is dropped"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(directory: &Path, limit: &str, usage: &str) -> Files {
        fs::write(directory.join("memory.max"), limit).unwrap();
        fs::write(directory.join("memory.current"), usage).unwrap();
        fs::write(directory.join("memory.stat"), "anon 1\ninactive_file 100\n").unwrap();
        Files::open(directory, Version::Two).unwrap()
    }

    #[test]
    fn each_look_reads_the_files_as_they_are_then() {
        let (inner, outer) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let groups = vec![files(inner.path(), "max\n", "500\n"), files(outer.path(), "1000\n", "500\n")];
        let mut gauge = gauge(groups);
        assert_eq!(gauge.look(0).unwrap(), Some(Memory { limit: 1000, used: 400 }));
        fs::write(inner.path().join("memory.max"), "600\n").unwrap();
        assert_eq!(gauge.look(0).unwrap(), Some(Memory { limit: 600, used: 400 }));
        fs::write(inner.path().join("memory.max"), "max\n").unwrap();
        fs::write(outer.path().join("memory.max"), "max\n").unwrap();
        assert_eq!(gauge.look(0).unwrap(), None);
        fs::write(outer.path().join("memory.max"), "some\n").unwrap();
        assert!(gauge.look(0).unwrap_err().to_string().contains("memory.max has \"some\""));
    }

    fn gauge(groups: Vec<Files>) -> Gauge {
        Gauge { version: Version::Two, groups, own: File::open(STATUS).ok(), text: vec![0; LONGEST] }
    }

    #[test]
    fn the_limit_from_which_on_the_kernel_holds_up_counts_as_one() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("memory.high"), "800\n").unwrap();
        let mut gauge = gauge(vec![files(directory.path(), "1000\n", "500\n")]);
        assert_eq!(gauge.look(0).unwrap(), Some(Memory { limit: 800, used: 400 }));
        fs::write(directory.path().join("memory.high"), "max\n").unwrap();
        assert_eq!(gauge.look(0).unwrap(), Some(Memory { limit: 1000, used: 400 }));
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_usage_consists_of_is_read_once_a_second_until_it_is_near_a_bound() {
        let directory = tempfile::tempdir().unwrap();
        let mut gauge = gauge(vec![files(directory.path(), "1000\n", "500\n")]);
        let mut used = |from| gauge.look(from).unwrap().unwrap().used;
        assert_eq!(used(51), 400);
        fs::write(directory.path().join("memory.stat"), "anon 1\ninactive_file 200\n").unwrap();
        assert_eq!([used(51), used(50)], [400, 300]);
        fs::write(directory.path().join("memory.stat"), "anon 1\ninactive_file 300\n").unwrap();
        assert_eq!(used(51), 300);
        tokio::time::advance(FAR).await;
        assert_eq!(used(51), 200);
    }

    #[test]
    fn this_program_s_own_are_what_it_holds_and_the_sockets() {
        let directory = tempfile::tempdir().unwrap();
        let mut gauge = gauge(vec![files(directory.path(), "1000\n", "500\n")]);
        let held = gauge.own().unwrap();
        assert!(held > 1 << 20, "{held}");
        fs::write(directory.path().join("memory.stat"), "inactive_file 1\nsock 1099511627776\n").unwrap();
        gauge.look(0).unwrap();
        assert!(gauge.own().unwrap() >= 1 << 40);
    }

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

    #[tokio::test]
    async fn a_look_beside_the_requests_gives_the_gauge_back_and_one_that_panics_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let mut there = Some(gauge(vec![files(directory.path(), "1000\n", "500\n")]));
        let looked = apart(&mut there, |gauge| gauge.look(0)).await;
        assert_eq!(looked.unwrap().unwrap(), Some(Memory { limit: 1000, used: 400 }));
        assert!(there.is_some());
        let failed: Option<()> = apart(&mut there, |_gauge| panic!("as it must not")).await;
        assert!(failed.is_none() && there.is_none());
        assert_eq!(apart(&mut there, |_gauge| 1).await, None);
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

    #[test]
    fn a_group_without_the_files_is_passed_over_and_one_that_may_not_be_read_is_not() {
        let directory = tempfile::tempdir().unwrap();
        assert!(absent(Files::open(directory.path(), Version::One)).unwrap().is_none());
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(absent::<()>(Err(denied)).is_err());
    }

    #[test]
    fn this_process_can_look() {
        // Where the machine has no such groups there is nothing to look at.
        if let Some(mut gauge) = Gauge::open().unwrap() {
            gauge.look(0).unwrap();
        }
    }
}
