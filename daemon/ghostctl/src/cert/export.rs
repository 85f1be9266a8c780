//! The CA's certificate as a file.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write},
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
    if context.json {
        return output::line(&answer.json);
    }
    let text = certificate(&authority(&answer.what)?.pem)?;
    let bytes =
        if der { text.contents().to_vec() } else { pem::encode(&text).replace("\r\n", "\n").into_bytes() };
    match file {
        None => output::bytes(&bytes),
        Some(file) => {
            write(file, &bytes, yes)?;
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
    let mut options = OpenOptions::new();
    options.write(true);
    if yes {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    options.open(file).and_then(|mut opened| opened.write_all(bytes)).map_err(|error| match error.kind() {
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
