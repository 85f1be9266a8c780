//! Reads the few fields of a certificate that decide when and for whom it is valid.
//!
//! Knows the DER that this program writes, and the same fields in certificates of others. Refuses to know
//! signatures: whoever needs trust asks rustls. Invariant: no input makes it panic, and what it cannot read
//! it refuses, because a constraint that was overlooked would let a leaf out that every client refuses.

use std::net::IpAddr;

use time::{Date, Month, OffsetDateTime, Time};

use super::{Network, Scope};

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// `[0]`: the version of a certificate, the permitted subtrees of name constraints.
const CONTEXT_0: u8 = 0xa0;
/// `[3]`: the extensions.
const CONTEXT_3: u8 = 0xa3;
/// `dNSName` in a `GeneralName` (RFC 5280 4.2.1.6).
const DNS_NAME: u8 = 0x82;
/// `iPAddress` in a `GeneralName`.
const IP_ADDRESS: u8 = 0x87;

/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// 2.5.29.17
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
/// 2.5.29.30
const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x1e];

/// What could not be read; the text completes "the certificate …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the certificate is not in the expected form (at its {0})")]
pub struct Malformed(pub &'static str);

/// What a certificate says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The subject's common name, when the subject is that one attribute in UTF-8 (as this program writes it).
    pub common_name: Option<String>,
    /// First moment of validity.
    pub not_before: OffsetDateTime,
    /// Last moment of validity.
    pub not_after: OffsetDateTime,
    /// The DNS names in the subject's alternative name.
    pub names: Vec<String>,
    /// The addresses there.
    pub addresses: Vec<IpAddr>,
    /// What the name constraints permit; `None` without that extension.
    pub scope: Option<Scope>,
    /// The subject's public key, as the whole `SubjectPublicKeyInfo`.
    pub public_key: Vec<u8>,
}

impl Facts {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// The part that is cut off, of another type, or of a kind that this program does not follow.
    pub fn read(certificate: &[u8]) -> Result<Self, Malformed> {
        let mut outer = Reader(certificate);
        let mut whole = Reader(outer.expect(SEQUENCE, "start")?);
        let mut fields = Reader(whole.expect(SEQUENCE, "start")?);
        fields.expect(CONTEXT_0, "version")?;
        fields.expect(INTEGER, "serial number")?;
        fields.expect(SEQUENCE, "signature algorithm")?;
        fields.expect(SEQUENCE, "issuer")?;
        let mut validity = Reader(fields.expect(SEQUENCE, "validity")?);
        let not_before = time(&mut validity)?;
        let not_after = time(&mut validity)?;
        let common_name = common_name(fields.expect(SEQUENCE, "subject")?);
        let public_key = fields.whole(SEQUENCE).ok_or(Malformed("public key"))?.to_vec();
        let mut facts = Self {
            common_name,
            not_before,
            not_after,
            names: Vec::new(),
            addresses: Vec::new(),
            scope: None,
            public_key,
        };
        while let Some((tag, content)) = fields.next("extensions")? {
            if tag == CONTEXT_3 {
                facts.extensions(content)?;
            }
        }
        Ok(facts)
    }

    fn extensions(&mut self, content: &[u8]) -> Result<(), Malformed> {
        let mut list = Reader(Reader(content).expect(SEQUENCE, "extensions")?);
        while let Some((_, extension)) = list.next("extensions")? {
            let mut parts = Reader(extension);
            let object = parts.expect(OBJECT, "extensions")?;
            let mut value = None;
            while let Some((tag, content)) = parts.next("extensions")? {
                if tag == OCTET_STRING {
                    value = Some(content);
                }
            }
            let value = value.ok_or(Malformed("extensions"))?;
            if object == SUBJECT_ALT_NAME {
                self.alternative_names(value)?;
            } else if object == NAME_CONSTRAINTS {
                self.scope = Some(constraints(value)?);
            }
        }
        Ok(())
    }

    fn alternative_names(&mut self, value: &[u8]) -> Result<(), Malformed> {
        const PART: &str = "alternative names";
        let mut list = Reader(Reader(value).expect(SEQUENCE, PART)?);
        while let Some((tag, content)) = list.next(PART)? {
            match tag {
                DNS_NAME => self.names.push(text(content, PART)?),
                IP_ADDRESS => self.addresses.push(address(content).ok_or(Malformed(PART))?),
                // Other kinds stand in certificates of others and decide nothing here.
                _ => {}
            }
        }
        Ok(())
    }
}

/// A certificate's two halves: what is signed, and the signature.
pub(super) struct Signed<'a> {
    /// The whole `TBSCertificate`.
    pub(super) content: &'a [u8],
    /// The bits of `signatureValue`.
    pub(super) signature: &'a [u8],
}

impl<'a> Signed<'a> {
    /// Reads a certificate in DER; nothing may follow it.
    pub(super) fn read(certificate: &'a [u8]) -> Result<Self, Malformed> {
        let mut outer = Reader(certificate);
        let mut whole = Reader(outer.expect(SEQUENCE, "start")?);
        let content = whole.whole(SEQUENCE).ok_or(Malformed("start"))?;
        // Named twice, the second time where no signature covers it (RFC 5280 4.1.1.2 wants both alike).
        let mut fields = Reader(Reader(content).expect(SEQUENCE, "start")?);
        fields.expect(CONTEXT_0, "version")?;
        fields.expect(INTEGER, "serial number")?;
        let algorithm = fields.whole(SEQUENCE).ok_or(Malformed("signature algorithm"))?;
        if whole.whole(SEQUENCE) != Some(algorithm) {
            return Err(Malformed("signature algorithm"));
        }
        // The first byte says how many bits of the last one are unused: none, of whole bytes.
        let signature = whole.expect(BIT_STRING, "signature")?.strip_prefix(&[0]);
        let signature = signature.ok_or(Malformed("signature"))?;
        if outer.0.is_empty() && whole.0.is_empty() {
            Ok(Self { content, signature })
        } else {
            Err(Malformed("end"))
        }
    }
}

/// Reads one value after the other; every length is checked against what is left.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The next value's tag and content; `None` at the end.
    fn next(&mut self, part: &'static str) -> Result<Option<(u8, &'a [u8])>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let (tag, content, rest) = split(self.0).ok_or(Malformed(part))?;
        self.0 = rest;
        Ok(Some((tag, content)))
    }

    /// The next value's content, which must be of this tag.
    fn expect(&mut self, tag: u8, part: &'static str) -> Result<&'a [u8], Malformed> {
        match self.next(part)? {
            Some((found, content)) if found == tag => Ok(content),
            _ => Err(Malformed(part)),
        }
    }

    /// The next value with its tag and length in front.
    fn whole(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, _, rest) = split(self.0)?;
        let whole = self.0.get(..self.0.len().checked_sub(rest.len())?)?;
        self.0 = rest;
        (found == tag).then_some(whole)
    }
}

/// Tag, content and what follows (X.690 8.1); lengths of up to four bytes, which no certificate exceeds.
fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let count = usize::from(first & 0x7f);
        if !(1..=4).contains(&count) {
            return None;
        }
        let (digits, after) = rest.split_at_checked(count)?;
        length = digits.iter().fold(0, |sum, digit| (sum << 8) | usize::from(*digit));
        rest = after;
    }
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

fn time(reader: &mut Reader<'_>) -> Result<OffsetDateTime, Malformed> {
    const PART: &str = "validity";
    let (tag, content) = reader.next(PART)?.ok_or(Malformed(PART))?;
    let digits = std::str::from_utf8(content).ok().and_then(|text| text.strip_suffix('Z'));
    let digits =
        digits.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit())).ok_or(Malformed(PART))?;
    let (year, rest) = match tag {
        UTC_TIME if digits.len() == 12 => {
            let short = number(digits.get(..2)).ok_or(Malformed(PART))?;
            // RFC 5280 4.1.2.5.1: below 50 is this century.
            (if short < 50 { 2000 + i32::from(short) } else { 1900 + i32::from(short) }, digits.get(2..))
        }
        GENERALIZED_TIME if digits.len() == 14 => {
            (digits.get(..4).and_then(|text| text.parse().ok()).ok_or(Malformed(PART))?, digits.get(4..))
        }
        _ => return Err(Malformed(PART)),
    };
    rest.and_then(|rest| moment(year, rest)).ok_or(Malformed(PART))
}

/// `MMDDHHMMSS` of that year.
fn moment(year: i32, digits: &str) -> Option<OffsetDateTime> {
    let part = |at: usize| number(digits.get(at..at + 2));
    let date = Date::from_calendar_date(year, Month::try_from(part(0)?).ok()?, part(2)?).ok()?;
    let time = Time::from_hms(part(4)?, part(6)?, part(8)?).ok()?;
    Some(date.with_time(time).assume_utc())
}

fn number(digits: Option<&str>) -> Option<u8> {
    digits?.parse().ok()
}

/// The common name of a subject that holds nothing else.
fn common_name(subject: &[u8]) -> Option<String> {
    let mut sets = Reader(subject);
    let set = sets.expect(SET, "subject").ok()?;
    if !sets.0.is_empty() {
        return None;
    }
    let mut attribute = Reader(Reader(set).expect(SEQUENCE, "subject").ok()?);
    if attribute.expect(OBJECT, "subject").ok()? != COMMON_NAME {
        return None;
    }
    text(attribute.expect(UTF8_STRING, "subject").ok()?, "subject").ok()
}

/// The permitted subtrees (RFC 5280 4.2.1.10); excluded ones this program neither writes nor follows.
fn constraints(value: &[u8]) -> Result<Scope, Malformed> {
    const PART: &str = "name constraints";
    let mut parts = Reader(Reader(value).expect(SEQUENCE, PART)?);
    let mut permitted = Reader(parts.expect(CONTEXT_0, PART)?);
    if !parts.0.is_empty() {
        return Err(Malformed(PART));
    }
    let mut scope = Scope::default();
    while let Some((SEQUENCE, subtree)) = permitted.next(PART)? {
        match Reader(subtree).next(PART)? {
            Some((DNS_NAME, content)) => scope.names.push(text(content, PART)?),
            Some((IP_ADDRESS, content)) => scope.networks.push(network(content).ok_or(Malformed(PART))?),
            _ => return Err(Malformed(PART)),
        }
    }
    Ok(scope)
}

fn text(content: &[u8], part: &'static str) -> Result<String, Malformed> {
    std::str::from_utf8(content).map(str::to_owned).map_err(|_not_text| Malformed(part))
}

fn address(content: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(content) {
        return Some(IpAddr::from(octets));
    }
    <[u8; 16]>::try_from(content).ok().map(IpAddr::from)
}

fn network(content: &[u8]) -> Option<Network> {
    let (base, mask) = content.split_at_checked(content.len() / 2)?;
    Some(Network { base: address(base)?, mask: address(mask)? })
}
