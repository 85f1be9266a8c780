//! libFuzzer's side of `tool_text`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ghostllm_fuzz::tool_text::check(bytes));
