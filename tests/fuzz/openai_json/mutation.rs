//! Changes of a text that mostly leave JSON what it was: whole tokens are replaced, doubled, moved and dropped.
//!
//! libFuzzer's own changes of single bytes seldom get past a parser; they are made beside these. Invariant: the same text and
//! the same seed give the same change.

use std::ops::Range;

/// Values that a field may have without being meant to.
const VALUES: [&str; 20] = [
    "null",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "127",
    "128",
    "0.5",
    "1e999",
    "4294967296",
    "\"\"",
    "\"stop\"",
    "\"x\"",
    "\"user\"",
    "\"data\"",
    "\"http://x\"",
    "[]",
    "{}",
    "\"\\ud800\"",
];

/// Another text than this one.
#[must_use]
pub fn mutate(text: &[u8], seed: u32) -> Vec<u8> {
    let tokens = tokens(text);
    let mut choice = Choice(u64::from(seed) | 1 << 40);
    let words: Vec<usize> = (0..tokens.len()).filter(|at| is_value(&text[tokens[*at].clone()])).collect();
    let Some(&at) = words.get(choice.below(words.len().max(1))) else {
        return VALUES[choice.below(VALUES.len())].into();
    };
    let here = tokens[at].clone();
    let span = here.start..tokens[(at + choice.below(8)).min(tokens.len() - 1)].end;
    let there = tokens[choice.below(tokens.len())].start;
    match choice.below(5) {
        0 | 1 => replaced(text, here, VALUES[choice.below(VALUES.len())].as_bytes()),
        2 => replaced(text, here, &text[tokens[words[choice.below(words.len())]].clone()]),
        3 => replaced(text, span, b""),
        _ => replaced(text, there..there, &text[span]),
    }
}

/// Every text that has another value in one place.
pub fn neighbours(text: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let places = tokens(text).into_iter().filter(|token| is_value(&text[token.clone()]));
    places.flat_map(|place| VALUES.map(|value| replaced(text, place.clone(), value.as_bytes())))
}

fn replaced(text: &[u8], range: Range<usize>, new: &[u8]) -> Vec<u8> {
    [&text[..range.start], new, &text[range.end..]].concat()
}

fn is_value(token: &[u8]) -> bool {
    token.first().is_some_and(|first| *first == b'"' || first.is_ascii_alphanumeric() || *first == b'-')
}

/// Strings, words with numbers, and single bytes of everything else.
fn tokens(text: &[u8]) -> Vec<Range<usize>> {
    let mut tokens = Vec::new();
    let mut start = 0;
    while let Some(first) = text.get(start) {
        let rest = &text[start..];
        let length = match first {
            b'"' => string(rest),
            _ if is_value(rest) => {
                let inside = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-._".contains(byte);
                rest.iter().position(|byte| !inside(byte)).unwrap_or(rest.len())
            }
            _ => 1,
        };
        tokens.push(start..start + length);
        start += length;
    }
    tokens
}

fn string(rest: &[u8]) -> usize {
    let mut at = 1;
    while let Some(byte) = rest.get(at) {
        at += 1;
        match byte {
            b'"' => return at,
            b'\\' => at += 1,
            _ => {}
        }
    }
    rest.len()
}

/// Numbers from a seed, by xorshift.
struct Choice(u64);

impl Choice {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 16) % most as u64).expect("less than a length")
    }
}
