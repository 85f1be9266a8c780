//! The limits that a backend goes by.
//!
//! Invariant: a backend is given no others, so that two whose limits are equal here behave alike, and one whose limits are not is
//! made anew at a reload. A limit that is missing here would have its default whatever the configuration says.

use std::sync::Arc;

use ghostllm_core::config::Limits;

/// Those, and the defaults of all others.
pub(super) fn own(limits: &Limits) -> Arc<Limits> {
    Arc::new(Limits {
        json_depth: limits.json_depth,
        request_fields: limits.request_fields,
        model_name: limits.model_name,
        stop_texts: limits.stop_texts,
        choices: limits.choices,
        media_parts: limits.media_parts,
        media_bytes: limits.media_bytes,
        backend_line: limits.backend_line,
        backend_connect: limits.backend_connect,
        backend_connect_misses: limits.backend_connect_misses,
        backend_connect_again: limits.backend_connect_again,
        backend_first_byte: limits.backend_first_byte,
        backend_idle: limits.backend_idle,
        backend_answer: limits.backend_answer,
        backend_header_bytes: limits.backend_header_bytes,
        backend_header_count: limits.backend_header_count,
        backend_read_ahead: limits.backend_read_ahead,
        backend_error_bytes: limits.backend_error_bytes,
        backend_error_wait: limits.backend_error_wait,
        backend_end_wait: limits.backend_end_wait,
        backend_surplus: limits.backend_surplus,
        backend_keep_alive: limits.backend_keep_alive,
        backend_connections_kept: limits.backend_connections_kept,
        backend_replay: limits.backend_replay,
        backend_list_bytes: limits.backend_list_bytes,
        backend_list: limits.backend_list,
        ..Limits::default()
    })
}

#[cfg(test)]
mod tests {
    use ghostllm_core::config::{Config, Source};

    use super::*;

    /// Whether a backend sees that this limit is another one.
    fn is_seen(key: &str, values: &[&str]) -> bool {
        let set = |value: &&str| Config::load(&[Source::Set(vec![format!("limits.{key}={value}")])]).ok();
        let read: Vec<_> = values.iter().filter_map(set).map(|config| config.limits).collect();
        assert!(read.len() >= 2, "{key} takes fewer than two of {values:?}");
        read.iter().any(|limits| own(limits) != own(&Limits::default()))
    }

    #[test]
    fn a_backend_sees_its_limits_and_no_others() {
        let values = ["20KiB", "21KiB", "7s", "11s", "17", "19"];
        let example = Config::example();
        let limits = example.split_once("[limits]").and_then(|(_, rest)| rest.split_once("\n[")).unwrap().0;
        let keys = limits.lines().filter_map(|line| line.trim_start_matches(['#', ' ']).split_once(" = "));
        let keys: Vec<&str> = keys.map(|(key, _)| key).filter(|key| !key.contains(' ')).collect();
        let named: Vec<&str> = keys.iter().copied().filter(|key| key.starts_with("backend_")).collect();
        assert!(named.len() >= 19 && keys.len() > named.len() + 20, "{keys:?}");
        for key in named {
            assert!(is_seen(key, &values), "{key}");
        }
        assert!(
            !is_seen("body", &values) && !is_seen("streams", &values) && !is_seen("find_interval", &values)
        );
    }
}
