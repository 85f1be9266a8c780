//! One answer: the prompt read in batches, then token after token.
//!
//! Invariant: no step decodes more than the limit `batch` of tokens, and before each step the asker is known to be there.

use super::{Settings, prompt, sampler};
use crate::error::Failure;
use crate::output::{MARKS, Output};
use crate::queue::{Event, Job};
use crate::wire::Chat;
use crate::wire::answer::{Finish, Usage};
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::vocab::LlamaVocab;

/// Answers the chat of this body; `None` if its asker left.
pub(super) fn answer(
    weights: &LlamaModel,
    context: &mut LlamaContext<'_>,
    job: &Job,
    body: &[u8],
    settings: Settings,
) -> Result<Option<(Finish, Usage)>, Failure> {
    let (allowance, limits) = (settings.allowance(&job.model.summary), settings.limits);
    let chat = Chat::read(body, &allowance, &limits)?;
    let vocabulary = weights.vocab();
    let Some(text) = prompt::text(job, &chat, &vocabulary, &allowance, limits.template_work)? else {
        return Ok(None);
    };
    let limit = context.n_ctx() as usize;
    let Some(tokens) = prompt::tokens(job, &vocabulary, &text, limit)? else { return Ok(None) };
    job.tell(Event::Begun);
    let room = limit - tokens.len();
    let most = chat.max_tokens.unwrap_or(room).min(room);
    forget(context);
    let size = limits.batch as usize;
    let mut batch = LlamaBatch::new(size, 1);
    if !read_prompt(context, &mut batch, &tokens, size, job)? {
        return Ok(None);
    }
    let thinking = text.trim_end().ends_with("<think>");
    let mut output = Output::new(chat.stop, chat.functions, thinking);
    let mut sampler = sampler::chain(&chat.sampling, weights.n_vocab(), context.n_ctx());
    let mut usage = Usage { prompt: tokens.len(), completion: 0 };
    let mut finish = Finish::Length;
    while usage.completion < most {
        let token = sampler.sample(context, -1);
        if vocabulary.is_eog(token) {
            finish = Finish::Stop;
            break;
        }
        usage.completion += 1;
        tell_all(job, output.push(&piece(&vocabulary, token)));
        if output.stopped() {
            finish = Finish::Stop;
            break;
        }
        if job.abandoned() {
            return Ok(None);
        }
        if usage.completion < most {
            step(context, &mut batch, &[token], tokens.len() + usage.completion - 1, true)?;
        }
    }
    tell_all(job, output.finish());
    Ok(Some((finish, usage)))
}

fn tell_all(job: &Job, pieces: Vec<crate::output::Piece>) {
    for piece in pieces {
        job.tell(Event::Piece(piece));
    }
}

fn forget(context: &mut LlamaContext<'_>) {
    // Forgetting positions is cheap; clearing the memory itself is not, and only needed where the first is refused.
    if !matches!(context.clear_kv_cache_seq(None, None, None), Ok(true)) {
        context.clear_kv_cache();
    }
}

/// `false` if the asker left on the way.
fn read_prompt(
    context: &mut LlamaContext<'_>,
    batch: &mut LlamaBatch<'_>,
    tokens: &[LlamaToken],
    size: usize,
    job: &Job,
) -> Result<bool, Failure> {
    let mut position = 0;
    for part in tokens.chunks(size) {
        if job.abandoned() {
            return Ok(false);
        }
        step(context, batch, part, position, position + part.len() == tokens.len())?;
        position += part.len();
    }
    Ok(!job.abandoned())
}

/// Decodes `tokens` from `position` on; `last` asks for the odds of what follows them.
fn step(
    context: &mut LlamaContext<'_>,
    batch: &mut LlamaBatch<'_>,
    tokens: &[LlamaToken],
    position: usize,
    last: bool,
) -> Result<(), Failure> {
    let failed = |problem: String| Failure::internal(format!("llama.cpp could not go on: {problem}"));
    batch.clear();
    for (index, token) in tokens.iter().enumerate() {
        let place = i32::try_from(position + index).map_err(|error| failed(error.to_string()))?;
        let odds = last && index + 1 == tokens.len();
        batch.add(*token, place, &[0], odds).map_err(|error| failed(error.to_string()))?;
    }
    context.decode(batch).map_err(|error| failed(error.to_string()))
}

/// The bytes of a token as the answer shows them: control tokens are silent, but for the marks that calls begin with.
fn piece(vocabulary: &LlamaVocab<'_>, token: LlamaToken) -> Vec<u8> {
    if vocabulary.is_control(token) {
        let text = prompt::text_of(vocabulary, token);
        return if MARKS.contains(&text.as_str()) { text.into_bytes() } else { Vec::new() };
    }
    vocabulary.token_to_piece(token, false, None)
}
