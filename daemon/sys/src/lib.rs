//! The few system calls that need unsafe, each behind a safe function.
//!
//! Knows libc. Refuses to know why anyone calls. Invariant: every function is safe for any caller at any time, and
//! each unsafe block says why.

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

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_env = "gnu")]
    fn trims_what_was_freed() {
        // Small blocks stay in the arena when they are freed, unlike large ones, which are mapped by themselves.
        let blocks: Vec<Vec<u8>> = (0..20_000).map(|_| vec![1; 1000]).collect();
        drop(blocks);
        assert!(super::trim());
    }
}
