//! The ways in which a stream's bytes are cut on their way.
//!
//! Invariant: they follow from the bytes alone, so that an input that has failed fails again, and no byte of an input is
//! spent on them: a recording of a real stream is an input as it is.

/// The bytes in pieces: whole, in steps of 1, 2, 3 and 7, and in two sequences of uneven lengths.
pub(crate) fn ways(bytes: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut ways = vec![vec![bytes]];
    ways.extend([1, 2, 3, 7].map(|step| bytes.chunks(step).collect()));
    ways.extend([3, 6].map(|bits| uneven(bytes, seed(bytes), bits)));
    ways
}

/// In one sequence of uneven lengths: for readers that take their time, on top of one that is held in every way.
pub(crate) fn one(bytes: &[u8]) -> Vec<&[u8]> {
    uneven(bytes, seed(bytes), 6)
}

/// FNV-1a: any mixing of the bytes would do.
fn seed(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Pieces of 0 to 2^bits - 1 bytes, by xorshift.
fn uneven(mut rest: &[u8], seed: u64, bits: u32) -> Vec<&[u8]> {
    let mut state = seed | 1;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let length = usize::try_from(state >> (64 - bits)).expect("a few bits").min(rest.len());
        let (piece, tail) = rest.split_at(length);
        pieces.push(piece);
        rest = tail;
    }
    pieces
}
