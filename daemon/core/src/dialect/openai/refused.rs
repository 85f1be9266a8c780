//! Fields that no client may send.
//!
//! Knows the names of fields by which requests have reached into engines or moved their destination. Refuses to
//! know the rest of a request. Invariant: a refused field never reaches a backend, however its name is cased.

use crate::error::{ApiError, Code};

/// Where the request goes, and with whose key (as in CVE-2024-6587).
const DESTINATION: [&str; 16] = [
    "api_base",
    "base_url",
    "api_key",
    "api_version",
    "extra_headers",
    "headers",
    "extra_body",
    "proxy",
    "proxies",
    "custom_llm_provider",
    "fallbacks",
    "remote_host",
    "remote_model",
    // SGLang's: from where its cache comes, for a prompt that another machine has read.
    "bootstrap_host",
    "bootstrap_port",
    "bootstrap_room",
];

/// What runs inside the engine: templates (CVE-2025-61620, CVE-2025-62426), its cache and its slots
/// (CVE-2026-21869), its files, tensors that it would unpack (CVE-2025-62164).
const INSIDE: [&str; 27] = [
    "chat_template",
    "chat_template_kwargs",
    "n_discard",
    "n_keep",
    "cache_salt",
    "id_slot",
    "slot_id",
    "lora",
    "lora_request",
    "adapters",
    "grammar_file",
    "model_path",
    "mmproj",
    "lookup_cache_static",
    "prompt_cache",
    "kv_transfer_params",
    "mm_processor_kwargs",
    "media_io_kwargs",
    "vllm_xargs",
    "logits_processors",
    "allowed_local_media_path",
    "prompt_embeds",
    // SGLang's (`entrypoints/openai/protocol.py`): code of the client's, files, and what requests share.
    "custom_logit_processor",
    "lora_path",
    "session_params",
    "extra_key",
    // llama.cpp's, beside `n_keep`.
    "n_cache_reuse",
];

/// Refuses a top-level field by its name.
pub(super) fn check(name: &str) -> Result<(), ApiError> {
    let among = |refused: &[&str]| refused.iter().any(|refused| name.eq_ignore_ascii_case(refused));
    let why = if among(&DESTINATION) {
        "The configuration alone says where requests go."
    } else if among(&INSIDE) {
        "It reaches into the model's engine."
    } else {
        return Ok(());
    };
    let message = format!("The field '{name}' is not taken from clients. {why}");
    Err(ApiError::new(Code::UnsupportedParameter, message).with_param(name))
}
