//! The reference of the configuration, which is also its example file.
//!
//! Knows the form of the text. Refuses to know the settings: their words are the doc comments of the structs, so
//! that the reference cannot drift. Invariant: with its `#key` lines uncommented, the text is a valid file.

use super::setting::Setting;

/// The reference while it is written.
#[derive(Default)]
pub(super) struct Reference {
    pub(super) text: String,
}

impl Reference {
    /// Words at the top of the file.
    pub(super) fn prose(&mut self, lines: &str) {
        for line in lines.lines() {
            self.comment(line);
        }
    }

    /// A section's words and its header, `label` as it stands in the file.
    pub(super) fn about(&mut self, docs: &[&str], label: &str) {
        self.text.push('\n');
        for line in docs {
            self.comment(line.trim());
        }
        self.text.push_str(label);
        self.text.push('\n');
    }

    /// A setting's words and its default; one that has no default shows an example.
    pub(super) fn setting<T: Setting>(&mut self, docs: &[&str], key: &str, default: &T) {
        for line in docs {
            self.comment(line.trim());
        }
        let line = match default.show() {
            Some(value) => format!("#{key} = {value}\n"),
            None => format!("# Not set by itself; for example: {key} = {}\n", T::example()),
        };
        self.text.push_str(&line);
    }

    fn comment(&mut self, line: &str) {
        self.text.push_str(if line.is_empty() { "#" } else { "# " });
        self.text.push_str(line);
        self.text.push('\n');
    }
}
