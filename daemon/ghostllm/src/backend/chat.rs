//! Chats, and what engines of OpenAI's language complete, asked of each kind of backend.
//!
//! Knows which route each kind has for them, and whether it takes a request as it was sent or written anew. Refuses to know what a
//! client is. Invariant: every answer comes with what it has used, counted by its engine or estimated: an engine is asked for the
//! counts of a stream whether its client wants them or not, unless it has refused that once.

use std::{mem, sync::Arc};

use bytes::Bytes;
use ghostllm_core::{
    ApiError,
    chat::{ChatRequest, Defaults, Usage},
    dialect::{
        ollama::{self, ChatDecoder},
        openai::{
            self, ChunkDecoder, StreamRepair, TextCalls, check_whole, check_whole_completion, parse_chat,
            passthrough::{Asking, Passed},
            refuses_counts,
        },
        tool_text::ToolText,
    },
    error::BackendFault,
};
use http::Method;

use super::{
    Answer, Asked, ChatBytes, ChatCall, ChatError, Kind, Parts,
    answer::{Decoder, Read, Reader, gather},
    gathers,
    odds::Wish,
    wire::{Ask, Reply},
};
use crate::apart;

impl Parts {
    /// One reply of the engine.
    pub(super) async fn chat(&self, mut call: ChatCall) -> Result<Answer, ChatError> {
        if self.kind == Kind::Ollama {
            call.asked = call.asked.chosen_alone();
        }
        if !call.asked.streams() {
            call.meter.waits(call.asked.prompt_bytes());
        }
        match &self.kind {
            Kind::Ollama => self.ollama_chat(call).await,
            Kind::OpenAi => Ok(self.openai_chat(call).await?),
            Kind::Engine | Kind::Gguf(_) => {
                Ok(self.openai_chat(call).await.map_err(BackendFault::of_own_engine)?)
            }
        }
    }

    async fn ollama_chat(&self, mut call: ChatCall) -> Result<Answer, ChatError> {
        if let Asked::AsSent { body, passed } = &mut call.asked
            && passed.completes()
        {
            let body = mem::take(body);
            return self.ollama_complete(body, &call).await;
        }
        let (limits, model, defaults) = (Arc::clone(&self.limits), call.model.clone(), call.defaults);
        let translated = match &mut call.asked {
            Asked::AsSent { body, .. } => {
                let translate = move |body: &Bytes| {
                    let mut request = parse_chat(body, &limits)?;
                    defaults.fill(&mut request);
                    Ok::<_, ApiError>((ollama::chat_body(&request, &model)?, request.logprobs))
                };
                // Translated, it is a copy, and one is enough while the engine answers.
                apart::read(&mem::take(body), translate).await
            }
            Asked::Read { request, .. } => {
                let (weight, request) = (request.weight(), Arc::clone(request));
                let translate = move || {
                    let mut request = Arc::unwrap_or_clone(request);
                    defaults.fill(&mut request);
                    Ok::<_, ApiError>((ollama::chat_body(&request, &model)?, request.logprobs))
                };
                apart::weighing(weight, translate).await
            }
        };
        let (body, odds) = translated.map_err(ChatError::Request)?;
        let wish = self.ollama_wish(odds).await.map_err(ChatError::Request)?;
        let (method, accept, trace) = (Method::POST, "application/x-ndjson", Some(call.trace.clone()));
        let ask = Ask { method, route: "/api/chat", accept, body, trace, slot: call.slot.clone() };
        let reply = self.wire()?.ask(&ask).await?;
        let reply = reply.success(&["application/x-ndjson", "application/json"]).await?;
        let lines = ChatDecoder::new(&call.voice.id, self.limits.backend_line.as_usize());
        Ok(self.rendered(reply, (Reader::Ollama(lines), wish), &call).await?)
    }

    async fn openai_chat(&self, mut call: ChatCall) -> Result<Answer, BackendFault> {
        let (reply, asks) = self.openai_reply(&mut call).await?;
        let functions = self.unread(&call.asked);
        match &call.asked {
            Asked::AsSent { passed, .. } if passed.stream => {
                self.repaired(reply, passed, (functions, asks), &call).await
            }
            Asked::AsSent { passed, .. } => self.checked(reply, passed, functions, &call).await,
            Asked::Read { request, .. } => {
                let wish = request.logprobs.map(|top| Wish { top, doubtful: false });
                let (id, line) = (&call.voice.id, self.limits.backend_line.as_usize());
                let text = functions.map(|functions| ToolText::new(functions, id, line));
                let most = self.limits.backend_answer.as_usize();
                let chunks = ChunkDecoder::new(id, line, most).calling(text);
                self.rendered(reply, (Reader::OpenAi(chunks), wish), &call).await
            }
        }
    }

    /// A stream that its client gets in the engine's own words, who does not see the counts where they were `asks`ed for behind its back.
    async fn repaired(
        &self,
        reply: Reply,
        passed: &Passed,
        (functions, asks): (Option<Arc<[String]>>, bool),
        call: &ChatCall,
    ) -> Result<Answer, BackendFault> {
        let calls = self.text_calls(functions, passed, call);
        let line = self.limits.backend_line.as_usize();
        let mut repair = StreamRepair::new(line, Some(&passed.model)).wanting(passed.choices).calling(calls);
        if passed.completes() {
            repair = repair.completing(passed.samples());
        }
        if asks {
            repair = repair.hiding_usage();
        }
        let (decoder, slot) = (Decoder::OpenAi(Box::new(repair)), call.slot.clone());
        let chunks = ChatBytes::open(reply, decoder, slot, passed.prompt_bytes).await?;
        Ok(Answer::Stream(Box::new(chunks)))
    }

    /// The same in one piece.
    async fn checked(
        &self,
        mut reply: Reply,
        passed: &Passed,
        functions: Option<Arc<[String]>>,
        call: &ChatCall,
    ) -> Result<Answer, BackendFault> {
        let most = self.limits.backend_answer.as_usize();
        let body = reply.gathered(most, |bytes| gathers(call.slot.as_ref(), bytes)).await?;
        let check = if passed.completes() { check_whole_completion } else { check_whole };
        let whole = check(&body, Some(&passed.model))?;
        let estimate = || Usage::estimated_whole(passed.prompt_bytes, whole.said_bytes);
        let (usage, body) = (whole.usage.unwrap_or_else(estimate), whole.body);
        let body = match self.text_calls(functions, passed, call) {
            Some(calls) => apart::weighing(body.len(), move || calls.whole(body)).await,
            None => body,
        };
        Ok(Answer::Whole(body, usage))
    }

    /// What finds the calls in the texts of such an answer.
    fn text_calls(
        &self,
        functions: Option<Arc<[String]>>,
        passed: &Passed,
        call: &ChatCall,
    ) -> Option<TextCalls> {
        let (line, most) = (self.limits.backend_line.as_usize(), self.limits.backend_answer.as_usize());
        // All choices together hold no more of it than an answer may be long.
        let held = line.min(most / passed.choices.max(1) as usize);
        functions.map(|functions| TextCalls::new(functions, &call.voice.id, held))
    }

    /// The functions whose calls such an engine may leave in its answer's text; our own reads them itself.
    fn unread(&self, asked: &Asked) -> Option<Arc<[String]>> {
        let functions = asked.functions();
        (self.kind == Kind::OpenAi && !functions.is_empty()).then_some(functions)
    }

    /// The engine's reply, and whether it was asked for the counts of a stream: one that refuses that is asked again without.
    async fn openai_reply(&self, call: &mut ChatCall) -> Result<(Reply, bool), BackendFault> {
        let counts = !self.uncounted.has(&call.model);
        let (model, defaults) = (self.openai_name(call), call.defaults);
        let asking = match &mut call.asked {
            // Edited, it is a copy, and one is enough while the engine answers.
            Asked::AsSent { body, passed } => passed.asking(&mem::take(body), &model, &defaults, counts),
            Asked::Read { request, .. } => {
                Asking::from(written(request, model.clone(), defaults, counts).await)
            }
        };
        let asks = match &call.asked {
            Asked::AsSent { .. } => asking.asks(),
            Asked::Read { .. } => counts,
        };
        // What was read is gathered out of a stream where the client wants it whole.
        let streams = call.asked.streams() || matches!(call.asked, Asked::Read { .. });
        let accept = if streams { "text/event-stream" } else { "application/json" };
        let (method, trace, slot) = (Method::POST, Some(call.trace.clone()), call.slot.clone());
        let body = asking.body.clone();
        let completes = matches!(&call.asked, Asked::AsSent { passed, .. } if passed.completes());
        let route = if completes { "/v1/completions" } else { "/v1/chat/completions" };
        let mut ask = Ask { method, route, accept, body, trace, slot };
        let told = counts || matches!(&call.asked, Asked::AsSent { passed, .. } if passed.include_usage);
        let refused = match self.reply(&ask, told).await {
            Err(fault) if asks && refuses_counts(&fault) => fault,
            reply => return Ok((reply?, asks)),
        };
        ask.body = match &call.asked {
            Asked::AsSent { .. } => asking.without().ok_or(refused)?,
            Asked::Read { request, .. } => written(request, model, defaults, false).await,
        };
        let reply = self.reply(&ask, false).await?;
        // Where both are refused, the request itself is wrong.
        if self.uncounted.add(&call.model) {
            tracing::info!(
                backend = self.name,
                model = call.model,
                "the engine refuses to be asked for the counts of a stream (stream_options): what the model's streams use is estimated"
            );
        }
        Ok((reply, false))
    }

    /// What an engine of OpenAI's language calls the model.
    fn openai_name(&self, call: &ChatCall) -> String {
        match &self.kind {
            // Asked for by its path, a file is the right one whatever else bears its name, and an engine that was started
            // anew need not be told of it first.
            Kind::Gguf(file) => file.to_string_lossy().into_owned(),
            Kind::Ollama | Kind::OpenAi | Kind::Engine => call.model.clone(),
        }
    }

    /// Its reply. One that is asked for a stream and answers in one piece, as some do that know none, is read as the stream that it stands
    /// for, with its counts where they were asked for.
    async fn reply(&self, ask: &Ask, counts: bool) -> Result<Reply, BackendFault> {
        const WHOLE: &str = "application/json";
        let reply = self.wire()?.ask(ask).await?;
        if ask.accept == WHOLE || !reply.is_of(WHOLE) {
            return reply.success(&[ask.accept]).await;
        }
        let mut reply = reply.success(&[WHOLE]).await?;
        let most = self.limits.backend_answer.as_usize();
        let body = reply.gathered(most, |bytes| gathers(ask.slot.as_ref(), bytes)).await?;
        let stream = apart::weighing(body.len(), move || openai::as_stream(&body, counts)).await?;
        Ok(reply.saying(stream))
    }

    /// The answer in its client's language, out of the events that are read from the engine's, and what is seen in them of a wish for
    /// the probabilities of tokens.
    pub(super) async fn rendered(
        &self,
        reply: Reply,
        (reader, wish): (Reader, Option<Wish>),
        call: &ChatCall,
    ) -> Result<Answer, BackendFault> {
        let (form, named, most) =
            (&call.voice.form, call.voice.named(), self.limits.backend_answer.as_usize());
        let (answer, told) = if call.asked.streams() {
            let (slot, prompt_bytes) = (call.slot.clone(), call.asked.prompt_bytes());
            let read = Read::new(reader, form.stream(named, most), call.asked.one_call(), prompt_bytes);
            let read = read.kept_by(call.voice.keeper.clone());
            let stream = ChatBytes::open(reply, Decoder::Read(Box::new(read)), slot, prompt_bytes).await?;
            let told = stream.told();
            (Answer::Stream(Box::new(stream)), told)
        } else {
            gather(reply, reader, form.whole(named, most), call).await?
        };
        if let Some(wish) = wish.filter(|wish| wish.doubtful || !call.asked.streams())
            && told.lacks_odds()
        {
            call.unheard.are(form.odds_fields(wish.top));
        }
        Ok(answer)
    }
}

/// A request in OpenAI's words.
async fn written(request: &Arc<ChatRequest>, model: String, defaults: Defaults, counts: bool) -> Bytes {
    let (weight, request) = (request.weight(), Arc::clone(request));
    let write = move || {
        let mut request = Arc::unwrap_or_clone(request);
        defaults.fill(&mut request);
        openai::chat_body(&request, &model, counts)
    };
    apart::weighing(weight, write).await
}
