//! Where the command that was given is explained.

use std::env;

/// As a person types it: `ghostctl keys create --help`.
pub(crate) fn of_this_command() -> String {
    let mut command = crate::command();
    let mut text = "ghostctl".to_owned();
    for word in env::args().skip(1).take(2) {
        let Some(found) = command.find_subcommand(&word).cloned() else { break };
        text = format!("{text} {word}");
        command = found;
    }
    format!("{text} --help")
}
