//! Cards of AMD and of Intel, and the machine's processor, asked through the kernel's files.
//!
//! Knows which file has which reading. Refuses to know threads, and how often a card is asked. Invariants: what a file does not say is
//! missing for a reason; files are opened once and read again from their beginning, so that a round allocates nothing; a card that is gone
//! is asked nothing more in that round; one that sleeps is left asleep.

mod amd;
mod card;
mod file;
mod hwmon;
mod intel;
mod metrics;
mod pci;
mod processor;
mod scan;

pub(crate) use card::FileCard;
pub(crate) use processor::Processor;
pub(crate) use scan::{cards, is_given_away};
