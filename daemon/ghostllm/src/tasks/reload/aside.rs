//! The configuration, read for somebody who wants something else than what has changed on disk.
//!
//! Invariants: what has vanished is not done without for that, and what is being written is not read; nothing counts as read before
//! it is [`Changes::accept`]ed.

use std::{path::PathBuf, sync::Arc, time::Duration};

use ghostllm_core::config::Loaded;
use tokio::time::sleep;

use super::{Changes, Seen, named, stamps};

/// For so long files that have changed must rest.
const REST: Duration = Duration::from_millis(200);
/// So often that is waited for.
const RESTS: usize = 10;

/// What was read so.
pub(crate) struct Aside {
    pub(crate) loaded: Loaded,
    seen: Seen,
    named: Vec<PathBuf>,
}

impl Changes {
    /// Reads it. May be given up: nothing has changed then.
    ///
    /// # Errors
    /// In words, and with what to do where that is not plain.
    pub(crate) async fn aside(&mut self) -> Result<Aside, String> {
        let seen = self.resting().await?;
        let now = seen.written();
        if let Some(gone) = self.written.iter().find(|path| seen.files.is_ok() && !now.contains(path)) {
            return Err(format!(
                "{} is empty, renamed or gone, and what it said would be as it was before; put it back, or have it done \
                 without: ghostctl reload",
                gone.display()
            ));
        }
        let (origin, files) = (Arc::clone(&self.origin), seen.files.clone());
        let read = self.apart.run(move || {
            let files = files?;
            let listed: Vec<_> = files.iter().map(|(path, _)| path.clone()).collect();
            let loaded = origin.read(&listed)?;
            if origin.files().map(|now| stamps(&now)) != Ok(files) {
                return Err(WRITTEN.to_owned());
            }
            // Stamped before anybody reads them.
            let named = named(&loaded.config);
            let stamps = stamps(&named);
            Ok((loaded, named, stamps))
        });
        let (loaded, named, stamps) = read.await??;
        Ok(Aside { loaded, seen: Seen { named: stamps, ..seen }, named })
    }

    /// What was read so is in use.
    pub(crate) fn accept(&mut self, seen: Seen, named: Vec<PathBuf>) {
        self.written = seen.written();
        self.pending.clone_from(&self.written);
        self.named = named;
        self.read = Some(seen);
        self.again = None;
    }

    /// The files as they are once nobody writes them.
    async fn resting(&mut self) -> Result<Seen, String> {
        const LATE: &str = "the disk that the configuration's files are on does not answer";
        let mut before = self.look(false).await.ok_or(LATE)?;
        for _ in 0..RESTS {
            if self.read.as_ref() == Some(&before) {
                return Ok(before);
            }
            sleep(REST).await;
            let now = self.look(false).await.ok_or(LATE)?;
            if now == before {
                return Ok(now);
            }
            before = now;
        }
        Err(WRITTEN.to_owned())
    }
}

impl Aside {
    /// What is needed to accept it, once what it says is in use.
    pub(crate) fn split(self) -> (Loaded, Seen, Vec<PathBuf>) {
        (self.loaded, self.seen, self.named)
    }
}

const WRITTEN: &str = "the configuration's files are being written; the same once more when that is done";
