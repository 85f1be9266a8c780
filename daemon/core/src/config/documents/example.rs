//! The example file: every setting with its words and its default.
//!
//! Knows TOML's comments. Refuses to know the settings. Invariant: it says nothing but defaults, as it is and with its
//! `#key` lines uncommented.

use super::sections;
use crate::config::describe::{Described, DescribedSetting, RESTART};

const INTRODUCTION: &str = "\
GhostLLM's configuration. Nothing here is needed: what stands here are the defaults. `ghostllm config check` looks
for faults, `ghostllm config show` prints every value with where it comes from.

It lies in /etc/ghostllm/ghostllm.toml, else in $XDG_CONFIG_HOME/ghostllm/ghostllm.toml; files in conf.d beside it
are laid over it in the order of their names. Over them lies the chosen profile (\"dev\", \"staging\" or \"prod\"), over
that what `ghostctl config set` has kept, then the environment, GHOSTLLM_LISTEN__TLS for tls in [listen], and then
--set listen.tls=…

A profile has tables of its own, [profiles.dev.listen] or [[profiles.dev.backends]], and is chosen by
profile = \"dev\" at the top of a file, by GHOSTLLM_PROFILE or by --profile.";

/// Writes it.
pub(in crate::config) fn text() -> String {
    let mut out = String::new();
    INTRODUCTION.lines().for_each(|line| comment(&mut out, line));
    for section in sections() {
        describe(&mut out, &section);
    }
    out
}

fn describe(out: &mut String, section: &Described) {
    out.push('\n');
    section.about.iter().for_each(|line| comment(out, line.trim()));
    out.push_str(section.label);
    out.push('\n');
    for setting in &section.settings {
        setting.words.iter().for_each(|line| comment(out, line.trim()));
        if setting.restart {
            comment(out, RESTART);
        }
        out.push_str(&line(setting));
    }
}

/// The default; a setting that has none shows an example.
fn line(setting: &DescribedSetting) -> String {
    let key = setting.key;
    match &setting.default {
        Some(value) => format!("#{key} = {value}\n"),
        None => format!("# Not set by itself; for example: {key} = {}\n", setting.example),
    }
}

fn comment(out: &mut String, line: &str) {
    out.push_str(if line.is_empty() { "#" } else { "# " });
    out.push_str(line);
    out.push('\n');
}
