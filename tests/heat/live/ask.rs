//! A client that asks, waits, comes again when it is told to, and gives up.
//!
//! Knows OpenAI's wire and the field that says how urgent a request is. Refuses to know what stands at the address. Invariant: an answer counts
//! only if its last event came.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use ghostllm_heat_claim::sim::{Class, Done, Job};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::json;
use tokio::time::timeout;

use crate::engine::MODEL;

/// Seconds of the card until a client without a token gives up (gpustack/gpustack#621), and how often it comes again (openai-python).
const PATIENCE: f64 = 120.0;
const RETRIES: u32 = 2;
/// Seconds after which it does where nothing was said.
const AGAIN: f64 = 5.0;

/// What came of a request.
pub(crate) enum Answered {
    Whole(Done),
    Never(Job),
}

pub(crate) struct Asker {
    address: String,
    keys: Keys,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// Who asks, by class: without a key the caller is one of this box's programs. Two callers have two shares of the daemon's queue.
pub(crate) struct Keys {
    pub(crate) interactive: Option<String>,
    pub(crate) background: Option<String>,
}

/// How one try ended.
enum Try {
    Done(f64),
    Again(f64),
    Lost,
}

impl Asker {
    pub(crate) fn new(address: String, keys: Keys) -> Self {
        Self { address, keys, client: Client::builder(TokioExecutor::new()).build_http() }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Asks until it is answered, in the card's seconds: so many of them to one of the clock's.
    pub(crate) async fn ask(self: Arc<Self>, mut job: Job, begun: Instant, speed: f64) -> Answered {
        let now = || begun.elapsed().as_secs_f64() * speed;
        loop {
            match self.once(&job, &now, speed).await {
                Try::Done(first) => {
                    job.first = Some(first);
                    return Answered::Whole(Done { job, at: now() });
                }
                Try::Again(after) if job.tries < RETRIES => {
                    job.tries += 1;
                    // What the daemon says is in the clock's seconds.
                    tokio::time::sleep(Duration::from_secs_f64(after)).await;
                }
                Try::Again(_) | Try::Lost => return Answered::Never(job),
            }
            if now() - job.asked > PATIENCE {
                return Answered::Never(job);
            }
        }
    }

    fn request(&self, job: &Job) -> Option<Request<Full<Bytes>>> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "words of a prompt")]
        let (prompt, answer) = ("word ".repeat(job.prompt as usize), job.answer as u32);
        let message = json!({"role": "user", "content": prompt});
        let body = json!({"model": MODEL, "stream": true, "max_tokens": answer, "messages": [message]});
        let (priority, key) = match job.class {
            Class::Interactive => ("interactive", &self.keys.interactive),
            Class::Background => ("background", &self.keys.background),
        };
        let mut request = Request::post(format!("http://{}/v1/chat/completions", self.address))
            .header("content-type", "application/json")
            .header("ghostllm-priority", priority);
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        request.body(Full::new(Bytes::from(body.to_string()))).ok()
    }

    async fn once(&self, job: &Job, now: &impl Fn() -> f64, speed: f64) -> Try {
        let Some(request) = self.request(job) else { return Try::Lost };
        let patience = || Duration::from_secs_f64((PATIENCE - (now() - job.asked)).max(0.0) / speed);
        let Ok(response) = timeout(patience(), self.client.request(request)).await else { return Try::Lost };
        let Ok(response) = response else { return Try::Again(AGAIN) };
        if !response.status().is_success() {
            let after =
                response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
            return Try::Again(after.unwrap_or(AGAIN));
        }
        read(response, now, patience).await.map_or(Try::Lost, Try::Done)
    }
}

/// When the first token came, if the last did as well; none if it did not come while there was patience.
async fn read(
    response: Response<Incoming>,
    now: &impl Fn() -> f64,
    patience: impl Fn() -> Duration,
) -> Option<f64> {
    let (mut body, mut first, mut end) = (response.into_body(), None, Vec::new());
    loop {
        let frame =
            if first.is_none() { timeout(patience(), body.frame()).await.ok()? } else { body.frame().await };
        let Some(Ok(frame)) = frame else { break };
        let Ok(data) = frame.into_data() else { continue };
        if first.is_none() && data.windows(4).any(|piece| piece == b"word") {
            first = Some(now());
        }
        end.extend_from_slice(&data);
        end.drain(..end.len().saturating_sub(64));
    }
    let whole = end.windows(6).any(|piece| piece == b"[DONE]");
    first.filter(|_| whole)
}
