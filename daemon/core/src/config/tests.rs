//! Tests of the whole configuration: places, layers, and what is refused.

mod documents;
mod faults;
mod layers;
mod yaml;

use std::time::Duration;

use super::*;

/// Every table and every key, with values that are not the defaults.
const SAMPLE: &str = r#"
[listen]
tls = "0.0.0.0:443"
plain = ["0.0.0.0:11430"]
plain_auth = "key"
names = ["llm.example.org"]
origins = ["https://chat.example.org"]
trusted_proxies = []
exposure = "everywhere"
http3 = false
certificate = "/etc/ssl/llm.pem"
key = "/etc/ssl/llm.key"

[engine]
models = "/srv/models"
binary = "/opt/engine"

[[backends]]
name = "ollama"
kind = "ollama"
url = "http://127.0.0.1:11434"
timeouts = { idle = "10m" }

[[backends]]
name = "vllm"
kind = "openai"
url = "https://gpu.lan:8000/v1"
key_file = "/etc/ghostllm/vllm.key"

[backends.timeouts]
connect = "250ms"
first_byte = "20m"

[[backends]]
name = "file"
kind = "gguf"
path = "/srv/models/a.gguf"

[[health]]
name = "vllm"
backend = "vllm"

[[health]]
name = "cards"
gpu = "all"
below_slowdown = 10

[[models]]
name = "gpt-4o-mini"
target = "qwen3:8b"
temperature = 0.25
think = "off"

[[models]]
name = "qwen3:8b"
hidden = true
context = 16384
keep_alive = "forever"
frequency_penalty = -1
seed = -7

[limits]
handshake = "1s"
body = 1024
header_bytes = "16KiB"
streams = 7
keep_alive_style = "empty-delta"
backend_idle = "9s"

[gpu]
nvml_library = "/opt/libnvidia-ml.so.1"
every = "500ms"
governor = "watch"
background = 3
queue = 0

[log]
level = "debug"
format = "json"

[usage]
days = 7
write_interval = "5s"
"#;

fn file(text: &str) -> Source {
    named("ghostllm.toml", text)
}

fn named(name: &str, text: &str) -> Source {
    Source::File { name: name.to_owned(), bytes: text.into() }
}

fn environment(pairs: &[(&str, &str)]) -> Source {
    Source::Environment(pairs.iter().map(|(name, value)| (name.into(), value.into())).collect())
}

fn set(arguments: &[&str]) -> Source {
    Source::Set(arguments.iter().map(|&argument| argument.to_owned()).collect())
}

/// The errors of a load that must fail, as people see them.
fn refused(sources: &[Source]) -> Vec<String> {
    Config::load(sources).unwrap_err().iter().map(ToString::to_string).collect()
}

fn refused_file(text: &str) -> Vec<String> {
    refused(&[file(text)])
}

#[test]
fn without_any_source_everything_is_default() {
    let config = Config::load(&[]).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.listen.tls.to_string(), "[::]:11443");
    assert_eq!(config.default_ollama.to_string(), "http://127.0.0.1:11434");
    assert!(config.backends.is_empty());
    assert_eq!(Config::load(&[file(""), environment(&[]), set(&[])]).unwrap(), config);
}

#[test]
fn the_sample_is_read_into_final_types() {
    let config = Config::load(&[file(SAMPLE)]).unwrap();
    assert_eq!(config.listen.tls.to_string(), "0.0.0.0:443");
    assert_eq!(config.listen.plain_auth, PlainAuth::Key);
    assert_eq!(config.listen.exposure, Exposure::Everywhere);
    assert!(!config.listen.http3);
    assert_eq!(config.limits.body.bytes(), 1024);
    assert_eq!(config.limits.header_bytes.as_usize(), 16 * 1024);
    assert_eq!(config.limits.handshake, Duration::from_secs(1));
    assert_eq!(config.limits.keep_alive_style, KeepAliveStyle::EmptyDelta);
    assert_eq!(config.log, Log { level: LogLevel::Debug, filter: Vec::new(), format: LogFormat::Json });
    assert_eq!(config.usage, Usage { days: 7, write_interval: Duration::from_secs(5) });
    let gpu = Gpu {
        nvml_library: Some("/opt/libnvidia-ml.so.1".into()),
        every: Duration::from_millis(500),
        governor: GovernorMode::Watch,
        background: 3,
        queue: 0,
        ..Gpu::default()
    };
    assert_eq!(config.gpu, gpu);
    let [ollama, vllm, gguf] = config.backends.as_slice() else { panic!("three backends") };
    assert_eq!(ollama.timeouts.idle, Duration::from_secs(600));
    assert_eq!(ollama.timeouts.connect, Duration::from_secs(2));
    assert_eq!(vllm.timeouts.idle, Duration::from_secs(9));
    assert_eq!(vllm.timeouts.connect, Duration::from_millis(250));
    assert_eq!(vllm.target, Target::OpenAi("https://gpu.lan:8000/v1".parse().unwrap()));
    assert_eq!(vllm.key_file, Some(SecretFile::Path("/etc/ghostllm/vllm.key".into())));
    assert_eq!(gguf.target, Target::Gguf("/srv/models/a.gguf".into()));
    assert_eq!(gguf.target.kind(), Kind::Gguf);
}

#[test]
fn a_stray_key_in_any_table_is_refused_with_its_place() {
    let mut lines: Vec<&str> = SAMPLE.lines().collect();
    let tables: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].starts_with('[')).collect();
    // Every header and the root; the inline table follows below.
    assert_eq!(tables.len(), 14);
    for at in tables.into_iter().chain([0]) {
        lines.insert(at + 1, "  strayed = 1");
        let errors = refused_file(&lines.join("\n"));
        lines.remove(at + 1);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(
            errors[0].starts_with(&format!("ghostllm.toml:{}:3: unknown key \"strayed\"", at + 2)),
            "{errors:?}"
        );
    }
    let inline = SAMPLE.replace("{ idle", "{ strayed = 1, idle");
    let line = SAMPLE.lines().position(|line| line.contains("{ idle")).unwrap() + 1;
    let errors = refused_file(&inline);
    assert!(
        errors[0]
            .starts_with(&format!("ghostllm.toml:{line}:14: unknown key \"strayed\" in [backends.timeouts]"))
    );
}

#[test]
fn every_key_misspelled_is_refused_and_its_right_name_told() {
    for (section, keys) in SECTIONS {
        for key in *keys {
            let wrong = format!("{key}x");
            let text = match *section {
                "[backends]" | "[health]" | "[models]" => format!("[{section}]\nname = \"a\"\n{wrong} = 1"),
                "backends.timeouts" => {
                    format!("[[backends]]\nname = \"a\"\n[backends.timeouts]\n{wrong} = 1")
                }
                _ => format!("\n\n[{section}] # é\n{wrong} = 1"),
            };
            if *key == "name" {
                continue;
            }
            let line = text.lines().count();
            let errors = refused_file(&text);
            assert_eq!(errors.len(), 1, "{errors:?}");
            assert!(
                errors[0].starts_with(&format!("ghostllm.toml:{line}:1: unknown key \"{wrong}\"")),
                "{errors:?}"
            );
            assert!(errors[0].ends_with(&format!("did you mean \"{key}\"?")), "{errors:?}");
        }
    }
}

#[test]
fn an_error_reads_as_people_need_it() {
    let text = "[listen]\n\n  tsl = \"[::]:1\"\n";
    assert_eq!(
        refused_file(text),
        ["ghostllm.toml:3:3: unknown key \"tsl\" in [listen]; did you mean \"tls\"?"]
    );
    assert_eq!(
        refused_file("[lisen]\ntls = 1\nx = 2"),
        ["ghostllm.toml:1:2: unknown key \"lisen\"; did you mean \"listen\"?"]
    );
    assert_eq!(
        refused_file("[backend]\nurl = 1"),
        ["ghostllm.toml:1:2: unknown key \"backend\"; did you mean \"backends\"?"]
    );
    assert_eq!(
        refused_file("[listen]\nbody = 1"),
        ["ghostllm.toml:2:1: unknown key \"body\" in [listen]; it belongs in [limits]"]
    );
    assert_eq!(
        refused_file("[limits]\nhandshake = 5"),
        ["ghostllm.toml:2:13: limits.handshake: this is a number; \
          expected a duration with its unit (ms, s, m, h, d), for example \"5s\""]
    );
    assert_eq!(
        refused_file("[log]\nlevel = \"loud\""),
        ["ghostllm.toml:2:9: log.level: \"loud\" is not known; \
          expected \"error\", \"warn\", \"info\", \"debug\" or \"trace\""]
    );
    assert_eq!(
        refused_file("[listen]\nhttp3 = 1"),
        ["ghostllm.toml:2:9: listen.http3: this is a number; expected true or false"]
    );
    // Seventy keys would help nobody.
    assert_eq!(
        refused_file("[limits]\ncolour = 1"),
        [
            "ghostllm.toml:2:1: unknown key \"colour\" in [limits]; `ghostllm config reference` names the keys here"
        ]
    );
}

#[test]
fn every_type_says_what_it_expected() {
    for (text, place, wanted) in [
        ("listen = 1", "1:10", "a table"),
        ("listen = []", "1:10", "a table"),
        ("[[listen]]\ntls = 1", "1:1", "a table"),
        ("[listen]\ntls = 11443", "2:7", "\"[::]:11443\""),
        ("[listen]\ntls = \"localhost:1\"", "2:7", "not an IP address"),
        ("[listen]\nplain = \"127.0.0.1:1\"", "2:9", "a list"),
        ("[listen]\nplain = [\n\"127.0.0.1:1\",\n 7]", "4:2", "this is a number"),
        ("[listen]\nhttp3 = \"yes\"", "2:9", "true or false"),
        ("[listen]\nhttp3 = { a = 1 }", "2:9", "this is a table"),
        ("[listen]\nkey = \"~/key\"", "2:7", "systemd credential"),
        ("[listen]\ncertificate = \"~/key\"", "2:15", "not replaced"),
        ("[limits]\nstreams = -1", "2:11", "less than 0"),
        ("[limits]\nstreams = 1.5", "2:11", "fraction"),
        ("[limits]\nstreams = 2024-01-01", "2:11", "a date"),
        ("[limits]\nstreams = 0", "2:11", "at least 1"),
        ("[limits]\nstreams = 99999999999999999999", "2:11", "large"),
        ("[limits]\nstreams = 4294967296", "2:11", "too large"),
        ("[limits]\njson_depth = 129", "2:14", "from 1 to 128"),
        ("[limits]\nthreads = 1025", "2:11", "from 0 to 1024"),
        ("[limits]\nh2_stream_window = \"2GiB\"", "2:20", "2147483647"),
        ("[limits]\nhandshake = \"0s\"", "2:13", "longer than 0"),
        ("[limits]\nbody = \"32MB\"", "2:8", "32KiB"),
        ("backends = 1", "1:12", "[[backends]]"),
        ("[backends.a]\nurl = 1", "1:2", "[[backends]]"),
        ("backends = [1]", "1:13", "[[backends]]"),
        ("[[backends]]\nkind = \"ollama\"", "1:1", "has no name"),
        ("[[backends]]\nname = 1", "2:8", "a string"),
        ("[[backends]]\nname = \"A b\"\nkind = \"gguf\"\npath = \"/a\"", "2:8", "letters a to z"),
        ("[[backends]]\nname = \"a\"\ntimeouts = 1", "3:12", "a table"),
        ("[listen]\ntls = ", "2:7", "not valid TOML"),
        ("[listen]\ntls = \"a\"\ntls = \"b\"", "3:1", "not valid TOML: this key stands here already"),
        ("[listen]\n[log]\n[listen]", "3:2", "this key stands here already"),
        ("[log]\nlevel = info", "2:9", "a string stands in quotes"),
        ("[limits]\nhandshake = 5s", "2:13", "a string stands in quotes"),
        ("\u{feff}lisen = 1", "1:1", "did you mean"),
        ("\u{feff}[log]\r\nlevl = 1", "2:1", "did you mean"),
    ] {
        let errors = refused_file(text);
        let start = format!("ghostllm.toml:{place}: ");
        let found = errors.iter().any(|e| e.starts_with(&start) && e.contains(wanted));
        assert!(found, "{text}\nwanted {place} {wanted}, got {errors:#?}");
    }
}

#[test]
fn all_faults_are_told_at_once_in_order() {
    let errors = refused(&[
        file(
            "[log]\nlevel = 1\n[listen]\ntsl = 1\nplain = [\"0.0.0.0:1\"]\n[[backends]]\nname = \"a\"\nkind = \"x\"",
        ),
        environment(&[("GHOSTLLM_LOG__FROMAT", "json")]),
        set(&["limits.bdoy=1"]),
    ]);
    let starts = ["ghostllm.toml:2:9", "ghostllm.toml:4:1", "ghostllm.toml:5:10", "ghostllm.toml:8:8"];
    assert_eq!(errors.len(), 6, "{errors:#?}");
    for (error, start) in errors.iter().zip(starts) {
        assert!(error.starts_with(start), "{errors:#?}");
    }
}

#[test]
fn impossible_combinations_are_refused() {
    let backend = |rest: &str| format!("[[backends]]\nname = \"a\"\n{rest}");
    for (text, place, wanted) in [
        ("[listen]\nplain = [\"127.0.0.1:1\", \"[::]:1\"]".to_owned(), "2:25", "plain_auth = \"key\""),
        ("[listen]\nplain = [\"192.168.1.5:1\"]".to_owned(), "2:10", "plain_auth"),
        ("[listen]\nplain = [\"127.0.0.1:1\", \"127.0.0.1:1\"]".to_owned(), "2:25", "twice"),
        ("[listen]\nplain = [\"127.0.0.1:11443\"]".to_owned(), "2:9", "share one port"),
        ("[listen]\ntls = \"[::]:11430\"".to_owned(), "2:7", "share one port"),
        ("[listen]\ntrusted_proxies = [\"10.0.0.1\"]".to_owned(), "2:19", "reserved"),
        ("[listen]\ncertificate = \"/a\"".to_owned(), "2:15", "listen.key"),
        ("[listen]\nkey = \"/a\"".to_owned(), "2:7", "listen.certificate"),
        ("[engine]\nsocket = \"/a\"\nbinary = \"/b\"".to_owned(), "3:10", "not used"),
        ("[engine]\nsocket = \"/a\"\nmodels = \"/b\"".to_owned(), "3:10", "not used"),
        ("[engine]\nsocket = \"/a\"\ncheck_wait = \"1s\"".to_owned(), "3:14", "not used"),
        ("[limits]\nmemory_shed = 96".to_owned(), "2:15", "comes before memory_shed"),
        ("[limits]\nmemory_shed = 70\nmemory_drop = 69".to_owned(), "3:15", "the larger number"),
        ("[gpu]\ncards = [0, \"processor\"]".to_owned(), "2:9", "heat has no consequences"),
        // What is offered instead is taken here: the processor is for a health check alone.
        (
            "[gpu]\ncards = [\"first\"]".to_owned(),
            "2:10",
            "expected \"all\", a card's number or its uuid (in [[health]] also \"processor\")",
        ),
        (backend("url = \"http://a\""), "2:8", "has no kind"),
        (backend("kind = \"ollama\""), "2:8", "has no url"),
        (backend("kind = \"openai\""), "2:8", "has no url"),
        (backend("kind = \"gguf\""), "2:8", "has no path"),
        (backend("kind = \"gguf\"\npath = \"/a\"\nurl = \"http://a\""), "5:7", "has no url"),
        (backend("kind = \"gguf\"\npath = \"/a\"\nkey_file = \"/a\""), "5:12", "wants no key"),
        (backend("kind = \"ollama\"\nurl = \"http://a\"\npath = \"/a\""), "5:8", "take the path away"),
        (
            backend("kind = \"gguf\"\npath = \"/a\"\n[[backends]]\nname = \"a\""),
            "6:8",
            "stands already at ghostllm.toml:2:8",
        ),
    ] {
        let errors = refused_file(&text);
        assert_eq!(errors.len(), 1, "{errors:#?}");
        let start = format!("ghostllm.toml:{place}: ");
        assert!(errors[0].starts_with(&start) && errors[0].contains(wanted), "{text}\n{errors:#?}");
    }
}

#[test]
fn possible_combinations_are_taken() {
    for text in [
        "[listen]\nplain = []",
        "[listen]\nplain = [\"0.0.0.0:80\"]\nplain_auth = \"key\"",
        "[listen]\nplain = [\"127.9.9.9:80\", \"[::ffff:127.0.0.1]:81\"]",
        "[listen]\ntls = \"127.0.0.1:0\"\nplain = [\"127.0.0.1:0\", \"127.0.0.1:0\"]",
        "[listen]\ntls = \"192.0.2.1:11430\"",
        "[listen]\ncertificate = \"/a\"\nkey = \"/b\"",
        "[engine]\nsocket = \"/a\"",
        "[limits]\nheader_wait = \"0s\"\ndrain_grace = \"0s\"",
    ] {
        assert!(Config::load(&[file(text)]).is_ok(), "{text}: {:?}", refused_file(text));
    }
}

#[test]
fn a_later_source_wins_and_leaves_the_rest() {
    let config = Config::load(&[
        file(SAMPLE),
        environment(&[
            ("GHOSTLLM_LISTEN__TLS", "[::]:1"),
            ("GHOSTLLM_LISTEN__NAMES", "a.example, b.example"),
            ("GHOSTLLM_LIMITS__BODY", "2MiB"),
            ("GHOSTLLM_BACKENDS__VLLM__URL", "http://other:1"),
            ("GHOSTLLM_BACKENDS__vllm__TIMEOUTS__IDLE", "3s"),
            ("GHOSTLLM_BACKENDS__my_box__KIND", "ollama"),
            ("GHOSTLLM_BACKENDS__my_box__URL", "http://box:11434"),
            ("PATH", "/bin"),
        ]),
        set(&[
            "listen.tls=[::]:2",
            "backends.vllm.timeouts.idle=4s",
            "listen.http3=true",
            "listen.origins=[\"https://x\"]",
        ]),
    ])
    .unwrap();
    assert_eq!(config.listen.tls.port(), 2);
    assert_eq!(
        config.listen.names.iter().map(HostName::as_str).collect::<Vec<_>>(),
        ["a.example", "b.example"]
    );
    assert_eq!(config.listen.origins.iter().map(Origin::as_str).collect::<Vec<_>>(), ["https://x"]);
    assert!(config.listen.http3);
    assert_eq!(config.limits.body.bytes(), 2 << 20);
    let names: Vec<_> = config.backends.iter().map(|backend| backend.name.as_str()).collect();
    assert_eq!(names, ["ollama", "vllm", "file", "my-box"]);
    assert_eq!(config.backends[1].target, Target::OpenAi("http://other:1".parse().unwrap()));
    assert_eq!(config.backends[1].timeouts.idle, Duration::from_secs(4));
    assert_eq!(config.backends[1].timeouts.connect, Duration::from_millis(250));
}

#[test]
fn faults_in_variables_and_arguments_name_their_source() {
    let variable = |name: &str, value: &str| refused(&[environment(&[(name, value)])]);
    assert_eq!(
        variable("GHOSTLLM_LISTEN__TSL", "x"),
        [
            "environment variable GHOSTLLM_LISTEN__TSL: unknown key \"tsl\" in [listen]; did you mean GHOSTLLM_LISTEN__TLS?"
        ]
    );
    for (name, value, wanted) in [
        ("GHOSTLLM_LISEN__TLS", "x", "did you mean GHOSTLLM_LISTEN__TLS?"),
        ("GHOSTLLM_TLS", "x", "unknown key \"tls\"; did you mean GHOSTLLM_LISTEN__TLS?"),
        ("GHOSTLLM_LISTEN_TLS", "x", "did you mean GHOSTLLM_LISTEN__TLS?"),
        ("GHOSTLLM_LIMITS_H2_STREAM_WINDW", "x", "did you mean GHOSTLLM_LIMITS__H2_STREAM_WINDOW?"),
        ("GHOSTLLM_BACKENDS_OLLAMA_URL", "x", "two underscores part a section, a name and a key"),
        ("GHOSTLLM_A__B__C__D__E", "x", "no setting has so many parts"),
        ("GHOSTLLM_LISTEN", "x", "name one of the settings in it, for example GHOSTLLM_LISTEN__TLS"),
        ("GHOSTLLM_BACKENDS__A__TIMEOUTS", "1s", "for example GHOSTLLM_BACKENDS__A__TIMEOUTS__CONNECT"),
        ("GHOSTLLM_LISTEN__TLS", "x", "listen.tls: \"x\" is not an IP address"),
        ("GHOSTLLM_LISTEN__TLS__X", "x", "listen.tls: this is a table"),
        ("GHOSTLLM_BACKENDS", "x", "backends.ollama.url"),
        ("GHOSTLLM_BACKENDS__A", "x", "backends.ollama.url"),
        ("GHOSTLLM_BACKENDS__A__NAME", "x", "cannot be changed"),
        ("GHOSTLLM_BACKENDS__A__ULR", "x", "did you mean GHOSTLLM_BACKENDS__A__URL?"),
        ("GHOSTLLM_BACKENDS__A__URL", "http://a", "has no kind"),
        ("GHOSTLLM_", "x", "unknown key \"\""),
        ("OLLAMA_HOST", "ftp://x", "only http:// and https://"),
    ] {
        let errors = variable(name, value);
        let start = format!("environment variable {name}: ");
        assert!(errors[0].starts_with(&start) && errors[0].contains(wanted), "{errors:?}");
    }
    for (argument, start, wanted) in [
        ("listen.tsl=x", "--set listen.tsl: ", "did you mean \"listen.tls\"?"),
        ("listen.tls", "--set listen.tls: ", "key=value"),
        ("log.level=loud", "--set log.level: ", "is not known"),
        ("=x", "--set : ", "unknown key"),
        (
            "backends.a.timeouts.idle.x=1s",
            "--set backends.a.timeouts.idle.x: ",
            "no setting has so many parts",
        ),
    ] {
        let errors = refused(&[set(&[argument])]);
        assert!(errors[0].starts_with(start) && errors[0].contains(wanted), "{errors:?}");
    }
    // Over a file's table, a whole section cannot be written.
    let errors = refused(&[file("[listen]\nhttp3 = true"), set(&["listen=x"])]);
    assert_eq!(
        errors,
        ["--set listen: listen: expected a table; name one of the settings in it, for example listen.tls"]
    );
    // And a file's own fault is not hidden by a variable in it.
    let errors = refused(&[file("listen = 1"), environment(&[("GHOSTLLM_LISTEN__HTTP3", "true")])]);
    assert!(errors[0].starts_with("ghostllm.toml:1:10: listen: expected a table"), "{errors:?}");
}

#[test]
fn what_kubernetes_sets_is_no_setting() {
    let config = Config::load(&[environment(&[
        ("GHOSTLLM_SERVICE_HOST", "10.0.0.1"),
        ("GHOSTLLM_SERVICE_PORT_HTTPS", "1"),
        ("GHOSTLLM_PORT", "tcp://10.0.0.1:1"),
        ("GHOSTLLM_PORT_11443_TCP_ADDR", "10.0.0.1"),
    ])]);
    assert_eq!(config.unwrap(), Config::default());
    assert!(Config::load(&[environment(&[("GHOSTLLM_PORTS", "1")])]).is_err());
}

#[test]
fn the_key_of_the_clients_is_no_setting() {
    // The page and the README have people export it.
    let config = Config::load(&[environment(&[("GHOSTLLM_KEY", "gllm_x"), ("GHOSTLLM_SOCKET", "/x")])]);
    assert_eq!(config.unwrap(), Config::default());
    assert!(Config::load(&[environment(&[("GHOSTLLM_KEY_FILE", "/k")])]).is_err());
}

#[test]
fn ollama_host_changes_only_the_default_address() {
    let config = Config::load(&[environment(&[("OLLAMA_HOST", "0.0.0.0:5")])]).unwrap();
    assert_eq!(config.default_ollama.to_string(), "http://127.0.0.1:5");
    assert!(config.backends.is_empty());
}

#[test]
fn a_renamed_key_is_told_its_new_name() {
    const OLD: Renames =
        &[("listen.port", "listen.tls"), ("web", "listen"), ("backends.address", "backends.url")];
    let load = |text: &str| Loaded::read_with(&[file(text)], OLD).unwrap_err();
    assert_eq!(
        load("[listen]\nport = 1")[0].to_string(),
        "ghostllm.toml:2:1: \"listen.port\" is now called \"listen.tls\"; rename it"
    );
    assert!(load("[web]\nport = 1")[0].message().contains("\"listen\""));
    assert!(load("[[backends]]\nname = \"a\"\naddress = 1")[0].message().contains("\"backends.url\""));
    let is_key = |whole: &str| {
        let whole_of = |section: &str, key: &str| format!("{}.{key}", section.trim_matches(['[', ']']));
        SECTIONS.iter().any(|(section, keys)| keys.iter().any(|key| whole_of(section, key) == whole))
    };
    for (old, new) in RENAMED {
        assert!(is_key(new) && !is_key(old), "{old} is said to be {new} now");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-z\\[\\]=\"{}.,\n #0-9é-]{0,60}", key in "[A-Z_]{0,20}", value in "\\PC{0,20}") {
        let environment = Source::Environment(vec![(format!("GHOSTLLM_{key}").into(), value.clone().into())]);
        let _ = Config::load(&[file(&text), environment, Source::Set(vec![value])]);
    }
}

#[test]
fn a_running_program_keeps_what_needs_a_restart_and_names_it() {
    let load = |text: &str| Config::load(&[file(text)]).unwrap();
    let running = Config::default();
    let text = "[listen]\ntls = \"[::]:1\"\nnames = [\"a.lan\"]\nplain_auth = \"key\"\n[limits]\nstreams = 5\nthreads = 3\n\
                [log]\nformat = \"json\"\nlevel = \"debug\"\n[engine]\ncontext = 5\n";
    let (taken, kept) = load(text).settle(&running, true);
    assert_eq!(kept, ["listen.tls", "engine.context", "limits.threads", "log.format"]);
    let wanted = load(
        "[listen]\nnames = [\"a.lan\"]\nplain_auth = \"key\"\n[limits]\nstreams = 5\n[log]\nlevel = \"debug\"\n",
    );
    assert_eq!(taken, wanted);
    // As it was before, nothing is kept.
    assert_eq!(Config::default().settle(&running, true), (Config::default(), Vec::new()));
    assert_eq!(
        taken.differing(&running),
        ["listen.plain_auth", "listen.names", "limits.streams", "log.level"]
    );
    // Nobody goes by the engine's settings while there is none.
    let (taken, kept) = load("[engine]\ncontext = 5\n").settle(&running, false);
    assert!(kept.is_empty() && taken.engine.context == Some(5), "{kept:?}");
}

#[test]
fn a_plain_port_that_waits_for_a_restart_is_not_opened_by_what_does_not() {
    let load = |text: &str| Config::load(&[file(text)]).unwrap();
    let running = load("[listen]\nplain = [\"0.0.0.0:11430\"]\nplain_auth = \"key\"\n");
    let (taken, kept) = Config::default().settle(&running, true);
    assert_eq!(taken, running);
    assert_eq!(kept, ["listen.plain", "listen.plain_auth"]);
}
