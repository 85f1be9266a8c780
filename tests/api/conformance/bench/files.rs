//! Model files for our own engine that do what the demo does not: the demo with a few bytes of its head written anew.
//!
//! Knows the demo's head. Invariant: what stands behind the head stays where it is to the engine.

use anyhow::{Context, Result, ensure};
use ghostllm_tests::engine;

/// The demo with a template that shows how much is to be thought: its own has no word for it.
pub(super) fn heedful() -> Result<Vec<u8>> {
    const OLD: &[u8] =
        b"{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}";
    const NEW: &[u8] = b"{{- '<|im_start|>user\\n' ~ message.content ~ (reasoning_effort or '') ~ '\\n' }}";
    let mut bytes = std::fs::read(engine::demo())?;
    let at = memchr::memmem::find(&bytes, OLD).context("the demo's template is another one")?;
    let mut new = NEW.to_vec();
    new.resize(OLD.len(), b' ');
    bytes.splice(at..at + OLD.len(), new);
    Ok(bytes)
}

/// The demo with a template that shows calls in other marks, so that what it holds to a schema may have those that the engine reads.
pub(super) fn bare() -> Result<Vec<u8>> {
    let mut bytes = std::fs::read(engine::demo())?;
    let template =
        memchr::memmem::find(&bytes, b"tokenizer.chat_template").context("the demo has no template")?;
    let shown: Vec<usize> = memchr::memmem::find_iter(&bytes[template..], b"<tool_call>").collect();
    ensure!(!shown.is_empty(), "the demo's template is another one");
    shown.iter().for_each(|at| bytes[template + at + 5] = b'-');
    Ok(bytes)
}
