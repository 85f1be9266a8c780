//! What destroys is asked about first.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::{
    exit::{Exit, Failure},
    output::text,
};

/// Goes on where `yes` was given or a person types it; `question` says what will be gone.
pub(crate) fn ask(yes: bool, question: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        let message =
            format!("{} Nobody can be asked here, since this is no terminal.", text::clean(question));
        return Err(Failure::new(Exit::Usage, message).next("the same command with --yes"));
    }
    let mut err = io::stderr().lock();
    let mut typed = String::new();
    let asked = write!(err, "{} Type yes to go on: ", text::clean(question)).and_then(|()| err.flush());
    let read = asked.and_then(|()| io::stdin().lock().read_line(&mut typed));
    if read.is_ok() && matches!(typed.trim(), "yes" | "y") {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, "nothing was done").next("the same command again, and yes"))
}
