//! How the program ends: its exit codes, and what it says of a failure.
//!
//! Knows standard error, and the JSON of a failure. Refuses to know what was asked. Invariant: whatever is told ends with
//! what to do next.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use ghostllm_core::{admin::FORM, key};
use serde_json::{Map, Value, json};

use crate::output::{self, text};

/// An exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It is well, or was done.
    Well,
    /// It is not well, or could not be done.
    Failed,
    /// The program was called wrongly.
    Usage,
    /// The daemon is not reachable.
    Unreachable,
    /// Whoever asks may not.
    Denied,
    /// What was named does not exist.
    NotFound,
    /// Ctrl-C, as shells count it: 128 and the signal's number.
    Interrupted,
}

impl Exit {
    const fn code(self) -> u8 {
        match self {
            Self::Well => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::Denied => 4,
            Self::NotFound => 5,
            Self::Interrupted => 130,
        }
    }

    /// In JSON, for failures of our own.
    const fn name(self) -> &'static str {
        match self {
            Self::Well | Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Unreachable => "unreachable",
            Self::Denied => "denied",
            Self::NotFound => "not_found",
            Self::Interrupted => "interrupted",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command ends early.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    /// What is wrong; empty where there is nothing to say.
    pub(crate) message: String,
    /// What to do next; none where the message says it.
    pub(crate) next: Option<String>,
    /// The API's own error object, where it was the API that said no.
    pub(crate) error: Option<Box<Map<String, Value>>>,
}

impl Failure {
    /// This, with the exit code.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), next: None, error: None }
    }

    /// An end with nothing to say: Ctrl-C, or a reader who has gone.
    pub(crate) fn quiet(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    /// The same, with what to do next.
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// The same, where nothing is known of what to do next.
    pub(crate) fn or_next(mut self, next: impl Into<String>) -> Self {
        self.next.get_or_insert_with(|| next.into());
        self
    }

    /// The same, with what to do next where it is about a thing that does not exist and the words do not say it.
    pub(crate) fn if_missing(self, next: &str) -> Self {
        if self.exit == Exit::NotFound && self.next.is_some() { self.next(next) } else { self }
    }

    /// What the API calls it.
    pub(crate) fn code(&self) -> Option<&str> {
        self.error.as_ref()?.get("code")?.as_str()
    }

    /// Tells it, on standard output as well where that is to be JSON.
    pub(crate) fn tell(&self, json: bool) -> ExitCode {
        if self.message.is_empty() {
            return self.exit.into();
        }
        if json {
            self.tell_json();
        }
        output::say(&format!("ghostctl: {}", self.message));
        if let Some(next) = &self.next {
            output::say(&format!("Next: {next}"));
        }
        self.exit.into()
    }

    /// For programs, in one line.
    pub(crate) fn tell_json(&self) {
        // Nobody is left to tell where it cannot be written; the exit code says it as well.
        let _told = writeln!(io::stdout(), "{}", self.json());
    }

    fn json(&self) -> String {
        let mut error = self.error.clone().unwrap_or_else(|| {
            let own = json!({ "message": self.message, "type": "ghostctl_error", "param": null, "code": self.exit.name() });
            Box::new(own.as_object().cloned().unwrap_or_default())
        });
        // Where the words end with what to do, that is it.
        let told = || {
            let at = ["ghostctl ", "systemctl ", "journalctl "]
                .iter()
                .filter_map(|word| self.message.find(word))
                .min()?;
            self.message.get(at..).map(|words| words.trim_end_matches(['.', '`']).to_owned())
        };
        error.insert("next".to_owned(), json!(self.next.clone().or_else(told)));
        text::one_line(&key::hidden(&json!({ "version": FORM, "error": error }).to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_in_json_has_the_apis_own_words_and_the_next_step() {
        let own = Failure::new(Exit::Unreachable, "gone").next("ghostctl status");
        let own: Value = serde_json::from_str(&own.json()).unwrap();
        assert_eq!(own["version"], 1);
        assert_eq!(
            (&own["error"]["code"], &own["error"]["message"]),
            (&json!("unreachable"), &json!("gone"))
        );
        assert_eq!(own["error"]["next"], "ghostctl status");

        let mut theirs = Failure::new(Exit::NotFound, "No such key.");
        theirs.error = json!({ "message": "No such key.", "code": "key_not_found", "new": 1 })
            .as_object()
            .cloned()
            .map(Box::new);
        let theirs: Value = serde_json::from_str(&theirs.json()).unwrap();
        assert_eq!((&theirs["error"]["code"], &theirs["error"]["new"]), (&json!("key_not_found"), &json!(1)));
    }
}
