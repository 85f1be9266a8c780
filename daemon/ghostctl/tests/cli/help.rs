//! Every help text, as it stands in `tests/help`. `GHOSTCTL_RENEW=1 cargo test -p ghostctl` writes them anew.

use std::{collections::BTreeSet, env, fs, path::PathBuf};

use unicode_width::UnicodeWidthStr;

use crate::program;

/// The names of every command, the words in their order.
fn commands(command: &clap::Command, before: &[String], all: &mut Vec<Vec<String>>) {
    all.push(before.to_vec());
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        let mut name = before.to_vec();
        name.push(inner.get_name().to_owned());
        commands(inner, &name, all);
    }
}

#[test]
fn every_help_text_is_the_kept_one_and_fits_into_80_columns_and_has_an_example() {
    let kept = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/help");
    let renew = env::var_os("GHOSTCTL_RENEW").is_some();
    let mut all = Vec::new();
    commands(&ghostctl::command(), &[], &mut all);
    assert!(all.len() > 25, "{all:?}");
    let mut files = BTreeSet::new();
    for name in all {
        let output = program().args(&name).arg("--help").output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{name:?}");
        assert!(output.stderr.is_empty(), "{name:?}");
        let help = String::from_utf8(output.stdout).unwrap();
        let wide = help.lines().find(|line| line.width() > 80);
        assert_eq!(wide, None, "{name:?}");
        let begin = format!("\nExample:\n  {}ghostctl", if name == ["cert", "trust"] { "sudo " } else { "" });
        assert!(help.contains(&begin), "{name:?}: {help}");
        let file = format!("{}.txt", [vec!["ghostctl".to_owned()], name].concat().join("-"));
        if renew {
            fs::write(kept.join(&file), &help).unwrap();
        }
        let wanted = fs::read_to_string(kept.join(&file)).unwrap_or_default();
        assert_eq!(help, wanted, "{file} is another; GHOSTCTL_RENEW=1 renews it");
        files.insert(file);
    }
    let there: BTreeSet<String> =
        fs::read_dir(&kept).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(there, files, "a help text is kept of a command that is no more");
}

#[test]
fn the_examples_are_commands_that_are_understood() {
    let mut all = Vec::new();
    commands(&ghostctl::command(), &[], &mut all);
    for name in all {
        let output = program().args(&name).arg("--help").output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        let example = help.rsplit_once("Example:\n  ").unwrap().1.trim();
        let words: Vec<String> = example
            .trim_start_matches("sudo ")
            .split(" > ")
            .next()
            .unwrap()
            .split(' ')
            .map(|word| word.trim_matches('\'').to_owned())
            .collect();
        let read = ghostctl::command().try_get_matches_from(&words);
        assert!(read.is_ok(), "{example}: {}", read.unwrap_err());
    }
}

#[test]
fn every_command_that_the_readme_names_is_understood() {
    let readme =
        fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).unwrap();
    let quoted = readme.split('`').skip(1).step_by(2).filter(|text| text.starts_with("ghostctl "));
    let lines = readme
        .lines()
        .map(|line| line.trim_start_matches("sudo "))
        .filter(|line| line.starts_with("ghostctl "));
    let all: Vec<&str> = quoted.chain(lines).map(|text| text.split(" #").next().unwrap().trim()).collect();
    assert!(all.len() >= 8, "{all:?}");
    for text in all {
        let words =
            text.split(['>', '|']).next().unwrap().split_whitespace().map(|word| word.trim_matches('\''));
        let read = ghostctl::command().try_get_matches_from(words);
        assert!(read.is_ok(), "{text}: {}", read.unwrap_err());
    }
}
