//! When the configuration is read anew: on SIGHUP, and when its files have changed.
//!
//! Knows where it comes from, and the stamps of the files. Refuses to know what stands in it and what becomes of it.
//! Invariants: a file that is being written is not read before it rests; what could not be read is not read again before it
//! changes.

#[cfg(test)]
mod tests;

use std::{
    future::pending,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ghostllm_core::config::Config;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::spawn_blocking,
    time::{sleep, timeout},
};

use crate::stamp::Stamp;

/// How long files are waited for: of a disk that is slow, and not of one that is gone, such as a server's that cannot be reached.
const PATIENCE: Duration = Duration::from_secs(10);

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
    /// In words, on one line, with the first place that is wrong.
    fn read(&self, files: &[PathBuf]) -> Result<Config, String>;
}

/// The files and their stamps at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    files: Result<Vec<(PathBuf, Option<Stamp>)>, String>,
    secrets: Vec<(PathBuf, Option<Stamp>)>,
}

/// The configuration, read at the start, and looked after.
pub struct Changes {
    origin: Arc<dyn Origin>,
    hangup: Option<Signal>,
    /// What was read last, well or not.
    read: Seen,
    /// What was seen at the last look, where that was something else.
    looked: Option<Seen>,
    /// The files whose contents the configuration names: keys.
    secrets: Vec<PathBuf>,
    /// The main file, once there was one.
    main: Option<PathBuf>,
}

impl Changes {
    /// Looks at the files for the first time: to be called before they are read.
    #[must_use]
    pub fn new(origin: Arc<dyn Origin>) -> Self {
        let read = Seen { files: stamped(&*origin), secrets: Vec::new() };
        let main = read.main();
        Self { origin, hangup: None, read, looked: None, secrets: Vec::new(), main }
    }

    /// Takes SIGHUP from now on, which would end the process.
    ///
    /// # Errors
    /// The system's.
    pub fn take_hangup(&mut self) -> io::Result<()> {
        self.hangup = Some(signal(SignalKind::hangup())?);
        Ok(())
    }

    /// Watches these files as well: to be called before they are read.
    pub fn watch(&mut self, secrets: Vec<PathBuf>) {
        self.read.secrets = stamps(secrets.iter().cloned());
        self.secrets = secrets;
    }

    /// Waits until the configuration is to be read, and reads it: when somebody asks by SIGHUP, and when files have been
    /// seen changed at two looks, `interval` apart (never, if that is zero).
    ///
    /// # Errors
    /// In words, on one line: what is wrong, and where.
    pub async fn next(&mut self, interval: Duration) -> Result<Config, String> {
        let asked = self.due(interval).await;
        let gone = self.main.clone().filter(|main| !asked && !self.read.has(main));
        if let Some(gone) = gone {
            return Err(format!(
                "{} is gone; put it back, or send SIGHUP to have it done without",
                gone.display()
            ));
        }
        self.main = self.read.main();
        let (origin, files) = (Arc::clone(&self.origin), self.read.files.clone());
        apart(move || {
            let files: Vec<_> = files?.into_iter().map(|(path, _)| path).collect();
            files.iter().try_for_each(|path| readable_again(path))?;
            origin.read(&files)
        })
        .await
        .unwrap_or_else(Err)
    }

    /// Waits until it is time to read; gives whether somebody asks for it.
    async fn due(&mut self, interval: Duration) -> bool {
        loop {
            let asked = tokio::select! {
                () = hung_up(self.hangup.as_mut()) => true,
                () = sleep(interval), if !interval.is_zero() => false,
            };
            let now = Seen { files: stamped(&*self.origin), secrets: stamps(self.secrets.iter().cloned()) };
            if asked || self.is_settled(&now) {
                (self.read, self.looked) = (now, None);
                return asked;
            }
        }
    }

    /// Whether files have changed, and were the same at the look before: one that is written in place may be seen half
    /// written, and half of a configuration can be a sound one.
    fn is_settled(&mut self, now: &Seen) -> bool {
        let changed = (*now != self.read).then(|| now.clone());
        let settled = changed.is_some() && changed == self.looked;
        self.looked = changed;
        settled
    }
}

impl Seen {
    /// The file that is no part of `conf.d`.
    fn main(&self) -> Option<PathBuf> {
        let mut paths = self.files.iter().flatten().map(|(path, _)| path);
        let in_parts = |path: &&PathBuf| path.parent().is_some_and(|parent| parent.ends_with("conf.d"));
        paths.rfind(|path| !in_parts(path)).cloned()
    }

    /// Whether this file, or another main file, is among them. Where they cannot be listed, that is what is wrong.
    fn has(&self, path: &Path) -> bool {
        match &self.files {
            Ok(files) => files.iter().any(|(other, _)| other == path) || self.main().is_some(),
            Err(_) => true,
        }
    }
}

/// Reads files apart from this thread, which serves.
///
/// # Errors
/// In words: it took too long, or has panicked.
pub(crate) async fn apart<T: Send + 'static>(read: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    match timeout(PATIENCE, spawn_blocking(read)).await {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(error)) => Err(format!("reading it has panicked: {error}")),
        Err(_elapsed) => Err(format!(
            "its files, and those that it names, could not be read within {} s; see what is wrong with their disk",
            PATIENCE.as_secs()
        )),
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

fn stamped(origin: &dyn Origin) -> Result<Vec<(PathBuf, Option<Stamp>)>, String> {
    origin.files().map(|files| stamps(files.into_iter()))
}

fn stamps(files: impl Iterator<Item = PathBuf>) -> Vec<(PathBuf, Option<Stamp>)> {
    files
        .map(|path| {
            let stamp = Stamp::of(&path);
            (path, stamp)
        })
        .collect()
}

/// A pipe was read once and has nothing more to say, and would be waited for without end.
fn readable_again(path: &Path) -> Result<(), String> {
    match std::fs::metadata(path) {
        Ok(facts) if !facts.is_file() => Err(format!(
            "the configuration {} is no file that can be read again; write it to a file, and restart with --config FILE",
            path.display()
        )),
        // What is missing is told by whoever reads it.
        _ => Ok(()),
    }
}
