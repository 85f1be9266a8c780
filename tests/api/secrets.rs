//! Nothing that a person wrote, no answer and no key reaches the log, whoever repeats it.

use anyhow::{Result, ensure};
use ghostllm_tests::{
    canary::{ENGINE_KEY as KEY, PROMPT as CANARY},
    client::{Caller, Family, Request, Version},
    daemon::{Daemon, Setup},
    double::Double,
    ollama::Ollama,
    openai::{OpenAi, Style},
    script::Sin,
};
use serde_json::{Value, json};

/// Fields of a type that is wrong, each with the canary in it.
fn wrong() -> Vec<Value> {
    let user = json!([{"role": "user", "content": CANARY}]);
    let mut bodies = vec![
        json!({"model": "tiny", "messages": CANARY}),
        json!({"model": "tiny", "messages": [{"role": CANARY, "content": "x"}]}),
        json!({"model": "tiny", "messages": [{"role": "user", "content": {"text": CANARY}}]}),
        // A model's name is no secret, and is logged where it is asked for.
        json!({"model": "nobodys", "messages": user}),
    ];
    for field in ["temperature", "max_tokens", "stop", "tools", "seed", "stream_options", "tool_choice"] {
        let mut body = json!({"model": "tiny", "messages": user});
        body[field] = json!({"x": CANARY});
        bodies.push(body);
    }
    bodies
}

/// What an engine may say, as long as it repeats something.
fn sins() -> Vec<Sin> {
    let echo = format!("{{\"error\":\"invalid type: string \\\"{CANARY}\\\" and {KEY}\"}}");
    vec![
        Sin::Status("400 Bad Request", echo.clone()),
        Sin::Status("401 Unauthorized", echo.clone()),
        Sin::Status("500 Internal Server Error", echo),
        Sin::ErrorAfter(2, format!("{CANARY} {KEY}")),
        Sin::InvalidUtf8After(2),
        Sin::ErrorAfter(0, format!("{CANARY} {KEY}")),
    ]
}

async fn provoked(double: &Double, daemon: &Daemon) -> Result<()> {
    let caller = Caller::new(daemon, Version::H1, Family::V4).await?;
    for body in wrong() {
        caller.send(&Request::post("/v1/chat/completions", &body)).await?;
    }
    for sin in sins() {
        double.misbehave("tiny", sin);
        for stream in [false, true] {
            caller.send(&Request::chat("tiny", &format!("Echo: {CANARY}"), stream)).await?;
        }
    }
    double.behave("tiny");
    let answer = caller.send(&Request::chat("tiny", &format!("Echo: {CANARY}"), false)).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    Ok(())
}

fn check(daemon: &Daemon) -> Result<()> {
    let log = daemon.stderr();
    ensure!(
        log.contains("a chat failed") && log.contains("a chat was refused"),
        "nothing was provoked:\n{log}"
    );
    let told: Vec<&str> = log.lines().filter(|line| line.contains("CANARY")).collect();
    ensure!(told.is_empty(), "the log repeats:\n{}", told.join("\n"));
    let key = daemon.key.clone().unwrap_or_default();
    ensure!(!key.is_empty() && !log.contains(&key), "the log holds the key");
    Ok(())
}

#[tokio::test]
async fn stay_out_of_the_log_before_ollamas_wire() -> Result<()> {
    let double = Double::start(Ollama::default()).await;
    let setup = Setup::backend("ollama", &double.url()).with_environment("GHOSTLLM_LOG__LEVEL", "trace");
    let daemon = Daemon::start(&setup).await?;
    provoked(&double, &daemon).await?;
    check(&daemon)?;
    daemon.stop().await
}

#[tokio::test]
async fn stay_out_of_the_log_before_openais_wire() -> Result<()> {
    let double = Double::start(OpenAi::new(Style::Llama, "tiny")).await;
    let setup = Setup::backend("openai", &double.url()).with_environment("GHOSTLLM_LOG__LEVEL", "trace");
    let daemon = Daemon::start(&setup).await?;
    provoked(&double, &daemon).await?;
    check(&daemon)?;
    daemon.stop().await
}
