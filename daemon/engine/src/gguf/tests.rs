//! The demo model, whole, torn at many places and changed at many bytes.

use super::*;

const DEMO: &[u8] = include_bytes!("../../demo/ghostllm-demo.gguf");

fn judge(bytes: &[u8]) -> Result<Summary, GgufError> {
    Summary::read(bytes, bytes.len() as u64)
}

/// Where the demo's tensor data starts: everything before it is the head.
const HEAD: usize = 33_000;

#[test]
fn the_demo_is_sound() {
    let summary = judge(DEMO).unwrap();
    assert_eq!(summary.architecture(), "llama");
    assert_eq!(summary.context_length(), Some(2048));
    assert_eq!(summary.longest_token(), Some(16));
    assert!(summary.chat_template(true).unwrap().contains("<tool_call>"));
    assert!(summary.generates_text());
}

#[test]
fn every_cut_is_noticed() {
    for cut in (0..HEAD).step_by(97).chain((HEAD..DEMO.len() - 64).step_by(9973)) {
        assert!(judge(&DEMO[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn the_problem_is_named() {
    let change = |at: usize, with: &[u8]| {
        let mut bytes = DEMO.to_vec();
        bytes[at..at + with.len()].copy_from_slice(with);
        judge(&bytes).unwrap_err().to_string()
    };
    assert!(change(0, b"GGML").contains("not a GGUF file"));
    assert!(change(4, &1_u32.to_le_bytes()).contains("version 1"));
    assert!(change(4, &3_u32.to_be_bytes()).contains("big-endian"));
    assert!(change(4, &9_u32.to_le_bytes()).contains("version 9"));
    assert!(change(8, &u64::MAX.to_le_bytes()).contains("tensors, more than fit"));
    assert!(change(16, &u64::MAX.to_le_bytes()).contains("metadata entries, more than fit"));
    assert!(judge(&DEMO[..DEMO.len() - 100]).unwrap_err().to_string().contains("cut short"));
    assert!(judge(b"").unwrap_err().to_string().contains("not a GGUF file"));
}

/// A repeatable stream of numbers, so that a failure names its seed.
fn scramble(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

#[test]
fn a_thousand_mutations_of_the_head_are_judged_without_harm() {
    let mut refused = 0;
    for seed in 0..1000_u64 {
        let mut state = seed;
        let mut bytes = DEMO.to_vec();
        for _ in 0..=scramble(&mut state) % 4 {
            let at = usize::try_from(scramble(&mut state)).unwrap() % HEAD;
            match scramble(&mut state) % 3 {
                0 => bytes[at] = 0xff,
                1 => bytes[at] ^= 1 << (scramble(&mut state) % 8),
                _ => bytes[at..at + 8].copy_from_slice(&(u64::MAX - state % 3).to_le_bytes()),
            }
        }
        refused += usize::from(judge(&bytes).is_err());
    }
    // Most bytes of the head are words of the vocabulary, where a change is only another word.
    assert!(refused > 200, "only {refused} of 1000 were refused");
}
