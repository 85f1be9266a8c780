//! What the kernel says of the memory of the process's control groups.
//!
//! Knows their files. Refuses to know what follows from what they say. Invariants: no look needs a descriptor more than the last one; the
//! files are read beside the threads that serve, one look after the other.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::Path,
    time::Duration,
};

use ghostllm_core::cgroup::{self, GROUPS, Groups, MOUNTS, Memory, Version};
use tokio::{task::spawn_blocking, time::Instant};

use crate::process;

/// How old what the usage consists of may be below half of the first bound, where it decides nothing.
const FAR: Duration = Duration::from_secs(1);
/// What it holds itself.
const STATUS: &str = "/proc/self/status";
/// More than the longest of these files has (4 KiB).
const LONGEST: usize = 16 << 10;

/// The files of the groups, which stay open, so that they can be read without a descriptor to spare.
pub(super) struct Gauge {
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
    pub(super) fn open() -> io::Result<Option<Self>> {
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
    pub(super) fn look(&mut self, from: u64) -> anyhow::Result<Option<Memory>> {
        let Self { version, groups, text, .. } = self;
        let mut nearest = None;
        for files in groups {
            nearest = Memory::nearest(nearest.into_iter().chain(files.look(*version, text, from)?));
        }
        Ok(nearest)
    }

    /// How much is this program's at the most: what it holds, and what the kernel holds for the sockets of its groups.
    pub(super) fn own(&mut self) -> Option<u64> {
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
pub(super) async fn apart<T: Send + 'static>(
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
