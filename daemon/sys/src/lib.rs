//! The few system calls that need unsafe, each behind a safe function.
//!
//! Knows libc. Refuses to know why anyone calls. Invariant: every function is safe for any caller at any time, and
//! each unsafe block says why. What a safe crate can do stands there and not here: rustix and nix have no call of glibc's allocator,
//! and its variables (`MALLOC_ARENA_MAX`) are read before a program can set them by its configuration.

#![cfg_attr(
    target_env = "gnu",
    expect(
        unsafe_code,
        reason = "glibc's allocator is told what to give back by C calls; each block has its argument"
    )
)]

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

/// Bounds what the allocator keeps of a long life: so many `arenas` of its heap, at least one, where glibc makes eight for each core, and
/// blocks from 128 KiB on mapped each by itself and given back when they are freed, where glibc puts ever larger ones onto the heap once
/// one was freed. Does nothing where the C library has no such settings.
///
/// For the start, before there is a second thread: a thread keeps the arena that it has. The source: mallopt(3).
pub fn bound_heap(arenas: usize) {
    #[cfg(target_env = "gnu")]
    {
        let arenas = libc::c_int::try_from(arenas.max(1)).unwrap_or(libc::c_int::MAX);
        // SAFETY: mallopt(3) takes two numbers and no pointer, and locks what it sets. It refuses no number of arenas.
        let _set = unsafe { libc::mallopt(libc::M_ARENA_MAX, arenas) };
        // SAFETY: as above; the size is one that it takes.
        let _set = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM) };
    }
    #[cfg(not(target_env = "gnu"))]
    let _none = arenas;
}

/// Bytes; glibc's own first value, which stays once it is set.
#[cfg(target_env = "gnu")]
const MAPPED_FROM: libc::c_int = 128 << 10;

#[cfg(test)]
mod tests {
    /// Kilobytes of address space; each arena takes 64 MiB of it at once.
    #[cfg(target_env = "gnu")]
    fn space() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
    }

    #[test]
    #[cfg(target_env = "gnu")]
    fn threads_share_so_many_arenas() {
        use std::sync::Barrier;
        super::bound_heap(2);
        let (before, all) = (space(), Barrier::new(9));
        let grown = std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let kept = std::hint::black_box(vec![1_u8; 1000]);
                    all.wait();
                    all.wait();
                    drop(kept);
                });
            }
            all.wait();
            let grown = space() - before;
            all.wait();
            grown
        });
        // Eight stacks of 2 MiB, and an arena of its own for each thread but for the bound: 512 MiB.
        assert!(grown < 256 << 10, "{grown} kB");
    }

    #[test]
    #[cfg(target_env = "gnu")]
    fn trims_what_was_freed() {
        // Small blocks stay in the arena when they are freed, unlike large ones, which are mapped by themselves.
        let blocks: Vec<Vec<u8>> = (0..20_000).map(|_| vec![1; 1000]).collect();
        drop(blocks);
        assert!(super::trim());
    }
}
