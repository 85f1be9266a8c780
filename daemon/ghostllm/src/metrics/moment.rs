//! How the program stands at one moment, as metrics.
//!
//! Knows what it was told of that moment. Refuses to find anything out. Invariant: names, kinds and labels are those of the table.

use std::{collections::BTreeMap, fmt};

use ghostllm_core::{
    cgroup::Memory,
    metrics::{self, Definition},
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet},
    metrics::MetricType,
};

use super::{HTTP, cards::CardsNow, unit};
use crate::process::Process;

/// What is known of a backend.
#[derive(Debug)]
pub(crate) struct BackendNow {
    pub(crate) name: String,
    pub(crate) up: bool,
    pub(crate) models: usize,
    pub(crate) requests: usize,
    pub(crate) resting: usize,
}

/// What is known of the background tasks of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TasksNow {
    pub(crate) running: usize,
    pub(crate) failing: usize,
    pub(crate) restarts: u64,
}

/// What others are asked for.
#[derive(Debug)]
pub(crate) struct Moment {
    /// A model can answer.
    pub(crate) ready: bool,
    /// How much is amiss, by how grave it is.
    pub(crate) causes: Vec<(&'static str, usize)>,
    /// Open connections, by listener and version.
    pub(crate) connections: Vec<([&'static str; 2], usize)>,
    pub(crate) backends: Vec<BackendNow>,
    /// The graphics cards, and the gate in front of this machine's backends.
    pub(crate) cards: CardsNow,
    /// The admin's own checks, and whether each passes.
    pub(crate) checks: Vec<(String, bool)>,
    /// By kind.
    pub(crate) tasks: BTreeMap<String, TasksNow>,
    /// Since when the certificate is good and when it ends, in seconds since 1970.
    pub(crate) certificate: [Option<i64>; 2],
    /// The configuration that was read last is in use.
    pub(crate) reloaded: bool,
    /// Changed settings wait for a restart.
    pub(crate) restart: bool,
    /// Requests whose handling has panicked.
    pub(crate) panics: u64,
    /// Chats that were refused for want of room, by what was wanting.
    pub(crate) shed: [(&'static str, u64); 2],
    /// Of the process's group; none where it has no limit.
    pub(crate) memory: Option<Memory>,
    pub(crate) log_lost: u64,
    pub(crate) events_lost: u64,
    /// When the program began, in seconds since 1970.
    pub(crate) since: f64,
    pub(crate) uptime: f64,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) now: Moment,
    /// Requests that are being answered, by version.
    pub(super) streams: [usize; HTTP.len()],
    /// Chats that have failed, by backend in the moment's order.
    pub(super) failures: Vec<u64>,
    /// None where the system tells nothing.
    pub(super) process: Option<Process>,
}

impl Collector for Whole {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut sheet = Sheet(encoder);
        self.requests(&mut sheet)?;
        self.backends(&mut sheet)?;
        self.now.cards.write(&mut sheet)?;
        self.tasks(&mut sheet)?;
        self.program(&mut sheet)?;
        self.process.as_ref().map_or(Ok(()), |process| of_process(process, &mut sheet))
    }
}

impl Whole {
    fn requests(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let streams = HTTP.into_iter().zip(self.streams).map(|(http, count)| ([http], number(count)));
        sheet.gauges(&metrics::STREAMS, streams)?;
        sheet.counters(&metrics::SHED, self.now.shed.map(|(why, count)| ([why], count)))?;
        if let Some(memory) = self.now.memory {
            sheet.gauge(&metrics::MEMORY_USED, memory.used as f64)?;
            sheet.gauge(&metrics::MEMORY_LIMIT, memory.limit as f64)?;
        }
        sheet.counters(&metrics::REQUEST_PANICS, [([], self.now.panics)])?;
        let connections = self.now.connections.iter().map(|(labels, count)| (*labels, number(*count)));
        sheet.gauges(&metrics::CONNECTIONS, connections)?;
        sheet.gauge(&metrics::READY, yes(self.now.ready))?;
        let causes = self.now.causes.iter().map(|(severity, count)| ([*severity], number(*count)));
        sheet.gauges(&metrics::CAUSES, causes)?;
        let checks = self.now.checks.iter().map(|(name, passes)| ([name.as_str()], yes(*passes)));
        sheet.gauges(&metrics::HEALTH_CHECK, checks)
    }

    fn backends(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let mut each = |of: &Definition, value: fn(&BackendNow) -> f64| {
            let rows = self.now.backends.iter().map(|backend| ([backend.name.as_str()], value(backend)));
            sheet.gauges(of, rows)
        };
        each(&metrics::BACKEND_UP, |backend| yes(backend.up))?;
        each(&metrics::BACKEND_MODELS, |backend| number(backend.models))?;
        each(&metrics::BACKEND_REQUESTS, |backend| number(backend.requests))?;
        each(&metrics::BACKEND_RESTING, |backend| number(backend.resting))?;
        let names = self.now.backends.iter().map(|backend| [backend.name.as_str()]);
        sheet.counters(&metrics::BACKEND_FAILURES, names.zip(self.failures.iter().copied()))
    }

    fn tasks(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let tasks = || self.now.tasks.iter().map(|(kind, now)| ([kind.as_str()], now));
        sheet.gauges(&metrics::TASKS_RUNNING, tasks().map(|(kind, now)| (kind, number(now.running))))?;
        sheet.gauges(&metrics::TASKS_FAILING, tasks().map(|(kind, now)| (kind, number(now.failing))))?;
        sheet.counters(&metrics::TASK_RESTARTS, tasks().map(|(kind, now)| (kind, now.restarts)))
    }

    fn program(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let ends = [&metrics::CERTIFICATE_BEGIN, &metrics::CERTIFICATE_EXPIRY];
        for (of, moment) in ends.into_iter().zip(self.now.certificate) {
            if let Some(moment) = moment {
                sheet.gauge(of, moment as f64)?;
            }
        }
        sheet.gauge(&metrics::CONFIG_RELOADED, yes(self.now.reloaded))?;
        sheet.gauge(&metrics::CONFIG_RESTART, yes(self.now.restart))?;
        sheet.counters(&metrics::LOG_LOST, [([], self.now.log_lost)])?;
        sheet.counters(&metrics::EVENTS_LOST, [([], self.now.events_lost)])?;
        sheet.info(&metrics::BUILD, [env!("CARGO_PKG_VERSION"), std::env::consts::ARCH])?;
        sheet.gauge(&metrics::UPTIME, self.now.uptime)?;
        sheet.gauge(&metrics::PROCESS_START, self.now.since)
    }
}

fn of_process(process: &Process, sheet: &mut Sheet<'_>) -> fmt::Result {
    sheet.counters(&metrics::PROCESS_CPU, [([], process.cpu)])?;
    sheet.gauge(&metrics::PROCESS_RESIDENT, process.resident as f64)?;
    sheet.gauge(&metrics::PROCESS_VIRTUAL, process.virtual_memory as f64)?;
    sheet.gauge(&metrics::PROCESS_OPEN, number(process.open))?;
    sheet.gauge(&metrics::PROCESS_MOST, process.most as f64)?;
    sheet.gauge(&metrics::PROCESS_THREADS, process.threads as f64)
}

pub(super) fn yes(whether: bool) -> f64 {
    f64::from(u8::from(whether))
}

fn number(count: usize) -> f64 {
    count as f64
}

/// Where they are written.
pub(super) struct Sheet<'a>(DescriptorEncoder<'a>);

impl Sheet<'_> {
    fn metric(&mut self, of: &Definition, kind: MetricType) -> Result<MetricEncoder<'_>, fmt::Error> {
        // The registry ends the words of its own so.
        let words = format!("{}.", of.words.trim());
        self.0.encode_descriptor(of.name, &words, unit(of), kind)
    }

    fn gauge(&mut self, of: &Definition, value: f64) -> fmt::Result {
        self.gauges(of, [([], value)])
    }

    pub(super) fn gauges<'v, const N: usize>(
        &mut self,
        of: &Definition,
        rows: impl IntoIterator<Item = ([&'v str; N], f64)>,
    ) -> fmt::Result {
        let mut metric = self.metric(of, MetricType::Gauge)?;
        for (values, value) in rows {
            metric.encode_family(&labelled(of, values))?.encode_gauge(&value)?;
        }
        Ok(())
    }

    pub(super) fn counters<'v, const N: usize, V: prometheus_client::encoding::EncodeCounterValue>(
        &mut self,
        of: &Definition,
        rows: impl IntoIterator<Item = ([&'v str; N], V)>,
    ) -> fmt::Result {
        let mut metric = self.metric(of, MetricType::Counter)?;
        for (values, value) in rows {
            let labels = labelled(of, values);
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, V, f64>(&value, None)?;
        }
        Ok(())
    }

    /// The same of several, each by a line of its own: a gauge that is 1, by the name that an info has.
    pub(super) fn infos<'v, const N: usize>(
        &mut self,
        of: &Definition,
        rows: impl IntoIterator<Item = [&'v str; N]>,
    ) -> fmt::Result {
        let mut metric = self.metric(of, MetricType::Info)?;
        for values in rows {
            metric.encode_info(&labelled(of, values))?;
        }
        Ok(())
    }

    fn info<const N: usize>(&mut self, of: &Definition, values: [&str; N]) -> fmt::Result {
        self.metric(of, MetricType::Info)?.encode_info(&labelled(of, values))
    }
}

fn labelled<'v, const N: usize>(of: &Definition, values: [&'v str; N]) -> Vec<(&'static str, &'v str)> {
    of.labels.iter().copied().zip(values).collect()
}
