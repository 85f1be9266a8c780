//! How much room there is: of memory, as far as the process's control groups let it, and of descriptors.
//!
//! Knows where the kernel says it and how often to look; core knows what that means. Refuses to know what those who come take, which
//! [`Room`] counts between two looks. Invariants: no look needs a descriptor more than the last one; without a limit of memory
//! nothing is ever refused for it; what cannot be read is said once.

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
    room::{Lack, Room},
};
use tokio::time::{Instant, sleep};

use crate::{app::Standing, pipeline::Pipeline, process};

/// How often is looked where memory has a limit: the limits and the usage of each group, and near the bounds of what that consists,
/// which is a longer file.
const LIMITED: Duration = Duration::from_millis(100);
/// How often where it has none; descriptors are counted by those who take the last as well.
const UNLIMITED: Duration = Duration::from_secs(1);
/// How old what the usage consists of may be below half of the first bound, where it decides nothing.
const FAR: Duration = Duration::from_secs(1);
/// So long there must have been room for connections before it is told that they are accepted; the listeners' log has the same.
const WELL: Duration = Duration::from_secs(1);
/// With less than one part in so many of the limit this program has not filled the memory, and its connections are no help.
const OWN: u64 = 10;
/// What it holds itself.
const STATUS: &str = "/proc/self/status";
/// What can be done without is dropped, and spare memory given back, so often at the most while there is too little: either takes
/// milliseconds.
const AGAIN: Duration = Duration::from_secs(1);
/// More than the longest of these files has (4 KiB).
const LONGEST: usize = 16 << 10;

/// What is known of the memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Gauged {
    /// None of the process's groups limits it.
    #[default]
    Unlimited,
    /// How much, what that means, and where it is short how much of it is this program's, with the group's sockets.
    Limited(Memory, cgroup::Room, Option<u64>),
    /// It cannot be read, for this reason.
    Unknown(String),
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
    idle: u64,
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
        Ok(Self { limits, usage, stat, seen: None, idle: 0, sockets: 0 })
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
            (self.idle, self.sockets) = (cgroup::idle(version, &stat)?, cgroup::sockets(&stat));
            self.seen = Some(Instant::now());
        }
        Ok(Some(Memory::of(version, limit, &usage, self.idle)?))
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

/// Looks again and again.
pub(crate) async fn watch(watching: Watching) {
    let mut gauge = Gauge::open().unwrap_or_else(|error| {
        watching.unknown(&error.to_string());
        None
    });
    let (mut state, mut paused) = (State::default(), Paused::default());
    loop {
        watching.room.count();
        if let Some(gauge) = &mut gauge {
            watching.look(gauge, &mut state).await;
        }
        watching.standing.pauses(paused.next(watching.room.lacks()));
        sleep(if gauge.is_some() { LIMITED } else { UNLIMITED }).await;
    }
}

/// What was so at the last look.
#[derive(Default)]
struct State {
    room: cgroup::Room,
    trimmed: Option<Instant>,
    dropped: Option<Instant>,
    /// How many chats were refused for want of memory.
    refused: u64,
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
    async fn look(&self, gauge: &mut Gauge, state: &mut State) {
        let bounds = self.bounds();
        let Some(mut memory) = self.read(gauge, bounds) else { return };
        let refused = self.room.refused(Lack::Memory);
        let wanted = refused != std::mem::replace(&mut state.refused, refused);
        // What was freed may still be the allocator's, and counts as used until it has given it back.
        if (wanted || state.room.next(memory, bounds) > cgroup::Room::Enough) && is_due(&mut state.trimmed) {
            trim().await;
            memory = self.read(gauge, bounds).unwrap_or(memory);
        }
        let before = state.room;
        let room = before.next(memory, bounds);
        // As long as there is enough nobody asks.
        let own = if room > cgroup::Room::Enough { gauge.own() } else { None };
        let spare = own.map_or(0, |own| spare(own, memory.limit, before));
        state.room = if spare > 0 { room.min(cgroup::Room::Short) } else { room };
        let of = |room: cgroup::Room, bound| if state.room >= room { 0 } else { memory.below(bound) };
        let connections = of(cgroup::Room::Dire, bounds.dire).max(spare);
        self.room.measured(of(cgroup::Room::Short, bounds.short), connections);
        if state.room == cgroup::Room::Dire && is_due(&mut state.dropped) {
            self.idle.now();
            self.pipeline.drop_caches();
        }
        self.standing.gauged(Gauged::Limited(memory, state.room, own));
        if state.room != before {
            say(memory, state.room);
        }
    }

    /// How much is used; none where nothing limits it, or it cannot be read.
    fn read(&self, gauge: &mut Gauge, bounds: Bounds) -> Option<Memory> {
        match gauge.look(bounds.short / 2) {
            Ok(Some(memory)) => return Some(memory),
            Ok(None) => {
                let _is_new = self.standing.gauged(Gauged::Unlimited);
            }
            Err(error) => self.unknown(&error.to_string()),
        }
        // Nobody is refused for what is not known.
        self.room.measured(u64::MAX, u64::MAX);
        None
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
/// another program of the group, such as the engine, and closing connections frees nothing. It is left at half of that.
fn spare(own: u64, limit: u64, before: cgroup::Room) -> u64 {
    let parts = if before == cgroup::Room::Dire { 2 * OWN } else { OWN };
    (limit / parts).saturating_sub(own)
}

/// Gives spare memory back, beside the requests.
async fn trim() {
    // It does not panic.
    let _given = tokio::task::spawn_blocking(ghostllm_sys::trim).await;
}

fn say(memory: Memory, room: cgroup::Room) {
    match room {
        cgroup::Room::Enough => tracing::info!(%memory, "there is enough memory again"),
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
        let spare = |own, before| spare(own, 1000, before);
        assert_eq!([0, 99, 100, 900].map(|own| spare(own, cgroup::Room::Short)), [100, 1, 0, 0]);
        assert_eq!([49, 50, 99].map(|own| spare(own, cgroup::Room::Dire)), [1, 0, 0]);
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
