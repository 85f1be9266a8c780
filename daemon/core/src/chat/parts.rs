//! What a turn says and shows, in its order.
//!
//! Knows at which places of a text its pictures stand. Refuses to know how anybody writes either. Invariant: what stands before a picture
//! and behind it are two parts, and joined by line ends all of them are the turn's text again.

use super::{Image, Message, Text};
use crate::dialect::json::Quoted;

/// A part of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    Text(Quoted<'a>),
    Image(&'a Image),
}

impl Message {
    /// Its texts and pictures; a text without words is none where it is the only one.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let shown = self.images.iter().map(Some).chain([None]);
        shown
            .scan(0, move |from, image| {
                let to = image.map_or(self.text.spelled_len(), |image| image.place);
                let text = between(&self.text, *from, to);
                *from = to;
                Some(text.map(Part::Text).into_iter().chain(image.map(Part::Image)))
            })
            .flatten()
    }
}

/// The part that stands there, without the line's end that has joined it to the one before: a part that has none was never one.
fn between(text: &Text, from: usize, to: usize) -> Option<Quoted<'_>> {
    let piece = text.quoted().spelled().get(from..to).filter(|piece| !piece.is_empty())?;
    // Before a picture at the very beginning there are no words that these could have been joined to.
    let joined = if from > 0 { piece.strip_prefix(Text::LINE_END) } else { None };
    Some(Quoted::inside(joined.unwrap_or(piece)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(place: usize) -> Image {
        Image { place, ..Image::picture("image/png", "AAAA") }
    }

    fn parts(text: &str, places: &[usize]) -> Vec<String> {
        let images = places.iter().map(|place| image(*place)).collect();
        let message = Message { text: text.into(), images, ..Message::default() };
        let word = |part: Part<'_>| match part {
            Part::Text(text) => text.text().into_owned(),
            Part::Image(_) => "*".to_owned(),
        };
        message.parts().map(word).collect()
    }

    #[test]
    fn texts_and_pictures_stand_as_they_came() {
        assert_eq!(parts("a", &[]), ["a"]);
        assert_eq!(parts("", &[0, 0]), ["*", "*"]);
        assert_eq!(parts("a", &[0]), ["*", "a"]);
        assert_eq!(parts("a", &[1]), ["a", "*"]);
        assert_eq!(parts("\na", &[0]), ["*", "\na"], "its own line end");
        // A line end is spelled with two letters.
        assert_eq!(parts("a\nb\nc", &[1, 4]), ["a", "*", "b", "*", "c"]);
        assert_eq!(parts("a\nb", &[1, 1]), ["a", "*", "*", "b"]);
        assert_eq!(parts("a\n\nb", &[1]), ["a", "*", "\nb"]);
        assert_eq!(parts("a\n", &[1]), ["a", "*", ""], "an empty part");
        assert_eq!(parts("a", &[9]), ["*"], "no place in it, and no panic");
    }
}
