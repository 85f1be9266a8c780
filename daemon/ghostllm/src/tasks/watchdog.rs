//! Whether the program goes on: signs of life of what it cannot do without, and a request on each thread that serves.
//!
//! Knows who is late. Refuses to know who is told. Invariant: it says that all goes on only when everything has shown so a moment ago;
//! where its own thread hangs it says nothing.

use std::{io, time::Duration};

use futures_util::future::join_all;
use ghostllm_edge::{Handler, probe::Probe, pulse::Pulse, room::is_out};
use tokio::time::{sleep, timeout};

/// The loop that looks after the host, the certificates and the configuration may wait 30 s for a disk and then 10 s for an engine: it
/// has so many times what the others have, a minute where `WatchdogSec=` is our unit's.
pub(crate) const MAIN: u32 = 4;

/// How long the first answers may take, on a box that is busy with its start.
const FIRST: Duration = Duration::from_secs(20);

/// What is asked.
const PATH: &str = "/healthz";

/// Looks again and again, four times in `limit`, and tells who is late.
pub(crate) async fn feed<H: Handler>(
    limit: Duration,
    pulse: &Pulse,
    probe: &Probe<H>,
    tell: impl Fn(&[String]),
) {
    let mut before = Vec::new();
    loop {
        // Behind it, so that what has stood still with the whole machine has had a turn.
        let silent = silent(probe, limit / 4).await;
        let mut late = pulse.late();
        late.extend(silent);
        if late != before {
            said(&late);
        }
        tell(&late);
        // Whoever goes on again is seen before the manager loses its patience.
        let rest = if late.is_empty() { limit / 4 } else { limit / 16 };
        before = late;
        sleep(rest).await;
    }
}

/// The threads on which nothing is answered in that time.
async fn silent<H: Handler>(probe: &Probe<H>, within: Duration) -> Vec<String> {
    let asked = (0..probe.threads()).map(|thread| async move {
        let answered = timeout(within, probe.ask(thread, PATH)).await;
        let answered = match answered {
            Ok(Err(error)) if is_poor(&error) => true,
            Ok(Ok(answered)) => answered,
            _ => false,
        };
        (!answered).then(|| format!("thread {thread}"))
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// It could not even be asked, for want of descriptors or memory, which says nothing of the thread: a restart would cost every stream.
fn is_poor(error: &io::Error) -> bool {
    use nix::libc::{ENOBUFS, ENOMEM};
    is_out(error) || matches!(error.raw_os_error(), Some(ENOBUFS | ENOMEM))
}

fn said(late: &[String]) {
    if late.is_empty() {
        tracing::info!("everything goes on again");
    } else {
        tracing::error!(
            "no sign of life of {}: the watchdog of the service manager is not fed",
            late.join(", ")
        );
    }
}

/// Waits until each thread has answered once.
///
/// # Errors
/// One does not.
pub(crate) async fn answers<H: Handler>(probe: &Probe<H>) -> io::Result<()> {
    let silent = silent(probe, FIRST).await;
    if silent.is_empty() { Ok(()) } else { Err(io::Error::other(silent.join(", "))) }
}
