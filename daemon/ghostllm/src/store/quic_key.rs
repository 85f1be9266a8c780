//! The secret with which the next daemon ends the HTTP/3 connections of this one.
//!
//! Knows its file. Refuses to know what is derived from it. Invariant: a start never fails for it: whoever has lost it only leaves old
//! clients to their patience, some seconds or a minute of it.

use std::io;

use aws_lc_rs::rand;

use super::{StateDir, StateError};

/// Its file: 64 hexadecimal digits and a line's end.
const NAME: &str = "quic-key";
/// Bytes of the secret.
const BYTES: usize = 32;

/// Reads the secret; makes a new one where there is none, or none that is ours alone. Blocks.
///
/// # Errors
/// The operating system gives no random bytes.
pub(crate) fn open(state: &StateDir) -> io::Result<[u8; BYTES]> {
    match state.read(NAME).map(|file| file.map(|text| parsed(&text))) {
        Ok(Some(Some(secret))) => return Ok(secret),
        Ok(None) => {}
        Ok(Some(None)) => told(state, &"it is damaged"),
        Err(error) => told(state, &error),
    }
    let mut secret = [0; BYTES];
    rand::fill(&mut secret)
        .map_err(|_unspecified| io::Error::other("the operating system gave no random bytes"))?;
    if let Err(error) = written(state, &secret) {
        tracing::warn!(
            "{error}: HTTP/3 clients of this run will not hear of its end from the next one, and wait for it"
        );
    }
    Ok(secret)
}

fn told(state: &StateDir, why: &dyn std::fmt::Display) {
    let path = state.path().join(NAME);
    tracing::info!(
        "{} is made anew ({why}): old HTTP/3 clients notice the restart a little later",
        path.display()
    );
}

fn parsed(text: &[u8]) -> Option<[u8; BYTES]> {
    let digits = text.strip_suffix(b"\n")?;
    if digits.len() != 2 * BYTES || !digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut secret = [0; BYTES];
    for (byte, pair) in secret.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(secret)
}

fn written(state: &StateDir, secret: &[u8; BYTES]) -> Result<(), StateError> {
    let digits: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    state.write_private(NAME, format!("{digits}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn it_is_kept_and_made_anew_where_it_is_not_ours_alone() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(&folder.path().join("state")).unwrap();
        let path = state.file(NAME).unwrap();
        let first = open(&state).unwrap();
        assert_ne!(first, [0; BYTES]);
        assert_eq!(open(&state).unwrap(), first);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        // What others could have read.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let second = open(&state).unwrap();
        assert_ne!(second, first);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(open(&state).unwrap(), second);
        for damaged in [String::new(), "x".repeat(64), "ab".repeat(31), format!("{}\n", "A".repeat(64))] {
            fs::write(&path, &damaged).unwrap();
            let anew = open(&state).unwrap();
            assert_ne!(anew, second);
            assert_eq!(open(&state).unwrap(), anew, "{damaged:?}");
        }
    }
}
