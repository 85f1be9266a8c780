//! What is wrong with the cards: judged by the core, for the daemon's causes as well. What is said of it here is tested here.

pub(crate) use ghostllm_core::admin::wrong::{About, Fault, all, called, of_cards, was_hot};

#[cfg(test)]
mod tests;
