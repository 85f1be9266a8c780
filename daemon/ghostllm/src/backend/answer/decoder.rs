//! What turns the bytes of an engine's reply into the client's.
//!
//! Knows the core's decoders and writers, and counts what passes. Refuses to know where the bytes come from. Invariant: what came
//! before a fault is good, and is given out.

use bytes::{Bytes, BytesMut};
use ghostllm_core::{
    chat::{ChatEvent, Usage, tokens_of},
    dialect::{
        ollama::ChatDecoder,
        openai::{ChunkDecoder, StreamRepair},
        render::StreamOut,
    },
    error::{ApiError, BackendFault},
};

use crate::backend::Keeper;

/// Turns an engine's bytes into the client's.
pub(in crate::backend) enum Decoder {
    /// OpenAI's chunks, for a client that reads them.
    OpenAi(Box<StreamRepair>),
    /// What an engine says, read, and written in the client's language.
    Read(Box<Read>),
}

/// An engine's language on the one side, the client's on the other.
pub(in crate::backend) struct Read {
    reader: Reader,
    out: StreamOut,
    /// The first call alone is given.
    one_call: bool,
    tally: Tally,
    /// For an estimate, where the engine leaves counts out.
    prompt_bytes: u64,
    /// Who keeps the answer's items once it is complete.
    keeper: Option<Keeper>,
}

/// Reads what an engine says.
pub(in crate::backend) enum Reader {
    /// Ollama's lines.
    Ollama(ChatDecoder),
    /// OpenAI's chunks.
    OpenAi(ChunkDecoder),
}

impl Reader {
    pub(super) fn feed(&mut self, bytes: &[u8], events: &mut Vec<ChatEvent>) -> Result<(), BackendFault> {
        match self {
            Self::Ollama(lines) => lines.feed(bytes, events),
            Self::OpenAi(chunks) => chunks.feed(bytes, events),
        }
    }

    pub(super) fn finish(&mut self, events: &mut Vec<ChatEvent>) -> Result<(), BackendFault> {
        match self {
            Self::Ollama(lines) => lines.finish(events),
            Self::OpenAi(chunks) => chunks.finish(events),
        }
    }

    pub(super) fn broke(
        &mut self,
        fault: BackendFault,
        events: &mut Vec<ChatEvent>,
    ) -> Result<(), BackendFault> {
        match self {
            // Its last line has all that an answer's end has.
            Self::Ollama(_) => Err(fault),
            Self::OpenAi(chunks) => chunks.broke(fault, events),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        match self {
            Self::Ollama(lines) => lines.is_done(),
            Self::OpenAi(chunks) => chunks.is_done(),
        }
    }

    /// What has come so far of what is given once it is whole.
    pub(super) fn gathered(&self) -> usize {
        match self {
            Self::Ollama(_) => 0,
            Self::OpenAi(chunks) => chunks.gathered(),
        }
    }
}

impl Decoder {
    pub(super) fn feed(&mut self, bytes: &[u8], out: &mut BytesMut) -> Result<(), BackendFault> {
        match self {
            Self::OpenAi(repair) => repair.feed(bytes, out),
            Self::Read(read) => read.pass(out, |reader, events| reader.feed(bytes, events)),
        }
    }

    /// The body has ended.
    pub(super) fn finish(&mut self, out: &mut BytesMut) -> Result<(), BackendFault> {
        match self {
            Self::OpenAi(repair) => repair.finish(out),
            Self::Read(read) => read.pass(out, Reader::finish),
        }
    }

    /// The body has broken off.
    pub(super) fn broke(&mut self, fault: BackendFault, out: &mut BytesMut) -> Result<(), BackendFault> {
        match self {
            Self::OpenAi(repair) => repair.broke(fault, out),
            Self::Read(read) => read.pass(out, |reader, events| reader.broke(fault, events)),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        match self {
            Self::OpenAi(repair) => repair.is_done(),
            Self::Read(read) => read.reader.is_done(),
        }
    }

    pub(super) fn tally(&self) -> Tally {
        match self {
            Self::OpenAi(repair) => {
                Tally { usage: repair.usage(), said: repair.said(), told: Told::default() }
            }
            Self::Read(read) => read.tally,
        }
    }

    /// What has come so far of what is given once it is whole.
    pub(super) fn gathered(&self) -> usize {
        match self {
            Self::OpenAi(repair) => repair.held(),
            Self::Read(read) => read.reader.gathered(),
        }
    }

    /// The choice that is not finished; none where all are.
    pub(super) fn speaking(&self) -> Option<u32> {
        match self {
            Self::OpenAi(repair) => repair.speaking(),
            Self::Read(_) => Some(0),
        }
    }

    /// How much of the answer is held: that, and what its last event repeats.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::OpenAi(_) => 0,
            Self::Read(read) => read.reader.gathered() + read.out.held(),
        }
    }

    /// How many events were written whose language numbers them.
    pub(super) fn numbered(&self) -> u64 {
        match self {
            Self::OpenAi(_) => 0,
            Self::Read(read) => read.out.numbered(),
        }
    }

    pub(super) fn failure(&mut self, error: &ApiError) -> Bytes {
        match self {
            Self::OpenAi(_) => error.stream_event(),
            Self::Read(read) => read.out.failure(error),
        }
    }
}

impl Read {
    pub(in crate::backend) fn new(reader: Reader, out: StreamOut, one_call: bool, prompt_bytes: u64) -> Self {
        Self { reader, out, one_call, tally: Tally::default(), prompt_bytes, keeper: None }
    }

    /// The same, with somebody who keeps the answer's items.
    pub(in crate::backend) fn kept_by(self, keeper: Option<Keeper>) -> Self {
        Self { keeper, ..self }
    }

    /// What came before a fault is good, and is given out.
    fn pass(
        &mut self,
        out: &mut BytesMut,
        read: impl FnOnce(&mut Reader, &mut Vec<ChatEvent>) -> Result<(), BackendFault>,
    ) -> Result<(), BackendFault> {
        let was_done = self.reader.is_done();
        let mut events = Vec::new();
        let result = read(&mut self.reader, &mut events);
        for event in events {
            let event = self.tally.event(event, self.prompt_bytes);
            if self.one_call && is_further_call(&event) {
                continue;
            }
            self.out.event(event, out)?;
        }
        if !was_done && self.reader.is_done() {
            if let Some(estimate) = self.tally.estimate(self.out.counts_anyway(), self.prompt_bytes) {
                self.out.event(estimate, out)?;
            }
            self.out.finish(out);
            if let Some(keeper) = &self.keeper {
                keeper.keep(self.out.kept());
            }
        }
        result
    }
}

/// What is known of the tokens of an answer so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    /// What the engine counted, once it has said so.
    usage: Option<Usage>,
    /// About how many tokens of text, thought or calls there were.
    said: u64,
    told: Told,
}

/// What was told of an answer's texts.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::backend) struct Told {
    /// There was one.
    text: bool,
    /// Probabilities came with one.
    odds: bool,
}

impl Told {
    /// Whether a text came without the probabilities of its tokens.
    pub(in crate::backend) fn lacks_odds(self) -> bool {
        self.text && !self.odds
    }
}

impl Tally {
    /// Takes an event, which is the client's with estimates in place of counts that its engine has left out, of a prompt of so many bytes.
    pub(super) fn event(&mut self, event: ChatEvent, prompt_bytes: u64) -> ChatEvent {
        match &event {
            ChatEvent::Usage(usage) => {
                let usage = usage.filled(Usage::estimated(prompt_bytes, self.said));
                self.usage = Some(usage);
                return ChatEvent::Usage(usage);
            }
            ChatEvent::Text { text, logprobs } => {
                self.said += tokens_of(text);
                self.told.text |= !text.is_empty();
                self.told.odds |= logprobs.is_some();
            }
            ChatEvent::Reasoning(text) => self.said += tokens_of(text),
            // It comes whole.
            ChatEvent::ToolCall { name, arguments, .. } => {
                let bytes = (name.len() + arguments.len()) as u64;
                self.said += Usage::estimated_whole(0, bytes).completion_tokens;
            }
            ChatEvent::Finish(_) => {}
        }
        event
    }

    pub(super) fn told(self) -> Told {
        self.told
    }

    /// The same, once anything has come of the answer.
    pub(super) fn so_far(self, prompt_bytes: u64) -> Option<Usage> {
        (self.said > 0 || self.usage.is_some()).then(|| self.usage(prompt_bytes))
    }

    /// The event that tells an estimate to a client that is told counts `anyway`, where the engine has told none.
    pub(super) fn estimate(self, anyway: bool, prompt_bytes: u64) -> Option<ChatEvent> {
        (anyway && self.usage.is_none()).then(|| ChatEvent::Usage(self.usage(prompt_bytes)))
    }

    /// The engine's counts, or an estimate for a prompt of so many bytes.
    pub(super) fn usage(self, prompt_bytes: u64) -> Usage {
        self.usage.unwrap_or_else(|| Usage::estimated(prompt_bytes, self.said))
    }
}

/// One that somebody who wants one call at the most does not want.
pub(super) fn is_further_call(event: &ChatEvent) -> bool {
    matches!(event, ChatEvent::ToolCall { index, .. } if *index > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_that_are_left_out_are_estimated_and_say_so() {
        const PROMPT: u64 = 40;
        let told = |counts: Usage| {
            let mut tally = Tally::default();
            tally.event(ChatEvent::text("a b c"), PROMPT);
            let event = tally.event(ChatEvent::Usage(counts), PROMPT);
            assert_eq!(event, ChatEvent::Usage(tally.usage(PROMPT)));
            tally.usage(PROMPT)
        };
        let estimated = |prompt, completion| Usage { estimated: true, ..Usage::counted(prompt, completion) };
        assert_eq!(told(Usage::counted(5, 7)), Usage::counted(5, 7));
        assert_eq!(told(Usage::counted(0, 7)), estimated(10, 7), "an Ollama that had the prompt already");
        assert_eq!(told(Usage::counted(5, 0)), estimated(5, 3));
        assert_eq!(told(Usage::default()), estimated(10, 3));
        let mut silent = Tally::default();
        silent.event(ChatEvent::Usage(Usage::counted(5, 0)), PROMPT);
        assert_eq!(silent.usage(PROMPT), Usage::counted(5, 0), "nothing was said");
    }
}
