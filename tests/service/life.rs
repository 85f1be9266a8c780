//! A start, a reload of each kind, and a stop.

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
};

use anyhow::{Context, Result, ensure};
use ghostllm_tests::nspawn::Container;

use crate::{VERSIONS, check_serves};

const ADMIN: &str = "/run/ghostllm/admin.sock";
const CONFIG: &str = "/etc/ghostllm/ghostllm.toml";

#[tokio::test]
async fn it_starts_and_says_so_and_a_client_starts_it_again() -> Result<()> {
    let container = Container::started().await?;
    ensure!(container.property("ActiveState").await? == "active", "it is ready");
    ensure!(
        container.property("StatusText").await? == "Serving at [::]:11443",
        "{}",
        container.property("StatusText").await?
    );
    check_serves(&container, &VERSIONS).await?;
    let journal = container.journal().await?;
    ensure!(journal.matches("which was handed down, is served at").count() == 4, "{journal}");
    ensure!(!journal.contains("is not used"), "{journal}");
    let admin = fs::metadata(container.path(ADMIN))?;
    ensure!(
        admin.file_type().is_socket() && admin.mode() & 0o7777 == 0o660 && admin.uid() == 0,
        "{:o}",
        admin.mode()
    );
    let group = container.run(&["getent", "group", "ghostllm-admin"]).await?;
    let group = String::from_utf8(group.stdout)?;
    let number = group.split(':').nth(2).with_context(|| format!("there is no such group: {group}"))?;
    ensure!(admin.gid() == number.parse::<u32>()?, "its group is {} and not {number}", admin.gid());
    let status = container.run(&["ghostctl", "status"]).await?;
    ensure!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    // Its ports are still there, but for the admin's.
    container.systemctl("stop ghostllm").await?;
    ensure!(container.property("ActiveState").await? == "inactive", "it goes on");
    ensure!(!container.path(ADMIN).exists(), "the admin's socket is still there");
    for version in VERSIONS {
        container.systemctl("stop ghostllm").await?;
        check_serves(&container, &[version]).await?;
        container.until("ActiveState", |state| state == "active").await?;
    }
    container.end().await
}

#[tokio::test]
async fn a_reload_waits_and_fails_where_the_configuration_is_wrong() -> Result<()> {
    let container = Container::started().await?;
    let process = container.property("MainPID").await?;
    container.write(CONFIG, "[log]\nlevel = \"debug\"\n")?;
    container.systemctl("reload ghostllm").await?;
    ensure!(container.journal().await?.contains("log.level"), "it is not in use when the reload has ended");
    container.write(CONFIG, "[log]\nlevle = \"debug\"\n")?;
    let (succeeded, _) = container.tried("reload ghostllm").await?;
    ensure!(!succeeded, "a wrong configuration is reloaded");
    let status = container.until("StatusText", |status| status.contains("is not in use")).await?;
    ensure!(status.contains("levle"), "{status}");
    ensure!(container.property("ActiveState").await? == "active", "it has ended");
    check_serves(&container, &VERSIONS).await?;
    // By its signal as well, which nobody hears the end of.
    container.write(CONFIG, "[log]\nlevel = \"info\"\n")?;
    container.systemctl("kill --signal=HUP --kill-who=main ghostllm").await?;
    container.until("StatusText", |status| status == "Serving at [::]:11443").await?;
    ensure!(container.property("ActiveState").await? == "active", "it has ended");
    ensure!(container.property("MainPID").await? == process, "it was started anew");
    container.end().await
}

#[tokio::test]
async fn a_secret_comes_by_a_credential() -> Result<()> {
    let container = Container::boot().await?;
    container.write(
        CONFIG,
        "[[backends]]\nname = \"far\"\nkind = \"openai\"\nurl = \"http://127.0.0.1:1\"\nkey_file = \"far-key\"\n",
    )?;
    let (succeeded, _) = container.tried("start ghostllm").await?;
    ensure!(!succeeded, "it starts without its secret");
    let journal = container.journal().await?;
    ensure!(journal.contains("LoadCredential="), "{journal}");
    container.write("/etc/ghostllm/secrets/far-key", "sk-CANARY-9a77\n")?;
    container
        .drop_in("ghostllm.service", "[Service]\nLoadCredential=far-key:/etc/ghostllm/secrets/far-key\n")
        .await?;
    container.systemctl("restart ghostllm").await?;
    check_serves(&container, &VERSIONS).await?;
    ensure!(!container.journal().await?.contains("CANARY"), "the secret is in the journal");
    container.end().await
}

#[tokio::test]
async fn what_protect_home_hides_is_no_disk_and_a_backend_that_is_away_stands_in_the_status() -> Result<()> {
    let container = Container::boot().await?;
    container.write(
        CONFIG,
        "[[health]]\nname = \"homes\"\ndisk = \"/home\"\nfree = \"1KiB\"\n\
         [[backends]]\nname = \"far\"\nkind = \"openai\"\nurl = \"http://127.0.0.1:1\"\n",
    )?;
    container.systemctl("start ghostllm").await?;
    let status = container.until("StatusText", |status| status.contains("the backend far")).await?;
    ensure!(
        status.starts_with("Serving at [::]:11443; ") && status.contains("no model can answer"),
        "{status}"
    );
    let told = container.run(&["ghostctl", "status"]).await?;
    let said = String::from_utf8_lossy(&told.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    ensure!(said.contains("its unit hides /home from the daemon (ProtectHome=)"), "{said}");
    container.drop_in("ghostllm.service", "[Service]\nProtectHome=read-only\n").await?;
    container.systemctl("restart ghostllm").await?;
    container.until("StatusText", |status| status.contains("the backend far")).await?;
    let told = container.run(&["ghostctl", "status"]).await?;
    let said = String::from_utf8_lossy(&told.stdout);
    ensure!(said.contains("far") && !said.contains("ProtectHome"), "{said}");
    container.end().await
}
