//! Streams that live through something: one of each version, each of an engine that says the rest once it is let.
//!
//! Knows how they are begun and how they must end. Refuses to know what happens meanwhile.

use anyhow::{Result, ensure};
use ghostllm_tests::{
    client::{Caller, End, Request, Stream, VERSIONS, Version},
    daemon::{Daemon, Setup},
    double::Double,
    netns::Namespace,
    ollama::Ollama,
    script::Sin,
    sse::Chat,
};

use crate::address;

/// Their engines, one for each version.
pub(crate) struct Engines(Vec<Double>);

/// One of each version, and what has come of it.
pub(crate) struct Streams(Vec<(Version, Stream, Vec<u8>)>);

impl Engines {
    /// Starts them there; a daemon of this configuration has them.
    pub(crate) async fn start(own: &Namespace) -> (Self, Setup) {
        let (mut doubles, mut setup) = (Vec::new(), Setup::default());
        for version in VERSIONS {
            let double = own.run(Double::start(Ollama::default())).await;
            double.misbehave("tiny", Sin::Gated);
            double.release(2);
            setup = setup.with_backend(&name(version), "ollama", &double.url(), "");
            doubles.push(double);
        }
        (Self(doubles), setup)
    }

    /// Asks from that place for a stream of each version, and reads each as far as its engine goes on.
    pub(crate) async fn open(&self, from: &Namespace, daemon: &Daemon, at: &str) -> Result<Streams> {
        let mut streams = Vec::new();
        for version in VERSIONS {
            let caller = Caller::at(daemon, version, address(at))?.with_key(daemon.key.as_deref());
            let model = format!("{}/tiny", name(version));
            let request = Request::chat(&model, "What is the capital of France?", true);
            let mut stream = from.run(caller.open(&request)).await?;
            let begun = stream.until(" capital").await?;
            streams.push((version, stream, begun));
        }
        Ok(Streams(streams))
    }

    /// Lets them say the rest, and sees that each stream ends whole.
    pub(crate) async fn check_whole(&self, streams: Streams, daemon: &Daemon) -> Result<()> {
        self.0.iter().for_each(|double| double.release(100));
        for (version, stream, mut body) in streams.0 {
            let rest = stream.finish().await?;
            body.extend(&rest.body);
            ensure!(rest.end == End::Clean, "{version:?}: {:?}\n{}", rest.end, daemon.stderr());
            let chat = Chat::read(&body)?;
            ensure!(chat.done && chat.text() == "The capital of France is Paris.", "{version:?}: {chat:?}");
        }
        Ok(())
    }
}

fn name(version: Version) -> String {
    format!("{version:?}").to_lowercase()
}
