//! Writes ghostllm's man page and completions: `ghostllm-documents DIRECTORY`. Not part of the program, which needs none of it.

mod render;

use std::{env, error::Error, fs, path::PathBuf};

use clap::CommandFactory;
use ghostllm::cli::Arguments;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = env::args_os().nth(1).map(PathBuf::from).ok_or("ghostllm-documents DIRECTORY")?;
    for (name, text) in render::all(&Arguments::command())? {
        let path = directory.join(name);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(&path, text)?;
    }
    Ok(())
}
