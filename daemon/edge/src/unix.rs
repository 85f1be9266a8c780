//! A Unix socket: plain HTTP/1.1 for the programs on this box that its file lets in.
//!
//! Knows the listener and the peer's user. Refuses to know what a request asks for, and who may connect: the kernel has
//! decided that by the file's mode. Invariant: its connections have a limit of their own, so that whoever repairs a flooded box
//! gets in.

use std::{io, os::unix::net::UnixListener as Bound};

use tokio::net::{UnixListener, UnixStream};

use crate::{Connection, Handler, Serve, accept::Accepting, tcp::serve::http1};

/// There is one.
const NAME: &str = "admin";

/// Serves `listener`, which must not block.
///
/// Must be called within a tokio runtime.
///
/// # Errors
/// When the runtime cannot take the socket.
pub fn serve<H: Handler>(listener: Bound, serve: Serve<H>) -> io::Result<Accepting> {
    let listener = UnixListener::from_std(listener)?;
    let (drain, beat) = (serve.drain.clone(), serve.pulse.beat(NAME, serve.pulse.patience()));
    let admit = move |(stream, _unnamed)| admit(stream, &serve);
    // It takes of the reserve, and is never without room.
    Ok(Accepting::start(
        NAME.to_owned(),
        drain,
        beat,
        None,
        move |context| listener.poll_accept(context),
        admit,
    ))
}

/// Whether it is held.
fn admit<H: Handler>(stream: UnixStream, serve: &Serve<H>) -> bool {
    let uid = stream.peer_cred().ok().map(|peer| peer.uid());
    let Some(share) = serve.sources.admin() else {
        tracing::warn!(
            uid,
            "there are as many connections over the admin's socket as may be (limits.admin_connections); this one is closed"
        );
        return false;
    };
    // Its readiness is watched by the thread that serves it.
    let Ok(stream) = stream.into_std() else { return false };
    let (seats, serve) = (serve.seats.clone(), serve.begin());
    let open = serve.drain.open();
    seats.spawn(async move {
        let Ok(stream) = UnixStream::from_std(stream) else { return };
        Box::pin(http1(stream, Connection::unix(uid), None, &serve)).await;
        drop((share, open));
    });
    true
}

#[cfg(test)]
mod tests;
