//! `ghostctl keys`: who may use the box. A key itself is never an argument, and is printed once.

use clap::{Args, Subcommand, builder::PossibleValuesParser, builder::TypedValueParser};
use ghostllm_core::{
    access::{Class, Role, Scope},
    admin::{FirstKey, KeyInfo, KeyList, KeyState, MadeKey, NewKey, Rotation},
    config::nearest,
    key,
    routes::Admin,
};

use crate::{
    arguments::Context,
    client::Question,
    confirm,
    exit::{Exit, Failure},
    output::{
        self, Screen, Tone,
        table::{Cell, Fit, Table},
        text, when,
    },
    span,
};

/// What to do where a key does not exist.
const LIST: &str = "ghostctl keys ls";

/// Keys: who may use the box
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  ghostctl keys create laptop --expires 30d")]
pub(crate) enum Command {
    /// Every key, without its secret
    #[command(after_help = "Example:\n  ghostctl keys ls")]
    Ls,
    /// Make a key; it is shown once
    #[command(
        after_help = "Example:\n  ghostctl keys create laptop --role user --model 'llama*' --expires 30d"
    )]
    Create(Create),
    /// No longer take a key, at once; answers that it waits for end
    #[command(after_help = "Example:\n  ghostctl keys revoke Ab3dE6gH")]
    Revoke {
        /// The part of the key that is no secret
        id: String,
        /// Without asking
        #[arg(long)]
        yes: bool,
    },
    /// Make a key in the place of another, which is taken for a while yet
    #[command(after_help = "Example:\n  ghostctl keys rotate Ab3dE6gH --overlap 1h")]
    Rotate {
        /// The part of the key that is no secret
        id: String,
        /// The old key is taken for this time, as 12h [default: 1d]
        #[arg(long, value_name = "TIME", value_parser = span::parse)]
        overlap: Option<u64>,
    },
    /// Show the key of the first start, once
    #[command(after_help = "Example:\n  ghostctl keys first")]
    First,
}

/// A new key.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// What a person calls it
    name: String,
    /// admin, operator, user or viewer [default: user]
    #[arg(long, conflicts_with = "scope", value_parser = roles(), hide_possible_values = true)]
    role: Option<Role>,
    /// chat, embeddings, models, metrics or admin; may repeat
    #[arg(long, value_parser = scopes(), hide_possible_values = true)]
    scope: Vec<Scope>,
    /// interactive or background
    #[arg(long, default_value = "interactive", value_parser = classes(), hide_possible_values = true)]
    class: Class,
    /// Models that it may use, * for any letters; may repeat
    #[arg(long, value_name = "PATTERN")]
    model: Vec<String>,
    /// It ends after this time, as 12h or 30d [default: never]
    #[arg(long, value_name = "TIME", value_parser = span::parse)]
    expires: Option<u64>,
}

fn roles() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(Role::ALL.map(Role::name))
        .map(|name| Role::ALL.into_iter().find(|role| role.name() == name).unwrap_or(Role::Viewer))
}

fn scopes() -> impl TypedValueParser<Value = Scope> {
    PossibleValuesParser::new(Scope::ALL.map(Scope::name))
        .map(|name| Scope::ALL.into_iter().find(|scope| scope.name() == name).unwrap_or(Scope::Models))
}

fn classes() -> impl TypedValueParser<Value = Class> {
    const ALL: [Class; 2] = [Class::Interactive, Class::Background];
    PossibleValuesParser::new(ALL.map(Class::name))
        .map(|name| ALL.into_iter().find(|class| class.name() == name).unwrap_or_default())
}

impl Command {
    pub(crate) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Ls => list(context).await,
            Self::Create(new) => create(new, context).await,
            Self::Revoke { id, yes } => revoke(&id, yes, context).await,
            Self::Rotate { id, overlap } => rotate(&id, overlap, context).await,
            Self::First => first(context).await,
        }
    }
}

async fn list(context: &Context) -> Result<Exit, Failure> {
    let answer = context.client.ask::<KeyList>(&Question::new(Admin::Keys)).await?;
    context.show(&answer.json, |screen| table(&answer.what, screen))?;
    if answer.what.keys.is_empty() && !context.json {
        output::say("There is no key. ghostctl keys create NAME makes one.");
    }
    if answer.what.first_waits_since.is_some() && !context.json {
        output::say("The first key waits to be shown once: ghostctl keys first");
    }
    Ok(Exit::Well)
}

async fn create(new: Create, context: &Context) -> Result<Exit, Failure> {
    for word in new.model.iter().chain([&new.name]) {
        no_secret(word)?;
    }
    let form = NewKey {
        name: new.name,
        role: new.role,
        scopes: new.scope,
        class: new.class,
        models: new.model,
        expires_in_s: new.expires,
    };
    let answer = context.client.ask::<MadeKey>(&Question::new(Admin::MakeKey).body(&form)).await?;
    let words =
        format!("The key {} ({}) is shown here once and never again:", answer.what.id, answer.what.info.name);
    give(context, &answer.json, &words, (&answer.what.id, &answer.what.key))
}

async fn rotate(id: &str, overlap: Option<u64>, context: &Context) -> Result<Exit, Failure> {
    no_secret(id)?;
    let question = Question::new(Admin::RotateKey).named(id).body(&Rotation { overlap_s: overlap });
    let answer = match context.client.ask::<MadeKey>(&question).await {
        Ok(answer) => answer,
        Err(failure) => return Err(missing(failure, ("rotate", id), context).await),
    };
    let until = when::long(overlap.unwrap_or(86_400));
    let words = format!(
        "{id} is taken for {until} yet. The key in its place, {}, is shown here once and never again:",
        answer.what.id
    );
    give(context, &answer.json, &words, (&answer.what.id, &answer.what.key))
}

async fn first(context: &Context) -> Result<Exit, Failure> {
    let answer = context.client.ask::<FirstKey>(&Question::new(Admin::FirstKey)).await;
    let answer = answer
        .map_err(|failure| failure.if_missing("ghostctl keys create NAME --role admin makes another"))?;
    let words = format!("The first key, {}, is shown here once and never again:", answer.what.id);
    give(context, &answer.json, &words, (&answer.what.id, &answer.what.key))
}

async fn revoke(id: &str, yes: bool, context: &Context) -> Result<Exit, Failure> {
    no_secret(id)?;
    confirm::ask(yes, &format!("The key {id} will not be taken any more, and its open answers end."))?;
    let question = Question::new(Admin::RevokeKey).named(id);
    let answer = match context.client.ask::<serde_json::Value>(&question).await {
        Ok(answer) => answer,
        Err(failure) => return Err(missing(failure, ("revoke", id), context).await),
    };
    context.show(&answer.json, |screen| {
        screen.hanging("", Tone::Plain, &format!("The key {id} is not taken any more."))
    })?;
    Ok(Exit::Well)
}

/// What to do where no key has this id: people write a key's name instead, or miss a letter.
async fn missing(failure: Failure, (verb, id): (&str, &str), context: &Context) -> Failure {
    let failure = failure.if_missing(LIST);
    if failure.exit != Exit::NotFound {
        return failure;
    }
    let Ok(list) = context.client.ask::<KeyList>(&Question::new(Admin::Keys)).await else { return failure };
    let keys = &list.what.keys;
    let like = || {
        let near = nearest(id, keys.iter().map(|key| key.id.as_str()))?;
        keys.iter().find(|key| key.id == near)
    };
    let Some(key) = named(id, keys).or_else(like) else { return failure };
    let message = format!("{} {} is the id of {}.", failure.message, key.id, text::clean(&key.name));
    Failure { message, ..failure }.next(format!("ghostctl keys {verb} {}", key.id))
}

/// The key of this name: the one that is taken, and no other takes the place of, before those that are only left.
fn named<'a>(name: &str, keys: &'a [KeyInfo]) -> Option<&'a KeyInfo> {
    let all = || keys.iter().filter(|key| key.name == name);
    all().find(|key| key.state == KeyState::Active && key.replaced_by.is_none()).or_else(|| all().next())
}

/// The key alone on the last line, what it is above it for a person.
fn give(context: &Context, json: &str, words: &str, (id, key): (&str, &str)) -> Result<Exit, Failure> {
    if !context.json {
        output::say(words);
    }
    let text = if context.json { format!("{json}\n") } else { format!("{}\n", output::text::clean(key)) };
    output::once(&text).map_err(|error| {
        let message = format!("the key {id} was made, and could not be shown ({error}); nobody has it");
        Failure::new(Exit::Failed, message).next(format!("ghostctl keys revoke {id}, then make another one"))
    })?;
    Ok(Exit::Well)
}

/// Other users see the arguments of every process, and shells keep them. It is not repeated here.
pub(crate) fn no_secret(id: &str) -> Result<(), Failure> {
    if id.is_empty() {
        return Err(
            Failure::new(Exit::Usage, "an id or a name belongs here, and nothing is there").next(LIST)
        );
    }
    if id.contains(key::PREFIX) {
        let message = format!(
            "a key belongs here as its id alone, the {} letters and digits behind {}, or not at all: others can read a \
             command's arguments, so that a whole key that was written here should be rotated",
            key::ID_DIGITS,
            key::PREFIX
        );
        return Err(Failure::new(Exit::Usage, message).next(LIST));
    }
    Ok(())
}

fn table(list: &KeyList, screen: &Screen) -> String {
    let mut table = Table::new(&[
        ("ID", Fit::Whole),
        ("NAME", Fit::Wrap),
        ("MAY", Fit::Wrap),
        ("MODELS", Fit::Wrap),
        ("STATE", Fit::Wrap),
        ("USED", Fit::Whole),
    ]);
    for key in &list.keys {
        let models = if key.models.is_empty() { "all".to_owned() } else { key.models.join(", ") };
        let used = key.last_used.as_ref().map_or_else(|| "-".to_owned(), |at| when::told(screen, at));
        table.row([
            Cell::from(&key.id),
            Cell::from(&key.name),
            Cell::from(may(key)),
            Cell::from(models),
            state(key, screen),
            Cell::from(used),
        ]);
    }
    table.draw(screen)
}

fn may(key: &KeyInfo) -> String {
    let scopes = || key.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(", ");
    let grant = key.role.map_or_else(scopes, |role| role.name().to_owned());
    match key.class {
        Class::Interactive => grant,
        Class::Background => format!("{grant} (background)"),
    }
}

fn state(key: &KeyInfo, screen: &Screen) -> Cell {
    let ends = |word: &str| match &key.expires {
        Some(at) => format!("{word} {}", when::told(screen, at)),
        None => word.to_owned(),
    };
    match key.state {
        KeyState::Active if key.expires.is_none() => Cell::new("active", Tone::Good),
        KeyState::Active => Cell::new(ends("active, ends"), Tone::Good),
        KeyState::Rotated => {
            let other = key.replaced_by.as_deref().unwrap_or("another");
            Cell::new(ends(&format!("rotated to {other}, ends")), Tone::Amiss)
        }
        KeyState::Expired => Cell::new(ends("expired"), Tone::Bad),
    }
}
