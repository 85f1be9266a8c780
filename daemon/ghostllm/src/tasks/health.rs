//! The admin's own checks, `[[health]]`: looked at again and again, and what became of each.
//!
//! Knows what is to be looked at, and how often. Refuses to know who asks for it. Invariants: whoever asks waits for no disk and no
//! card; what hangs is looked at no second time until it has answered, and fails meanwhile; it holds up the first round, and none behind.

mod judge;
mod looks;

use std::sync::Arc;

use ghostllm_core::config::HealthCheck;
use tokio::{
    sync::{Mutex, watch},
    time::{Instant, sleep_until},
};

use crate::{
    backend::registry::{Registry, Snapshot},
    log::OneLine,
    pipeline::Settings,
};
use looks::Looks;

/// What a check looks at is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Amiss {
    /// What is amiss, with the figure and the threshold.
    pub(crate) what: String,
    /// What to do about it.
    pub(crate) next: String,
}

/// What became of a check: what there is, in words, or what is amiss.
pub(crate) type Outcome = Result<String, Amiss>;

/// A check, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) check: HealthCheck,
    pub(crate) outcome: Outcome,
}

/// What became of all of them when they were looked at last.
#[derive(Debug, Clone)]
pub(crate) struct Verdicts(watch::Receiver<Arc<Vec<Verdict>>>);

impl Verdicts {
    /// Of this check. One that the configuration has got a moment ago has not been looked at.
    pub(crate) fn of(&self, check: &HealthCheck) -> Outcome {
        let all = Arc::clone(&self.0.borrow());
        let verdict = all.iter().find(|verdict| verdict.check == *check);
        verdict.map_or_else(unseen, |verdict| verdict.outcome.clone())
    }

    /// Of each.
    pub(crate) fn all(&self) -> Arc<Vec<Verdict>> {
        Arc::clone(&self.0.borrow())
    }
}

fn unseen() -> Outcome {
    let (what, next) = ("it has not been looked at yet", "ask again in a moment");
    Err(Amiss { what: what.to_owned(), next: next.to_owned() })
}

/// Who looks.
pub(crate) struct Health {
    registry: Arc<Registry>,
    settings: watch::Receiver<Arc<Settings>>,
    verdicts: watch::Sender<Arc<Vec<Verdict>>>,
    /// What hangs outlives a restart of the task, which alone takes it.
    looks: Mutex<Looks>,
}

impl Health {
    /// By these settings, at these backends.
    pub(crate) fn new(registry: Arc<Registry>, settings: watch::Receiver<Arc<Settings>>) -> Self {
        Self { registry, settings, verdicts: watch::Sender::default(), looks: Mutex::default() }
    }

    /// What becomes of the checks.
    pub(crate) fn verdicts(&self) -> Verdicts {
        Verdicts(self.verdicts.subscribe())
    }

    /// Looks, for ever: at disks and cards as often as the settings say, at backends whenever something is heard of them.
    pub(crate) async fn run(&self) {
        let (mut settings, mut snapshots) = (self.settings.clone(), self.registry.watch());
        let (mut looks, mut due) = (self.looks.lock().await, Instant::now());
        loop {
            let now = Arc::clone(&settings.borrow_and_update());
            if due <= Instant::now() {
                looks.look(&now.health, &now.gpu, now.limits.health_wait).await;
                due = Instant::now() + now.limits.health_interval;
            }
            let snapshot = Arc::clone(&snapshots.borrow_and_update());
            self.judge(&now.health, &snapshot, &looks);
            let nothing = now.health.is_empty();
            tokio::select! {
                biased;
                changed = settings.changed() => match changed {
                    Ok(()) => due = Instant::now(),
                    // The program ends, and this with it.
                    Err(_gone) => return std::future::pending().await,
                },
                Ok(()) = snapshots.changed(), if !nothing => {}
                () = sleep_until(due), if !nothing => {}
            }
        }
    }

    fn judge(&self, checks: &[HealthCheck], snapshot: &Snapshot, looks: &Looks) {
        let verdict = |check: &HealthCheck| Verdict {
            check: check.clone(),
            outcome: judge::outcome(&check.subject, snapshot, looks),
        };
        let after: Vec<_> = checks.iter().map(verdict).collect();
        let before = self.verdicts.send_replace(Arc::new(after.clone()));
        for verdict in &after {
            let before = before.iter().find(|before| before.check == verdict.check);
            tell(verdict, before.map(|before| &before.outcome));
        }
    }
}

/// Says once that a check fails, and that it passes again.
fn tell(Verdict { check, outcome }: &Verdict, before: Option<&Outcome>) {
    let name = check.name.as_str();
    match (before, outcome) {
        (None | Some(Ok(_)), Err(Amiss { what, next })) => {
            tracing::warn!(check = name, "the health check {name} fails: {}; {next}", OneLine(what));
        }
        (Some(Err(_)), Ok(what)) => {
            tracing::info!(check = name, "the health check {name} passes again: {}", OneLine(what));
        }
        (_, Ok(_)) | (Some(Err(_)), Err(_)) => {}
    }
}
