//! Which source wins, and that none hides another's faults.

use proptest::prelude::*;

use super::*;

fn loaded(sources: &[Source]) -> Loaded {
    Loaded::read(sources).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

fn level(sources: &[Source]) -> LogLevel {
    loaded(sources).config.log.level
}

fn profile(name: &str) -> Source {
    Source::Profile(name.to_owned())
}

#[test]
fn each_source_lies_over_those_before_it() {
    let main = named("ghostllm.toml", "[log]\nlevel = \"error\"");
    let part = named("conf.d/10.toml", "[log]\nlevel = \"warn\"");
    let tables = named("conf.d/20.toml", "[profiles.dev.log]\nlevel = \"debug\"");
    let late = named("conf.d/30.yaml", "log: {level: error}");
    let variable = environment(&[("GHOSTLLM_LOG__LEVEL", "trace")]);
    let argument = set(&["log.level=info"]);
    assert_eq!(level(&[]), LogLevel::Info);
    let mut sources = vec![main];
    assert_eq!(level(&sources), LogLevel::Error);
    sources.push(part);
    assert_eq!(level(&sources), LogLevel::Warn);
    sources.extend([tables, late]);
    assert_eq!(level(&sources), LogLevel::Error, "no profile is chosen");
    // A profile lies over every file, also over those that come behind its own.
    sources.push(profile("dev"));
    assert_eq!(level(&sources), LogLevel::Debug);
    sources.push(variable);
    assert_eq!(level(&sources), LogLevel::Trace);
    sources.push(argument);
    assert_eq!(level(&sources), LogLevel::Info);
}

#[test]
fn the_last_choice_of_a_profile_counts() {
    let tables = "[profiles.dev.log]\nlevel = \"debug\"\n[profiles.staging.log]\nlevel = \"warn\"\n\
                  [profiles.prod.log]\nlevel = \"error\"";
    let main = named("a.toml", &format!("profile = \"dev\"\n{tables}"));
    assert_eq!(level(std::slice::from_ref(&main)), LogLevel::Debug);
    let part = named("b.toml", "profile = \"staging\"");
    assert_eq!(level(&[main.clone(), part.clone()]), LogLevel::Warn);
    let variable = environment(&[("GHOSTLLM_PROFILE", "prod")]);
    assert_eq!(level(&[main.clone(), part.clone(), variable.clone()]), LogLevel::Error);
    let argument = set(&["profile=dev"]);
    let sources = [main, part, variable, argument];
    assert_eq!(level(&sources), LogLevel::Debug);
    // Wherever it stands among the sources.
    let flagged = [[profile("staging")].as_slice(), &sources].concat();
    assert_eq!(level(&flagged), LogLevel::Warn);
}

#[test]
fn a_profile_is_laid_over_itself_from_file_to_file() {
    let backend = "[[backends]]\nname = \"a\"\nkind = \"openai\"\nurl = \"http://a:1\"\nkey_file = \"/a\"\n";
    let config = loaded(&[
        named("a.toml", &format!("profile = \"prod\"\n{backend}[limits]\nthreads = 1\nstreams = 1")),
        named(
            "b.toml",
            "[profiles.prod]\nlimits = { threads = 2 }\n[[profiles.prod.backends]]\nname = \"a\"\nurl = \"http://b:1\"\n\
             [[profiles.prod.backends]]\nname = \"b\"\nkind = \"gguf\"\npath = \"/b\"",
        ),
        named("c.toml", "[profiles.prod.limits]\nthreads = 3\n[profiles.dev.limits]\nthreads = 4"),
    ])
    .config;
    assert_eq!((config.limits.threads, config.limits.streams), (3, 1));
    let [a, b] = config.backends.as_slice() else { panic!("two backends") };
    assert_eq!(a.target, Target::OpenAi("http://b:1".parse().unwrap()));
    assert_eq!(a.key_file, Some(SecretFile::Path("/a".into())));
    assert_eq!(b.target, Target::Gguf("/b".into()));
}

#[test]
fn a_backend_that_two_files_make_impossible_names_both() {
    let main = named("a.toml", "[[backends]]\nname = \"x\"\nkind = \"ollama\"\nurl = \"http://a:1\"");
    let part = named("b.toml", "[[backends]]\nname = \"x\"\nkind = \"gguf\"");
    assert_eq!(
        refused(&[main, part]),
        [
            "a.toml:4:7: backend \"x\" is a gguf file, which has no url; take the url away or change the kind; its kind stands \
          at b.toml:3:8"
        ]
    );
}

#[test]
fn a_profile_that_is_not_there_is_refused() {
    let there = "[profiles.prod.log]\nlevel = \"warn\"\n";
    for (sources, wanted) in [
        (
            vec![file("profile = \"pord\"")],
            "ghostllm.toml:1:11: profile: \"pord\" is not known (did you mean \"prod\"?); expected \"dev\"",
        ),
        (vec![file("profile = 1")], "ghostllm.toml:1:11: profile: this is a number; expected \"dev\""),
        (
            vec![file(there), environment(&[("GHOSTLLM_PROFILE", "stagin")])],
            "environment variable GHOSTLLM_PROFILE: profile: \"stagin\" is not known (did you mean \"staging\"?); expected",
        ),
        (vec![file(there), profile("porD")], "--profile: \"porD\" is no profile: expected \"dev\""),
        (
            vec![profile("prod")],
            "--profile: profile: no file has a table [profiles.prod]; write its settings there",
        ),
        (
            vec![file(there), set(&["profile=dev"])],
            "--set profile: profile: no file has a table [profiles.dev]; the profiles that are there are prod",
        ),
        (
            vec![file("[profiles.dve.log]\nlevel = \"warn\"")],
            "ghostllm.toml:1:11: unknown profile \"dve\"; did you mean \"dev\"?",
        ),
        (vec![file("profiles = 1")], "ghostllm.toml:1:12: profiles: expected tables"),
        (vec![file("[profiles]\nprod = 1")], "ghostllm.toml:2:8: profiles.prod: expected a table"),
        (
            vec![environment(&[("GHOSTLLM_PROFILES__DEV__LOG__LEVEL", "warn")])],
            "environment variable GHOSTLLM_PROFILES__DEV__LOG__LEVEL: a profile is written in a file",
        ),
        (
            vec![set(&["profiles.dev.log.level=warn"])],
            "--set profiles.dev.log.level: a profile is written in a file",
        ),
        (
            vec![file("[profiles.dev]\nprofile = \"prod\"")],
            "ghostllm.toml:2:1: unknown key \"profile\" in [profiles.dev]; a profile holds settings",
        ),
        (
            vec![file("[profiles.dev.profiles.prod]")],
            "ghostllm.toml:1:15: unknown key \"profiles\" in [profiles.dev]; a profile holds settings",
        ),
    ] {
        let errors = refused(&sources);
        assert_eq!(errors.len(), 1, "{errors:#?}");
        assert!(errors[0].starts_with(wanted), "{errors:#?}\nwanted {wanted}");
    }
    assert_eq!(level(&[file(there), profile("prod")]), LogLevel::Warn);
    // An empty table is one.
    loaded(&[file("profile = \"dev\"\n[profiles.dev]")]);
}

#[test]
fn a_stray_key_in_any_table_of_any_profile_is_refused() {
    for name in Profile::WORDS {
        let of_profile = |line: &str| {
            let line = line.replace("[[", &format!("[[profiles.{name}."));
            if line.starts_with("[[") { line } else { line.replacen('[', &format!("[profiles.{name}."), 1) }
        };
        let sample =
            SAMPLE.lines().map(|line| if line.starts_with('[') { of_profile(line) } else { line.to_owned() });
        let mut lines: Vec<String> = sample.collect();
        lines[0] = format!("[profiles.{name}]");
        loaded(&[file(&lines.join("\n"))]);
        let tables: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].starts_with('[')).collect();
        assert_eq!(tables.len(), 15);
        for at in tables {
            lines.insert(at + 1, " strayed = 1".to_owned());
            let errors = refused_file(&lines.join("\n"));
            lines.remove(at + 1);
            assert_eq!(errors.len(), 1, "{errors:?}");
            let start = format!("ghostllm.toml:{}:2: unknown key \"strayed\" in [profiles.{name}", at + 2);
            assert!(errors[0].starts_with(&start), "{errors:?}");
        }
    }
}

#[test]
fn no_source_hides_the_faults_of_another() {
    let errors = refused(&[
        named("a.toml", "[log]\nlevel = \"loud\"\n[limits]\nthreads = \"many\""),
        named("b.toml", "[log]\nlevel = 7\n[profiles.prod.listen]\ntls = 1\n[profiles.prod.log]\nlevl = 1"),
        environment(&[("GHOSTLLM_LOG__LEVEL", "info"), ("GHOSTLLM_LIMITS__THREADS", "x")]),
        set(&["limits.threads=1", "listen=x"]),
    ]);
    let starts = [
        "a.toml:2:9: log.level: \"loud\"",
        "a.toml:4:11: limits.threads: this is a string",
        "b.toml:2:9: log.level: this is a number",
        "b.toml:4:7: profiles.prod.listen.tls: this is a number",
        "b.toml:6:1: unknown key \"levl\" in [profiles.prod.log]; did you mean \"level\"?",
        "environment variable GHOSTLLM_LIMITS__THREADS: limits.threads: \"x\" is not a whole number",
        "--set listen: listen: expected a table",
    ];
    assert_eq!(errors.len(), starts.len(), "{errors:#?}");
    for (error, start) in errors.iter().zip(starts) {
        assert!(error.starts_with(start), "{error}\nwanted {start}");
    }
    // A file that cannot be parsed hides only what all of them say together.
    let errors =
        refused(&[named("a.toml", "= 1"), named("b.yaml", "log: [1"), named("c.toml", "[log]\nx = 1")]);
    let starts =
        ["a.toml:1:1: not valid TOML", "b.yaml:1:6: not valid YAML", "c.toml:2:1: unknown key \"x\""];
    assert_eq!(errors.len(), starts.len(), "{errors:#?}");
    for (error, start) in errors.iter().zip(starts) {
        assert!(error.starts_with(start), "{error}\nwanted {start}");
    }
}

#[test]
fn what_is_no_utf8_is_refused_with_its_place() {
    use std::os::unix::ffi::OsStringExt as _;
    let source =
        Source::File { name: "a.toml".to_owned(), bytes: b"[log]\n# \xc3\xa9\nlevel = \"\xff\"".to_vec() };
    assert_eq!(refused(&[source]), ["a.toml:3:10: these bytes are no UTF-8; save the file as UTF-8"]);
    let bytes = OsString::from_vec(vec![b'x', 0xff]);
    let ours =
        Source::Environment(vec![("GHOSTLLM_LOG__LEVEL".into(), bytes.clone()), ("PATH".into(), bytes)]);
    let errors = refused(&[ours]);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].starts_with("environment variable GHOSTLLM_LOG__LEVEL: "), "{errors:?}");
}

#[test]
fn no_secret_is_taken_and_none_is_repeated() {
    let backend = |line: &str| format!("[[backends]]\nname = \"a\"\nkind = \"openai\"\n{line}");
    for (line, hint) in [
        ("url = \"http://user:hunter2@box:1\"", "use key_file"),
        ("url = \"http://box:1/v1?key=hunter2\"", "may stand in the address"),
        ("url = \"http://box:1\"\napi_key = \"hunter2\"", "write key_file"),
        ("url = \"http://box:1\"\ntoken = \"hunter2\"", "write key_file"),
        ("url = \"http://box:1\"\nkey_file = \"hunter2 \"", "systemd credential"),
        ("url = \"http://box:1\"\nkey_file = \"sk-hunter2\"", "the secret itself"),
        ("url = \"http://box:1\"\nkey_file = [\"hunter2\"]", "systemd credential"),
    ] {
        let errors = refused_file(&backend(line));
        assert_eq!(errors.len(), 1, "{errors:#?}");
        assert!(errors[0].contains(hint) && !errors[0].contains("hunter2"), "{errors:#?}");
    }
    for argument in ["backends.a.api_key=hunter2", "backends.a.url=http://x:hunter2@b"] {
        let errors = refused(&[file(&backend("url = \"http://box:1\"")), set(&[argument])]);
        assert!(!errors.concat().contains("hunter2"), "{errors:#?}");
    }
}

/// What one source says of a few settings.
#[derive(Debug, Clone, Default)]
struct Says {
    level: Option<&'static str>,
    threads: Option<usize>,
    names: Option<Vec<&'static str>>,
    backends: Vec<(&'static str, u16, Option<u8>)>,
}

fn says() -> impl Strategy<Value = Says> {
    let level = proptest::option::of(prop::sample::select(vec!["error", "warn", "debug", "trace"]));
    let threads = proptest::option::of(1..1000_usize);
    let names = proptest::option::of(prop::sample::subsequence(vec!["a.lan", "b.lan", "c.lan"], 0..=3));
    let of_name = |name: &'static str| {
        proptest::option::of(
            (1..9999_u16, proptest::option::of(0..9_u8)).prop_map(move |(port, key)| (name, port, key)),
        )
    };
    let backends = (of_name("one"), of_name("two"))
        .prop_map(|(one, two)| one.into_iter().chain(two).collect::<Vec<_>>());
    (level, threads, names, backends).prop_map(|(level, threads, names, backends)| Says {
        level,
        threads,
        names,
        backends,
    })
}

impl Says {
    fn toml(&self, within: &str) -> String {
        let mut text = format!("[{within}log]\n");
        if let Some(level) = self.level {
            text.push_str(&format!("level = \"{level}\"\n"));
        }
        if let Some(threads) = self.threads {
            text.push_str(&format!("[{within}limits]\nthreads = {threads}\n"));
        }
        if let Some(names) = &self.names {
            text.push_str(&format!("[{within}listen]\nnames = {names:?}\n"));
        }
        for (name, port, key) in &self.backends {
            text.push_str(&format!("[[{within}backends]]\nname = \"{name}\"\nkind = \"openai\"\n"));
            text.push_str(&format!("url = \"http://box:{port}\"\n"));
            if let Some(key) = key {
                text.push_str(&format!("key_file = \"/{key}\"\n"));
            }
        }
        text
    }

    /// As keys, dotted, and values.
    fn pairs(&self) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        let mut put = |key: &str, value: String| pairs.push((key.to_owned(), value));
        if let Some(level) = self.level {
            put("log.level", level.to_owned());
        }
        if let Some(threads) = self.threads {
            put("limits.threads", threads.to_string());
        }
        if let Some(names) = &self.names {
            put("listen.names", names.join(","));
        }
        for (name, port, key) in &self.backends {
            put(&format!("backends.{name}.kind"), "openai".to_owned());
            put(&format!("backends.{name}.url"), format!("http://box:{port}"));
            if let Some(key) = key {
                put(&format!("backends.{name}.key_file"), format!("/{key}"));
            }
        }
        pairs
    }

    /// The second reading: `over` lies over this.
    fn under(mut self, over: &Self) -> Self {
        self.level = over.level.or(self.level);
        self.threads = over.threads.or(self.threads);
        self.names = over.names.clone().or(self.names);
        for (name, port, key) in &over.backends {
            match self.backends.iter_mut().find(|(mine, ..)| mine == name) {
                Some(mine) => *mine = (*name, *port, key.or(mine.2)),
                None => self.backends.push((*name, *port, *key)),
            }
        }
        self
    }
}

/// A backend's name, url and key.
type Where = (String, String, Option<String>);

fn of(config: &Config) -> (LogLevel, usize, Vec<String>, Vec<Where>) {
    let names = config.listen.names.iter().map(ToString::to_string).collect();
    let backend = |backend: &Backend| {
        let Target::OpenAi(url) = &backend.target else { panic!("another kind") };
        (backend.name.to_string(), url.to_string(), backend.key_file.as_ref().map(ToString::to_string))
    };
    (config.log.level, config.limits.threads, names, config.backends.iter().map(backend).collect())
}

proptest! {
    /// Against a second reading of the order: files, the profile's tables, the environment, the arguments.
    #[test]
    fn sources_are_merged_in_their_order(
        files in proptest::collection::vec((says(), says(), says()), 0..4),
        variables in says(),
        arguments in says(),
        choice in proptest::option::of(prop::sample::select(vec!["dev", "prod"])),
        by_flag in any::<bool>(),
    ) {
        let choice = choice.filter(|_| !files.is_empty());
        let mut sources = Vec::new();
        for (at, (own, dev, prod)) in files.iter().enumerate() {
            let text = [own.toml(""), dev.toml("profiles.dev."), prod.toml("profiles.prod.")].concat();
            // Every other one is YAML, as which JSON is read.
            sources.push(match at % 2 {
                0 => named(&format!("{at}.toml"), &text),
                _ => named(&format!("{at}.yaml"), &serde_json::to_string(&text.parse::<toml::Table>().unwrap()).unwrap()),
            });
        }
        let variable = |(key, value): (String, String)| {
            (format!("GHOSTLLM_{}", key.to_uppercase().replace('.', "__")).into(), value.into())
        };
        let mut pairs: Vec<(OsString, OsString)> = variables.pairs().into_iter().map(variable).collect();
        match choice {
            Some(name) if by_flag => sources.push(profile(name)),
            Some(name) => pairs.push(("GHOSTLLM_PROFILE".into(), name.into())),
            None => {}
        }
        sources.push(Source::Environment(pairs));
        sources.push(Source::Set(arguments.pairs().iter().map(|(key, value)| format!("{key}={value}")).collect()));

        let chosen = files.iter().map(|(_, dev, prod)| if choice == Some("dev") { dev } else { prod });
        let chosen = chosen.filter(|_| choice.is_some());
        let order = files.iter().map(|(own, ..)| own).chain(chosen).chain([&variables, &arguments]);
        let expected = order.fold(Says::default(), Says::under);

        let loaded = Loaded::read(&sources).unwrap();
        let backends = expected.backends.iter().map(|(name, port, key)| {
            ((*name).to_owned(), format!("http://box:{port}"), key.map(|key| format!("/{key}")))
        });
        let names = expected.names.unwrap_or_default().into_iter().map(str::to_owned);
        let level = expected.level.map_or(LogLevel::Info, |word| LogLevel::from_word(word).unwrap());
        let expected = (level, expected.threads.unwrap_or(0), names.collect::<Vec<_>>(), backends.collect::<Vec<_>>());
        prop_assert_eq!(of(&loaded.config), expected);
        // And what is shown is the same once more.
        let shown = Config::load(&[file(&loaded.show())]).unwrap();
        prop_assert_eq!(shown, loaded.config);
    }
}
