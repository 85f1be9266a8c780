//! The request's target: one form, one reading.
//!
//! Knows RFC 9112 section 3.2 and RFC 3986 section 3.3. Refuses to know which paths exist, and to mend any. Invariant: a path that passes
//! means the same to everyone who decodes it once, twice or not at all, but for a name behind a prefix where slashes may be escaped,
//! which is decoded once, as its reader does. What this cannot see: `http` drops a fragment before anyone can look, which leaves the path
//! that we then use.

use http::{Method, Uri, request::Parts, uri::Scheme};

use super::{Reason, Refusal};
use crate::Transport;

/// Checks the target's form, its scheme and its path.
pub(super) fn check(head: &Parts, transport: Transport, slashed: &[String]) -> Result<(), Refusal> {
    let refuse = |message: &'static str| Err(Refusal::new(Reason::Target, message));
    if head.method == Method::CONNECT {
        return refuse("This server is not a proxy: CONNECT is not served.");
    }
    if !scheme_fits(&head.uri, transport) {
        return refuse("The target's scheme is not the one of this connection.");
    }
    let path = head.uri.path();
    if path == "*" {
        let asks = head.method == Method::OPTIONS;
        return if asks { Ok(()) } else { refuse("The target \"*\" is for OPTIONS only.") };
    }
    if head.uri.query().is_some_and(|query| query.bytes().any(|byte| byte.is_ascii_control())) {
        return refuse("The query has a control byte.");
    }
    let Some(decoded) = decode(path) else {
        return refuse(
            "The path has a byte or an escape that is not taken: send visible ASCII, and escape neither control \
             bytes nor backslashes.",
        );
    };
    let names = slashed.iter().any(|prefix| path.starts_with(prefix.as_str()));
    if decoded.escaped_slash && !names {
        return refuse("The path has an escaped slash (%2f), which is not taken here.");
    }
    if decoded.escaped_percent && !names {
        return refuse("The path has an escaped percent sign (%25), which is not taken here.");
    }
    segments(&decoded.text)
}

/// A decoded path.
struct Decoded {
    text: String,
    escaped_slash: bool,
    /// It would be an escape again to whoever decodes twice.
    escaped_percent: bool,
}

/// Every segment but the last must say something, and none may be a dot segment, escaped or not.
fn segments(decoded: &str) -> Result<(), Refusal> {
    let refuse = |message: &'static str| Err(Refusal::new(Reason::Target, message));
    let Some(rest) = decoded.strip_prefix('/') else { return refuse("The path must begin with a slash.") };
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "." | ".." => return refuse("The path has a \".\" or \"..\" segment; send it resolved."),
            "" if segments.peek().is_some() => {
                return refuse(
                    "The path has an empty segment (\"//\"). Where it is put together, as behind a base URL that ends with a slash, leave one out.",
                );
            }
            _ => {}
        }
    }
    Ok(())
}

fn scheme_fits(uri: &Uri, transport: Transport) -> bool {
    let own = match transport {
        Transport::Plain | Transport::Unix => Scheme::HTTP,
        Transport::Tls | Transport::Quic => Scheme::HTTPS,
    };
    uri.scheme().is_none_or(|scheme| *scheme == own)
}

/// Undoes the escapes once. `None` for a byte that no path has, a broken escape, an escaped control byte or
/// backslash, and what is not UTF-8 then, such as a slash in two bytes.
fn decode(path: &str) -> Option<Decoded> {
    let mut text = Vec::with_capacity(path.len());
    let (mut escaped_slash, mut escaped_percent) = (false, false);
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let meant = match byte {
            b'%' => escape(&mut bytes).filter(|meant| !meant.is_ascii_control() && *meant != b'\\')?,
            _ if is_path_byte(byte) => byte,
            _ => return None,
        };
        escaped_slash |= byte == b'%' && meant == b'/';
        escaped_percent |= byte == b'%' && meant == b'%';
        text.push(meant);
    }
    Some(Decoded { text: String::from_utf8(text).ok()?, escaped_slash, escaped_percent })
}

fn escape(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let mut digit = || char::from(bytes.next()?).to_digit(16);
    let (high, low) = (digit()?, digit()?);
    u8::try_from(high * 16 + low).ok()
}

/// A slash or a `pchar` (RFC 3986 section 3.3).
fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte)
}
