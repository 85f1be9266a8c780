//! Ends a text before the first stop text in it, wherever the pieces were cut.

use super::held_back;

/// The stop texts of a request and what might be the beginning of one.
#[derive(Debug)]
pub(super) struct StopTexts {
    stops: Vec<String>,
    held: String,
    met: bool,
}

impl StopTexts {
    /// Empty stop texts are ignored: they would stop everything.
    pub(super) fn new(stops: Vec<String>) -> Self {
        Self {
            stops: stops.into_iter().filter(|stop| !stop.is_empty()).collect(),
            held: String::new(),
            met: false,
        }
    }

    pub(super) fn met(&self) -> bool {
        self.met
    }

    pub(super) fn push(&mut self, text: &str) -> String {
        if self.met {
            return String::new();
        }
        self.held.push_str(text);
        if let Some(at) = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min() {
            self.met = true;
            self.held.truncate(at);
            return std::mem::take(&mut self.held);
        }
        let keep = held_back(&self.held, self.stops.iter().map(String::as_str));
        let rest = self.held.split_off(self.held.len() - keep);
        std::mem::replace(&mut self.held, rest)
    }

    pub(super) fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}
