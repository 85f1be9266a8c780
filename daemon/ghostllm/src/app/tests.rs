//! The edge's table of limits and the configuration's say the same.

use ghostllm_core::config::{Config, Source};
use ghostllm_edge::Limits;

use super::*;

/// The fields of the edge's table, each with its value.
fn fields(limits: &Limits) -> Vec<(String, String)> {
    let text = format!("{limits:#?}");
    let pairs = text.lines().filter_map(|line| line.trim().trim_end_matches(',').split_once(": "));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn each_limit_of_the_edge_is_a_setting_of_its_name_and_default() {
    let default = fields(&Limits::default());
    assert!(default.len() > 30, "{default:?}");
    assert_eq!(fields(&edge_limits(&Config::default().limits)), default);
    for (name, _) in &default {
        // What is read of a refused body is bounded as a body is.
        let setting = if name == "refused_bytes" { "body" } else { name };
        let set = |value: &str| Config::load(&[Source::Set(vec![format!("limits.{setting}={value}")])]).ok();
        let config =
            set("12345").or_else(|| set("8s")).unwrap_or_else(|| panic!("limits.{name} is no setting"));
        let now = fields(&edge_limits(&config.limits));
        let changed: Vec<_> = now.iter().zip(&default).filter(|(now, before)| now != before).collect();
        assert!(matches!(changed.as_slice(), [((changed, _), _)] if changed == name), "{name}: {changed:?}");
    }
}
