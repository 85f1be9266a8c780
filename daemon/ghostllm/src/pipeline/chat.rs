//! One chat, or one text to go on with, in any language that clients speak: which backend, and what the client gets until it answers.
//!
//! Invariants: a status is sent only once it is known, or once the wait for it is over; what of a request changes nothing is named
//! in the head of its answer.

use std::{
    fmt::Display,
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use ghostllm_core::{
    ApiError,
    admission::Class,
    chat::{Heeds, Think, Tool},
    config::Limits,
    dialect::{
        openai::{inspect_completion, passthrough, table::Behind},
        render::Form,
        responses::{self, Earlier, ResponseRequest},
    },
    error::RETRY_AFTER_DOWN,
};
use ghostllm_edge::{
    ResponseBody,
    room::{Slot, Stay},
};
use http::Response;
use http_body_util::BodyExt;
use time::OffsetDateTime;
use tokio::time::timeout;

use super::{
    Settings, Shared,
    account::Account,
    content, models,
    recall::Mine,
    requests::{Asked, Ending},
    respond,
    stream::{self, Events, Stopped, Tone},
};
use crate::{
    apart,
    backend::{
        self, Answer, ChatCall, ChatError, Unheard, Voice,
        registry::{Routed, Snapshot},
    },
    gate::{Turn, Wait},
    store::keys::Caller,
};

/// The language of a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Language {
    /// OpenAI's chat completions.
    Chat,
    /// OpenAI's older completions.
    Completions,
    /// OpenAI's Responses.
    Responses,
}

/// A request that was read.
struct Read {
    /// The model's name, as asked for.
    model: String,
    asked: backend::Asked,
    form: Form,
    /// Its fields that change nothing.
    ignored: Vec<String>,
    /// Those that change nothing but at a server of OpenAI's API.
    unheeded: Vec<&'static str>,
    /// How hard its client says to think, and by which field.
    effort: Option<(Think, &'static str)>,
    /// Whether it says that it has time.
    has_time: bool,
    /// Whether the items of its answer may be kept.
    may_keep: bool,
    /// Bytes of what was kept of earlier answers and stands in it now.
    recalled: usize,
    /// Where its first medium stands that a server of OpenAI's API alone is given.
    attached: Option<String>,
}

const NO_ATTACHMENTS: &str = "The engine of this model takes no sounds and no files.";

impl Read {
    fn as_sent(body: &Bytes, passed: passthrough::Passed, form: Form) -> Self {
        let (model, has_time) = (passed.model.clone(), passed.has_time);
        let effort = passed.effort;
        let (may_keep, recalled, attached) = (false, 0, None);
        let asked = backend::Asked::AsSent { body: body.clone(), passed: Box::new(passed) };
        let (ignored, unheeded) = (Vec::new(), Vec::new());
        Self { model, asked, form, ignored, unheeded, effort, has_time, may_keep, recalled, attached }
    }

    /// What of it changes nothing at such a backend, where what the model's template goes by of thinking is known, or is not.
    ///
    /// # Errors
    /// What it asks for cannot be had there.
    fn taken(&self, behind: Behind, heeds: Option<Heeds>, limits: &Limits) -> Result<[String; 2], ApiError> {
        // Others are given it, and are known by nobody.
        let heeds = heeds.filter(|_| behind == Behind::Engine);
        let effort = self.effort.filter(|(think, _)| heeds.is_some_and(|heeds| !heeds.heeds(*think)));
        let effort = effort.map(|(_, field)| field);
        let by_template = |unshown: Vec<&'static str>| {
            let names: Vec<&str> = effort.into_iter().chain(unshown).collect();
            respond::listed(&names)
        };
        match &self.asked {
            backend::Asked::AsSent { passed, .. } => {
                let unshown = heeds.map(|heeds| passed.unshown(heeds)).unwrap_or_default();
                Ok([passed.taken(behind, limits)?.unwrap_or_default(), by_template(unshown)])
            }
            backend::Asked::Read { request, .. } => {
                if let Some(attached) = self.attached.as_deref().filter(|_| behind != Behind::OpenAi) {
                    return Err(ApiError::unsupported(attached, NO_ATTACHMENTS));
                }
                let unheeded = self.unheeded.iter().filter(|_| behind != Behind::OpenAi).copied();
                let names = self.ignored.iter().map(String::as_str).chain(unheeded);
                // Ollama's form of a tool has no such word.
                let strict = behind == Behind::Ollama && request.tools.iter().any(Tool::is_strict);
                let names: Vec<&str> = names.chain(strict.then_some("tools.strict")).collect();
                let thinks = || request.messages.iter().any(|turn| turn.reasoning.is_some());
                let unshown = heeds.is_some_and(|heeds| !heeds.shows.thoughts && thinks());
                Ok([
                    respond::listed(&names),
                    by_template(unshown.then_some("input.reasoning").into_iter().collect()),
                ])
            }
        }
    }
}

impl Read {
    /// The field of it that such a backend cannot be held to: an Ollama has no word for it, and of the servers of OpenAI's API some
    /// pass it over (llama-server, `transformers serve`), which cannot be told before a stream begins. Our own engine keeps to it.
    fn unpromised(&self, behind: Behind) -> Option<&'static str> {
        (behind != Behind::Engine && self.asked.forces_call()).then_some("tool_choice")
    }
}

impl Language {
    /// Reads a request; `earlier` looks up what it has only named.
    fn read(self, body: &Bytes, limits: &Limits, earlier: Earlier<'_>) -> Result<Read, ApiError> {
        content::check_depth(body, limits.json_depth)?;
        match self {
            Self::Chat => {
                let passed = passthrough::inspect(body, limits)?;
                let (model, include_usage) = (passed.model.as_str().into(), passed.include_usage);
                Ok(Read::as_sent(body, passed, Form::Chat { model, include_usage }))
            }
            Self::Completions => {
                let passed = inspect_completion(body, limits)?;
                let (model, include_usage) = (passed.model.as_str().into(), passed.include_usage);
                Ok(Read::as_sent(body, passed, Form::Completion { model, include_usage }))
            }
            Self::Responses => {
                let read = responses::parse_recalling(body, limits, earlier)?;
                let ResponseRequest { chat, echo, ignored, unheeded, has_time, may_keep, recalled, attached } =
                    read;
                let (model, form) = (chat.model.clone(), Form::Response(Arc::new(echo)));
                let effort = chat.think.map(|think| (think, "reasoning.effort"));
                let asked = backend::Asked::read(chat);
                Ok(Read {
                    model,
                    asked,
                    form,
                    ignored,
                    unheeded,
                    effort,
                    has_time,
                    may_keep,
                    recalled,
                    attached,
                })
            }
        }
    }
}

pub(super) async fn answer(
    shared: &Shared,
    settings: &Arc<Settings>,
    language: Language,
    asked: Asked,
    body: Bytes,
    stay: Stay,
) -> Result<Response<ResponseBody>, ApiError> {
    let (reading, mine) = (Arc::clone(settings), Mine::of(shared, &asked.caller));
    let looking = mine.clone();
    let read = apart::read(&body, move |body| {
        language.read(body, &reading.limits, &|id| looking.find(id, Instant::now()))
    });
    let read = read.await?;
    drop(body);
    // What was only named is held like what was sent.
    stay.slot().gathers(read.recalled).map_err(content::lacking)?;
    let (id, trace) = (asked.record.id.to_string(), asked.record.trace.clone());
    let own = read.has_time.then_some(Class::Background);
    let asked = Asked { priority: asked.priority.or(own), ..asked };
    let taken = |routed: &Routed| read.taken(routed.backend.kind().behind(), routed.heeds, &settings.limits);
    let (Begun { account, routed, slot, wait }, [ignored, unshown]) =
        begin(shared, asked, &read.model, stay, taken)?;
    let Routed { backend, model, defaults, .. } = routed;
    let unpromised = read.unpromised(backend.kind().behind());
    let thinks_by = read.effort.map(|(_, field)| field);
    let streamed = read.asked.streams();
    let keeper = read.may_keep.then(|| mine.keeper(settings.limits.recall.as_usize())).flatten();
    let form = read.form.clone();
    let voice = Voice { form: read.form, id, created: now(), keeper };
    let (voiced, slot, meter) = (voice.clone(), Some(slot), account.request().meter.clone());
    let unheard = Unheard::default();
    let (asked, told) = (read.asked, unheard.clone());
    let call = ChatCall { asked, voice: voiced, model, defaults, trace, slot, meter, unheard: told };
    let turn = its_turn(shared, settings, wait);
    let answering = Box::pin(async move {
        turn.await?;
        backend.chat(call).await
    });
    let answered = if streamed {
        let keep_alive = voice.keep_alive(settings.limits.keep_alive_style);
        let tone = Tone { voice, keep_alive, every: settings.limits.sse_keep_alive };
        stream(shared, settings, answering, account, tone).await
    } else {
        let request = Arc::clone(account.request());
        let answered = tokio::select! {
            answered = answering => answered,
            why = stream::ending(shared.drain.clone(), request) => return Err(stopped(why, account)),
        };
        whole(shared, answered, account)
    };
    let mut response = answered.map_err(|error| form.refusal(thinking(error, thinks_by)))?;
    respond::ignored(&mut response, &[&ignored, &unshown, &respond::listed(unheard.names())]);
    respond::unpromised(&mut response, unpromised);
    Ok(response)
}

/// The error; where it is of how hard to think, it names the field by which the client has said that.
fn thinking(error: ApiError, thinks_by: Option<&str>) -> ApiError {
    match thinks_by.filter(|_| error.param() == Some("reasoning_effort")) {
        Some(field) => error.with_param(field),
        None => error,
    }
}

/// A request that an engine is about to be asked for: it is in the list.
pub(super) struct Begun {
    pub(super) account: Account,
    pub(super) routed: Routed,
    pub(super) slot: Slot,
    /// What it waits for before its engine is asked.
    pub(super) wait: Wait,
}

/// Finds the backend of a model that this caller may use, and opens the request's account once `check` has found that this backend takes
/// it.
pub(super) fn begin<T>(
    shared: &Shared,
    asked: Asked,
    model: &str,
    stay: Stay,
    check: impl FnOnce(&Routed) -> Result<T, ApiError>,
) -> Result<(Begun, T), ApiError> {
    let record = Arc::clone(&asked.record);
    record.model(model);
    let (routed, listed) = route(shared, &asked.caller, model)?;
    record.listed(listed);
    if routed.alias {
        record.target(&routed.model);
    }
    let checked = check(&routed)?;
    let class = asked.priority.unwrap_or_default();
    let (turn, wait) = enter(shared, &routed, &asked.caller, class)?;
    let lease = routed.backend.lease();
    let slot = stay.slot();
    let place = shared.requests.begin(asked, model, &routed.model, lease);
    let mut account = Account::open(place, record, stay, &shared.usage);
    turn.into_iter().for_each(|turn| account.has(turn));
    // Whoever revokes a key takes it away first and then looks at the list; here it is the other way round.
    if let Some(lost) = shared.keys.lost(&account.request().caller, OffsetDateTime::now_utc()) {
        return Err(stopped(Ending::from(lost).into(), account));
    }
    Ok((Begun { account, routed, slot, wait }, checked))
}

/// Its turn at the gate, where this machine's cards answer: others are none of our governor's.
fn enter(
    shared: &Shared,
    routed: &Routed,
    caller: &Caller,
    class: Class,
) -> Result<(Option<Turn>, Wait), ApiError> {
    if !routed.backend.is_here() {
        return Ok((None, Wait::none()));
    }
    // No key's id, which is eight letters and digits, is the name of who shows none: `local`, or `uid N`.
    let (turn, wait) = shared.gate.enter(caller.id.as_deref().unwrap_or(&caller.name), class)?;
    Ok((Some(turn), wait))
}

/// Waits until the engine may be asked. Whoever still waits when the program is stopped would have it wait for others before they begin.
pub(super) fn its_turn(
    shared: &Shared,
    settings: &Settings,
    wait: Wait,
) -> impl Future<Output = Result<(), ChatError>> + Send + use<> {
    let (mut drain, longest) = (shared.drain.clone(), settings.gpu.queue_wait);
    async move {
        tokio::select! {
            biased;
            begins = wait.over(longest) => begins.map_err(ChatError::Request),
            () = drain.begun() => Err(ChatError::Stopping),
        }
    }
}

/// Where it goes, and whether there is known to be such a model.
fn route(shared: &Shared, caller: &Caller, model: &str) -> Result<(Routed, bool), ApiError> {
    let snapshot = shared.registry.snapshot();
    let mine = |routed: &Routed| models::may_ask(caller, &snapshot, model, routed);
    let routed =
        snapshot.route(model).filter(mine).ok_or_else(|| models::refused(caller, &snapshot, model))?;
    Ok((routed, snapshot.lists(model)))
}

/// What a client hears of a name that no backend is known to have.
pub(super) fn unrouted(snapshot: &Snapshot, model: &str) -> ApiError {
    if let Some(fault) = snapshot.unusable(model) {
        return fault.clone().into();
    }
    if snapshot.lacks_engines() {
        return ApiError::backend_unavailable(
            "This box has no engine: no Ollama answers on it, and GhostLLM's own is not installed, or switched off. Its admin installs the package \
             ghostllm-engine (from its file: apt install ./ghostllm-engine_*.deb) or Ollama, or names a server under [[backends]]; then ask again.",
            RETRY_AFTER_DOWN,
        );
    }
    if snapshot.is_doubtful() {
        return ApiError::backend_unavailable(
            "No backend that has this model answers now; try again shortly.",
            RETRY_AFTER_DOWN,
        );
    }
    match snapshot.target(model) {
        None => ApiError::model_not_found(model),
        Some(target) => ApiError::target_not_found(model, target),
    }
}

fn whole(
    shared: &Shared,
    answered: Result<Answer, ChatError>,
    mut account: Account,
) -> Result<Response<ResponseBody>, ApiError> {
    match answered {
        Ok(Answer::Whole(bytes, usage)) => {
            account.gathered(usage);
            Ok(respond::json(bytes))
        }
        Ok(Answer::Stream(_)) => Err(failed(
            &"a backend streamed an answer that was asked for whole",
            ApiError::internal(),
            account,
        )),
        Err(error) => Err(fault(shared, error, account)),
    }
}

/// Waits for the engine's first event, so that a failure still has a real status; then the stream begins anyway.
async fn stream<F>(
    shared: &Shared,
    settings: &Settings,
    mut answering: std::pin::Pin<Box<F>>,
    account: Account,
    tone: Tone,
) -> Result<Response<ResponseBody>, ApiError>
where
    F: Future<Output = Result<Answer, ChatError>> + Send + 'static,
{
    let request = Arc::clone(account.request());
    let answered = tokio::select! {
        answered = timeout(settings.limits.header_wait, answering.as_mut()) => answered,
        why = stream::ending(shared.drain.clone(), request) => return Err(stopped(why, account)),
    };
    let events = match answered {
        Ok(Ok(Answer::Stream(chunks))) => Events::of(chunks, account, tone, shared),
        Ok(Ok(whole @ Answer::Whole(..))) => return self::whole(shared, Ok(whole), account),
        Ok(Err(error)) => return Err(fault(shared, error, account)),
        Err(_elapsed) => Events::awaited(answering, account, tone, shared),
    };
    Ok(respond::events(events.boxed_unsync()))
}

/// The engine has failed.
pub(super) fn fault(shared: &Shared, error: ChatError, mut account: Account) -> ApiError {
    stream::blame(&shared.registry, &shared.room, &error);
    let (cause, by) = (error.to_string(), stream::by(&error));
    let shown = account.in_its_words(error.into());
    account.failed(&cause, &shown, by);
    shown
}

fn failed(cause: &dyn Display, shown: ApiError, mut account: Account) -> ApiError {
    account.failed(cause, &shown, None);
    shown
}

/// Somebody has ended it.
pub(super) fn stopped(why: Stopped, mut account: Account) -> ApiError {
    account.failed(&why.cause, &why.shown, Some(why.by));
    why.shown
}

/// Unix seconds; a clock before 1970 counts as 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
