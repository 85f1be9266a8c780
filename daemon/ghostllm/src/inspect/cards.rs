//! The cards, for `ghostllm inspect`.
//!
//! Knows how long a driver may take. Refuses to know how a card is asked. Invariant: a driver that hangs is told, and keeps nobody waiting
//! longer than that.

use ghostllm_core::{admin::InspectedGpus, config::Gpu};
use ghostllm_gpu::{Card, Missing};

use super::{CARDS, within};
use crate::cards::{Board, Others, Unasked, others, root, together};

/// Looks.
pub(super) async fn look(gpu: &Gpu) -> InspectedGpus {
    let (library, root) = (gpu.nvml_library.clone(), root(gpu));
    let (nvidia, others) = tokio::join!(
        within(CARDS, move || ghostllm_gpu::cards(library.as_deref())),
        within(CARDS, move || others(&root)),
    );
    heard(nvidia, others)
}

/// What was heard in time; none is one that has not answered.
fn heard(nvidia: Option<Result<Vec<Card>, Missing>>, others: Option<Others>) -> InspectedGpus {
    let silent = || {
        let why =
            format!("NVIDIA's driver has not answered within {CARDS:?}; nvidia-smi should hang as well");
        Err(Unasked::silent(why))
    };
    let nvidia = nvidia.map_or_else(silent, |asked| asked.map_err(Unasked::from));
    let others = others.ok_or_else(|| {
        format!(
            "the kernel's files of other cards have not answered within {CARDS:?}; sudo dmesg may say more"
        )
    });
    let Board { cards, missing, .. } = together(nvidia, others);
    InspectedGpus { cards: cards.into_iter().map(|told| told.card).collect(), missing }
}

#[cfg(test)]
mod tests {
    use super::heard;

    #[test]
    fn what_hangs_is_told() {
        let why = heard(None, None).missing.unwrap();
        assert!(
            why.contains("NVIDIA's driver has not answered") && why.contains("the kernel's files"),
            "{why}"
        );
    }
}
