//! Holds an answer to a form: of the tokens that might come next, only those by which it can still be kept.
//!
//! Knows llguidance, which makes a parser of JSON schemas over the model's tokens; each of its steps spends a bounded amount of
//! work. Knows nothing of llama.cpp's own grammars: they are C++ that ends the process where one goes wrong. Invariant: no
//! token is said by which the form could not be kept any more; reasoning alone is free of it, and where only calls are held what comes
//! before one.

use super::ear::Ear;
use super::generation::piece;
use super::prompt::text_of;
use crate::error::Failure;
use crate::output::{CALL, CALL_END, MARKS, MISTRAL, PYTHON, THINK_END};
use crate::schema;
use crate::wire::form::{Content, Form, Held};
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

/// Where calls begin, in Lark's words.
enum Begin {
    /// At once, between these; nothing stands around a bare one.
    Between([String; 2]),
    /// In whatever form models write them, by the marks of all; what comes before a call is none of the grammar's.
    AsModelsDo([String; 4]),
}

impl Begin {
    fn bare() -> Self {
        Self::Between(Default::default())
    }
}

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
        let free = form.content == Content::Free;
        let begin = match (free, manner.marked) {
            (true, _) => {
                Begin::AsModelsDo([CALL, CALL_END, PYTHON, MISTRAL].map(|mark| word(vocabulary, mark)))
            }
            (false, true) => Begin::Between(marks(vocabulary)),
            (false, false) => Begin::bare(),
        };
        let matcher = match parser(factory, grammar(form, begin)) {
            Ok(matcher) => matcher,
            // Which of several it was is found by trying each alone.
            Err(problem) => return Err(blame(factory, form, &problem)),
        };
        let at = parts(form).next().map_or("", |held| &held.at).to_owned();
        let mut holder = Holder { matcher, reasoning: None, first: None, free: None, at };
        // Much of what cannot be kept is only seen here, before the answer begins.
        let first = holder.allowed()?;
        if free {
            let ear = Ear::new(manner.thinking, manner.marked);
            holder.free = Some(Free { ear, listens: true, begin: holder.matcher.clone() });
        } else {
            holder.first = Some(first);
            holder.reasoning = manner.thinking.then(Vec::new);
        }
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

/// A mark: the token that it is, if it is one.
fn word(vocabulary: &LlamaVocab<'_>, mark: &str) -> String {
    let token = vocabulary.tokens().find(|token| text_of(vocabulary, *token) == mark);
    token.map_or_else(|| json!(mark).to_string(), |token| format!("<[{}]>", token.0))
}

/// The marks around a call.
fn marks(vocabulary: &LlamaVocab<'_>) -> [String; 2] {
    [format!("{} \"\\n\"", word(vocabulary, CALL)), format!("\"\\n\" {}", word(vocabulary, CALL_END))]
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
    let content = match &form.content {
        Content::Held(held) => Some(held),
        Content::None | Content::Free => None,
    };
    content.into_iter().chain(form.calls.iter().map(|(_, held)| held))
}

/// One grammar that calls the others by name: each schema has its own, since its references begin at its own root.
fn grammar(form: &Form, begin: Begin) -> TopLevelGrammar {
    let mut start = Vec::new();
    let mut rules = String::new();
    let mut grammars = vec![GrammarWithLexer::default()];
    let [open, close] = match &begin {
        Begin::Between(marks) => marks.clone(),
        Begin::AsModelsDo(_) => Default::default(),
    };
    if let Content::Held(held) = &form.content {
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
    let any = start.join(" | ");
    let lark = match begin {
        Begin::Between(_) => format!("start: {any}\n{rules}"),
        // As the splitter reads them: Hermes' and Qwen's, Llama's with its mark and without, Mistral's.
        Begin::AsModelsDo([open, close, python, mistral]) => format!(
            "start: hermes | python | mistral | call\nhermes: {open} (\"\\n\")? call (\"\\n\")? {close}\n\
             python: {python} call\nmistral: {mistral} \"[\" call \"]\"\ncall: {any}\n{rules}"
        ),
    };
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
        let form = Form { content: Content::Held(held.clone()), calls: Vec::new() };
        parser(factory, grammar(&form, Begin::bare())).err().map(|problem| refusal(&held.at, &problem))
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
    /// What is heard of an answer of which only the calls are held.
    free: Option<Free>,
    /// The field that asked for it.
    at: String,
}

/// An answer that is free up to where a call begins, and behind that call.
struct Free {
    ear: Ear,
    /// No call has begun, or it has ended.
    listens: bool,
    /// The parser of a call, as it is before its first token.
    begin: Matcher,
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
        if self.free.as_ref().is_some_and(|free| free.listens) {
            let token = sampler.sample(context, -1);
            self.listen(vocabulary, token);
            return Ok(token);
        }
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
        let listens = self.free.as_ref().is_some_and(|free| free.listens);
        !listens && self.reasoning.is_none() && self.matcher.is_stopped()
    }

    /// Hears a token of what is free, and holds on from where it begins a call. What only looks like one goes on being free.
    fn listen(&mut self, vocabulary: &LlamaVocab<'_>, token: LlamaToken) {
        let Some(free) = &mut self.free else { return };
        let bytes = piece(vocabulary, token);
        let Some(begun) = free.ear.hear(&bytes) else { return };
        let mut matcher = free.begin.clone();
        let tokens = if begun == bytes {
            // A mark that is a token is no text, and would not be found again by its letters.
            vec![u32::try_from(token.0).unwrap_or(u32::MAX)]
        } else {
            matcher.tok_env().map(|environment| environment.tokenize_bytes(&begun)).unwrap_or_default()
        };
        for token in &tokens {
            let allowed = matcher.compute_mask_or_eos().is_ok_and(|allowed| allowed.is_allowed(*token));
            if !allowed || matcher.consume_token(*token).is_err() {
                return;
            }
        }
        free.listens = tokens.is_empty();
        self.matcher = matcher;
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
            self.matcher.consume_token(number).map_err(|error| self.stuck(&error.to_string()))?;
            if let Some(free) = &mut self.free
                && self.matcher.is_stopped()
            {
                // Behind a call of Hermes' form another one may follow, or words; the others reach to the end.
                free.listens = free.ear.goes_on();
            }
            return Ok(());
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
