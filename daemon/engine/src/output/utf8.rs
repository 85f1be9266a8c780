//! Makes whole characters of bytes that were cut anywhere.
//!
//! Invariant: a character's bytes wait until they are complete; bytes that can never be one become U+FFFD.

/// The bytes of an unfinished character.
#[derive(Debug, Default)]
pub(super) struct Characters {
    rest: Vec<u8>,
}

impl Characters {
    pub(super) fn push(&mut self, bytes: &[u8]) -> String {
        self.rest.extend_from_slice(bytes);
        let mut text = String::new();
        let mut used = 0;
        for chunk in self.rest.utf8_chunks() {
            text.push_str(chunk.valid());
            used += chunk.valid().len();
            let broken = chunk.invalid();
            let last = used + broken.len() == self.rest.len();
            if broken.is_empty() || (last && may_become_a_character(broken)) {
                continue;
            }
            text.push(char::REPLACEMENT_CHARACTER);
            used += broken.len();
        }
        self.rest.drain(..used);
        text
    }

    pub(super) fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.rest)).into_owned()
    }
}

fn may_become_a_character(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}
