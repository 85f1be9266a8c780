//! `unsafe` stands where it is argued, and nowhere else: the workspace's lint refuses it, and these few expect it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::root;

/// The files that may hold it, and for what.
const EXPECTED: [(&str, &str); 4] = [
    ("daemon/gpu/benches/sampling.rs", "asks the stand-in for NVML by a C call what it has taken"),
    (
        "daemon/gpu/src/nvml.rs",
        "for its `raw`: NVML's calls that nvml-wrapper does not make, or makes otherwise",
    ),
    ("daemon/sys/src/lib.rs", "malloc_trim and mallopt, for which there is no safe crate"),
    ("tests/fake-nvml/lib.rs", "the stand-in for NVML, which C calls; nothing shipped has it"),
];
/// As an attribute has it; spelled so that this file is none of those that have it.
const LINT: &str = concat!("unsafe", "_code");

/// The files below `folder` of which `is_meant`, but for what is built there.
fn files(folder: &Path, is_meant: &dyn Fn(&Path) -> bool, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() && !path.is_symlink() && name != "target" && name != "node_modules" {
            files(&path, is_meant, found)?;
        } else if is_meant(&path) {
            found.push(path);
        }
    }
    Ok(())
}

fn sources(is_meant: impl Fn(&Path) -> bool) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for folder in ["daemon", "tests"] {
        files(&root().join(folder), &is_meant, &mut found)?;
    }
    found.sort();
    let read = |path: PathBuf| {
        let name = path.strip_prefix(root())?.display().to_string();
        Ok((name, fs::read_to_string(path)?))
    };
    found.into_iter().map(read).collect()
}

#[test]
fn every_crate_refuses_what_is_unsafe_and_these_files_alone_expect_it() -> Result<()> {
    let workspace = fs::read_to_string(root().join("Cargo.toml"))?;
    ensure!(workspace.contains(&format!("\n{LINT} = \"deny\"\n")), "the workspace allows it");
    let crates = sources(|path| path.ends_with("Cargo.toml"))?;
    ensure!(crates.len() > 10, "{} crates", crates.len());
    for (name, text) in &crates {
        ensure!(text.contains("\n[lints]\nworkspace = true\n"), "{name} has lints of its own");
    }
    let rust = sources(|path| path.extension().is_some_and(|extension| extension == "rs"))?;
    let lets = |text: &str| {
        text.lines().any(|line| {
            let line = line.replace(&format!("forbid({LINT})"), "").replace(&format!("deny({LINT})"), "");
            line.contains(LINT) && !line.trim_start().starts_with("//")
        })
    };
    let let_in: Vec<&str> =
        rust.iter().filter(|(_, text)| lets(text)).map(|(name, _)| name.as_str()).collect();
    let expected: Vec<&str> = EXPECTED.iter().map(|(name, _)| *name).collect();
    ensure!(let_in == expected, "{let_in:?} let it in, expected of {EXPECTED:#?}");
    Ok(())
}

#[test]
fn each_room_forbids_it_but_those_two() -> Result<()> {
    let roots = sources(|path| path.ends_with("src/lib.rs"))?;
    let without: Vec<&str> = roots
        .iter()
        .filter(|(_, text)| !text.contains(&format!("#![forbid({LINT})]")))
        .map(|(name, _)| name.as_str())
        .collect();
    ensure!(without == ["daemon/gpu/src/lib.rs", "daemon/sys/src/lib.rs"], "{without:?}");
    Ok(())
}
