//! The CA's certificate as a file.

use std::{
    fs::{self, OpenOptions},
    io::{self, ErrorKind, Write},
    path::Path,
};

use ghostllm_core::admin::Certificates;

use super::authority;
use crate::{
    arguments::Context,
    client::Answer,
    exit::{Exit, Failure},
    output,
};

pub(super) fn run(
    answer: &Answer<Certificates>,
    file: Option<&Path>,
    der: bool,
    yes: bool,
    context: &Context,
) -> Result<(), Failure> {
    if context.json && file.is_none() {
        return output::line(&answer.json);
    }
    let text = certificate(&authority(&answer.what)?.pem)?;
    let bytes =
        if der { text.contents().to_vec() } else { pem::encode(&text).replace("\r\n", "\n").into_bytes() };
    match file {
        None => output::bytes(&bytes),
        Some(file) => {
            write(file, &bytes, yes)?;
            if context.json {
                return output::line(&answer.json);
            }
            output::line(&format!(
                "The CA's certificate is in {}.",
                output::text::clean(&file.display().to_string())
            ))
        }
    }
}

/// The one certificate that the text is; nothing else goes to disk, least of all to where a system looks for what to trust.
pub(super) fn certificate(text: &str) -> Result<pem::Pem, Failure> {
    let odd = |why: &str| {
        Failure::new(Exit::Failed, format!("what the daemon gave as its CA's certificate is none: {why}"))
            .next("ghostctl cert show --json")
    };
    let mut all = pem::parse_many(text).map_err(|error| odd(&error.to_string()))?;
    match (all.pop(), all.is_empty()) {
        (Some(one), true) if one.tag() == "CERTIFICATE" => Ok(one),
        _ => Err(odd("it should be one certificate")),
    }
}

fn write(file: &Path, bytes: &[u8], yes: bool) -> Result<(), Failure> {
    let written = if yes { replace(file, bytes) } else { create(file, bytes) };
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            let message = format!("{} exists and is left as it is", file.display());
            Failure::new(Exit::Failed, message).next("the same command with --yes, or another file")
        }
        ErrorKind::PermissionDenied => {
            let message = format!("{} cannot be written: {error}", file.display());
            Failure::new(Exit::Denied, message).next("the same command with sudo, or another file")
        }
        _ => Failure::new(Exit::Failed, format!("{} cannot be written: {error}", file.display()))
            .next("the same command with another file"),
    })
}

/// A file that is new, and whole or not there.
fn create(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut opened = OpenOptions::new().write(true).create_new(true).open(file)?;
    opened.write_all(bytes).and_then(|()| opened.sync_all()).inspect_err(|_| {
        // Half of one, or none, would be taken for it.
        let _as_well_as_can_be = fs::remove_file(file);
    })
}

/// The same in the place of what is there, which stays where that fails. What is no file, such as a terminal, is written to.
fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let at = match fs::canonicalize(file) {
        Ok(at) if at.is_file() => at,
        Ok(at) => return OpenOptions::new().write(true).open(at)?.write_all(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => return create(file, bytes),
        Err(error) => return Err(error),
    };
    let mut name = at.file_name().unwrap_or_default().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let beside = at.with_file_name(name);
    create(&beside, bytes)?;
    let facts = fs::metadata(&at)?;
    fs::set_permissions(&beside, facts.permissions()).and_then(|()| fs::rename(&beside, &at)).inspect_err(
        |_| {
            let _as_well_as_can_be = fs::remove_file(&beside);
        },
    )
}
