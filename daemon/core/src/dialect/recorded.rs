//! Answers of real engines, as they came off the wire, for the tests of the dialects.
//!
//! Knows where they lie and which engine sent them. Refuses to know what they mean.

/// One recording, with its file name for messages.
pub(crate) struct Recording {
    pub(crate) name: &'static str,
    pub(crate) bytes: &'static [u8],
}

macro_rules! recordings {
    ($($name:literal),* $(,)?) => {
        &[$(Recording {
            name: $name,
            bytes: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests-data/", $name)),
        }),*]
    };
}

/// Ollama's native streams and whole answers that are complete.
pub(crate) const OLLAMA: &[Recording] = recordings![
    "ollama/chat.ndjson",
    "ollama/chat-length.ndjson",
    "ollama/chat-logprobs.ndjson",
    "ollama/chat-thinking.ndjson",
    "ollama/chat-tools.ndjson",
    "ollama/chat-tools-none-needed.ndjson",
    "ollama/whole-chat-format-schema.json",
    "ollama/whole-chat-plain.json",
    "ollama/whole-chat-tools.json",
    "ollama/whole-thinking.json",
];

/// Ollama's native streams that are not: the client left, the runner was killed.
pub(crate) const OLLAMA_BROKEN: &[Recording] =
    recordings!["ollama/cut-off.ndjson", "ollama/runner-killed.ndjson"];

pub(crate) const TAGS: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests-data/ollama/tags.json"));

/// Complete streams of engines that speak OpenAI's language.
pub(crate) const OPENAI: &[Recording] = recordings![
    "llama-server/plain.sse",
    "llama-server/usage.sse",
    "llama-server/length.sse",
    "llama-server/tools.sse",
    "llama-server/logprobs.sse",
    "vllm/plain.sse",
    "vllm/usage.sse",
    "vllm/length.sse",
    "vllm/tools.sse",
    "vllm/logprobs.sse",
    "transformers/plain.sse",
    "transformers/usage.sse",
    "transformers/length.sse",
    "transformers/tools.sse",
    "transformers/logprobs.sse",
    "ollama-v1/usage.sse",
    "ollama-v1/tools.sse",
];

/// Streams that are not complete, although the last one's body ended cleanly.
pub(crate) const OPENAI_BROKEN: &[Recording] = recordings![
    "llama-server/cut-off.sse",
    "vllm/cut-off.sse",
    "transformers/cut-off.sse",
    "ollama-v1/runner-killed.sse",
];

/// Whole answers of engines that speak OpenAI's language.
pub(crate) const OPENAI_WHOLE: &[Recording] = recordings![
    "llama-server/whole.json",
    "llama-server/whole-tools.json",
    "vllm/whole.json",
    "vllm/whole-tools.json",
    "transformers/whole.json",
    "transformers/whole-tools.json",
];

/// What engines with a Responses API of their own have sent: a second opinion of the events' order.
pub(crate) const RESPONSES: &[Recording] = recordings![
    "responses/ollama-plain.sse",
    "responses/ollama-thinking.sse",
    "responses/ollama-tools.sse",
    "responses/vllm-tools.sse",
];

/// Lists of models of engines that speak OpenAI's language.
pub(crate) const MODELS: &[Recording] = recordings!["llama-server/models.json", "vllm/models.json"];

/// Error answers; the status is the file's extension.
pub(crate) const ERRORS: &[Recording] = recordings![
    "errors/llama-image.500",
    "errors/llama-no-route.404",
    "errors/llama-overflow.400",
    "errors/llama-wrong-type.400",
    "errors/ollama-bad-json.400",
    "errors/ollama-busy.503",
    "errors/ollama-died.500",
    "errors/ollama-image.500",
    "errors/ollama-overflow.400",
    "errors/ollama-think.400",
    "errors/ollama-top-logprobs.400",
    "errors/ollama-unknown-model.404",
    "errors/transformers-bad-json.422",
    "errors/transformers-crash.500",
    "errors/transformers-unknown-field.422",
    "errors/transformers-unknown-model.400",
    "errors/vllm-max-tokens.400",
    "errors/vllm-method.405",
    "errors/vllm-overflow.400",
    "errors/vllm-unknown-model.404",
    "errors/vllm-wrong-type.400",
];

/// Ollama's native answers to requests for embeddings.
pub(crate) const OLLAMA_EMBED: &[Recording] = recordings![
    "ollama/embed-one.json",
    "ollama/embed-list.json",
    "ollama/embed-dimensions.json",
    "ollama/embed-empty.json",
];

/// Embeddings of an engine that speaks OpenAI's language: of the same texts, in the same order.
pub(crate) const OPENAI_EMBED: &[Recording] = recordings![
    "ollama-v1/embeddings-one.json",
    "ollama-v1/embeddings-list.json",
    "ollama-v1/embeddings-dimensions.json",
    "ollama-v1/embeddings-base64.json",
];

/// Error answers to requests for embeddings; the status is the file's extension.
pub(crate) const EMBED_ERRORS: &[Recording] = recordings![
    "errors/embed-llama-chat-model.501",
    "errors/embed-ollama-chat-model.501",
    "errors/embed-ollama-overflow.400",
    "errors/embed-ollama-unknown-model.404",
    "errors/embed-ollama-v1-chat-model.501",
    "errors/embed-ollama-v1-tokens.400",
    "errors/embed-transformers-no-route.404",
    "errors/embed-vllm-no-route.404",
];

/// Completions.
pub(crate) mod completions {
    use super::Recording;

    macro_rules! file {
        ($name:literal) => {
            include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests-data/", $name))
        };
    }

    /// Ollama's, streamed.
    pub(crate) const GENERATE: &[u8] = file!("ollama/generate.ndjson");
    /// The same, which its limit has ended.
    pub(crate) const GENERATE_LENGTH: &[u8] = file!("ollama/generate-length.ndjson");
    /// The same with probabilities, in one piece.
    pub(crate) const GENERATE_LOGPROBS: &[u8] = file!("ollama/whole-generate-logprobs.json");
    /// Streams of engines that speak OpenAI's language.
    pub(crate) const STREAMS: &[Recording] = recordings![
        "llama-server/completion-usage.sse",
        "vllm/completion-usage.sse",
        "transformers/completion.sse",
    ];
    /// Their whole answers.
    pub(crate) const WHOLE: &[Recording] = recordings![
        "llama-server/whole-completion-logprobs.json",
        "vllm/whole-completion-list.json",
        "transformers/whole-completion.json",
    ];
}

/// What lies there and is on no list would be replayed by nobody; a list that nobody reads does not compile.
#[test]
fn every_recording_is_on_a_list() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests-data");
    let lists = include_str!("recorded.rs");
    let mut seen = 0;
    for folder in std::fs::read_dir(root).unwrap().map(|folder| folder.unwrap()) {
        // Files of the program's own, which its own tests read.
        if folder.file_name() == "state" {
            continue;
        }
        for file in std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap()) {
            let name = format!("{}/{}\"", folder.file_name().display(), file.file_name().display());
            assert!(lists.contains(&name), "\"{name} is on no list in recorded.rs");
            seen += 1;
        }
    }
    assert!(seen > 80, "{seen} recordings");
}
