//! The configuration, read for somebody who wants something else than what has changed on disk.
//!
//! Invariants: what has vanished is not done without for that, and what is being written is not read; nothing counts as read before
//! it is [`Changes::accept`]ed.

use std::{path::PathBuf, time::Duration};

use ghostllm_core::config::Loaded;
use tokio::time::sleep;

use super::{Changes, Seen};

/// For so long files that have changed must rest.
const REST: Duration = Duration::from_millis(200);
/// So often that is waited for.
const RESTS: usize = 10;

/// What is told where they do not rest.
const WRITTEN: &str = "the configuration's files are being written; the same once more when that is done";

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
        if let Some(why) = self.gone(&seen, "have it done without: ghostctl reload") {
            return Err(why);
        }
        let (loaded, named, stamps) = self.loaded(&seen, false).await??.ok_or(WRITTEN)?;
        Ok(Aside { loaded, seen: Seen { named: stamps, ..seen }, named })
    }

    /// What was read so is in use; gives it back.
    pub(crate) fn accept(&mut self, Aside { loaded, seen, named }: Aside) -> Loaded {
        (self.pending, self.named) = (seen.written(), named);
        self.read = Some(seen);
        self.settle(true);
        loaded
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
