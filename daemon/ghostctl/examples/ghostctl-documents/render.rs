//! The man pages and completions, from the definition of the command line.

use std::{io, path::PathBuf};

use clap::Command;
use clap_mangen::Man;

#[path = "forms.rs"]
pub(crate) mod forms;
#[path = "shells.rs"]
mod shells;

/// Every file below `packaging/docs`, with its text.
pub(crate) fn all(command: &Command) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut built = command.clone().disable_help_subcommand(true);
    built.build();
    let mut files = Vec::new();
    pages(&built, &mut files)?;
    files.extend(shells::completions("ghostctl", command));
    Ok(files)
}

fn pages(command: &Command, files: &mut Vec<(PathBuf, Vec<u8>)>) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let mut text = Vec::new();
    // Without a version, so that a release changes no page.
    Man::new(command.clone()).source("GhostLLM").render(&mut text)?;
    let text = String::from_utf8(text).map_err(io::Error::other)?;
    let mut text = text.replace("\nExample:\n  ", "\n.SH EXAMPLE\n.nf\n");
    text = text.replace(".SH EXTRA\n.SH", ".SH").replace(".SH EXTRA\n", ".SH NOTES\n");
    text.push_str(".fi\n");
    text.push_str(&json(&name));
    files.push((PathBuf::from("man").join(format!("{name}.1")), text.into_bytes()));
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        pages(inner, files)?;
    }
    Ok(())
}

/// What programs get of it.
fn json(name: &str) -> String {
    let words = name.replacen("ghostctl-", "", 1).replace('-', " ");
    let of = |list: &[(&str, &'static str)]| {
        list.iter().find(|(command, _)| *command == words).map(|(_, form)| *form)
    };
    let printed = match (of(forms::FORMS), of(forms::EACH)) {
        (Some(form), _) => format!("one line of the form\n{form}"),
        (None, Some(form)) => format!("lines of the form\n{form}"),
        (None, None) => return String::new(),
    };
    format!(
        ".SH JSON\nWith \\-\\-json it prints {printed}\nof admin\\-api.schema.json; where it fails, one of the form Refused.\n"
    )
}
