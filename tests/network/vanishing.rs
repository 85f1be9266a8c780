//! A client whose machine is gone: no FIN, no reset, no packet at all.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::{Result, ensure};
use futures_util::future::try_join;
use ghostllm_tests::{
    client::{Caller, Request, Version},
    daemon::{Daemon, Setup},
    double::Double,
    netns::Namespace,
    ollama::Ollama,
    queue::{MODEL, Queue},
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
    own: Namespace,
    peer: Namespace,
    daemon: Daemon,
    caller: Caller,
}

impl Place {
    async fn new(own: Namespace, version: Version, setup: &Setup) -> Result<Self> {
        let peer = Namespace::new()?;
        own.cable(("eth0", &["fd00:1::1/64"]), &peer, ("eth0", &["fd00:1::2/64"]))?;
        let daemon = own.run(Daemon::start(setup)).await?;
        let caller = Caller::at(&daemon, version, address("fd00:1::1"))?.with_key(daemon.key.as_deref());
        Ok(Self { own, peer, daemon, caller })
    }

    /// With a double of Ollama that misbehaves.
    async fn doubled(version: Version, limits: &str, sin: Sin) -> Result<(Self, Double)> {
        let own = Namespace::new()?;
        let double = own.run(Double::start(Ollama::default())).await;
        double.misbehave("tiny", sin);
        let setup = Setup::backend("ollama", &double.url()).with_limits(limits);
        Ok((Self::new(own, version, &setup).await?, double))
    }

    fn cut(&self) {
        self.peer.ip("link set eth0 down").unwrap();
    }

    /// Asks, and leaves once `cut` has cut the cable and seen what comes of it, which must be before the answer's head.
    async fn vanish(&self, request: &Request, cut: impl Future<Output = ()>) -> Result<()> {
        let seen = AtomicBool::new(false);
        let cut = async {
            cut.await;
            seen.store(true, Relaxed);
        };
        let left = self.peer.run(self.caller.leave_headless(request, cut)).await;
        // HTTP/3's client watches its connection as well, and may have gone before it is told to.
        let _left = if self.caller.version() == Version::H3 { left.ok() } else { Some(left?) };
        ensure!(seen.load(Relaxed), "{:?}: the engine was never free again", self.caller.version());
        Ok(())
    }
}

#[tokio::test]
async fn frees_the_engine_in_the_middle_of_a_stream() -> Result<()> {
    for (version, limits) in LIMITS {
        let (place, double) = Place::doubled(version, limits, Sin::StallAfter(2)).await?;
        let mut stream = place.peer.run(place.caller.open(&Request::chat("tiny", "Hello", true))).await?;
        stream.until("data:").await?;
        place.cut();
        double.wait_left("/api/chat").await;
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
            let (place, double) = Place::doubled(version, limits, sin.clone()).await?;
            let cut = async {
                double.wait_hanging("/api/chat").await;
                place.cut();
                double.wait_left("/api/chat").await;
            };
            place.vanish(&Request::chat("tiny", "Hello", *stream), cut).await?;
            place.daemon.stop().await?;
        }
    }
    Ok(())
}

/// A stream and a whole answer that wait in the embedded engine's queue, behind somebody else's answer, which goes on.
#[tokio::test]
async fn leaves_the_queue_of_the_engine() -> Result<()> {
    for (version, limits) in LIMITS {
        let (queue, setup) = Queue::start().await?;
        let place = Place::new(Namespace::new()?, version, &setup.with_limits(limits)).await?;
        let other = Caller::at(&place.daemon, Version::H1, address("127.0.0.1"))?;
        let other = other.with_key(place.daemon.key.as_deref());
        let occupied = place.own.run(queue.occupy(&other)).await?;
        let cut = || async {
            queue.asked(2).await.unwrap();
            place.cut();
            queue.freed(2).await.unwrap();
        };
        let [streamed, whole] = [true, false].map(|stream| Request::chat(MODEL, "Hello", stream));
        try_join(place.vanish(&streamed, cut()), place.vanish(&whole, cut())).await?;
        drop(occupied);
        place.daemon.stop().await?;
    }
    Ok(())
}
