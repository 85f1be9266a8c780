//! The reference page of the metrics, in Markdown.

use std::fmt::Write as _;

use super::{Definition, Kind, LABELS, TABLE};

const INTRODUCTION: &str = "\
# Metrics

What `GET /metrics` shows, in Prometheus' text format (0.0.4) or, for who asks for it by `Accept`, in OpenMetrics (1.0.0). The plain
port shows it to every program on the box; over TLS it takes a key with the permission `metrics`, as
`ghostctl keys create monitoring --scope metrics` makes it. What is shown may be a second old.

No key, no address and nothing of what is said is in it. What a client makes up becomes no label, so that the number of series has
an end. `packaging/monitoring` has alerts and a dashboard.

";

/// The page: every metric, what each label means, and where histograms have their bounds.
#[must_use]
pub fn page() -> String {
    let mut text = INTRODUCTION.to_owned();
    text.push_str("| Name | Kind | Labels | What it says |\n|---|---|---|---|\n");
    for metric in TABLE {
        let _writing_to_a_string_never_fails = writeln!(
            text,
            "| `{}` | {} | {} | {} |",
            metric.exposed(),
            metric.kind.name(),
            labels(metric),
            metric.words.trim()
        );
    }
    text.push_str("\n## Labels\n\n| Label | What it is |\n|---|---|\n");
    for (label, words) in LABELS {
        let _writing_to_a_string_never_fails = writeln!(text, "| `{label}` | {words} |");
    }
    text.push_str("\n## Bounds of the histograms\n\n| Name | Bounds |\n|---|---|\n");
    for metric in TABLE {
        let Kind::Histogram(bounds) = metric.kind else { continue };
        let bounds: Vec<String> = bounds.iter().map(ToString::to_string).collect();
        let _writing_to_a_string_never_fails =
            writeln!(text, "| `{}` | {} |", metric.exposed(), bounds.join(", "));
    }
    text
}

fn labels(metric: &Definition) -> String {
    metric.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ")
}
