//! The status of an answer in a field section of HTTP/2 or 3, which both write as a text behind the name's number.

/// Every status that is looked for.
const STATUSES: std::ops::Range<u16> = 200..600;
/// The field comes first, behind what a section begins with.
const START: usize = 12;

/// Entries 8 to 14 of HPACK's static table, 24 to 28 and 63 to 71 of QPACK's.
const HPACK: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
const QPACK: [u16; 5] = [103, 200, 304, 404, 503];
const QPACK_LATER: [u16; 9] = [100, 204, 206, 302, 400, 403, 421, 425, 500];

/// The status that a field section begins with: an entry of either static table (RFC 7541 and RFC 9204, appendix A), or a text.
pub(crate) fn find(section: &[u8]) -> Option<u16> {
    let known = match section {
        [0, 0, 0xff, behind, ..] => QPACK_LATER.get(usize::from(*behind)),
        [0, 0, index @ 0xd8..=0xdc, ..] => QPACK.get(usize::from(index - 0xd8)),
        [index @ 0x88..=0x8e, ..] => HPACK.get(usize::from(index - 0x88)),
        _ => None,
    };
    if known.is_some() {
        return known.copied();
    }
    let start = &section[..section.len().min(START)];
    let holds = |wanted: &[u8]| start.windows(wanted.len()).any(|bytes| bytes == wanted);
    let literal = |status: &u16| {
        let (plain, short) = (status.to_string(), huffman(*status));
        // With the length before it, or an accident of other bytes would do.
        holds(&[&[3], plain.as_bytes()].concat())
            || u8::try_from(short.len()).is_ok_and(|length| holds(&[&[0x80 | length], &short[..]].concat()))
    };
    STATUSES.clone().find(literal)
}

/// Three digits in Huffman's code (RFC 7541 appendix B): five bits for 0, 1 and 2, six for the others, ones at the end.
fn huffman(status: u16) -> Vec<u8> {
    let (mut bits, mut count) = (0_u32, 0_usize);
    for digit in status.to_string().bytes().map(|digit| u32::from(digit - b'0')) {
        let (code, size) = if digit < 3 { (digit, 5) } else { (0x19 + digit - 3, 6) };
        bits = bits << size | code;
        count += size;
    }
    let whole = count.next_multiple_of(8);
    bits = bits << (whole - count) | ((1 << (whole - count)) - 1);
    bits.to_be_bytes()[4 - whole / 8..].to_vec()
}
