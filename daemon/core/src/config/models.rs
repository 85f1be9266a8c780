//! The `[[models]]`: other names for models, and what is wanted of a model where its client says nothing.
//!
//! Knows what makes a name sound. Refuses to know which models there are. Invariant: a [`NamedModel`] stands for a model and
//! not for another name, and no two of them want another context of what they call by the same name.

mod values;

#[cfg(test)]
mod tests;

use values::{Above0, Decimal, KeepLoaded, Seed, Thinking};

use super::{
    Config, MODELS,
    fault::ConfigError,
    health::ModelName,
    rule::Rule,
    section::{Reader, Section, section},
    setting::quoted,
    show::Shown,
    tree::{Layer, NamedTable},
};
use crate::{
    chat::{Defaults, Sampling},
    routing,
};

/// What is said of one name.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedModel {
    /// The name that is asked for, unique.
    pub name: ModelName,
    /// The model that answers; where there is none, the one of that very name.
    pub target: Option<ModelName>,
    /// It is answered and not listed.
    pub hidden: bool,
    /// What stands where the client says nothing.
    pub defaults: Defaults,
}

impl NamedModel {
    /// The model that answers, as its backend or a request calls it.
    #[must_use]
    pub fn meant(&self) -> &str {
        self.target.as_ref().unwrap_or(&self.name).as_str()
    }
}

/// Engines count tokens in 31 bits.
fn tokens() -> Rule<Option<u32>> {
    Rule::amount::<1, 2_147_483_647>("a number from 1 to 2147483647")
}

/// The same, and 0 for none.
fn candidates() -> Rule<Option<u32>> {
    Rule::amount::<0, 2_147_483_647>("a number from 0 to 2147483647")
}

section! {
    /// Models by name, one block for each: another name for a model that a backend has, so that a program which
    /// asks for "gpt-4o-mini" gets the one that you choose; and what is wanted of a model where its client says
    /// nothing. Without target, a block is about the model of that very name, by whatever name it is asked for.
    pub(super) struct Keys ("# [[models]]") {
        /// The name that programs ask for, and that answers and /v1/models show. A model of a backend that is called
        /// so as well is hidden by it where target names another one, which `ghostctl status` tells; whoever asks for
        /// "backend/name" gets that one still, unless that is the name here.
        name: Option<ModelName> = None;
        /// The model that answers, as a request would name it; not another name of this list. A key for some models
        /// may use it if it may use either name: this one, or the model's own.
        target: Option<ModelName> = None;
        /// true answers to the name and leaves it out of /v1/models; to leave out the model behind another name, give
        /// that model a block of its own.
        hidden: Option<bool> = None;
        /// Tokens of context. An Ollama is told it with every request for the model, by whatever name that is asked
        /// for, and never another one, with which it would load the model anew. Other backends have it from their own
        /// start; /v1/models shows it where they do not say.
        context: Option<u32> = None => tokens();
        /// How long an Ollama keeps the model loaded after a request: a duration, or "forever".
        keep_alive: Option<KeepLoaded> = None;
        /// For requests that say nothing of it, like all that follow; what nobody says is the engine's own choice, or
        /// the Modelfile's. 0 takes the likeliest token.
        temperature: Option<Decimal<0, 2>> = None;
        /// The share of the likeliest tokens that is drawn from.
        top_p: Option<Above0<1>> = None;
        /// So many of the likeliest tokens are drawn from; 0 is all. This, min_p, repeat_penalty and think are no fields
        /// of OpenAI's: a backend that refuses what it does not know, as transformers serve does, refuses the request.
        top_k: Option<u32> = None => candidates();
        /// The least share of the likeliest token's odds.
        min_p: Option<Decimal<0, 1>> = None;
        /// How much less likely what was said is; 1 is no less. To a backend of OpenAI's API it goes by both names
        /// that engines have for it, repeat_penalty and repetition_penalty.
        repeat_penalty: Option<Above0<10>> = None;
        /// Taken off for each time that a token was said.
        frequency_penalty: Option<Decimal<-2, 2>> = None;
        /// Taken off once a token was said.
        presence_penalty: Option<Decimal<-2, 2>> = None;
        /// The same seed and the same request give the same answer, where the engine can.
        seed: Option<Seed> = None;
        /// The most tokens of an answer.
        max_tokens: Option<u32> = None => tokens();
        /// Whether, or how hard, the model thinks first. An Ollama refuses all but "off" for a model that cannot. To a
        /// backend of OpenAI's API "off" and "on" go as chat_template_kwargs.enable_thinking, and the efforts as
        /// reasoning_effort, of which "high" is the most that all of them know.
        think: Option<Thinking> = None;
    }
}

/// Reads what one source says of a name, which need not be all of it.
pub(super) fn keys(named: &NamedTable, reader: &mut Reader) -> Keys {
    if let Err(why) = named.name.parse::<ModelName>() {
        reader.errors.push(ConfigError::new(named.place.clone(), format!("models.name: {why}")));
    }
    let mut section = Section::new(MODELS, Some(&named.table), reader);
    let keys = Keys::read(&mut section);
    section.finish();
    keys
}

/// Reads one name; nothing if it is not sound, which is then reported.
pub(super) fn read(named: &NamedTable, reader: &mut Reader) -> Option<NamedModel> {
    let before = reader.errors.len();
    let keys = keys(named, reader);
    if reader.errors.len() > before {
        return None;
    }
    Some(NamedModel {
        name: named.name.parse().ok()?,
        target: keys.target.clone(),
        hidden: keys.hidden.unwrap_or(false),
        defaults: defaults(&keys),
    })
}

fn defaults(keys: &Keys) -> Defaults {
    Defaults {
        sampling: Sampling {
            temperature: keys.temperature.map(Decimal::number),
            top_p: keys.top_p.map(Above0::number),
            top_k: keys.top_k,
            min_p: keys.min_p.map(Decimal::number),
            repeat_penalty: keys.repeat_penalty.map(Above0::number),
            frequency_penalty: keys.frequency_penalty.map(Decimal::number),
            presence_penalty: keys.presence_penalty.map(Decimal::number),
            seed: keys.seed.map(|Seed(seed)| seed),
        },
        max_tokens: keys.max_tokens,
        think: keys.think.map(|Thinking(think)| think),
        num_ctx: keys.context,
        keep_alive: keys.keep_alive.map(KeepLoaded::seconds),
    }
}

/// Shows one name.
pub(super) fn show(named: &NamedTable, out: &mut Shown) {
    out.header("[[models]]");
    out.value("name", &quoted(&named.name), &named.place.to_string());
    // As it was read: the tree was checked by then, and nothing in it waits for a restart.
    let mut reader = Reader { errors: Vec::new(), renames: &[], sections: &[], within: "" };
    let keys = keys(named, &mut reader);
    let table = Some(&named.table);
    out.setting("target", &keys.target, table);
    out.setting("hidden", &keys.hidden, table);
    out.setting("context", &keys.context, table);
    out.setting("keep_alive", &keys.keep_alive, table);
    out.setting("temperature", &keys.temperature, table);
    out.setting("top_p", &keys.top_p, table);
    out.setting("top_k", &keys.top_k, table);
    out.setting("min_p", &keys.min_p, table);
    out.setting("repeat_penalty", &keys.repeat_penalty, table);
    out.setting("frequency_penalty", &keys.frequency_penalty, table);
    out.setting("presence_penalty", &keys.presence_penalty, table);
    out.setting("seed", &keys.seed, table);
    out.setting("max_tokens", &keys.max_tokens, table);
    out.setting("think", &keys.think, table);
}

/// Reports names that stand for themselves or for each other, and two contexts for one model.
pub(super) fn check(config: &Config, tree: &Layer, errors: &mut Vec<ConfigError>) {
    for (place, model) in config.models.iter().enumerate() {
        let mut report = |key: &str, message: String| {
            let named = tree.list(MODELS).iter().find(|named| named.name == model.name.as_str());
            if let Some(node) = named.and_then(|named| named.table.find(&[key])) {
                errors.push(ConfigError::new(node.place.clone(), message));
            }
        };
        if let Some(why) = chained(model, &config.models) {
            report("target", format!("models.target: {why}"));
        }
        for other in config.models.iter().take(place).filter(|other| is_same(other.meant(), model.meant())) {
            let differs = |one: Option<i64>, two: Option<i64>| one.is_some() && two.is_some() && one != two;
            let (first, second) = (&other.defaults, &model.defaults);
            let contexts = (first.num_ctx.map(i64::from), second.num_ctx.map(i64::from));
            let kept = (first.keep_alive, second.keep_alive);
            for (key, (first, second)) in [("context", contexts), ("keep_alive", kept)] {
                if differs(first, second) {
                    report(key, twice(key, other, model));
                }
            }
        }
    }
}

/// Why a name's target is none.
fn chained(model: &NamedModel, all: &[NamedModel]) -> Option<String> {
    let target = model.target.as_ref()?;
    if *target == model.name {
        return Some(format!(
            "\"{target}\" would stand for itself; take target away, or name the model that answers"
        ));
    }
    let other = all.iter().find(|other| other.name == *target)?;
    let end = other.target.as_ref()?;
    Some(if *end == model.name {
        format!(
            "\"{target}\" stands for \"{end}\" and this for \"{target}\"; one of them must name a model of a backend"
        )
    } else {
        format!("\"{target}\" is itself another name, for \"{end}\"; write target = {}", quoted(end.as_str()))
    })
}

fn twice(key: &str, other: &NamedModel, model: &NamedModel) -> String {
    format!(
        "models.{key}: \"{}\" has another {key} for the same model, \"{}\", which would be loaded anew for each change between \
         them; write it once",
        other.name,
        model.meant()
    )
}

/// Whether both are one model's name, as far as that can be said without its backend.
fn is_same(one: &str, two: &str) -> bool {
    let long = |name: &str| routing::latest(name).unwrap_or_else(|| name.to_owned());
    one == two || long(one) == long(two)
}
