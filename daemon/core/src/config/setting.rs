//! What it takes for a type to be the type of a setting.
//!
//! Knows how values of the tree become final types. Refuses to know which settings exist. Invariant: what
//! [`Setting::show`] writes, [`Setting::read`] reads back as the same value.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value as Json, json};

use super::{
    directive::LogDirective,
    fault::nearest,
    health::{CardChoice, CheckName, ModelName},
    secret_file::SecretFile,
    tree::Value,
    values::{
        BackendName, BackendUrl, ByteSize, Exposure, GovernorMode, HostName, KeepAliveStyle, Kind, LogFormat,
        LogLevel, Origin, PlainAuth, Profile, WebhookUrl, parse_duration, show_duration,
    },
};

/// Why a value is not what the setting wants.
#[derive(Debug)]
pub(super) enum Fault {
    /// It is of another type.
    Kind,
    /// It is of the right type, but wrong, for this reason.
    Bad(String),
    /// These items of a list are wrong; each with its place in the list, and what would be right.
    Items(Vec<(usize, Fault, String)>),
}

/// A type that a setting can have.
pub(super) trait Setting: Sized {
    /// Whether a value names a file or a program of the box.
    const FILE: bool = false;
    /// What is wanted, in words that fit after "expected".
    fn expected() -> String;
    /// A value as it is written in TOML.
    fn example() -> String;
    /// The same two, for whoever has written something else.
    fn right() -> String {
        format!("{}, for example {}", Self::expected(), Self::example())
    }
    /// Reads it.
    fn read(value: &Value) -> Result<Self, Fault>;
    /// Writes it as TOML; nothing where it is not set.
    fn show(&self) -> Option<String>;
    /// The same for people's eyes, of which all can be read back, and what may be a secret is left out.
    fn told(&self) -> Option<String> {
        self.show()
    }
    /// What a file may hold, as JSON Schema; [`read`](Self::read) takes no other type, and may refuse more.
    fn schema() -> Json;
}

/// A setting that is written as a string.
pub(super) trait Text: Sized {
    const EXPECTED: &'static str;
    const EXAMPLE: &'static str;
    /// [`EXPECTED`](Self::EXPECTED) names every value, so that an example says nothing more.
    const ALL_NAMED: bool = false;
    /// As [`Setting::FILE`].
    const FILE: bool = false;
    fn parse(text: &str) -> Result<Self, String>;
    fn text(&self) -> String;
    /// As [`Setting::told`].
    fn told(&self) -> String {
        self.text()
    }
    fn schema() -> Json {
        json!({ "type": "string" })
    }
}

impl<T: Text> Setting for T {
    const FILE: bool = <T as Text>::FILE;
    fn expected() -> String {
        T::EXPECTED.to_owned()
    }
    fn example() -> String {
        quoted(T::EXAMPLE)
    }
    fn right() -> String {
        let expected = T::expected();
        if T::ALL_NAMED { expected } else { format!("{expected}, for example {}", T::example()) }
    }
    fn read(value: &Value) -> Result<Self, Fault> {
        match value {
            Value::Text(text) | Value::Loose(text) => T::parse(text).map_err(Fault::Bad),
            _ => Err(Fault::Kind),
        }
    }
    fn show(&self) -> Option<String> {
        Some(quoted(&self.text()))
    }
    fn told(&self) -> Option<String> {
        Some(quoted(&Text::told(self)))
    }
    fn schema() -> Json {
        <T as Text>::schema()
    }
}

/// `text` as a basic string of TOML.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

impl<T: Setting> Setting for Option<T> {
    const FILE: bool = T::FILE;
    fn expected() -> String {
        T::expected()
    }
    fn example() -> String {
        T::example()
    }
    fn right() -> String {
        T::right()
    }
    fn read(value: &Value) -> Result<Self, Fault> {
        T::read(value).map(Some)
    }
    fn show(&self) -> Option<String> {
        self.as_ref().and_then(T::show)
    }
    fn told(&self) -> Option<String> {
        self.as_ref().and_then(T::told)
    }
    fn schema() -> Json {
        T::schema()
    }
}

impl<T: Setting> Setting for Vec<T> {
    const FILE: bool = T::FILE;
    fn expected() -> String {
        format!("a list, each item {}", T::expected())
    }
    fn example() -> String {
        format!("[{}]", T::example())
    }
    fn read(value: &Value) -> Result<Self, Fault> {
        match value {
            Value::List(items) => all(items.iter().map(|node| T::read(&node.value))),
            Value::Loose(text) => {
                let items = bare(text).split(',').map(str::trim).filter(|part| !part.is_empty());
                all(items.map(|part| T::read(&Value::Loose(part.to_owned()))))
            }
            _ => Err(Fault::Kind),
        }
    }
    fn show(&self) -> Option<String> {
        let items: Vec<String> = self.iter().filter_map(T::show).collect();
        Some(format!("[{}]", items.join(", ")))
    }
    fn told(&self) -> Option<String> {
        let items: Vec<String> = self.iter().filter_map(T::told).collect();
        Some(format!("[{}]", items.join(", ")))
    }
    fn schema() -> Json {
        json!({ "type": "array", "items": T::schema() })
    }
}

/// A list without the brackets of TOML, from whose items a shell has taken the quotes: `[a,b]`. An IPv6 address has brackets
/// of its own.
fn bare(text: &str) -> &str {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    inner.filter(|inner| !inner.contains(['[', ']', ':'])).unwrap_or(text)
}

/// The items of a list, or all of its faults.
fn all<T: Setting>(items: impl Iterator<Item = Result<T, Fault>>) -> Result<Vec<T>, Fault> {
    let (mut read, mut faults) = (Vec::new(), Vec::new());
    for (at, item) in items.enumerate() {
        match item {
            Ok(item) => read.push(item),
            Err(fault) => faults.push((at, fault, T::right())),
        }
    }
    if faults.is_empty() { Ok(read) } else { Err(Fault::Items(faults)) }
}

impl Setting for bool {
    fn expected() -> String {
        "true or false".to_owned()
    }
    fn example() -> String {
        "true".to_owned()
    }
    fn right() -> String {
        Self::expected()
    }
    fn read(value: &Value) -> Result<Self, Fault> {
        match value {
            Value::Boolean(yes) => Ok(*yes),
            Value::Loose(text) => match text.as_str() {
                "true" | "1" => Ok(true),
                "false" | "0" => Ok(false),
                _ => Err(Fault::Bad(format!("\"{}\" is neither", text.escape_debug()))),
            },
            _ => Err(Fault::Kind),
        }
    }
    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
    fn schema() -> Json {
        json!({ "type": "boolean" })
    }
}

/// With its end, where that is one that people can take in; 18446744073709551615 is not.
fn range(most: u64) -> String {
    if most > u64::from(u32::MAX) {
        "a whole number".to_owned()
    } else {
        format!("a whole number from 0 to {most}")
    }
}

/// A whole number of at least 0 out of a TOML integer or loose text.
fn whole(value: &Value) -> Result<u64, Fault> {
    match value {
        Value::Integer(number) => {
            u64::try_from(*number).map_err(|_| Fault::Bad(format!("{number} is less than 0")))
        }
        Value::Loose(text) => text
            .replace('_', "")
            .parse()
            .map_err(|_| Fault::Bad(format!("\"{}\" is not a whole number", text.escape_debug()))),
        _ => Err(Fault::Kind),
    }
}

macro_rules! count {
    ($($type:ty),+) => { $(
        impl Setting for $type {
            fn expected() -> String {
                range(u64::try_from(<$type>::MAX).unwrap_or(u64::MAX))
            }
            fn example() -> String {
                "100".to_owned()
            }
            fn read(value: &Value) -> Result<Self, Fault> {
                let number = whole(value)?;
                Self::try_from(number).map_err(|_| Fault::Bad(format!("{number} is too large")))
            }
            fn show(&self) -> Option<String> {
                Some(self.to_string())
            }
            fn schema() -> Json {
                json!({ "type": "integer", "minimum": 0, "maximum": <$type>::MAX })
            }
        }
    )+ };
}
count!(u32, usize);

impl Setting for ByteSize {
    fn expected() -> String {
        "a size in bytes, a number or a string with B, KiB, MiB or GiB".to_owned()
    }
    fn example() -> String {
        "\"32KiB\"".to_owned()
    }
    fn read(value: &Value) -> Result<Self, Fault> {
        match value {
            Value::Integer(_) => whole(value).map(Self::new),
            Value::Text(text) | Value::Loose(text) => text.parse().map_err(Fault::Bad),
            _ => Err(Fault::Kind),
        }
    }
    fn show(&self) -> Option<String> {
        Some(format!("\"{self}\""))
    }
    fn schema() -> Json {
        json!({ "anyOf": [
            { "type": "integer", "minimum": 0 },
            { "type": "string", "pattern": "^[0-9]+ *(B|KiB|MiB|GiB)?$" },
        ] })
    }
}

impl Text for Duration {
    const EXPECTED: &'static str = "a duration with its unit (ms, s, m, h, d)";
    const EXAMPLE: &'static str = "5s";
    fn parse(text: &str) -> Result<Self, String> {
        parse_duration(text)
    }
    fn text(&self) -> String {
        show_duration(*self)
    }
    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^ *([0-9]+(ms|s|m|h|d))+ *$" })
    }
}

impl Text for SocketAddr {
    const EXPECTED: &'static str = "an address with its port, IPv6 in brackets";
    const EXAMPLE: &'static str = "[::]:11443";
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("\"{}\" is not an IP address with a port", text.escape_debug()))
    }
    fn text(&self) -> String {
        self.to_string()
    }
}

impl Text for PathBuf {
    const EXPECTED: &'static str = "a path";
    const EXAMPLE: &'static str = "/etc/ghostllm/file";
    const FILE: bool = true;
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("the path is empty".to_owned());
        }
        if text.contains('\0') {
            return Err("a path cannot hold a NUL character".to_owned());
        }
        if Path::new(text).starts_with("~") {
            return Err("\"~\" is not replaced here; write the whole path".to_owned());
        }
        Ok(Self::from(text))
    }
    fn text(&self) -> String {
        self.display().to_string()
    }
}

/// For types that know by themselves how they are read and written.
macro_rules! text {
    ($($type:ty: $expected:literal, $example:literal;)+) => { $(
        impl Text for $type {
            const EXPECTED: &'static str = $expected;
            const EXAMPLE: &'static str = $example;
            fn parse(text: &str) -> Result<Self, String> {
                text.parse()
            }
            fn text(&self) -> String {
                self.to_string()
            }
        }
    )+ };
}
text! {
    BackendName: "a name of the letters a to z, digits and hyphens", "ollama";
    CheckName: "a name of the letters a to z, digits and hyphens", "disk";
    ModelName: "a model's name, as a request has it", "llama3.2";
    BackendUrl: "the address of a backend", "http://127.0.0.1:11434";
    HostName: "a host name or an IP address", "llm.example.org";
    LogDirective: "a part of the program and its level", "ghostllm::backend=debug";
    Origin: "an origin: scheme, host and perhaps a port", "https://chat.example.org";
}

impl Text for WebhookUrl {
    const EXPECTED: &'static str = "an address that takes a POST";
    const EXAMPLE: &'static str = "https://alerts.example.org/ghostllm";
    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
    }
    fn text(&self) -> String {
        self.whole()
    }
    fn told(&self) -> String {
        self.to_string()
    }
}

impl Setting for CardChoice {
    fn expected() -> String {
        "\"all\", a card's number or its uuid (in [[health]] also \"processor\")".to_owned()
    }
    fn example() -> String {
        "\"all\"".to_owned()
    }
    fn read(value: &Value) -> Result<Self, Fault> {
        match value {
            // A card's number is a number, whoever quotes it, and a name that has digits alone is one likewise.
            Value::Integer(number) => number.to_string().parse().map_err(Fault::Bad),
            Value::Text(text) | Value::Loose(text) => text.parse().map_err(Fault::Bad),
            _ => Err(Fault::Kind),
        }
    }
    fn show(&self) -> Option<String> {
        Some(quoted(&self.to_string()))
    }
    fn schema() -> Json {
        json!({ "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string" }] })
    }
}

impl Text for SecretFile {
    const EXPECTED: &'static str = "a file's whole path, or the name of a systemd credential";
    const EXAMPLE: &'static str = "/etc/ghostllm/vllm.key";
    const FILE: bool = true;
    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
    }
    fn text(&self) -> String {
        self.to_string()
    }
}

fn unknown(text: &str, words: &[&str]) -> String {
    let near = nearest(text, words.iter().copied()).map(|near| format!(" (did you mean \"{near}\"?)"));
    format!("\"{}\" is not known{}", text.escape_debug(), near.unwrap_or_default())
}

/// For enums of words.
macro_rules! words {
    ($($type:ty: $example:literal;)+) => { $(
        impl Text for $type {
            const EXPECTED: &'static str = <$type>::EXPECTED;
            const EXAMPLE: &'static str = $example;
            const ALL_NAMED: bool = true;
            fn parse(text: &str) -> Result<Self, String> {
                <$type>::from_word(text).ok_or_else(|| unknown(text, <$type>::WORDS))
            }
            fn text(&self) -> String {
                self.word().to_owned()
            }
            fn schema() -> Json {
                json!({ "enum": <$type>::WORDS })
            }
        }
    )+ };
}
words! {
    Profile: "dev";
    PlainAuth: "key";
    Exposure: "private";
    KeepAliveStyle: "comment";
    GovernorMode: "on";
    Kind: "ollama";
    LogLevel: "info";
    LogFormat: "auto";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<T: Setting + PartialEq + std::fmt::Debug>(value: &T) {
        let shown = value.show().unwrap();
        let document = format!("x = {shown}");
        let mut errors = Vec::new();
        let table = crate::config::file::parse("x", document.as_bytes(), &mut errors).unwrap();
        assert_eq!(&T::read(&table.find(&["x"]).unwrap().value).unwrap(), value);
    }

    #[test]
    fn what_is_shown_is_read_back() {
        round_trip(&Duration::from_millis(90_250));
        round_trip(&Duration::ZERO);
        round_trip(&ByteSize::new(32 << 20));
        round_trip(&ByteSize::new(1000));
        round_trip(&true);
        round_trip(&7_u32);
        round_trip(&PathBuf::from("/a \"b\"\\c\n"));
        round_trip(&vec!["[::1]:1".parse::<SocketAddr>().unwrap(), "127.0.0.1:2".parse().unwrap()]);
        round_trip(&PlainAuth::Key);
        round_trip(&vec![CardChoice::Number(1), CardChoice::All]);
        round_trip(&"http://[::1]:8080/v1".parse::<BackendUrl>().unwrap());
        round_trip(&"https://hooks.lan/services/hunter2".parse::<WebhookUrl>().unwrap());
    }

    #[test]
    fn what_is_told_holds_no_secret_and_is_a_value_as_well() {
        let hook: WebhookUrl = "https://hooks.lan/services/hunter2?key=hunter2".parse().unwrap();
        let told = Some(hook.clone()).told();
        assert_eq!(told.as_deref(), Some("\"https://hooks.lan:443\""));
        assert_eq!(vec![hook].told().as_deref(), Some("[\"https://hooks.lan:443\"]"));
        let bare: WebhookUrl = "https://hooks.lan".parse().unwrap();
        assert_eq!(Setting::told(&bare), bare.show(), "nothing is left out");
    }

    #[test]
    fn loose_text_becomes_what_the_setting_is() {
        let loose = |text: &str| Value::Loose(text.to_owned());
        assert!(bool::read(&loose("1")).unwrap());
        assert!(bool::read(&loose("maybe")).is_err());
        assert_eq!(u32::read(&loose("1_000")).unwrap(), 1000);
        assert!(u32::read(&loose("4294967296")).is_err());
        assert_eq!(ByteSize::read(&loose("64")).unwrap(), ByteSize::new(64));
        let list = Vec::<SocketAddr>::read(&loose("127.0.0.1:1, [::1]:2,")).unwrap();
        assert_eq!(list.len(), 2);
        assert!(Vec::<SocketAddr>::read(&loose("")).unwrap().is_empty());
        let names = |text: &str| Vec::<HostName>::read(&loose(text)).unwrap().len();
        assert_eq!((names("a,b"), names("[a,b]"), names("[::1]"), names("[::1],[::2]")), (2, 2, 1, 2));
    }

    #[test]
    fn a_card_s_number_may_be_a_number() {
        let read = |value: Value| CardChoice::read(&value).ok();
        assert_eq!(read(Value::Integer(1)), Some(CardChoice::Number(1)));
        assert_eq!(read(Value::Text("1".to_owned())), Some(CardChoice::Number(1)));
        assert_eq!((read(Value::Integer(-1)), read(Value::Boolean(true))), (None, None));
    }

    #[test]
    fn a_card_of_each_maker_has_a_name() {
        let read = |text: &str| text.parse::<CardChoice>().ok();
        for name in
            ["GPU-0a-1", "3c7d3a92d06c4fb1", "1234567890123456", "0000:03:00.0", "10000:e1:00.0", "processor"]
        {
            assert_eq!(read(name), Some(CardChoice::Uuid(name.to_owned())));
        }
        let bare = CardChoice::read(&Value::Integer(1_234_567_890_123_456)).ok();
        assert_eq!(bare, Some(CardChoice::Uuid("1234567890123456".to_owned())), "it is shown in quotes");
        assert!(read("3C7D3A92D06C4FB1").unwrap().means(7, "3c7d3a92d06c4fb1"));
        for wrong in [
            "3c7d3a92d06c4fb",
            "0000:03:00",
            "0000.03.00.0",
            "03:00.0",
            "0000:03:00.g",
            "GPU-ä",
            "Processor",
            "01234567890123456",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_day_is_a_duration_and_is_shown_in_hours() {
        let read = |text: &str| Duration::read(&Value::Text(text.to_owned())).ok();
        assert_eq!(read("1d"), Some(Duration::from_secs(86_400)));
        assert_eq!(read("1d12h"), Some(Duration::from_secs(129_600)));
        assert_eq!((read("8d"), read("1w")), (None, None));
        assert_eq!(Duration::from_secs(86_400).show().as_deref(), Some("\"24h\""));
    }

    #[test]
    fn a_number_from_a_file_is_never_a_duration() {
        assert!(matches!(Duration::read(&Value::Integer(5)), Err(Fault::Kind)));
        assert!(usize::read(&Value::Integer(-1)).is_err());
    }
}
