//! Every limit of HTTP/2 is reached, by frames that are written by hand where no client would send them.

use super::*;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RESET: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
const GOAWAY: u8 = 7;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const ACK: u8 = 1;
/// `POST http://localhost/` in HPACK: three of the static table, one literal.
const POST: &[u8] = b"\x83\x86\x84\x41\x09localhost";
/// RFC 9113 section 7.
const FLOW_CONTROL_ERROR: [u8; 4] = [0, 0, 0, 3];

/// A peer that sends frames and reads them.
pub(super) struct Raw(pub(super) DuplexStream);

impl Raw {
    /// Begins a connection with the streams' windows as they are by themselves.
    pub(super) async fn begin(near: DuplexStream) -> Self {
        let mut raw = Self(near);
        raw.0.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        raw.send(SETTINGS, 0, 0, b"").await;
        raw
    }

    pub(super) async fn send(&mut self, kind: u8, flags: u8, stream: u8, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [length[1], length[2], length[3], kind, flags, 0, 0, 0, stream];
        // The server may have closed; what it said before is what is looked at.
        let _written = self.0.write_all(&[&head, payload].concat()).await;
    }

    pub(super) async fn read(&mut self) -> (u8, u8, Vec<u8>) {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.unwrap();
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.0.read_exact(&mut payload).await.unwrap();
        (head[3], head[4], payload)
    }

    /// Sends a ping and says whether its answer comes before an error does, which must be of flow control.
    async fn is_well(&mut self) -> bool {
        self.send(PING, 0, 0, b"are well").await;
        loop {
            match self.read().await {
                (PING, ACK, payload) if payload == b"are well" => return true,
                (RESET, _, code) => {
                    assert_eq!(code, FLOW_CONTROL_ERROR);
                    return false;
                }
                (GOAWAY, _, payload) => {
                    assert_eq!(payload[4..8], FLOW_CONTROL_ERROR);
                    return false;
                }
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn a_window_takes_its_bytes_and_not_one_more() {
    let (small, large) = (100_000, 1_000_000);
    for (stream, connection) in [(small, large), (large, small)] {
        let limits =
            Limits { h2_stream_window: stream, h2_connection_window: connection, ..Limits::default() };
        let mut served = served(true, limits);
        let mut raw = Raw::begin(served.near).await;
        raw.send(SETTINGS, ACK, 0, b"").await;
        raw.send(HEADERS, END_HEADERS, 1, POST).await;
        for _ in 0..10 {
            raw.send(DATA, 0, 1, &[b'x'; 10_000]).await;
            assert!(raw.is_well().await);
        }
        raw.send(DATA, 0, 1, b"x").await;
        // The answer to a ping may overtake the reset.
        assert!(!(raw.is_well().await && raw.is_well().await), "stream {stream}, connection {connection}");
        // Nobody read the body: what was taken is the window alone.
        served.dropped.close();
    }
}

#[tokio::test(start_paused = true)]
async fn an_http2_client_that_answers_no_ping_is_gone_and_one_that_does_stays() {
    let limits = Limits { h2_ping: Duration::from_secs(7), ..Limits::default() };
    let begun = Instant::now();
    let mut served = served(true, limits.clone());
    let mut raw = Raw::begin(served.near).await;
    raw.send(HEADERS, END_HEADERS | 1, 1, POST).await;
    // All that comes is read, and nothing is said.
    let read = spawn(async move { while raw.0.read_u8().await.is_ok() {} });
    assert_eq!(served.dropped.recv().await, Some("handler"));
    // Asked after one time, given up after another.
    assert_eq!(begun.elapsed().as_secs(), 14);
    read.await.unwrap();

    let mut served = super::served(true, limits);
    let mut client = http2_client(served.near).await;
    let answer = client.send_request(get("/waits"));
    let waited = tokio::time::timeout(Duration::from_secs(1000), answer).await;
    assert!(waited.is_err() && served.dropped.try_recv().is_err(), "it is still served");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_crosses_the_goodbye_of_an_idle_http2_connection_is_served() {
    let limits = Limits { h2_ping: Duration::from_secs(1000), ..Limits::default() };
    let mut served = served(true, limits);
    let mut raw = Raw::begin(served.near).await;
    let reads = async {
        let mut head = [0; 9];
        while raw.0.read_exact(&mut head).await.is_ok() {
            let mut payload = vec![0; usize::from(head[2])];
            raw.0.read_exact(&mut payload).await.unwrap();
            if head[3] == PING && head[4] & ACK == 0 {
                raw.send(HEADERS, END_HEADERS | 1, 1, POST).await;
                raw.send(PING, ACK, 0, &payload).await;
            }
        }
    };
    let waited =
        tokio::time::timeout(Duration::from_secs(100), async { tokio::join!(reads, served.dropped.recv()) });
    assert!(waited.await.is_err(), "it was cut");
    assert!(served.dropped.try_recv().is_err(), "it was cut");
}

#[tokio::test(start_paused = true)]
async fn an_http2_connection_is_not_idle_while_its_answer_is_being_read() {
    const WINDOW: u8 = 8;
    let limits = Limits { h2_ping: Duration::from_secs(1000), ..Limits::default() };
    let served = served(true, limits);
    let mut raw = Raw::begin(served.near).await;
    raw.send(HEADERS, END_HEADERS | 1, 1, b"\x82\x86\x44\x0e/whole/1000000\x41\x09localhost").await;
    let (begun, mut read) = (Instant::now(), 0);
    while read < 1_000_000 {
        let (kind, _, payload) = raw.read().await;
        assert_ne!(kind, GOAWAY, "after {:?} and {read} bytes", begun.elapsed());
        if kind == DATA && !payload.is_empty() {
            read += payload.len();
            tokio::time::sleep(Duration::from_secs(2)).await;
            let more = u32::try_from(payload.len()).unwrap().to_be_bytes();
            raw.send(WINDOW, 0, 0, &more).await;
            raw.send(WINDOW, 0, 1, &more).await;
        }
    }
    assert!(begun.elapsed() > Duration::from_secs(100), "it was no slow reader");
}

#[tokio::test(start_paused = true)]
async fn so_many_http2_requests_may_be_taken_back_and_one_more_ends_the_connection() {
    let limits = Limits { h2_broken_requests: 3, ..Limits::default() };
    let mut served = served(true, limits);
    let mut raw = Raw::begin(served.near).await;
    let mut taken_back = 0;
    // After ten seconds they are counted anew; an answer makes up for one.
    for (stream, count, wait) in [(1, 3, 10), (21, 3, 0), (41, 2, 0)] {
        for nth in 0..count {
            raw.send(HEADERS, END_HEADERS | 1, stream + 2 * nth, POST).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
            raw.send(RESET, 0, stream + 2 * nth, &[0, 0, 0, 8]).await;
            assert_eq!(served.dropped.recv().await, Some("handler"));
            taken_back += 1;
        }
        if stream == 21 {
            raw.send(HEADERS, END_HEADERS | 1, 39, b"\x82\x86\x44\x08/refuses\x41\x09localhost").await;
        }
        tokio::time::sleep(Duration::from_secs(wait) + Duration::from_millis(10)).await;
    }
    let mut said = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(1), raw.0.read_to_end(&mut said)).await;
    assert!(ended.is_ok(), "{taken_back} were taken back");
    assert_eq!(taken_back, 8);
}

#[tokio::test(start_paused = true)]
async fn an_http2_connection_whose_readers_take_nothing_ends_as_an_idle_one() {
    let limits = Limits {
        write_idle: Duration::from_secs(2),
        keep_alive_idle: Duration::from_secs(7),
        h2_ping: Duration::from_secs(1000),
        ..Limits::default()
    };
    let served = served(true, limits);
    let mut raw = Raw::begin(served.near).await;
    // SETTINGS_INITIAL_WINDOW_SIZE.
    raw.send(SETTINGS, 0, 0, b"\x00\x04\x00\x00\x00\x00").await;
    raw.send(HEADERS, END_HEADERS | 1, 1, b"\x82\x86\x44\x08/endless\x41\x09localhost").await;
    raw.send(HEADERS, END_HEADERS | 1, 3, b"\x82\x86\x44\x08/whole/1\x41\x09localhost").await;
    let begun = Instant::now();
    let mut said = Vec::new();
    raw.0.read_to_end(&mut said).await.unwrap();
    // Found stalled by half of `write_idle` later, idle from then on, and told goodbye.
    assert!((9..=12).contains(&begun.elapsed().as_secs()), "closed after {:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn its_answer_is_read_to_the_end_by_a_slow_reader() {
    let limits = Limits { h2_ping: Duration::from_secs(1000), ..Limits::default() };
    let served = served(true, limits);
    let mut raw = Raw::begin(served.near).await;
    let payload = loop {
        if let (PING, 0, payload) = raw.read().await {
            break payload;
        }
    };
    raw.send(HEADERS, END_HEADERS | 1, 1, b"\x82\x86\x44\x0c/whole/20000\x41\x09localhost").await;
    raw.send(PING, ACK, 0, &payload).await;
    // Longer than the goodbye's linger.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let mut read = 0;
    while read < 20_000 {
        if let (DATA, _, data) = raw.read().await {
            read += data.len();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_frames_of_an_idle_http2_connection_have_their_time() {
    let limits = Limits {
        handshake: Duration::from_secs(20),
        header_read: Duration::from_secs(10),
        h2_linger: Duration::from_secs(3),
        h2_ping: Duration::from_secs(1000),
        ..Limits::default()
    };
    // The goodbye begins so early that a silent peer is gone in time.
    for (answers, closed) in [(false, 10), (true, 7)] {
        let served = served(true, limits.clone());
        let mut raw = Raw::begin(served.near).await;
        let begun = Instant::now();
        // A goodbye begins with a ping (RFC 9113 section 6.8); an answer to it ends the wait.
        loop {
            let mut head = [0; 9];
            if raw.0.read_exact(&mut head).await.is_err() {
                break;
            }
            let mut payload = vec![0; usize::from(head[2])];
            raw.0.read_exact(&mut payload).await.unwrap();
            if head[3] == PING && answers {
                raw.send(PING, ACK, 0, &payload).await;
            }
        }
        assert_eq!(begun.elapsed().as_secs(), closed);
    }
}

#[tokio::test(start_paused = true)]
async fn so_much_of_an_answer_is_held_for_a_reader_that_takes_nothing() {
    let mut before = 0;
    for buffer in [32 * 1024, 256 * 1024] {
        let limits = Limits { h2_send_buffer: buffer, ..Limits::default() };
        let mut served = served(true, limits);
        let mut raw = Raw::begin(served.near).await;
        // Windows that hold nothing up.
        raw.send(SETTINGS, 0, 0, b"\x00\x04\x7f\xff\xff\xff").await;
        raw.send(8, 0, 0, b"\x7f\xfe\xff\xff").await;
        raw.send(HEADERS, END_HEADERS | 1, 1, b"\x82\x86\x44\x08/counted\x41\x09localhost").await;
        // The clock runs only once nothing else does.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut held = 0;
        while let Ok(told) = served.dropped.try_recv() {
            assert_eq!(told, "chunk");
            held += 4096;
        }
        // Some frames stand in the codec behind the buffer.
        assert!((buffer..buffer + 64 * 1024).contains(&held), "{held} bytes, the buffer has {buffer}");
        assert!(held > before);
        before = held;
    }
}

#[tokio::test]
async fn so_many_http2_streams_are_open_at_once_and_one_more_is_refused() {
    let served = served(true, Limits { streams: 3, ..Limits::default() });
    let mut raw = Raw::begin(served.near).await;
    raw.send(SETTINGS, ACK, 0, b"").await;
    for stream in [1, 3, 5, 7] {
        raw.send(HEADERS, END_HEADERS | 1, stream, POST).await;
    }
    let (kind, _, code) = loop {
        let frame = raw.read().await;
        if matches!(frame.0, RESET | GOAWAY) {
            break frame;
        }
    };
    // REFUSED_STREAM: it was not handled and may be sent again (RFC 9113 section 8.7).
    assert_eq!((kind, code), (RESET, vec![0, 0, 0, 7]));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_is_found_in_time_behind_a_window_and_behind_none() {
    let hour = Duration::from_secs(3600);
    let limits = Limits {
        write_idle: Duration::from_secs(2),
        header_read: hour,
        keep_alive_idle: hour,
        h2_ping: hour,
        ..Limits::default()
    };
    for window in [0_u32, 1000] {
        let mut served = served(true, limits.clone());
        let mut raw = Raw::begin(served.near).await;
        // SETTINGS_INITIAL_WINDOW_SIZE.
        raw.send(SETTINGS, 0, 0, &[&[0, 4][..], &window.to_be_bytes()].concat()).await;
        // The connection has been looked at before.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let begun = Instant::now();
        raw.send(HEADERS, END_HEADERS | 1, 1, b"\x82\x86\x44\x08/endless\x41\x09localhost").await;
        assert_eq!(served.dropped.recv().await, Some("body"));
        assert!((2..=3).contains(&begun.elapsed().as_secs()), "a window of {window}: {:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_of_events_that_takes_nothing_holds_no_drain_up_and_another_does() {
    let hour = Duration::from_secs(3600);
    let limits = Limits {
        write_idle: hour,
        header_read: hour,
        keep_alive_idle: hour,
        h2_ping: hour,
        ..Limits::default()
    };
    for (http2, path, cut) in
        [(false, "events", true), (false, "endless", false), (true, "events", true), (true, "endless", false)]
    {
        let mut served = served(http2, limits.clone());
        let _held;
        if http2 {
            let mut raw = Raw::begin(served.near).await;
            raw.send(SETTINGS, 0, 0, b"\x00\x04\x00\x00\x00\x00").await;
            let length = u8::try_from(path.len() + 1).unwrap();
            let head =
                [&b"\x82\x86\x44"[..], &[length], b"/", path.as_bytes(), b"\x41\x09localhost"].concat();
            raw.send(HEADERS, END_HEADERS | 1, 1, &head).await;
            _held = raw.0;
        } else {
            let head = format!("GET /{path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
            served.near.write_all(head.as_bytes()).await.unwrap();
            _held = served.near;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        served.drain.begin();
        let dropped = tokio::time::timeout(Duration::from_secs(60), served.dropped.recv()).await;
        assert_eq!(dropped.is_ok(), cut, "HTTP/2: {http2}, {path}");
    }
}
