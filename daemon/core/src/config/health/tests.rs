use super::*;
use crate::config::{Config, Loaded, Source, values::ByteSize};

fn read(text: &str) -> Result<Config, Vec<String>> {
    let source = Source::File { name: "a.toml".to_owned(), bytes: text.as_bytes().to_vec() };
    Config::load(&[source]).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn check(lines: &str) -> Result<Subject, String> {
    match read(&format!("[[health]]\nname = \"x\"\n{lines}")) {
        Ok(config) => Ok(config.health[0].subject.clone()),
        Err(errors) => Err(errors.join("\n")),
    }
}

#[test]
fn each_kind_is_read_and_shown_as_it_is() {
    let text = "[[backends]]\nname = \"a\"\nkind = \"ollama\"\nurl = \"http://127.0.0.1:1\"\n\
                [[health]]\nname = \"one\"\nbackend = \"a\"\n[[health]]\nname = \"two\"\nmodel = \"a/b:c\"\n\
                [[health]]\nname = \"three\"\ndisk = \"/var\"\nfree = \"5%\"\n\
                [[health]]\nname = \"four\"\ngpu = \"0\"\nfree = 1024\n\
                [[health]]\nname = \"five\"\ngpu = \"GPU-0a-1\"\nbelow_slowdown = 10\n";
    let config = read(text).unwrap();
    let subjects: Vec<_> = config.health.iter().map(|check| check.subject.clone()).collect();
    let kib = Room::Bytes(ByteSize::new(1024));
    assert_eq!(
        subjects,
        [
            Subject::Backend("a".parse().unwrap()),
            Subject::Model("a/b:c".parse().unwrap()),
            Subject::Disk { path: PathBuf::from("/var"), free: Room::Percent(5) },
            Subject::Cards { which: CardChoice::Number(0), margin: Margin::Free(kib) },
            Subject::Cards {
                which: CardChoice::Uuid("GPU-0a-1".to_owned()),
                margin: Margin::BelowSlowdown(10)
            },
        ]
    );
    let source = Source::File { name: "a.toml".to_owned(), bytes: text.as_bytes().to_vec() };
    let shown = Loaded::read(&[source]).unwrap().show();
    assert!(shown.contains("free = \"5%\" # a.toml:14:8"), "{shown}");
    assert_eq!(read(&shown).unwrap(), config);
}

#[test]
fn what_is_not_whole_says_what_to_write() {
    for (lines, wanted) in [
        ("", "a.toml:2:8: check \"x\" looks at nothing; write backend"),
        ("disk = \"/\"", "has no threshold; write what must be free"),
        ("disk = \"var\"\nfree = \"1%\"", "a.toml:3:8: check \"x\" has a disk that is no whole path"),
        ("disk = \"/\"\nfree = \"0%\"", "no share from 1% to 100%"),
        ("disk = \"/\"\nfree = \"101%\"", "no share from 1% to 100%"),
        ("disk = \"/\"\nfree = 0", "0 is never missing"),
        ("disk = \"/\"\nfree = \"1TB\"", "is not a size; expected a size in bytes"),
        ("disk = \"/\"\nbelow_slowdown = 5", "a.toml:4:18: check \"x\" is of a disk"),
        ("gpu = \"all\"", "for example free = \"2GiB\" or below_slowdown = 10"),
        ("gpu = \"all\"\nfree = \"1%\"\nbelow_slowdown = 5", "has two thresholds"),
        (
            "gpu = \"processor\"\nfree = \"1%\"",
            "a.toml:4:8: check \"x\" is of the processor, which has no memory",
        ),
        ("gpu = \"all\"\nbelow_slowdown = 0", "expected a number from 1 to 100"),
        ("gpu = \"all\"\nbelow_slowdown = 101", "expected a number from 1 to 100"),
        (
            "gpu = \"first\"",
            "\"first\" names no card; expected \"all\", a card's number or its uuid (in [[health]] also \"processor\")",
        ),
        ("model = \"m\"\nfree = \"1%\"", "is of a model, which answers or does not; take free away"),
        ("backend = \"ollama\"\nbelow_slowdown = 5", "take below_slowdown away"),
        ("model = \"m\"\ndisk = \"/\"", "a.toml:4:8: check \"x\" has model and disk"),
        ("model = \"\"", "a model's name has 1 to 256 bytes"),
        ("dsk = \"/\"", "did you mean \"disk\"?"),
    ] {
        let error = check(lines).unwrap_err();
        assert!(error.contains(wanted), "{lines}: {error}");
    }
}

#[test]
fn names_are_safe_in_a_path_and_stand_there_once() {
    for name in ["", "A", "a/b", "a b", "ü", "..", &"a".repeat(64)] {
        let error = read(&format!("[[health]]\nname = \"{name}\"\nmodel = \"m\"")).unwrap_err().join("\n");
        assert!(error.contains("it has only the letters a to z, digits and hyphens"), "{name}: {error}");
    }
    let one = "[[health]]\nname = \"x\"\nmodel = \"m\"\n";
    let error = read(&format!("{one}{one}")).unwrap_err().join("\n");
    assert!(error.contains("a check named \"x\" stands already at a.toml:2:8"), "{error}");
    let error = read("[[health]]\nmodel = \"m\"").unwrap_err().join("\n");
    assert!(error.contains("this check has no name; give it one, for example name = \"disk\""), "{error}");
    let error = read("health = 1").unwrap_err().join("\n");
    assert!(error.contains("checks are written one by one, each under a line [[health]]"), "{error}");
}

#[test]
fn a_backend_that_is_not_there_is_a_fault_that_names_those_that_are() {
    let backend = "[[backends]]\nname = \"box\"\nkind = \"ollama\"\nurl = \"http://127.0.0.1:1\"\n";
    let of = |name: &str| format!("[[health]]\nname = \"x\"\nbackend = \"{name}\"\n");
    assert!(read(&format!("{backend}{}", of("box"))).is_ok());
    let error = read(&format!("{backend}{}", of("bix"))).unwrap_err().join("\n");
    assert!(error.contains("a.toml:7:11: health.backend: there is no backend \"bix\""), "{error}");
    assert!(error.contains("did you mean \"box\"?"), "{error}");
    // Those that are found by themselves.
    assert!(read(&of("ollama")).is_ok() && read(&of("engine")).is_ok());
    let error = read(&of("vllm")).unwrap_err().join("\n");
    assert!(error.contains("the backends are ollama, engine"), "{error}");
}

#[test]
fn the_environment_names_checks_as_it_names_backends() {
    let pairs = [("GHOSTLLM_HEALTH__MY_DISK__DISK", "/"), ("GHOSTLLM_HEALTH__MY_DISK__FREE", "10%")];
    let pairs = pairs.map(|(name, value)| (name.into(), value.into())).to_vec();
    let config = Config::load(&[Source::Environment(pairs)]).unwrap();
    assert_eq!(config.health[0].name.as_str(), "my-disk");
    let set =
        |argument: &str| Config::load(&[Source::Set(vec![argument.to_owned()])]).unwrap_err()[0].to_string();
    assert!(set("health.x=1").contains("name a check and one of its settings, for example health.disk.free"));
    assert!(set("health.x.name=y").contains("a check's name is part of the key"));
    assert!(Config::names_file("health.x.disk") && !Config::names_file("health.x.free"));
}

#[test]
fn a_share_is_rounded_up_and_a_size_is_itself() {
    assert_eq!(Room::Percent(10).of(1000), 100);
    assert_eq!(Room::Percent(10).of(1001), 101);
    assert_eq!(Room::Percent(100).of(u64::MAX), u64::MAX);
    assert_eq!(Room::Bytes(ByteSize::new(7)).of(1), 7);
    for text in ["10%", "1GiB", "1B"] {
        assert_eq!(text.parse::<Room>().unwrap().to_string(), text);
    }
}
