//! Hears where a call begins in what a model says freely.
//!
//! Knows the marks of calls, as the splitter of answers reads them. Knows nothing of tokens and grammars. Invariant: no more is
//! remembered than a mark is long, or the beginning of a bare call.

use crate::output::{CALL, MISTRAL, PYTHON, THINK, THINK_END};

/// The marks that calls begin with.
const MARKS: [&str; 3] = [CALL, PYTHON, MISTRAL];
/// What an object that is a call without marks begins with, by Llama 3's templates.
const NAME: &str = "\"name\"";
/// So much of an object's beginning is waited for; white space may be as long as a model likes.
const BEGINNING: usize = 64;

/// What was heard of an answer.
pub(super) struct Ear {
    /// It is within its reasoning, where nothing is called.
    thinks: bool,
    /// The model was taught to put its calls between marks; of another one an object at the beginning may be a call.
    marked: bool,
    /// Something was said, behind which an object is none.
    speaks: bool,
    /// Behind the call that began last more may follow.
    goes_on: bool,
    tail: Vec<u8>,
}

/// What an object at the beginning of an answer is.
enum Object {
    /// Not yet known.
    Begun,
    /// No call.
    Other,
    /// A call up to there, as a grammar has it.
    Call(String),
}

impl Ear {
    pub(super) fn new(thinks: bool, marked: bool) -> Self {
        Self { thinks, marked, speaks: false, goes_on: false, tail: Vec::new() }
    }

    /// Whether more may follow behind the call that began last.
    pub(super) fn goes_on(&self) -> bool {
        self.goes_on
    }

    /// Takes the bytes of the next token; the beginning of a call that ends with them, from its mark on.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.tail.extend_from_slice(bytes);
        if self.thinks {
            let Some(at) = find(&self.tail, THINK_END) else {
                self.remember(THINK_END.len() - 1);
                return None;
            };
            self.tail.drain(..at + THINK_END.len());
            self.thinks = false;
        }
        if !self.speaks {
            let blank = self.tail.len() - self.tail.trim_ascii_start().len();
            self.tail.drain(..blank);
            let start = String::from_utf8_lossy(&self.tail).into_owned();
            if start.len() < THINK.len() && THINK.starts_with(&start) {
                return None;
            }
            if let Some(rest) = start.strip_prefix(THINK) {
                (self.thinks, self.tail) = (true, rest.as_bytes().to_vec());
                return self.hear(&[]);
            }
            if !self.marked && start.starts_with('{') {
                match object(&start) {
                    Object::Begun => return None,
                    Object::Other => {}
                    Object::Call(call) => {
                        (self.speaks, self.goes_on) = (true, false);
                        self.tail.clear();
                        return Some(call.into_bytes());
                    }
                }
            }
            self.speaks = true;
        }
        self.mark()
    }

    fn mark(&mut self) -> Option<Vec<u8>> {
        let found = MARKS.iter().filter_map(|mark| Some((find(&self.tail, mark)?, *mark))).min();
        let Some((at, mark)) = found else {
            self.remember(MARKS.map(str::len).into_iter().max().unwrap_or(0) - 1);
            return None;
        };
        let begun = self.tail.split_off(at);
        self.tail.clear();
        self.goes_on = mark == CALL;
        Some(begun)
    }

    fn remember(&mut self, length: usize) {
        let dropped = self.tail.len().saturating_sub(length);
        self.tail.drain(..dropped);
    }
}

fn find(text: &[u8], mark: &str) -> Option<usize> {
    text.windows(mark.len()).position(|window| window == mark.as_bytes())
}

/// Whether an object begins like a call: with a name.
fn object(text: &str) -> Object {
    let rest = text.trim_start_matches('{').trim_start();
    if text.len() > BEGINNING {
        return Object::Other;
    }
    if rest.len() < NAME.len() {
        return if NAME.starts_with(rest) { Object::Begun } else { Object::Other };
    }
    let Some(rest) = rest.strip_prefix(NAME).map(str::trim_start) else { return Object::Other };
    if rest.is_empty() {
        return Object::Begun;
    }
    let Some(value) = rest.strip_prefix(':') else { return Object::Other };
    let space = if value.is_empty() { "" } else { " " };
    Object::Call(format!("{{{NAME}:{space}{}", value.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was heard of a text that comes in pieces of this many bytes, and how much of it had come then.
    fn heard(text: &str, size: usize, (thinks, marked): (bool, bool)) -> Option<(String, usize)> {
        let mut ear = Ear::new(thinks, marked);
        let mut come = 0;
        for piece in text.as_bytes().chunks(size) {
            come += piece.len();
            if let Some(begun) = ear.hear(piece) {
                return Some((String::from_utf8(begun).unwrap(), come));
            }
            assert!(ear.tail.len() <= BEGINNING.max(text.len().min(size)), "{text:?}");
        }
        None
    }

    #[test]
    fn a_mark_is_heard_as_soon_as_it_is_whole() {
        for (text, mark) in [
            ("<tool_call>", CALL),
            ("I add.\n<tool_call>", CALL),
            ("<think>a <tool_call> is made</think>\n<tool_call>", CALL),
            ("<|python_tag|>", PYTHON),
            ("Let me. [TOOL_CALLS]", MISTRAL),
        ] {
            for size in [1, 2, 3, text.len()] {
                assert_eq!(
                    heard(text, size, (false, true)),
                    Some((mark.to_owned(), text.len())),
                    "{text:?} by {size}"
                );
            }
        }
        assert_eq!(heard("a <tool_call> is made</think><tool_call>", 1, (true, true)).unwrap().0, CALL);
        assert_eq!(heard("x<tool_call>\n", 100, (false, true)).unwrap().0, "<tool_call>\n");
        for text in ["<tool_cal", "<think><tool_call>", "a [TOOL_CALL]", "{\"name\": \"f\""] {
            assert_eq!(heard(text, 1, (false, true)), None, "{text:?}");
        }
    }

    #[test]
    fn a_bare_call_begins_with_its_name_at_the_beginning_of_the_answer() {
        for (text, begun) in [
            ("{\"name\": \"f", "{\"name\":"),
            (" \n{ \"name\" : \"f", "{\"name\":"),
            ("<think>x</think>\n{\"name\":", "{\"name\":"),
        ] {
            assert_eq!(heard(text, 1, (false, false)).unwrap().0, begun, "{text:?}");
        }
        assert_eq!(heard("{ \"name\":  \"f", 100, (false, false)).unwrap().0, "{\"name\": \"f");
        let padded = format!("{{{}\"name\":", " ".repeat(BEGINNING));
        for text in
            ["x {\"name\":", "{\"capital\":", "{\"names\":", "{\"name\" 3", "[{\"name\":", padded.as_str()]
        {
            assert_eq!(heard(text, 1, (false, false)), None, "{text:?}");
        }
    }

    #[test]
    fn behind_a_call_of_hermes_form_alone_more_may_follow() {
        for (text, goes_on) in
            [("<tool_call>", true), ("<|python_tag|>", false), ("[TOOL_CALLS]", false), ("{\"name\":", false)]
        {
            let mut ear = Ear::new(false, false);
            assert!(ear.hear(text.as_bytes()).is_some());
            assert_eq!(ear.goes_on(), goes_on, "{text}");
        }
        let mut ear = Ear::new(false, true);
        assert!(
            ear.hear(b"<tool_call>").is_some()
                && ear.hear(b"\n").is_none()
                && ear.hear(b"<tool_call>").is_some()
        );
    }
}
