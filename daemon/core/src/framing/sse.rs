//! Server-sent events, as OpenAI's streams use them.
//!
//! Knows the event stream format of the HTML standard: three kinds of line ends, comments, a leading byte order
//! mark, data in several lines. Refuses to know what the data means; ids and retry times are dropped, since no
//! engine uses them. Invariant: as in [`super`].

use bytes::{Bytes, BytesMut};

use super::{Buffer, TooLong};

#[cfg(test)]
mod tests;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The event's name; none for the usual `message`.
    pub name: Option<Bytes>,
    /// The data, its lines joined by newlines.
    pub data: Bytes,
}

/// Cuts bytes into events.
#[derive(Debug)]
pub struct Events {
    buffer: Buffer,
    limit: usize,
    /// The last line ended with a carriage return: a newline right behind it belongs to that end.
    after_return: bool,
    begun: bool,
    name: Option<Bytes>,
    data: Data,
}

/// The data of the event that is being read. One line, the usual case, is kept where it lies.
#[derive(Debug, Default)]
enum Data {
    #[default]
    None,
    One(Bytes),
    Many(BytesMut),
}

impl Data {
    fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(line) => line.len() + 1,
            Self::Many(lines) => lines.len() + 1,
        }
    }

    fn with(self, value: Bytes) -> Self {
        let mut lines = match self {
            Self::None => return Self::One(value),
            Self::One(line) => BytesMut::from(line.as_ref()),
            Self::Many(lines) => lines,
        };
        lines.extend_from_slice(b"\n");
        lines.extend_from_slice(&value);
        Self::Many(lines)
    }

    fn whole(self) -> Option<Bytes> {
        match self {
            Self::None => None,
            Self::One(line) => Some(line),
            Self::Many(lines) => Some(lines.freeze()),
        }
    }
}

impl Events {
    /// A reader that refuses lines, and data of one event, of more than `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            buffer: Buffer::default(),
            limit,
            after_return: false,
            begun: false,
            name: None,
            data: Data::None,
        }
    }

    /// Adds bytes as they came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.push(bytes);
    }

    /// The next complete event that has data.
    ///
    /// # Errors
    /// [`TooLong`] where a line or an event is longer than the limit.
    pub fn next_event(&mut self) -> Result<Option<Event>, TooLong> {
        while let Some((line, end)) = self.buffer.line(self.limit, |byte| byte == b'\n' || byte == b'\r')? {
            let second_half = self.after_return && end == b'\n' && line.is_empty();
            self.after_return = end == b'\r';
            if second_half {
                continue;
            }
            if let Some(event) = self.take(line)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// What is left when no more bytes will come. The standard drops it; engines that end without a blank line
    /// exist, so it is given, and the caller judges whether it is whole.
    ///
    /// # Errors
    /// [`TooLong`] where the event is longer than the limit.
    pub fn finish(&mut self) -> Result<Option<Event>, TooLong> {
        let rest = self.buffer.rest();
        if !rest.is_empty() {
            self.take(rest)?;
        }
        Ok(self.dispatch())
    }

    fn take(&mut self, line: Bytes) -> Result<Option<Event>, TooLong> {
        let line = if self.begun { line } else { without_mark(line) };
        self.begun = true;
        if line.is_empty() {
            return Ok(self.dispatch());
        }
        let (field, value) = split(&line);
        match field {
            b"data" => self.append(value)?,
            b"event" => self.name = Some(value),
            _ => {}
        }
        Ok(None)
    }

    fn append(&mut self, value: Bytes) -> Result<(), TooLong> {
        if self.data.len() + value.len() > self.limit {
            return Err(TooLong { limit: self.limit });
        }
        self.data = std::mem::take(&mut self.data).with(value);
        Ok(())
    }

    fn dispatch(&mut self) -> Option<Event> {
        let name = self.name.take().filter(|name| !name.is_empty() && name.as_ref() != b"message");
        std::mem::take(&mut self.data).whole().map(|data| Event { name, data })
    }
}

fn without_mark(line: Bytes) -> Bytes {
    if line.starts_with(b"\xef\xbb\xbf") { line.slice(3..) } else { line }
}

/// Field and value; one blank behind the colon belongs to neither. A comment has an empty field.
fn split(line: &Bytes) -> (&[u8], Bytes) {
    let Some(colon) = line.iter().position(|&byte| byte == b':') else {
        return (line, Bytes::new());
    };
    let value = line.slice(colon + 1..);
    let value = if value.starts_with(b" ") { value.slice(1..) } else { value };
    (line.get(..colon).unwrap_or_default(), value)
}
