//! `ghostctl doctor` on a system: an Ollama that everybody reaches is offered a drop-in, and who has a port of the daemon's is named.

use anyhow::{Context, Result, ensure};
use ghostllm_tests::nspawn::Container;
use serde_json::Value;

use crate::{VERSIONS, check_serves};

/// Listens where `OLLAMA_HOST` says, as Ollama does, and says nothing. A bare Debian has perl.
const LISTENS: &str = "use Socket; my ($host, $port) = split /:/, $ENV{OLLAMA_HOST}; socket(S, PF_INET, SOCK_STREAM, 0) or die; \
                       setsockopt(S, SOL_SOCKET, SO_REUSEADDR, pack('l', 1)) or die; \
                       bind(S, sockaddr_in($port || 11434, inet_aton($host))) or die $!; listen(S, 5) or die; exit if fork; \
                       while (accept(C, S)) { close C }\n";
const DROP_IN: &str = "/etc/systemd/system/ollama.service.d/ghostllm.conf";

/// A service that listens there once it is started.
async fn listening(container: &Container, unit: &str, at: &str) -> Result<()> {
    container.write("/usr/local/lib/listens.pl", LISTENS)?;
    let text = format!(
        "[Service]\nType=forking\nEnvironment=OLLAMA_HOST={at}\nExecStart=/usr/bin/perl /usr/local/lib/listens.pl\n"
    );
    container.write(&format!("/etc/systemd/system/{unit}"), &text)?;
    container.systemctl("daemon-reload").await?;
    container.systemctl(&format!("start {unit}")).await?;
    Ok(())
}

/// What the doctor says when it is called so: its exit code and its words.
async fn doctor(container: &Container, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let ran = container.run(&[&["ghostctl", "doctor"], arguments].concat()).await?;
    let said = String::from_utf8([ran.stdout, ran.stderr].concat())?;
    Ok((ran.status.code(), said))
}

/// Its check of this name, once it says something other than, or just, that all is well: services take a moment to listen.
async fn until(container: &Container, id: &str, well: bool) -> Result<Value> {
    let begun = std::time::Instant::now();
    loop {
        let ran = container.run(&["ghostctl", "doctor", "--json"]).await?;
        let report: Value = serde_json::from_slice(&ran.stdout)?;
        let checks = report.get("checks").and_then(Value::as_array).context("checks")?;
        let check = checks.iter().find(|check| check["id"] == id).context("no such check")?;
        if (check["result"] == "ok") == well {
            return Ok(check.clone());
        }
        ensure!(begun.elapsed().as_secs() < 20, "{check}");
    }
}

#[tokio::test]
async fn an_ollama_that_everybody_reaches_is_bound_to_the_box_after_a_yes() -> Result<()> {
    let container = Container::started().await?;
    listening(&container, "ollama.service", "0.0.0.0").await?;
    let check = until(&container, "ollama_exposed", false).await?;
    ensure!(check["fix"].as_str().is_some_and(|fix| fix.contains("sudo ghostctl doctor --fix")), "{check}");
    let (code, said) = doctor(&container, &["--fix"]).await?;
    ensure!(
        code == Some(2) && said.contains("OLLAMA_NO_CLOUD=1") && said.contains("--yes"),
        "{code:?} {said}"
    );
    ensure!(!container.path(DROP_IN).exists(), "it was written unasked");
    let (_, said) = doctor(&container, &["--fix", "--yes"]).await?;
    ensure!(said.contains(&format!("did write {DROP_IN}; systemctl daemon-reload")), "{said}");
    let given = container.systemctl("show --property=Environment --value ollama.service").await?;
    for variable in ["OLLAMA_HOST=127.0.0.1:11434", "OLLAMA_NO_CLOUD=1"] {
        ensure!(given.split_whitespace().any(|word| word == variable), "{variable}: {given}");
    }
    // It has waited until Ollama listened again.
    let report: Value =
        serde_json::from_slice(&container.run(&["ghostctl", "doctor", "--json"]).await?.stdout)?;
    for id in ["ollama", "ollama_exposed", "ollama_cloud"] {
        let checks = report["checks"].as_array().context("checks")?;
        ensure!(checks.iter().any(|check| check["id"] == id && check["result"] == "ok"), "{id}: {report}");
    }
    let process = container.systemctl("show --property=MainPID --value ollama.service").await?;
    let (_, said) = doctor(&container, &["--fix", "--yes"]).await?;
    let after = container.systemctl("show --property=MainPID --value ollama.service").await?;
    ensure!(process == after && !said.contains(DROP_IN), "it was done twice: {said}");
    container.end().await
}

/// Backends that are configured there go on to find it.
#[tokio::test]
async fn an_ollama_that_is_bound_to_another_port_of_the_box_keeps_it() -> Result<()> {
    let container = Container::started().await?;
    listening(&container, "ollama.service", "127.0.0.1:12345").await?;
    let check = until(&container, "ollama_cloud", false).await?;
    ensure!(check["fix"].as_str().is_some_and(|fix| fix.contains("sudo ghostctl doctor --fix")), "{check}");
    let (_, said) = doctor(&container, &["--fix", "--yes"]).await?;
    ensure!(said.contains(&format!("did write {DROP_IN}; systemctl daemon-reload")), "{said}");
    let given = container.systemctl("show --property=Environment --value ollama.service").await?;
    let given: Vec<_> = given.split_whitespace().collect();
    ensure!(given == ["OLLAMA_HOST=127.0.0.1:12345", "OLLAMA_NO_CLOUD=1"], "{given:?}");
    until(&container, "ollama_cloud", true).await?;
    container.end().await
}

#[tokio::test]
async fn the_service_that_has_the_tls_port_is_named_by_the_doctor_and_the_journal() -> Result<()> {
    let container = Container::boot().await?;
    listening(&container, "squatter.service", "0.0.0.0:11443").await?;
    let (succeeded, _) = container.tried("start ghostllm").await?;
    ensure!(!succeeded, "it has started beside the other: {}", container.journal().await?);
    let check = until(&container, "sockets", false).await?;
    let what = check["what"].as_str().context("what")?;
    println!("{what}");
    ensure!(
        what.contains("ghostllm-tls.socket has failed")
            && what.contains("squatter.service) has the TCP port 11443"),
        "{check}"
    );
    let check = until(&container, "ports", false).await?;
    let fix = check["fix"].as_str().context("fix")?;
    ensure!(fix.contains("sudo systemctl disable --now squatter.service"), "{check}");
    let journal = container.journal().await?;
    ensure!(journal.contains("is taken by") && journal.contains("ghostctl doctor"), "{journal}");
    // As it is told.
    container.systemctl("disable --now squatter.service").await?;
    container.systemctl("stop ghostllm*").await?;
    container.systemctl("start ghostllm").await?;
    check_serves(&container, &VERSIONS).await?;
    until(&container, "sockets", true).await?;
    until(&container, "ports", true).await?;
    // What systemd holds for the daemon is nobody else's, also while this does not run.
    container.systemctl("stop ghostllm").await?;
    until(&container, "ports", true).await?;
    container.end().await
}
