//! The pseudo-header fields of a request's field sections: which there are, how often, and where they stand.
//!
//! Knows the layout of QPACK's field lines (RFC 9204 section 4.5) and what RFC 9114 section 4.3 lets a request hold. Refuses
//! to know values and the dynamic table, which stays empty since we announce no capacity for it. Invariants: however a
//! section is cut into chunks, the verdict is the same, and nothing of it is kept but the start of one name. It exists
//! because `h3` 0.0.8 takes pseudo-header fields that are repeated, late or a response's, lets the last one win, and keeps
//! its decoder to itself; who checks the first `:authority` in front of us would check another one than we do.

/// The pseudo-header fields that a request may have, each once, as bits of a set.
const METHOD: u8 = 1;
const SCHEME: u8 = 2;
const AUTHORITY: u8 = 4;
const PATH: u8 = 8;
/// One that no request of ours may have: a response's `:status`, `:protocol`, which we have not announced
/// (RFC 9220 section 3), or one that nobody has defined.
const FOREIGN: u8 = 0;

/// Names as literals: plain, and in Huffman's code, which a text has only one of (RFC 7541 section 5.2).
const NAMES: [(&[u8], &[u8], u8); 4] = [
    (b":method", b"\xb9\x49\x53\x39\xe4", METHOD),
    (b":scheme", b"\xb8\x82\x4e\x5a\x4b", SCHEME),
    (b":authority", b"\xb8\x3b\x53\x39\xec\x32\x7d\x7f", AUTHORITY),
    (b":path", b"\xb9\x58\xd3\x3f", PATH),
];
/// Bytes of a name that are kept: one more than the longest that is known, so that a longer one equals none.
const KEPT: usize = b":authority".len() + 1;
/// Huffman's code of a colon, which has seven bits.
const COLON: u8 = 0b101_1100;

/// Walks the field sections of one request: first its head, then its trailers.
#[derive(Debug)]
pub(super) struct Section {
    at: At,
    number: Number,
    name: Vec<u8>,
    /// The pseudo-header fields that may still come in this section, and in the next.
    open: u8,
    next: u8,
    malformed: bool,
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy)]
enum At {
    /// The two integers before the field lines (section 4.5.1).
    Count,
    Base,
    /// The first byte of a field line.
    Line,
    /// The first byte of a value's length.
    Value,
    /// A later byte of an integer.
    Number(What),
    Name {
        left: u64,
        huffman: bool,
    },
    Text {
        left: u64,
    },
}

/// What an integer says.
#[derive(Debug, Clone, Copy)]
enum What {
    Count,
    Base,
    /// A field of the static table, with its value.
    Indexed,
    /// A name of the static table.
    NameIndex,
    NameLength {
        huffman: bool,
    },
    ValueLength,
}

impl Section {
    pub(super) fn new() -> Self {
        Self {
            at: At::Count,
            number: Number::default(),
            name: Vec::new(),
            open: FOREIGN,
            next: METHOD | SCHEME | AUTHORITY | PATH,
            malformed: false,
        }
    }

    /// A HEADERS frame begins. Behind the first, they hold trailers, which may have no pseudo-header field.
    pub(super) fn begin(&mut self) {
        self.at = At::Count;
        self.open = std::mem::replace(&mut self.next, FOREIGN);
    }

    /// Whether a section so far was not what a request may hold. What cannot be read counts as that: `h3` closes the
    /// connection for it, and should it read it after all, it is refused.
    pub(super) fn malformed(&self) -> bool {
        self.malformed
    }

    /// Takes the frame's next bytes.
    pub(super) fn push(&mut self, mut bytes: &[u8]) {
        while !self.malformed {
            bytes = self.text(bytes);
            let Some((&byte, rest)) = bytes.split_first() else { return };
            bytes = rest;
            if self.step(byte).is_none() {
                self.malformed = true;
            }
        }
    }

    /// Takes as much as belongs to a name or a value; gives back the rest.
    fn text<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (At::Name { left, .. } | At::Text { left }) = self.at else { return bytes };
        let taken = left.min(bytes.len() as u64);
        // `taken` is at most the length of a slice, so it fits.
        let (text, rest) =
            bytes.split_at_checked(usize::try_from(taken).unwrap_or(usize::MAX)).unwrap_or((bytes, &[]));
        let left = left - taken;
        self.at = match self.at {
            At::Name { huffman, .. } => {
                self.name.extend(text.iter().take(KEPT - self.name.len()));
                if left == 0 {
                    self.field(named(&self.name, huffman));
                    At::Value
                } else {
                    At::Name { left, huffman }
                }
            }
            _ if left == 0 => At::Line,
            _ => At::Text { left },
        };
        rest
    }

    /// Takes one byte of an integer. `None` if it cannot be read.
    fn step(&mut self, byte: u8) -> Option<()> {
        let (what, bits) = match self.at {
            At::Count => (What::Count, 8),
            At::Base => (What::Base, 7),
            At::Line => line(byte)?,
            At::Value => (What::ValueLength, 7),
            At::Number(what) => {
                if let Some(number) = self.number.more(byte)? {
                    self.told(what, number);
                }
                return Some(());
            }
            At::Name { .. } | At::Text { .. } => return None,
        };
        match self.number.first(byte, bits) {
            Some(number) => self.told(what, number),
            None => self.at = At::Number(what),
        }
        Some(())
    }

    fn told(&mut self, what: What, number: u64) {
        self.at = match what {
            What::Count => At::Base,
            What::Base => At::Line,
            What::Indexed => {
                self.field(indexed(number));
                At::Line
            }
            What::NameIndex => {
                self.field(indexed(number));
                At::Value
            }
            What::NameLength { huffman } => {
                self.name.clear();
                At::Name { left: number, huffman }
            }
            What::ValueLength => At::Text { left: number },
        };
    }

    /// A field's name is known: a pseudo-header field, or none.
    fn field(&mut self, pseudo: Option<u8>) {
        match pseudo {
            None => self.open = FOREIGN,
            Some(pseudo) if self.open & pseudo != 0 => self.open &= !pseudo,
            Some(_) => self.malformed = true,
        }
    }
}

/// What a field line's first byte begins, and how many of its bits are of the integer. `None` for what refers to the
/// dynamic table (sections 4.5.2 to 4.5.5).
fn line(byte: u8) -> Option<(What, u32)> {
    match byte {
        0b1100_0000.. => Some((What::Indexed, 6)),
        0b0101_0000..=0b0101_1111 | 0b0111_0000..=0b0111_1111 => Some((What::NameIndex, 4)),
        0b0010_0000..=0b0011_1111 => Some((What::NameLength { huffman: byte & 0b1000 != 0 }, 3)),
        _ => None,
    }
}

/// The pseudo-header field at an index of the static table (RFC 9204 appendix A).
fn indexed(index: u64) -> Option<u8> {
    match index {
        0 => Some(AUTHORITY),
        1 => Some(PATH),
        15..=21 => Some(METHOD),
        22 | 23 => Some(SCHEME),
        // `:status`.
        24..=28 | 63..=71 => Some(FOREIGN),
        _ => None,
    }
}

/// The pseudo-header field that a literal names.
fn named(name: &[u8], huffman: bool) -> Option<u8> {
    let first = *name.first()?;
    let colon = if huffman { first >> 1 == COLON } else { first == b':' };
    let known = || NAMES.iter().find(|(plain, coded, _)| name == if huffman { *coded } else { *plain });
    colon.then(|| known().map_or(FOREIGN, |(.., pseudo)| *pseudo))
}

/// QPACK's integer (RFC 7541 section 5.1), one byte at a time.
#[derive(Debug, Default)]
struct Number {
    value: u64,
    shift: u32,
}

impl Number {
    /// Takes the first byte, whose last `bits` bits are the integer's.
    fn first(&mut self, byte: u8, bits: u32) -> Option<u64> {
        let most = u64::from(u8::MAX >> (8 - bits));
        *self = Self { value: u64::from(byte) & most, shift: 0 };
        (self.value < most).then_some(self.value)
    }

    /// Takes a later byte. `None` if the integer is longer than nine of them, the 62 bits that QPACK wants and one more.
    fn more(&mut self, byte: u8) -> Option<Option<u64>> {
        if self.shift > 56 {
            return None;
        }
        // At most 2^63 - 1 comes to what the first byte held: the sum fits.
        self.value += u64::from(byte & 0x7f) << self.shift;
        self.shift += 7;
        Some((byte & 0x80 == 0).then_some(self.value))
    }
}

#[cfg(test)]
mod tests;
