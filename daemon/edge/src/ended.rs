//! The ends of what runs until it is told to stop.
//!
//! Knows an end in good order and one in a panic. Refuses to know what has ended. Invariant: whoever asks is told, however late, and
//! as often as he asks.

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use tokio::{sync::oneshot, task::JoinHandle};

/// Completes at the end.
pub type Ended = Shared<BoxFuture<'static, Result<(), Panicked>>>;

/// What is said of a panic. Its words are left out, since they may repeat what was being worked on.
pub const PANICKED: &str = "it panicked, and the log has the place";

/// It was no end in good order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{PANICKED}")]
pub struct Panicked;

/// Of a task. One that ends with its runtime has not panicked.
pub(crate) fn of(task: JoinHandle<()>) -> Ended {
    let ended = task.map(|ended| match ended {
        Err(error) if error.is_panic() => Err(Panicked),
        _ => Ok(()),
    });
    ended.boxed().shared()
}

/// Of whatever tells its end, and tells none in a panic.
pub(crate) fn told(told: oneshot::Receiver<()>) -> Ended {
    told.map(|told| told.map_err(|_| Panicked)).boxed().shared()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workers::spawn;

    #[tokio::test]
    async fn a_panic_is_told_to_all_who_ask_and_an_end_is_none() {
        let panicked = of(spawn(async { panic!("as meant") }));
        assert_eq!((panicked.clone().await, panicked.await), (Err(Panicked), Err(Panicked)));
        assert_eq!(of(spawn(async {})).await, Ok(()));
        let aborted = spawn(std::future::pending());
        aborted.abort();
        assert_eq!(of(aborted).await, Ok(()));
        let (tell, receiver) = oneshot::channel();
        drop(tell);
        assert_eq!(told(receiver).await, Err(Panicked));
    }
}
