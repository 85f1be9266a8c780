//! Writes ghostctl's man pages and completions: `documents DIRECTORY`. Not part of the program, which needs none of it.

mod render;

use std::{env, fs, path::PathBuf, process::ExitCode};

fn main() -> ExitCode {
    let Some(directory) = env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("documents DIRECTORY");
        return ExitCode::from(2);
    };
    for (name, text) in render::all(&ghostctl::command()) {
        let path = directory.join(name);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, text));
        if let Err(error) = written {
            eprintln!("{}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
