//! The Ollama double against every recording that lies in `tests/recordings/ollama`.
//!
//! Knows which recordings need a state (a loaded model) and which are played from the file. Invariant: a recording that is
//! added is compared without further ado.

use ghostllm_tests::{
    double::Double,
    ollama::Ollama,
    recording::{all, load, masked},
    script::Sin,
};

use super::exchange;

/// Faults of the real server that the double shows only when told to; see `plays_a_recorded_exchange`.
const FAULTS: [&str; 2] = ["fault-queue-full", "fault-runner-killed"];

#[tokio::test]
async fn says_what_was_recorded() {
    let mut different = Vec::new();
    let recordings = all("ollama");
    assert!(recordings.len() > 40, "only {} recordings", recordings.len());
    for recording in recordings.iter().filter(|recording| !FAULTS.contains(&recording.name.as_str())) {
        let double = Double::start(Ollama::default()).await;
        if recording.name == "008-ps-loaded" {
            let _ = exchange(double.address(), &load("ollama", "007-chat-first-load").request).await;
        }
        let (response, _) = exchange(double.address(), &recording.request).await;
        let (ours, theirs) = (masked(&response), masked(&recording.response));
        if ours != theirs {
            different.push(format!("== {}\n-- double\n{ours}\n-- recorded\n{theirs}", recording.name));
        }
    }
    assert!(different.is_empty(), "{} differ:\n{}", different.len(), different.join("\n"));
}

#[tokio::test]
async fn plays_a_recorded_exchange_byte_for_byte() {
    for name in FAULTS {
        let recording = load("ollama", name);
        let double = Double::start(Ollama::default()).await;
        double.misbehave("tiny", Sin::Replay(recording.response.clone()));
        let (response, _) = exchange(double.address(), &recording.request).await;
        assert_eq!(response, recording.response, "{name}");
    }
}

#[tokio::test]
async fn answers_any_prompt_and_always_alike() {
    let double = Double::start(Ollama::default()).await;
    let mut answers = Vec::new();
    for _ in 0..2 {
        let request = super::chat("/api/chat", "tiny", "Echo: <b>naïve & 😀</b>", false, true);
        answers.push(masked(&exchange(double.address(), &request).await.0));
    }
    assert_eq!(answers[0], answers[1]);
    assert!(
        answers[0].contains(r#""content":"\u003cb\u003enaïve \u0026 😀\u003c/b\u003e""#),
        "{}",
        answers[0]
    );
}
