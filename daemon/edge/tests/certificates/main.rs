//! The certificates from outside: what OpenSSL, rustls and NSS say of them, and real handshakes with them.
//!
//! Invariant: every test that needs a program of the system fails with the package's name where it is missing.

// Marked as tests, so that clippy's rules for tests hold in what they share too.
#[cfg(test)]
mod handshakes;
#[cfg(test)]
mod support;
#[cfg(test)]
mod verifiers;
