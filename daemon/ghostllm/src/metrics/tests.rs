use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use ghostllm_core::{
    cgroup::Memory,
    chat::Usage,
    metrics::{Kind, TABLE},
};

use super::*;

fn moment() -> Moment {
    let backend = BackendNow { name: "box".to_owned(), up: true, models: 2, requests: 1, resting: 3 };
    Moment {
        ready: true,
        causes: vec![("error", 0), ("warning", 1)],
        connections: vec![(["tls", "HTTP/2"], 4)],
        backends: vec![backend],
        checks: vec![("disk".to_owned(), false)],
        tasks: [("tls".to_owned(), TasksNow { running: 1, failing: 2, restarts: 3 })].into(),
        certificate: [Some(1_792_000_000), Some(1_800_000_000)],
        reloaded: true,
        restart: false,
        panics: 0,
        shed: [("memory", 8), ("descriptors", 9)],
        memory: Some(Memory { limit: 1 << 27, used: 1 << 26 }),
        log_lost: 5,
        events_lost: 6,
        since: 1_700_000_000.5,
        uptime: 7.25,
    }
}

fn chat<'a>(model: Option<&'a str>, ended: &'static str) -> Ended<'a> {
    Ended {
        route: Some("/v1/chat/completions"),
        http: "HTTP/2",
        status: Some(200),
        ended,
        took: Duration::from_secs(3),
        chat: Some(Chat {
            operation: Operation::Chat,
            model,
            backend: "box",
            provider: "ollama",
            first: Some(Duration::from_millis(50)),
            rest: Some(Duration::from_secs(2)),
            usage: Some(Usage::counted(10, 21)),
        }),
    }
}

fn told(metrics: &Metrics, ended: &Ended<'_>) {
    metrics.begun(Version::HTTP_2);
    metrics.ended(Version::HTTP_2, ended);
}

/// Each family in the text, with the names of its labels.
fn families(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut families: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, labels) = line.split_once('{').unwrap_or_else(|| (line.split_once(' ').unwrap().0, ""));
        // No value here has a comma, a brace or a quote in it.
        let labels = labels.split_once('}').map_or("", |(labels, _)| labels);
        let names =
            labels.split(',').filter_map(|label| label.split_once('=')).map(|(name, _)| name.to_owned());
        families.entry(name.to_owned()).or_default().extend(names);
    }
    families
}

#[test]
fn what_is_shown_is_what_the_table_says() {
    let metrics = Metrics::default();
    told(&metrics, &chat(Some("tiny"), "completed"));
    let text = metrics.text(Format::Prometheus, moment()).unwrap();
    let shown = families(&text);
    let mut expected = BTreeMap::new();
    for metric in TABLE {
        for sample in metric.samples() {
            let mut labels: BTreeSet<String> = metric.labels.iter().map(|&label| label.to_owned()).collect();
            if sample.ends_with("_bucket") {
                labels.insert("le".to_owned());
            }
            expected.insert(sample, labels);
        }
        let (name, kind) = (metric.exposed(), metric.kind);
        let kind = if kind == Kind::Info { "gauge" } else { kind.name() };
        assert_eq!(text.matches(&format!("# TYPE {name} {kind}\n")).count(), 1, "{name}");
        assert!(text.contains(&format!("# HELP {name} {}.\n", metric.words.trim())), "{name}");
    }
    assert_eq!(shown, expected);
}

#[test]
fn a_chat_is_counted_where_it_belongs() {
    let metrics = Metrics::default();
    metrics.begun(Version::HTTP_3);
    told(&metrics, &chat(Some("tiny"), "completed"));
    told(&metrics, &chat(Some("tiny"), "failed"));
    let text = metrics.text(Format::Prometheus, moment()).unwrap();
    let labels =
        "gen_ai_operation_name=\"chat\",gen_ai_provider_name=\"ollama\",gen_ai_request_model=\"tiny\"";
    for line in [
        "ghostllm_requests_total{route=\"/v1/chat/completions\",http=\"HTTP/2\",status=\"200\",model=\"tiny\",backend=\"box\"} 2",
        "ghostllm_requests_ended_total{route=\"/v1/chat/completions\",ended=\"failed\"} 1",
        "ghostllm_backend_failures_total{backend=\"box\"} 1",
        "ghostllm_streams{http=\"HTTP/3\"} 1.0",
        "ghostllm_streams{http=\"HTTP/2\"} 0.0",
        "ghostllm_log_records_lost_total 5",
        "ghostllm_config_restart_needed 0.0",
        "ghostllm_health_check{name=\"disk\"} 0.0",
        "ghostllm_tasks_running{task=\"tls\"} 1.0",
        "ghostllm_tasks_failing{task=\"tls\"} 2.0",
        "ghostllm_task_restarts_total{task=\"tls\"} 3",
        &format!("gen_ai_server_time_per_output_token_seconds_bucket{{{labels},le=\"0.1\"}} 2"),
        &format!("gen_ai_server_time_per_output_token_seconds_bucket{{{labels},le=\"0.075\"}} 0"),
        &format!("gen_ai_server_time_to_first_token_seconds_sum{{{labels}}} 0.1"),
        &format!("gen_ai_client_token_usage_sum{{{labels},gen_ai_token_type=\"output\"}} 42.0"),
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
    }
}

#[test]
fn embeddings_are_an_operation_of_their_own_without_output() {
    let metrics = Metrics::default();
    let mut ended = chat(Some("tiny-embed"), "completed");
    ended.route = Some("/v1/embeddings");
    let usage = Some(Usage::counted(7, 0));
    ended.chat = ended.chat.map(|chat| Chat {
        operation: Operation::Embeddings,
        first: None,
        rest: None,
        usage,
        ..chat
    });
    told(&metrics, &ended);
    let text = metrics.text(Format::Prometheus, moment()).unwrap();
    let labels = "gen_ai_operation_name=\"embeddings\",gen_ai_provider_name=\"ollama\",gen_ai_request_model=\"tiny-embed\"";
    for line in [
        &format!("gen_ai_client_token_usage_sum{{{labels},gen_ai_token_type=\"input\"}} 7.0"),
        &format!("gen_ai_server_request_duration_seconds_sum{{{labels}}} 3.0"),
        "ghostllm_requests_ended_total{route=\"/v1/embeddings\",ended=\"completed\"} 1",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
    }
    assert!(
        !text.contains("gen_ai_token_type=\"output\"") && !text.contains("time_to_first_token_seconds_sum{")
    );
}

#[test]
fn before_the_first_request_counters_are_0() {
    let text = Metrics::default().text(Format::Prometheus, moment()).unwrap();
    for line in [
        "ghostllm_requests_ended_total{route=\"/v1/chat/completions\",ended=\"failed\"} 0",
        "ghostllm_requests_ended_total{route=\"unmatched\",ended=\"refused\"} 0",
        "ghostllm_backend_failures_total{backend=\"box\"} 0",
        "ghostllm_request_panics_total 0",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
    }
}

#[test]
fn names_without_end_are_one_series() {
    let metrics = Metrics::default();
    for number in 0..1000 {
        told(&metrics, &chat(Some(&format!("model-{number}")), "completed"));
        told(&metrics, &chat(None, "completed"));
    }
    let text = metrics.text(Format::Prometheus, moment()).unwrap();
    let series = text.lines().filter(|line| line.starts_with("ghostllm_requests_total{"));
    assert_eq!(series.count(), 101);
    assert!(text.contains("model=\"other\",backend=\"box\"} 1900\n"), "{text}");
}

#[test]
fn what_a_backend_calls_its_models_stays_one_label() {
    let metrics = Metrics::default();
    told(&metrics, &chat(Some("a\"} 1\nghostllm_ready 0 \\"), "completed"));
    let text = metrics.text(Format::OpenMetrics, moment()).unwrap();
    assert!(text.contains("model=\"a\\\"} 1\\nghostllm_ready 0 \\\\\",backend"), "{text}");
    assert!(text.ends_with("# EOF\n") && text.contains("# UNIT process_cpu_seconds seconds\n"), "{text}");
}
