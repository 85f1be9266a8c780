//! An engine's machine that is off: the network tells so only after three seconds, each time (arp(7), RFC 4861 section 7.3.3).

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ghostllm_tests::{
    client::{Caller, Request, Version},
    daemon::{Daemon, Setup},
    expect::check_error,
    netns::Namespace,
};

use crate::address;

/// Longer than the network takes.
const TIMEOUTS: &str = "timeouts = { connect = \"20s\" }";
const LIMITS: &str = "find_interval = \"1h\"\nbackend_connect_again = \"1h\"";
/// What is waited for comes after three seconds, and what is not within milliseconds.
const AT_ONCE: Duration = Duration::from_secs(1);
/// `limits.backend_connect_misses`.
const MISSES: usize = 3;

#[tokio::test]
async fn is_waited_for_a_few_times_and_not_by_every_request() -> Result<()> {
    for engine in ["http://[fd00:1::9]:11434", "http://192.0.2.9:11434"] {
        let (own, peer) = (Namespace::new()?, Namespace::new()?);
        let (near, far) = (["fd00:1::1/64", "192.0.2.1/24"], ["fd00:1::2/64", "192.0.2.2/24"]);
        own.cable(("eth0", &near), &peer, ("eth0", &far))?;
        let setup = Setup::default().with_backend("box", "openai", engine, TIMEOUTS).with_limits(LIMITS);
        let daemon = own.run(Daemon::start(&setup)).await?;
        let caller = Caller::at(&daemon, Version::H1, address("fd00:1::1"))?.with_key(daemon.key.as_deref());
        let mut waited = 0;
        for _ in 0..MISSES + 3 {
            let begun = Instant::now();
            let answer = peer.run(caller.send(&Request::chat("box/tiny", "Hello", false))).await?;
            check_error(&answer, 503, Some("backend_unavailable"))?;
            waited += usize::from(begun.elapsed() > AT_ONCE);
        }
        // The list of models, which is asked for by itself, may have waited in the place of some.
        ensure!((1..=MISSES).contains(&waited), "{engine}: {waited} of {} waited", MISSES + 3);
        daemon.stop().await?;
    }
    Ok(())
}
