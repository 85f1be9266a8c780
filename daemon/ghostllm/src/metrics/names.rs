//! Names that become labels, as many of them as are given a series of their own.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock},
};

/// So many different names. Each model has up to some hundred lines of its own, so that all of them are a few megabytes.
const MOST: usize = 100;

/// What all others are called.
const OTHER: &str = "other";

/// The names so far; they are never forgotten, since a series that ends and comes back would count twice.
#[derive(Debug)]
pub(super) struct Names {
    known: RwLock<HashSet<Arc<str>>>,
    other: Arc<str>,
}

impl Default for Names {
    fn default() -> Self {
        Self { known: RwLock::default(), other: Arc::from(OTHER) }
    }
}

impl Names {
    /// The label for this name, which is not the client's own.
    pub(super) fn of(&self, name: &str) -> Arc<str> {
        if let Some(known) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Arc::clone(known);
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(name) {
            return Arc::clone(known);
        }
        if known.len() >= MOST {
            return self.other();
        }
        let name: Arc<str> = Arc::from(name);
        known.insert(Arc::clone(&name));
        name
    }

    /// The label for what has none of its own.
    pub(super) fn other(&self) -> Arc<str> {
        Arc::clone(&self.other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_hundred_have_labels_of_their_own_and_keep_them() {
        let names = Names::default();
        let label = |number: usize| names.of(&format!("model-{number}")).to_string();
        for number in 0..MOST {
            assert_eq!(label(number), format!("model-{number}"));
        }
        for number in MOST..2 * MOST {
            assert_eq!(label(number), OTHER);
        }
        assert_eq!((label(0), label(MOST - 1)), ("model-0".to_owned(), format!("model-{}", MOST - 1)));
    }
}
