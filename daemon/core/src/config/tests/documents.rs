//! The example, the page, the schema and what is shown: all from the same definitions.

use serde_json::Value as Json;

use super::*;

/// The example with its defaults uncommented.
fn written() -> String {
    let uncomment = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') && !rest.is_empty() => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    Config::example().lines().map(uncomment).collect()
}

fn json(text: &str) -> Json {
    serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap()
}

#[test]
fn the_example_is_a_file_of_the_defaults() {
    let example = Config::example();
    assert_eq!(Config::load(&[file(&example)]).unwrap(), Config::default());
    assert_eq!(Config::load(&[file(&written())]).unwrap(), Config::default());
    for (section, keys) in SECTIONS {
        assert!(example.contains(&format!("[{section}]\n")), "{section}");
        for key in *keys {
            assert!(example.contains(&format!("{key} = ")), "{key}");
        }
    }
    assert!(example.lines().all(|line| line.chars().count() <= 120));
}

#[test]
fn the_page_has_every_setting_once() {
    let page = Config::reference();
    for (section, keys) in SECTIONS {
        for key in *keys {
            let heading = format!("### `{}.{key}`\n", section.trim_matches(['[', ']']));
            assert_eq!(page.matches(&heading).count(), 1, "{heading}");
        }
    }
    assert!(page.contains("Variable: `GHOSTLLM_BACKENDS__<name>__TIMEOUTS__IDLE`."), "{page}");
    assert!(page.contains("Type: a number from 1 to 128. Default: `128`."), "{page}");
}

/// Whether `value` is valid, for the words of JSON Schema that are in use here; another word is a failure of the test.
fn valid(schema: &Json, root: &Json, value: &Json) -> bool {
    schema.as_object().unwrap().iter().all(|(word, rule)| match word.as_str() {
        "$schema" | "$defs" | "title" | "description" | "default" | "examples" => true,
        "$ref" => {
            let pointer = rule.as_str().unwrap().strip_prefix('#').unwrap();
            valid(root.pointer(pointer).unwrap(), root, value)
        }
        "type" => match rule.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            other => panic!("type {other}"),
        },
        "enum" => rule.as_array().unwrap().contains(value),
        "anyOf" => rule.as_array().unwrap().iter().any(|schema| valid(schema, root, value)),
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| valid(rule, root, item))),
        "required" => value.as_object().is_none_or(|object| {
            rule.as_array().unwrap().iter().all(|key| object.contains_key(key.as_str().unwrap()))
        }),
        "properties" => value.as_object().is_none_or(|object| {
            object.iter().all(|(key, value)| rule.get(key).is_none_or(|schema| valid(schema, root, value)))
        }),
        "additionalProperties" => {
            assert_eq!(rule, &Json::Bool(false));
            let known = schema["properties"].as_object().unwrap();
            value.as_object().is_none_or(|object| object.keys().all(|key| known.contains_key(key)))
        }
        "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
        "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
        "pattern" => value.as_str().is_none_or(|text| match rule.as_str().unwrap() {
            pattern if pattern.contains("ms|s|m|h") => values::parse_duration(text).is_ok(),
            pattern if pattern.contains('%') => text.parse::<Room>().is_ok(),
            pattern if pattern.contains("KiB") => text.parse::<ByteSize>().is_ok(),
            other => panic!("pattern {other}"),
        }),
        other => panic!("the schema uses {other}, which is not checked here"),
    })
}

#[test]
fn the_schema_takes_what_is_sound_and_refuses_what_is_not() {
    let schema: Json = serde_json::from_str(&Config::schema()).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let takes = |text: &str| valid(&schema, &schema, &json(text));
    let profile = |text: &str| {
        let text = text.replace("[[", "[[profiles.dev.");
        text.lines()
            .map(|line| match line.strip_prefix('[') {
                Some(rest) if !rest.starts_with('[') => format!("[profiles.dev.{rest}\n"),
                _ => format!("{line}\n"),
            })
            .collect::<String>()
    };
    for text in [written(), SAMPLE.to_owned(), Loaded::read(&[file(SAMPLE)]).unwrap().show(), String::new()] {
        assert!(takes(&text), "{text}");
    }
    assert!(takes(
        "profile = \"dev\"\n[profiles.dev.log]\nlevel = \"warn\"\n[[profiles.prod.backends]]\nname = \"a\""
    ));
    for (section, keys) in SECTIONS {
        let backend = "[[backends]]\nname = \"a\"";
        let header = match *section {
            "[backends]" => backend.to_owned(),
            "[health]" => "[[health]]\nname = \"a\"".to_owned(),
            "[models]" => "[[models]]\nname = \"a\"".to_owned(),
            "backends.timeouts" => format!("{backend}\n[backends.timeouts]"),
            section => format!("[{section}]"),
        };
        for line in keys
            .iter()
            .map(|key| format!("{key}x = 1"))
            .chain(keys.iter().filter(|key| **key != "name").map(|key| format!("{key} = {{}}")))
        {
            let text = format!("{header}\n{line}");
            assert!(!takes(&text) && !takes(&profile(&text)), "{text}");
        }
    }
    for text in [
        "strayed = 1",
        "profile = \"pord\"",
        "[profiles.pord]",
        "[profiles.dev]\nprofile = \"dev\"",
        "[log]\nlevel = \"loud\"",
        "[limits]\njson_depth = 129",
        "[limits]\nthreads = -1",
        "[limits]\nthreads = 1025",
        "[limits]\nhandshake = 5",
        "[limits]\nhandshake = \"5\"",
        "[limits]\nbody = \"32MB\"",
        "[listen]\nhttp3 = \"true\"",
        "[listen]\nnames = \"a\"",
        "[listen]\nnames = [1]",
        "[[backends]]\nkind = \"gguf\"",
        "[backends]\nname = \"a\"",
        "[models.a]\ntarget = \"b\"",
        "[[models]]\nname = \"a\"\ntemperature = 2.1",
        "[[models]]\nname = \"a\"\nfrequency_penalty = \"0.5\"",
        "[[models]]\nname = \"a\"\ncontext = 0",
        "[[models]]\nname = \"a\"\nseed = 1.5",
        "[[models]]\nname = \"a\"\nthink = \"a lot\"",
        "[[models]]\nname = \"a\"\nkeep_alive = 5",
    ] {
        assert!(!takes(text), "the schema takes {text}");
        assert!(Config::load(&[file(text)]).is_err(), "the program takes {text}");
    }
}

#[test]
fn what_is_shown_says_where_it_comes_from() {
    let sources = [
        named("/etc/ghostllm/ghostllm.toml", SAMPLE),
        named(
            "b.toml",
            "profile = \"dev\"\n[profiles.dev.limits]\nstreams = 9\n[[profiles.dev.backends]]\nname = \"vllm\"\nurl = \"http://v:1\"\n\
             [[health]]\nname = \"model\"\nmodel = \"a\"\n[[health]]\nname = \"disk\"\ndisk = \"/srv\"\nfree = \"5%\"",
        ),
        environment(&[("GHOSTLLM_LIMITS__THREADS", "2")]),
        set(&["backends.ollama.timeouts.idle=3s"]),
    ];
    let loaded = Loaded::read(&sources).unwrap();
    let shown = loaded.show();
    for line in [
        "# profile = \"dev\" # b.toml:1:11",
        "tls = \"0.0.0.0:443\" # /etc/ghostllm/ghostllm.toml:3:7",
        "keep_alive_idle = \"60s\" # default",
        "streams = 9 # b.toml:3:11",
        "threads = 2 # environment variable GHOSTLLM_LIMITS__THREADS",
        "# threads is not set",
        "name = \"ollama\" # /etc/ghostllm/ghostllm.toml:19:8",
        "idle = \"3s\" # --set backends.ollama.timeouts.idle",
        "connect = \"2s\" # limits.backend_connect",
        "url = \"http://v:1\" # b.toml:6:7",
        "key_file = \"/etc/ghostllm/vllm.key\" # /etc/ghostllm/ghostllm.toml:28:12",
        "# path is not set",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "no line {line} in\n{shown}");
    }
    assert_eq!(Config::load(&[file(&shown)]).unwrap(), loaded.config);
    for (section, keys) in SECTIONS {
        for key in *keys {
            let there = shown
                .lines()
                .any(|line| line.starts_with(&format!("{key} = ")) || line == format!("# {key} is not set"));
            assert!(there, "{section}: {key} is not shown");
        }
    }
}

#[test]
fn what_may_be_a_secret_is_left_out_and_that_is_said() {
    let hook = "https://hooks.lan/services/hunter2?token=hunter2";
    let loaded = Loaded::read(&[file(&format!("[alerts]\nwebhook = \"{hook}\""))]).unwrap();
    let shown = loaded.show();
    let line = "webhook = \"https://hooks.lan:443\" # ghostllm.toml:2:11; the rest may be a secret, and is not shown";
    assert!(shown.lines().any(|shown| shown == line), "no line {line} in\n{shown}");
    assert!(!shown.contains("hunter2") && !format!("{:?}", loaded.config).contains("hunter2"), "{shown}");
    let read = Config::load(&[file(&shown)]).unwrap();
    assert_eq!(read.alerts.webhook.map(|hook| hook.whole()).as_deref(), Some("https://hooks.lan:443/"));
    // As it was given to `ghostctl config set`, in quotes or not.
    let told = Config::told;
    assert_eq!(told("alerts.webhook", hook), "https://hooks.lan:443");
    assert_eq!(told("alerts.webhook", &format!(" '{hook}'")), "https://hooks.lan:443");
    assert_eq!(told("alerts.webhook", "ftp://hunter2"), "(not shown)");
    assert_eq!(told("log.level", "debug"), "debug");
}

#[test]
fn what_is_shown_can_be_read_back() {
    for sources in [
        vec![],
        vec![file("[engine]\nsocket = \"/run/engine\"")],
        vec![file("[engine]\nmodels = \"/a\\nb\"\nthreads = 3"), environment(&[("OLLAMA_HOST", "")])],
        vec![named("a\nb = 1\n\u{7f}", "[listen]\nplain = []")],
        vec![file("[[backends]]\nname = \"a\"\nkind = \"gguf\"\npath = \"/\\u0001\\\"'''\"")],
    ] {
        let loaded = Loaded::read(&sources).unwrap();
        let shown = loaded.show();
        assert_eq!(
            Config::load(&[file(&shown)]).map_err(|errors| format!("{errors:#?}\n{shown}")),
            Ok(loaded.config)
        );
    }
    let found = Loaded::read(&[environment(&[("OLLAMA_HOST", "box:5")])]).unwrap().show();
    assert!(found.contains("looked for at http://box:5 # environment variable OLLAMA_HOST\n"), "{found}");
}
