//! The `ghostctl` program: everything is in the library, where tests and the generated documents find it as well.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ghostctl::run()
}
