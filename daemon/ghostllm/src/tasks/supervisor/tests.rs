//! The supervisor under a paused clock.

use super::*;
use crate::tasks::state::{LONGEST_WAIT, WELL};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::sync::mpsc;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Counts the warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicU64>);

impl<S: tracing::Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == tracing::Level::WARN {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn one(supervisor: &Supervisor) -> TaskState {
    let mut states = supervisor.list().states();
    assert_eq!(states.len(), 1);
    states.remove(0)
}

/// A restartable task that tells when it starts, and fails with what `error` gives for each start.
fn failing(supervisor: &Supervisor, error: fn(u64) -> &'static str) -> mpsc::UnboundedReceiver<Instant> {
    let (tell, told) = mpsc::unbounded_channel();
    let mut starts = 0;
    supervisor.spawn("failing", Policy::Restartable, move || {
        tell.send(Instant::now()).unwrap();
        let error = error(starts);
        starts += 1;
        async move { Err(anyhow::anyhow!(error)) }
    });
    told
}

#[tokio::test(start_paused = true)]
async fn a_failing_task_is_started_ever_later() {
    let supervisor = Supervisor::new();
    let mut told = failing(&supervisor, |_| "no");
    let mut last = told.recv().await.unwrap();
    let mut waits = Vec::new();
    for _ in 0..12 {
        let start = told.recv().await.unwrap();
        waits.push((start - last).as_secs_f64());
        last = start;
    }
    for (row, wait) in waits.iter().enumerate() {
        let wanted = 1.5_f64.powi(i32::try_from(row).unwrap()).min(30.0);
        assert!((wait - wanted).abs() < 0.01, "wait {row} was {wait} s, not {wanted} s");
    }
    let state = one(&supervisor);
    assert!(state.restarts >= 11 && state.last_error.as_deref() == Some("no"), "{state:?}");
}

#[tokio::test(start_paused = true)]
async fn an_error_is_said_once_until_it_changes() {
    let warnings = Warnings::default();
    let subscriber = tracing_subscriber::registry().with(warnings.clone());
    let _here = tracing::subscriber::set_default(subscriber);
    let supervisor = Supervisor::new();
    let mut told = failing(&supervisor, |start| if start < 5 { "first" } else { "second" });
    for _ in 0..5 {
        told.recv().await.unwrap();
    }
    assert_eq!(warnings.0.load(Ordering::Relaxed), 1);
    for _ in 0..5 {
        told.recv().await.unwrap();
    }
    assert_eq!(warnings.0.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_was_well_starts_its_row_anew() {
    let supervisor = Supervisor::new();
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut starts = 0;
    supervisor.spawn("long", Policy::Restartable, move || {
        tell.send(Instant::now()).unwrap();
        starts += 1;
        let runs = if starts == 6 { WELL } else { Duration::ZERO };
        async move {
            tokio::time::sleep(runs).await;
            anyhow::bail!("over")
        }
    });
    let mut at = Vec::new();
    for _ in 0..7 {
        at.push(told.recv().await.unwrap());
    }
    assert!(at[5] - at[4] > Duration::from_secs(5));
    let wait = at[6] - at[5] - WELL;
    assert!(wait < Duration::from_millis(1010), "{wait:?}");
}

#[tokio::test(start_paused = true)]
async fn a_restartable_task_that_returns_is_done() {
    let supervisor = Supervisor::new();
    supervisor.spawn("brief", Policy::Restartable, || async { Ok(()) });
    tokio::time::sleep(LONGEST_WAIT).await;
    let state = one(&supervisor);
    assert_eq!((state.phase, state.restarts, state.last_error), (Phase::Ended, 0, None));
}

#[tokio::test(start_paused = true)]
async fn what_would_be_started_in_vain_ends_with_its_reason_and_what_ends_well_with_none() {
    let supervisor = Supervisor::new();
    let mut runs = 0;
    supervisor.spawn("well at last", Policy::Restartable, move || {
        runs += 1;
        std::future::ready(if runs == 1 { Err(anyhow::anyhow!("not yet")) } else { Ok(()) })
    });
    supervisor.spawn("gone", Policy::Restartable, || async { Err(InVain("its socket is gone").into()) });
    tokio::time::sleep(LONGEST_WAIT).await;
    let states = supervisor.list().states();
    let ends: Vec<_> =
        states.iter().map(|state| (state.phase, state.restarts, state.last_error.as_deref())).collect();
    assert_eq!(ends, [(Phase::Ended, 1, None), (Phase::Ended, 0, Some("its socket is gone"))]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_counts_as_an_error() {
    let supervisor = Supervisor::new();
    supervisor.spawn("panics", Policy::Restartable, || async { panic!("at number {}", 3) });
    tokio::time::sleep(Duration::from_millis(10)).await;
    let state = one(&supervisor);
    assert_eq!((state.phase, state.last_error.as_deref()), (Phase::Waiting, Some(PANICKED)));
    // Before there is a future, too.
    let early = Supervisor::new();
    early.spawn("panics early", Policy::Critical, || -> std::future::Ready<anyhow::Result<()>> {
        panic!("early")
    });
    assert_eq!(early.failed().await.error, PANICKED);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_critical_task_is_told_to_all_who_ask() {
    let supervisor = Supervisor::new();
    let early = supervisor.failed();
    assert_eq!(supervisor.failure(), None);
    supervisor.spawn("returns", Policy::Critical, || async { Ok(()) });
    let failure = early.await;
    assert_eq!(failure.task, "returns");
    assert_eq!(supervisor.failure().as_ref(), Some(&failure));
    supervisor
        .spawn("fails", Policy::Critical, || async { Err(anyhow::anyhow!("the cause").context("the deed")) });
    tokio::time::sleep(Duration::from_secs(1)).await;
    // The first one counts, and late askers are told.
    assert_eq!(supervisor.failed().await, failure);
    let states = supervisor.list().states();
    assert!(states.iter().all(|state| state.phase == Phase::Ended));
    assert_eq!(states[1].last_error.as_deref(), Some("the deed: the cause"));
}

#[tokio::test(start_paused = true)]
async fn a_critical_task_that_runs_elsewhere_may_end_well_and_one_that_runs_here_never() {
    let supervisor = Supervisor::new();
    supervisor.watch("drained", async { Ok::<(), anyhow::Error>(()) });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((one(&supervisor).phase, one(&supervisor).last_error), (Phase::Ended, None));
    assert!(supervisor.failed().now_or_never().is_none());
    supervisor.watch("broken", async { Err(anyhow::anyhow!("its thread is gone")) });
    assert_eq!(supervisor.failed().await.task, "broken");
    for panics in [false, true] {
        let supervisor = Supervisor::new();
        let failure = tokio::select! {
            () = supervisor.here("loop", async { assert!(!panics) }) => panic!("it never completes"),
            failure = supervisor.failed() => failure,
        };
        assert_eq!((failure.task.as_str(), failure.error == PANICKED), ("loop", panics));
        assert_eq!(one(&supervisor).phase, Phase::Ended);
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_takes_the_place_of_one_of_its_name_that_has_ended() {
    let supervisor = Supervisor::new();
    for _ in 0..2 {
        supervisor.spawn("engine", Policy::Restartable, || async { Ok(()) });
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(one(&supervisor).phase, Phase::Ended);
    }
    let _running = endless(&supervisor, Policy::Critical);
    let _also = endless(&supervisor, Policy::Critical);
    assert_eq!(supervisor.list().states().len(), 3);
}

/// A task that never ends; the receiver's end of life tells that it was dropped.
fn endless(supervisor: &Supervisor, policy: Policy) -> mpsc::Receiver<()> {
    let (alive, gone) = mpsc::channel(1);
    supervisor.spawn("endless", policy, move || {
        let alive = alive.clone();
        async move {
            let _alive = alive;
            std::future::pending().await
        }
    });
    gone
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_all_tasks_and_starts_no_more() {
    let supervisor = Supervisor::new();
    let mut first = endless(&supervisor, Policy::Critical);
    let mut second = endless(&supervisor, Policy::Restartable);
    supervisor.stop().await;
    assert!(first.try_recv() == Err(mpsc::error::TryRecvError::Disconnected));
    assert!(second.try_recv() == Err(mpsc::error::TryRecvError::Disconnected));
    let mut late = endless(&supervisor, Policy::Restartable);
    assert!(late.recv().await.is_none());
    assert!(supervisor.list().states().is_empty());
    // Being stopped is no failure.
    assert!(supervisor.failed().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn tasks_end_with_the_last_supervisor() {
    let supervisor = Supervisor::new();
    let mut task = endless(&supervisor, Policy::Critical);
    let other = supervisor.clone();
    drop(supervisor);
    tokio::task::yield_now().await;
    assert!(task.try_recv() == Err(mpsc::error::TryRecvError::Empty));
    drop(other);
    assert!(task.recv().await.is_none());
}
