//! The man page and the completions, from the definition of the command line; what no definition says stands in `ghostllm.8` beside this.

use std::{io, path::PathBuf};

use clap::Command;
use clap_mangen::Man;

#[path = "../../../ghostctl/examples/ghostctl-documents/shells.rs"]
mod shells;

/// The page as a person wrote it.
const PAGE: &str = include_str!("ghostllm.8");
/// Behind this line of it stand the commands.
const COMMANDS: &str = ".SH COMMANDS\n";

/// Every file below `packaging/docs`, with its text.
pub(crate) fn all(command: &Command) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = shells::completions("ghostllm", command);
    let mut built = command.clone().disable_help_subcommand(true);
    built.build();
    let mut text = COMMANDS.to_owned();
    for inner in built.get_subcommands() {
        chapters(inner, &mut text)?;
    }
    // By this roff writes an apostrophe that can be copied.
    let page = format!(".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n{}", PAGE.replace(COMMANDS, &text));
    files.push((PathBuf::from("man/ghostllm.8"), page.into_bytes()));
    Ok(files)
}

/// What a command is for, and its options; of one that is a heading only, those below it.
fn chapters(command: &Command, text: &mut String) -> io::Result<()> {
    let mut below = command.get_subcommands().filter(|inner| !inner.is_hide_set()).peekable();
    if below.peek().is_some() {
        return below.try_for_each(|inner| chapters(inner, text));
    }
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").replace('-', "\\-");
    text.push_str(&format!(".SS {usage}\n"));
    // Every command has it, as is said above.
    let man = Man::new(command.clone().mut_arg("help", |help| help.hide(true)));
    let mut bytes = Vec::new();
    man.render_description_section(&mut bytes)?;
    man.render_options_section(&mut bytes)?;
    let lines = String::from_utf8(bytes).map_err(io::Error::other)?;
    for line in
        lines.lines().filter(|line| ![".SH", ".ie", ".el"].iter().any(|macro_| line.starts_with(macro_)))
    {
        text.push_str(line);
        text.push('\n');
    }
    Ok(())
}
