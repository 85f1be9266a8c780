//! One answer, of a chat or a completion: the prompt read in batches, then token after token.
//!
//! Invariant: no step decodes more than the limit `batch` of tokens, and before each step the asker is known to be there.

use super::grammar::{Holder, Manner};
use super::odds::{Ledger, odds};
use super::{Loaded, prompt, sampler};
use crate::error::Failure;
use crate::output::{CALL, MARKS, Output, Piece};
use crate::queue::{Event, Job};
use crate::wire::Chat;
use crate::wire::answer::{Finish, Odds, Part, Usage};
use crate::wire::form::Form;
use crate::wire::sampling::Sampling;
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::vocab::LlamaVocab;

/// The logits that llama.cpp keeps of one step: those of some sixty tokens where there are 128,000 to choose from.
const SCORED_BYTES: usize = 32 << 20;

/// Answers the chat of this body; `None` if its asker left.
pub(super) fn answer(
    loaded: &mut Loaded<'_>,
    job: &Job,
    body: &[u8],
) -> Result<Option<(Finish, Usage)>, Failure> {
    let (settings, limits) = (loaded.settings, loaded.settings.limits);
    let allowance = settings.allowance(&job.model.summary);
    let chat = Chat::read(body, &allowance, &limits)?;
    let vocabulary = loaded.weights.vocab();
    let Some(text) = prompt::text(job, &chat, &vocabulary, &allowance, limits.template_work)? else {
        return Ok(None);
    };
    let limit = loaded.context.n_ctx() as usize;
    let Some(tokens) = prompt::tokens(job, &vocabulary, &text, ("messages", limit))? else { return Ok(None) };
    let thinking = text.trim_end().ends_with("<think>");
    let marked = job.model.summary.chat_template(true).is_some_and(|template| template.contains(CALL));
    let manner = Manner { thinking, marked };
    let form = chat.form.as_ref();
    let holder = form.map(|form| loaded.grammars.holder(&vocabulary, form, manner)).transpose()?;
    job.tell(Event::Begun);
    let saying = Saying {
        sampling: &chat.sampling,
        holder,
        output: Output::new(chat.stop, chat.functions, thinking).forced(form.is_some_and(Form::is_call)),
        odds: chat.odds,
        most: chat.max_tokens,
    };
    if read(loaded, job, &tokens, None)?.is_none() {
        return Ok(None);
    }
    let said = say(loaded, job, tokens.len(), saying)?;
    Ok(said.map(|(finish, completion)| (finish, Usage { prompt: tokens.len(), completion })))
}

/// How something is said behind a prompt that was read.
pub(super) struct Saying<'a> {
    pub(super) sampling: &'a Sampling,
    /// What it is held to, if anything.
    pub(super) holder: Option<Holder>,
    pub(super) output: Output,
    /// How many of the likeliest tokens to tell beside each token's own odds.
    pub(super) odds: Option<usize>,
    /// The most tokens; `None` for what the context leaves.
    pub(super) most: Option<usize>,
}

/// Has the model read a prompt, and nothing else; `None` if the asker left. Where it is said how many of the likeliest tokens to tell,
/// the odds of each token but the first.
pub(super) fn read(
    loaded: &mut Loaded<'_>,
    job: &Job,
    tokens: &[LlamaToken],
    scores: Option<usize>,
) -> Result<Option<Vec<Odds>>, Failure> {
    let vocabulary = loaded.weights.vocab();
    let context = &mut loaded.context;
    forget(context);
    let mut size = loaded.settings.limits.batch as usize;
    if scores.is_some() {
        size = size.min(scored(vocabulary.n_tokens()));
    }
    let mut batch = LlamaBatch::new(size, 1);
    let (mut position, mut told) = (0, Vec::new());
    for part in tokens.chunks(size) {
        if job.abandoned() {
            return Ok(None);
        }
        let last = position + part.len() == tokens.len();
        let silent = if scores.is_some() { 0 } else { part.len() - usize::from(last) };
        step(context, &mut batch, part, position, silent)?;
        if let Some(most) = scores {
            let next = tokens.get(position + 1..).unwrap_or_default();
            for (row, token) in (0..).zip(next.iter().take(part.len())) {
                told.push(odds(&vocabulary, context.get_logits_ith(row), *token, most));
            }
        }
        position += part.len();
    }
    Ok((!job.abandoned()).then_some(told))
}

/// How many tokens are read in one step where the odds behind each are looked at: llama.cpp keeps the logits of all of them.
fn scored(vocabulary: i32) -> usize {
    let row = usize::try_from(vocabulary).unwrap_or(0) * size_of::<f32>();
    (SCORED_BYTES / row.max(1)).max(1)
}

/// Says something behind a prompt of such a length, which was read: why it ended, and how many tokens there were. `None` if the asker
/// left.
pub(super) fn say(
    loaded: &mut Loaded<'_>,
    job: &Job,
    prompt: usize,
    saying: Saying<'_>,
) -> Result<Option<(Finish, usize)>, Failure> {
    let vocabulary = loaded.weights.vocab();
    let context = &mut loaded.context;
    let room = (context.n_ctx() as usize).saturating_sub(prompt);
    let odds = saying.odds.map(|most| (most, Ledger::default()));
    let mut voice = Voice { job, output: saying.output, odds };
    let sampler = sampler::chain(saying.sampling, loaded.weights.n_vocab(), context.n_ctx());
    let mut choice = Choice { sampler, holder: saying.holder };
    let most = saying.most.unwrap_or(room).min(room);
    speak(context, &vocabulary, &mut choice, &mut voice, (prompt, most))
}

/// Says token after token, up to so `many` behind a prompt of such a length: why it ended, and how many there were. `None` if
/// the asker left.
fn speak(
    context: &mut LlamaContext<'_>,
    vocabulary: &LlamaVocab<'_>,
    choice: &mut Choice,
    voice: &mut Voice<'_>,
    (prompt, many): (usize, usize),
) -> Result<Option<(Finish, usize)>, Failure> {
    let mut batch = LlamaBatch::new(1, 1);
    let (mut said, mut finish) = (0, Finish::Length);
    while said < many {
        let token = choice.next(context, vocabulary)?;
        if vocabulary.is_eog(token) {
            finish = Finish::Stop;
            break;
        }
        said += 1;
        voice.say(context, vocabulary, token);
        if voice.output.stopped() || choice.ended() {
            finish = Finish::Stop;
            break;
        }
        if voice.job.abandoned() {
            return Ok(None);
        }
        if said < many {
            step(context, &mut batch, &[token], prompt + said - 1, 0)?;
        }
    }
    voice.end();
    Ok(Some((finish, said)))
}

/// How the next token is chosen.
struct Choice {
    sampler: LlamaSampler,
    /// What the answer is held to, if anything.
    holder: Option<Holder>,
}

impl Choice {
    fn next(
        &mut self,
        context: &LlamaContext<'_>,
        vocabulary: &LlamaVocab<'_>,
    ) -> Result<LlamaToken, Failure> {
        match &mut self.holder {
            Some(holder) => holder.choose(context, vocabulary, &mut self.sampler),
            None => Ok(self.sampler.sample(context, -1)),
        }
    }

    fn ended(&self) -> bool {
        self.holder.as_ref().is_some_and(Holder::ended)
    }
}

/// What is said, on its way from tokens to the one who asked.
struct Voice<'a> {
    job: &'a Job,
    output: Output,
    /// How many of the likeliest tokens to tell, and the tokens whose odds are to be told.
    odds: Option<(usize, Ledger)>,
}

impl Voice<'_> {
    /// Says the token that was chosen from the context's last logits.
    fn say(&mut self, context: &LlamaContext<'_>, vocabulary: &LlamaVocab<'_>, token: LlamaToken) {
        let bytes = piece(vocabulary, token);
        let pieces = self.output.push(&bytes);
        if let Some((most, ledger)) = &mut self.odds
            && !bytes.is_empty()
        {
            ledger.add(odds(vocabulary, context.get_logits_ith(-1), token, *most), self.output.length());
        }
        self.tell(pieces);
    }

    /// Says what was held back.
    fn end(&mut self) {
        let pieces = self.output.finish();
        if let Some((_, ledger)) = &mut self.odds {
            ledger.reach(self.output.length());
        }
        self.tell(pieces);
    }

    fn tell(&mut self, pieces: Vec<Piece>) {
        let mut places = self.output.shown().into_iter();
        for piece in pieces {
            let odds = match (&piece, &mut self.odds) {
                (Piece::Content(_), Some((_, ledger))) => places.next().map(|place| ledger.take(&place)),
                _ => None,
            };
            self.job.tell(Event::Part(Part { piece, odds }));
        }
    }
}

pub(super) fn forget(context: &mut LlamaContext<'_>) {
    // Forgetting positions is cheap; clearing the memory itself is not, and only needed where the first is refused.
    if !matches!(context.clear_kv_cache_seq(None, None, None), Ok(true)) {
        context.clear_kv_cache();
    }
}

/// Decodes `tokens` from `position` on, and asks for the odds of what follows each of them but so many at first.
fn step(
    context: &mut LlamaContext<'_>,
    batch: &mut LlamaBatch<'_>,
    tokens: &[LlamaToken],
    position: usize,
    silent: usize,
) -> Result<(), Failure> {
    let failed = |problem: String| Failure::internal(format!("llama.cpp could not go on: {problem}"));
    batch.clear();
    for (index, token) in tokens.iter().enumerate() {
        let place = i32::try_from(position + index).map_err(|error| failed(error.to_string()))?;
        batch.add(*token, place, &[0], index >= silent).map_err(|error| failed(error.to_string()))?;
    }
    context.decode(batch).map_err(|error| failed(error.to_string()))
}

/// The bytes of a token as the answer shows them: control tokens are silent, but for the marks that calls begin with.
pub(super) fn piece(vocabulary: &LlamaVocab<'_>, token: LlamaToken) -> Vec<u8> {
    if vocabulary.is_control(token) {
        let text = prompt::text_of(vocabulary, token);
        return if MARKS.contains(&text.as_str()) { text.into_bytes() } else { Vec::new() };
    }
    vocabulary.token_to_piece(token, false, None)
}
