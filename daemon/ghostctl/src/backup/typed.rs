//! A line that is typed on the terminal and not shown.
//!
//! Knows the terminal's modes. Invariants: it shows nothing from before the question on, since `rpassword` by itself asks first and
//! turns the echo off behind that; and it shows again what is typed however this ends, Ctrl-C included, at which `rpassword` by itself
//! leaves a dead terminal.

use std::{
    fs::File,
    io::{self, Read, Write},
};

use age::secrecy::SecretString;
use rpassword::{ConfigBuilder, read_password_with_config};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::exit::{Exit, Failure};

/// The terminal of whoever has called the program, wherever its input and output go.
const TERMINAL: &str = "/dev/tty";

/// As terminals send them, where these modes are off.
const CTRL_C: u8 = 3;

/// The terminal while it shows nothing.
struct Quiet {
    terminal: File,
    before: Termios,
}

/// What is typed, up to Ctrl-C.
struct Keys(File);

/// Asks, and gives what is typed up to Enter.
pub(super) fn line(question: &str) -> Result<SecretString, Failure> {
    let mut quiet = Quiet::begin().map_err(|error| {
        Failure::new(
            Exit::Usage,
            format!("the passphrase cannot be asked for, since there is no terminal: {error}"),
        )
        .next("the same command with --passphrase-file PATH")
    })?;
    let typed = quiet.ask(question);
    // The line break of whoever typed was not shown either, and nobody is left to tell where this fails.
    let _told = quiet.terminal.write_all(b"\n");
    drop(quiet);
    match typed {
        Ok(text) if !text.is_empty() => Ok(SecretString::from(text)),
        Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {
            Err(Failure::quiet(Exit::Interrupted))
        }
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(Failure::new(
            Exit::Failed,
            format!("the passphrase cannot be read from the terminal: {error}"),
        )
        .next("the same command with --passphrase-file PATH")),
        _ => Err(Failure::new(Exit::Failed, "no passphrase was typed, and nothing was done")
            .next("the same command again")),
    }
}

impl Quiet {
    fn begin() -> io::Result<Self> {
        let terminal = File::options().read(true).write(true).open(TERMINAL)?;
        let before = tcgetattr(&terminal)?;
        let mut modes = before.clone();
        // Signals and lines as well: Ctrl-C must not end the program before the terminal is as it was, and `rpassword` knows the keys
        // that change a line.
        modes.local_modes -= LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG;
        // What was typed before the question has been shown, and is thrown away.
        tcsetattr(&terminal, OptionalActions::Flush, &modes)?;
        Ok(Self { terminal, before })
    }

    fn ask(&mut self, question: &str) -> io::Result<String> {
        self.terminal.write_all(question.as_bytes())?;
        let keys = Keys(self.terminal.try_clone()?);
        read_password_with_config(ConfigBuilder::new().input_reader(keys).output_discard().build())
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // A terminal that has gone needs no modes.
        let _as_well_as_can_be = tcsetattr(&self.terminal, OptionalActions::Drain, &self.before);
    }
}

impl Read for Keys {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(into)?;
        if into.iter().take(read).any(|key| *key == CTRL_C) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(read)
    }
}
