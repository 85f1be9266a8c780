//! libFuzzer's side of `api_key`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ghostllm_fuzz::api_key::check(bytes));
