//! YAML: the same tree, the same checks, the same places, and nothing that stands elsewhere than it is used.

use super::*;

/// The errors of a YAML file that must be refused.
fn refused_yaml(text: &str) -> Vec<String> {
    refused(&[named("a.yaml", text)])
}

#[test]
fn it_says_the_same_as_toml() {
    let table: toml::Table = SAMPLE.parse().unwrap();
    let expected = Config::load(&[file(SAMPLE)]).unwrap();
    // JSON is YAML, in its flow style.
    let flow = serde_json::to_string_pretty(&table).unwrap();
    for ending in ["yaml", "yml"] {
        assert_eq!(Config::load(&[named(&format!("a.{ending}"), &flow)]).unwrap(), expected);
    }
    let block = "# A comment.\nlisten:\n  tls: '[::]:443'\n  names:\n  - llm.lan\n  - 'b.lan'\n  http3: false\n\
                 limits: {streams: 7, body: 0x400, handshake: 1s}\nbackends:\n- name: a\n  kind: gguf\n  path: /a\n";
    let same = "listen = { tls = \"[::]:443\", names = [\"llm.lan\", \"b.lan\"], http3 = false }\n\
                limits = { streams = 7, body = 1024, handshake = \"1s\" }\n\
                [[backends]]\nname = \"a\"\nkind = \"gguf\"\npath = \"/a\"";
    assert_eq!(Config::load(&[named("a.yaml", block)]).unwrap(), Config::load(&[file(same)]).unwrap());
    for empty in ["", "# nothing\n", "---\n", "{}", "~"] {
        assert_eq!(Config::load(&[named("a.yaml", empty)]).unwrap(), Config::default(), "{empty:?}");
    }
}

#[test]
fn faults_have_their_places() {
    for (text, start) in [
        ("listen:\n  tsl: 1", "a.yaml:2:3: unknown key \"tsl\" in [listen]; did you mean \"tls\"?"),
        ("lisen:\n  tls: 1", "a.yaml:1:1: unknown key \"lisen\"; did you mean \"listen\"?"),
        ("limits:\n  handshake: 5", "a.yaml:2:14: limits.handshake: this is a number"),
        ("listen:\n  names: [é.lan, b]", "a.yaml:2:11: listen.names: \"é.lan\" is not a host name"),
        ("listen:\n  names:\n  - a\n  - 7", "a.yaml:4:5: listen.names: this is a number"),
        ("listen:\n  http3: yes", "a.yaml:2:10: listen.http3: this is a string; expected true or false"),
        ("listen:\n  key:", "a.yaml:2:6: listen.key: this is nothing (null)"),
        ("limits:\n  streams: 1.5", "a.yaml:2:12: limits.streams: this is a number with a fraction"),
        ("limits:\n  streams: 0755", "a.yaml:2:12: limits.streams: this is a string"),
        ("limits:\n  streams: .inf", "a.yaml:2:12: limits.streams: this is a string"),
        ("limits:\n  streams: 99999999999999999999", "a.yaml:2:12: limits.streams: this is a number"),
        ("\u{feff}lisen: 1", "a.yaml:1:1: unknown key \"lisen\"; did you mean"),
        ("\u{feff}log:\r\n  levl: 1", "a.yaml:2:3: unknown key \"levl\""),
        ("listen: 1", "a.yaml:1:9: listen: expected a table"),
        ("backends:\n- kind: gguf", "a.yaml:2:3: this backend has no name"),
        ("backends:\n- name: a\n  kind: gguf", "a.yaml:2:9: backend \"a\" has no path"),
        ("backends: {}", "a.yaml:1:11: backends are written one by one"),
        (
            "profiles:\n  dev:\n    log: {levl: info}",
            "a.yaml:3:11: unknown key \"levl\" in [profiles.dev.log]",
        ),
        ("- a", "a.yaml:1:1: expected settings"),
        ("word", "a.yaml:1:1: expected settings"),
    ] {
        let errors = refused_yaml(text);
        assert_eq!(errors.len(), 1, "{text}\n{errors:#?}");
        assert!(errors[0].starts_with(start), "{errors:#?}\nwanted {start}");
    }
}

#[test]
fn what_stands_elsewhere_than_it_is_used_is_refused() {
    let deep = format!("a: {}{}", "[".repeat(40), "]".repeat(40));
    for (text, place, wanted) in [
        ("log: &log\n  level: info", "2:3", "anchors and aliases"),
        ("log:\n  level: &level info", "2:", "anchors and aliases"),
        ("log:\n  level: *level", "2:10", "anchors and aliases"),
        ("a: &a [x]\nb: *a", "1:", "anchors and aliases"),
        ("<<: {log: {level: info}}", "1:1", "merge keys"),
        ("log:\n  <<: {level: info}", "2:3", "merge keys"),
        ("log: !log\n  level: info", "", "tags are not taken"),
        ("log:\n  level: !!str info", "2:", "tags are not taken"),
        ("log:\n  level: !secret info", "2:", "tags are not taken"),
        ("log:\n  level: ! info", "2:", "tags are not taken"),
        ("limits:\n  threads: !!int 1", "2:", "tags are not taken"),
        ("!!map\nlog: {}", "", "tags are not taken"),
        ("listen:\n  names: !!seq [a]", "2:", "tags are not taken"),
        ("!!str log: {}", "1:", "tags are not taken"),
        ("log: {}\n---\nlog: {}", "2:1", "one document"),
        ("log: {}\nlog: {}", "2:1", "stands here already"),
        ("log: {level: info, level: warn}", "1:20", "stands here already"),
        ("log: [", "1:6", "not valid YAML"),
        ("? [a]\n: b", "1:3", "not valid YAML"),
        ("~: 1", "1:1", "not valid YAML"),
        ("a: \"\\ud800\"", "1:4", "not valid YAML"),
        (deep.as_str(), "1:", "nested too deep"),
    ] {
        let errors = refused_yaml(text);
        assert_eq!(errors.len(), 1, "{text}\n{errors:#?}");
        let start = format!("a.yaml:{place}");
        assert!(errors[0].starts_with(&start) && errors[0].contains(wanted), "{text}\n{errors:#?}");
        assert!(!errors[0].contains(" at line "), "the place stands twice: {errors:#?}");
    }
}

#[test]
fn a_stray_key_in_any_table_is_refused() {
    // One table a line, each with room for one more key.
    let sample = "listen: {tls: '[::]:1'\n}\nengine: {queue: 3\n}\nlimits: {threads: 1\n}\nlog: {level: info\n}\n\
                  backends: [{name: a, kind: gguf, path: /a, timeouts: {idle: 1s\n}\n}]\nprofiles: {dev: {log: {level: info\n}\n}\n}\n";
    assert!(Config::load(&[named("a.yaml", sample)]).is_ok(), "{:?}", refused_yaml(sample));
    let ends: Vec<usize> = (0..sample.len()).filter(|at| sample[*at..].starts_with("\n}")).collect();
    assert_eq!(ends.len(), 9);
    for end in ends {
        let text = format!("{}, strayed: 1{}", &sample[..end], &sample[end..]);
        let errors = refused_yaml(&text);
        assert_eq!(errors.len(), 1, "{errors:#?}");
        assert!(errors[0].contains("\"strayed\""), "{errors:#?}");
    }
    let errors = refused_yaml(&format!("{sample}strayed: 1"));
    assert!(errors[0].starts_with("a.yaml:16:1: unknown key \"strayed\""), "{errors:#?}");
}
