//! libFuzzer's side of `authority`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ghostllm_fuzz::authority::check(bytes));
