//! What is measured once of a subject that has just been started: its start, and its memory.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::time::sleep;

use crate::{
    legs::{Client, Plan},
    order::{Line, Run, Version},
    results::{Figure, Results},
    subject::{Kind, Stage, Subject},
};

/// Connections that are open and ask nothing.
const IDLE: usize = 1000;
/// Streams of the smaller count.
const FEW: usize = 1000;
/// How long the daemon's memory may take to come back; it gives spare memory back once a minute. The others promise nothing.
const BACK: Duration = Duration::from_secs(100);
const BACK_OF_OTHERS: Duration = Duration::from_secs(15);

pub(crate) async fn measure(plan: &Plan, stage: &Stage<'_>, results: &mut Results) -> Result<()> {
    for kind in [Kind::Passthrough, Kind::Translated, Kind::Nginx, Kind::Haproxy] {
        if !plan.wants(kind) {
            continue;
        }
        for version in kind.versions() {
            println!("memory of {kind}, {version}");
            of(plan, kind, *version, stage, results).await.with_context(|| format!("{kind} {version}"))?;
        }
    }
    Ok(())
}

async fn of(
    plan: &Plan,
    kind: Kind,
    version: Version,
    stage: &Stage<'_>,
    results: &mut Results,
) -> Result<()> {
    let many = if version == Version::H1 { plan.streams / 2 } else { plan.streams };
    let runs = [
        (Figure::PerIdle, IDLE, Run::Idle { connections: IDLE }),
        (Figure::PerFew, FEW, Run::Hold { streams: FEW }),
        (Figure::PerMany, many, Run::Hold { streams: many }),
    ];
    for (figure, count, run) in runs {
        // Each of them in a process of its own: what one had left behind would serve the next.
        let subject = Subject::start(kind, stage).await?;
        results.add(Figure::Ready, kind, version, subject.ready.as_secs_f64() * 1000.0);
        let rest = settled(&subject).await?;
        results.add(Figure::Rest, kind, version, rest / 1000.0);
        let mut client = Client::start(&subject, version, run).await?;
        ensure!(matches!(client.next().await?, Line::Held), "the client did not hold");
        let held = settled(&subject).await?;
        results.add(figure, kind, version, (held - rest) / count as f64);
        client.go_on().await?;
        if matches!(figure, Figure::PerMany) {
            back(kind, version, &subject, rest, results).await?;
        }
    }
    Ok(())
}

/// How far its memory comes back to what it was at rest, before anything was ever asked of it.
async fn back(
    kind: Kind,
    version: Version,
    subject: &Subject,
    rest: f64,
    results: &mut Results,
) -> Result<()> {
    let patience = if matches!(kind, Kind::Nginx | Kind::Haproxy) { BACK_OF_OTHERS } else { BACK };
    let begun = Instant::now();
    let mut now = subject.tree.memory_kb()?;
    while now > rest * 1.1 && begun.elapsed() < patience {
        sleep(Duration::from_millis(500)).await;
        now = subject.tree.memory_kb()?;
    }
    results.add(Figure::Back, kind, version, now / rest);
    results.add(Figure::BackAfter, kind, version, begun.elapsed().as_secs_f64());
    Ok(())
}

/// Its memory once that has stopped to change: workers start, buffers go, a little after the client has seen it.
async fn settled(subject: &Subject) -> Result<f64> {
    let mut before = subject.tree.memory_kb()?;
    for _ in 0..20 {
        sleep(Duration::from_millis(250)).await;
        let now = subject.tree.memory_kb()?;
        if (now - before).abs() < before / 200.0 {
            return Ok(now);
        }
        before = now;
    }
    Ok(before)
}
