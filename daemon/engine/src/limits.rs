//! The one table of the engine's limits: everything that comes from a caller, or from a file, has one.
//!
//! Knows each limit's name, default and words, of which the help is made. Refuses to know who keeps to it. Invariant: no
//! limit is nothing, and none is more than can be counted.

use std::time::Duration;

/// What a limit can be.
trait Value: Sized {
    /// What is wanted, in words that fit after "expected".
    const WANTED: &'static str;
    /// Reads it; nothing where it is no such value, or 0.
    fn parse(text: &str) -> Option<Self>;
    fn show(&self) -> String;
}

macro_rules! numbers {
    ($($type:ty),+) => { $(
        impl Value for $type {
            const WANTED: &'static str = "a whole number of at least 1";
            fn parse(text: &str) -> Option<Self> {
                text.parse().ok().filter(|number| *number > 0)
            }
            fn show(&self) -> String {
                self.to_string()
            }
        }
    )+ };
}
numbers!(u32, u64, usize);

impl Value for Duration {
    const WANTED: &'static str = "a time longer than 0, in ms or s";
    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = text.split_at_checked(text.find(|letter: char| !letter.is_ascii_digit())?)?;
        let number: u32 = number.parse().ok().filter(|number| *number > 0)?;
        match unit {
            "ms" => Some(Self::from_millis(number.into())),
            "s" => Some(Self::from_secs(number.into())),
            _ => None,
        }
    }
    fn show(&self) -> String {
        if self.subsec_millis() == 0 {
            format!("{}s", self.as_secs())
        } else {
            format!("{}ms", self.as_millis())
        }
    }
}

macro_rules! limits {
    ($( $(#[doc = $doc:literal])+ $name:ident : $type:ty = $default:expr; )+) => {
        /// What callers and files may cost. Sizes are in bytes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct Limits {
            $( $(#[doc = $doc])+ pub $name: $type, )+
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $( $name: $default, )+ }
            }
        }

        impl Limits {
            fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
                match name {
                    $( stringify!($name) => {
                        let wanted = || format!("the limit {name} is {text:?}; expected {}", <$type>::WANTED);
                        self.$name = <$type>::parse(text).ok_or_else(wanted)?;
                    } )+
                    _ => {
                        let names = [$( stringify!($name) ),+].join(", ");
                        return Err(format!("there is no limit {name:?}; there are {names}"));
                    }
                }
                Ok(())
            }

            /// The limits with their defaults and words, for the help.
            #[must_use]
            pub fn help() -> String {
                let default = Self::default();
                let lines = [$( (stringify!($name), default.$name.show(), concat!($($doc),+)) ),+];
                let lines = lines.map(|(name, value, words)| format!("  {name}={value}\n         {words}\n"));
                format!("Limits, by --limit NAME=VALUE (sizes in bytes):\n{}", lines.concat())
            }
        }
    };
}

limits! {
    /// A request's body: a long talk with long documents; more cannot fit into any context.
    longest_body: usize = 32 << 20;
    /// How long a body may take: the caller is on this machine.
    body_wait: Duration = Duration::from_secs(60);
    /// Bodies of up to this length are only bounded by the number of connections; also a load request's.
    short_body: usize = 64 << 10;
    /// All longer bodies together: as much as so many of the longest, so that one alone can keep nobody out.
    long_bodies: usize = 2;
    /// How long a connection may idle or take for its head; longer than any client keeps idle connections.
    head_wait: Duration = Duration::from_secs(120);
    /// Connections at a time; more wait in the kernel's queue.
    connections: usize = 512;
    /// How long requests may go on after SIGTERM: as long as the daemon's may (its `limits.drain_grace`), so that an upgrade which starts
    /// both anew breaks off nothing here that it lets end there.
    grace: Duration = Duration::from_secs(30);
    /// Texts in a request's stop.
    stop_texts: usize = 32;
    /// One of them: each is looked for at each token, at every length, and longer than a paragraph is a mistake.
    stop_bytes: usize = 4096;
    /// A schema that an answer is held to, as JSON: as long as OpenAI's may be. Much of what a schema costs grows as its square.
    schema_bytes: usize = 128 << 10;
    /// Levels of such a schema, those of all its definitions together: each takes up to 10 kB of the inference thread's stack.
    schema_levels: usize = 2000;
    /// Properties of one object in such a schema: the work grows as their square, and comes to half a second here. Of those that may be
    /// left out, no more than some 500 can be kept in any case.
    schema_properties: usize = 1500;
    /// Texts in one request for embeddings: as many as OpenAI takes.
    inputs: usize = 2048;
    /// Prompts in one request for completions: they are answered one after the other, and nobody else meanwhile.
    prompts: usize = 16;
    /// Odds told of the tokens of all its prompts, the alternatives among them: each takes some 300 bytes until it is on its way.
    prompt_odds: usize = 500_000;
    /// Tokens of one text to embed, which is read in one step: pooling takes all of them together.
    embedded_tokens: u32 = 2048;
    /// Tokens in one step: a departed client costs no more than this.
    batch: u32 = 128;
    /// How long the inference thread may give no sign of life while it works, before a service manager with a watchdog ends the engine: a step
    /// of `batch` tokens of the largest models takes a minute on a slow processor.
    silence: Duration = Duration::from_secs(300);
    /// Bytes a second that the disk of a model's file gives at least: so much longer may its loading go on without a sign.
    slowest_disk: u64 = 20 << 20;
    /// How long llama.cpp may try a file: its vocabulary takes a second at most, a cold disk longer.
    trial_wait: Duration = Duration::from_secs(120);
    /// What one rendering of a template may spend: one for each instruction and each 64 bytes made (so at most 640 MB).
    /// The heaviest of llama.cpp's own spends some 3,000 on a short conversation with tools.
    template_work: u64 = 10_000_000;
    /// Model files in one directory: more are a mistake (a whole disk was named).
    files: usize = 1000;
}

impl Limits {
    /// The limits, of which these are set, each as `name=value`.
    ///
    /// # Errors
    /// What is wrong, and what is wanted.
    pub fn read(settings: &[String]) -> Result<Self, String> {
        let mut limits = Self::default();
        for setting in settings {
            let (name, value) = setting
                .split_once('=')
                .ok_or_else(|| format!("{setting:?} is no limit; write --limit NAME=VALUE"))?;
            limits.set(name, value)?;
        }
        // Shares of the room for bodies are counted in 32 bits, tokens of a batch in 31.
        if u32::try_from(limits.room()).is_err() {
            return Err(format!(
                "longest_body times long_bodies is {}; at most {} is possible",
                limits.room(),
                u32::MAX
            ));
        }
        for (name, tokens) in [("batch", limits.batch), ("embedded_tokens", limits.embedded_tokens)] {
            if i32::try_from(tokens).is_err() {
                return Err(format!("the limit {name} is {tokens}; at most {} is possible", i32::MAX));
            }
        }
        Ok(limits)
    }

    /// The room that there is for long bodies.
    pub(crate) fn room(&self) -> usize {
        self.longest_body.saturating_mul(self.long_bodies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &[&str]) -> Result<Limits, String> {
        Limits::read(&settings.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_set_is_read_and_the_rest_keeps_its_default() {
        let limits = read(&["files=7", "trial_wait=250ms", "grace=2s", "files=8"]).unwrap();
        let expected = Limits {
            files: 8,
            trial_wait: Duration::from_millis(250),
            grace: Duration::from_secs(2),
            ..Limits::default()
        };
        assert_eq!(limits, expected);
        assert_eq!(read(&[]).unwrap(), Limits::default());
    }

    #[test]
    fn what_is_unknown_or_impossible_is_refused_in_words() {
        for (setting, wanted) in [
            ("file=7", "there is no limit \"file\"; there are longest_body, body_wait"),
            ("files", "write --limit NAME=VALUE"),
            ("files=", "the limit files is \"\"; expected a whole number of at least 1"),
            ("files=0", "at least 1"),
            ("files=-1", "at least 1"),
            ("batch=2147483648", "at most 2147483647"),
            ("grace=10", "in ms or s"),
            ("grace=0s", "longer than 0"),
            ("grace=1h", "in ms or s"),
            ("longest_body=2147483648", "at most 4294967295"),
            ("long_bodies=128", "longest_body times long_bodies is 4294967296"),
        ] {
            let problem = read(&[setting]).unwrap_err();
            assert!(problem.contains(wanted), "{setting}: {problem}");
        }
        for setting in ["batch=2147483647", "longest_body=2147483647", "long_bodies=127"] {
            read(&[setting]).unwrap();
        }
    }

    #[test]
    fn the_help_can_be_read_back() {
        let help = Limits::help();
        let settings: Vec<String> = help
            .lines()
            .filter_map(|line| line.strip_prefix("  "))
            .filter(|line| !line.starts_with(' '))
            .map(str::to_owned)
            .collect();
        assert_eq!(settings.len(), 22, "{help}");
        assert_eq!(Limits::read(&settings).unwrap(), Limits::default());
    }
}
