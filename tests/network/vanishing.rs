//! A client whose machine is gone: no FIN, no reset, no packet at all.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::{Result, ensure};
use ghostllm_tests::{
    client::{Caller, Request, Version},
    daemon::{Daemon, Setup},
    double::Double,
    netns::Namespace,
    ollama::Ollama,
    script::Sin,
};

use crate::address;

/// Only the transport's own watch is short, so that no other can be what noticed.
const LIMITS: [(Version, &str); 4] = [
    (Version::H1, "tcp_vanished = \"2s\"\nh2_ping = \"1h\"\nwrite_idle = \"1h\""),
    (Version::H2, "tcp_vanished = \"2s\"\nh2_ping = \"1h\"\nwrite_idle = \"1h\""),
    (Version::H2, "tcp_vanished = \"1h\"\nh2_ping = \"1s\"\nwrite_idle = \"1h\""),
    (Version::H3, "quic_idle = \"2s\"\nwrite_idle = \"1h\""),
];

/// A daemon, a caller on another box, and the cable between them.
struct Place {
    peer: Namespace,
    double: Double,
    caller: Caller,
    daemon: Daemon,
    _own: Namespace,
}

impl Place {
    async fn new(version: Version, limits: &str, sin: Sin) -> Result<Self> {
        let (own, peer) = (Namespace::new()?, Namespace::new()?);
        own.cable(("eth0", &["fd00:1::1/64"]), &peer, ("eth0", &["fd00:1::2/64"]))?;
        let double = own.run(Double::start(Ollama::default())).await;
        double.misbehave("tiny", sin);
        let setup = Setup::backend("ollama", &double.url()).with_limits(limits);
        let daemon = own.run(Daemon::start(&setup)).await?;
        let caller = Caller::at(&daemon, version, address("fd00:1::1"))?.with_key(daemon.key.as_deref());
        Ok(Self { peer, double, caller, daemon, _own: own })
    }

    /// Cuts the cable, and waits until the engine is free.
    async fn cut(&self) {
        self.peer.ip("link set eth0 down").unwrap();
        self.double.wait_left("/api/chat").await;
    }
}

#[tokio::test]
async fn frees_the_engine_in_the_middle_of_a_stream() -> Result<()> {
    for (version, limits) in LIMITS {
        let place = Place::new(version, limits, Sin::StallAfter(2)).await?;
        let mut stream = place.peer.run(place.caller.open(&Request::chat("tiny", "Hello", true))).await?;
        stream.until("data:").await?;
        place.cut().await;
        drop(stream);
        place.daemon.stop().await?;
    }
    Ok(())
}

/// A stream that has said nothing yet, and a whole answer before and in the middle of what makes it.
#[tokio::test]
async fn frees_the_engine_before_the_first_byte() -> Result<()> {
    let moments =
        [(true, Sin::HangBeforeHeaders), (false, Sin::HangBeforeHeaders), (false, Sin::StallAfter(2))];
    for (version, limits) in LIMITS {
        for (stream, sin) in &moments {
            let place = Place::new(version, limits, sin.clone()).await?;
            let hangs = AtomicBool::new(false);
            let cut = async {
                place.double.wait_hanging("/api/chat").await;
                hangs.store(true, Relaxed);
                place.cut().await;
            };
            let request = Request::chat("tiny", "Hello", *stream);
            let left = place.peer.run(place.caller.leave_headless(&request, cut)).await;
            // HTTP/3's client watches its connection as well, and may have gone before it is told to.
            let _left = if version == Version::H3 { left.ok() } else { Some(left?) };
            ensure!(hangs.load(Relaxed), "{version:?}: the engine was never asked");
            place.double.wait_left("/api/chat").await;
            place.daemon.stop().await?;
        }
    }
    Ok(())
}
