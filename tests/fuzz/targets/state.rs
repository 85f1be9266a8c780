//! libFuzzer's side of `state`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ghostllm_fuzz::state::check(bytes));
