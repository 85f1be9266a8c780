//! Control groups with a limit of memory, real ones, and files that look like one.
//!
//! Knows both versions of the kernel's. Refuses to know the daemon's code. Invariant: a real group lies below the one that the test
//! runs in (the first version) or in the root (the second, where a group with processes may have none below it), and goes with
//! this value.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

/// The kernel lets go of a group some time after its last process.
const PATIENCE: Duration = Duration::from_secs(10);

/// A group of its own.
#[derive(Debug)]
pub struct Group {
    directory: PathBuf,
    two: bool,
}

/// Where a hierarchy is mounted: the last fields of its line in mountinfo decide.
fn mount(is: impl Fn(&str, &str) -> bool) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let kind: Vec<&str> = kind.split(' ').collect();
        is(kind.first()?, kind.last()?).then(|| mount.split(' ').nth(4).map(PathBuf::from))?
    })
}

fn has_memory(kind: &str, options: &str) -> bool {
    kind == "cgroup" && options.split(',').any(|option| option == "memory")
}

impl Group {
    /// One that may have so many bytes.
    ///
    /// # Errors
    /// This user may not make one, or the kernel has none for memory.
    pub fn new(limit: u64) -> Result<Self> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("ghostllm-test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let (parent, two) = match mount(has_memory) {
            Some(mount) => {
                let line = own.lines().find_map(|line| line.split_once(":memory:")).context("no group")?;
                (mount.join(line.1.trim_start_matches('/')), false)
            }
            None => (mount(|kind, _| kind == "cgroup2").context("no control groups are mounted")?, true),
        };
        let group = Self { directory: parent.join(name), two };
        fs::create_dir(&group.directory)
            .with_context(|| format!("{} cannot be made", group.directory.display()))?;
        let file = if two { "memory.max" } else { "memory.limit_in_bytes" };
        fs::write(group.directory.join(file), limit.to_string())
            .with_context(|| format!("the kernel limits no memory in {}", group.directory.display()))?;
        if two {
            // What is swapped out instead would hide what is too much.
            let _unswapped = fs::write(group.directory.join("memory.swap.max"), "0");
        }
        Ok(group)
    }

    /// What becomes a program within it (see `Setup::prefix`).
    #[must_use]
    pub fn prefix(&self) -> Vec<String> {
        let enter = "echo $$ > \"$0\"/cgroup.procs && exec \"$@\"";
        ["sh", "-c", enter, &self.directory.display().to_string()].map(str::to_owned).to_vec()
    }

    fn read(&self, file: &str) -> Result<String> {
        fs::read_to_string(self.directory.join(file)).with_context(|| format!("{file} cannot be read"))
    }

    /// How many of its processes the kernel has killed for memory.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn killed(&self) -> Result<u64> {
        let file = if self.two { "memory.events" } else { "memory.oom_control" };
        let text = self.read(file)?;
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        Ok(count.with_context(|| format!("{file} has no oom_kill"))?.trim().parse()?)
    }

    /// The most memory that it has had, in bytes; since Linux 5.19 on the second version.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn peak(&self) -> Result<u64> {
        let file = if self.two { "memory.peak" } else { "memory.max_usage_in_bytes" };
        Ok(self.read(file)?.trim().parse()?)
    }

    /// How often it was at its limit, and the kernel has looked for what it could do without.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn pressed(&self) -> Result<u64> {
        if !self.two {
            return Ok(self.read("memory.failcnt")?.trim().parse()?);
        }
        let text = self.read("memory.events")?;
        let count = text.lines().find_map(|line| line.strip_prefix("max "));
        Ok(count.context("memory.events has no max")?.trim().parse()?)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let begun = Instant::now();
        while fs::remove_dir(&self.directory).is_err_and(|error| error.kind() != std::io::ErrorKind::NotFound)
            && begun.elapsed() < PATIENCE
        {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Files that look like a group of the second version's with a limit, in a daemon's own mount namespace.
#[derive(Debug)]
pub struct Model {
    directory: tempfile::TempDir,
    mount: PathBuf,
}

/// So much it may have.
pub const MODEL: u64 = 1_000_000_000;

impl Model {
    /// One of which nothing is used. It takes root, and a kernel that has the second version mounted, with memory or without.
    ///
    /// # Errors
    /// It has not.
    pub fn new() -> Result<Self> {
        let mount = mount(|kind, _| kind == "cgroup2").context("the second version is not mounted")?;
        let model = Self { directory: tempfile::tempdir()?, mount };
        fs::write(model.directory.path().join("cgroup"), "0::/\n")?;
        let files = model.files();
        fs::create_dir(&files)?;
        fs::write(files.join("memory.max"), format!("{MODEL}\n"))?;
        fs::write(files.join("memory.stat"), stat(MODEL / 10))?;
        fs::write(files.join("memory.current"), line(0))?;
        Ok(model)
    }

    fn files(&self) -> PathBuf {
        self.directory.path().join("files")
    }

    /// What becomes a program that sees it as its own group, and as the only one.
    #[must_use]
    pub fn prefix(&self) -> Vec<String> {
        let within = "mount --bind \"$0/cgroup\" /proc/$$/cgroup && mount --bind \"$0/files\" \"$1\" && shift && exec \"$@\"";
        let (directory, mount) =
            (self.directory.path().display().to_string(), self.mount.display().to_string());
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", within, &directory, &mount]
            .map(str::to_owned)
            .to_vec()
    }

    /// So many percent of it are used from now on. At no moment is the file empty.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn uses(&self, percent: u64) -> Result<()> {
        over(&self.files().join("memory.current"), &line(MODEL / 100 * percent))
    }

    /// Whoever has the files open reads no limit in them any more.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn turn_off(&self) -> Result<()> {
        over(&self.files().join("memory.max"), "turned off\n")
    }

    /// Who opens them from now on does; the others do not.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn turn_on(&self) -> Result<()> {
        let (new, place) = (self.directory.path().join("memory.max"), self.files().join("memory.max"));
        fs::write(&new, format!("{MODEL}\n"))?;
        Ok(fs::rename(new, place)?)
    }

    /// So many bytes of that are the daemon's sockets' from now on; at first a tenth of the limit, so that connections count.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn sockets(&self, bytes: u64) -> Result<()> {
        over(&self.files().join("memory.stat"), &stat(bytes))
    }
}

/// Writes over what is there, which is as long.
fn over(path: &Path, text: &str) -> Result<()> {
    let file: File = OpenOptions::new().write(true).open(path)?;
    ensure!(file.write_at(text.as_bytes(), 0)? == text.len(), "half a line");
    Ok(())
}

fn stat(sockets: u64) -> String {
    format!("anon 0\ninactive_file 0\nsock {}", line(sockets))
}

/// Of the same length each time.
fn line(bytes: u64) -> String {
    format!("{bytes:020}\n")
}
