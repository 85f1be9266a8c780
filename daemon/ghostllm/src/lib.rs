//! placeholder
pub mod certificates;
pub mod host;
