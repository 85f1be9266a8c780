//! What reaches the disk before anything is acknowledged, as strace sees it.

use std::{ffi::OsStr, fs, path::Path};

use anyhow::{Result, ensure};

use crate::Steps;

/// What one write does, from its first byte to the moment in which somebody is told.
const ORDER: [&str; 9] = [
    "write .load.json.next",
    "fsync .load.json.next",
    "write .load.json.last.next",
    "fsync .load.json.last.next",
    "rename .load.json.next load.json",
    "fsync state",
    "rename .load.json.last.next load.json.last",
    "fsync state",
    "told",
];

/// The last part of a path.
fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// The parts of a line between this and that.
fn between(line: &str, open: char, close: char) -> Vec<&str> {
    line.split(open).skip(1).filter_map(|rest| rest.split(close).next()).collect()
}

/// One call of the trace in short; none of those that write elsewhere.
fn event(line: &str) -> Option<String> {
    let call = line.split_once('(')?.0.rsplit(' ').next()?;
    let path = || between(line, '<', '>').first().map(|path| last(path).to_owned());
    match call {
        "write" if line.contains("\"saved ") => Some("told".to_owned()),
        "write" => path().filter(|path| path.starts_with(".load")).map(|path| format!("write {path}")),
        "fsync" => path().map(|path| format!("fsync {path}")),
        _ => {
            let names: Vec<&str> = line.split('"').skip(1).step_by(2).map(last).collect();
            Some(format!("rename {}", names.join(" ")))
        }
    }
}

fn trace(directory: &Path, log: &Path, saves: usize) -> Result<String> {
    let calls = "trace=write,fsync,rename,renameat,renameat2";
    let prefix = ["strace", "-f", "-qq", "-y", "-s", "16", "-e", calls, "-o"].map(OsStr::new);
    let mut steps = Steps::start(&[&prefix[..], &[log.as_os_str()]].concat(), directory)?;
    for _ in 0..saves {
        steps.expect("save 20000", "saved ")?;
    }
    steps.end()?;
    Ok(fs::read_to_string(log)?)
}

#[test]
fn file_and_directory_are_on_the_disk_before_anybody_is_told() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let text = trace(&scratch.path().join("state"), &scratch.path().join("trace"), 3)?;
    ensure!(!text.contains("= -1"), "a call failed:\n{text}");
    let start = text.find("\"found ").unwrap_or_default();
    let mut events: Vec<String> = text[start..].lines().skip(1).filter_map(event).collect();
    events.dedup();
    println!("{}", events.join("\n"));
    let saves: Vec<&[String]> = events.split_inclusive(|event| event == "told").collect();
    ensure!(saves.len() == 3, "{} writes were told of", saves.len());
    for save in saves {
        ensure!(save == ORDER, "{save:#?}");
    }
    Ok(())
}
