//! What the doubles' model says: a text that depends on the prompt alone.
//!
//! Knows prompts, tools, limits and stop texts; for the prompts of the recordings, the recorded tokens and counts.
//! Refuses to know any wire format. Invariant: the same question gets the same answer, for ever.
//!
//! For tests: `Echo: TEXT` says TEXT, `Count to N` says N tokens, and a prompt that names a tool's last word calls it.

use serde_json::{Map, Value, json};

/// A question, out of whatever dialect it came in.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// The text of the last message.
    pub prompt: String,
    /// The last message is a tool's result.
    pub result: bool,
    /// The functions that may be called, as `{"name", "parameters"}`.
    pub tools: Vec<Value>,
    /// The prompt is a text to go on with, without a template around it.
    pub raw: bool,
    /// The model is to think aloud first.
    pub thinking: bool,
    /// At most so many tokens.
    pub limit: Option<usize>,
    /// Texts that end the answer; they do not appear in it.
    pub stop: Vec<String>,
}

/// An answer, token by token.
#[derive(Debug, Clone)]
pub struct Thought {
    /// What it thinks aloud.
    pub thinking: Vec<String>,
    /// What it says.
    pub content: Vec<String>,
    /// The function that it calls instead of saying something.
    pub call: Option<Call>,
    /// `stop` or `length`.
    pub reason: &'static str,
    /// Tokens of the prompt.
    pub prompt_count: usize,
    /// Tokens generated, the unseen ones included.
    pub eval_count: usize,
}

/// A call of a function.
#[derive(Debug, Clone)]
pub struct Call {
    /// Its id, as long as a recorded one.
    pub id: String,
    /// The function's name.
    pub name: String,
    /// The arguments, an object.
    pub arguments: Value,
}

impl Ask {
    /// Reads a native request.
    #[must_use]
    pub fn from_ollama(body: &Value, thinking: bool) -> Self {
        let options = &body["options"];
        let limit = options["num_predict"].as_u64().and_then(|count| usize::try_from(count).ok());
        Self { thinking, limit, stop: strings(&options["stop"]), ..Self::from_messages(body) }
    }

    /// Reads an OpenAI request.
    #[must_use]
    pub fn from_openai(body: &Value) -> Self {
        let limit = ["max_completion_tokens", "max_tokens"].iter().find_map(|key| body[*key].as_u64());
        let limit = limit.and_then(|count| usize::try_from(count).ok());
        Self { limit, stop: strings(&body["stop"]), ..Self::from_messages(body) }
    }

    /// Reads a native request to go on with a text.
    #[must_use]
    pub fn from_generate(body: &Value) -> Self {
        let options = &body["options"];
        let limit = options["num_predict"].as_u64().and_then(|count| usize::try_from(count).ok());
        let (prompt, raw) = (body["prompt"].as_str().unwrap_or_default().to_owned(), body["raw"] == true);
        Self { prompt, raw, limit, stop: strings(&options["stop"]), ..Self::default() }
    }

    /// Reads an OpenAI request to go on with this text.
    #[must_use]
    pub fn from_completion(body: &Value, prompt: &str) -> Self {
        let limit = body["max_tokens"].as_u64().and_then(|count| usize::try_from(count).ok());
        Self { prompt: prompt.to_owned(), raw: true, limit, stop: strings(&body["stop"]), ..Self::default() }
    }

    fn from_messages(body: &Value) -> Self {
        let empty = Value::Null;
        let last = body["messages"].as_array().and_then(|all| all.last()).unwrap_or(&empty);
        let tools = body["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
        Self {
            prompt: content(&last["content"]),
            result: last["role"] == "tool",
            tools: tools.iter().map(|tool| tool["function"].clone()).collect(),
            ..Self::default()
        }
    }
}

fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(all) => all.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

fn content(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}

/// Answers a question.
#[must_use]
pub fn think(ask: &Ask) -> Thought {
    let prompt_count = count_prompt(ask);
    if let Some(call) = (!ask.result).then(|| choose(ask)).flatten() {
        // 24 tokens: every tool call of the recordings is that long.
        let (thinking, content) = (Vec::new(), Vec::new());
        return Thought { thinking, content, call: Some(call), reason: "stop", prompt_count, eval_count: 24 };
    }
    let thinking = if ask.thinking { split(&muse(&ask.prompt)) } else { Vec::new() };
    // Six tokens that no one sees: the tags around the thinking and the line breaks behind them.
    let unseen = if ask.thinking { thinking.len() + 5 } else { 0 };
    let limit = ask.limit.unwrap_or(usize::MAX);
    let mut content: Vec<String> = Vec::new();
    for token in say(ask) {
        if content.len() >= limit {
            let eval_count = content.len() + unseen;
            return Thought { thinking, content, call: None, reason: "length", prompt_count, eval_count };
        }
        content.push(token);
        if let Some(count) = cut_at_stop(&mut content, &ask.stop) {
            let eval_count = count + unseen;
            return Thought { thinking, content, call: None, reason: "stop", prompt_count, eval_count };
        }
    }
    // One more token than is seen: the one that ends the turn.
    let eval_count = content.len() + 1 + unseen;
    Thought { thinking, content, call: None, reason: "stop", prompt_count, eval_count }
}

/// Cuts the answer where a stop text begins; gives back how many tokens had been generated by then.
fn cut_at_stop(content: &mut Vec<String>, stops: &[String]) -> Option<usize> {
    let text = content.concat();
    let at =
        stops.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| text.find(stop.as_str())).min()?;
    let count = content.len();
    let mut room = at;
    content.retain_mut(|token| {
        token.truncate(room.min(token.len()));
        room -= token.len();
        !token.is_empty()
    });
    Some(count)
}

fn muse(prompt: &str) -> String {
    format!("The user asks: {prompt}\nI will answer.\n")
}

/// The tokens of the whole answer, were there no limit.
fn say(ask: &Ask) -> Vec<String> {
    let prompt = ask.prompt.as_str();
    if let Some(text) = prompt.strip_prefix("Echo: ") {
        return split(text);
    }
    if let Some(count) = prompt.strip_prefix("Count to ").and_then(|count| count.parse::<usize>().ok()) {
        return (1..=count)
            .map(|number| if number == 1 { "1".into() } else { format!(" {number}") })
            .collect();
    }
    if let Some(tokens) = recorded_completion(prompt).filter(|_| ask.raw) {
        return tokens.iter().map(|&token| token.to_owned()).collect();
    }
    let recorded = match prompt {
        "What is the capital of France?" => "The capital of France is Paris.",
        "Hello" => "Hello! How can I help you today?",
        "Count from 1 to 9" => "1, 2, 3, 4, 5, 6, 7, 8, 9",
        "sunny, 21 degrees" => "The weather in Berlin is sunny, 21 degrees.",
        "Tell me a long story." => {
            "There was a small storm in the old city, and the clock told a story of the strange moon to the bright star."
        }
        _ => return generated(prompt),
    };
    split(recorded)
}

/// The recorded tokens behind a recorded text, and more than any test asks for.
fn recorded_completion(prompt: &str) -> Option<&'static [&'static str]> {
    Some(match prompt {
        "This program is free" => &[
            " to", " the", " f", "re", "ed", "o", " G", "en", "er", "al", "\n", "p", "lic", " L", "icense",
            ".", " It",
        ],
        "This program" => &[" is", " f", "ree", " to", " all"],
        "The licence" => &["\n", "d", "er", "ed", " by"],
        _ => return None,
    })
}

/// Twelve words out of a small vocabulary, chosen by the prompt (FNV-1a).
fn generated(prompt: &str) -> Vec<String> {
    const WORDS: [&str; 16] = [
        "alpha", "bright", "city", "delta", "early", "forest", "golden", "harbour", "island", "journey",
        "kind", "light", "moon", "north", "old", "path",
    ];
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in prompt.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let words: Vec<&str> = (0..12).map(|index| WORDS[((hash >> (index * 4)) & 15) as usize]).collect();
    split(&format!("{}.", words.join(" ")))
}

/// Cuts a text into tokens: a word with the blank before it, a sign; a few words as the recorded tokenizer cuts them.
fn split(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    for character in text.chars() {
        let starts = match tokens.last().and_then(|token| token.chars().last()) {
            Some(before) => !(character.is_alphanumeric() && (before.is_alphanumeric() || before == ' ')),
            None => true,
        };
        if starts {
            tokens.push(String::new());
        }
        if let Some(token) = tokens.last_mut() {
            token.push(character);
        }
    }
    tokens.into_iter().flat_map(|token| recorded_cut(&token)).collect()
}

fn recorded_cut(token: &str) -> Vec<String> {
    let parts: &[&str] = match token {
        " France" => &[" Fra", "nce"],
        " Paris" => &[" P", "ar", "is"],
        " weather" => &[" we", "ather"],
        " Berlin" => &[" Ber", "lin"],
        " 21" => &[" ", "2", "1"],
        " degrees" => &[" deg", "rees"],
        whole => return vec![whole.to_owned()],
    };
    parts.iter().map(|&part| part.to_owned()).collect()
}

/// The function whose name's last word stands in the prompt (`get_weather`: weather).
fn choose(ask: &Ask) -> Option<Call> {
    let tool = ask.tools.iter().find(|tool| {
        let word = tool["name"].as_str().and_then(|name| name.rsplit('_').next()).unwrap_or_default();
        !word.is_empty() && ask.prompt.to_lowercase().contains(&word.to_lowercase())
    })?;
    let subject = ask.prompt.trim_end_matches(['?', '.', '!']).rsplit(' ').next().unwrap_or_default();
    let mut arguments = Map::new();
    for (key, schema) in tool["parameters"]["properties"].as_object().into_iter().flatten() {
        let value = match schema["type"].as_str() {
            Some("integer" | "number") => json!(1),
            Some("boolean") => json!(true),
            _ => json!(subject),
        };
        arguments.insert(key.clone(), value);
    }
    let id = "call0123456789abcdefghijklmnopqr".into();
    Some(Call { id, name: tool["name"].as_str()?.into(), arguments: Value::Object(arguments) })
}

/// The recorded counts for the recorded prompts, else a count that grows with the words.
fn count_prompt(ask: &Ask) -> usize {
    if ask.raw {
        return match ask.prompt.as_str() {
            "This program is free" => 9,
            "This program" => 4,
            "The licence" => 6,
            prompt => 1 + prompt.split_whitespace().count(),
        };
    }
    match (ask.prompt.as_str(), ask.tools.len()) {
        ("What is the capital of France?", 0) => 16 + if ask.thinking { 5 } else { 0 },
        ("Hello", 1) => 174,
        ("Tell me a long story.", 0) => 14,
        ("Count from 1 to 9", 0) => 13,
        ("What is the weather in Paris?", 1) => 182,
        ("What time is it in Oslo?", 2) => 244,
        ("sunny, 21 degrees", 1) => 225,
        (prompt, tools) => 8 + prompt.split_whitespace().count() + tools * 160,
    }
}
