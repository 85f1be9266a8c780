//! HTML as far as the page needs it.
//!
//! Invariant: a text is escaped wherever it is put in.

use std::fmt::Write as _;

/// A page's text as it grows.
#[derive(Default)]
pub(super) struct Page(String);

impl Page {
    /// Adds markup.
    pub(super) fn put(&mut self, markup: &str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Adds a text.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.0.push_str(&escaped(text));
        self
    }

    /// Adds an element that holds a text.
    pub(super) fn element(&mut self, name: &str, text: &str) -> &mut Self {
        let _writing_to_a_string_never_fails = write!(self.0, "<{name}>{}</{name}>", escaped(text));
        self
    }

    /// Adds paragraphs and lists of CommonMark, of which no more is used than those and code within a line.
    pub(super) fn prose(&mut self, text: &str) -> &mut Self {
        for block in text.split("\n\n").filter(|block| !block.is_empty()) {
            if block.starts_with("- ") {
                self.put("<ul>\n");
                for line in block.lines() {
                    let line = line.trim_start_matches("- ");
                    self.put("<li>").put(&inline(line)).put("</li>\n");
                }
                self.put("</ul>\n");
            } else {
                self.put("<p>").put(&inline(block)).put("</p>\n");
            }
        }
        self
    }

    pub(super) fn done(self) -> String {
        self.0
    }
}

/// A text with `code` in it.
pub(super) fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 32);
    for (place, piece) in text.split('`').enumerate() {
        let piece = escaped(piece);
        if place % 2 == 1 {
            let _writing_to_a_string_never_fails = write!(out, "<code>{piece}</code>");
        } else {
            out.push_str(&piece);
        }
    }
    out
}

/// Safe in an element and in a quoted attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}
