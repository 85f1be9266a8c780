//! What requests have used is written down again and again while they go on.
//!
//! Knows how often. Refuses to know what is counted. Invariant: a disk that hangs holds up this task alone.

use std::{sync::Arc, time::Duration};

use ghostllm_core::admin::{Cause, Severity};
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{sleep, timeout},
};

use crate::{
    access::quoted,
    app::Standing,
    pipeline::{Pipeline, Settings},
    store::usage::{Anew, Ledger},
};

/// How long the last write may take when the program stops: a disk that does not answer must not hold up the end.
const LAST_WRITE: Duration = Duration::from_secs(5);

/// Writes what is new, for ever, and tells whether it can.
pub(crate) async fn write(
    ledger: Ledger,
    mut settings: watch::Receiver<Arc<Settings>>,
    standing: Arc<Standing>,
    pipeline: Pipeline,
) {
    let mut kept = None;
    standing.keeps_usage(!ledger.is_alarmed());
    standing.counts_anew(anew(&ledger.anew()));
    loop {
        let usage = settings.borrow_and_update().usage.clone();
        tokio::select! {
            () = sleep(usage.write_interval) => {}
            // A shorter time counts at once.
            changed = settings.changed() => match changed {
                Ok(()) if settings.borrow().usage == usage => continue,
                Ok(()) => {}
                Err(_the_end) => return,
            },
        }
        let days = days(settings.borrow().usage.days);
        // Also where nothing is new, since fewer days may be kept from now on, or what has failed may go well now.
        let fewer = kept.replace(days).is_some_and(|kept| kept != days);
        // Or a person has removed what was set aside.
        let aside = !ledger.anew().is_empty();
        let running = pipeline.running();
        if ledger.is_ahead() || ledger.is_alarmed() || fewer || aside || !running.is_empty() {
            let writes = ledger.clone();
            // What fails is said there, and tried again.
            let _written = spawn_blocking(move || writes.write_with(&running, days)).await;
            standing.keeps_usage(!ledger.is_alarmed());
            standing.counts_anew(anew(&ledger.anew()));
        }
    }
}

/// Writes what is new for the last time.
pub(crate) async fn written_at_the_end(ledger: &Ledger, days_kept: usize) {
    if !ledger.is_ahead() {
        return;
    }
    let (ledger, days) = (ledger.clone(), days(days_kept));
    let why = match timeout(LAST_WRITE, spawn_blocking(move || ledger.write(days))).await {
        Ok(Ok(Ok(()))) => return,
        Ok(Ok(Err(error))) => error.to_string(),
        Ok(Err(panicked)) => panicked.to_string(),
        Err(_elapsed) => "the disk does not answer".to_owned(),
    };
    tracing::error!("what requests have used since it was written last is lost: {why}");
}

/// That months are counted anew, if any are; a person ends it.
fn anew(months: &Anew) -> Option<Cause> {
    let names: Vec<String> = months.keys().map(ToString::to_string).collect();
    let files: Vec<String> = months.values().flatten().map(|file| quoted(file)).collect();
    let (names, files) = (names.join(", "), files.join(" "));
    (!months.is_empty()).then(|| Cause {
        code: "usage_set_aside".to_owned(),
        severity: Severity::Warning,
        what: format!("what requests had used in {names} could not be read, is set aside, and is counted anew"),
        next: format!(
            "the log says why: journalctl -u ghostllm -g 'counted anew'; a backup may have it (ghostctl restore); this ends once what was \
             set aside is gone: rm -r {files}"
        ),
    })
}

/// As the ledger has it; the setting has an end below that.
pub(crate) fn days(setting: usize) -> u32 {
    u32::try_from(setting).unwrap_or(u32::MAX)
}
