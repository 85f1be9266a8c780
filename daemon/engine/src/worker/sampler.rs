//! Makes llama.cpp's chain of samplers from a request's wishes.

use crate::wire::sampling::Sampling;
use llama_cpp_2::sampling::LlamaSampler;
use std::hash::{BuildHasher, Hasher};

/// The order is llama.cpp's own: penalties, cuts, temperature, choice. `length` is the context's, over which penalties
/// count.
pub(super) fn chain(sampling: &Sampling, vocabulary: i32, length: u32) -> LlamaSampler {
    let mut chain = Vec::new();
    if penalises(sampling) {
        chain.push(LlamaSampler::penalties(
            vocabulary,
            i32::try_from(length).unwrap_or(i32::MAX),
            sampling.repetition_penalty,
            sampling.frequency_penalty,
            sampling.presence_penalty,
        ));
    }
    if sampling.temperature <= 0.0 {
        chain.push(LlamaSampler::greedy());
    } else {
        if sampling.top_k > 0 {
            chain.push(LlamaSampler::top_k(sampling.top_k));
        }
        chain.push(LlamaSampler::top_p(sampling.top_p, 1));
        chain.push(LlamaSampler::min_p(sampling.min_p, 1));
        chain.push(LlamaSampler::temp(sampling.temperature));
        chain.push(LlamaSampler::dist(sampling.seed.unwrap_or_else(chance)));
    }
    LlamaSampler::chain(chain, true)
}

/// Whether any penalty departs from its neutral value.
fn penalises(sampling: &Sampling) -> bool {
    let neutral = |value: f32, rest: f32| (value - rest).abs() < f32::EPSILON;
    !(neutral(sampling.repetition_penalty, 1.0)
        && neutral(sampling.frequency_penalty, 0.0)
        && neutral(sampling.presence_penalty, 0.0))
}

/// The standard library seeds each hasher's state by chance, which is all that an unseeded answer needs.
fn chance() -> u32 {
    let number = std::collections::hash_map::RandomState::new().build_hasher().finish();
    u32::try_from(number % u64::from(u32::MAX)).unwrap_or(0)
}
