//! What is amiss with the backends, in words, for whoever looks after the box.
//!
//! Knows what was heard of them last. Refuses to ask one, and to know who is told.

use ghostllm_core::{
    admin::{Cause, Severity},
    places::{ENGINE_MODELS, ENGINE_SOCKET},
};

use super::{
    Kind,
    registry::{Known, Odd, Snapshot},
};
use crate::log::OneLine;

/// All that is.
pub(crate) fn causes(snapshot: &Snapshot) -> Vec<Cause> {
    let mut causes = models_missing(snapshot);
    causes.extend(snapshot.backends().iter().filter_map(engine_down));
    causes.extend(snapshot.backends().iter().filter_map(|known| backend_down(known, snapshot.found())));
    causes.extend(snapshot.odd().map(|odd| odd_name(&odd)));
    causes
}

fn models_missing(snapshot: &Snapshot) -> Vec<Cause> {
    let next = if snapshot.lacks_engines() {
        "install an engine: `sudo apt install ./ghostllm-engine_*.deb` (its file, from where GhostLLM's came) for GGUF files, or Ollama; or name a \
         server under [[backends]]"
            .to_owned()
    } else {
        let how = gguf_place(snapshot);
        format!(
            "start Ollama and run `ollama pull llama3.2`, put a GGUF file into {how}, or name a server under [[backends]]"
        )
    };
    let cause = |code: &str, severity, what: &str| {
        vec![Cause { code: code.to_owned(), severity, what: what.to_owned(), next: next.clone() }]
    };
    if !snapshot.ready() {
        return cause("no_model", Severity::Error, "no model can answer");
    }
    if snapshot.only_demo() {
        return cause(
            "only_demo",
            Severity::Note,
            "the demo model is all there is, a toy that shows the wiring",
        );
    }
    Vec::new()
}

/// Where a GGUF file goes, and how it is put there so that the engine's user may read it.
fn gguf_place(snapshot: &Snapshot) -> String {
    let is_units =
        |known: &Known| *known.backend().kind() == Kind::Engine && known.backend().place() == ENGINE_SOCKET;
    match snapshot.backends().iter().any(is_units) {
        true => format!("the engine's directory (sudo install -m 644 MODEL.gguf {ENGINE_MODELS}/)"),
        false => "the engine's directory (engine.models, else models in the state directory)".to_owned(),
    }
}

/// Our engine, which is looked for only where its program is.
fn engine_down(known: &Known) -> Option<Cause> {
    let fault = known.fault().filter(|_| *known.backend().kind() == Kind::Engine)?;
    Some(Cause {
        code: "engine_down".to_owned(),
        severity: Severity::Warning,
        what: format!(
            "the embedded engine does not answer, so that no GGUF file and no demo is served: {fault}"
        ),
        next: "see why it ended: journalctl -u ghostllm -g engine; where it crashes at one model, take that file out of its directory"
            .to_owned(),
    })
}

/// One that is configured and does not answer; of those that are looked for, none has to be there.
fn backend_down(known: &Known, found: bool) -> Option<Cause> {
    let fault = known.fault().filter(|_| !found && *known.backend().kind() != Kind::Engine)?;
    let (name, place) = (known.backend().name(), known.backend().place());
    Some(Cause {
        code: "backend_down".to_owned(),
        severity: Severity::Warning,
        what: format!("the backend {name} does not answer: {fault}"),
        next: format!(
            "start it, or correct its address ({place}) under [[backends]]; then: ghostctl backends test {name}"
        ),
    })
}

/// A name of the configuration that may not be meant so.
fn odd_name(odd: &Odd<'_>) -> Cause {
    let (code, next) = match odd {
        Odd::Nobodys { target, .. } => (
            "alias_of_nothing",
            format!(
                "load that model (ollama pull {target}, or a GGUF file), or correct the target under [[models]]; ghostctl models ls \
                 has those that there are"
            ),
        ),
        Odd::Hides { name, model, backend, .. } if *name == format!("{backend}/{model}") => (
            "alias_hides",
            "nothing where that is meant; else give the name under [[models]] another one, without a backend's name in front".to_owned(),
        ),
        Odd::Hides { model, backend, .. } => (
            "alias_hides",
            format!(
                "nothing where that is meant, since {backend}/{model} still asks for it; else give the name under [[models]] another one"
            ),
        ),
        Odd::Context { model, .. } => (
            "alias_context",
            format!("write the context of {model} in one block of [[models]]: it is loaded with one, by whatever name it is asked for"),
        ),
    };
    Cause {
        code: code.to_owned(),
        severity: Severity::Note,
        what: OneLine(&odd.to_string()).to_string(),
        next: OneLine(&next).to_string(),
    }
}
