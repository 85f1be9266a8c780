//! The few system calls that need unsafe, each behind a safe function.
//!
//! Knows libc. Refuses to know why anyone calls. Invariant: every function is safe for any caller at any time, and
//! each unsafe block says why.

use std::{io, os::unix::process::parent_id};

/// Gives memory that the allocator keeps but nobody uses back to the system; `true` when there was some.
///
/// glibc's allocator keeps what a burst of requests needed; other C libraries have no such call, and it does nothing
/// there. It takes milliseconds on a large heap: for a quiet moment, not for a request's path.
#[must_use = "whether anything was given back is for the log"]
pub fn trim() -> bool {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: malloc_trim(3) takes a number and no pointer, locks each arena itself (it is MT-Safe) and touches
        // free memory only.
        let released = unsafe { libc::malloc_trim(0) };
        released == 1
    }
    #[cfg(not(target_env = "gnu"))]
    {
        false
    }
}

/// This process is killed (SIGKILL) as soon as its parent ends, however it ends. For a worker's first lines: `parent`
/// is the process id that its parent passed to it, so that a parent that ended before the call is noticed as well.
///
/// The kernel means the *thread* that started this process: the parent must start it from one that lives as long as
/// it does, such as its main thread (prctl(2), `PR_SET_PDEATHSIG`). The setting is lost by executing a set-user-id program.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] when the parent has ended already: end then as well. Else the system's answer.
pub fn die_with_parent(parent: u32) -> io::Result<()> {
    let signal = libc::c_ulong::from(libc::SIGKILL.unsigned_abs());
    // SAFETY: PR_SET_PDEATHSIG reads its one argument as a number; no pointer is passed, no memory is touched, and
    // only this process's own setting changes.
    let set = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) };
    if set != 0 {
        return Err(io::Error::last_os_error());
    }
    // A parent that ended before the setting took effect sends no signal; whoever adopted this process shows it.
    if parent_id() == parent {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::NotFound, "the process that started this one has ended"))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        env,
        io::{self, BufRead, BufReader, Read},
        os::unix::process::parent_id,
        process::{self, Command, Stdio},
        thread,
    };

    use super::{die_with_parent, trim};

    /// The part that a process started by [`killing_the_parent_kills_the_child`] plays; absent in a test run.
    const PART: &str = "GHOSTLLM_SYS_TEST_PART";

    #[test]
    #[cfg(target_env = "gnu")]
    fn trims_what_was_freed() {
        // Small blocks stay in the arena when they are freed, unlike large ones, which are mapped by themselves.
        let blocks: Vec<Vec<u8>> = (0..20_000).map(|_| vec![1; 1000]).collect();
        drop(blocks);
        assert!(trim());
    }

    #[test]
    fn notices_that_the_parent_is_another() {
        // In a process of its own, since the setting would bind the test runner's.
        if env::var(PART).as_deref() == Ok("orphan") {
            let failed = die_with_parent(process::id()).unwrap_err();
            assert_eq!(failed.kind(), io::ErrorKind::NotFound);
            assert!(die_with_parent(parent_id()).is_ok());
            return;
        }
        let status = play("tests::notices_that_the_parent_is_another", "orphan").status().unwrap();
        assert!(status.success());
    }

    #[test]
    fn killing_the_parent_kills_the_child() {
        const NAME: &str = "tests::killing_the_parent_kills_the_child";
        match env::var(PART).as_deref() {
            Ok("parent") => {
                // It inherits the output, and so holds that pipe open for as long as it lives.
                let mut child = play(NAME, "child").stdin(Stdio::piped()).spawn().unwrap();
                child.wait().unwrap();
            }
            Ok("child") => {
                die_with_parent(parent_id()).unwrap();
                println!("\nbound");
                loop {
                    thread::park();
                }
            }
            _ => {
                let mut parent = play(NAME, "parent").stdout(Stdio::piped()).spawn().unwrap();
                let mut output = BufReader::new(parent.stdout.take().unwrap());
                let mut line = String::new();
                while line.trim() != "bound" {
                    line.clear();
                    assert_ne!(
                        output.read_line(&mut line).unwrap(),
                        0,
                        "the child ended before it was bound"
                    );
                }
                parent.kill().unwrap();
                parent.wait().unwrap();
                // Ends only when the last holder of the pipe has ended, and the child never ends by itself.
                output.read_to_string(&mut line).unwrap();
            }
        }
    }

    fn play(test: &str, part: &str) -> Command {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(PART, part);
        command
    }
}
