//! The `[limits]`: everything that comes from a peer has one.
//!
//! Knows every limit of the listeners and of a request's way. Refuses to know who keeps to them. Invariant: each
//! limit is a setting, so that a test reaches it without waiting. Defaults come from the research on what other
//! servers do (Envoy's edge practice, nginx, Caddy, Sōzu) unless a limit says otherwise.

use std::time::Duration;

use super::{
    rule::{Amount, Rule},
    section::section,
    values::{ByteSize, KeepAliveStyle},
};

const fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

pub(super) fn some_time<T: Amount>() -> Rule<T> {
    Rule::amount::<1, { u64::MAX }>("a time longer than 0")
}

/// The kernel's probes are counted in seconds, and two of them must fit (tcp(7), `TCP_KEEPIDLE`).
fn some_seconds() -> Rule<Duration> {
    Rule::amount::<2000, { u64::MAX }>("a time of at least 2 seconds")
}

pub(super) fn at_least_one<T: Amount>() -> Rule<T> {
    Rule::amount::<1, { u64::MAX }>("a number of at least 1")
}

fn some_bytes() -> Rule<ByteSize> {
    Rule::amount::<1, { u64::MAX }>("a size of at least 1 byte")
}

/// HTTP/2 counts windows in 31 bits (RFC 9113 6.9.1); QUIC's settings here take 32.
pub(super) fn window<T: Amount>() -> Rule<T> {
    Rule::amount::<1, 2_147_483_647>("a size from 1 byte to 2147483647 bytes")
}

/// hyper refuses a smaller one (hyper 1.12, `MINIMUM_MAX_BUFFER_SIZE`).
fn buffer() -> Rule<ByteSize> {
    Rule::amount::<8192, { u64::MAX }>("a size of at least 8 KiB")
}

/// Far more than any box has processors; each takes a few descriptors.
fn threads() -> Rule<usize> {
    Rule::amount::<0, 1024>("a number from 0 to 1024")
}

/// The JSON reader itself goes no deeper.
fn depth() -> Rule<usize> {
    Rule::amount::<1, 128>("a number from 1 to 128")
}

/// Of a limit: less leaves no room to work in.
fn percent() -> Rule<usize> {
    Rule::amount::<10, 100>("a number from 10 to 100")
}

section! {
    /// How much, how many, how long. Times are strings with a unit (ms, s, m, h, d), sizes are bytes or strings with
    /// B, KiB, MiB or GiB.
    pub struct Limits ("[limits]") {
        /// Threads that serve; 0 is one for each processor, two at the most. With one alone a request costs less of the
        /// processor, and waits while another connection is made or another request translated.
        @restart threads: usize = 0 => threads();
        /// TLS and QUIC handshakes must end within this; also silence before the first byte of a connection, and before the
        /// first request of one that speaks HTTP/2 or 3.
        handshake: Duration = seconds(5) => some_time();
        /// A request's headers must be whole within this.
        header_read: Duration = seconds(10) => some_time();
        /// A kept-alive connection without a request is closed after this.
        keep_alive_idle: Duration = seconds(60) => some_time();
        /// A request's body may be silent for this long.
        body_idle: Duration = seconds(30) => some_time();
        /// A request's body must bring so many bytes a second while it is waited for; 0 asks none.
        body_rate: ByteSize = ByteSize::kib(1);
        /// What that rate is measured over: time in which the body is waited for.
        body_rate_window: Duration = seconds(10) => some_time();
        /// A reader that takes no byte for this long is closed and its work dropped; so is one of HTTP/2 that takes less than
        /// h2_send_buffer of a stream within it.
        write_idle: Duration = seconds(60) => some_time();
        /// All header fields together.
        header_bytes: ByteSize = ByteSize::kib(32) => some_bytes();
        /// Number of header fields.
        header_count: usize = 100 => at_least_one();
        /// Request target.
        uri_bytes: ByteSize = ByteSize::kib(8) => some_bytes();
        /// Concurrent streams per HTTP/2 or HTTP/3 connection.
        streams: u32 = 100 => at_least_one();
        /// HTTP/2 flow-control window per stream.
        h2_stream_window: ByteSize = ByteSize::kib(64) => window();
        /// HTTP/2 flow-control window per connection.
        h2_connection_window: ByteSize = ByteSize::mib(1) => window();
        /// HTTP/2 send buffer per stream.
        h2_send_buffer: ByteSize = ByteSize::kib(64) => window();
        /// HTTP/2 streams of one connection that are reset because its client broke the protocol on them; one more ends the
        /// connection (CVE-2025-8671, `MadeYouReset`).
        h2_error_resets: usize = 50 => at_least_one();
        /// HTTP/2 requests of one connection that its client takes back before their answer begins, less those answered, within
        /// ten seconds; one more ends the connection (CVE-2023-44487, rapid reset).
        h2_broken_requests: usize = 100 => at_least_one();
        /// An HTTP/2 client is asked this often whether it is still there, and has as long to say so: a vanished one
        /// must not hold a generation, and TCP alone tells after many minutes.
        h2_ping: Duration = seconds(20) => some_time();
        /// A TCP peer that acknowledges nothing for about this long is gone, whatever is spoken: it is asked for a sign of life
        /// while nothing is sent, and what was sent must be acknowledged. Whole seconds.
        tcp_vanished: Duration = seconds(20) => some_seconds();
        /// What the kernel takes of answers to a TCP peer before it can be sent: without a limit, some MiB for each that reads
        /// nothing.
        tcp_unsent: ByteSize = ByteSize::kib(128) => window();
        /// How long the last frames of an idle HTTP/2 connection may take to leave before it is closed, and how long what its
        /// client sends behind them is taken, where the client does not close it: some read nothing more once they are reset.
        h2_linger: Duration = seconds(1);
        /// QUIC receive window per connection; its HTTP/3 requests hold no more than that of heads that are not whole.
        quic_receive_window: ByteSize = ByteSize::mib(1) => window();
        /// QUIC receive window per stream.
        quic_stream_window: ByteSize = ByteSize::kib(256) => window();
        /// QUIC send window per connection.
        quic_send_window: ByteSize = ByteSize::mib(1) => some_bytes();
        /// A QUIC connection without any packet is dropped after this; keep-alive pings go out at a third of it.
        quic_idle: Duration = seconds(30) => some_time();
        /// QUIC connections that wait for their handshake, at the most.
        quic_incoming: usize = 1024 => at_least_one();
        /// Bytes buffered for QUIC connections that are not accepted yet.
        quic_incoming_bytes: ByteSize = ByteSize::mib(8) => some_bytes();
        /// From so many waiting handshakes on, a client must prove its address first (Retry, RFC 9000 8.1.2).
        quic_retry_from: usize = 64;
        /// An HTTP/3 HEADERS frame.
        h3_headers_frame: ByteSize = ByteSize::kib(64) => some_bytes();
        /// Any other HTTP/3 frame that would be buffered whole.
        h3_other_frame: ByteSize = ByteSize::kib(16) => some_bytes();
        /// HTTP/3 frames without a payload on one request stream. A client sends none or one (grease); each costs a turn
        /// of the decoder and moves nothing.
        h3_empty_frames: u32 = 1024;
        /// Broken or reset requests per HTTP/3 connection, less those answered, within ten seconds before it is closed with
        /// H3_EXCESSIVE_LOAD.
        h3_broken_requests: usize = 128 => at_least_one();
        /// How long the last event of a failed HTTP/2 or HTTP/3 stream is given to be read, once it has left, before the reset.
        failure_linger: Duration = Duration::from_millis(500);
        /// How long what is left of a request's body, no more than `body` of it, is read and thrown away behind an answer over
        /// TCP that did not want it, and as long and as much again behind the end of a connection that this ends: many clients
        /// read no answer before they have sent all. 0s stops them at once.
        refused_linger: Duration = seconds(5);
        /// How long an HTTP/3 connection that has answered everything waits for its client to close it: a client may throw
        /// away what it has not read when we close first (5 of 18 runs lost their last event without a wait).
        h3_linger: Duration = Duration::from_millis(500);
        /// An HTTP/3 client that owes an acknowledgement and has been silent for this long is gone.
        h3_vanished: Duration = seconds(2) => some_time();
        /// Open connections from one source (an IPv4 address, an IPv6 /64); loopback is exempt.
        connections_per_source: usize = 256 => at_least_one();
        /// Open connections in all, but for those over the admin's Unix socket.
        connections: usize = 4096 => at_least_one();
        /// Open connections over the admin's Unix socket, so that a flood keeps no admin out.
        admin_connections: usize = 16 => at_least_one();
        /// Wrong API keys from one source (an IPv4 address, an IPv6 /64) in a minute; further ones are told to wait
        /// (429). A right one is let in at any time.
        wrong_keys: usize = 20 => at_least_one();
        /// TLS handshakes over TCP at one time; QUIC's are quic_incoming.
        handshakes: usize = 512 => at_least_one();
        /// When so much, in percent, of what the program's control group may have of memory is in use, or may be taken by chats
        /// that are open, new chats are refused (503, with Retry-After), or where others have filled it, from memory_drop on;
        /// those that have begun go on. Without such a limit, none is.
        memory_shed: usize = 80 => percent();
        /// When so much of it is in use, a tenth of the limit by this program, connections without a request are closed, none
        /// is accepted any more but the admin's, and what can be made anew is dropped.
        memory_drop: usize = 95 => percent();
        /// A request's body.
        body: ByteSize = ByteSize::mib(32) => some_bytes();
        /// How deep JSON may be nested in a request; at most 128.
        json_depth: usize = 128 => depth();
        /// A request's top-level fields: OpenAI has about forty, engines add about as many.
        request_fields: usize = 256 => at_least_one();
        /// A model's name in a request: Hugging Face allows 96 bytes a part, with a host and a tag around them.
        model_name: ByteSize = ByteSize::new(256) => some_bytes();
        /// Texts in a request's stop: OpenAI allows four, engines take more, and programs use them.
        stop_texts: usize = 32 => at_least_one();
        /// Items of Responses answers that are kept in memory, all together, so that a client may name them in its next request
        /// (item_reference) instead of sending them: for an hour at the most, for the key that asked, and for one key half of
        /// this at the most. 0 keeps none.
        recall: ByteSize = ByteSize::mib(8);
        /// Answers to one request (its n) where the engine gives one at a time: each is a request of its own to it, one after
        /// the other.
        choices: usize = 4 => at_least_one();
        /// Pictures and other media inside one request, of a video that is a list of pictures each of them; 0 takes none.
        media_parts: usize = 16;
        /// All of them together, decoded.
        media_bytes: ByteSize = ByteSize::mib(20) => some_bytes();
        /// How long an answer's headers wait for the engine's first byte, so that a real status can be sent.
        header_wait: Duration = seconds(15);
        /// While the engine is silent, something is sent this often, so that nobody between takes the stream for
        /// dead.
        sse_keep_alive: Duration = seconds(15) => some_time();
        /// What is sent then: "comment", or "empty-delta" for clients that count only parsed events.
        keep_alive_style: KeepAliveStyle = KeepAliveStyle::Comment;
        /// When the program is told to stop, streams have this long to finish.
        drain_grace: Duration = seconds(30);
        /// One line or event of a backend's answer: the longest recorded one is under 20 KiB, but a tool call with a file
        /// in its arguments may have hundreds.
        backend_line: ByteSize = ByteSize::mib(1) => some_bytes();
        /// A connection to a backend must stand within this; a backend's own timeouts win.
        backend_connect: Duration = seconds(2) => some_time();
        /// So many connections in a row that did not stand within that, and requests for the backend are refused at once, but for
        /// one now and then that tries it again; 0 lets every request wait.
        backend_connect_misses: usize = 3;
        /// How often it is tried again.
        backend_connect_again: Duration = seconds(5) => some_time();
        /// A backend's first byte must come within this: a large model is loaded first.
        backend_first_byte: Duration = seconds(300) => some_time();
        /// A backend may be silent for this long between two bytes: Ollama is, while it gathers a tool call.
        backend_idle: Duration = seconds(300) => some_time();
        /// An answer of a backend that comes in one piece, or that a response's stream repeats at its end.
        backend_answer: ByteSize = ByteSize::mib(32) => some_bytes();
        /// All header fields of a backend's answer together; as much as our own clients may send.
        backend_header_bytes: ByteSize = ByteSize::kib(32) => some_bytes();
        /// Number of its header fields.
        backend_header_count: usize = 100 => at_least_one();
        /// How much of a backend's answer is read ahead of the client.
        backend_read_ahead: ByteSize = ByteSize::kib(64) => buffer();
        /// How much of a backend's error is read.
        backend_error_bytes: ByteSize = ByteSize::kib(16) => some_bytes();
        /// How long a backend's error is waited for: its status alone says enough.
        backend_error_wait: Duration = seconds(2) => some_time();
        /// How long the end of an answer is waited for that is complete, so that its connection can be kept. Ollama
        /// ends it within a millisecond of the last line.
        backend_end_wait: Duration = Duration::from_millis(100);
        /// What a backend may send behind a complete answer, a blank line or a comment, before its connection is
        /// given up.
        backend_surplus: ByteSize = ByteSize::kib(4);
        /// A connection to a backend is kept this long after an answer. Engines close theirs after 5 s (uvicorn,
        /// llama.cpp's server) or more, and a request that meets that moment is lost; 0s keeps none.
        backend_keep_alive: Duration = seconds(3);
        /// So many are kept to one backend, as many as an engine is ever given at once; 0 keeps none.
        backend_connections_kept: usize = 32;
        /// A kept connection that dies without a byte this soon after a request was dead before, and the request goes
        /// out once more; later, the engine died of the request, and is not given it again. 0s never repeats.
        backend_replay: Duration = seconds(1);
        /// A backend's list of models; Ollama's has under 1 KiB for each.
        backend_list_bytes: ByteSize = ByteSize::mib(4) => some_bytes();
        /// A backend's list of models must be whole within this.
        backend_list: Duration = seconds(5) => some_time();
        /// How long the start waits for the backends' first lists, so that it is ready when it says so; a changed configuration
        /// waits for those of new backends, 10 s at the most.
        first_lists: Duration = Duration::from_millis(1500);
        /// How often each backend is asked for its models, and an Ollama looked for while there are no [[backends]].
        find_interval: Duration = seconds(10) => some_time();
        /// How long the models of a backend that does not answer stay in /v1/models: a short absence must not empty a program's
        /// menu. Their names stay known, and requests for them get 503.
        models_kept: Duration = seconds(60);
        /// How often the disks and cards of [[health]] are looked at.
        health_interval: Duration = seconds(10) => some_time();
        /// One that does not answer within this counts as failing, until it has. A driver that wakes its cards takes up to 2 s.
        health_wait: Duration = seconds(5) => some_time();
        /// How often this box's names and addresses and the certificate's files are looked at.
        host_interval: Duration = seconds(5) => some_time();
        /// How often the configuration's files are looked at: what has changed is taken once it was the same at two looks.
        /// 0s waits for SIGHUP alone.
        config_interval: Duration = seconds(2);
    }
}
