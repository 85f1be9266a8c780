//! Completions: each prompt is read for itself, without a template around it, and gone on with.
//!
//! Knows how a text becomes a prompt as OpenAI's servers have it: what is written as a special token is one, as llama.cpp's server and
//! vLLM read it, and the first token is added where the model wants it. Invariant: the odds that are told of a prompt's tokens are of
//! tokens that make up its text.

use super::generation::{self, Saying};
use super::odds::{Ledger, unconditioned};
use super::{Loaded, prompt};
use crate::error::Failure;
use crate::output::{Output, Piece};
use crate::queue::{Event, Job};
use crate::wire::answer::{Finish, Odds, Part, Usage};
use crate::wire::completion::Completion;
use crate::wire::input::Input;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::vocab::LlamaVocab;

/// So many tokens of a prompt are given back in one part: with all their odds that is some 40 kB of a stream.
const GIVEN_BACK: usize = 64;

/// A prompt as the model reads it.
struct Prompt {
    tokens: Vec<LlamaToken>,
    /// What its answer begins with; empty where it begins with nothing.
    text: String,
    /// What each token of the text is in it, where their odds are told.
    pieces: Vec<Vec<u8>>,
    /// Whether a token stands before them.
    led: bool,
}

/// Answers the completion of this body, one prompt after the other; `None` if its asker left.
pub(super) fn answer(
    loaded: &mut Loaded<'_>,
    job: &Job,
    body: &[u8],
) -> Result<Option<(Finish, Usage)>, Failure> {
    let (settings, limits) = (loaded.settings, loaded.settings.limits);
    let request = Completion::read(body, &settings.allowance(&job.model.summary), &limits)?;
    let (vocabulary, limit) = (loaded.weights.vocab(), loaded.context.n_ctx() as usize);
    // All are looked at before any is read, so that a fault costs nothing.
    let mut prompts = Vec::with_capacity(request.prompts.len());
    for (index, input) in request.prompts.iter().enumerate() {
        match read(job, &vocabulary, &request, input, (&request.at(index), limit))? {
            Some(prompt) => prompts.push(prompt),
            None => return Ok(None),
        }
    }
    if let Some(most) = request.odds.filter(|_| request.echo) {
        let told = prompts.iter().map(|prompt| prompt.tokens.len()).sum::<usize>().saturating_mul(most + 1);
        check_odds(told, limits.prompt_odds)?;
    }
    job.tell(Event::Begun);
    let (mut usage, mut ended) = (Usage::default(), None);
    for prompt in &prompts {
        if let Some(finish) = ended {
            job.tell(Event::Next(finish));
        }
        let Some((finish, said)) = go_on(loaded, job, &request, prompt)? else { return Ok(None) };
        usage.prompt += prompt.tokens.len();
        usage.completion += said;
        ended = Some(finish);
    }
    Ok(ended.map(|finish| (finish, usage)))
}

fn check_odds(told: usize, most: usize) -> Result<(), Failure> {
    if told <= most {
        return Ok(());
    }
    let message = format!(
        "Of the prompts' tokens, with the alternatives to each, {told} odds would be told; at most {most} are (prompt_odds): ask \
         for fewer alternatives, or send the prompts apart"
    );
    Err(Failure::invalid("logprobs", message))
}

/// One prompt; `None` if the asker left.
fn read(
    job: &Job,
    vocabulary: &LlamaVocab<'_>,
    request: &Completion,
    input: &Input,
    (at, limit): (&str, usize),
) -> Result<Option<Prompt>, Failure> {
    let own = match input {
        // Between the marks of a text to be filled in, nothing else is one: it is mostly a program's source.
        Input::Text(text) => {
            prompt::piece_tokens(job, vocabulary, text, request.suffix.is_none(), (at, limit))?
        }
        Input::Tokens(numbers) => Some(prompt::numbered(vocabulary, numbers, at)?),
    };
    let Some(own) = own else { return Ok(None) };
    let (text, pieces) =
        if request.echo { echo(vocabulary, request, input, &own)? } else { Default::default() };
    let mut tokens = own;
    if let Some(suffix) = &request.suffix {
        let marks = marks(vocabulary)?;
        let behind = prompt::piece_tokens(job, vocabulary, suffix, false, ("suffix", limit))?;
        let Some(behind) = behind else { return Ok(None) };
        tokens = between(marks, &tokens, &behind);
    }
    // Token numbers are the whole prompt, as the asker has it.
    let whole = matches!(input, Input::Tokens(_)) && request.suffix.is_none();
    let led = !whole && prompt::begin(vocabulary, &mut tokens);
    if tokens.is_empty() {
        return Err(Failure::wrong_value(at, "a text that has at least one token"));
    }
    prompt::leaves_room(tokens.len(), (at, limit))?;
    Ok(Some(Prompt { tokens, text, pieces, led }))
}

/// The tokens around and between the two texts of which the middle is wanted: before the first, between them, and behind the second.
fn marks(vocabulary: &LlamaVocab<'_>) -> Result<[LlamaToken; 3], Failure> {
    let marks = [vocabulary.fim_pre(), vocabulary.fim_suf(), vocabulary.fim_mid()];
    if marks.iter().all(|mark| mark.0 >= 0) {
        return Ok(marks);
    }
    let message = "This model fills nothing in before a suffix: its file names no tokens for that; ask for a model that was \
                   made for it, or send the text alone";
    Err(Failure::unsupported("suffix", message))
}

/// The order in which all such models are taught: what comes before, what follows, and then what is between.
fn between(
    [first, then, last]: [LlamaToken; 3],
    before: &[LlamaToken],
    behind: &[LlamaToken],
) -> Vec<LlamaToken> {
    [&[first], before, &[then], behind, &[last]].concat()
}

/// What an answer begins with, and, where the odds of its tokens are told, what each of them is in it.
fn echo(
    vocabulary: &LlamaVocab<'_>,
    request: &Completion,
    input: &Input,
    tokens: &[LlamaToken],
) -> Result<(String, Vec<Vec<u8>>), Failure> {
    let pieces =
        || tokens.iter().map(|token| vocabulary.token_to_piece(*token, true, None)).collect::<Vec<_>>();
    match input {
        Input::Text(text) if !request.scores() => Ok((text.clone(), Vec::new())),
        Input::Text(text) => match made_up(text, pieces()) {
            Some(pieces) => Ok((text.clone(), pieces)),
            None => {
                let message = "The tokens of this model do not make up the prompt again letter by letter, so that their odds \
                               have no place in it; send echo or logprobs alone, or the prompt as token numbers";
                Err(Failure::unsupported("echo", message))
            }
        },
        Input::Tokens(_) => {
            let pieces = pieces();
            Ok((String::from_utf8_lossy(&pieces.concat()).into_owned(), pieces))
        }
    }
}

/// The pieces, where they make up this text. Some vocabularies put a blank before the first word, which is taken away.
fn made_up(text: &str, mut pieces: Vec<Vec<u8>>) -> Option<Vec<Vec<u8>>> {
    let whole = pieces.concat();
    if whole == text.as_bytes() {
        return Some(pieces);
    }
    let first = pieces.first_mut().filter(|_| whole.strip_prefix(b" ") == Some(text.as_bytes()))?;
    first.remove(0);
    Some(pieces)
}

/// Goes on with a prompt: why the answer ended, and how many tokens were said. `None` if the asker left.
fn go_on(
    loaded: &mut Loaded<'_>,
    job: &Job,
    request: &Completion,
    prompt: &Prompt,
) -> Result<Option<(Finish, usize)>, Failure> {
    let scores = request.odds.filter(|_| request.echo);
    // Where nothing is to be said or told, there is nothing to read.
    let odds = if request.max_tokens == 0 && scores.is_none() {
        Some(Vec::new())
    } else {
        generation::read(loaded, job, &prompt.tokens, scores)?
    };
    let Some(odds) = odds else { return Ok(None) };
    give_back(&loaded.weights.vocab(), job, prompt, scores.map(|_| odds));
    let saying = Saying {
        sampling: &request.sampling,
        holder: None,
        output: Output::plain(request.stop.clone()),
        odds: request.odds,
        most: Some(request.max_tokens),
    };
    generation::say(loaded, job, prompt.tokens.len(), saying)
}

/// Gives a prompt back; `odds` are those of all its tokens but the first, if they are told.
fn give_back(vocabulary: &LlamaVocab<'_>, job: &Job, prompt: &Prompt, odds: Option<Vec<Odds>>) {
    let tell = |text: String, odds| {
        if !text.is_empty() {
            job.tell(Event::Part(Part { piece: Piece::Content(text), odds }));
        }
    };
    let Some(odds) = odds else { return tell(prompt.text.clone(), None) };
    let first = prompt.tokens.first().filter(|_| !prompt.led);
    let all = first.map(|token| unconditioned(vocabulary, *token)).into_iter().chain(odds);
    let (mut ledger, mut output) = (Ledger::default(), Output::plain(Vec::new()));
    let (mut pieces, mut shown) = (Vec::new(), 0);
    let mut flush = |pieces: &mut Vec<Piece>, ledger: &mut Ledger| {
        let text: String = pieces.drain(..).filter_map(content).collect();
        let place = shown..shown + text.len();
        shown = place.end;
        tell(text, Some(ledger.take(&place)));
    };
    for (count, (odds, piece)) in (1_usize..).zip(all.zip(&prompt.pieces)) {
        pieces.extend(output.push(piece));
        ledger.add(odds, output.length());
        if count.is_multiple_of(GIVEN_BACK) {
            flush(&mut pieces, &mut ledger);
        }
    }
    pieces.extend(output.finish());
    ledger.reach(output.length());
    flush(&mut pieces, &mut ledger);
}

fn content(piece: Piece) -> Option<String> {
    match piece {
        Piece::Content(text) => Some(text),
        Piece::Reasoning(_) | Piece::Call(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(texts: &[&str]) -> Vec<Vec<u8>> {
        texts.iter().map(|text| text.as_bytes().to_vec()).collect()
    }

    #[test]
    fn tokens_make_up_a_text_or_do_not() {
        assert_eq!(made_up("One two", pieces(&["One", " two"])), Some(pieces(&["One", " two"])));
        // As SentencePiece does it.
        assert_eq!(made_up("One two", pieces(&[" One", " two"])), Some(pieces(&["One", " two"])));
        assert_eq!(made_up(" One", pieces(&[" One"])), Some(pieces(&[" One"])));
        assert_eq!(made_up("", Vec::new()), Some(Vec::new()));
        for others in [&["One", " <unk>"][..], &["  One", " two"], &["one", " two"], &[]] {
            assert_eq!(made_up("One two", pieces(others)), None, "{others:?}");
        }
    }

    #[test]
    fn what_is_to_be_filled_in_is_asked_for_behind_both_texts() {
        let tokens = |numbers: &[i32]| numbers.iter().copied().map(LlamaToken).collect::<Vec<_>>();
        let marks = [LlamaToken(1), LlamaToken(2), LlamaToken(3)];
        assert_eq!(between(marks, &tokens(&[10, 11]), &tokens(&[12])), tokens(&[1, 10, 11, 2, 12, 3]));
    }
}
