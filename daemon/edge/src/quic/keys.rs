//! What outlives an endpoint: with the same secret, the next one can end the connections of the last.
//!
//! Knows HKDF and what quinn wants keys for. Refuses to know where the secret is kept. Invariant: no connection's number comes
//! again, also after restarts with the same secret: the token that ends one is derived from its number and known to its peer once it
//! has been used, who could end a stranger's connection of the same number with it (RFC 9000 section 10.3.2).

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use aws_lc_rs::{
    error::Unspecified,
    hkdf::{HKDF_SHA256, Prk, Salt},
    hmac::{self, HMAC_SHA256},
    rand,
};
use quinn::{ConnectionId, ConnectionIdGenerator, EndpointConfig, ServerConfig};
use quinn_proto::InvalidCid;

/// Bytes of the secret, and of each key: what SHA-256 has.
const BYTES: usize = 32;
/// Bytes of a number that nobody can guess or meet twice.
const UNIQUE: usize = 12;
/// Bytes that say that the number is one of ours; one packet of garbage in four thousand million passes for one.
const OURS: usize = 4;

/// What is kept from one endpoint to the next.
#[derive(Clone)]
pub struct Keys {
    /// Ends connections of which nothing else is known any more.
    reset: Arc<hmac::Key>,
    /// Proofs of address that were given before.
    token: Arc<Prk>,
    ids: Ids,
}

/// Makes the numbers of connections, and knows them again.
#[derive(Clone)]
struct Ids {
    /// The same from one endpoint to the next.
    ours: hmac::Key,
    /// Another one each time.
    unique: hmac::Key,
    count: Arc<AtomicU64>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Keys {
    /// Derives them from a secret, which nothing else may be derived from.
    ///
    /// # Errors
    /// If the operating system gives no random bytes.
    pub fn new(secret: &[u8; BYTES]) -> io::Result<Self> {
        Self::derived(secret)
            .map_err(|_unspecified| io::Error::other("the operating system gave no random bytes"))
    }

    fn derived(secret: &[u8; BYTES]) -> Result<Self, Unspecified> {
        let root = Salt::new(HKDF_SHA256, b"GhostLLM QUIC").extract(secret);
        let key = |purpose: &[u8]| {
            let mut bytes = [0; BYTES];
            root.expand(&[purpose], HKDF_SHA256)?.fill(&mut bytes)?;
            Ok::<_, Unspecified>(bytes)
        };
        let mut seed = [0; BYTES];
        rand::fill(&mut seed)?;
        Ok(Self {
            reset: Arc::new(hmac::Key::new(HMAC_SHA256, &key(b"stateless reset")?)),
            token: Arc::new(Prk::new_less_safe(HKDF_SHA256, &key(b"address validation")?)),
            ids: Ids {
                ours: hmac::Key::new(HMAC_SHA256, &key(b"connection id")?),
                unique: hmac::Key::new(HMAC_SHA256, &seed),
                count: Arc::default(),
            },
        })
    }

    pub(super) fn endpoint(&self) -> EndpointConfig {
        let (ids, mut config) = (self.ids.clone(), EndpointConfig::new(Arc::clone(&self.reset) as _));
        config.cid_generator(move || Box::new(ids.clone()));
        // A restart has thousands of connections to end at once. Each answer is smaller than what has asked for it.
        config.min_reset_interval(std::time::Duration::from_millis(1));
        config
    }

    pub(super) fn server(&self, config: &mut ServerConfig) {
        config.token_key(Arc::clone(&self.token) as _);
    }
}

impl Ids {
    fn mark(&self, unique: &[u8]) -> [u8; OURS] {
        first(hmac::sign(&self.ours, unique).as_ref())
    }
}

impl ConnectionIdGenerator for Ids {
    fn generate_cid(&mut self) -> ConnectionId {
        // A count under a key that nobody has is as good as a random number, and cannot fail.
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let unique: [u8; UNIQUE] = first(hmac::sign(&self.unique, &count.to_be_bytes()).as_ref());
        let mut id = [0; UNIQUE + OURS];
        let (begin, end) = id.split_at_mut(UNIQUE);
        begin.copy_from_slice(&unique);
        end.copy_from_slice(&self.mark(&unique));
        ConnectionId::new(&id)
    }

    /// Whether an endpoint of this secret may have made it. Asked of packets alone whose connection nobody knows.
    fn validate(&self, id: &ConnectionId) -> Result<(), InvalidCid> {
        match id.split_at_checked(UNIQUE) {
            Some((unique, mark)) if mark == self.mark(unique) => Ok(()),
            _ => Err(InvalidCid),
        }
    }

    fn cid_len(&self) -> usize {
        UNIQUE + OURS
    }

    fn cid_lifetime(&self) -> Option<std::time::Duration> {
        None
    }
}

/// The first bytes of a digest, which has more than anybody here takes.
fn first<const N: usize>(digest: &[u8]) -> [u8; N] {
    digest.first_chunk().copied().unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn ids(secret: u8) -> Ids {
        Keys::new(&[secret; BYTES]).unwrap().ids
    }

    #[test]
    fn a_number_is_known_again_with_the_same_secret_alone() {
        let (mut before, after, other) = (ids(1), ids(1), ids(2));
        let id = before.generate_cid();
        assert_eq!(id.len(), before.cid_len());
        assert!(before.validate(&id).is_ok() && after.validate(&id).is_ok());
        assert!(other.validate(&id).is_err());
        for at in 0..id.len() {
            let mut changed = id.to_vec();
            changed[at] ^= 1;
            assert!(after.validate(&ConnectionId::new(&changed)).is_err(), "byte {at}");
        }
        assert!(after.validate(&ConnectionId::new(&id[..UNIQUE])).is_err());
        assert!(after.validate(&ConnectionId::new(&[])).is_err());
    }

    #[test]
    fn none_comes_again_nor_with_the_next_endpoint_of_the_same_secret() {
        let mut seen = HashSet::new();
        for _ in 0..3 {
            let mut ids = ids(1);
            let mut copy = ids.clone();
            for _ in 0..1000 {
                assert!(seen.insert(ids.generate_cid()) && seen.insert(copy.generate_cid()));
            }
        }
    }

    #[test]
    fn the_keys_are_the_same_again_and_no_two_are_one() {
        let signed = |key: &hmac::Key| hmac::sign(key, b"x").as_ref().to_vec();
        let (one, again, other) = (Keys::new(&[1; 32]), Keys::new(&[1; 32]), Keys::new(&[2; 32]));
        let (one, again, other) = (one.unwrap(), again.unwrap(), other.unwrap());
        assert_eq!(signed(&one.reset), signed(&again.reset));
        assert_ne!(signed(&one.reset), signed(&other.reset));
        assert_ne!(signed(&one.reset), signed(&one.ids.ours));
        assert_ne!(signed(&one.ids.unique), signed(&again.ids.unique));
    }
}
