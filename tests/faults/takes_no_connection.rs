//! The engine's machine takes no connection and refuses none: it is frozen, or a firewall drops what comes.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use ghostllm_tests::{expect::check_whole, script::Sin};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::{Duration, timeout},
};

use crate::{Cell, UNREACHABLE, in_every_cell};

in_every_cell!(is_said_and_ends_when_it_is_back);

async fn is_said_and_ends_when_it_is_back(cell: Cell) -> Result<()> {
    // Nothing is kept, so that each request needs a connection.
    let case = cell.with(Sin::LateBy(Duration::ZERO), "backend_keep_alive = \"0s\"", TIMEOUTS);
    let mut case = case.await?;
    check_whole(&case.ask(false).await?, false)?;
    case.double.refuse().await;
    let full = Full::new(case.double.address()).await?;
    for stream in [false, true] {
        let answer = case.refused(stream, UNREACHABLE).await?;
        ensure!(answer.header("retry-after").is_some(), "no Retry-After");
    }
    drop(full);
    case.double.come_back().await;
    for stream in [false, true] {
        check_whole(&case.ask(stream).await?, stream)?;
    }
    case.recovers().await
}

const TIMEOUTS: &str = "timeouts = { connect = \"300ms\" }";

/// A listener whose queue is full and stays so: the kernel does not even answer the next one.
struct Full {
    _listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

impl Full {
    async fn new(address: SocketAddr) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(1)?;
        let mut waiting = Vec::new();
        while let Ok(stream) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
            waiting.push(stream?);
        }
        Ok(Self { _listener: listener, _waiting: waiting })
    }
}
