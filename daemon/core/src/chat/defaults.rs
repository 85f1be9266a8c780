//! What the administrator wants of a model where its client says nothing.
//!
//! Knows the fields of a request that have such defaults. Refuses to know names, and how any engine spells a field.
//! Invariant: what a client has said stays, but for the two that are never a client's to say.

use super::{ChatRequest, Sampling, Think};

/// Defaults of one model; what is absent is the engine's own choice.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Defaults {
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// The most tokens of an answer.
    pub max_tokens: Option<u32>,
    /// Whether and how hard to think first.
    pub think: Option<Think>,
    /// The context length in tokens, the same for every request; see [`ChatRequest::num_ctx`].
    pub num_ctx: Option<u32>,
    /// How long the engine keeps the model loaded; see [`ChatRequest::keep_alive`].
    pub keep_alive: Option<i64>,
}

impl Defaults {
    /// These, and where they say nothing, those.
    #[must_use]
    pub fn or(self, those: Self) -> Self {
        Self {
            sampling: self.sampling.or(those.sampling),
            max_tokens: self.max_tokens.or(those.max_tokens),
            think: self.think.or(those.think),
            num_ctx: self.num_ctx.or(those.num_ctx),
            keep_alive: self.keep_alive.or(those.keep_alive),
        }
    }

    /// What belongs to the loaded model, whatever it is asked by: another value would make the engine load it anew.
    #[must_use]
    pub fn of_the_loaded(self) -> Self {
        Self { num_ctx: self.num_ctx, keep_alive: self.keep_alive, ..Self::default() }
    }

    /// What may differ from request to request.
    #[must_use]
    pub fn of_a_request(self) -> Self {
        Self { num_ctx: None, keep_alive: None, ..self }
    }

    /// Puts them where the request says nothing.
    pub fn fill(&self, request: &mut ChatRequest) {
        request.sampling = request.sampling.or(self.sampling);
        request.max_tokens = request.max_tokens.or(self.max_tokens);
        request.think = request.think.or(self.think);
        (request.num_ctx, request.keep_alive) = (self.num_ctx, self.keep_alive);
    }
}

impl Sampling {
    /// These, and where they say nothing, those.
    #[must_use]
    pub fn or(self, those: Self) -> Self {
        Self {
            temperature: self.temperature.or(those.temperature),
            top_p: self.top_p.or(those.top_p),
            top_k: self.top_k.or(those.top_k),
            min_p: self.min_p.or(those.min_p),
            repeat_penalty: self.repeat_penalty.or(those.repeat_penalty),
            frequency_penalty: self.frequency_penalty.or(those.frequency_penalty),
            presence_penalty: self.presence_penalty.or(those.presence_penalty),
            seed: self.seed.or(those.seed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_says_stays_and_what_is_the_admin_s_alone_does_not() {
        let defaults = Defaults {
            sampling: Sampling { temperature: Some(0.2), top_k: Some(7), ..Sampling::default() },
            max_tokens: Some(100),
            think: Some(Think::Off),
            num_ctx: Some(4096),
            keep_alive: Some(-1),
        };
        let mut request = ChatRequest {
            sampling: Sampling { temperature: Some(0.0), ..Sampling::default() },
            think: Some(Think::High),
            ..ChatRequest::default()
        };
        defaults.fill(&mut request);
        assert_eq!(
            request.sampling,
            Sampling { temperature: Some(0.0), top_k: Some(7), ..Sampling::default() }
        );
        assert_eq!((request.max_tokens, request.think), (Some(100), Some(Think::High)));
        assert_eq!((request.num_ctx, request.keep_alive), (Some(4096), Some(-1)));
        Defaults::default().fill(&mut request);
        assert_eq!((request.num_ctx, request.keep_alive), (None, None), "nobody else may have set them");
    }

    #[test]
    fn the_first_that_says_something_counts() {
        let of = |temperature, num_ctx| Defaults {
            sampling: Sampling { temperature, ..Sampling::default() },
            num_ctx,
            ..Defaults::default()
        };
        assert_eq!(of(Some(1.0), None).or(of(Some(0.5), Some(2048))), of(Some(1.0), Some(2048)));
        let both = of(Some(1.0), Some(2048));
        assert_eq!((both.of_a_request(), both.of_the_loaded()), (of(Some(1.0), None), of(None, Some(2048))));
    }
}
