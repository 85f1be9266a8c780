//! Fields that no client may send.
//!
//! Knows the names of fields by which requests have reached into engines, moved their destination or passed others. Refuses to
//! know the rest of a request. Invariant: a refused field that says anything never reaches a backend,
//! however its name is cased.

use super::fields::Fields;
use crate::dialect::json::{Elements, Entries, Quoted};
use crate::error::{ApiError, Code};

/// Where the request goes, and with whose key (as in CVE-2024-6587), and whom an engine would call when it is done.
const DESTINATION: [&str; 27] = [
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
    // LiteLLM's and OpenRouter's: other models than the one that the caller's key was judged by, and answers that no model has given.
    "models",
    "route",
    "model_list",
    "litellm_params",
    "mock_response",
    "azure_endpoint",
    // SGLang's: from where its cache comes, for a prompt that another machine has read.
    "bootstrap_host",
    "bootstrap_port",
    "bootstrap_room",
    // Servers with jobs call these when one has ended.
    "webhook",
    "webhook_url",
    "callback_url",
    // With which LoRAX fetches an adapter, and from where.
    "api_token",
    "adapter_source",
];

/// What runs inside the engine: templates (CVE-2025-61620, CVE-2025-62426), its cache and its slots
/// (CVE-2026-21869), its files, tensors that it would unpack (CVE-2025-62164).
const INSIDE: [&str; 41] = [
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
    // By which another's answer is called off.
    "rid",
    // llama.cpp's, beside `n_keep`; its parser of answers, which it makes of JSON.
    "n_cache_reuse",
    "chat_parser",
    // What `transformers serve` loads for a request: a path or a repository (`cli/serving/utils.py`), and its settings as JSON.
    "processor",
    "generation_config",
    // The same of other servers in Python (mlx-lm, mlx-vlm, LoRAX, TGI): what is named here is loaded.
    "adapter_path",
    "adapter_id",
    "adapter",
    "lora_adapter",
    "lora_name",
    "merged_adapters",
    "tokenizer",
    "draft_model",
    "trust_remote_code",
    // vLLM's, beside `kv_transfer_params`: its encoder's cache.
    "ec_transfer_params",
];

/// Who is answered first, and by which of an engine's processes. By vLLM's and SGLang's `priority` any client would pass all others, and
/// have their answers put off; the order is the keys' and the governor's, and what has time says so by `service_tier`.
const ORDER: [&str; 4] = ["priority", "data_parallel_rank", "routed_dp_rank", "disagg_prefill_dp_rank"];

/// Refuses a top-level field by its name.
pub(super) fn check(name: &str) -> Result<(), ApiError> {
    let among = |refused: &[&str]| refused.iter().any(|refused| name.eq_ignore_ascii_case(refused));
    let why = if among(&DESTINATION) {
        "The configuration alone says where requests go."
    } else if among(&INSIDE) {
        "It reaches into the model's engine."
    } else if among(&ORDER) {
        "Who is answered first, and where, is the daemon's to say; what has time says so by service_tier: \"flex\"."
    } else {
        return Ok(());
    };
    let message = format!("The field '{name}' is not taken from clients. {why}");
    Err(ApiError::new(Code::UnsupportedParameter, message).with_param(name))
}

/// By which members of a tool a server calls somebody by itself.
const CALLED: [&str; 2] = ["server_url", "connector_id"];

/// Refuses tools by which an engine would call another server by itself: `mcp`, of OpenAI's Responses, which some servers take in a chat.
pub(super) fn check_tools(fields: &Fields<'_>) -> Result<(), ApiError> {
    const WHY: &str = "The configuration alone says where requests go: no tool is taken that an engine would call at another server.";
    let Some(mut tools) = fields.get("tools").and_then(Elements::of) else { return Ok(()) };
    let mut place = 0;
    while tools.more() {
        for (name, value) in Entries::of(tools.element()) {
            let name = name.text();
            let is = |known: &&str| name.eq_ignore_ascii_case(known);
            let calls = value != "null" && CALLED.iter().chain(&DESTINATION).any(is);
            let is_mcp =
                is(&"type") && Quoted::of(value).is_some_and(|kind| kind.text().eq_ignore_ascii_case("mcp"));
            if calls || is_mcp {
                return Err(ApiError::unsupported(format!("tools[{place}].{name}"), WHY));
            }
        }
        place += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_into_engines_is_refused_by_its_name_and_the_rest_passes() {
        for (name, why) in [
            ("webhook", "where requests go"),
            ("models", "where requests go"),
            ("Azure_Endpoint", "where requests go"),
            ("lora_name", "into the model's engine"),
            ("callback_url", "where requests go"),
            ("processor", "into the model's engine"),
            ("Generation_Config", "into the model's engine"),
            ("adapter_path", "into the model's engine"),
            ("tokenizer", "into the model's engine"),
            ("draft_model", "into the model's engine"),
            ("trust_remote_code", "into the model's engine"),
            ("ec_transfer_params", "into the model's engine"),
            ("rid", "into the model's engine"),
            ("priority", "service_tier"),
            ("data_parallel_rank", "service_tier"),
        ] {
            let error = check(name).unwrap_err();
            assert_eq!((error.code(), error.param()), (Code::UnsupportedParameter, Some(name)));
            assert!(error.message().contains(why), "{}", error.message());
        }
        for (tool, member) in [
            (r#"{"type":"mcp","server_label":"x"}"#, "type"),
            (r#"{"type":"MC\u0050"}"#, "type"),
            (r#"{"type":"x","Server_URL":"http://169.254.169.254"}"#, "Server_URL"),
            (r#"{"type":"x","connector_id":"c"}"#, "connector_id"),
            (r#"{"type":"x","headers":{}}"#, "headers"),
        ] {
            let body =
                format!(r#"{{"tools":[{{"type":"function","function":{{"name":"server_url"}}}}, {tool}]}}"#);
            let error = check_tools(&Fields::read(body.as_bytes(), 9).unwrap()).unwrap_err();
            let param = format!("tools[1].{member}");
            assert_eq!((error.code(), error.param()), (Code::UnsupportedParameter, Some(&*param)));
        }
        for tools in [r#"[{"type":"function","server_url":null}]"#, "[]", "5", r#"["mcp"]"#] {
            let body = format!(r#"{{"tools":{tools}}}"#);
            check_tools(&Fields::read(body.as_bytes(), 9).unwrap()).unwrap();
        }
        for name in ["service_tier", "guided_regex", "mm", "processors", "request_id", ""] {
            check(name).unwrap();
        }
    }
}
