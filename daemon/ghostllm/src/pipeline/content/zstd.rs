//! Bodies that come as zstd (RFC 8878), as Codex sends them.
//!
//! Knows frames and blocks. Refuses to know what is in them. Invariants: no more is held than the limit of a body, one window and two
//! blocks; what is unpacked and out of the window has been charged ([`Room::comes`]: twice its length); what is not sound from its first
//! byte to its last is refused whole.
//!
//! The window itself is bounded and not charged: [`WINDOW`] and two blocks are reserved when a frame says so, which are addresses until
//! they are written. A chat has written [`BLOCKS_HERE`] blocks of it (512 KiB) when it waits for its turn elsewhere, and turns there are
//! as many as processors (`apart`): all windows together hold so much for each chat that waits, and 8.25 MiB for each processor.

use bytes::Bytes;
use ghostllm_core::{ApiError, config::Limits};
use ghostllm_edge::room::{Charge, Lack, Room};
use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};

use crate::apart;

#[cfg(test)]
mod tests;

/// What every decoder should take, and a sender should not go beyond (RFC 8878 section 3.1.1.1.2); Ollama's takes no more.
const WINDOW: u64 = 8 << 20;
/// How many blocks, of at most 128 KiB each, are unpacked where the body was read; with more, another thread goes on.
const BLOCKS_HERE: usize = 4;
/// How many frames a body has at the most. Whoever compresses in pieces makes one for each MiB or so; each empty one costs as much as
/// some kB of text.
const FRAMES: usize = 1024;

/// What is wrong with a body.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    /// It is no zstd, cut off, or has something behind its end.
    Broken,
    /// It needs a larger window than there is.
    Window,
    /// It needs what only its sender has.
    Dictionary,
    /// It has too many frames.
    Frames,
    TooLarge,
    Room(Lack),
}

/// The body, unpacked.
pub(super) async fn unpacked(packed: Bytes, limits: &Limits, room: &Room) -> Result<Bytes, ApiError> {
    let most = limits.body.bytes();
    let mut unpacking = Unpacking::new(packed, most, room.clone());
    let (done, unpacking) = match unpacking.go_on(BLOCKS_HERE) {
        Ok(false) => apart::elsewhere(move || (unpacking.go_on(usize::MAX), unpacking)).await,
        done => (done, unpacking),
    };
    done.map_err(|fault| refused(&fault, most))?;
    Ok(unpacking.out.into())
}

fn refused(fault: &Fault, most: u64) -> ApiError {
    let what = match fault {
        Fault::TooLarge => return ApiError::payload_too_large(most),
        Fault::Room(lack) => return super::lacking(*lack),
        Fault::Broken => "is not sound zstd, or was cut off",
        Fault::Window => "needs a window of more than 8 MiB to be unpacked",
        Fault::Dictionary => "needs a dictionary to be unpacked",
        Fault::Frames => "has more than 1024 zstd frames",
    };
    ApiError::invalid_request(format!("The request's body {what}; send it without Content-Encoding."))
}

/// A body while it is unpacked.
struct Unpacking {
    packed: Bytes,
    decoder: FrameDecoder,
    /// Inside of a frame, whose content began here.
    frame: Option<usize>,
    frames: usize,
    most: usize,
    out: Vec<u8>,
    room: Room,
}

impl Unpacking {
    fn new(packed: Bytes, most: u64, room: Room) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(WINDOW);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Self { packed, decoder, frame: None, frames: 0, most, out: Vec::new(), room }
    }

    /// Unpacks so many blocks, or up to the end: whether it is reached.
    fn go_on(&mut self, blocks: usize) -> Result<bool, Fault> {
        for _ in 0..blocks {
            while self.frame.is_none() {
                if self.packed.is_empty() {
                    return Ok(true);
                }
                self.begin()?;
            }
            self.block()?;
        }
        Ok(self.frame.is_none() && self.packed.is_empty())
    }

    /// Begins a frame, or leaves one out that is to be skipped.
    fn begin(&mut self) -> Result<(), Fault> {
        self.frames += 1;
        if self.frames > FRAMES {
            return Err(Fault::Frames);
        }
        let mut rest: &[u8] = &self.packed;
        let began = self.decoder.init(&mut rest);
        let read = self.packed.len() - rest.len();
        self.packed = self.packed.split_off(read);
        match began {
            Ok(()) => {}
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                if length > self.packed.len() {
                    return Err(Fault::Broken);
                }
                self.packed = self.packed.split_off(length);
                return Ok(());
            }
            Err(FrameDecoderError::WindowSizeTooBig { .. }) => return Err(Fault::Window),
            Err(FrameDecoderError::DictNotProvided { .. }) => return Err(Fault::Dictionary),
            Err(_) => return Err(Fault::Broken),
        }
        let stated = usize::try_from(self.decoder.content_size()).unwrap_or(usize::MAX);
        if stated > self.most.saturating_sub(self.out.len()) {
            return Err(Fault::TooLarge);
        }
        self.frame = Some(self.out.len());
        Ok(())
    }

    fn block(&mut self) -> Result<(), Fault> {
        let mut rest: &[u8] = &self.packed;
        self.decoder
            .decode_blocks(&mut rest, BlockDecodingStrategy::UptoBlocks(1))
            .map_err(|_| Fault::Broken)?;
        let read = self.packed.len() - rest.len();
        self.packed = self.packed.split_off(read);
        let ready = self.decoder.can_collect();
        if ready > self.most.saturating_sub(self.out.len()) {
            return Err(Fault::TooLarge);
        }
        self.room.comes(&mut Charge::default(), ready).map_err(Fault::Room)?;
        self.decoder.collect_to_writer(&mut self.out).map_err(|_| Fault::Broken)?;
        if self.decoder.is_finished() {
            let (begun, stated) = (self.frame.take().unwrap_or_default(), self.decoder.content_size());
            // None is stated as 0.
            if stated > 0 && stated != (self.out.len() - begun) as u64 {
                return Err(Fault::Broken);
            }
        }
        Ok(())
    }
}
