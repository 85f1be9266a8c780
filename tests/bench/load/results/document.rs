//! RESULTS.md and its plot: what a machine has shown, with what is needed to show it again.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, anyhow};
use plotters::prelude::*;

use super::{COLUMNS, Figure, Results, name};
use crate::{legs::Plan, subject::RAISED};

/// What a person has found out about the figures that miss their targets.
const NOTES: &str = include_str!("notes.md");

/// What the plot shows: one field each.
const PLOTTED: [Figure; 4] = [Figure::CpuRequest, Figure::CpuEvent, Figure::P50At1000, Figure::PerFew];

pub(super) fn write(plan: &Plan, results: &Results, tables: &str) -> Result<()> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench");
    let text = format!(
        "# Results\n\n\
         Written by `just bench-results --rounds={} --seconds={}`, which measures again and renews this page. Client, engine \
         and what is measured share the processors of one machine; compare columns, not machines. Medians of the rounds, in \
         which all take turns, so many seconds for each rate; memory is of one process for each figure, and the start the \
         median of theirs.\n\n\
         - {}\n\
         - raised for the daemon: {}; loopback is exempt from its limit on each source's connections; every process may have \
         20,000 files open\n\
         - nginx has no HTTP/3 in this version; neither it nor haproxy writes an access log, asks for a key or reads a request\n\
         - *added* is what the way through adds to the same figure of the engine asked directly; a negative one is noise\n\n\
         {tables}\n\n![CPU, delay and memory](results.svg)\n\n{NOTES}",
        plan.rounds,
        plan.seconds,
        machine()?,
        RAISED.trim().replace('\n', ", "),
    );
    fs::write(place.join("RESULTS.md"), text).context("RESULTS.md cannot be written")?;
    plot(results, &place.join("results.svg")).map_err(|error| anyhow!("results.svg: {error}"))
}

/// The machine, the versions and the date, each as its own source says.
fn machine() -> Result<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo")?;
    let names = || cpus.lines().filter_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = names().next().map_or("unknown", |(_, name)| name);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let said = |program: &str| -> Result<String> {
        let output = Command::new(program).arg("-v").output()?;
        let text = [output.stdout, output.stderr].concat();
        Ok(String::from_utf8(text)?.lines().next().unwrap_or_default().to_owned())
    };
    let today = time::OffsetDateTime::now_utc().date();
    Ok(format!(
        "{today}; {} processors, {model}; Linux {}\n- {}; {}; GhostLLM {} of commit {}, profile `dist`",
        names().count(),
        kernel.trim(),
        said("nginx")?,
        said("haproxy")?,
        env!("CARGO_PKG_VERSION"),
        commit()?
    ))
}

/// What was measured, where it is under version control.
fn commit() -> Result<String> {
    let output = Command::new("git").args(["describe", "--always", "--dirty"]).output()?;
    let text = String::from_utf8(output.stdout)?;
    Ok(if text.is_empty() { "unknown".to_owned() } else { text.trim().to_owned() })
}

fn plot(results: &Results, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::new(path, (1200, 900)).into_drawing_area();
    area.fill(&WHITE)?;
    for (field, figure) in area.split_evenly((2, 2)).iter().zip(PLOTTED) {
        let bars: Vec<_> = COLUMNS
            .iter()
            .filter_map(|(kind, version)| {
                Some((format!("{kind} {version}"), results.median(figure, *kind, *version)?.max(0.0)))
            })
            .collect();
        let longest = bars.iter().map(|(_, value)| *value).fold(1.0, f64::max);
        let mut chart = ChartBuilder::on(field)
            .caption(name(figure), ("sans-serif", 20))
            .margin(10)
            .x_label_area_size(30)
            .y_label_area_size(150)
            .build_cartesian_2d(0.0..longest * 1.1, (0..bars.len()).into_segmented())?;
        let label = |place: &SegmentValue<usize>| match place {
            SegmentValue::CenterOf(nth) => bars.get(*nth).map_or(String::new(), |(name, _)| name.clone()),
            _ => String::new(),
        };
        chart
            .configure_mesh()
            .disable_y_mesh()
            .y_labels(bars.len())
            .y_label_formatter(&label)
            .label_style(("sans-serif", 13))
            .draw()?;
        chart.draw_series(bars.iter().enumerate().map(|(nth, (name, value))| {
            let colour =
                if name.starts_with("ghostllm") { RGBColor(42, 111, 151) } else { RGBColor(160, 160, 160) };
            let ends = [(0.0, SegmentValue::Exact(nth)), (*value, SegmentValue::Exact(nth + 1))];
            let mut bar = Rectangle::new(ends, colour.filled());
            bar.set_margin(3, 3, 0, 0);
            bar
        }))?;
    }
    area.present()?;
    Ok(())
}
