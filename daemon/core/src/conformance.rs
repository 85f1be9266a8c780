//! The page of conformance: each field of a request, and what becomes of it at each kind of backend.
//!
//! Knows the tables that requests are read by. Refuses to know more of a field than its row. Invariant: an endpoint stands on the page
//! only if tests from outside send each of its fields and see in the answer, or on the backend's wire, what the page says
//! (`tests/api/conformance`); they read the page itself, so that its form is theirs too.

use std::fmt::Write as _;

use crate::dialect::openai::table::{Behind, Fate, IGNORED, ROWS, Row, UNPROMISED};
use crate::dialect::openai::{COMPLETION_ROWS, EMBEDDING_ROWS};
use crate::dialect::responses;

/// The endpoints: a heading, and the table of fields.
pub(crate) const ENDPOINTS: [(&str, &[Row]); 4] = [
    ("POST /v1/chat/completions", ROWS),
    ("POST /v1/completions", COMPLETION_ROWS),
    ("POST /v1/embeddings", EMBEDDING_ROWS),
    ("POST /v1/responses", responses::ROWS),
];

/// The page, as it is written to `packaging/docs/conformance.md`: Markdown, for each endpoint one table.
#[must_use]
pub fn page() -> String {
    let mut text = format!(
        "# Conformance\n\nEvery field of a request, and what becomes of it at each kind of backend. `just test` sends each of them \
         through a daemon and fails\nwhere what is observed is another word than the one that stands here.\n\n\
         - **works**: it does what it says. Ollama: by a word of its native API, seen on its wire or in the answer. Own engine: \
         seen in the answer.\n\
         - **passed**: it reaches the backend as it came, seen on its wire; such a server takes it, passes over it or refuses it, and \
         its refusal\n  is passed back.\n\
         - **emulated**: the daemon does it itself, where the backend has no word for it or cannot be trusted with it; seen in the \
         answer.\n\
         - **ignored**: nothing comes of it, and the answer is sound without it. The answer's header `{IGNORED}` names it. What \
         cannot be promised, though the engine is asked\n  for it, is named in `{UNPROMISED}`.\n\
         - **refused**: it would change the answer and cannot be had: status 400, `unsupported_parameter`, and `param` names it. \
         A value that\n  asks for nothing is taken where the row says so; null is as good as no field.\n\n\
         A field that stands in no table is given to servers of OpenAI's API as it came, and ignored by the others; of embeddings it \
         is refused\nby an Ollama and the own engine, and of responses it is ignored everywhere. A field that is known under its name in another case \
         (`Messages`)\nis refused, with the name to write: some servers read it all the same. An *ext.* is no field that OpenAI has there, but one that \
         engines or its chats have.\n"
    );
    for (heading, rows) in ENDPOINTS {
        section(&mut text, heading, rows);
    }
    text
}

fn section(text: &mut String, heading: &str, rows: &[Row]) {
    let _writing_to_a_string_never_fails = writeln!(text, "\n## `{heading}`\n");
    text.push_str("| Field | Ollama | OpenAI's API | Own engine | |\n|---|---|---|---|---|\n");
    for row in rows {
        let words = Behind::ALL.map(|behind| word(row, behind)).join(" | ");
        let kind = if row.official { "" } else { " *ext.*" };
        let remarks = plain(&row.remarks().join(" "));
        let _writing_to_a_string_never_fails =
            writeln!(text, "| `{}`{kind} | {words} | {remarks} |", row.name);
    }
}

/// What is passed to our own engine works: it is known to read it.
fn word(row: &Row, behind: Behind) -> &'static str {
    match row.fate(behind) {
        Fate::Passed if behind == Behind::OpenAi => "passed",
        Fate::Works | Fate::Passed => "works",
        Fate::Emulated => "emulated",
        Fate::Ignored => "ignored",
        Fate::Refused(_) => "refused",
    }
}

/// A text in whose words Markdown sees no marks of its own; a name with two underlines would be one.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, '|' | '<' | '*' | '_' | '`' | '[') {
            plain.push('\\');
        }
        plain.push(letter);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_what_is_generated() {
        assert_eq!(include_str!("../../../packaging/docs/conformance.md"), page(), "run `just docs`");
    }

    #[test]
    fn every_row_has_a_line_of_five_cells() {
        let page = page();
        let lines = page.lines().filter(|line| line.starts_with("| `"));
        let cells = lines.map(|line| line.replace("\\|", "").matches('|').count());
        let rows: usize = ENDPOINTS.iter().map(|(_, rows)| rows.len()).sum();
        assert_eq!(cells.collect::<Vec<_>>(), vec![6; rows]);
    }
}
