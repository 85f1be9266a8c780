//! Where the command that was given is explained.

use std::env;

/// As a person types it: `ghostctl keys create --help`.
pub(crate) fn of_this_command() -> String {
    let mut command = crate::command();
    let mut text = "ghostctl".to_owned();
    for word in env::args().skip(1).filter(|word| !word.starts_with('-')) {
        match command.find_subcommand(&word).cloned() {
            Some(found) => {
                text = format!("{text} {word}");
                command = found;
            }
            // What stands before it is an option's value, and what stands behind it is its own.
            None if text != "ghostctl" => break,
            None => {}
        }
    }
    format!("{text} --help")
}
