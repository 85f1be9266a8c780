//! Accepting streams, whatever carries them.
//!
//! Knows that an accept may fail, that there may be no room, and the drain. Refuses to know who has connected. Invariants: a failed
//! accept never ends the listener; who finds no room waits in the kernel until there is some, and costs nothing.

use std::{
    future::poll_fn,
    io,
    task::{Context, Poll},
    time::Duration,
};

use nix::errno::Errno;
use tokio::time::{Instant, sleep};

use crate::{
    drain::Watch,
    ended::{self, Ended},
    freeze,
    pulse::Beat,
    room::{Lack, Room},
    workers::spawn,
};

/// How long a listener rests after a failed accept: out of descriptors, the next try would fail as well. No peer is
/// limited by it, and so it is no setting.
const REST: Duration = Duration::from_millis(50);

/// How often a listener looks whether there is room again. Recovery is promised within a second (F-23 of the research on security).
const LOOK: Duration = Duration::from_millis(50);

/// So long without a failed accept ends a row of them; twenty rests.
const WELL: Duration = Duration::from_secs(1);

/// A listener that accepts connections until it is drained.
#[derive(Debug)]
pub struct Accepting {
    name: String,
    ended: Ended,
}

impl Accepting {
    /// Gives `admit` whatever `accept` does, as long as there is `room`; without one it takes of the reserve. What `admit` does not
    /// hold, and says so, takes no room. Must be called within a tokio runtime.
    pub(crate) fn start<T: Send + 'static>(
        name: String,
        drain: Watch,
        beat: Beat,
        room: Option<Room>,
        accept: impl Fn(&mut Context<'_>) -> Poll<io::Result<T>> + Send + Sync + 'static,
        admit: impl Fn(T) -> bool + Send + Sync + 'static,
    ) -> Self {
        let work = freeze::task(&name, run(drain, beat, room, accept, admit));
        Self { name, ended: ended::of(spawn(work)) }
    }

    /// Its kind and address.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Completes when it has stopped accepting.
    pub fn ended(&self) -> Ended {
        self.ended.clone()
    }
}

async fn run<T>(
    mut drain: Watch,
    mut beat: Beat,
    room: Option<Room>,
    accept: impl Fn(&mut Context<'_>) -> Poll<io::Result<T>>,
    admit: impl Fn(T) -> bool,
) {
    let (mut failed, mut paused): (Option<Instant>, Option<Instant>) = (None, None);
    loop {
        if let Some(lack) = room.as_ref().and_then(Room::lacks) {
            if paused.replace(Instant::now()).is_none() {
                pause(lack);
            }
            tokio::select! {
                () = sleep(LOOK) => {}
                () = beat.due() => {}
                () = drain.begun() => return,
            }
            continue;
        }
        if paused.is_some_and(|last| last.elapsed() >= WELL) {
            tracing::info!("there is room again, and connections are accepted");
            paused = None;
        }
        // Who comes while there is none is what wakes it, and is left in the kernel.
        let roomy = || room.as_ref().and_then(Room::lacks).is_none();
        let accepted = tokio::select! {
            accepted = poll_fn(|context| if roomy() { accept(context).map(Some) } else { Poll::Ready(None) }) => accepted,
            () = beat.due() => continue,
            () = drain.begun() => return,
        };
        let Some(accepted) = accepted else { continue };
        match accepted {
            Ok(accepted) => {
                if failed.is_some_and(|last| last.elapsed() >= WELL) {
                    tracing::info!("connections are accepted again");
                    failed = None;
                }
                if admit(accepted)
                    && let Some(room) = &room
                {
                    room.accepted();
                }
            }
            Err(error) if is_the_peers(&error) => {}
            Err(error) => {
                if let Some(room) = &room {
                    room.count();
                }
                // Said once: at every try it would be twenty lines a second, whether or not one succeeds now and then.
                if failed.replace(Instant::now()).is_none() {
                    tracing::warn!(
                        %error,
                        "a connection could not be accepted; it is tried again every {} ms until one is. {}",
                        REST.as_millis(),
                        next_step(&error)
                    );
                }
                sleep(REST).await;
            }
        }
    }
}

/// Said once, as failures are.
fn pause(lack: Lack) {
    match lack {
        Lack::Descriptors => tracing::warn!(
            "nine tenths of the files and sockets that this process may have are open or promised to chats: further connections wait until \
             some are closed, and only the admin's socket takes any. {OUT_OF_FILES}"
        ),
        Lack::Memory => tracing::warn!(
            "memory is nearly used up: further connections wait until there is more, and only the admin's socket takes any. \
             ghostctl status says how much there is"
        ),
    }
}

/// What a person can do then.
const OUT_OF_FILES: &str =
    "Give it more (LimitNOFILE= in its unit, ulimit -n in its shell), or set limits.connections lower";

/// What a person can do about a failed accept.
fn next_step(error: &io::Error) -> &'static str {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EMFILE) => {
            "This process is out of open files: give it more (LimitNOFILE= in its unit, ulimit -n in its shell), or set \
             limits.connections lower"
        }
        Some(Errno::ENFILE) => {
            "The system is out of open files: end what holds them, or raise fs.file-max with sysctl"
        }
        _ => "The system says why",
    }
}

/// The connection was gone before it was accepted, which says nothing of the listener (accept(2)).
fn is_the_peers(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    };

    use super::{Accepting, Context, Duration, Errno, Instant, Poll, Room, io, next_step};
    use crate::{drain::Drain, pulse::Pulse};

    /// Accepts whatever comes, which is always something; counts it, and holds it or not.
    fn accepting(room: Option<Room>, holds: bool) -> (Arc<AtomicUsize>, Drain, Accepting) {
        let (drain, pulse, count) = (Drain::default(), Pulse::default(), Arc::<AtomicUsize>::default());
        let counted = Arc::clone(&count);
        let admit = move |()| {
            counted.fetch_add(1, Relaxed);
            holds
        };
        let beat = pulse.beat("test", pulse.patience());
        // As a socket, it gives others a turn.
        let turn = AtomicBool::new(false);
        let accept = move |context: &mut Context<'_>| {
            if turn.fetch_not(Relaxed) {
                return Poll::Ready(Ok(()));
            }
            context.waker().wake_by_ref();
            Poll::Pending
        };
        let accepting = Accepting::start("test".to_owned(), drain.watch(), beat, room, accept, admit);
        (count, drain, accepting)
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_finds_no_room_waits_for_it_and_no_longer() {
        let room = Room::default();
        room.measured(0, 1 << 20);
        let (count, drain, listener) = accepting(Some(room.clone()), true);
        tokio::time::sleep(Duration::from_secs(10)).await;
        let taken = count.load(Relaxed);
        assert!(taken > 0 && room.lacks().is_some(), "{taken}");
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(count.load(Relaxed), taken);
        let begun = Instant::now();
        room.measured(0, 1 << 20);
        while count.load(Relaxed) == taken {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        drain.begin();
        listener.ended().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_listener_of_the_reserve_goes_on() {
        let (count, drain, listener) = accepting(None, true);
        while count.load(Relaxed) < 100 {
            tokio::task::yield_now().await;
        }
        drain.begin();
        listener.ended().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_refused_at_once_takes_no_room() {
        let room = Room::default();
        room.measured(0, 1 << 20);
        let (count, drain, listener) = accepting(Some(room.clone()), false);
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        let refused = count.load(Relaxed);
        assert!(refused > 16 && room.lacks().is_none(), "{refused}");
        drain.begin();
        listener.ended().await.unwrap();
    }

    #[test]
    fn a_failed_accept_says_whose_files_are_open() {
        let step = |errno: Errno| next_step(&io::Error::from_raw_os_error(errno as i32));
        assert!(step(Errno::EMFILE).contains("LimitNOFILE="));
        assert!(step(Errno::ENFILE).contains("fs.file-max"));
        assert!(!step(Errno::ENOMEM).contains("open files"));
    }
}
