use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use ghostllm_core::{
    admission::{Counts, Orders},
    cgroup::Memory,
    chat::Usage,
    config::GovernorMode,
    heat::{self, Bounds, ByClass, Governor, Judge, Outlook, Policy, Prediction},
    metrics::{Kind, TABLE},
};
use ghostllm_gpu::{
    Absent, Clocks, Identity, Maker, Power, Reason, Sample, Seen, Sensor, Throttles, Utilisation, Who,
};

use super::*;
use crate::{
    gate::Refused,
    tasks::heat::{Card, Snapshot},
};

fn moment() -> Moment {
    let backend = BackendNow { name: "box".to_owned(), up: true, models: 2, requests: 1, resting: 3 };
    Moment {
        ready: true,
        causes: vec![("error", 0), ("warning", 1)],
        connections: vec![(["tls", "HTTP/2"], 4)],
        backends: vec![backend],
        cards: cards(),
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

/// A card that tells all, for whose sake less is allowed.
fn cards() -> CardsNow {
    let mut sample = Sample::missing(Duration::from_secs(1), Absent::Unsupported);
    for sensor in [&mut sample.gpu, &mut sample.memory_heat, &mut sample.hotspot] {
        *sensor = Sensor { celsius: Ok(88.0), to_soft: Ok(3.0), to_slowdown: Ok(9.0), to_shutdown: Ok(14.0) };
    }
    sample.power = Power { watts: Ok(140.5), limit: Ok(150.0), millijoules: Ok(7_500) };
    sample.clocks = Clocks { core: Ok(1500), core_most: Ok(2000), memory: Ok(7000), memory_most: Ok(7001) };
    sample.throttles = Ok(Throttles::default().with(Reason::SoftHeat));
    sample.utilisation = Utilisation { core: Ok(97), memory: Ok(50) };
    sample.memory = heat::Memory { total: Ok(16 << 30), used: Ok(12 << 30) };
    sample.fan = Ok(110);
    sample.faults = heat::Faults {
        corrected: Ok(5),
        uncorrected: Ok(1),
        rows_remapped: Ok(2),
        rows_pending: Ok(true),
        rows_failed: Ok(false),
        pages_retired: Ok(3),
        xid: Ok(Some(heat::Xid { number: 43, at: Duration::from_secs(1) })),
    };
    sample.link = heat::Link { generation: Ok(3), generation_most: Ok(4), lanes: Ok(8), lanes_most: Ok(16) };
    sample.tenants = heat::Tenants { processes: Ok(2), instances: Ok(7) };
    let identity = Identity {
        maker: Maker::Nvidia,
        name: "NVIDIA Fake".to_owned(),
        uuid: "GPU-1".to_owned(),
        bus: String::new(),
        driver: "nvidia 580".to_owned(),
    };
    let (now, identity) = (Duration::from_secs(2), Some(Arc::new(identity)));
    let seen = Seen { index: 3, identity, sample, who: Who::default(), number: 1, late: None };
    let verdict = Judge::new(Bounds::default()).look(now, Some(&sample));
    let prediction = Prediction { slower: Outlook::Reached, cooled: Outlook::Never };
    let most = ByClass { interactive: 4, background: 2 };
    let moment = heat::Moment { now, verdict: &verdict, prediction, running: most, queued: most };
    let decision = Governor::new(Policy::new(most)).decide(&moment);
    let limits = ByClass { interactive: Some(4), background: Some(0) };
    let counts = Counts { running: most, waiting: ByClass { interactive: 0, background: 7 } };
    let snapshot = Snapshot {
        decision: Some((0, decision)),
        cards: vec![Card { seen, verdict, prediction }],
        ..Snapshot::new(GovernorMode::On)
    };
    CardsNow {
        seen: Arc::new(snapshot),
        orders: Orders { limits, gate: heat::Gate::Hold, queue: 9, hot: ByClass::default() },
        counts,
        refused: Refused { hot: 1, full: 2 },
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
        "ghostllm_gpu_info{gpu=\"3\",uuid=\"GPU-1\",gpu_name=\"NVIDIA Fake\",driver=\"nvidia 580\"} 1",
        "ghostllm_gpu_temperature_celsius{gpu=\"3\",sensor=\"hotspot\"} 88.0",
        "ghostllm_gpu_margin_celsius{gpu=\"3\",to=\"slower\"} 3.0",
        "ghostllm_gpu_energy_joules_total{gpu=\"3\"} 7.5",
        "ghostllm_gpu_clock_hertz{gpu=\"3\",part=\"core\"} 1500000000.0",
        "ghostllm_gpu_utilization_ratio{gpu=\"3\",part=\"core\"} 0.97",
        "ghostllm_gpu_fan_speed_ratio{gpu=\"3\"} 1.1",
        "ghostllm_gpu_ecc_errors_total{gpu=\"3\",kind=\"uncorrected\"} 1.0",
        "ghostllm_gpu_memory_rows_pending{gpu=\"3\"} 1.0",
        "ghostllm_gpu_memory_rows_failed{gpu=\"3\"} 0.0",
        "ghostllm_gpu_xid_last{gpu=\"3\"} 43.0",
        "ghostllm_gpu_pcie_lanes{gpu=\"3\",of=\"most\"} 16.0",
        "ghostllm_gpu_mig_instances{gpu=\"3\"} 7.0",
        "ghostllm_gpu_throttled{gpu=\"3\",reason=\"soft_heat\"} 1.0",
        "ghostllm_gpu_throttled{gpu=\"3\",reason=\"hard_heat\"} 0.0",
        "ghostllm_gpu_state{gpu=\"3\",state=\"throttled_by_heat\"} 1.0",
        "ghostllm_gpu_governor_cause{cause=\"heat\"} 1.0",
        "ghostllm_gpu_gate_limit{class=\"background\"} 0.0",
        "ghostllm_gpu_gate_waiting{class=\"background\"} 7.0",
        "ghostllm_gpu_gate_state{gate=\"hold\"} 1.0",
        "ghostllm_gpu_gate_refused_total{reason=\"queue_full\"} 2",
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
fn what_a_card_said_before_it_fell_silent_is_not_shown_as_now() {
    for state in [heat::State::Stale, heat::State::Lost] {
        let mut moment = moment();
        for card in &mut Arc::make_mut(&mut moment.cards.seen).cards {
            (card.verdict.now, card.verdict.state) = (state, state);
        }
        let text = Metrics::default().text(Format::Prometheus, moment).unwrap();
        let of_card = text.lines().filter(|line| line.contains("{gpu=\"3\""));
        let shown: BTreeSet<&str> = of_card.filter_map(|line| line.split('{').next()).collect();
        let expected = [
            "ghostllm_gpu_age_seconds",
            "ghostllm_gpu_ecc_errors_total",
            "ghostllm_gpu_energy_joules_total",
            "ghostllm_gpu_info",
            "ghostllm_gpu_memory_pages_retired",
            "ghostllm_gpu_memory_rows_failed",
            "ghostllm_gpu_memory_rows_pending",
            "ghostllm_gpu_memory_rows_remapped",
            "ghostllm_gpu_state",
            "ghostllm_gpu_xid_last",
        ];
        assert_eq!(shown, BTreeSet::from(expected), "{text}");
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
