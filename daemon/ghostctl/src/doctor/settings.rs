//! Whether what is on disk as the configuration can be used: the daemon says so, or `ghostllm config check` where it does not run.

use std::{path::PathBuf, process::Command};

use super::{Check, Finding, Needs, ask, seen::Seen};

pub(super) const CHECKS: &[Check] = &[Check {
    id: "configuration",
    looks_at: "what is on disk as the configuration is sound",
    needs: Needs::Nothing,
    look: sound,
}];

/// A next start would end.
const WHY: &str = "the daemon does not start with it, and takes no change while it runs";

fn sound(seen: &Seen) -> Vec<Finding> {
    let Some(daemon) = seen.known() else { return without_the_daemon() };
    match &daemon.checked {
        Ok(answer) if answer.what.sound => Vec::new(),
        Ok(answer) => {
            let fault = |fault: &String| Finding::error(fault, WHY, "mend it, then: ghostctl reload");
            answer.what.faults.iter().map(fault).collect()
        }
        Err(failure) => vec![Finding::warning(
            &failure.message,
            "whether the configuration is sound is not known",
            "ghostllm config check",
        )],
    }
}

fn without_the_daemon() -> Vec<Finding> {
    let Some(program) = ask::program("ghostllm") else {
        return vec![Finding::warning(
            "there is no program ghostllm beside ghostctl or in PATH",
            "there is no daemon to start",
            "install the package ghostllm, or set PATH so that ghostllm is found",
        )];
    };
    check(&program)
}

fn check(program: &PathBuf) -> Vec<Finding> {
    let mut command = Command::new(program);
    command.args(["config", "check"]);
    match ask::run(command) {
        Some((Some(0), _)) => Vec::new(),
        Some((_, said)) => {
            let said = said.lines().map(str::trim).filter(|line| !line.is_empty());
            let said = said.collect::<Vec<_>>().join("; ");
            vec![Finding::error(said, WHY, "mend it, then: ghostllm config check")]
        }
        None => vec![Finding::note(
            format!("{} config check cannot be run, or takes too long", program.display()),
            "whether the configuration is sound is not known",
            "ghostllm config check",
        )],
    }
}
