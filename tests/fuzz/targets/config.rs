//! libFuzzer's side of `config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ghostllm_fuzz::config::check(bytes));
