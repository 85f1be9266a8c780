//! libFuzzer's side of `h3_gate`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ghostllm_fuzz::h3_gate::check(bytes));
