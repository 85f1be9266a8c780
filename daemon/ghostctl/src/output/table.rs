//! Tables that are never wider than the screen.
//!
//! Knows columns and cells. Refuses to know what they mean. Invariant: no line is wider than the screen, and nothing in a cell
//! is obeyed by a terminal.

use super::{Screen, Tone, text};

/// Columns between two columns.
const GAP: usize = 2;
/// What a column that breaks its lines is left with.
const LEAST: usize = 8;

/// What a column does when there is no room for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It stays whole.
    Whole,
    /// It breaks its lines.
    Wrap,
    /// It stays whole, and ends below the end of its head, as numbers do.
    Number,
}

/// A table.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Fit)>,
    rows: Vec<Row>,
}

/// A row, and what is said below it.
#[derive(Debug)]
struct Row {
    cells: Vec<Cell>,
    note: String,
}

/// A cell.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Tone::Plain)
    }
}

impl Cell {
    /// In this tone.
    pub(crate) fn new(text: impl AsRef<str>, tone: Tone) -> Self {
        Self { text: text::clean(text.as_ref()), tone }
    }
}

impl Table {
    /// With these columns.
    pub(crate) fn new(columns: &[(&'static str, Fit)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// One more row, a cell for each column.
    pub(crate) fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        self.rows.push(Row { cells: cells.into(), note: String::new() });
    }

    /// More of the last row, in lines of its own below it.
    pub(crate) fn note(&mut self, note: &str) {
        if let Some(row) = self.rows.last_mut() {
            note.clone_into(&mut row.note);
        }
    }

    /// As lines; none where there are no rows, since whoever asked is told that in words.
    pub(crate) fn draw(&self, screen: &Screen) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        match self.widths(screen.width) {
            Some(widths) => self.grid(screen, &widths),
            None => self.list(screen),
        }
    }

    /// What each column takes, the widest that may break giving first; none where the screen is too narrow for them all.
    fn widths(&self, room: usize) -> Option<Vec<usize>> {
        let mut widths: Vec<usize> = self.columns.iter().map(|(head, _)| text::width(head)).collect();
        let least: Vec<usize> = widths.iter().map(|head| (*head).max(LEAST)).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(&row.cells) {
                *width = (*width).max(text::width(&cell.text));
            }
        }
        let gaps = GAP * self.columns.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > room {
            let may_give = |place: usize, width: usize| {
                self.columns.get(place).is_some_and(|(_, fit)| *fit == Fit::Wrap)
                    && least.get(place).is_some_and(|least| width > *least)
            };
            let widest = widths.iter_mut().enumerate().filter(|(place, width)| may_give(*place, **width));
            let (_, width) = widest.max_by_key(|(_, width)| **width)?;
            *width -= 1;
        }
        Some(widths)
    }

    fn grid(&self, screen: &Screen, widths: &[usize]) -> String {
        let heads: Vec<Cell> = self.columns.iter().map(|(head, _)| Cell::new(head, Tone::Head)).collect();
        let mut out = self.grid_row(screen, &heads, widths);
        for row in &self.rows {
            out.push_str(&self.grid_row(screen, &row.cells, widths));
            if !row.note.is_empty() {
                out.push_str(&screen.hanging("    ", Tone::Plain, &row.note));
            }
        }
        out
    }

    fn grid_row(&self, screen: &Screen, row: &[Cell], widths: &[usize]) -> String {
        let broken: Vec<Vec<String>> =
            row.iter().zip(widths).map(|(cell, width)| text::wrap(&cell.text, *width)).collect();
        let height = broken.iter().map(Vec::len).max().unwrap_or(0);
        let mut out = String::new();
        for number in 0..height {
            let mut line = String::new();
            let mut owed = 0;
            for (((lines, cell), width), (_, fit)) in broken.iter().zip(row).zip(widths).zip(&self.columns) {
                let part = lines.get(number).map_or("", String::as_str);
                let spare = width.saturating_sub(text::width(part));
                let (before, behind) = if *fit == Fit::Number { (spare, 0) } else { (0, spare) };
                owed += before;
                if !part.is_empty() {
                    line.push_str(&" ".repeat(owed));
                    line.push_str(&screen.toned(part, cell.tone));
                    owed = 0;
                }
                owed += behind + GAP;
            }
            out.push_str(&line);
            out.push('\n');
        }
        out
    }

    /// A line for each cell, as on a telephone.
    fn list(&self, screen: &Screen) -> String {
        let indent = self.columns.iter().map(|(head, _)| text::width(head)).max().unwrap_or(0) + GAP;
        let indent = indent.min(screen.width / 2);
        let mut out = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            if number > 0 {
                out.push('\n');
            }
            for ((head, _), cell) in self.columns.iter().zip(&row.cells) {
                let head = padded(&text::cut(head, indent.saturating_sub(1)), indent);
                out.push_str(&screen.hanging(&head, Tone::Head, &cell.text));
            }
            if !row.note.is_empty() {
                out.push_str(&screen.hanging("    ", Tone::Plain, &row.note));
            }
        }
        out
    }
}

fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(text::width(text))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table =
            Table::new(&[("ID", Fit::Whole), ("NAME", Fit::Wrap), ("WHERE", Fit::Wrap), ("UP", Fit::Whole)]);
        table.row([
            "Ab3dE6gH".into(),
            "模型 of the laptop that stands in the kitchen".into(),
            "http://[2001:db8::1]:11434".into(),
            "yes".into(),
        ]);
        table.row(["x".into(), "evil\x1b[2J\nname".into(), "".into(), Cell::new("no", Tone::Bad)]);
        table
    }

    #[test]
    fn no_line_is_wider_than_the_screen_whatever_its_width() {
        for width in 20..130 {
            let drawn = sample().draw(&Screen::of_test(width, ""));
            for line in drawn.lines() {
                assert!(text::width(line) <= width, "{width}: {line:?}");
            }
            assert!(!drawn.contains('\x1b'), "{drawn:?}");
            let squeezed: String = drawn.split_whitespace().collect();
            assert!(squeezed.contains("Ab3dE6gH"), "{drawn}");
        }
    }

    #[test]
    fn columns_stand_under_their_heads() {
        let drawn = sample().draw(&Screen::of_test(60, ""));
        let lines: Vec<&str> = drawn.lines().collect();
        assert!(lines[0].starts_with("ID        NAME"), "{drawn}");
        assert!(lines[1].starts_with("Ab3dE6gH  模型 of"), "{drawn}");
        assert!(lines[2].starts_with("          "), "{drawn}");
    }

    #[test]
    fn numbers_end_below_the_end_of_their_head() {
        let mut table = Table::new(&[("N", Fit::Number), ("TOKENS", Fit::Number), ("X", Fit::Wrap)]);
        table.row(["1".into(), "12".into(), "one two three".into()]);
        table.row(["1,000".into(), "1,234,567".into(), "".into()]);
        let drawn = table.draw(&Screen::of_test(26, ""));
        assert_eq!(
            drawn,
            "    N     TOKENS  X\n    1         12  one two\n                  three\n1,000  1,234,567\n"
        );
    }
}
