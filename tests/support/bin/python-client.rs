//! A client of `tests/clients` in Python, as a fork of one that has begun already (`tests/support/forks.py`).
//!
//! Knows the socket in `FORKS_GHOSTLLM` and one argument, the script. Refuses to know what is said: the fork has our standard input,
//! output and error. Invariant: it ends when the fork does, with its code, and the fork ends when it does.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
};

use anyhow::{Context, Result};
use ghostllm_tests::python::FORKS;

fn main() -> Result<()> {
    let socket = std::env::var_os(FORKS).with_context(|| format!("{FORKS} is not set"))?;
    let script = std::env::args().nth(1).context("python-client SCRIPT")?;
    let mut forks = UnixStream::connect(socket)?;
    writeln!(forks, "{script}")?;
    let mut code = [0; 4];
    forks.read_exact(&mut code).context("the clients' server has gone")?;
    std::process::exit(i32::from_le_bytes(code))
}
