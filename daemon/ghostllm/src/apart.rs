//! Long work on a body, apart from the thread whose connections would wait for it.
//!
//! Knows which bodies take long. Refuses to know what is done with them. Invariants: a panic of the work is its caller's; there
//! are never more at work than processors.

use std::{num::NonZero, sync::LazyLock, thread::available_parallelism};

use bytes::Bytes;
use tokio::{sync::Semaphore, task::spawn_blocking};

/// From this length on, reading a body takes longer (about half a millisecond) than to hand it to another thread and be woken.
/// No request is refused by it, and so it is no setting.
const LARGE: usize = 256 * 1024;

/// How many are read at a time, and as trees in memory are many times as long. The runtimes would start hundreds of threads.
static TURNS: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(available_parallelism().map_or(1, NonZero::get)));

/// Does this with a body: here if it is short, else on a thread that blocks nobody.
pub(crate) async fn read<T: Send + 'static>(
    body: &Bytes,
    work: impl FnOnce(&Bytes) -> T + Send + 'static,
) -> T {
    let (size, body) = (body.len(), body.clone());
    weighing(size, move || work(&body)).await
}

/// Does what is done with so many bytes, likewise.
pub(crate) async fn weighing<T: Send + 'static>(size: usize, work: impl FnOnce() -> T + Send + 'static) -> T {
    if size < LARGE { work() } else { elsewhere(work).await }
}

/// The same on a thread that blocks nobody, however short the body is: what it takes is not told by its length.
pub(crate) async fn elsewhere<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    // It is closed by nobody. The work goes on where its caller has gone, and so the turn is the work's.
    let turn = TURNS.acquire().await;
    let work = move || {
        let _turn = turn;
        work()
    };
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and this with it.
            Err(_cancelled) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn only_a_large_body_is_read_elsewhere() {
        let place = async |length| read(&Bytes::from(vec![0; length]), |_| thread::current().id()).await;
        assert_eq!(place(LARGE - 1).await, thread::current().id());
        assert_ne!(place(LARGE).await, thread::current().id());
    }

    #[tokio::test]
    #[should_panic = "as a parser may"]
    async fn a_panic_is_the_caller_s() {
        read(&Bytes::from(vec![0; LARGE]), |_| panic!("as a parser may")).await;
    }
}
