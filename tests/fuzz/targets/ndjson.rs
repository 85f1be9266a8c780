//! libFuzzer's side of `ndjson`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ghostllm_fuzz::ndjson::check(bytes));
