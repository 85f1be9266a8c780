//! Faults in numbers and in depth: each is told, each once, and none breaks the reader.

use super::*;

#[test]
fn what_is_nested_too_deep_is_refused_and_breaks_nothing() {
    let deep = 100_000;
    for text in [
        format!("a = {}", "[".repeat(deep)),
        format!("a = {}", "{a=".repeat(deep)),
        format!("a{} = 1", ".a".repeat(deep)),
        format!("[a{}]", ".a".repeat(deep)),
    ] {
        let errors = refused_file(&text);
        assert!(errors.iter().any(|error| error.contains("nested too deep")), "{:?}", errors.first());
    }
    let refused = refused(&[
        environment(&[(&format!("GHOSTLLM_A{}", "__A".repeat(deep)), "1")]),
        set(&[&format!("a{}=1", ".a".repeat(deep))]),
    ]);
    assert!(refused.len() == 2 && refused.iter().all(|error| error.contains("so many parts")));
}

#[test]
fn no_argument_hides_the_fault_of_another() {
    let errors = refused(&[set(&["log.level=loud", "log.level=debug", "listen.tls=x", "listen=y"])]);
    let starts = [
        "--set listen: listen: expected a table",
        "--set listen.tls: listen.tls: ",
        "--set log.level: log.level: \"loud\"",
    ];
    assert_eq!(errors.len(), starts.len(), "{errors:#?}");
    for (error, start) in errors.iter().zip(starts) {
        assert!(error.starts_with(start), "{error}\nwanted {start}");
    }
    let sources = [set(&["log.level=debug", "backends.a.kind=gguf", "log.level=warn", "backends.a.path=/a"])];
    let config = Config::load(&sources).unwrap();
    assert_eq!((config.log.level, config.backends.len()), (LogLevel::Warn, 1));
}

#[test]
fn every_item_of_a_list_has_its_own_fault() {
    let wanted = |place: &str, value: &str| {
        format!(
            "{place}: listen.names: \"{value}\" is not a host name; expected a host name or an IP address, for example \
             \"llm.example.org\""
        )
    };
    let errors = refused_file("[listen]\nnames = [\"a b\", \"c\",\n  \"d e\"]");
    assert_eq!(errors, [wanted("ghostllm.toml:2:10", "a b"), wanted("ghostllm.toml:3:3", "d e")]);
    let errors = refused(&[set(&["listen.names=a b,c,d e"])]);
    assert_eq!(errors, [wanted("--set listen.names", "a b"), wanted("--set listen.names", "d e")]);
}

#[test]
fn a_fault_is_told_once() {
    // The fuzz target's find: the reader of TOML says of an unclosed string what it has said before.
    let text = "backends = [{ name = \"f [{ name = \"fk \",ind = \"gguf\", path = \"\"\"/a\nb\"\"\" }]\n[profiles]\n\
                dev.log.level = \"wa, kind = \"gguf\", path = \"\"\"/a\nb\"\"\" }]\n[profiles]\ndev.log.level = \"warn\"\n";
    let mut errors = refused_file(text);
    let all = errors.len();
    errors.dedup();
    assert_eq!(errors.len(), all, "{errors:#?}");
}

#[test]
fn no_more_than_a_minute_of_usage_may_be_lost() {
    assert!(Usage::default().write_interval <= Duration::from_secs(60));
    let with = |time: &str| format!("[usage]\nwrite_interval = \"{time}\"");
    let config = Config::load(&[file(&with("60s"))]).unwrap();
    assert_eq!(config.usage.write_interval, Duration::from_secs(60));
    for time in ["61s", "0s"] {
        let errors = refused_file(&with(time));
        assert!(errors.len() == 1 && errors[0].contains("at most 60s"), "{time}: {errors:?}");
    }
}

#[test]
fn what_cannot_be_meant_of_the_cards_is_refused_at_its_line() {
    for (line, wanted) in [
        ("every = \"2s\"", "expected a time from 10ms to 1s"),
        ("near_every = \"1ms\"", "expected a time from 10ms to 1s"),
        ("governor = \"yes\"", "\"yes\" is not known; expected \"on\", \"off\" or \"watch\""),
        ("queue = -1", "-1 is less than 0"),
        ("interactive = 1000001", "expected a number from 0 to 1000000"),
        ("libary = \"/x\"", "unknown key \"libary\" in [gpu]"),
    ] {
        let errors = refused_file(&format!("[gpu]\n{line}\n"));
        assert_eq!(errors.len(), 1, "{line}: {errors:?}");
        assert!(errors[0].starts_with("ghostllm.toml:2:") && errors[0].contains(wanted), "{errors:?}");
    }
}
