//! When the configuration is read anew: on SIGHUP, and when its files have changed.
//!
//! Knows where it comes from, which files it names, and their stamps. Refuses to know what becomes of it. Invariants: a file that is
//! being written is not read before it rests; nothing that was written is done without unless somebody asks; no file is
//! touched by a thread that serves.

mod aside;
#[cfg(test)]
mod tests;

use std::{future::pending, io, path::PathBuf, sync::Arc, time::Duration};

use ghostllm_core::config::{Config, Loaded};
use nix::sys::signal::{SigSet, Signal as Number};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Semaphore,
    task::{JoinError, JoinHandle, spawn_blocking},
    time::{Instant, sleep_until, timeout, timeout_at},
};

pub(crate) use aside::Aside;

use super::state::PANICKED;
use crate::{secrets, stamp::Stamp};

/// How long files are waited for: of a disk that is slow, and not of one that is gone, such as a server's that cannot be reached.
const PATIENCE: Duration = Duration::from_secs(10);

/// How soon it is tried again what could not be taken; whoever has mended the cause should not have to say so.
const AGAIN: Duration = Duration::from_secs(60);

/// Where the configuration comes from, every time in the same way.
pub trait Origin: Send + Sync + 'static {
    /// The files, the lowest first; a named one also where it is missing.
    ///
    /// # Errors
    /// In words: a directory cannot be read, or two files contradict each other.
    fn files(&self) -> Result<Vec<PathBuf>, String>;

    /// What these files say, with everything that lies over them.
    ///
    /// # Errors
    /// In words, with the first place that is wrong.
    fn read(&self, files: &[PathBuf]) -> Result<Loaded, String>;

    /// Everything that is wrong with what these files say, and with the files that it names, each with its place.
    fn faults(&self, files: &[PathBuf]) -> Vec<String> {
        self.read(files).err().into_iter().collect()
    }
}

type Stamped = Vec<(PathBuf, Option<Stamp>)>;
/// What was read, the files that it names, and their stamps.
type Found = (Loaded, Vec<PathBuf>, Stamped);

/// The files and their stamps at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    files: Result<Stamped, String>,
    named: Stamped,
}

/// The configuration, read at the start, and looked after.
pub struct Changes {
    origin: Arc<dyn Origin>,
    hangup: Option<Signal>,
    /// What was read last, well or not; none where that took too long.
    read: Option<Seen>,
    /// What was seen at the last look, where that was something else.
    looked: Option<Seen>,
    /// The files that were not empty when they came into use.
    written: Vec<PathBuf>,
    /// The same of what was read last.
    pending: Vec<PathBuf>,
    /// When what could not be taken is tried again, though nothing has been written since.
    again: Option<Instant>,
    apart: Apart,
    /// The files whose contents the configuration names.
    named: Vec<PathBuf>,
    /// When the files are looked at next. Kept here, since the wait for it is given up at each order of an admin.
    look_at: Option<Instant>,
    /// Somebody has asked, and has not been heard yet.
    asked: bool,
    /// A look that has not come back.
    looking: Option<JoinHandle<Seen>>,
    /// Until when that is waited for. Kept here, since the wait is given up at each sign of life.
    look_until: Option<Instant>,
}

/// One reading.
pub struct Read {
    /// Whether somebody has asked for it.
    pub asked: bool,
    /// What came of it; in words, what is wrong, and where.
    pub outcome: Result<Loaded, String>,
}

/// Keeps SIGHUP, which ends a process that does not take it, for the [`Changes`] that will. To be called on the main thread before
/// any other is started.
pub fn hold_hangup() {
    // It can only fail for a signal that does not exist.
    let _held = hangup_alone().thread_block();
}

fn hangup_alone() -> SigSet {
    SigSet::from(Number::SIGHUP)
}

impl Changes {
    /// Looks at the files for the first time: to be called before they are read.
    #[must_use]
    pub fn new(origin: Arc<dyn Origin>) -> Self {
        let read = look(&*origin, &[]);
        let written = read.written();
        Self {
            origin,
            hangup: None,
            read: Some(read),
            looked: None,
            pending: written.clone(),
            written,
            again: None,
            apart: Apart::default(),
            named: Vec::new(),
            look_at: None,
            asked: false,
            looking: None,
            look_until: None,
        }
    }

    /// Where whoever takes a configuration reads what that names.
    #[must_use]
    pub fn apart(&self) -> Apart {
        self.apart.clone()
    }

    /// What was read last is in use; or it could not be taken, for a reason that may pass without anybody writing a file.
    pub fn settle(&mut self, taken: bool) {
        if taken {
            self.written.clone_from(&self.pending);
        }
        self.again = (!taken).then(|| Instant::now() + AGAIN);
    }

    /// Takes SIGHUP from now on, also one that was held.
    ///
    /// # Errors
    /// The system's.
    pub fn take_hangup(&mut self) -> io::Result<()> {
        self.hangup = Some(signal(SignalKind::hangup())?);
        Ok(hangup_alone().thread_unblock()?)
    }

    /// Watches the files that this configuration names as well: to be called before they are read.
    pub fn watch(&mut self, config: &Config) {
        self.named = named(config);
        if let Some(read) = &mut self.read {
            read.named = stamps(&self.named);
        }
    }

    /// Waits until the configuration is to be read, and reads it: when somebody asks by SIGHUP, and when files have been
    /// seen changed at two looks, `interval` apart (never, if that is zero).
    pub async fn next(&mut self, interval: Duration) -> Read {
        loop {
            let due = self.due(interval).await;
            if let Some(read) = self.read_due(due).await {
                return read;
            }
        }
    }

    /// Reads what is due, which must not be given up in between. None where the files change still.
    pub(crate) async fn read_due(&mut self, (asked, seen): (bool, Seen)) -> Option<Read> {
        let outcome = self.read(asked, seen).await?;
        self.asked = false;
        Some(Read { asked, outcome })
    }

    /// Reads the configuration now, since somebody asks for it.
    pub async fn now(&mut self) -> Read {
        self.asked = true;
        self.next(Duration::ZERO).await
    }

    /// The files that were read last, the lowest first.
    #[must_use]
    pub fn files(&self) -> Vec<String> {
        let files = self.read.iter().flat_map(|read| read.files.iter().flatten());
        files.filter(|(_, stamp)| stamp.is_some()).map(|(path, _)| path.display().to_string()).collect()
    }

    /// Looks whether what is on disk is sound, and takes nothing of it: the files, and everything that is wrong.
    pub async fn check(&self) -> (Vec<String>, Vec<String>) {
        let origin = Arc::clone(&self.origin);
        let checked = self.apart.run(move || {
            let files = match origin.files() {
                Ok(files) => files,
                Err(why) => return (Vec::new(), vec![why]),
            };
            let faults = origin.faults(&files);
            (files.iter().map(|path| path.display().to_string()).collect(), faults)
        });
        checked.await.unwrap_or_else(|why| (Vec::new(), vec![why]))
    }

    /// None where the files have changed while they were read: they are looked at again.
    async fn read(&mut self, asked: bool, seen: Seen) -> Option<Result<Loaded, String>> {
        self.again = None;
        let now = seen.written();
        if let Some(why) = self.gone(&seen, "send SIGHUP to have it done without").filter(|_| !asked) {
            self.read = Some(seen);
            return Some(Err(why));
        }
        let (read, outcome) = match self.loaded(&seen, asked).await {
            Ok(Ok(Some((loaded, named, stamps)))) => {
                (self.named, self.pending) = (named, now);
                (Some(Seen { named: stamps, ..seen }), Ok(loaded))
            }
            Ok(Ok(None)) => return None,
            Ok(Err(why)) => (Some(seen), Err(why)),
            Err(why) => (None, Err(why)),
        };
        self.read = read;
        Some(outcome)
    }

    /// Why these files would do without one that has said something, if they would; `how` has that done all the same.
    fn gone(&self, seen: &Seen, how: &str) -> Option<String> {
        let now = seen.written();
        let gone = self.written.iter().find(|path| seen.files.is_ok() && !now.contains(path))?;
        Some(format!(
            "{} is empty, renamed or gone, and what it said would be as it was before; put it back, or {how}",
            gone.display()
        ))
    }

    /// Reads these files; none where they have changed meanwhile, unless somebody has asked for them as they are.
    async fn loaded(&self, seen: &Seen, asked: bool) -> Result<Result<Option<Found>, String>, String> {
        let (origin, files) = (Arc::clone(&self.origin), seen.files.clone());
        let read = self.apart.run(move || {
            let listed: Vec<_> = files.clone()?.into_iter().map(|(path, _)| path).collect();
            let loaded = origin.read(&listed);
            if !asked && origin.files().map(|files| stamps(&files)) != files {
                return Ok(None);
            }
            let loaded = loaded?;
            // Stamped before anybody reads them.
            let named = named(&loaded.config);
            let stamps = stamps(&named);
            Ok(Some((loaded, named, stamps)))
        });
        read.await
    }

    /// Waits until it is time to read; gives whether somebody asks for it, and what there is. The wait may be given up: nothing that
    /// was asked is lost.
    pub(crate) async fn due(&mut self, interval: Duration) -> (bool, Seen) {
        loop {
            if !self.asked {
                // A shorter interval counts at once.
                let latest = Instant::now() + interval;
                let look_at = self.look_at.map_or(latest, |look_at| look_at.min(latest));
                self.look_at = Some(look_at);
                self.asked = tokio::select! {
                    () = hung_up(self.hangup.as_mut()) => true,
                    () = sleep_until(look_at), if !interval.is_zero() => false,
                };
            }
            let looked = self.look(self.asked).await;
            self.look_at = None;
            let Some(now) = looked else { continue };
            let again = self.again.is_some_and(|again| again <= Instant::now());
            if self.is_settled(&now) || self.asked || again {
                self.looked = None;
                return (self.asked, now);
            }
        }
    }

    /// Looks at the files; none where that takes too long, and then this very look is waited for again: a disk that is gone must
    /// not take up one thread after the other.
    async fn look(&mut self, asked: bool) -> Option<Seen> {
        let (origin, named) = (Arc::clone(&self.origin), self.named.clone());
        let looking = self.looking.get_or_insert_with(|| spawn_blocking(move || look(&*origin, &named)));
        let until = *self.look_until.get_or_insert_with(|| Instant::now() + PATIENCE);
        let looked = timeout_at(until, looking).await;
        self.look_until = None;
        let seen = match looked {
            Err(_elapsed) => {
                if asked {
                    tracing::warn!(
                        "the configuration is not read yet: the disk that its files are on does not answer"
                    );
                }
                return None;
            }
            Ok(seen) => seen,
        };
        self.looking = None;
        Some(seen.unwrap_or_else(|_its_words: JoinError| Seen {
            files: Err(PANICKED.to_owned()),
            named: Vec::new(),
        }))
    }

    /// Whether files have changed, and were the same at the look before: one that is written in place may be seen half
    /// written, and half of a configuration can be a sound one.
    fn is_settled(&mut self, now: &Seen) -> bool {
        let changed = (self.read.as_ref() != Some(now)).then(|| now.clone());
        let settled = changed.is_some() && changed == self.looked;
        self.looked = changed;
        settled
    }
}

impl Seen {
    /// The files that say something.
    fn written(&self) -> Vec<PathBuf> {
        let files = self.files.iter().flatten();
        files
            .filter(|(_, stamp)| stamp.is_some_and(|stamp| !stamp.is_empty()))
            .map(|(path, _)| path.clone())
            .collect()
    }
}

/// The files whose contents are part of a configuration: keys and certificates. One that cannot be found is told when it is read.
fn named(config: &Config) -> Vec<PathBuf> {
    let keys = config.backends.iter().filter_map(|backend| backend.key_file.as_ref());
    let keys = keys.chain(&config.listen.key).filter_map(|file| secrets::path(file, "").ok());
    keys.chain(config.listen.certificate.clone()).collect()
}

/// Reads files apart from the thread that serves, one reading at a time: one that hangs must not be followed by others, until no
/// thread is left.
#[derive(Debug, Clone)]
pub struct Apart(Arc<Semaphore>);

impl Default for Apart {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Apart {
    /// Runs it, and waits for a while.
    ///
    /// # Errors
    /// In words: it, or the one before it, takes too long, or it has panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        let late = || {
            format!(
                "its files, and those that it names, could not be read within {} s; see what is wrong with their disk",
                PATIENCE.as_secs()
            )
        };
        let Ok(turn) = Arc::clone(&self.0).try_acquire_owned() else { return Err(late()) };
        let reading = spawn_blocking(move || {
            let read = read();
            drop(turn);
            read
        });
        match timeout(PATIENCE, reading).await {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(_its_words)) => Err(format!("nobody could read it: {PANICKED}")),
            Err(_elapsed) => Err(late()),
        }
    }
}

async fn hung_up(hangup: Option<&mut Signal>) {
    let came = match hangup {
        // None where no signal can come any more.
        Some(hangup) => hangup.recv().await,
        None => None,
    };
    if came.is_none() {
        pending::<()>().await;
    }
}

fn look(origin: &dyn Origin, named: &[PathBuf]) -> Seen {
    Seen { files: origin.files().map(|files| stamps(&files)), named: stamps(named) }
}

fn stamps(files: &[PathBuf]) -> Stamped {
    files.iter().map(|path| (path.clone(), Stamp::of(path))).collect()
}
