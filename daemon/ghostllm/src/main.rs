//! The `ghostllm` program: arguments in, exit code out. Everything else is the library's.

use std::process::ExitCode;

use clap::Parser;
use ghostllm::cli::{Arguments, run};

fn main() -> ExitCode {
    run(Arguments::parse())
}
