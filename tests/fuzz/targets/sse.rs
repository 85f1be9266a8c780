//! libFuzzer's side of `sse`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ghostllm_fuzz::sse::check(bytes));
