//! What the probes are sent through: a daemon before a backend of each kind, and what was seen of a request.
//!
//! Knows the doubles and our own engine. Refuses to know what a field should do. Invariant: a scene has what the backends were sent
//! for its own requests, and nothing else.

mod files;

use anyhow::Result;
use ghostllm_tests::{
    client::{Answer, Caller, Family, Request, Version},
    daemon::{Daemon, Setup},
    double::Double,
    engine,
    ollama::{Model, Ollama},
    openai::{OpenAi, Style},
    script::Sin,
    sse::Chat,
};
use serde_json::Value;
use tempfile::TempDir;

use super::probe::Probe;

/// Two calls of functions, as an Ollama says them, and as other servers do, whole and streamed.
const CALLS: &str = "{\"model\":\"pair\",\"message\":{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[\
    {\"function\":{\"name\":\"get_weather\",\"arguments\":{}}},{\"function\":{\"name\":\"get_time\",\"arguments\":{}}}]},\"done\":false}\n";
const WHOLE_CALLS: &str = "{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"couple\",\"choices\":[{\"index\":0,\
    \"finish_reason\":\"tool_calls\",\"message\":{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[\
    {\"id\":\"1\",\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"arguments\":\"{}\"}},\
    {\"id\":\"2\",\"type\":\"function\",\"function\":{\"name\":\"get_time\",\"arguments\":\"{}\"}}]}}],\
    \"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1,\"total_tokens\":2}}";
const STREAMED_CALLS: &str = "{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"duo\",\
    \"choices\":[{\"index\":0,\"finish_reason\":null,\"delta\":{\"role\":\"assistant\",\"tool_calls\":[\
    {\"index\":0,\"id\":\"1\",\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"arguments\":\"{}\"}},\
    {\"index\":1,\"id\":\"2\",\"type\":\"function\",\"function\":{\"name\":\"get_time\",\"arguments\":\"{}\"}}]}}]}";

/// A daemon and all that is behind it.
pub(super) struct Bench {
    daemon: Daemon,
    caller: Caller,
    doubles: Vec<Double>,
    _files: TempDir,
}

impl Bench {
    /// Behind it: an Ollama with models of every purpose; servers of OpenAI's API with `large`, with `vectors` for embeddings, with
    /// `couple`, with `duo`, and one with `small` that gives one answer at a time; our own engine with its demo, `effort` that heeds how much is to be
    /// thought, `mean` for embeddings, `bare`, which was not taught `<tool_call>`, and `fill`, which fills in. `pair`, `couple` and `duo` call two functions at once. Each `other-` is a name that the admin has given.
    pub(super) async fn start() -> Result<Self> {
        let models = [
            ("tiny", false),
            ("tiny-think", true),
            ("tiny-fill", false),
            ("pair", false),
            ("tiny-embed", false),
        ];
        let models =
            models.into_iter().chain([("small-embed", false)]).map(|(name, thinks)| Model::new(name, thinks));
        let ollama = Double::start(Ollama::with(models.collect())).await;
        ollama.misbehave("pair", Sin::LineAfter(0, CALLS));
        let mut setup = Setup::backend("ollama", &ollama.url());
        let mut doubles = vec![ollama];
        for (name, voice) in [
            ("vllm", OpenAi::new(Style::Vllm, "large")),
            ("vectors", OpenAi::embedding(Style::Vllm, "vectors")),
            ("serve", OpenAi::new(Style::Transformers, "small")),
            ("calls", OpenAi::new(Style::Vllm, "couple")),
            ("streams", OpenAi::new(Style::Vllm, "duo")),
        ] {
            let double = Double::start(voice).await;
            double.misbehave("couple", Sin::LineAfter(0, WHOLE_CALLS));
            double.misbehave("duo", Sin::LineAfter(0, STREAMED_CALLS));
            setup = setup.with_backend(name, "openai", &double.url(), "");
            doubles.push(double);
        }
        let made = TempDir::new()?;
        setup = setup.with_file("demo", &engine::demo());
        for (name, bytes) in [
            ("effort", files::heedful()?),
            ("mean", engine::numbered(&[("llama.pooling_type", 1)])),
            ("bare", files::bare()?),
            ("fill", engine::filling()),
        ] {
            let path = made.path().join(format!("{name}.gguf"));
            std::fs::write(&path, bytes)?;
            setup = setup.with_file(name, &path);
        }
        for target in ["large", "vectors", "ghostllm-demo", "mean"] {
            let name = format!("other-{}", target.trim_start_matches("ghostllm-"));
            setup.config.push_str(&format!("\n[[models]]\nname = \"{name}\"\ntarget = \"{target}\"\n"));
        }
        let daemon = Daemon::start(&setup).await?;
        let caller = Caller::new(&daemon, Version::H2, Family::V4).await?;
        Ok(Self { daemon, caller, doubles, _files: made })
    }

    /// Sends a probe's request, with its field or without it.
    pub(super) async fn scene(&self, probe: &Probe, with: bool) -> Result<Scene> {
        let before: Vec<usize> = self.doubles.iter().map(|double| sent(double).len()).collect();
        let request = Request::post(probe.path, &probe.body(with));
        let mut answers = Vec::new();
        for _ in 0..probe.times {
            answers.push(self.caller.send(&request).await?);
        }
        let wire =
            self.doubles.iter().zip(before).flat_map(|(double, before)| sent(double).split_off(before));
        Ok(Scene { answers, wire: wire.collect() })
    }

    /// Ends it in good order.
    pub(super) async fn stop(self) -> Result<()> {
        self.daemon.stop().await
    }
}

/// What a backend was asked to do; what it is asked about itself is none of it.
fn sent(double: &Double) -> Vec<Value> {
    let seen = double.seen().into_iter().map(|seen| seen.request);
    let asked = seen.filter(|request| request.method == "POST" && request.path() != "/api/show");
    asked.map(|request| request.json()).collect()
}

/// What was seen of a request.
pub(super) struct Scene {
    /// The answers, one for each time that it was sent.
    pub answers: Vec<Answer>,
    /// The bodies that the doubles were sent; our own engine's wire is not seen.
    pub wire: Vec<Value>,
}

impl Scene {
    /// The answer's status; of two that differ, the worse.
    pub(super) fn status(&self) -> u16 {
        self.answers.iter().map(|answer| answer.status).max().unwrap_or(0)
    }

    /// A field of the answer's head.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.answers.first().and_then(|answer| answer.header(name))
    }

    /// The answer's body.
    pub(super) fn body(&self) -> String {
        self.answers.first().map(Answer::text).unwrap_or_default()
    }

    /// The same as JSON; null where it is a stream.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body()).unwrap_or_default()
    }

    /// A part of the answer by a JSON pointer.
    pub(super) fn at(&self, pointer: &str) -> Value {
        self.json().pointer(pointer).cloned().unwrap_or_default()
    }

    /// How long a list of the answer is.
    pub(super) fn count(&self, pointer: &str) -> usize {
        self.at(pointer).as_array().map_or(0, Vec::len)
    }

    /// A number of the answer; 0 where there is none.
    pub(super) fn number(&self, pointer: &str) -> u64 {
        self.at(pointer).as_u64().unwrap_or(0)
    }

    /// Whether it is a stream.
    pub(super) fn is_stream(&self) -> bool {
        let kind = self.answers.first().and_then(|answer| answer.header("content-type"));
        kind.is_some_and(|kind| kind.starts_with("text/event-stream"))
    }

    /// The events of a stream; none where it is none.
    pub(super) fn events(&self) -> Vec<Value> {
        let read = self
            .answers
            .first()
            .filter(|_| self.is_stream())
            .and_then(|answer| Chat::read(&answer.body).ok());
        read.unwrap_or_default().chunks
    }

    /// Whether a stream tells the counts.
    pub(super) fn has_usage(&self) -> bool {
        self.events().iter().any(|event| event["usage"]["completion_tokens"].is_u64())
    }

    /// What it says.
    pub(super) fn text(&self) -> String {
        if self.is_stream() {
            let texts = ["/choices/0/delta/content", "/choices/0/text"];
            let events = self.events();
            let told =
                events.iter().flat_map(|event| texts.map(|at| event.pointer(at).and_then(Value::as_str)));
            return told.flatten().collect();
        }
        let texts = ["/choices/0/message/content", "/choices/0/text"].map(|at| self.at(at));
        texts.iter().filter_map(Value::as_str).collect()
    }

    /// Whether the header of what came to nothing names this field.
    pub(super) fn ignored(&self, field: &str) -> bool {
        let header = self.header("x-ghostllm-ignored");
        header.is_some_and(|names| names.split(", ").any(|name| name == field))
    }
}
