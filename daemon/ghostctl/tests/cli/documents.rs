//! The man pages and completions in `packaging/docs`, against what is generated now (`just docs`).

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

use tempfile::tempdir;

#[path = "../../examples/ghostctl-documents/render.rs"]
pub(crate) mod render;

fn kept() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../packaging/docs")
}

#[test]
fn the_kept_man_pages_and_completions_are_what_the_commands_are_now() {
    let mut names = BTreeSet::new();
    for (name, text) in render::all(&ghostctl::command()).unwrap() {
        let there = fs::read(kept().join(&name)).unwrap_or_default();
        assert!(there == text, "{} is another; `just docs` renews it", name.display());
        names.insert(name);
    }
    for folder in ["man", "completions"] {
        for entry in fs::read_dir(kept().join(folder)).unwrap() {
            let name = PathBuf::from(folder).join(entry.unwrap().file_name());
            let ours = name.display().to_string().contains("ghostctl");
            assert!(!ours || names.contains(&name), "{} is of a command that is no more", name.display());
        }
    }
}

#[test]
fn man_finds_nothing_to_warn_of() {
    if Command::new("man").arg("--version").output().is_err() {
        println!("not run here: man_finds_nothing_to_warn_of, since there is no man(1)");
        return;
    }
    for entry in fs::read_dir(kept().join("man")).unwrap() {
        let page = entry.unwrap().path();
        let output = Command::new("man")
            .args(["--warnings", "-E", "UTF-8", "-l"])
            .arg(&page)
            .env("MANWIDTH", "80")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", page.display());
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{}", page.display());
        assert!(output.stdout.len() > 200, "{}", page.display());
    }
}

#[test]
fn the_completions_are_taken_by_their_shells() {
    let dir = tempdir().unwrap();
    for (shell, check) in [
        ("bash", "source \"$1\" && complete -p ghostctl"),
        ("zsh", "autoload -U compinit && compinit -D && source \"$1\""),
        ("fish", "source $argv[1]"),
    ] {
        let output = crate::program().args(["completion", shell]).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let file = dir.path().join(shell);
        fs::write(&file, &output.stdout).unwrap();
        let mut command = Command::new(shell);
        command.arg("-c").arg(check);
        if shell != "fish" {
            command.arg(shell);
        }
        match command.arg(&file).output() {
            Ok(taken) => assert!(taken.status.success() && taken.stderr.is_empty(), "{shell}: {taken:?}"),
            Err(error) => {
                println!("not sourced here: the completions of {shell}, since it cannot be run ({error})");
            }
        }
    }
}
