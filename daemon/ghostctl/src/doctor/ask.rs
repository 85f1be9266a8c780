//! Other programs and peers, each with an end to its time.

use std::{
    env,
    io::Read,
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// A program or a name server that takes longer is not waited for.
const WITHIN: Duration = Duration::from_secs(5);
/// Peers on this box answer at once.
const CONNECT: Duration = Duration::from_millis(500);
/// What a program says beyond this is not read.
const MOST: u64 = 256 << 10;

/// What this gives, if it does so in time; what is late goes on by itself and ends with the process.
pub(super) fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    within(WITHIN, work)
}

fn within<T: Send + 'static>(limit: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (give, take) = mpsc::channel();
    thread::spawn(move || give.send(work()));
    take.recv_timeout(limit).ok()
}

/// A program of this name beside this one or in `PATH`.
pub(super) fn program(name: &str) -> Option<PathBuf> {
    let beside = env::current_exe().ok().and_then(|own| Some(own.parent()?.join(name)));
    let path = env::var_os("PATH").unwrap_or_default();
    let all = beside.into_iter().chain(env::split_paths(&path).map(|place| place.join(name)));
    all.into_iter().find(|program| program.is_file())
}

/// The exit code of a program and what it says; none where it cannot be run or takes too long.
pub(super) fn run(command: Command) -> Option<(Option<i32>, String)> {
    run_within(WITHIN, command)
}

/// The same, with as much time as what it does may take.
pub(super) fn run_within(limit: Duration, mut command: Command) -> Option<(Option<i32>, String)> {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().ok()?;
    let (out, err) = (child.stdout.take()?, child.stderr.take()?);
    let said = within(limit, move || {
        let mut text = Vec::new();
        // What cannot be read is as good as not said.
        let _read = out.take(MOST).read_to_end(&mut text);
        let _read = err.take(MOST).read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    if said.is_none() {
        let _ended = child.kill();
    }
    let code = child.wait().ok()?.code();
    Some((code, said?))
}

/// Whether somebody listens there.
pub(super) fn answers(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, CONNECT).is_ok()
}
