//! What is read of the daemon while it goes on: its log, its figures each second, its notices, and the admin's events.
//!
//! Knows where each is read. Refuses to know what it should be. Invariant: all of it is read at once, so that nobody waits for us and
//! nothing is dropped on our account.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Result, ensure};
use ghostllm_tests::{
    admin,
    client::{Event, Request, open_unix},
    process,
    sheet::Sheet,
};
use serde_json::Value;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use crate::stage::Stage;

const EACH: Duration = Duration::from_secs(1);
const MIB: f64 = 1_048_576.0;

/// How it stands at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample {
    /// Seconds since the run has begun.
    pub(crate) at: f64,
    /// Resident memory in MiB, by proc(5).
    pub(crate) rss: f64,
    pub(crate) files: f64,
    pub(crate) threads: f64,
    pub(crate) connections: f64,
    /// Requests that are being answered.
    pub(crate) streams: f64,
    /// Connections to engines that rest.
    pub(crate) resting: f64,
    pub(crate) cpu_seconds: f64,
}

/// What has been read so far.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) samples: Vec<Sample>,
    /// Samples that could not be taken.
    pub(crate) unread: u64,
    /// Records by their level.
    pub(crate) levels: BTreeMap<String, u64>,
    /// Errors that say of a configuration that it is not taken.
    pub(crate) refusals: usize,
    /// The first lines that are none of the log's, and the first errors of any other kind.
    pub(crate) odd: Vec<String>,
    pub(crate) panics: u64,
    pub(crate) events: u64,
    pub(crate) gaps: u64,
}

/// What is said of a configuration that is not taken.
const REFUSAL: &str = "the changed configuration is not in use";
/// So many lines of the log are shown.
const SHOWN: usize = 5;

#[derive(Debug, Default)]
pub(crate) struct Watch(Mutex<Read>);

impl Watch {
    pub(crate) fn read<T>(&self, look: impl FnOnce(&mut Read) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A sample each second and the log with it, for as long as it is let.
    pub(crate) async fn go_on(&self, stage: &Stage) -> Result<()> {
        let mut each = interval(EACH);
        each.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            each.tick().await;
            self.log(stage)?;
            let sample = sample(stage).await;
            self.read(|read| match sample {
                Ok(sample) => read.samples.push(sample),
                Err(_) => read.unread += 1,
            });
            ensure!(!process::is_gone(stage.daemon.id()?), "the daemon has ended");
        }
    }

    /// Takes what the log has now.
    pub(crate) fn log(&self, stage: &Stage) -> Result<()> {
        let text = stage.daemon.take_stderr()?;
        for line in text.lines() {
            let record: Option<Value> = serde_json::from_str(line).ok();
            if let Some(record) = &record {
                stage.ledger.log(record);
            }
            let level = record.as_ref().and_then(|record| record["level"].as_str()).unwrap_or("none");
            self.read(|read| {
                *read.levels.entry(level.to_owned()).or_default() += 1;
                read.panics += u64::from(line.contains("panicked"));
                if level == "ERROR" && line.contains(REFUSAL) {
                    read.refusals += 1;
                } else if matches!(level, "none" | "ERROR") && read.odd.len() < SHOWN {
                    read.odd.push(line.to_owned());
                }
            });
        }
        Ok(())
    }

    /// Follows the admin's events, each of which has the place behind the one before it.
    pub(crate) async fn follow(&self, stage: &Stage) -> Result<()> {
        let request = Request::get(&admin::path("events"));
        let mut stream = open_unix(stage.daemon.admin()?, &request).await?;
        let (mut unread, mut last) = (String::new(), None);
        while let Event::Data(data) = stream.next().await? {
            unread.push_str(&String::from_utf8_lossy(&data));
            while let Some((event, rest)) = unread.split_once("\n\n") {
                let id = event.lines().find_map(|line| line.strip_prefix("id: "));
                let place = id.and_then(|id| id.split_once('-')?.1.parse::<u64>().ok());
                if let Some(place) = place {
                    let gap = last.is_some_and(|last| place != last + 1) || event.contains("event: missed");
                    last = Some(place);
                    self.read(|read| {
                        read.events += 1;
                        read.gaps += u64::from(gap);
                    });
                }
                unread = rest.to_owned();
            }
        }
        anyhow::bail!("the admin's events have ended")
    }
}

async fn sample(stage: &Stage) -> Result<Sample> {
    let sheet = Sheet::of(&stage.daemon).await?;
    let all = |name: &str| sheet.sum(name, &[]);
    Ok(Sample {
        at: stage.now().as_secs_f64(),
        rss: process::resident(stage.daemon.id()?)? as f64 / MIB,
        files: all("process_open_fds"),
        threads: all("process_threads"),
        connections: all("ghostllm_connections"),
        streams: all("ghostllm_streams"),
        resting: all("ghostllm_backend_connections_resting"),
        cpu_seconds: all("process_cpu_seconds_total"),
    })
}

/// Counts the reloads that the daemon tells its supervisor of, and takes whatever else it tells.
pub(crate) async fn notices(stage: &Stage, reloads: &watch::Sender<u64>) -> Result<()> {
    let mut begun = false;
    loop {
        let notice = stage.daemon.notice().await?;
        begun |= notice.lines().any(|line| line == "RELOADING=1");
        if begun && notice.lines().any(|line| line == "READY=1") {
            begun = false;
            reloads.send_modify(|reloads| *reloads += 1);
        }
    }
}
