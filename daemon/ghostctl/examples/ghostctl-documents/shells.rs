//! The completions of a program, from the definition of its command line.

use std::path::PathBuf;

use clap::Command;
use clap_complete::{Shell, generate};

/// Every file below `packaging/docs`, with its text.
pub(crate) fn completions(program: &str, command: &Command) -> Vec<(PathBuf, Vec<u8>)> {
    let mut completed = command.clone();
    let files = [
        (Shell::Bash, format!("{program}.bash")),
        (Shell::Zsh, format!("_{program}")),
        (Shell::Fish, format!("{program}.fish")),
    ];
    let made = files.map(|(shell, name)| {
        let mut text = Vec::new();
        generate(shell, &mut completed, program, &mut text);
        (PathBuf::from("completions").join(name), text)
    });
    made.into()
}
