//! Every seed, and every recording of a real engine, holds its target's properties: what a run has once found stays found.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says which seed it holds, and ends where one is missing"
)]

use std::path::{Path, PathBuf};

use ghostllm_fuzz::{
    api_key, authority, config, h3_gate, ndjson, ollama_json, openai_json, responses_json, sse, state,
    tool_text,
};

/// The files below these folders, which are relative to this package.
fn files(folders: &[&str]) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut left: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = left.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of seeds") {
            let path = entry.expect("its entry").path();
            if path.is_dir() { left.push(path) } else { found.push(path) }
        }
    }
    found
}

fn hold(folders: &[&str], check: fn(&[u8])) {
    let files = files(folders);
    assert!(files.len() >= 5, "the seeds of {folders:?} are not where they were");
    for file in files {
        println!("{}", file.display());
        check(&std::fs::read(&file).expect("a seed"));
    }
}

#[test]
fn sse_holds() {
    hold(&["corpus/sse", "../../daemon/core/tests-data"], sse::check);
}

#[test]
fn ndjson_holds() {
    hold(&["corpus/ndjson", "../../daemon/core/tests-data"], ndjson::check);
}

#[test]
fn api_key_holds() {
    hold(&["corpus/api_key"], api_key::check);
}

#[test]
fn authority_holds() {
    hold(&["corpus/authority"], authority::check);
}

#[test]
fn config_holds() {
    hold(&["corpus/config", "../../packaging/docs"], config::check);
}

#[test]
fn h3_gate_holds() {
    hold(&["corpus/h3_gate"], h3_gate::check);
}

#[test]
fn ollama_json_holds() {
    hold(&["corpus/ollama_json", "../../daemon/core/tests-data"], ollama_json::check);
}

#[test]
fn openai_json_holds() {
    hold(&["corpus/openai_json", "../../daemon/core/tests-data"], openai_json::check);
}

#[test]
fn responses_json_holds() {
    hold(&["corpus/responses_json", "../../daemon/core/tests-data"], responses_json::check);
}

#[test]
fn state_holds() {
    hold(&["corpus/state", "../../daemon/core/tests-data/state"], state::check);
}

#[test]
fn tool_text_holds() {
    hold(&["corpus/tool_text", "../../daemon/core/tests-data"], tool_text::check);
}

/// What is one value away from a seed, which libFuzzer meets only by chance.
fn hold_neighbours(folder: &str, check: fn(&[u8]), least: usize) {
    let mut checked = 0;
    for file in files(&[folder]) {
        println!("{}", file.display());
        for text in openai_json::neighbours(&std::fs::read(&file).expect("a seed")) {
            println!("{}", String::from_utf8_lossy(&text));
            check(&text);
            checked += 1;
        }
    }
    assert!(checked > least, "{checked} texts are not all of them");
}

#[test]
fn openai_json_holds_next_to_every_seed() {
    hold_neighbours("corpus/openai_json", openai_json::check, 5000);
}

#[test]
fn ollama_json_holds_next_to_every_seed() {
    hold_neighbours("corpus/ollama_json", ollama_json::check, 500);
}
