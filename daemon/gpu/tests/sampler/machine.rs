//! A machine whose cards stand in a text file, and its sampler.

use std::{
    env, fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ghostllm_gpu::{Missing, Options, Sampler, Seen};
use tempfile::TempDir;

/// What the recorded card says when it is idle (tests/recordings/nvml/h100).
pub(crate) const H100: &str = "\
0.name=NVIDIA H100 80GB HBM3\n0.memory=85520809984\n0.free=85017493504\n0.temperature=38\n0.margin=49\n0.gpu_max=87\n\
0.slowdown=89\n0.shutdown=95\n0.mem_max=95\n0.field.82=38\n0.field.193=-8\n0.field.194=-2\n0.power=74378\n0.limit=700000\n\
0.energy=2479716\n0.sm=345\n0.sm_most=1980\n0.mem=2619\n0.mem_most=2619\n0.reasons=1\n0.busy=3\n0.mem_busy=1\n0.fans=0\n\
0.generation=5\n0.generation_most=5\n0.lanes=16\n0.lanes_most=16\n0.corrected=2\n0.uncorrected=1\n0.remapped=4\n\
0.remap_pending=1\n0.processes=1234:1048576,99:2048\n0.mig=0\n";

/// A copy of the library beside its state.
pub(crate) struct Machine {
    folder: TempDir,
}

impl Machine {
    /// One of NVIDIA's driver 580.95.05 with so many cards.
    pub(crate) fn new(count: u32, state: &str) -> Self {
        let machine = Self::bare();
        machine.installed(&[]);
        machine.becomes(&with(count, state));
        machine
    }

    /// One without NVIDIA's driver.
    pub(crate) fn bare() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    /// It has the library from now on, without these symbols.
    pub(crate) fn installed(&self, lacking: &[&str]) {
        let built = fs::read(env::current_exe().unwrap().with_file_name("libghostllm_fake_nvml.so")).unwrap();
        let library = ghostllm_fake_nvml::without(built, lacking).unwrap();
        self.whole("libnvidia-ml.so.1", &library);
    }

    pub(crate) fn becomes(&self, state: &str) {
        self.whole("libnvidia-ml.so.1.state", state.as_bytes());
    }

    /// Whole at once: it is read at each call.
    fn whole(&self, name: &str, content: &[u8]) {
        let new = self.folder.path().join("new");
        fs::write(&new, content).unwrap();
        fs::rename(&new, self.folder.path().join(name)).unwrap();
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("libnvidia-ml.so.1")
    }

    /// The kernel's files; there are none unless a test puts them there.
    pub(crate) fn sys(&self) -> PathBuf {
        self.folder.path().join("sys")
    }

    pub(crate) fn watched(&self) -> Watched {
        Watched::of(&self.library())
    }
}

/// The whole state file.
pub(crate) fn with(count: u32, state: &str) -> String {
    format!("driver=580.95.05\ncount={count}\n{state}")
}

/// A sampler in a hurry.
pub(crate) struct Watched {
    pub(crate) sampler: Sampler,
}

pub(crate) const DEADLINE: Duration = Duration::from_millis(300);

impl Watched {
    pub(crate) fn of(library: &Path) -> Self {
        let options = Options {
            nvml_library: library.to_owned(),
            sysfs_root: library.with_file_name("sys"),
            every: Duration::from_millis(20),
            near_every: Duration::from_millis(10),
            whole_every: Duration::ZERO,
            deadline: DEADLINE,
            reopen: Duration::from_millis(200),
        };
        Self { sampler: Sampler::start(options, Instant::now()).unwrap() }
    }

    /// Waits until there is such a thing to see.
    pub(crate) fn until<T>(&self, mut look: impl FnMut(&[Seen], Option<Missing>) -> Option<T>) -> T {
        let (began, mut news, mut seen) = (Instant::now(), 0, Vec::new());
        loop {
            self.sampler.read(&mut seen);
            let missing = self.sampler.missing();
            let words = format!("{missing:?}");
            if let Some(found) = look(&seen, missing) {
                return found;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "it is never so: {words}, {seen:?}");
            news = self.sampler.news(news, Duration::from_millis(50));
        }
    }

    /// Waits until there are so many, and each has answered.
    pub(crate) fn all(&self, count: usize) -> Vec<Seen> {
        self.until(|seen, _| {
            let all = seen.len() == count && seen.iter().all(|seen| seen.number > 0);
            all.then(|| seen.to_vec())
        })
    }

    /// Waits until this card has answered so.
    pub(crate) fn card(&self, index: usize, is: impl Fn(&Seen) -> bool) -> Seen {
        self.until(|seen, _| seen.get(index).filter(|seen| seen.number > 0 && is(seen)).cloned())
    }

    /// Waits for another answer to a question that is put from now on.
    pub(crate) fn next(&self, index: usize) -> Seen {
        let before = self.card(index, |_| true).number;
        self.card(index, |seen| seen.number > before + 1)
    }
}
