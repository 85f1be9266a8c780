//! Names of models: what is taken, what is refused, and in which words.

use super::{super::*, *};
use crate::chat::Think;

fn file(text: &str) -> Source {
    Source::File { name: "a.toml".to_owned(), bytes: text.into() }
}

fn models(text: &str) -> Vec<NamedModel> {
    Config::load(&[file(text)]).unwrap_or_else(|errors| panic!("{errors:#?}")).models
}

fn refused(text: &str) -> Vec<String> {
    Config::load(&[file(text)]).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn every_setting_is_read_into_its_default() {
    let all = "[[models]]\nname = \"gpt-4o-mini\"\ntarget = \"qwen3:8b\"\nhidden = true\ncontext = 8192\nkeep_alive = \"1h30m\"\n\
               temperature = 0.5\ntop_p = 1\ntop_k = 0\nmin_p = 0.05\nrepeat_penalty = 1.1\nfrequency_penalty = -2\n\
               presence_penalty = 2.0\nseed = -9223372036854775808\nmax_tokens = 2147483647\nthink = \"max\"";
    let [model] = models(all).try_into().unwrap();
    assert_eq!((model.name.as_str(), model.meant(), model.hidden), ("gpt-4o-mini", "qwen3:8b", true));
    let sampling = Sampling {
        temperature: Some(0.5),
        top_p: Some(1.0),
        top_k: Some(0),
        min_p: Some(0.05),
        repeat_penalty: Some(1.1),
        frequency_penalty: Some(-2.0),
        presence_penalty: Some(2.0),
        seed: Some(i64::MIN),
    };
    let defaults = Defaults {
        sampling,
        max_tokens: Some(2_147_483_647),
        think: Some(Think::Most),
        num_ctx: Some(8192),
        keep_alive: Some(5400),
    };
    assert_eq!(model.defaults, defaults);
    let shown = Loaded::read(&[file(all)]).unwrap().show();
    assert_eq!(models(&shown), [model], "{shown}");
    assert!(shown.contains("keep_alive = \"1h30m\" # a.toml:6:14\n"), "{shown}");
    let [bare] = models("[[models]]\nname = \"a/b:c.d e\"").try_into().unwrap();
    assert_eq!((bare.meant(), bare.hidden, bare.defaults), ("a/b:c.d e", false, Defaults::default()));
}

#[test]
fn words_that_people_write_are_taken() {
    for (value, think) in
        [("true", Think::On), ("false", Think::Off), ("\"on\"", Think::On), ("\"low\"", Think::Low)]
    {
        let [model] = models(&format!("[[models]]\nname = \"a\"\nthink = {value}")).try_into().unwrap();
        assert_eq!(model.defaults.think, Some(think), "{value}");
    }
    for (value, seconds) in [("forever", -1), ("0s", 0), ("5m", 300)] {
        let [model] =
            models(&format!("[[models]]\nname = \"a\"\nkeep_alive = \"{value}\"")).try_into().unwrap();
        assert_eq!(model.defaults.keep_alive, Some(seconds), "{value}");
    }
}

#[test]
fn other_sources_name_them_too() {
    let variables =
        [("GHOSTLLM_MODELS__GPT_4O_MINI__TARGET", "tiny"), ("GHOSTLLM_MODELS__GPT_4O_MINI__THINK", "off")];
    let environment =
        Source::Environment(variables.iter().map(|(name, value)| (name.into(), value.into())).collect());
    let set = |key: &str| Source::Set(vec![key.to_owned()]);
    let loaded = Loaded::read(&[
        file("[[models]]\nname = \"gpt-4.1\"\ntarget = \"other\""),
        environment,
        set("models.\"gpt-4.1\".temperature=0.5"),
        set("models.\"gpt-4.1\".target=tiny"),
        set("models.plain.seed=-1"),
    ])
    .unwrap();
    let [dotted, mini, plain] = loaded.config.models.as_slice() else { panic!("{:?}", loaded.config.models) };
    assert_eq!((dotted.name.as_str(), dotted.meant()), ("gpt-4.1", "tiny"));
    assert_eq!(dotted.defaults.sampling.temperature, Some(0.5));
    assert_eq!((mini.name.as_str(), mini.meant()), ("gpt-4o-mini", "tiny"));
    assert_eq!(mini.defaults.think, Some(Think::Off));
    assert_eq!((plain.name.as_str(), plain.defaults.sampling.seed), ("plain", Some(-1)));
    let place = loaded.place_of("models.\"gpt-4.1\".temperature").unwrap().to_string();
    assert_eq!(place, "--set models.\"gpt-4.1\".temperature");
    assert!(!Config::names_file("models.\"gpt-4.1\".target") && Config::names_file("backends.a.path"));
}

#[test]
fn a_name_stands_for_a_model_and_not_for_a_name() {
    let name = |name: &str, target: &str| format!("[[models]]\nname = \"{name}\"\ntarget = \"{target}\"\n");
    assert_eq!(
        refused(&name("a", "a")),
        [
            "a.toml:3:10: models.target: \"a\" would stand for itself; take target away, or name the model that answers"
        ]
    );
    assert_eq!(
        refused(&(name("a", "b") + &name("b", "c"))),
        ["a.toml:3:10: models.target: \"b\" is itself another name, for \"c\"; write target = \"c\""]
    );
    let loop_of_two = refused(&(name("a", "b") + &name("b", "a")));
    assert_eq!(loop_of_two.len(), 2, "{loop_of_two:?}");
    assert!(loop_of_two[0].contains("one of them must name a model of a backend"), "{loop_of_two:?}");
    assert_eq!(refused(&(name("a", "b") + &name("b", "c") + &name("c", "a"))).len(), 3);
    assert_eq!(models(&(name("a", "b") + "[[models]]\nname = \"b\"\n" + &name("c", "b"))).len(), 3);
}

#[test]
fn a_model_has_one_context() {
    let two = |first: &str, second: &str| {
        format!(
            "[[models]]\nname = \"a\"\ntarget = \"tiny\"\n{first}\n[[models]]\nname = \"tiny:latest\"\n{second}"
        )
    };
    assert_eq!(
        refused(&two("context = 1", "context = 2")),
        [
            "a.toml:7:11: models.context: \"a\" has another context for the same model, \"tiny:latest\", which would be loaded anew \
          for each change between them; write it once"
        ]
    );
    assert_eq!(refused(&two("keep_alive = \"1s\"", "keep_alive = \"forever\"")).len(), 1);
    for (first, second) in [("context = 1", ""), ("", "context = 1"), ("context = 1", "context = 1")] {
        assert_eq!(models(&two(first, second)).len(), 2);
    }
    assert_eq!(models(&two("context = 1", "context = 2").replace("tiny:latest", "tiny:q4")).len(), 2);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (line, words) in [
        ("name = \"\"", "a model's name has 1 to 256 bytes"),
        (
            "temperature = 2.01",
            "models.temperature: 2.01 is not between 0 and 2; expected a number from 0 to 2",
        ),
        ("top_p = \"0.5\"", "models.top_p: this is a string; expected a number from 0.01 to 1"),
        ("top_p = 0", "models.top_p: 0 is not between 0.01 and 1"),
        ("repeat_penalty = 0.0", "models.repeat_penalty: 0 is not between 0.01 and 10"),
        ("min_p = nan", "models.min_p: this is no finite number"),
        ("repeat_penalty = 99999999999", "is not between 0 and 10"),
        ("context = 0", "models.context: expected a number from 1 to 2147483647"),
        ("think = \"lots\"", "models.think: \"lots\" is not known; expected \"off\", \"on\", \"low\""),
        ("keep_alive = \"500ms\"", "is no whole number of seconds"),
        ("keep_alive = -1", "expected a duration of whole seconds with its unit (s, m, h), or \"forever\""),
        ("seed = 0.5", "this is a number with a fraction, or one that is too large"),
        ("num_ctx = 5", "unknown key \"num_ctx\" in [models]"),
    ] {
        let name = if line.starts_with("name") { "" } else { "name = \"a\"\n" };
        let errors = refused(&format!("[[models]]\n{name}{line}"));
        assert!(errors.len() == 1 && errors[0].contains(words), "{line}: {errors:?}");
    }
    let table = refused("[models.\"gpt-4o-mini\"]\ntarget = \"tiny\"");
    assert_eq!(
        table,
        ["a.toml:1:2: models are written one by one, each under a line [[models]] with a name"]
    );
}
