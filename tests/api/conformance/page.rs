//! The page of conformance, read: its tables and their words.
//!
//! Knows the page's form. Invariant: what is not understood is an error.

use anyhow::{Context, Result, ensure};
use ghostllm_tests::root;

use super::Column;

/// The words that a cell may have.
const WORDS: [&str; 5] = ["works", "passed", "emulated", "ignored", "refused"];

/// A line of a table.
#[derive(Debug)]
pub(super) struct Row {
    /// The field's name.
    pub field: String,
    /// What it says of each kind of backend.
    words: [String; 3],
}

impl Row {
    /// What it says there.
    pub(super) fn word(&self, column: Column) -> &str {
        let [ollama, openai, engine] = &self.words;
        match column {
            Column::Ollama => ollama,
            Column::OpenAi => openai,
            Column::Engine => engine,
        }
    }
}

fn text() -> Result<String> {
    let path = root().join("packaging/docs/conformance.md");
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// The headings of its tables.
pub(super) fn endpoints() -> Result<Vec<String>> {
    let headings = text()?;
    let headings = headings.lines().filter_map(|line| line.strip_prefix("## "));
    Ok(headings.map(|heading| heading.trim_matches('`').to_owned()).collect())
}

/// The table of this endpoint.
pub(super) fn rows(endpoint: &str) -> Result<Vec<Row>> {
    let (text, heading) = (text()?, format!("## `{endpoint}`"));
    let section = text.split_once(&heading).with_context(|| format!("the page has no {heading}"))?.1;
    let section = section.split("\n## ").next().unwrap_or_default();
    let lines = section.lines().filter(|line| line.starts_with('|'));
    let rows: Vec<Row> = lines.skip(2).map(row).collect::<Result<_>>()?;
    ensure!(!rows.is_empty(), "the table of {endpoint} is empty");
    Ok(rows)
}

fn row(line: &str) -> Result<Row> {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    let ["", field, ollama, openai, engine, ..] = cells.as_slice() else {
        anyhow::bail!("no row of four cells: {line}");
    };
    let words = [*ollama, *openai, *engine];
    ensure!(words.iter().all(|word| WORDS.contains(word)), "a word that has no meaning: {line}");
    let field = field.split('`').nth(1).with_context(|| format!("no field in {line}"))?;
    Ok(Row { field: field.to_owned(), words: words.map(str::to_owned) })
}
