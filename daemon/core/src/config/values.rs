//! The final types of settings: each can only hold what makes sense.
//!
//! Knows the grammar of each value. Refuses to know where a value was written. Invariant: a value that exists is
//! valid, and its text form parses back to it. No error repeats an address, which may hold a password.

use std::{fmt, net::IpAddr, str::FromStr, time::Duration};

/// The longest time that a setting takes: no wait of more than a week is meant.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(u64);

impl ByteSize {
    /// So many bytes.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// So many KiB (1024 bytes).
    #[must_use]
    pub(super) const fn kib(number: u64) -> Self {
        Self(number << 10)
    }

    /// So many MiB (1024 KiB).
    #[must_use]
    pub(super) const fn mib(number: u64) -> Self {
        Self(number << 20)
    }

    /// In bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// In bytes, as the size of something in memory; saturates.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    /// In bytes, as a protocol's 32-bit number; saturates.
    #[must_use]
    pub fn as_u32(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }
}

/// Units of [`ByteSize`], the largest first. Decimal units are left out: the factor 1000 surprises in a limit.
const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at_checked(digits).unwrap_or(("", text));
        let unit = unit.trim_start();
        let factor = match unit {
            "" => Some(1),
            _ => SIZES.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor),
        };
        let (Ok(number), Some(factor)) = (number.parse::<u64>(), factor) else {
            return Err(format!("\"{}\" is not a size", text.escape_debug()));
        };
        number.checked_mul(factor).map(Self).ok_or_else(|| "the size is too large".to_owned())
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |(_, factor): &&(&str, u64)| self.0 != 0 && self.0.is_multiple_of(*factor);
        let (unit, factor) = SIZES.iter().find(whole).copied().unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

/// Units of time, the largest first, in milliseconds.
const TIMES: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Reads "5s", "250ms", "1m30s".
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("\"{}\" is not a duration", text.escape_debug());
    let mut rest = text.trim();
    let mut total: u64 = 0;
    if rest.is_empty() {
        return Err(bad());
    }
    if rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("\"{rest}\" has no unit"));
    }
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count());
        let (unit, tail) = tail.split_at(tail.bytes().take_while(u8::is_ascii_alphabetic).count());
        let (_, factor) = TIMES.iter().find(|(name, _)| *name == unit).ok_or_else(bad)?;
        let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor));
        total = part.and_then(|part| total.checked_add(part)).ok_or_else(bad)?;
        rest = tail;
    }
    let duration = Duration::from_millis(total);
    if duration > LONGEST { Err("no time may be longer than a week, 168h".to_owned()) } else { Ok(duration) }
}

/// The shortest text that [`parse_duration`] reads as `duration`; exact to the millisecond.
pub(super) fn show_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest != 0 && rest < 600_000 && rest.is_multiple_of(1000) {
        // "300s" and "90s" read better than "5m" and "1m30s" among other seconds.
        return format!("{}s", rest / 1000);
    }
    let mut text = String::new();
    // Times of a day and more are hours, as they were before days could be written.
    for (unit, factor) in TIMES.into_iter().skip(1) {
        if rest >= factor {
            text.push_str(&format!("{}{unit}", rest / factor));
            rest %= factor;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// A backend's name: what stands before the slash in `backend/model`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendName(String);

impl BackendName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BackendName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if is_label(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("\"{}\" is not a name of a backend", text.escape_debug()))
    }
}

/// Whether it can be a name in a list: in a URL, a variable or a metric's label it needs no escaping.
pub(super) fn is_label(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.len() <= 63 && text.bytes().all(fits)
}

impl fmt::Display for BackendName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a backend listens: scheme, host, port and perhaps a path that all its routes stand under.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BackendUrl {
    tls: bool,
    /// As in a URL: IPv6 in brackets.
    host: String,
    port: u16,
    /// Empty, or beginning with a slash and not ending with one.
    base_path: String,
}

impl BackendUrl {
    /// Ollama's own default address.
    #[must_use]
    pub(super) fn ollama() -> Self {
        Self::new(false, "127.0.0.1", super::ollama_host::PORT, "")
    }

    pub(super) fn new(tls: bool, host: &str, port: u16, path: &str) -> Self {
        let path = path.trim_matches('/');
        let base_path = if path.is_empty() { String::new() } else { format!("/{path}") };
        Self { tls, host: host.to_ascii_lowercase(), port, base_path }
    }

    /// Whether it is spoken to over TLS.
    #[must_use]
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }

    /// The host as in a URL: an IPv6 address stands in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host:port`, the port always written.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Whether it is this very machine by its loopback: `localhost` and what is below it (RFC 6761, 6.3), 127.0.0.0/8 or `::1`.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = self.host.trim_end_matches('.');
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        host == "localhost"
            || host.ends_with(".localhost")
            || address.is_ok_and(|address| address.to_canonical().is_loopback())
    }

    /// What stands before every route: empty, or a path without a slash at its end.
    #[must_use]
    pub fn base_path(&self) -> &str {
        &self.base_path
    }
}

impl FromStr for BackendUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (tls, rest) = if let Some(rest) = text.strip_prefix("http://") {
            (false, rest)
        } else if let Some(rest) = text.strip_prefix("https://") {
            (true, rest)
        } else {
            return Err("the address does not begin with http:// or https://".to_owned());
        };
        if rest.contains('@') {
            return Err("no user or password may stand in the address; use key_file".to_owned());
        }
        if rest.contains(['?', '#']) {
            return Err("no \"?\" or \"#\" may stand in the address".to_owned());
        }
        let uri: http::Uri = text.parse().map_err(|_| "this is not an address".to_owned())?;
        let host = uri.host().unwrap_or_default();
        if !is_url_host(host) {
            return Err("the address has no valid host".to_owned());
        }
        // `http` calls a port that is no number no port; what stands behind the host must be all of it.
        let (authority, _) = rest.split_once('/').unwrap_or((rest, ""));
        let port = match authority.get(host.len()..).and_then(|tail| tail.strip_prefix(':')) {
            None => Some(if tls { 443 } else { 80 }),
            Some(port) => port.parse().ok().filter(|port| *port != 0),
        };
        let port = port.ok_or("the port is not a number from 1 to 65535")?;
        Ok(Self::new(tls, host, port, uri.path()))
    }
}

impl fmt::Display for BackendUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}{}", self.scheme(), self.host, self.port, self.base_path)
    }
}

/// Where alerts are posted: an address and all that stands behind its host, which may be a secret (Slack's, Teams' and Discord's addresses are
/// keys by themselves). What is printed of it ends with the host; all of it is [`WebhookUrl::whole`], for the file that it is kept in.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct WebhookUrl {
    url: BackendUrl,
    /// Beginning with a slash.
    path: String,
}

impl WebhookUrl {
    /// Scheme, host and port.
    #[must_use]
    pub fn url(&self) -> &BackendUrl {
        &self.url
    }

    /// What stands behind the host, beginning with a slash.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// All of it, to be read back; for nobody's eyes.
    #[must_use]
    pub fn whole(&self) -> String {
        format!("{}{}", self.url, self.path)
    }
}

impl FromStr for WebhookUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.split_once('?').map_or(text, |(bare, _)| bare);
        let url: BackendUrl =
            bare.parse().map_err(|why: String| why.replace("key_file", "webhook_key_file"))?;
        let behind = text.split_once("://").map_or("", |(_, rest)| rest);
        let path = behind.find(['/', '?']).and_then(|at| behind.get(at..)).unwrap_or("/");
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let whole: http::uri::PathAndQuery = path.parse().map_err(|_| "this is not an address".to_owned())?;
        let path = whole.as_str().to_owned();
        Ok(Self { url: BackendUrl { base_path: String::new(), ..url }, path })
    }
}

/// What may be told of it.
impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is nothing but an address is no secret.
        write!(f, "{}{}", self.url, if self.path == "/" { "/" } else { "" })
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookUrl({self})")
    }
}

/// Whether `host` can stand in a URL: a name, an IPv4 address, or an IPv6 address in brackets.
pub(super) fn is_url_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inside) => inside.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_name(host),
    }
}

/// Whether `name` is a host name or an IPv4 address (RFC 1123 2.1; underscores, which containers bear, too).
fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let label = |label: &str| !label.is_empty() && label.len() <= 63 && label.bytes().all(fits);
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= 253
        && name.split('.').all(|part| label(part) && !part.starts_with('-') && !part.ends_with('-'))
}

/// A name or address by which clients reach this box: lower case, without a dot at its end, IPv6 without brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostName(String);

impl HostName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address, if it is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.0.parse().ok()
    }
}

impl FromStr for HostName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Ok(Self(ip.to_string()));
        }
        if text.contains('*') {
            return Err("a pattern is not taken here; write each name".to_owned());
        }
        if text.contains(['/', ':']) {
            return Err("only the name is wanted, without scheme, port and path".to_owned());
        }
        if !is_name(text) {
            return Err(format!("\"{}\" is not a host name", text.escape_debug()));
        }
        Ok(Self(text.trim_end_matches('.').to_ascii_lowercase()))
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An origin of web pages (RFC 6454), as browsers send it: lower case, the scheme's default port left out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin(String);

impl Origin {
    /// The origin, as a browser writes it in the header field.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.strip_suffix('/').unwrap_or(text).to_ascii_lowercase();
        if text.contains('*') || text == "null" {
            return Err("every page of the world would be allowed; write the origins one by one".to_owned());
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err("an origin begins with a scheme such as https://".to_owned());
        };
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.bytes().all(letter) {
            return Err("the origin's scheme is not valid".to_owned());
        }
        if rest.contains(['/', '?', '#', '@']) {
            return Err("an origin has no path and no user".to_owned());
        }
        let colon = rest.rfind(':').filter(|colon| rest.rfind(']').is_none_or(|bracket| bracket < *colon));
        let (host, port) = colon.and_then(|colon| rest.split_at_checked(colon)).unwrap_or((rest, ""));
        if !is_url_host(host) {
            return Err("the origin has no valid host".to_owned());
        }
        let port = match port.strip_prefix(':').map(str::parse::<u16>) {
            None => None,
            Some(Ok(port)) if port != 0 => Some(port),
            Some(_) => return Err("the port is not a number from 1 to 65535".to_owned()),
        };
        match (scheme, port) {
            (_, None) | ("http", Some(80)) | ("https", Some(443)) => Ok(Self(format!("{scheme}://{host}"))),
            (_, Some(port)) => Ok(Self(format!("{scheme}://{host}:{port}"))),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An enum whose values are words in the file.
macro_rules! words {
    ($( $(#[$about:meta])+ pub enum $name:ident ($expected:literal) { $( $(#[$doc:meta])+ $value:ident = $word:literal, )+ } )+) => { $(
        $(#[$about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $( $(#[$doc])+ $value, )+ }

        impl $name {
            pub(super) const EXPECTED: &'static str = $expected;
            /// All of them, as they stand in the file.
            pub(super) const WORDS: &'static [&'static str] = &[$( $word ),+];

            /// The word for it in the file.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $( Self::$value => $word, )+ }
            }

            pub(super) fn from_word(word: &str) -> Option<Self> {
                match word { $( $word => Some(Self::$value), )+ _ => None }
            }
        }
    )+ };
}

words! {
    /// A named set of settings, in tables of its own, that lies over the others when it is chosen.
    pub enum Profile("\"dev\", \"staging\" or \"prod\"") {
        /// While something is built.
        Dev = "dev",
        /// Before it is given out.
        Staging = "staging",
        /// In earnest.
        Prod = "prod",
    }

    /// Who may use the plain port.
    pub enum PlainAuth("\"none\" or \"key\"") {
        /// Every program on this box.
        None = "none",
        /// Whoever has an API key.
        Key = "key",
    }

    /// Which sources are answered.
    pub enum Exposure("\"private\" or \"everywhere\"") {
        /// This box, private, link-local and on-link addresses; everything else is dropped.
        Private = "private",
        /// Every address.
        Everywhere = "everywhere",
    }

    /// Whether heat has consequences.
    pub enum GovernorMode("\"on\", \"off\" or \"watch\"") {
        /// What is decided is done.
        On = "on",
        /// Nothing is decided.
        Off = "off",
        /// What is decided is told.
        Watch = "watch",
    }

    /// How an SSE stream is kept alive while the engine is silent.
    pub enum KeepAliveStyle("\"comment\" or \"empty-delta\"") {
        /// A comment line, which every SSE parser drops.
        Comment = "comment",
        /// A chunk whose delta is empty, for clients that count only parsed events.
        EmptyDelta = "empty-delta",
    }

    /// What a backend speaks.
    pub enum Kind("\"ollama\", \"openai\" or \"gguf\"") {
        /// Ollama's native API.
        Ollama = "ollama",
        /// OpenAI's API.
        OpenAi = "openai",
        /// A GGUF file, served by our own engine.
        Gguf = "gguf",
    }

    /// How much is logged.
    pub enum LogLevel("\"error\", \"warn\", \"info\", \"debug\" or \"trace\"") {
        /// What failed.
        Error = "error",
        /// What may fail soon.
        Warn = "warn",
        /// What happens.
        Info = "info",
        /// How it happens.
        Debug = "debug",
        /// Every step.
        Trace = "trace",
    }

    /// The form of the log.
    pub enum LogFormat("\"auto\", \"json\", \"text\" or \"journal\"") {
        /// The journal under systemd, text on a terminal, JSON elsewhere.
        Auto = "auto",
        /// One JSON object in each line.
        Json = "json",
        /// For people.
        Text = "text",
        /// The journal's own protocol, with fields.
        Journal = "journal",
    }
}

#[cfg(test)]
#[path = "values_tests.rs"]
mod tests;
