//! libFuzzer's side of `openai_json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ghostllm_fuzz::openai_json::check(bytes));
