//! A double of Ollama whose socket tells when its peers leave.

use std::time::Instant;

use ghostllm_tests::{
    daemon::Setup,
    double::{Double, End},
    ollama::Ollama,
    script::Sin,
};

pub(crate) const MODEL: &str = "tiny";

/// The double, and how many requests have been looked at.
pub(crate) struct Watched {
    double: Double,
    seen: usize,
}

impl Watched {
    pub(crate) async fn start(sin: Sin) -> (Self, Setup) {
        let double = Double::start(Ollama::default()).await;
        double.misbehave(MODEL, sin);
        let setup = Setup::backend("ollama", &double.url());
        (Self { double, seen: 0 }, setup)
    }

    /// The engine is asked for them in this order.
    pub(crate) async fn freed(&mut self, count: usize) -> Vec<Instant> {
        let begin = self.seen;
        self.seen += count;
        let what = format!("{count} of its peers leave");
        self.double
            .wait(&what, |seen| {
                let chats = seen.iter().filter(|seen| seen.request.path() == "/api/chat").skip(begin);
                let left: Vec<_> = chats
                    .take(count)
                    .filter_map(|seen| match seen.end {
                        Some(End::Left(at)) => Some(at),
                        _ => None,
                    })
                    .collect();
                (left.len() == count).then_some(left)
            })
            .await
    }

    /// Waits until the next so many requests hang where the moment wants them: whatever comes before has been written.
    pub(crate) async fn asked(&self, count: usize) {
        let wanted = self.seen + count;
        let what = format!("{wanted} requests that hang");
        self.double
            .wait(&what, |seen| (seen.iter().filter(|seen| seen.hangs).count() >= wanted).then_some(()))
            .await;
    }
}
