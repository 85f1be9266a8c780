//! `ghostctl cert`: what clients are shown, and the CA that they have to trust.

mod export;
mod trust;

use std::path::PathBuf;

use clap::Subcommand;
use ghostllm_core::{
    admin::{Authority, Certificates, Renewed},
    routes::Admin,
};

use crate::{
    arguments::Context,
    client::{Answer, Question},
    confirm,
    exit::{Exit, Failure},
    output::{Screen, Tone, text, when},
};

/// The certificate, and the CA that clients trust
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  ghostctl cert show")]
pub(crate) enum Command {
    /// Names, times and the CA
    #[command(after_help = "Example:\n  ghostctl cert show")]
    Show,
    /// Give out the CA's certificate, for clients
    #[command(after_help = "Example:\n  ghostctl cert export ghostllm-ca.pem")]
    Export {
        /// The file [default: standard output]
        file: Option<PathBuf>,
        /// Binary (DER), as Windows and Android like it
        #[arg(long)]
        der: bool,
        /// Write over a file that exists
        #[arg(long)]
        yes: bool,
    },
    /// The SHA-256 of the CA's certificate, to compare by eye
    #[command(after_help = "Example:\n  ghostctl cert fingerprint")]
    Fingerprint,
    /// Make the certificate anew, and with --new-ca the CA
    #[command(after_help = "Example:\n  ghostctl cert renew")]
    Renew {
        /// A new CA as well, which every client must then trust
        #[arg(long)]
        new_ca: bool,
        /// Without asking
        #[arg(long)]
        yes: bool,
    },
    /// Have this system trust the CA
    #[command(after_help = "Example:\n  sudo ghostctl cert trust")]
    Trust {
        /// Only print what to do on each system
        #[arg(long)]
        print: bool,
    },
}

impl Command {
    pub(crate) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        match self {
            Self::Show => {
                let answer = ask(context).await?;
                context.show(&answer.json, |screen| shown(&answer.what, screen))?;
            }
            Self::Export { file, der, yes } => {
                let answer = ask(context).await?;
                export::run(&answer, file.as_deref(), der, yes, context)?;
            }
            Self::Fingerprint => {
                let answer = ask(context).await?;
                let authority = authority(&answer.what)?;
                context.show(&answer.json, |screen| folded(&text::clean(&authority.sha256), screen))?;
            }
            Self::Renew { new_ca, yes } => renew(new_ca, yes, context).await?,
            Self::Trust { print } => {
                context.without_json()?;
                let answer = ask(context).await?;
                trust::run(authority(&answer.what)?, print, context)?;
            }
        }
        Ok(Exit::Well)
    }
}

/// Where it does not fit a person's terminal: in lines of as many bytes each, which are compared more easily than what the
/// terminal would break anywhere. Programs get one line.
fn folded(sha256: &str, screen: &Screen) -> String {
    const BYTE: usize = "AB:".len();
    const LINES: [usize; 3] = [32, 16, 8];
    let fits = |bytes: &&usize| !screen.terminal || **bytes * BYTE <= screen.width;
    let bytes = LINES.iter().find(fits).copied().unwrap_or(4);
    let pairs: Vec<&str> = sha256.split(':').collect();
    let lines: Vec<String> = pairs.chunks(bytes).map(|line| line.join(":")).collect();
    lines.join(":\n") + "\n"
}

async fn ask(context: &Context) -> Result<Answer<Certificates>, Failure> {
    context.client.ask(&Question::new(Admin::Certificates)).await
}

/// The box's own CA.
fn authority(certificates: &Certificates) -> Result<&Authority, Failure> {
    certificates.authority.as_ref().ok_or_else(|| {
        let message =
            "this box shows its owner's certificate and has no CA of its own; clients trust the owner's CA";
        Failure::new(Exit::NotFound, message).next("ghostctl cert show")
    })
}

async fn renew(new_ca: bool, yes: bool, context: &Context) -> Result<(), Failure> {
    let endpoint = if new_ca {
        confirm::ask(yes, "A new CA is made; every client that trusts this one must trust the new one.")?;
        Admin::RenewAuthority
    } else {
        Admin::RenewCertificate
    };
    let answer = context.client.ask::<Renewed>(&Question::new(endpoint)).await?;
    context.show(&answer.json, |screen| shown(&answer.what.certificates, screen))
}

fn shown(certificates: &Certificates, screen: &Screen) -> String {
    let server = &certificates.server;
    let time = |at: &Option<String>| {
        at.as_ref().map(|at| format!("{} ({})", when::told(screen, at), when::clock(at)))
    };
    let mut out = screen.hanging("names    ", Tone::Head, &server.names.join(", "));
    let expires = time(&server.expires).unwrap_or_else(|| "not known".to_owned());
    out.push_str(&screen.hanging("ends     ", Tone::Head, &expires));
    let renews = time(&server.renews).unwrap_or_else(|| "by its owner".to_owned());
    out.push_str(&screen.hanging("renewed  ", Tone::Head, &renews));
    let sha256 = certificates.authority.as_ref().map(|authority| {
        // 95 letters without a gap: 16 pairs a line.
        authority.sha256.replacen(':', " ", 16).replacen(' ', ":", 15)
    });
    let own =
        sha256.map_or_else(|| "its owner's".to_owned(), |sha256| format!("the box's own, SHA-256 {sha256}"));
    out.push_str(&screen.hanging("CA       ", Tone::Head, &own));
    for left_out in &certificates.left_out {
        out.push_str(&screen.hanging("lacks    ", Tone::Amiss, left_out));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_fits_the_terminal_and_is_one_line_for_programs() {
        let whole = vec!["AB"; 32].join(":");
        let at = |width, terminal| {
            let mut screen = Screen::of_test(width, "2026-11-28T00:00:00Z");
            screen.terminal = terminal;
            folded(&whole, &screen)
        };
        assert_eq!(at(20, false), format!("{whole}\n"));
        for (width, lines) in [(96, 1), (80, 2), (47, 4), (20, 8)] {
            let text = at(width, true);
            assert_eq!(text.lines().count(), lines, "{text}");
            assert!(text.lines().all(|line| line.len() <= width), "{text}");
            assert_eq!(text.replace('\n', ""), whole);
        }
    }
}
