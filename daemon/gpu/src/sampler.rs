//! Every card, asked again and again, each on a thread of its own.
//!
//! Knows when a card is asked, and when it is late. Refuses to know what its answers mean, but how near they are to a limit. Invariants: who
//! reads never waits for a driver, and a card that hangs keeps no other waiting; there is never more than one thread for one card, however
//! long it hangs, and a library is opened anew only when none of its threads is left; a lost card and a library that fails are asked again
//! after [`Options::reopen`], not sooner.

use std::{
    io,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use ghostllm_readings::{Reading, Sample};

use crate::{
    card::LIBRARY,
    missing::Missing,
    who::{Identity, Who},
};

mod nvidia;
mod pace;
mod shared;
mod sysfs;
mod watch;

pub(crate) use shared::{Shared, Slot};
pub(crate) use watch::watch;

/// Where the kernel's files are (Documentation/filesystems/sysfs.rst).
const SYSFS: &str = "/sys";

/// How cards are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// NVML's file.
    pub nvml_library: PathBuf,
    /// The kernel's files: where `class/drm` is.
    pub sysfs_root: PathBuf,
    /// How often a card is asked.
    pub every: Duration,
    /// How often one that is near a limit is.
    pub near_every: Duration,
    /// How often a card is asked also what changes seldom: its limits, its link, its faults and who uses it.
    pub whole_every: Duration,
    /// After so long without an answer a card is late.
    pub deadline: Duration,
    /// After so long a lost card, or a driver that failed, is asked again, and it is looked for new ones.
    pub reopen: Duration,
}

impl Default for Options {
    /// Once a second, ten times near a limit; late after 2 s; anew after 30 s.
    fn default() -> Self {
        Self {
            nvml_library: PathBuf::from(LIBRARY),
            sysfs_root: PathBuf::from(SYSFS),
            every: Duration::from_secs(1),
            near_every: Duration::from_millis(100),
            whole_every: Duration::from_secs(10),
            deadline: Duration::from_secs(2),
            reopen: Duration::from_secs(30),
        }
    }
}

/// A card, as it was seen last.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Which one it is, counted from 0: NVIDIA's by their driver's count, then the others by their place on the bus. A card that comes
    /// or goes changes the number of those behind it; what stays is [`Identity::uuid`].
    pub index: u32,
    /// Who it is; none before it has answered.
    pub identity: Option<Arc<Identity>>,
    /// Its last answer, and when it was asked for that; [`NotAsked`](crate::Absent::NotAsked) before the first.
    pub sample: Sample,
    /// Who uses it.
    pub who: Who,
    /// How many times it has answered.
    pub number: u64,
    /// For how long it has not, where that is longer than [`Options::deadline`].
    pub late: Option<Duration>,
}

/// What the sampler needs of a card. It is asked on one thread, and may take for ever.
pub(crate) trait Ask {
    /// Who it is; asked until it is told.
    fn identity(&mut self) -> Reading<Identity>;
    /// What it says now; `whole`, with what changes seldom.
    fn sample(&mut self, at: Duration, whole: bool) -> Sample;
    /// Who uses it, by the last whole sample.
    fn who(&self) -> Who;
    /// It is to be asked no more.
    fn is_over(&self) -> bool;
}

/// Asks all cards until it is dropped.
#[derive(Debug)]
pub struct Sampler {
    shared: Arc<Shared>,
}

impl Sampler {
    /// Begins. Moments are counted from `since`.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(options: Options, since: Instant) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(options, since));
        let sampler = Self { shared: Arc::clone(&shared) };
        let nvidia = Arc::clone(&shared);
        thread::Builder::new().name("gpu-nvml".to_owned()).spawn(move || nvidia::keep(&nvidia))?;
        thread::Builder::new().name("gpu-sysfs".to_owned()).spawn(move || sysfs::keep(&shared))?;
        Ok(sampler)
    }

    /// Replaces what is in `seen` with what was seen last of each card. It waits for no driver.
    pub fn read(&self, seen: &mut Vec<Seen>) {
        self.shared.read(seen);
    }

    /// Why NVIDIA's cards cannot be asked; none where they can, or where that is not known yet.
    #[must_use]
    pub fn missing(&self) -> Option<Missing> {
        self.shared.missing()
    }

    /// Waits until there is news, be it an answer or that there is none, and says how many there have been; at once where there have been
    /// more than `known`, and at the latest after `longest`.
    #[must_use]
    pub fn news(&self, known: u64, longest: Duration) -> u64 {
        self.shared.news(known, longest)
    }
}

impl Drop for Sampler {
    /// A thread that hangs in a driver is left to it; the others end at once.
    fn drop(&mut self) {
        self.shared.stop();
    }
}
