//! `ghostctl doctor`: what is amiss with this box, why that matters, and the next step.
//!
//! Knows the checks, one file for each group. Refuses to change anything that it was not allowed to. Invariants: it needs no
//! daemon, since it is for the day on which that does not start; what could not be looked at is a note and never passes for sound.

mod ask;
mod bundle;
mod cards;
mod der;
mod known;
mod models;
mod ollama;
mod ports;
mod redact;
mod repair;
mod seen;
mod service;
mod settings;
mod state;
mod system;

use std::path::PathBuf;

use clap::Args;
use ghostllm_core::admin::{DoctorCheck, DoctorReport, DoctorResult, FORM};

use crate::{
    arguments::Context,
    exit::{Exit, Failure},
    output::{self, Screen, Tone, text},
};
use repair::Repair;
use seen::Seen;

/// What is amiss with this box, and what to do about it
///
/// Looks at the daemon, its cards, its state, its configuration, its ports and
/// its system. No daemon has to run. As root it sees most.
///
/// With --fix it offers what is safe and can be undone: modes of files with
/// keys, a dead socket, the admins' group, the kernel's buffers for HTTP/3, and
/// a drop-in by which Ollama's unit listens to this box alone and keeps its
/// maker's cloud off. It shows all of it and asks, writes over nothing, and
/// looks again afterwards.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Exit codes: 0 nothing worse than notes; 1 a warning or an error. With --fix also\n\
                  2 nobody can be asked, and --yes is not given; 4 only root may mend it.\n\n\
                  Example:\n  ghostctl doctor --bundle report.txt"
)]
pub(crate) struct Arguments {
    /// Mend what is safe to mend, after showing all of it and asking
    #[arg(long)]
    fix: bool,
    /// Write a report without keys, secrets and prompts
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// Do not ask before that, and write over the bundle's file
    #[arg(long)]
    yes: bool,
    /// The state directory, instead of the one that is found
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Where the system's own files lie, such as a mounted disk; for tests
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    root: PathBuf,
}

/// A check: its name, what it looks at, and how.
struct Check {
    id: &'static str,
    looks_at: &'static str,
    needs: Needs,
    look: fn(&Seen) -> Vec<Finding>,
}

/// What a check cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    /// The daemon's answers.
    Daemon,
    /// Its answer about the cards, and a driver that lets them be seen.
    Cards,
    /// A state directory that may be looked into.
    State,
}

/// Begins what is said of a check that was not made.
const UNSEEN: &str = "not looked at: ";

/// Something that a check has found.
#[derive(Debug)]
struct Finding {
    result: DoctorResult,
    what: String,
    why: String,
    fix: String,
    repair: Option<Repair>,
}

impl Finding {
    fn new(result: DoctorResult, what: impl Into<String>, why: &str, fix: impl Into<String>) -> Self {
        Self { result, what: what.into(), why: why.to_owned(), fix: fix.into(), repair: None }
    }

    fn note(what: impl Into<String>, why: &str, fix: impl Into<String>) -> Self {
        Self::new(DoctorResult::Note, what, why, fix)
    }

    fn warning(what: impl Into<String>, why: &str, fix: impl Into<String>) -> Self {
        Self::new(DoctorResult::Warning, what, why, fix)
    }

    fn error(what: impl Into<String>, why: &str, fix: impl Into<String>) -> Self {
        Self::new(DoctorResult::Error, what, why, fix)
    }

    fn mended_by(mut self, repair: Repair) -> Self {
        self.repair = Some(repair);
        self
    }
}

/// All checks, in the order of the report.
fn all() -> impl Iterator<Item = &'static Check> {
    let groups = [
        known::CHECKS,
        cards::CHECKS,
        settings::CHECKS,
        state::CHECKS,
        ports::CHECKS,
        ollama::CHECKS,
        models::CHECKS,
        system::CHECKS,
        service::CHECKS,
    ];
    groups.into_iter().flatten()
}

impl Arguments {
    pub(crate) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        if let Some(file) = &self.bundle {
            bundle::may_write(file, self.yes)?;
        }
        let mut seen = Seen::look(context, &self.root, self.state_dir.clone()).await;
        let (mut report, repairs) = examined(&seen);
        if self.fix && repair::all(repairs, self.yes, context)? {
            seen = Seen::look(context, &self.root, self.state_dir.clone()).await;
            report = examined(&seen).0;
        }
        let json = text::one_line(&serde_json::to_string(&report).unwrap_or_default());
        context.show(&json, |screen| drawn(&report, screen))?;
        if let Some(file) = &self.bundle {
            bundle::write(file, self.yes, &bundle::text(&report, &seen))?;
            output::say(&format!("wrote {}; look through it before you send it", file.display()));
        }
        let worst = report.checks.iter().map(|check| check.result).max();
        Ok(if worst > Some(DoctorResult::Note) { Exit::Failed } else { Exit::Well })
    }
}

fn examined(seen: &Seen) -> (DoctorReport, Vec<Repair>) {
    let (mut checks, mut repairs): (_, Vec<Repair>) = (Vec::new(), Vec::new());
    for check in all() {
        if let Some(unseen) = unseen(check, seen) {
            checks.push(unseen);
            continue;
        }
        let found = (check.look)(seen);
        if found.is_empty() {
            let what = check.looks_at.to_owned();
            let id = check.id.to_owned();
            checks.push(DoctorCheck { id, result: DoctorResult::Ok, what, why: None, fix: None });
        }
        for Finding { result, what, why, fix, repair } in found {
            // One drop-in may mend two things.
            repairs.extend(repair.filter(|repair| !repairs.contains(repair)));
            checks.push(DoctorCheck {
                id: check.id.to_owned(),
                result,
                what,
                why: Some(why),
                fix: Some(fix),
            });
        }
    }
    (DoctorReport { version: FORM, checks }, repairs)
}

/// What could not be looked at never passes for sound.
fn unseen(check: &Check, seen: &Seen) -> Option<DoctorCheck> {
    let (why, fix) = match check.needs {
        Needs::Daemon | Needs::Cards if seen.daemon.is_err() => {
            ("the daemon does not answer", "see daemon, then ghostctl doctor again")
        }
        Needs::Cards => cards::unseen(seen)?,
        Needs::State if !seen.has_state() => (
            "there is no state directory that may be read",
            "see state_directory, then ghostctl doctor again",
        ),
        Needs::Nothing | Needs::Daemon | Needs::State => return None,
    };
    let what = format!("{UNSEEN}whether {}", check.looks_at);
    let (why, fix) = (Some(why.to_owned()), Some(fix.to_owned()));
    Some(DoctorCheck { id: check.id.to_owned(), result: DoctorResult::Note, what, why, fix })
}

/// The worst first; what is well in a few lines.
fn drawn(report: &DoctorReport, screen: &Screen) -> String {
    let mut out = String::new();
    for (result, word, tone) in [
        (DoctorResult::Error, "error", Tone::Bad),
        (DoctorResult::Warning, "warning", Tone::Amiss),
        (DoctorResult::Note, "note", Tone::Plain),
    ] {
        for check in report.checks.iter().filter(|check| check.result == result && !is_unseen(check)) {
            out.push_str(&screen.hanging(
                &format!("{word:<9}"),
                tone,
                &format!("{}: {}", check.id, check.what),
            ));
            for (head, words) in [("  why:   ", &check.why), ("  next:  ", &check.fix)] {
                out.push_str(&screen.hanging(head, Tone::Plain, words.as_deref().unwrap_or_default()));
            }
            out.push('\n');
        }
    }
    let names = |wanted: fn(&DoctorCheck) -> bool| {
        let all = report.checks.iter().filter(|check| wanted(check));
        all.map(|check| check.id.as_str()).collect::<Vec<_>>()
    };
    let (well, unseen) = (names(|check| check.result == DoctorResult::Ok), names(is_unseen));
    for (head, tone, names) in [("unseen   ", Tone::Plain, &unseen), ("ok       ", Tone::Good, &well)] {
        if !names.is_empty() {
            out.push_str(&screen.hanging(head, tone, &names.join(", ")));
        }
    }
    let count = |result| report.checks.iter().filter(|check| check.result == result).count();
    let sum = format!(
        "Errors {}, warnings {}, notes {}; checks that are well {}, not looked at {}.",
        count(DoctorResult::Error),
        count(DoctorResult::Warning),
        count(DoctorResult::Note).saturating_sub(unseen.len()),
        well.len(),
        unseen.len()
    );
    out + &screen.hanging("", Tone::Plain, &sum)
}

fn is_unseen(check: &DoctorCheck) -> bool {
    check.what.starts_with(UNSEEN)
}
