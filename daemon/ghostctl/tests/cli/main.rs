//! `ghostctl` from outside, against a daemon whose answers are known. What the real daemon says stands in `tests/api/ctl.rs`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "what the tests share may end the test")]

mod canned;
mod commands;
mod doctor;
mod documents;
mod failures;
mod following;
mod help;
#[cfg(feature = "journal")]
mod logs;
mod schema;
mod since;
mod tables;
mod terminal;
mod typed;

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

/// What a run of the program came to.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// Where a program that counts its lines writes them (`tests/support/coverage.sh`), for those that have no other environment.
fn counted() -> Option<(&'static str, std::ffi::OsString)> {
    std::env::var_os("LLVM_PROFILE_FILE").map(|file| ("LLVM_PROFILE_FILE", file))
}

/// The program with nothing of the test's own environment.
fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ghostctl"));
    command.env_clear().envs(counted()).env("TERM", "xterm").stdin(Stdio::null());
    command
}

/// A run that asks the daemon behind this socket.
fn ghostctl(socket: &Path, arguments: &[&str]) -> Ran {
    program().args(arguments).arg("--socket").arg(socket).output().unwrap().into()
}
