//! When a certificate ends, out of its DER.

use time::{Date, Month, OffsetDateTime, Time};

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;

/// The end of its validity (RFC 5280 section 4.1); none where this is no certificate.
pub(super) fn not_after(der: &[u8]) -> Option<OffsetDateTime> {
    let (_, certificate, _) = element(der)?;
    let (_, mut rest, _) = element(certificate)?;
    // The version, which is context-specific and may be missing; then serial number, algorithm and issuer.
    let version = rest.first()? >> 6 == 2;
    for _ in 0..if version { 4 } else { 3 } {
        (_, _, rest) = element(rest)?;
    }
    let (tag, validity, _) = element(rest)?;
    if tag != SEQUENCE {
        return None;
    }
    let (_, _, rest) = element(validity)?;
    let (tag, text, _) = element(rest)?;
    moment(tag, std::str::from_utf8(text).ok()?)
}

/// Tag and content of what comes first, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, mut rest) = rest.split_first()?;
    let mut length = usize::from(*first);
    if length > 0x80 {
        let (bytes, behind) = rest.split_at_checked(length & 0x7f)?;
        if bytes.len() > 4 {
            return None;
        }
        length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        rest = behind;
    }
    let (content, behind) = rest.split_at_checked(length)?;
    Some((*tag, content, behind))
}

fn moment(tag: u8, text: &str) -> Option<OffsetDateTime> {
    let digits = text.strip_suffix('Z')?;
    let (year, rest) = digits.split_at_checked(if tag == UTC_TIME { 2 } else { 4 })?;
    let mut year: i32 = year.parse().ok()?;
    if tag == UTC_TIME {
        year += if year < 50 { 2000 } else { 1900 };
    }
    let part = |place: usize| rest.get(place..place + 2)?.parse::<u8>().ok();
    let date = Date::from_calendar_date(year, Month::try_from(part(0)?).ok()?, part(2)?).ok()?;
    Some(date.with_time(Time::from_hms(part(4)?, part(6)?, part(8)?).ok()?).assume_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_time_are_read_and_what_is_no_certificate_is_none() {
        assert_eq!(moment(0x17, "360101000000Z").unwrap().year(), 2036);
        assert_eq!(moment(0x18, "20500101000000Z").unwrap().year(), 2050);
        for (tag, text) in
            [(0x17, "361301000000Z"), (0x17, "36"), (0x18, "20500101"), (0x17, "é60101000000Z")]
        {
            assert_eq!(moment(tag, text), None, "{text}");
        }
        for der in [&b""[..], b"\x30", b"\x30\x84\xff\xff\xff\xff", b"\x30\x03\x30\x01\x02", &[0x30; 64]] {
            assert_eq!(not_after(der), None, "{der:?}");
        }
    }
}
