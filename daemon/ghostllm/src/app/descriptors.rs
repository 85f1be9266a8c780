//! How many files and sockets this process may have open at once.
//!
//! Knows the system's limit and what the settings may need of it. Refuses to know who opens what.

use ghostllm_core::config::Limits;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What is open beside the connections and the requests on them: listeners, the threads' runtimes, kept connections to
/// backends, the log, the state and the engine.
const RESERVE: u64 = 224;

/// Takes what the system allows: a shell's soft limit is often 1024, for programs that call select(2). Says so where even
/// the hard one is too low for so many connections.
pub(crate) fn raise(limits: &Limits) {
    let (soft, hard) = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok(limits) => limits,
        Err(error) => return tracing::warn!(%error, "the limit of open files cannot be read"),
    };
    // The kernel refuses a hard limit that is above what `fs.nr_open` has become since.
    let raised = soft == hard || setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    if let Some(line) = lacking(if raised { hard } else { soft }, limits) {
        tracing::warn!("{line}");
    }
}

/// What is too few and what to do: a request may take a second descriptor, for its backend.
fn lacking(allowed: u64, limits: &Limits) -> Option<String> {
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let (connections, admin) = (number(limits.connections), number(limits.admin_connections));
    let needed = connections.saturating_add(admin).saturating_mul(2).saturating_add(RESERVE);
    let fitting = (allowed.saturating_sub(RESERVE) / 2).saturating_sub(admin).max(1);
    (allowed < needed).then(|| {
        format!(
            "this process may have {allowed} files and sockets open, and limits.connections = {connections} may need \
             {needed}: set LimitNOFILE={needed} in its unit, run ulimit -n {needed} in its shell, or set \
             limits.connections to {fitting}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{Limits, lacking};

    fn lacking_for(allowed: u64, connections: usize) -> Option<String> {
        lacking(allowed, &Limits { connections, ..Limits::default() })
    }

    #[test]
    fn only_what_is_too_low_is_said_with_what_would_do() {
        assert_eq!(lacking_for(8448, 4096), None);
        let line = lacking_for(8447, 4096).unwrap();
        for part in ["8447 files", "limits.connections = 4096", "LimitNOFILE=8448", "connections to 4095"] {
            assert!(line.contains(part), "{line}");
        }
        assert_eq!(lacking_for(8447, 4095), None);
        assert!(lacking_for(10, 1).unwrap().contains("connections to 1"));
        assert!(lacking_for(u64::MAX - 1, usize::MAX).is_some());
    }
}
