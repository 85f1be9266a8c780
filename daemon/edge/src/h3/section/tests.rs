//! Sections in every form of a name, against every cut and arbitrary bytes.

use proptest::prelude::*;

use super::{AUTHORITY, FOREIGN, METHOD, NAMES, PATH, SCHEME, Section, indexed};

/// The codes of RFC 7541 appendix B that the names need.
const CODES: [(u8, &str); 16] = [
    (b':', "1011100"),
    (b'a', "00011"),
    (b'c', "00100"),
    (b'd', "100100"),
    (b'e', "00101"),
    (b'h', "100111"),
    (b'i', "00110"),
    (b'm', "101001"),
    (b'o', "00111"),
    (b'p', "101011"),
    (b'r', "101100"),
    (b's', "01000"),
    (b't', "01001"),
    (b'u', "101101"),
    (b'x', "1111001"),
    (b'y', "1111010"),
];

/// Huffman's code of a text, its last byte filled with ones (RFC 7541 section 5.2).
fn coded(text: &[u8]) -> Vec<u8> {
    let code = |byte: &u8| CODES.iter().find(|(of, _)| of == byte).unwrap().1;
    let mut bits: String = text.iter().map(code).collect();
    bits.push_str(&"1".repeat((8 - bits.len() % 8) % 8));
    bits.as_bytes()
        .chunks(8)
        .map(|byte| u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap())
        .collect()
}

/// How a field's name is written.
#[derive(Debug, Clone, Copy)]
enum Form {
    Indexed,
    NameIndex,
    Plain,
    Huffman,
}

const FORMS: [Form; 4] = [Form::Indexed, Form::NameIndex, Form::Plain, Form::Huffman];

/// The field line of a name whose index in the static table is given. A value of 200 bytes makes lengths of two bytes.
fn line(name: &str, index: u8, form: Form) -> Vec<u8> {
    let value = [&b"\x7f\x49"[..], &[b':'; 200]].concat();
    let literal = |first: u8, name: &[u8]| {
        let length = u8::try_from(name.len()).unwrap();
        let length = if length < 7 { vec![first | length] } else { vec![first | 7, length - 7] };
        [&length, name, &value].concat()
    };
    match form {
        Form::Indexed if index < 63 => vec![0b1100_0000 | index],
        Form::Indexed => vec![0xff, index - 63],
        Form::NameIndex if index < 15 => [&[0b0101_0000 | index], &value[..]].concat(),
        Form::NameIndex => [&[0b0111_1111, index - 15], &value[..]].concat(),
        Form::Plain => literal(0b0010_0000, name.as_bytes()),
        Form::Huffman => literal(0b0011_1000, &coded(name.as_bytes())),
    }
}

fn section(fields: &[(&str, u8)], form: Form) -> Vec<u8> {
    fields
        .iter()
        .fold(b"\x00\x00".to_vec(), |section, (name, index)| [section, line(name, *index, form)].concat())
}

fn malformed(sections: &[&[&[u8]]]) -> bool {
    let mut judged = Section::new();
    for section in sections {
        judged.begin();
        section.iter().for_each(|piece| judged.push(piece));
    }
    judged.malformed()
}

const M: (&str, u8) = (":method", 17);
const S: (&str, u8) = (":scheme", 23);
const A: (&str, u8) = (":authority", 0);
const P: (&str, u8) = (":path", 1);
const STATUS: (&str, u8) = (":status", 71);
const DATE: (&str, u8) = ("date", 6);

#[test]
fn the_coded_names_are_what_the_table_makes_of_them() {
    for (plain, huffman, _) in NAMES {
        assert_eq!(coded(plain), huffman, "{}", std::str::from_utf8(plain).unwrap());
    }
}

#[test]
fn the_static_table_has_its_pseudo_fields_where_the_appendix_says() {
    let mut expected = [None; 120];
    for (first, last, pseudo) in [
        (0, 0, AUTHORITY),
        (1, 1, PATH),
        (15, 21, METHOD),
        (22, 23, SCHEME),
        (24, 28, FOREIGN),
        (63, 71, FOREIGN),
    ] {
        expected[first..=last].fill(Some(pseudo));
    }
    for (index, expected) in (0..).zip(expected) {
        assert_eq!(indexed(index), expected, "{index}");
    }
    assert_eq!(indexed(u64::MAX), None);
}

#[test]
fn judges_the_same_however_it_is_cut() {
    let cases: [(&[(&str, u8)], bool); 12] = [
        (&[M, S, A, P, DATE, DATE], false),
        (&[P, A, S, M], false),
        (&[M, S, P, DATE], false),
        (&[], false),
        (&[M, S, A, P, A], true),
        (&[M, M, S, A, P], true),
        (&[M, S, S, A, P], true),
        (&[M, S, A, P, P, DATE], true),
        (&[M, S, A, P, STATUS], true),
        (&[STATUS], true),
        (&[M, S, A, DATE, P], true),
        (&[DATE, M], true),
    ];
    for form in FORMS {
        for (fields, expected) in cases {
            let bytes = section(fields, form);
            for cut in 0..=bytes.len() {
                let (head, tail) = bytes.split_at(cut);
                assert_eq!(malformed(&[&[head, tail]]), expected, "{fields:?} {form:?} cut at {cut}");
            }
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(malformed(&[&single]), expected, "{fields:?} {form:?}");
        }
    }
}

#[test]
fn names_that_nobody_has_defined_are_malformed_and_those_without_a_colon_are_not() {
    for (name, expected) in [
        (":", true),
        (":methods", true),
        (":authoritys", true),
        (":authoritymethod", true),
        (":status", true),
        ("method", false),
        ("authority", false),
        ("x", false),
    ] {
        for form in [Form::Plain, Form::Huffman] {
            assert_eq!(malformed(&[&[&section(&[(name, 0)], form)]]), expected, "{name} {form:?}");
        }
    }
    // A colon behind the first place is none of a pseudo-header field, and an empty name is nothing.
    assert!(!malformed(&[&[b"\x00\x00\x23a:b\x00\x20\x00\x28\x00"]]));
    // Filled with a whole byte too many, as a lenient decoder might take it.
    assert!(malformed(&[&[b"\x00\x00\x2d\xb9\x58\xd3\x3f\xff\x00"]]));
}

#[test]
fn trailers_may_have_none_and_do_not_wash_the_head() {
    let head = section(&[M, S, A, P], Form::NameIndex);
    for (trailers, expected) in [(&[DATE][..], false), (&[], false), (&[P], true), (&[DATE, STATUS], true)] {
        for form in FORMS {
            let trailers = section(trailers, form);
            assert_eq!(malformed(&[&[&head], &[&trailers]]), expected, "{trailers:?} {form:?}");
        }
    }
    let twice = section(&[M, M], Form::Indexed);
    assert!(malformed(&[&[&twice], &[&section(&[DATE], Form::Indexed)]]));
}

#[test]
fn what_cannot_be_read_is_not_taken() {
    for line in [
        &b"\x80"[..],
        b"\x10",
        b"\x00",
        b"\x40\x00",
        b"\x60\x00",
        // Ten bytes behind the first.
        b"\xff\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00",
    ] {
        assert!(malformed(&[&[b"\x00\x00", line]]), "{line:?}");
    }
    // The same index in nine bytes is no more than a long way to say 63: `:status`.
    assert!(malformed(&[&[b"\x00\x00\xff\x80\x80\x80\x80\x80\x80\x80\x80\x00"]]));
    assert!(!malformed(&[&[b"\x00\x00\xc2\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"]]));
    // A value that is announced and does not come.
    assert!(!malformed(&[&[b"\x00\x00\x50\x7f\xff\xff\xff\xff\xff\xff\xff\xff\x7f:::"]]));
}

/// Cuts bytes into pieces of the given lengths, over and over.
fn cut<'a>(mut rest: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, tail) = rest.split_at((*length).min(rest.len()));
        pieces.push(piece);
        rest = tail;
    }
    pieces
}

fn field() -> impl Strategy<Value = ((&'static str, u8), Form)> {
    (prop::sample::select(vec![M, S, A, P, STATUS, DATE]), prop::sample::select(FORMS.to_vec()))
}

proptest! {
    #[test]
    fn takes_any_bytes_in_any_pieces(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        lengths in prop::collection::vec(1usize..9, 1..40),
    ) {
        prop_assert_eq!(malformed(&[&cut(&bytes, &lengths)]), malformed(&[&[&bytes]]));
    }

    #[test]
    fn agrees_with_a_reading_of_the_list(
        fields in prop::collection::vec(field(), 0..8),
        lengths in prop::collection::vec(1usize..40, 1..40),
    ) {
        let mut bytes = b"\x00\x00".to_vec();
        fields.iter().for_each(|((name, index), form)| bytes.extend(line(name, *index, *form)));
        let names: Vec<&str> = fields.iter().map(|((name, _), _)| *name).collect();
        let (before, behind) = names.split_at(names.iter().position(|name| *name == "date").unwrap_or(names.len()));
        let repeated = before.iter().any(|name| before.iter().filter(|other| *other == name).count() > 1);
        let late = behind.iter().any(|name| *name != "date");
        let expected = repeated || late || names.contains(&":status");
        prop_assert_eq!(malformed(&[&cut(&bytes, &lengths)]), expected);
    }
}
