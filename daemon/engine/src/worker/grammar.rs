//! Holds an answer to a form: of the tokens that might come next, only those by which it can still be kept.
//!
//! Knows llguidance, which makes a parser of JSON schemas over the model's tokens; each of its steps spends a bounded amount of
//! work. Knows nothing of llama.cpp's own grammars: they are C++ that ends the process where one goes wrong. Invariant: no
//! token is said by which the form could not be kept any more, and reasoning alone is free of it.

use super::generation::piece;
use super::prompt::text_of;
use crate::error::Failure;
use crate::output::{CALL, CALL_END, MARKS, THINK_END};
use crate::schema;
use crate::wire::form::{Form, Held};
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token::data::LlamaTokenData;
use llama_cpp_2::token::data_array::LlamaTokenDataArray;
use llama_cpp_2::vocab::LlamaVocab;
use llguidance::api::{GrammarWithLexer, TopLevelGrammar};
use llguidance::toktrie::{ApproximateTokEnv, InferenceCapabilities, SimpleVob, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};
use std::fmt::Write;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// States of the automaton that reads tokens, at 1 to 2 kB each. The schemas of JSON Schema's own collection take some thousands.
const STATES: usize = 50_000;
/// Symbols in the rules of a grammar, about eight for each property: the work grows as their square, and comes to a second here.
/// An object with more than some hundreds of properties that may be left out cannot be kept in any case.
const SYMBOLS: usize = 20_000;
/// White space between two words of JSON: a blank at the most, since a small model may spend all of its tokens on more.
const SPACE: &str = " ";
/// What llguidance's words for a failure begin with, or have in them, and the keyword that it is about. The first found counts.
const BLAMED: [(&str, &str); 9] = [
    ("oneOf constraints", "oneOf"),
    ("patternProperty", "patternProperties"),
    ("Unknown format", "format"),
    ("multipleOf", "multipleOf"),
    ("minProperties", "minProperties"),
    ("maxProperties", "maxProperties"),
    ("circular references", "$ref"),
    ("regex", "pattern"),
    ("Invalid type", "type"),
];
/// What is in those that no answer could fulfil.
const UNFULFILLED: &str = "Unsatisfiable";
/// What is in those that are about size.
const TOO_LARGE: [&str; 7] =
    ["too large", "too big", "too complex", "fuel", "stack level", "limit for this grammar", "max is"];

/// How an answer of one model begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// Reasoning comes first.
    pub(super) thinking: bool,
    /// The model was taught to put its calls between `<tool_call>` and its end; else a call is a bare object.
    pub(super) marked: bool,
}

/// What stands before and behind a call, in Lark's words; nothing around a bare one.
type Marks = Option<[String; 2]>;

/// The parsers of one model.
#[derive(Default)]
pub(super) struct Grammars {
    /// Made when first needed: it looks at each token of the vocabulary.
    factory: Option<ParserFactory>,
}

impl Grammars {
    /// What holds an answer to this form.
    ///
    /// # Errors
    /// 400 with the field whose schema cannot be kept, and the keyword at fault.
    pub(super) fn holder(
        &mut self,
        vocabulary: &LlamaVocab<'_>,
        form: &Form,
        manner: Manner,
    ) -> Result<Holder, Failure> {
        let factory = match &mut self.factory {
            Some(factory) => factory,
            none => none.insert(factory(vocabulary)?),
        };
        let matcher = match parser(factory, grammar(form, manner.marked.then(|| marks(vocabulary)))) {
            Ok(matcher) => matcher,
            // Which of several it was is found by trying each alone.
            Err(problem) => return Err(blame(factory, form, &problem)),
        };
        let at = parts(form).next().map_or("", |held| &held.at).to_owned();
        let mut holder = Holder { matcher, reasoning: None, first: None, at };
        // Much of what cannot be kept is only seen here, before the answer begins.
        holder.first = Some(holder.allowed()?);
        holder.reasoning = manner.thinking.then(Vec::new);
        Ok(holder)
    }
}

fn factory(vocabulary: &LlamaVocab<'_>) -> Result<ParserFactory, Failure> {
    let failed =
        |error| Failure::internal(format!("the model's vocabulary cannot be used in grammars: {error}"));
    let environment = environment(vocabulary);
    let capabilities = InferenceCapabilities::default();
    let mut factory = ParserFactory::new(&environment, capabilities, &slices()).map_err(failed)?;
    factory.quiet();
    let limits = factory.limits_mut();
    limits.max_lexer_states = STATES;
    limits.max_grammar_size = SYMBOLS;
    // Errors would have the answer in them.
    limits.verbose_errors = false;
    Ok(factory)
}

/// Sets of tokens that are looked at once for all: letters of a text in JSON. The parser need not go through each of them again.
fn slices() -> Vec<String> {
    llguidance::earley::SlicedBiasComputer::json_slices()
}

/// The marks around a call: each the token that it is, if it is one.
fn marks(vocabulary: &LlamaVocab<'_>) -> [String; 2] {
    let word = |mark: &str| {
        let token = vocabulary.tokens().find(|token| text_of(vocabulary, *token) == mark);
        token.map_or_else(|| json!(mark).to_string(), |token| format!("<[{}]>", token.0))
    };
    [format!("{} \"\\n\"", word(CALL)), format!("\"\\n\" {}", word(CALL_END))]
}

/// The tokens as an answer shows them. Control tokens are no text, nor are marks, which would end a call in the middle of a text: they
/// are allowed only where a grammar names them. A token without text never is.
fn environment(vocabulary: &LlamaVocab<'_>) -> TokEnv {
    let words: Vec<Vec<u8>> = vocabulary
        .tokens()
        .map(|token| match piece(vocabulary, token) {
            bytes if is_no_text(vocabulary, token, &bytes) => {
                // llguidance's mark of what is no text.
                [&[TokTrie::SPECIAL_TOKEN_MARKER], text_of(vocabulary, token).as_bytes()].concat()
            }
            bytes => bytes,
        })
        .collect();
    let number = |token: LlamaToken| u32::try_from(token.0).ok();
    let ends: Vec<u32> =
        vocabulary.tokens().filter(|token| vocabulary.is_eog(*token)).filter_map(number).collect();
    let end = ends.first().copied().or(number(vocabulary.eos())).unwrap_or(0);
    let info = TokRxInfo::new(u32::try_from(words.len()).unwrap_or(0), end);
    let ends = if ends.is_empty() { vec![end] } else { ends };
    Arc::new(ApproximateTokEnv::new(TokTrie::from(&info, &words).with_eos_tokens(&ends)))
}

fn is_no_text(vocabulary: &LlamaVocab<'_>, token: LlamaToken, bytes: &[u8]) -> bool {
    let mark = MARKS.iter().any(|mark| mark.as_bytes() == bytes);
    mark || vocabulary.is_control(token) || vocabulary.is_eog(token)
}

fn parts(form: &Form) -> impl Iterator<Item = &Held> {
    form.content.iter().chain(form.calls.iter().map(|(_, held)| held))
}

/// One grammar that calls the others by name: each schema has its own, since its references begin at its own root.
fn grammar(form: &Form, marks: Marks) -> TopLevelGrammar {
    let [open, close] = marks.unwrap_or_default();
    let mut start = Vec::new();
    let mut rules = String::new();
    let mut grammars = vec![GrammarWithLexer::default()];
    if let Some(held) = &form.content {
        start.push("@content".to_owned());
        grammars.push(of_schema("content".into(), held));
    }
    for (index, (name, held)) in form.calls.iter().enumerate() {
        // As the splitter reads it, and Hermes' and Qwen's templates show it.
        let opening = format!("{{\"name\": {}, \"arguments\": ", json!(name));
        start.push(format!("call_{index}"));
        // Writing to a String cannot fail. Lark's texts are written as JSON's.
        let _ = writeln!(rules, "call_{index}: {open} {} @arguments_{index} \"}}\" {close}", json!(opening));
        grammars.push(of_schema(format!("arguments_{index}"), held));
    }
    let lark = format!("start: {}\n{rules}", start.join(" | "));
    if let Some(first) = grammars.first_mut() {
        first.lark_grammar = Some(lark);
    }
    TopLevelGrammar { grammars, max_tokens: None }
}

fn of_schema(name: String, held: &Held) -> GrammarWithLexer {
    let mut schema = held.schema.clone();
    if let Value::Bool(any) = schema {
        schema = if any { json!({}) } else { json!({"enum": []}) };
    }
    if let Value::Object(fields) = &mut schema {
        // Callers cannot send these: no other keyword of that name passes `schema::check`.
        fields.insert("x-guidance".into(), json!({"whitespace_pattern": SPACE}));
    }
    GrammarWithLexer { name: Some(name), json_schema: Some(schema), lark_grammar: None }
}

fn parser(factory: &ParserFactory, grammar: TopLevelGrammar) -> Result<Matcher, String> {
    let made = std::panic::catch_unwind(AssertUnwindSafe(|| Matcher::new(factory.create_parser(grammar))));
    let matcher = made.map_err(|_| "llguidance panicked".to_owned())?;
    match matcher.get_error() {
        Some(problem) => Err(problem),
        None => Ok(matcher),
    }
}

fn blame(factory: &ParserFactory, form: &Form, problem: &str) -> Failure {
    let alone = |held: &Held| {
        let form = Form { content: Some(held.clone()), calls: Vec::new() };
        parser(factory, grammar(&form, None)).err().map(|problem| refusal(&held.at, &problem))
    };
    let first = parts(form).next().map_or("tools", |held| &held.at);
    if is_too_large(problem) {
        // Each may pass alone, and it would take as long again.
        return schema::too_large(if form.calls.len() > 1 { "tools" } else { first });
    }
    parts(form).find_map(alone).unwrap_or_else(|| refusal(first, problem))
}

fn refusal(at: &str, problem: &str) -> Failure {
    if is_too_large(problem) {
        return schema::too_large(at);
    }
    let why = match blamed(problem) {
        Some(keyword) => format!("what the keyword '{keyword}' asks here is not kept by this engine"),
        None if problem.contains(UNFULFILLED) => "there is nothing that fulfils it".to_owned(),
        None => "its keywords are not kept by this engine together".to_owned(),
    };
    let message = format!(
        "An answer cannot be held to the schema in {at}: {why}; use a simpler one, or describe it in words"
    );
    Failure::unsupported(at, message)
}

fn blamed(problem: &str) -> Option<&'static str> {
    BLAMED.iter().find(|(words, _)| problem.contains(words)).map(|(_, keyword)| *keyword)
}

fn is_too_large(problem: &str) -> bool {
    let said = TOO_LARGE.iter().any(|words| problem.contains(words));
    said && blamed(problem).is_none() && !problem.contains(UNFULFILLED)
}

/// Holds one answer to its form.
pub(super) struct Holder {
    matcher: Matcher,
    /// The last bytes of reasoning, which goes before what is held; `None` behind it.
    reasoning: Option<Vec<u8>>,
    /// The tokens that may begin, until one did.
    first: Option<SimpleVob>,
    /// The field that asked for it.
    at: String,
}

impl Holder {
    /// Chooses a token after the context's last logits.
    ///
    /// # Errors
    /// 400: no token was left by which the form could be kept, or finding them was more than the limits allow.
    pub(super) fn choose(
        &mut self,
        context: &LlamaContext<'_>,
        vocabulary: &LlamaVocab<'_>,
        sampler: &mut LlamaSampler,
    ) -> Result<LlamaToken, Failure> {
        let candidates = context.candidates_ith(-1);
        let candidates: Vec<LlamaTokenData> = if self.reasoning.is_some() {
            // Who ends within reasoning has not said what was asked for.
            candidates.filter(|candidate| !vocabulary.is_eog(candidate.id())).collect()
        } else {
            let allowed = self.allowed()?;
            candidates.filter(|candidate| is_in(&allowed, candidate.id())).collect()
        };
        let mut candidates = LlamaTokenDataArray::new(candidates, false);
        sampler.apply(&mut candidates);
        let token = candidates.selected_token().ok_or_else(|| self.stuck(""))?;
        sampler.accept(token);
        self.take(vocabulary, token)?;
        Ok(token)
    }

    /// Whether nothing can follow.
    pub(super) fn ended(&self) -> bool {
        self.reasoning.is_none() && self.matcher.is_stopped()
    }

    /// The tokens that may follow.
    fn allowed(&mut self) -> Result<SimpleVob, Failure> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        self.matcher.compute_mask_or_eos().map_err(|error| self.stuck(&error.to_string()))
    }

    fn take(&mut self, vocabulary: &LlamaVocab<'_>, token: LlamaToken) -> Result<(), Failure> {
        let Some(tail) = &mut self.reasoning else {
            let number = u32::try_from(token.0).unwrap_or(u32::MAX);
            return self.matcher.consume_token(number).map_err(|error| self.stuck(&error.to_string()));
        };
        tail.extend(piece(vocabulary, token));
        let mark = THINK_END.as_bytes();
        let Some(at) = tail.windows(mark.len()).position(|window| window == mark) else {
            let kept = tail.len().saturating_sub(mark.len() - 1);
            tail.drain(..kept);
            return Ok(());
        };
        // White space is dropped on its way out; anything else would stand before what is held.
        let clean = tail.get(at + mark.len()..).is_none_or(|rest| rest.trim_ascii().is_empty());
        self.reasoning = None;
        if clean {
            return Ok(());
        }
        let message = "the model ended its reasoning in the middle of a token, behind which nothing can be held to a schema";
        Err(Failure::internal(message))
    }

    /// What is told where no token can follow; `problem` is llguidance's word for why.
    fn stuck(&self, problem: &str) -> Failure {
        let why = if is_too_large(problem) {
            "looking for what may follow took more than one token may take"
        } else {
            "nothing that this model can write fulfils it"
        };
        let message =
            format!("The answer cannot be held to what {} asks: {why}; use a simpler schema", self.at);
        Failure::unsupported(&self.at, message)
    }
}

fn is_in(allowed: &SimpleVob, token: LlamaToken) -> bool {
    u32::try_from(token.0).is_ok_and(|number| allowed.is_allowed(number))
}
