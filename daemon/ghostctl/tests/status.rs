//! `ghostctl` as a person calls it, against servers of a few lines.
//!
//! Knows the program's output and exit codes. Invariant: every server takes a port that the system gives.
#![expect(clippy::unwrap_used, reason = "a test crate: a panic is a failed test")]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Output},
    thread,
};

/// Answers each connection by what `answer` says to its request; an empty answer closes it. Its URL.
fn server(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Ends with the test's process.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let request = head(&mut stream);
            stream.write_all(&answer(&request)).unwrap();
        }
    });
    format!("http://{address}")
}

fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// A daemon whose two answers have these statuses.
fn daemon(healthz: u16, readyz: u16) -> String {
    server(move |request| {
        let status = if request.starts_with("GET /healthz HTTP/1.1\r\n") {
            healthz
        } else if request.starts_with("GET /readyz HTTP/1.1\r\n") {
            readyz
        } else {
            400
        };
        let hosts = request.lines().filter(|line| line.starts_with("Host: 127.0.0.1:")).count();
        let status = if hosts == 1 { status } else { 400 };
        format!("HTTP/1.1 {status} Reason\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into_bytes()
    })
}

fn ghostctl(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ghostctl")).args(arguments).output().unwrap()
}

/// The exit code and the one line on standard output.
fn status(arguments: &[&str]) -> (i32, String) {
    let output = ghostctl(&[&["status"], arguments].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(output.stderr.is_empty());
    (output.status.code().unwrap(), text.trim_end().to_owned())
}

#[test]
fn says_that_all_is_well() {
    let url = daemon(200, 200);
    assert_eq!(status(&["--url", &url]), (0, format!("serving at {url}; a model can answer")));
}

#[test]
fn says_that_no_model_can_answer_and_what_to_do() {
    let url = daemon(200, 503);
    let (code, said) = status(&["--url", &url]);
    assert_eq!(code, 1);
    assert!(said.starts_with(&format!("serving at {url}, but no model can answer: start Ollama")), "{said}");
}

#[test]
fn says_that_nothing_is_there_and_what_to_do() {
    // Bound and closed again: the system gives the port to nobody else for a while.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, said) = status(&["--url", &address.to_string()]);
    assert_eq!(code, 3);
    assert!(said.starts_with(&format!("not reachable at http://{address}: Connection refused")), "{said}");
    assert!(said.contains("systemctl start ghostllm"));
}

#[test]
fn says_what_is_odd() {
    for (url, why) in [
        (daemon(421, 200), "/healthz answers 421"),
        (daemon(200, 404), "/readyz answers 404"),
        (server(|_| b"SSH-2.0-OpenSSH\r\n".to_vec()), "does not speak HTTP"),
        (server(|_| vec![b'x'; 5000]), "does not speak HTTP"),
    ] {
        let (code, said) = status(&["--url", &url]);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(why) && said.contains("log"), "{said}");
    }
}

#[test]
fn a_server_that_closes_or_is_silent_ends_the_wait() {
    let (code, said) = status(&["--url", &server(|_| Vec::new())]);
    assert_eq!(code, 3);
    assert!(said.contains("it closed the connection"), "{said}");

    // The kernel takes the connection; nobody ever accepts it.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (code, said) = status(&["--url", &listener.local_addr().unwrap().to_string(), "--timeout", "1"]);
    assert_eq!(code, 3);
    assert!(said.contains("no answer in time"), "{said}");
}

#[test]
fn tells_programs_the_same() {
    let json = |url: &str| {
        let (code, line) = status(&["--json", "--url", url]);
        (code, serde_json::from_str::<serde_json::Value>(&line).unwrap())
    };
    let url = daemon(200, 200);
    let (code, ready) = json(&url);
    assert_eq!(code, 0);
    let whole = serde_json::json!({
        "version": 1, "url": url, "state": "ready", "serving": true, "ready": true, "why": null, "next": null
    });
    assert_eq!(ready, whole);

    let (code, none) = json(&daemon(200, 503));
    assert_eq!(
        (code, &none["state"], &none["serving"], &none["ready"]),
        (1, &"no_model".into(), &true.into(), &false.into())
    );
    assert!(none["next"].as_str().unwrap().contains("ollama pull"));

    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, gone) = json(&address.to_string());
    assert_eq!((code, &gone["state"], &gone["serving"]), (3, &"not_reachable".into(), &false.into()));
    assert!(gone["why"].as_str().unwrap().contains("refused"));
}

#[test]
fn knows_its_version_and_refuses_wrong_calls() {
    let output = ghostctl(&["--version"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!("ghostctl {}\n", env!("CARGO_PKG_VERSION"))
    );

    for (arguments, said) in [
        (["status", "--url", "https://box:11443"].as_slice(), "plain listener only"),
        (&["status", "--url", "http://box:0"], "a number from 1 to 65535"),
        (&["status", "--jsn"], "--json"),
        (&["status", "--timeout", "0"], "1..=600"),
        (&["stats"], "status"),
        (&[], "Usage"),
    ] {
        let output = ghostctl(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(said), "{arguments:?}: {text}");
        assert!(output.stdout.is_empty());
    }
}
