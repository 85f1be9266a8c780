//! The engine's machine takes no connection and refuses none: it is frozen, or a firewall drops what comes.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use ghostllm_tests::{expect::check_whole, script::Sin};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::{Duration, Instant, timeout},
};

use crate::{Cell, UNREACHABLE, in_every_cell};

in_every_cell!(is_said_and_ends_when_it_is_back, is_waited_for_by_one_request_at_a_time);

async fn is_said_and_ends_when_it_is_back(cell: Cell) -> Result<()> {
    // Nothing is kept, so that each request needs a connection, and each waits for one.
    let limits = "backend_keep_alive = \"0s\"\nbackend_connect_misses = 0";
    let case = cell.with(Sin::LateBy(Duration::ZERO), limits, TIMEOUTS);
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

async fn is_waited_for_by_one_request_at_a_time(cell: Cell) -> Result<()> {
    const MISSES: usize = 3;
    let limits = format!(
        "backend_keep_alive = \"0s\"\nbackend_connect_misses = {MISSES}\nbackend_connect_again = \"1500ms\"\n\
         find_interval = \"1h\""
    );
    let mut case = cell.with(Sin::LateBy(Duration::ZERO), &limits, "timeouts = { connect = \"1s\" }").await?;
    check_whole(&case.ask(false).await?, false)?;
    case.double.refuse().await;
    let full = Full::new(case.double.address()).await?;
    let begun = Instant::now();
    let mut fast = 0;
    for _ in 0..MISSES + 4 {
        let asked = Instant::now();
        case.refused(true, UNREACHABLE).await?;
        fast += usize::from(asked.elapsed() < CONNECT);
    }
    // The list of models is asked for as well when a request fails, and may be one of those that waited; and one may have
    // tried it again meanwhile.
    let waited = MISSES + 4 - fast;
    ensure!((1..=4).contains(&waited), "{waited} of {} waited, in {:?}", MISSES + 4, begun.elapsed());
    drop(full);
    case.double.come_back().await;
    // It is found again by itself.
    let back = Instant::now();
    while case.ask(false).await?.status != 200 {
        ensure!(back.elapsed() < PATIENCE, "it is back, and was not tried for {:?}", back.elapsed());
    }
    case.recovers().await
}

const TIMEOUTS: &str = "timeouts = { connect = \"300ms\" }";
const CONNECT: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(20);

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
