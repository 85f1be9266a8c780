//! The reference page, in Markdown.
//!
//! Knows Markdown. Refuses to know the settings. Invariant: every setting stands there once, with its type, its default
//! and its variable.

use super::sections;
use crate::config::{
    LISTS,
    describe::{Described, DescribedSetting, joined},
};

const INTRODUCTION: &str = "\
# Configuration

`ghostllm config reference` prints this page. Nothing needs to be configured: every setting has a default.

## Where settings come from

Of several sources the later one wins. Single values and lists are replaced; `[[backends]]`, `[[health]]` and `[[models]]` are
laid over each other by `name`.

1. The defaults below.
2. `/etc/ghostllm/ghostllm.toml`; where that directory has no configuration, `$XDG_CONFIG_HOME/ghostllm/ghostllm.toml`
   (`~/.config/ghostllm/ghostllm.toml`). `--config FILE` names another.
3. `conf.d/*.toml` in the same directory, in the order of their names. A file that `--config` names elsewhere stands alone.
4. The chosen profile: the tables below `[profiles.dev]`, `[profiles.staging]` or `[profiles.prod]`, of all files. It is
   chosen by `profile = \"dev\"` at the top of a file, by `GHOSTLLM_PROFILE` or by `--profile dev`; the last of these wins. A
   profile's tables may hold everything but `profile` and `profiles`: `[profiles.dev.listen]`, `[[profiles.dev.backends]]`.
5. What `ghostctl config set log.level debug` has kept in the state directory; `ghostctl config unset log.level` takes it away.
   Settings that name a file, `profile`, and where a backend is that has a key, are set on the box alone, not with an admin's key.
6. The environment: `GHOSTLLM_LISTEN__TLS` is `tls` in `[listen]`, `GHOSTLLM_BACKENDS__MY_BOX__URL` the `url` of the backend
   `my-box`. Lists are written with commas. A model whose name has more than small letters, digits and hyphens has no variable.
7. `--set listen.tls=[::]:443`, `--set backends.my-box.url=http://…`. A name with dots stands in quotes:
   `--set 'models.\"gpt-4.1\".target=qwen3:8b'`, and likewise for `ghostctl config set`.

A file whose name ends in `.yaml` or `.yml` is read as YAML, with the same keys; anchors, tags and merge keys are refused.

Every source is checked by itself, also what another one replaces and also the profiles that are not chosen. All faults are
told at once, each with its place, and nothing starts until there is none: `ghostllm config check [FILE]` ends with 2 where
there is one, with 0 where there is none. `ghostllm config show` prints every value with where it comes from.

## Changes while it runs

SIGHUP, which `systemctl reload` sends where the unit says `ExecReload=kill -HUP $MAINPID`, has a running program read everything
anew; by itself it does so about four seconds after a file has changed (`limits.config_interval`) or one has appeared in
`conf.d`. What the files of `key_file`, `certificate` and `key` hold is read with it. The environment, the options and the
system's trusted certificates are those of its start. A file that vanishes, is renamed or emptied would have its settings fall
back to the defaults, which may open what it has closed: that is taken on SIGHUP or `ghostctl reload` alone.

It is taken whole or not at all. Where anything is wrong, all stays as it was, and the log and `systemctl status` name the
line, until it is mended. Open connections and streams live on: limits hold for connections and requests that begin
afterwards, and a backend that is taken away ends what it has begun. Settings that say so below stay as they are until a
restart; they are named as well. Our own engine, once it runs, does so until the end.

## Secrets

No setting holds a secret. `key_file` of a backend, and `key` in `[listen]`, name a file by its whole path (`/etc/…`), or a
systemd credential by its name alone: with `LoadCredential=vllm-key:/etc/ghostllm/vllm.key` in the unit, `key_file =
\"vllm-key\"` is the file of that name in `$CREDENTIALS_DIRECTORY`. A user or password in a backend's `url` is refused.

## The top of a file

`profile`: \"dev\", \"staging\" or \"prod\"; none is chosen by itself. Variable `GHOSTLLM_PROFILE`, option `--profile`.
";

/// Writes it.
pub(in crate::config) fn text() -> String {
    let mut out = INTRODUCTION.to_owned();
    for section in sections() {
        describe(&mut out, &section);
    }
    out
}

fn describe(out: &mut String, section: &Described) {
    let label = section.label.trim_start_matches("# ");
    out.push_str(&format!("\n## {label}\n\n{}\n", joined(section.about)));
    for setting in &section.settings {
        entry(out, section.name(), setting);
    }
}

fn entry(out: &mut String, section: &str, setting: &DescribedSetting) {
    let DescribedSetting { key, expected, example, .. } = setting;
    let default = match &setting.default {
        Some(value) => format!("Default: `{value}`."),
        None => format!("Not set by itself; for example `{example}`."),
    };
    let variable = match section {
        // The name stands in the variable's own.
        _ if *key == "name" && LISTS.iter().any(|list| list.key == section) => String::new(),
        _ => format!(" Variable: `{}`.", variable(section, key)),
    };
    out.push_str(&format!("\n### `{section}.{key}`\n\n{}\n\n", setting.line()));
    out.push_str(&format!("Type: {expected}. {default}{variable}\n"));
}

fn variable(section: &str, key: &str) -> String {
    let list = section.split('.').next().filter(|first| LISTS.iter().any(|list| list.key == *first));
    let path = format!("{section}.{key}");
    let path = list.map_or(path.clone(), |list| path.replacen(list, &format!("{list}.<name>"), 1));
    let upper = path.to_uppercase().replace("<NAME>", "<name>");
    format!("GHOSTLLM_{}", upper.replace('.', "__"))
}
