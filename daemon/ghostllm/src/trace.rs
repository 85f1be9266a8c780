//! What a request is followed by through several programs: its id, and W3C's trace context.
//!
//! Knows the fields `x-request-id`, `traceparent` and `tracestate` (www.w3.org/TR/trace-context). Refuses to know who reads them.
//! Invariants: of a client's own words only those pass that are sane, and that look like no key; a trace goes on only with an id of
//! our own as the parent's.

use ghostllm_core::key::PREFIX;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The field that names a request, in both directions.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The field that names a trace and the step before in it, in both directions.
pub(crate) const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACE_STATE: HeaderName = HeaderName::from_static("tracestate");

/// Letters of an id, at the most: libraries send UUIDs and the like, proxies a little more.
const LONGEST_ID: usize = 128;
/// Letters of a `tracestate`, at the most: as many as everybody has to hand on (section 3.3.1.5).
const LONGEST_STATE: usize = 512;
/// What keys of other services begin with. Whoever has put one where an id belongs should not find it in logs.
const FOREIGN_KEYS: [&str; 2] = ["sk-", "sk_"];

/// One request's.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    shown: HeaderValue,
    given: bool,
    parent: Parent,
    state: Option<HeaderValue>,
}

/// A `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parent {
    trace: u128,
    parent: u64,
    sampled: bool,
}

impl Trace {
    /// What these fields say, completed by an id of our own.
    pub(crate) fn new(own: u128, headers: &HeaderMap) -> Self {
        let given = one(headers, &REQUEST_ID).filter(|value| is_sane(value.as_bytes())).cloned();
        let ours = || HeaderValue::from_str(&format!("{own:032x}"));
        let came = one(headers, &TRACE_PARENT).and_then(|value| Parent::read(value.to_str().ok()?));
        // The half that the clock of no other program gives; none may be all zeros (section 3.2.2.4).
        let parent = u64::try_from(own >> 64).unwrap_or_default().max(1);
        let parent = match came {
            Some(came) => Parent { parent, ..came },
            // A backend that traces by its parent's word goes on tracing what it traced without one.
            None => Parent { trace: own.max(1), parent, sampled: true },
        };
        // It means nothing without the other (section 3.3).
        let state = came.and_then(|_| states(headers));
        let is_given = given.is_some();
        let shown = given.or_else(|| ours().ok()).unwrap_or_else(|| HeaderValue::from_static("-"));
        Self { shown, given: is_given, parent, state }
    }

    /// The request's id as its client sees it.
    pub(crate) fn shown(&self) -> &HeaderValue {
        &self.shown
    }

    /// The same, where the client has chosen it.
    pub(crate) fn given(&self) -> Option<&str> {
        self.given.then(|| self.shown.to_str().ok()).flatten()
    }

    /// The trace's id.
    pub(crate) fn trace(&self) -> String {
        format!("{:032x}", self.parent.trace)
    }

    /// The `traceparent` of whatever this request leads to, which its client is told as well.
    pub(crate) fn parent(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.parent.text()).ok()
    }

    /// What whoever is asked next is told.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let parent = self.parent();
        let state = self.state.clone();
        let all = [(REQUEST_ID, Some(self.shown.clone())), (TRACE_PARENT, parent), (TRACE_STATE, state)];
        all.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }
}

/// The field, where it stands there once.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut all = headers.get_all(name).iter();
    all.next().filter(|_| all.next().is_none())
}

/// Whether an id says no more than an id does: letters that end no line and no field anywhere, and no key.
fn is_sane(id: &[u8]) -> bool {
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:+/=".contains(byte);
    let Ok(text) = std::str::from_utf8(id) else { return false };
    (1..=LONGEST_ID).contains(&id.len()) && id.iter().all(letter) && !holds_key(text)
}

fn holds_key(text: &str) -> bool {
    text.contains(PREFIX) || FOREIGN_KEYS.iter().any(|key| text.starts_with(key))
}

/// All fields in one, as far as they are visible ASCII and not longer than everybody takes.
fn states(headers: &HeaderMap) -> Option<HeaderValue> {
    let all: Vec<&str> =
        headers.get_all(TRACE_STATE).iter().map(|value| value.to_str().ok()).collect::<Option<_>>()?;
    let text = all.join(",");
    let visible = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let sane = !text.trim().is_empty() && text.len() <= LONGEST_STATE && visible && !holds_key(&text);
    sane.then(|| HeaderValue::from_str(&text).ok()).flatten()
}

impl Parent {
    /// Reads one of version 00, and of a later one what that has in common with it (section 4.3).
    fn read(text: &str) -> Option<Self> {
        let (fields, rest) = text.split_at_checked(55)?;
        let mut parts = fields.split('-');
        let mut next = |digits: usize| parts.next().filter(|part| part.len() == digits && is_hex(part));
        let version = u8::from_str_radix(next(2)?, 16).ok()?;
        let trace = u128::from_str_radix(next(32)?, 16).ok()?;
        let parent = u64::from_str_radix(next(16)?, 16).ok()?;
        let flags = u8::from_str_radix(next(2)?, 16).ok()?;
        let ends_well = if version == 0 { rest.is_empty() } else { rest.is_empty() || rest.starts_with('-') };
        let sane = version != 0xff && trace != 0 && parent != 0 && ends_well && parts.next().is_none();
        sane.then_some(Self { trace, parent, sampled: flags & 1 == 1 })
    }

    fn text(self) -> String {
        format!("00-{:032x}-{:016x}-{:02x}", self.trace, self.parent, u8::from(self.sampled))
    }
}

/// Lower case alone (section 3.2.2).
fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: u128 = 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210;

    fn of(fields: &[(&'static str, &[u8])]) -> Trace {
        let field = |(name, value): &(&'static str, &[u8])| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap())
        };
        let mut headers = HeaderMap::new();
        for (name, value) in fields.iter().map(field) {
            headers.append(name, value);
        }
        Trace::new(OWN, &headers)
    }

    fn sent(trace: &Trace, name: &str) -> Option<String> {
        let found = trace.fields().find(|(known, _)| known == name)?;
        Some(found.1.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_sane_id_is_kept_and_any_other_replaced_by_ours() {
        let longest = "x".repeat(128);
        for id in ["a", "6f1c-", "Root=1-67891233:abc/=+_.", &longest] {
            let trace = of(&[("x-request-id", id.as_bytes())]);
            assert_eq!((trace.given(), sent(&trace, "x-request-id").as_deref()), (Some(id), Some(id)));
        }
        let too_long = "x".repeat(129);
        let refused = [
            "",
            " ",
            "a b",
            "a\tb",
            "a\"b",
            "<b>",
            "{}",
            "gllm_abc",
            "x-gllm_abc",
            "sk-live-1",
            "gr\u{f6}\u{df}e",
            &too_long,
        ];
        for id in refused {
            let trace = of(&[("x-request-id", id.as_bytes())]);
            let ours = format!("{OWN:032x}");
            assert_eq!((trace.given(), sent(&trace, "x-request-id")), (None, Some(ours)), "{id}");
        }
        let twice: [(_, &[u8]); 2] = [("x-request-id", b"a"), ("x-request-id", b"b")];
        assert_eq!(of(&twice).given(), None);
    }

    #[test]
    fn a_trace_goes_on_with_our_own_id_as_the_parent_s() {
        let theirs: (_, &[u8]) = ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let trace = of(&[theirs, ("tracestate", b"a=1"), ("tracestate", b"b=2, c=3")]);
        let expected = "00-4bf92f3577b34da6a3ce929d0e0e4736-0123456789abcdef-01";
        assert_eq!(sent(&trace, "traceparent").unwrap(), expected);
        assert_eq!(sent(&trace, "tracestate").unwrap(), "a=1,b=2, c=3");
        assert_eq!(trace.trace(), "4bf92f3577b34da6a3ce929d0e0e4736");
    }

    #[test]
    fn what_is_no_trace_begins_one() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        let refused = [
            String::new(),
            good.to_uppercase(),
            good.replace("00-4", "ff-4"),
            good.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            good.replace("00f067aa0ba902b7", &"0".repeat(16)),
            format!("{good}-more"),
            good[..54].to_owned(),
            good.replace('-', "_"),
            good.replace("-00f0", "+00f0"),
            format!("cc-{}.", &good[3..]),
        ];
        for text in refused {
            let trace = of(&[("traceparent", text.as_bytes()), ("tracestate", b"a=1")]);
            let ours = format!("00-{OWN:032x}-0123456789abcdef-01");
            assert_eq!(sent(&trace, "traceparent"), Some(ours), "{text}");
            assert_eq!(sent(&trace, "tracestate"), None, "{text}");
        }
        // A version to come, with what it may have behind.
        for text in [good.replace("00-4", "cc-4"), format!("cc-{}-what-comes", &good[3..])] {
            assert!(
                sent(&of(&[("traceparent", text.as_bytes())]), "traceparent").unwrap().contains("-4bf92f35")
            );
        }
    }

    #[test]
    fn a_state_is_handed_on_up_to_its_limit() {
        let parent: (_, &[u8]) = ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");
        for (length, passes) in [(512, true), (513, false)] {
            let state = format!("a={}", "x".repeat(length - 2));
            let trace = of(&[parent, ("tracestate", state.as_bytes())]);
            assert_eq!(sent(&trace, "tracestate").is_some(), passes, "{length}");
        }
        assert_eq!(sent(&of(&[parent, ("tracestate", b"a=gllm_x")]), "tracestate"), None);
    }
}
