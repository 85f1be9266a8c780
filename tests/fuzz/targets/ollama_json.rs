//! libFuzzer's side of `ollama_json`.
#![no_main]

use ghostllm_fuzz::{ollama_json::check, openai_json::mutate};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| check(bytes));

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let changed = mutate(data.get(..size).unwrap_or_default(), seed);
    match data.get_mut(..changed.len()) {
        Some(room) if seed % 2 == 0 && changed.len() <= max_size => {
            room.copy_from_slice(&changed);
            changed.len()
        }
        _ => libfuzzer_sys::fuzzer_mutate(data, size, max_size),
    }
});
