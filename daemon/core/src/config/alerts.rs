//! The `[alerts]`: where a program is told what is amiss.
//!
//! Knows its settings. Refuses to know what can be amiss. Invariant: without an address of the admin's own, nothing is sent anywhere.

use std::time::Duration;

use super::{rule::Rule, secret_file::SecretFile, section::section, values::WebhookUrl};

/// A day is beyond what an alert is for.
fn up_to_a_day() -> Rule<Duration> {
    Rule::amount::<0, 86_400_000>("a time from 0 to 1d")
}

section! {
    /// Who is told when something becomes amiss with the box, its cards, its backends or its certificates, and when that is
    /// over: the causes that ghostctl status names, from warnings on. The journal and the metrics have them in any case.
    pub struct Alerts ("[alerts]") {
        /// The address that is told, by a POST of JSON: what has begun, what has ended, and all of it in words as "text". What
        /// it answers beyond 200 to 299 is a failure, after which it is told again, ever later. What stands behind its host is
        /// shown nowhere, since it may be a secret. None by itself: nothing leaves the box.
        webhook: Option<WebhookUrl> = None;
        /// A file that holds that address instead, where whoever reads the configuration's files must not have it, as those of
        /// Slack and Discord, which are secrets themselves: a whole path, or the name of a systemd credential.
        webhook_file: Option<SecretFile> = None;
        /// A file that holds the key for that address, which is sent as "Authorization: Bearer": a whole path, or a plain name,
        /// which is a systemd credential (LoadCredential=alerts-key:/etc/ghostllm/alerts.key, webhook_key_file = "alerts-key").
        webhook_key_file: Option<SecretFile> = None;
        /// So long something lasts before it is told; what is over sooner is not worth anybody's sleep.
        after: Duration = Duration::from_secs(10) => up_to_a_day();
    }
}

impl Alerts {
    /// Whether anybody is told.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.webhook.is_some() || self.webhook_file.is_some()
    }
}
