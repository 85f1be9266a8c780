//! The way out, barred: a program that asks anybody but this machine is caught at it.
//!
//! Knows the variables by which libraries find a proxy, and those by which they are told where to keep things. Refuses to know the
//! libraries. Invariant: whoever comes here asked for something beyond loopback.

use std::path::Path;

use anyhow::{Result, ensure};
use tokio::{io::AsyncReadExt, net::TcpListener, process::Command, sync::watch, task::JoinHandle};

/// A proxy that leads nowhere.
#[derive(Debug)]
pub(crate) struct Outside {
    url: String,
    asked: watch::Receiver<String>,
    accept: JoinHandle<()>,
}

impl Outside {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (tell, asked) = watch::channel(String::new());
        let accept = tokio::spawn(async move {
            while let Ok((mut stream, from)) = listener.accept().await {
                let mut head = [0; 256];
                let count = stream.read(&mut head).await.unwrap_or(0);
                let head = String::from_utf8_lossy(&head[..count]).into_owned();
                tell.send_modify(|asked| *asked += &format!("{from}: {head}\n"));
            }
        });
        Ok(Self { url, asked, accept })
    }

    /// Leads the program here with all that is not for this machine, and gives it a home of its own, where nothing is known of the
    /// person who runs the tests.
    pub(crate) fn bar(&self, command: &mut Command, home: &Path) {
        command.env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
            command.env(name, &self.url);
        }
        command.env("NO_PROXY", "localhost,127.0.0.1").env("no_proxy", "localhost,127.0.0.1");
        command.env("NODE_USE_ENV_PROXY", "1").env("HOME", home).env("TMPDIR", home).env("LANG", "C.UTF-8");
    }

    /// # Errors
    /// When anybody came here; the text holds what was asked for.
    pub(crate) fn check(&self) -> Result<()> {
        let asked = self.asked.borrow();
        ensure!(asked.is_empty(), "asked beyond this machine:\n{}", *asked);
        Ok(())
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.accept.abort();
    }
}
