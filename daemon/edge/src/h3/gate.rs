//! The frame gate: no HTTP/3 frame that `h3` would buffer whole may be larger than its limit.
//!
//! Knows the layout of frames (RFC 9114 section 7.1) and nothing of their meaning; what HEADERS hold on a request
//! it hands to [`Section`]. Refuses to know sockets and time. Invariant: however a stream is cut into chunks, the verdict and
//! the count of DATA payload are the same. It exists because `h3` 0.0.8 looks at its own header limit only after it has
//! buffered the whole frame, and an unauthenticated peer may announce one of 2^62 bytes; and because it takes DATA that its
//! stream's end cuts off for whole, and panics when it is asked for what follows.

use super::section::Section;

/// How large a frame may be, in bytes of payload, and how many may have none.
#[derive(Debug, Clone, Copy)]
pub(super) struct FrameLimits {
    /// A HEADERS frame.
    pub(super) headers: u64,
    /// Any other frame that `h3` buffers whole, which is all but DATA.
    pub(super) other: u64,
    /// Frames without a payload that one request stream may hold.
    pub(super) empty: u32,
}

/// A frame was announced that is larger than its limit, or too many frames carried nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Excessive;

const DATA: u64 = 0x00;
const HEADERS: u64 = 0x01;
const CONTROL_STREAM: u64 = 0x00;

/// Walks the frame headers of one receiving stream.
#[derive(Debug)]
pub(super) struct Gate {
    limits: FrameLimits,
    at: At,
    varint: Varint,
    kind: Kind,
    empty: u32,
    /// The length of the last frame that had one.
    announced: u64,
    section: Section,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A request: DATA is handed on as it comes and may have any length.
    Request,
    /// The control stream: no frame on it is streamed, so every length is limited.
    Control,
    /// A stream whose bytes are not frames: QPACK's, and what `h3` refuses by its type.
    Opaque,
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy)]
enum At {
    StreamType,
    FrameType,
    Length { frame: u64 },
    Payload { left: u64, frame: u64 },
}

impl Gate {
    /// The gate of a request stream.
    pub(super) fn request(limits: FrameLimits) -> Self {
        Self::new(limits, At::FrameType, Kind::Request)
    }

    /// The gate of a stream in one direction, whose first integer names its type.
    pub(super) fn one_way(limits: FrameLimits) -> Self {
        Self::new(limits, At::StreamType, Kind::Control)
    }

    fn new(limits: FrameLimits, at: At, kind: Kind) -> Self {
        Self { limits, at, varint: Varint::default(), kind, empty: 0, announced: 0, section: Section::new() }
    }

    /// Whether a field section of the request that was whole or in part among the bytes so far is malformed.
    pub(super) fn malformed(&self) -> bool {
        self.section.malformed()
    }

    /// How much has come of a frame that is not whole yet and that `h3` buffers until it is.
    pub(super) fn buffered(&self) -> u64 {
        match self.at {
            At::Payload { left, frame } if frame != DATA => self.announced - left,
            _ => 0,
        }
    }

    /// Whether the bytes so far may be all: none of the frames of a request has begun and is not there to its end.
    pub(super) fn may_end(&self) -> bool {
        self.kind != Kind::Request || (matches!(self.at, At::FrameType) && self.varint.missing == 0)
    }

    /// Takes the stream's next bytes; returns how many of them are DATA payload.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) -> Result<u64, Excessive> {
        let mut payload = 0;
        while self.kind != Kind::Opaque {
            if let At::Payload { left, frame } = self.at {
                let taken = left.min(bytes.len() as u64);
                self.at =
                    if taken == left { At::FrameType } else { At::Payload { left: left - taken, frame } };
                // `taken` is at most the length of a slice, so it fits.
                let (here, rest) =
                    bytes.split_at_checked(usize::try_from(taken).unwrap_or(usize::MAX)).unwrap_or_default();
                bytes = rest;
                match frame {
                    DATA => payload += taken,
                    HEADERS if self.kind == Kind::Request => self.section.push(here),
                    _ => {}
                }
            }
            let Some((&byte, rest)) = bytes.split_first() else { break };
            bytes = rest;
            if let Some(integer) = self.varint.push(byte) {
                self.step(integer)?;
            }
        }
        Ok(payload)
    }

    fn step(&mut self, integer: u64) -> Result<(), Excessive> {
        self.at = match self.at {
            At::StreamType => {
                if integer != CONTROL_STREAM {
                    self.kind = Kind::Opaque;
                }
                At::FrameType
            }
            At::FrameType => At::Length { frame: integer },
            At::Length { frame } => self.open(frame, integer)?,
            payload @ At::Payload { .. } => payload,
        };
        Ok(())
    }

    fn open(&mut self, frame: u64, length: u64) -> Result<At, Excessive> {
        let most = match (frame, self.kind) {
            (DATA, Kind::Request) => u64::MAX,
            (HEADERS, _) => self.limits.headers,
            _ => self.limits.other,
        };
        if length > most {
            return Err(Excessive);
        }
        if frame == HEADERS {
            self.section.begin();
        }
        if length > 0 {
            self.announced = length;
            return Ok(At::Payload { left: length, frame });
        }
        self.empty = self.empty.saturating_add(1);
        // A browser may send any number of small control frames over a connection's life; a request may not.
        if self.kind == Kind::Request && self.empty > self.limits.empty {
            Err(Excessive)
        } else {
            Ok(At::FrameType)
        }
    }
}

/// QUIC's variable-length integer (RFC 9000 section 16), one byte at a time.
#[derive(Debug, Default)]
struct Varint {
    value: u64,
    missing: u8,
}

impl Varint {
    fn push(&mut self, byte: u8) -> Option<u64> {
        if self.missing == 0 {
            self.missing = (1u8 << (byte >> 6)) - 1;
            self.value = u64::from(byte & 0x3f);
        } else {
            // At most eight bytes of which the first gives six bits: no bit is ever shifted out.
            self.value = (self.value << 8) | u64::from(byte);
            self.missing -= 1;
        }
        (self.missing == 0).then_some(self.value)
    }
}

#[cfg(test)]
mod tests;
