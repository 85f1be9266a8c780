//! The `ghostllm` program. It says that it cannot do its work yet, and fails, until that work lands.

use std::{io::Write, process::ExitCode};

fn main() -> ExitCode {
    // The exit code says it as well, so a standard error that cannot be written changes nothing.
    let _written =
        writeln!(std::io::stderr(), "ghostllm: not built yet; README.md says what this version has");
    ExitCode::FAILURE
}
