//! Tests of the values' grammars.

use super::*;
use proptest::prelude::*;

#[test]
fn sizes_are_binary_and_exact() {
    for (text, bytes) in
        [("0", 0), ("17", 17), ("17B", 17), ("32KiB", 32 << 10), ("32 MiB", 32 << 20), ("1GiB", 1 << 30)]
    {
        assert_eq!(text.parse::<ByteSize>(), Ok(ByteSize::new(bytes)), "{text}");
    }
    for text in [
        "",
        "KiB",
        "-1",
        "1.5MiB",
        "1kb",
        "1MB",
        "1 MiB x",
        "99999999999999999999",
        "18446744073709551615KiB",
    ] {
        assert!(text.parse::<ByteSize>().is_err(), "{text}");
    }
    assert_eq!(ByteSize::new(u64::MAX).as_u32(), u32::MAX);
    assert_eq!(ByteSize::new(1536).to_string(), "1536B");
    assert_eq!(ByteSize::new(0).to_string(), "0B");
}

#[test]
fn durations_have_units() {
    for (text, millis) in
        [("5s", 5000), ("250ms", 250), ("1m30s", 90_000), ("2h", 7_200_000), ("0s", 0), ("168h", 604_800_000)]
    {
        assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
    }
    for text in ["", "5", "s", "5 s", "5sec", "-5s", "1.5s", "169h", "99999999999999999999s", "5é"] {
        assert!(parse_duration(text).is_err(), "{text}");
    }
    assert!(parse_duration("5").unwrap_err().contains("no unit"));
}

#[test]
fn backend_names_are_what_a_model_name_can_begin_with() {
    for name in ["ollama", "my-box-2", "a"] {
        assert!(name.parse::<BackendName>().is_ok(), "{name}");
    }
    for name in ["", "Ollama", "my_box", "a/b", "a b", "é", &"a".repeat(64)] {
        assert!(name.parse::<BackendName>().is_err(), "{name}");
    }
}

#[test]
fn backend_addresses_are_taken_apart() {
    let url: BackendUrl = "https://GPU.lan/openai/v1/".parse().unwrap();
    assert_eq!(
        (url.scheme(), url.host(), url.port(), url.base_path()),
        ("https", "gpu.lan", 443, "/openai/v1")
    );
    assert!(url.tls());
    let url: BackendUrl = "http://[::1]:8080".parse().unwrap();
    assert_eq!((url.authority().as_str(), url.base_path()), ("[::1]:8080", ""));
    assert_eq!("http://my_box".parse::<BackendUrl>().unwrap().to_string(), "http://my_box:80");
}

#[test]
fn bad_backend_addresses_are_refused_without_repeating_them() {
    for text in [
        "",
        "localhost:11434",
        "ftp://a",
        "http://",
        "http:///v1",
        "http://a:0",
        "http://a:99999",
        "http://a:b",
        "http://a:",
        "http://user:hunter2@a",
        "http://a?key=hunter2",
        "http://a/#hunter2",
        "http://a b",
        "http://[::1",
        "http://-a",
        "HTTP://a",
        "http://a\n",
        "http://a%2f",
    ] {
        let error = text.parse::<BackendUrl>().unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_webhook_keeps_all_that_stands_behind_its_host() {
    let hook: WebhookUrl = "https://Hooks.lan/api/webhook/x/v1/".parse().unwrap();
    assert_eq!((hook.url().authority().as_str(), hook.path()), ("hooks.lan:443", "/api/webhook/x/v1/"));
    assert_eq!(hook.whole(), "https://hooks.lan:443/api/webhook/x/v1/");
    assert_eq!(hook.whole().parse::<WebhookUrl>().unwrap(), hook);
    assert_eq!(
        format!("{hook} {hook:?}"),
        "https://hooks.lan:443 WebhookUrl(https://hooks.lan:443)",
        "its path may be a key"
    );
    assert_eq!("http://127.0.0.1:9".parse::<WebhookUrl>().unwrap().path(), "/");
    assert_eq!("https://a?key=1".parse::<WebhookUrl>().unwrap().path(), "/?key=1");
    assert_eq!("https://a/b?c=d".parse::<WebhookUrl>().unwrap().whole(), "https://a:443/b?c=d");
    for text in ["https://u:hunter2@a/", "https://a/#hunter2", "ftp://a/", "https://a/ b", "https://a/?b c"] {
        let error = text.parse::<WebhookUrl>().unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }
    assert!("https://u@a/".parse::<WebhookUrl>().unwrap_err().contains("webhook_key_file"));
}

#[test]
fn host_names_are_bare() {
    for (text, name) in [
        ("LLM.Example.Org.", "llm.example.org"),
        ("[::1]", "::1"),
        ("2001:db8:0::1", "2001:db8::1"),
        ("box", "box"),
    ] {
        assert_eq!(text.parse::<HostName>().map(|name| name.to_string()).as_deref(), Ok(name), "{text}");
    }
    assert!("10.0.0.1".parse::<HostName>().unwrap().ip().is_some());
    for text in ["", "*.a", "http://a", "a:80", "a/b", "a..b", "-a", "a b", "."] {
        assert!(text.parse::<HostName>().is_err(), "{text}");
    }
}

#[test]
fn origins_are_as_browsers_send_them() {
    for (text, origin) in [
        ("https://Chat.Example.org/", "https://chat.example.org"),
        ("https://a:443", "https://a"),
        ("http://a:80", "http://a"),
        ("http://a:443", "http://a:443"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("http://[::1]", "http://[::1]"),
        ("tauri://localhost", "tauri://localhost"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
    ] {
        assert_eq!(text.parse::<Origin>().map(|origin| origin.to_string()).as_deref(), Ok(origin), "{text}");
    }
    for text in [
        "",
        "*",
        "null",
        "https://*",
        "a.org",
        "https://",
        "https://a/b",
        "https://u@a",
        "https://a:0",
        "https://a:x",
        "://a",
        "1x://a",
    ] {
        assert!(text.parse::<Origin>().is_err(), "{text}");
    }
}

#[test]
fn words_are_themselves() {
    for word in ["error", "warn", "info", "debug", "trace"] {
        assert_eq!(LogLevel::from_word(word).unwrap().word(), word);
    }
    assert_eq!(PlainAuth::from_word("None"), None);
}

proptest! {
    #[test]
    fn sizes_and_durations_round_trip(bytes in any::<u64>(), millis in 0u64..604_800_000) {
        prop_assert_eq!(ByteSize::new(bytes).to_string().parse(), Ok(ByteSize::new(bytes)));
        let duration = Duration::from_millis(millis);
        prop_assert_eq!(parse_duration(&show_duration(duration)), Ok(duration));
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in "\\PC{0,40}", tail in "[a-z0-9:/@?#\\[\\].-]{0,30}") {
        for text in [text, format!("http://{tail}"), format!("https://{tail}"), tail] {
            let _ = parse_duration(&text);
            let _ = text.parse::<ByteSize>();
            let _ = crate::config::ollama_host::parse(&text);
            if let Ok(url) = text.parse::<BackendUrl>() {
                prop_assert_eq!(url.to_string().parse(), Ok(url));
            }
            if let Ok(origin) = text.parse::<Origin>() {
                prop_assert_eq!(origin.to_string().parse(), Ok(origin));
            }
            if let Ok(name) = text.parse::<HostName>() {
                prop_assert_eq!(name.to_string().parse(), Ok(name));
            }
        }
    }
}

#[test]
fn a_backend_on_this_machine_is_known_by_its_address() {
    for (address, here) in [
        ("http://localhost:11434", true),
        ("http://LOCALHOST", true),
        ("http://ollama.localhost", true),
        ("http://127.0.0.1:1", true),
        ("https://127.9.9.9", true),
        ("http://[::1]:8000/v1", true),
        ("http://[::ffff:127.0.0.1]", true),
        ("http://192.168.0.2", false),
        ("http://[fd00::1]", false),
        ("http://localhost.example.org", false),
        ("http://mylocalhost", false),
    ] {
        match address.parse::<BackendUrl>() {
            Ok(url) => assert_eq!(url.is_loopback(), here, "{address}"),
            Err(why) => panic!("{address}: {why}"),
        }
    }
}
