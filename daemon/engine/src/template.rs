//! Renders a model's chat template over a conversation.
//!
//! Knows Jinja as Hugging Face's transformers sets it up (trimmed blocks, loop controls, its `tojson`,
//! `raise_exception`, `strftime_now`, the `generation` tag) and how OpenAI's messages become what templates expect.
//! Knows nothing of tokens, models or HTTP. Invariant: a template, which is a stranger's program, ends within its
//! fuel and touches nothing but the values that it was given.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Value};
use page::{Early, Page};
use serde::Serialize;
use time::OffsetDateTime;
use tojson::to_json;

pub use page::Paper;

pub mod messages;
mod page;
mod tojson;
pub mod words;

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The template failed, or refuses the conversation; in the template engine's or in the template author's words,
    /// never in the conversation's.
    #[error("{0}")]
    Failed(String),
    /// The template spends more than its fuel on this conversation.
    #[error("the template takes too much work or memory")]
    Spent,
    /// The text is longer than its paper.
    #[error("the text is too long")]
    TooLong,
    /// Nobody wants it any more.
    #[error("the text is not wanted any more")]
    Unwanted,
}

/// What a template sees. Field names are the ones that transformers passes.
#[derive(Debug, Serialize)]
pub struct Conversation<'a> {
    /// The messages, oldest first, in OpenAI's shape.
    pub messages: &'a [serde_json::Value],
    /// The functions that may be called; `None` where there are none.
    pub tools: Option<&'a [serde_json::Value]>,
    /// Retrieved documents: never any here, but templates ask.
    pub documents: Option<&'a [serde_json::Value]>,
    /// Whether the text ends where the assistant shall go on.
    pub add_generation_prompt: bool,
    /// The text of the model's first token, empty where it has none.
    pub bos_token: &'a str,
    /// The text of the model's last token, empty where it has none.
    pub eos_token: &'a str,
    /// Whatever else the caller wants the template to see (`enable_thinking`, `reasoning_effort`).
    #[serde(flatten)]
    pub extra: &'a serde_json::Map<String, serde_json::Value>,
}

/// A compiled chat template.
pub struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
}

impl ChatTemplate {
    /// Compiles `source`, each rendering of which may spend `fuel`. `now` is what `strftime_now` tells, for the life of
    /// this value.
    ///
    /// # Errors
    /// When the source is not the Jinja that is understood here, with the line.
    pub fn new(source: &str, fuel: u64, now: OffsetDateTime) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| explain(&error))?);
        environment.set_fuel(Some(fuel));
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_test("iterable", is_iterable);
        environment.add_test("sequence", is_iterable);
        environment.add_filter("tojson", to_json);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", move |format: &str| strftime(now, format));
        let plain = without_generation_tags(source);
        environment.add_template_owned("chat", plain).map_err(|error| explain(&error))?;
        Ok(Self { environment, source: source.to_owned() })
    }

    /// The text for the model.
    ///
    /// # Errors
    /// When the template refuses the conversation, fails, or spends too much.
    pub fn render(&self, conversation: &Conversation<'_>, paper: Paper<'_>) -> Result<String, TemplateError> {
        let failed = |error: &Error| self.explain_failure(error);
        let template = self.environment.get_template("chat").map_err(|error| failed(&error))?;
        let mut page = Page::new(paper);
        let rendered = template.render_captured_to(Value::from(Serde(conversation)), &mut page).map(drop);
        match (page.early, rendered) {
            (Some(Early::TooLong), _) => Err(TemplateError::TooLong),
            (Some(Early::Unwanted), _) => Err(TemplateError::Unwanted),
            (None, Err(error)) if error.kind() == ErrorKind::OutOfFuel => Err(TemplateError::Spent),
            (None, Err(error)) => Err(failed(&error)),
            (None, Ok(())) => {
                String::from_utf8(page.text).map_err(|error| TemplateError::Failed(error.to_string()))
            }
        }
    }

    /// What failed while the conversation was at hand: words that do not stand in the template may be the caller's,
    /// and are left out.
    fn explain_failure(&self, error: &Error) -> TemplateError {
        let own = error.detail().filter(|detail| self.source.contains(detail));
        tell(own.map_or_else(|| error.kind().to_string(), str::to_owned), error)
    }

    /// Whether the template's own text speaks of `word`: a cheap way to learn what it can take.
    #[must_use]
    pub fn mentions(&self, word: &str) -> bool {
        self.source.contains(word)
    }
}

fn explain(error: &Error) -> TemplateError {
    tell(error.detail().map_or_else(|| error.kind().to_string(), str::to_owned), error)
}

fn tell(what: String, error: &Error) -> TemplateError {
    let line = error.line().map_or_else(String::new, |line| format!(" (line {line} of the template)"));
    TemplateError::Failed(what + &line)
}

/// Python's answer to `is iterable` and, near enough, to `is sequence`: text, maps and what is undefined
/// are both, none is neither.
fn is_iterable(value: &Value) -> bool {
    use ValueKind::{Iterable, Map, Seq, String, Undefined};
    matches!(value.kind(), String | Seq | Map | Iterable | Undefined)
}

fn raise_exception(message: &str) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message.to_owned()))
}

fn strftime(now: OffsetDateTime, format: &str) -> Result<String, Error> {
    let invalid = |what: String| Error::new(ErrorKind::InvalidOperation, format!("strftime_now: {what}"));
    let items =
        time::format_description::parse_strftime_owned(format).map_err(|error| invalid(error.to_string()))?;
    now.format(&items).map_err(|error| invalid(error.to_string()))
}

/// transformers adds a tag `generation` that marks the assistant's words for training. It renders its body, as an
/// `if` that always holds does; trimming marks stay where they are.
fn without_generation_tags(source: &str) -> String {
    let mut plain = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, tag)) = rest.split_once("{%") {
        let Some((inside, after)) = tag.split_once("%}") else { break };
        let word = inside.trim_matches(|c: char| c.is_whitespace() || c == '-' || c == '+');
        let replaced = match word {
            "generation" => inside.replace("generation", "if true"),
            "endgeneration" => inside.replace("endgeneration", "endif"),
            _ => {
                plain.push_str(before);
                plain.push_str("{%");
                rest = tag;
                continue;
            }
        };
        plain.push_str(before);
        plain.push_str("{%");
        plain.push_str(&replaced);
        plain.push_str("%}");
        rest = after;
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests;
