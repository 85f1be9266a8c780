//! Writes ghostctl's man pages and completions: `documents DIRECTORY`. Not part of the program, which needs none of it.

mod render;

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = env::args_os().nth(1).map(PathBuf::from).ok_or("documents DIRECTORY")?;
    for (name, text) in render::all(&ghostctl::command())? {
        let path = directory.join(name);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(&path, text)?;
    }
    Ok(())
}
