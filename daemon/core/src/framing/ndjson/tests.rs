//! Lines come out whole, however they went in.

use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};

use super::Lines;
use crate::framing::TooLong;

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limit: usize) -> Result<Vec<Vec<u8>>, TooLong> {
    let mut lines = Lines::new(limit);
    let mut found = Vec::new();
    for piece in pieces {
        lines.push(piece);
        while let Some(line) = lines.next_line()? {
            found.push(line.to_vec());
        }
    }
    found.extend(lines.finish().map(|line| line.to_vec()));
    Ok(found)
}

#[test]
fn empty_lines_mean_nothing_and_the_last_end_may_be_missing() {
    let found = read([b"a\n\n \r\nb\r\nc".as_slice()], 10).unwrap();
    assert_eq!(found, [b"a".to_vec(), b"b\r".to_vec(), b"c".to_vec()]);
}

#[test]
fn the_limit_passes_and_one_more_fails() {
    let line = [b'x'; 8];
    assert_eq!(read([line.as_slice(), b"\n"], 8).unwrap().len(), 1);
    assert_eq!(read([line.as_slice(), b"x\n"], 8), Err(TooLong { limit: 8 }));
    assert_eq!(read([line.as_slice(), b"x"], 8), Err(TooLong { limit: 8 }));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_split_gives_the_same_lines(
        text in "[ab\\n\\r ]{0,60}",
        cuts in proptest::collection::vec(0_usize..61, 0..6),
    ) {
        let bytes = text.as_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
        prop_assert_eq!(read(pieces, 60), read([bytes], 60));
    }
}
