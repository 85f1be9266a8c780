//! One answer: the prompt read in batches, then token after token.
//!
//! Invariant: no step decodes more than [`BATCH`] tokens, and before each step the asker is known to be there.

use super::{BATCH, sampler};
use crate::error::Failure;
use crate::output::{MARKS, Output};
use crate::queue::{Event, Job};
use crate::template::{ChatTemplate, Conversation, messages};
use crate::wire::Chat;
use crate::wire::answer::{Finish, Usage};
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::vocab::LlamaVocab;
use time::OffsetDateTime;

/// Answers a chat; `None` if its asker left.
pub(super) fn answer(
    weights: &LlamaModel,
    context: &mut LlamaContext<'_>,
    job: &Job,
    chat: &Chat,
) -> Result<Option<(Finish, Usage)>, Failure> {
    let vocabulary = weights.vocab();
    let prompt = prompt(job, chat, &vocabulary)?;
    let tokens = tokenize(&vocabulary, &prompt);
    let limit = context.n_ctx() as usize;
    // One place must be left, or nothing can be said.
    if tokens.len() >= limit {
        return Err(Failure::context(limit, tokens.len()));
    }
    job.tell(Event::Begun);
    let room = limit - tokens.len();
    let most = chat.max_tokens.unwrap_or(room).min(room);
    forget(context);
    let mut batch = LlamaBatch::new(BATCH as usize, 1);
    if !read_prompt(context, &mut batch, &tokens, job)? {
        return Ok(None);
    }
    let thinking = prompt.trim_end().ends_with("<think>");
    let mut output = Output::new(chat.stop.clone(), chat.functions.clone(), thinking);
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

/// The conversation as the model was taught to read it.
fn prompt(job: &Job, chat: &Chat, vocabulary: &LlamaVocab<'_>) -> Result<String, Failure> {
    let Some(source) = job.model.summary.chat_template(!chat.tools.is_empty()) else {
        let message =
            format!("the model {:?} has no chat template, so it cannot hold a conversation", job.model.id);
        return Err(Failure::invalid("model", message));
    };
    let refuse = |error: crate::template::TemplateError| {
        Failure::invalid(
            "messages",
            format!("the model's chat template does not take these messages: {error}"),
        )
    };
    let (bos, eos) = (text_of(vocabulary, vocabulary.bos()), text_of(vocabulary, vocabulary.eos()));
    let template = ChatTemplate::new(source, OffsetDateTime::now_utc()).map_err(refuse)?;
    let conversation = Conversation {
        messages: &chat.messages,
        tools: (!chat.tools.is_empty()).then_some(chat.tools.as_slice()),
        documents: None,
        add_generation_prompt: true,
        bos_token: &bos,
        eos_token: &eos,
        extra: &chat.extra,
    };
    messages::render(&template, &conversation).map_err(refuse)
}

fn text_of(vocabulary: &LlamaVocab<'_>, token: LlamaToken) -> String {
    // A negative number stands for "none", which llama.cpp's look-up does not expect.
    if token.0 < 0 {
        return String::new();
    }
    vocabulary.text(token).map_or_else(String::new, |text| text.to_string_lossy().into_owned())
}

/// Templates write the first token themselves, mostly; where one does not, and the model wants it, it is added.
fn tokenize(vocabulary: &LlamaVocab<'_>, prompt: &str) -> Vec<LlamaToken> {
    let mut tokens = vocabulary.tokenize(prompt.as_bytes(), false, true);
    let first = vocabulary.bos();
    if vocabulary.should_add_bos() && first.0 >= 0 && tokens.first() != Some(&first) {
        tokens.insert(0, first);
    }
    tokens
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
    job: &Job,
) -> Result<bool, Failure> {
    let mut position = 0;
    for part in tokens.chunks(BATCH as usize) {
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
        let text = text_of(vocabulary, token);
        return if MARKS.contains(&text.as_str()) { text.into_bytes() } else { Vec::new() };
    }
    vocabulary.token_to_piece(token, false, None)
}
