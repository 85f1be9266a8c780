//! Where the daemon listens; where it does not answer, whether it could.
//!
//! Invariant: no port is held, and nobody can connect to what is tried.

use std::{
    io::ErrorKind,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use ghostllm_core::{
    admin::{InspectedListener, InspectedListening, Status},
    config::Config,
    places,
};
use ghostllm_edge::bind::{self, BindError};
use tokio::{net::UnixStream, time::timeout};

use super::{WITHIN, in_time};

/// How the holder is called where it is systemd.
const SYSTEMD: &str = "process 1 (systemd)";
/// What is said then.
const HELD: &str =
    "systemd, which holds it for ghostllm where its socket units are on (systemctl list-sockets)";

/// How a listener is, and why.
type How = (InspectedListening, Option<String>);

/// Looks.
pub(super) async fn look(
    config: &Config,
    state: Option<&Path>,
    status: Option<&Status>,
) -> Vec<InspectedListener> {
    if let Some(status) = status {
        return status.listeners.iter().map(of_the_daemon).collect();
    }
    let listen = config.listen.clone();
    let addresses = in_time(move || {
        let tls = listen.tls;
        let mut all =
            vec![listener("tls", tls.to_string(), "HTTP/1.1, HTTP/2", how(tls, bind::could_be_tcp(tls)))];
        if listen.http3 {
            all.push(listener("quic", tls.to_string(), "HTTP/3", how(tls, bind::could_be_udp(tls))));
        }
        let plain = |address: &SocketAddr| {
            listener("plain", address.to_string(), "HTTP/1.1", how(*address, bind::could_be_tcp(*address)))
        };
        all.extend(listen.plain.iter().map(plain));
        all
    });
    let own = config.listen.admin.clone().or_else(|| Some(state?.join(places::ADMIN_NAME)));
    let (mut all, admin) = tokio::join!(addresses, admin(own));
    all.get_or_insert_default().extend(admin);
    all.unwrap_or_default()
}

fn listener(kind: &str, address: String, speaks: &str, (state, why): How) -> InspectedListener {
    InspectedListener { kind: kind.to_owned(), address, speaks: speaks.to_owned(), state, why }
}

fn of_the_daemon(known: &ghostllm_core::admin::Listener) -> InspectedListener {
    let how = if known.serves {
        (InspectedListening::Serves, None)
    } else {
        (InspectedListening::Missing, Some("ghostctl status says why".to_owned()))
    };
    listener(&known.kind, known.address.clone(), &known.speaks, how)
}

fn how(address: SocketAddr, could: Result<(), BindError>) -> How {
    match could {
        Ok(()) => (InspectedListening::Free, lacks(address).map(str::to_owned)),
        Err(BindError::Taken { holder, .. }) => (InspectedListening::Taken, holder.map(by_systemd)),
        Err(error) => (InspectedListening::Unusable, Some(error.to_string())),
    }
}

/// What a free address lacks, which can be bound all the same.
fn lacks(address: SocketAddr) -> Option<&'static str> {
    if !address.ip().is_unspecified() {
        return (!bind::has(address)).then_some("no interface has it yet; it is served once one has");
    }
    (address.is_ipv6() && bind::ipv6_is_disabled()).then_some("for IPv4 alone, since IPv6 is disabled")
}

/// What systemd holds it holds for a unit: most likely for one of ours, with which it will start the daemon.
fn by_systemd(holder: String) -> String {
    if holder == SYSTEMD { HELD.to_owned() } else { holder }
}

/// A dead socket is replaced by whoever starts; one that somebody serves is not, and nothing else is touched.
async fn admin(path: Option<PathBuf>) -> Option<InspectedListener> {
    let path = path?;
    let how = match timeout(WITHIN, UnixStream::connect(&path)).await {
        Ok(Err(error)) => match error.kind() {
            ErrorKind::NotFound => (InspectedListening::Free, None),
            ErrorKind::ConnectionRefused if is_socket(&path) => (InspectedListening::Free, None),
            _ => (InspectedListening::Unusable, Some(error.to_string())),
        },
        Ok(Ok(_)) | Err(_) => (InspectedListening::Taken, Some("somebody listens there".to_owned())),
    };
    Some(listener("admin", path.display().to_string(), "HTTP/1.1", how))
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    path.symlink_metadata().is_ok_and(|facts| facts.file_type().is_socket())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_free_address_lacks_is_told() {
        let at = |text: &str| {
            let address = text.parse().unwrap();
            [how(address, bind::could_be_tcp(address)), how(address, bind::could_be_udp(address))]
        };
        for (state, why) in at("192.0.2.1:0") {
            assert_eq!(state, InspectedListening::Free);
            assert!(why.is_some_and(|why| why.starts_with("no interface has it yet")));
        }
        assert_eq!(at("127.0.0.1:0"), [(InspectedListening::Free, None), (InspectedListening::Free, None)]);
        for (state, why) in at("[::]:0") {
            assert_eq!((state, why.is_some()), (InspectedListening::Free, bind::ipv6_is_disabled()));
        }
    }

    #[test]
    fn what_systemd_holds_is_no_stranger_s() {
        let taken = |holder: &str| {
            let address = "[::]:443".parse().unwrap();
            how(address, Err(BindError::Taken { protocol: "TCP", address, holder: Some(holder.to_owned()) }))
                .1
        };
        assert_eq!(taken("process 1 (systemd)").as_deref(), Some(HELD));
        assert_eq!(taken("process 7 (nginx)").as_deref(), Some("process 7 (nginx)"));
    }
}
