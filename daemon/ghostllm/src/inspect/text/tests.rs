use ghostllm_core::admin::{Cause, Condition, FORM, InspectedConfiguration, Listener, Severity, Status};

use super::*;

fn listener(kind: &str, address: &str, state: InspectedListening, why: Option<&str>) -> InspectedListener {
    InspectedListener {
        kind: kind.to_owned(),
        address: address.to_owned(),
        speaks: "HTTP/1.1, HTTP/2".to_owned(),
        state,
        why: why.map(str::to_owned),
    }
}

fn of(name: &str, answers: Option<bool>, fault: Option<&str>) -> InspectedEngine {
    InspectedEngine {
        name: name.to_owned(),
        kind: "ollama".to_owned(),
        at: "http://127.0.0.1:11434".to_owned(),
        configured: name != "ollama",
        answers,
        version: answers.filter(|answers| *answers).map(|_| "0.5.1".to_owned()),
        models: usize::from(answers == Some(true)),
        fault: fault.map(str::to_owned),
    }
}

fn model(id: &str, up: bool) -> ModelInfo {
    ModelInfo { id: id.to_owned(), backend: "box".to_owned(), up, requests: 0, target: None, hidden: false }
}

fn seen() -> Inspected {
    let card = InspectedCard {
        number: 0,
        maker: GpuMaker::Nvidia,
        name: "NVIDIA H100 80GB HBM3".to_owned(),
        uuid: "GPU-1".to_owned(),
        memory: Some(80 << 30),
        free: Some(79 << 30),
        shares_memory: false,
        below_slowdown: Some(33),
        driver: "580.95.05".to_owned(),
        fault: None,
        damage: None,
    };
    let lost = InspectedCard {
        number: 1,
        fault: Some("it has fallen off the bus".to_owned()),
        name: "card 1".to_owned(),
        ..card.clone()
    };
    Inspected {
        version: FORM,
        program: "0.1.0".to_owned(),
        daemon: InspectedDaemon {
            socket: None,
            status: None,
            fault: Some("there is no admin's socket at /run/ghostllm/admin.sock".to_owned()),
        },
        host: InspectedHost {
            name: "box".to_owned(),
            system: Some("Debian GNU/Linux 12 (bookworm)".to_owned()),
            kernel: Some("6.1.0-35-amd64".to_owned()),
            architecture: "x86_64".to_owned(),
            processor: Some("AMD EPYC 9654".to_owned()),
            processors: 16,
            memory: Some(64 << 30),
            memory_available: Some(48 << 30),
            cgroup_memory: Some(8 << 30),
            cgroup_cpu: Some(150),
            uptime_s: Some(200_000),
            addresses: vec!["127.0.0.1".to_owned(), "::1".to_owned(), "2001:db8::5".to_owned()],
            ipv6: true,
        },
        gpus: InspectedGpus { cards: vec![card, lost], missing: None },
        engines: vec![of("ollama", Some(true), None), of("box", Some(false), Some("refused"))],
        models: vec![model("tiny:latest", true), model("big\u{1b}[2J", false)],
        listeners: vec![
            listener("tls", "[::]:11443", InspectedListening::Taken, Some("process 7 (nginx)")),
            listener("plain", "127.0.0.1:11430", InspectedListening::Free, None),
            listener("plain", "192.0.2.1:80", InspectedListening::Free, Some("no interface has it yet")),
        ],
        limits: InspectedLimits {
            open_files: Some(1024),
            watchdog: None,
            threads: 0,
            connections: 4096,
            connections_per_source: 256,
            admin_connections: 16,
            streams: 100,
            body: 32 << 20,
            memory_shed: 80,
            memory_drop: 95,
            backend_first_byte_ms: 300_000,
            drain_grace_ms: 30_000,
        },
        configuration: InspectedConfiguration {
            files: vec!["/etc/ghostllm/ghostllm.toml".to_owned()],
            faults: vec!["/etc/ghostllm/ghostllm.toml:1:1: unknown key \"tsl\"".to_owned()],
        },
    }
}

const WITHOUT: &str = "\
daemon     none answers: there is no admin's socket at /run/ghostllm/admin.sock
           what follows was looked at without one, by ghostllm 0.1.0
host       box, Debian GNU/Linux 12 (bookworm), Linux 6.1.0-35-amd64 x86_64, up
             2 days
           AMD EPYC 9654, 16 processors; 48.0 GiB of 64.0 GiB memory available
           its control group allows 8.0 GiB of memory and 1.50 processors
           IPv6 is on; 127.0.0.1, ::1, 2001:db8::5
gpus       0 NVIDIA H100 80GB HBM3, 79.0 GiB of 80.0 GiB free, 33 °C below
             slowdown, driver 580.95.05
           1 card 1: it has fallen off the bus
engines    ollama at http://127.0.0.1:11434 answers, version 0.5.1, 1 model,
             found
           box (ollama) at http://127.0.0.1:11434 does not answer: refused
models     tiny:latest (box), big\\u{1b}[2J (box, away)
listeners  tls [::]:11443 (HTTP/1.1, HTTP/2): taken by process 7 (nginx)
           plain 127.0.0.1:11430 (HTTP/1.1, HTTP/2): free
           plain 192.0.2.1:80 (HTTP/1.1, HTTP/2): free; no interface has it yet
limits     open files 1024; threads one for each processor, two at the most
           connections 4096, 256 from one source, 16 of admins; 100 streams on
             each
           body 32.0 MiB; first byte of a backend 300s; a stop waits 30s
           of limited memory, from 80 % no new chat, from 95 % no connection
             that rests
config     /etc/ghostllm/ghostllm.toml
           fault: /etc/ghostllm/ghostllm.toml:1:1: unknown key \"tsl\"
";

#[test]
fn a_screen_without_a_daemon() {
    assert_eq!(drawn(&seen()), WITHOUT);
}

#[test]
fn a_daemon_and_what_is_amiss_come_first() {
    let status = Status {
        version: FORM,
        condition: Condition::NoModel,
        causes: vec![Cause {
            code: "no_model".to_owned(),
            severity: Severity::Error,
            what: "no model can answer".to_owned(),
            next: "start Ollama".to_owned(),
        }],
        host: "box".to_owned(),
        program: "0.2.0".to_owned(),
        pid: 7,
        since: "2026-11-29T05:00:00Z".to_owned(),
        uptime_s: 7260,
        listeners: Vec::<Listener>::new(),
        models: 0,
        backends: 1,
        backends_up: 0,
        requests: 2,
        connections: 3,
        keys: 1,
        certificate_expires: Some("2027-02-27T05:00:00Z".to_owned()),
    };
    let daemon = InspectedDaemon { socket: Some("/s".to_owned()), status: Some(status), fault: None };
    let drawn = drawn(&Inspected { daemon, models: Vec::new(), ..seen() });
    let wanted = "\
daemon     no model, version 0.2.0, process 7, since 2026-11-29T05:00:00Z (2 h)
             at /s
           this program is of version 0.1.0
           2 requests, 3 connections, 1 key; certificate until
             2027-02-27T05:00:00Z
           no_model: no model can answer; start Ollama
host ";
    assert!(drawn.starts_with(wanted), "{drawn}");
    assert!(drawn.contains("\nmodels     none\n"), "{drawn}");
}

#[test]
fn no_line_is_wider_than_the_screen_but_for_a_long_word() {
    let mut seen = seen();
    seen.engines = vec![of(&"x".repeat(100), Some(false), Some(&"many words ".repeat(40)))];
    seen.models = (0..40).map(|number| model(&format!("模型-{number}"), true)).collect();
    let drawn = drawn(&seen);
    let wide: Vec<&str> = drawn.lines().filter(|line| line.chars().count() > WIDTH).collect();
    assert!(wide.len() == 1 && wide[0].ends_with("xxx"), "{drawn}");
    assert!(drawn.contains("and 28 more"), "{drawn}");
}

#[test]
fn cards_of_every_maker_are_told_and_a_processor_is_none() {
    let of = |card: InspectedCard, missing: Option<&str>| {
        let gpus = InspectedGpus { cards: vec![card], missing: missing.map(str::to_owned) };
        let drawn = drawn(&Inspected { gpus, ..seen() });
        let (from, to) = (drawn.find("gpus ").unwrap(), drawn.find("engines ").unwrap());
        drawn[from..to].to_owned()
    };
    let radeon = InspectedCard {
        maker: GpuMaker::Amd,
        name: "amdgpu 1002:744c".to_owned(),
        driver: "amdgpu".to_owned(),
        below_slowdown: Some(-1),
        ..seen().gpus.cards[0].clone()
    };
    let line = "gpus       0 amdgpu 1002:744c, 79.0 GiB of 80.0 GiB free, 1 °C above slowdown,\n             driver amdgpu\n";
    assert_eq!(of(radeon.clone(), None), line);
    let fails = "NVIDIA's driver is installed but not loaded";
    assert!(
        of(radeon.clone(), Some(fails)).starts_with(&format!("gpus       {fails}\n           0 amdgpu "))
    );
    let apu = InspectedCard { memory: None, free: None, shares_memory: true, ..radeon.clone() };
    assert!(of(apu.clone(), None).contains("shares the machine's memory"));
    assert!(
        of(InspectedCard { shares_memory: false, ..apu.clone() }, None).contains("its memory is not told")
    );
    let name = "processor (x86_pkg_temp)".to_owned();
    let processor = InspectedCard { maker: GpuMaker::Processor, name, below_slowdown: Some(29), ..apu };
    assert_eq!(
        of(processor, Some("no NVIDIA driver is installed")),
        "gpus       none: no NVIDIA driver is installed\n           processor (x86_pkg_temp), 29 °C below slowdown\n"
    );
}

#[test]
fn an_engine_that_need_not_be_there_was_looked_for() {
    let seen = Inspected { engines: vec![of("ollama", Some(false), Some("refused"))], ..seen() };
    let wanted = "engines    ollama at http://127.0.0.1:11434 was looked for and does not answer:\n             refused\n";
    assert!(drawn(&seen).contains(wanted), "{}", drawn(&seen));
}
