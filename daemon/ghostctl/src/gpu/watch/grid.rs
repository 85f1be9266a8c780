//! Where each card is drawn, and how much of it.
//!
//! Knows a room's width and height, and how many cards there are. Invariant: what is drawn fits, and what does not fit is counted.

use ratatui::layout::Rect;

/// The least of a panel with all of a card: two edges, four gauges, a line of ten minutes, a line of words.
const WHOLE: (u16, u16) = (40, 8);
/// More lines than these show nothing more.
const WHOLE_MOST: u16 = 20;
/// The least of a panel with a line of gauges and one of ten minutes.
const SMALL: (u16, u16) = (38, 4);
const SMALL_MOST: u16 = 6;

/// How much of a card is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A panel with everything.
    Whole,
    /// A panel with the most important.
    Small,
    /// A line.
    Line,
}

/// The places of those cards that are seen, the first of which is the one of that number.
pub(super) fn places(room: Rect, cards: usize, first: usize) -> (Form, Vec<Rect>) {
    for (form, (width, height), most) in [(Form::Whole, WHOLE, WHOLE_MOST), (Form::Small, SMALL, SMALL_MOST)]
    {
        // The fewest columns that do: a line of ten minutes is the better the wider it is.
        let columns = (1..=room.width / width).find(|columns| rows(cards, *columns) * height <= room.height);
        if let Some(columns) = columns {
            let rows = rows(cards, columns).max(1);
            let height = (room.height / rows).min(most);
            return (form, panels(room, cards, columns, height));
        }
    }
    let seen = cards.saturating_sub(first).min(usize::from(room.height));
    let line = |number: u16| Rect { y: room.y + number, height: 1, ..room };
    (Form::Line, (0..room.height).take(seen).map(line).collect())
}

fn rows(cards: usize, columns: u16) -> u16 {
    u16::try_from(cards.div_ceil(usize::from(columns.max(1)))).unwrap_or(u16::MAX / 16)
}

fn panels(room: Rect, cards: usize, columns: u16, height: u16) -> Vec<Rect> {
    let width = room.width / columns.max(1);
    let place = |number: u16| {
        let (row, column) = (number / columns.max(1), number % columns.max(1));
        // The last column takes what a division leaves.
        let width = if column + 1 == columns { room.width - width * column } else { width };
        Rect { x: room.x + (room.width / columns.max(1)) * column, y: room.y + row * height, width, height }
    };
    (0..u16::try_from(cards).unwrap_or(u16::MAX)).map(place).collect()
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;

    use super::{Form, places};

    #[test]
    fn all_that_is_drawn_lies_in_its_room_and_nothing_over_another() {
        for (width, height) in [(1, 1), (20, 3), (38, 4), (40, 8), (80, 18), (80, 24), (132, 40), (250, 90)] {
            let room = Rect { x: 3, y: 5, width, height };
            for cards in 0..40 {
                for first in [0, 1, 39] {
                    let (form, drawn) = places(room, cards, first);
                    for (number, one) in drawn.iter().enumerate() {
                        assert_eq!(room.intersection(*one), *one, "{room:?} {cards}");
                        assert!(one.area() > 0);
                        for other in &drawn[number + 1..] {
                            assert!(!one.intersects(*other), "{room:?} {cards}");
                        }
                    }
                    assert!(form == Form::Line || drawn.len() == cards, "{form:?} {cards}");
                }
            }
        }
    }

    #[test]
    fn as_much_of_each_card_is_drawn_as_fits() {
        let form = |width, height, cards| {
            let (form, drawn) = places(Rect { x: 0, y: 0, width, height }, cards, 0);
            (form, drawn.len(), drawn.first().map(|one| (one.width, one.height)))
        };
        assert_eq!(form(80, 19, 1), (Form::Whole, 1, Some((80, 19))));
        assert_eq!(form(80, 19, 2), (Form::Whole, 2, Some((80, 9))));
        assert_eq!(form(80, 19, 4), (Form::Whole, 4, Some((40, 9))));
        assert_eq!(form(80, 19, 8), (Form::Small, 8, Some((40, 4))));
        assert_eq!(form(80, 19, 16), (Form::Line, 16, Some((80, 1))));
        assert_eq!(form(80, 19, 32), (Form::Line, 19, Some((80, 1))));
        assert_eq!(form(200, 50, 8), (Form::Whole, 8, Some((100, 12))));
        assert_eq!(form(30, 10, 2), (Form::Line, 2, Some((30, 1))));
    }
}
