//! The one table of the edge's limits: everything that comes from a peer has one.
//!
//! Defaults come from the research on what other servers do (Envoy's edge practice, nginx, Caddy, Sōzu);
//! every one is a setting, so that a test can reach it without waiting.

use std::time::Duration;

/// Limits of the listeners; shapes and units as the fields say.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// TLS and QUIC handshakes must end within this; also silence before the first byte of a connection, and before the first
    /// request of one that speaks HTTP/2 or 3.
    pub handshake: Duration,
    /// A request's headers must be whole within this.
    pub header_read: Duration,
    /// A kept-alive connection without a request is closed after this.
    pub keep_alive_idle: Duration,
    /// A request's body may be silent for this long.
    pub body_idle: Duration,
    /// Bytes a second that a request's body must bring while it is waited for; 0 for none.
    pub body_rate: u64,
    /// What that rate is measured over: time in which the body is waited for.
    pub body_rate_window: Duration,
    /// A reader that takes no byte for this long is closed and its work dropped.
    pub write_idle: Duration,
    /// All header fields together, in bytes.
    pub header_bytes: usize,
    /// Number of header fields.
    pub header_count: usize,
    /// Request target, in bytes.
    pub uri_bytes: usize,
    /// Concurrent streams per HTTP/2 or HTTP/3 connection.
    pub streams: u32,
    /// HTTP/2 flow-control window per stream, in bytes.
    pub h2_stream_window: u32,
    /// HTTP/2 flow-control window per connection, in bytes.
    pub h2_connection_window: u32,
    /// HTTP/2 send buffer per stream, in bytes.
    pub h2_send_buffer: usize,
    /// HTTP/2 streams of one connection that are reset because its client broke the protocol on them.
    pub h2_error_resets: usize,
    /// HTTP/2 requests of one connection that are taken back before their answer begins, less those answered, within ten seconds.
    pub h2_broken_requests: usize,
    /// How often an HTTP/2 client is asked whether it is still there, and how long it may take to say so.
    pub h2_ping: Duration,
    /// A TCP peer that acknowledges nothing for about this long is gone; whole seconds, at least 2.
    pub tcp_vanished: Duration,
    /// What the kernel takes of answers to a TCP peer before it can be sent, in bytes.
    pub tcp_unsent: u32,
    /// How long the last frames of an idle HTTP/2 connection may take to leave before it is closed.
    pub h2_linger: Duration,
    /// QUIC receive window per connection, in bytes; its HTTP/3 requests hold no more than that of frames that are not whole.
    pub quic_receive_window: u32,
    /// QUIC receive window per stream, in bytes.
    pub quic_stream_window: u32,
    /// QUIC send window per connection, in bytes.
    pub quic_send_window: u64,
    /// A QUIC connection without any packet is dropped after this; keep-alive pings go out at a third of it.
    pub quic_idle: Duration,
    /// QUIC connections that wait for their handshake, at the most.
    pub quic_incoming: usize,
    /// Bytes buffered for QUIC connections that are not accepted yet.
    pub quic_incoming_bytes: u64,
    /// From so many waiting handshakes on, a client must prove its address first (Retry, RFC 9000 8.1.2).
    pub quic_retry_from: usize,
    /// An HTTP/3 HEADERS frame, in bytes.
    pub h3_headers_frame: u64,
    /// Any other HTTP/3 frame that would be buffered whole, in bytes.
    pub h3_other_frame: u64,
    /// HTTP/3 frames without a payload on one request stream. A client sends none or one (grease); each costs us a turn
    /// of the decoder and moves nothing, so a flood of them is a flood.
    pub h3_empty_frames: u32,
    /// Broken or reset requests per HTTP/3 connection, less those answered, within ten seconds before it is closed with
    /// H3_EXCESSIVE_LOAD.
    pub h3_broken_requests: usize,
    /// How long the last event of a failed HTTP/2 or HTTP/3 stream is given to be read, once it has left, before the reset.
    pub failure_linger: Duration,
    /// How long what is left of a request's body is read and thrown away behind an answer over TCP that did not want it, and over
    /// HTTP/1.1 as long again behind the connection's end.
    pub refused_linger: Duration,
    /// How many bytes of it.
    pub refused_bytes: u64,
    /// How long an HTTP/3 connection that has answered everything waits for its client to close it. A client may throw
    /// away what it has not read when we close first: 5 of 18 drained runs lost their last event without it, 0 of 17 with
    /// up to a second; half of that is enough once every response is known to be acknowledged.
    pub h3_linger: Duration,
    /// An HTTP/3 client that owes an acknowledgement and has been silent for this long is gone: several probe timeouts
    /// of any network on which a person would wait for an answer.
    pub h3_vanished: Duration,
    /// Open connections from one source (an IPv4 address, an IPv6 /64); loopback is exempt.
    pub connections_per_source: usize,
    /// Open connections in all, but for those over the Unix socket.
    pub connections: usize,
    /// Open connections over the Unix socket.
    pub admin_connections: usize,
    /// TLS handshakes over TCP at one time.
    pub handshakes: usize,
}

impl Limits {
    /// How long a connection of HTTP/2 or 3 may be without its first request before it is told goodbye. What the goodbye may take
    /// (`linger`) is a part of the time after which a silent peer is gone.
    pub(crate) fn first_request(&self, linger: Duration) -> Duration {
        let gone = self.handshake.min(self.header_read);
        gone - linger.min(gone / 2)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            header_read: Duration::from_secs(10),
            keep_alive_idle: Duration::from_secs(60),
            body_idle: Duration::from_secs(30),
            body_rate: 1024,
            body_rate_window: Duration::from_secs(10),
            write_idle: Duration::from_secs(60),
            header_bytes: 32 * 1024,
            header_count: 100,
            uri_bytes: 8 * 1024,
            streams: 100,
            h2_stream_window: 64 * 1024,
            h2_connection_window: 1024 * 1024,
            h2_send_buffer: 64 * 1024,
            h2_error_resets: 50,
            h2_broken_requests: 100,
            h2_ping: Duration::from_secs(20),
            tcp_vanished: Duration::from_secs(20),
            tcp_unsent: 128 * 1024,
            h2_linger: Duration::from_secs(1),
            quic_receive_window: 1024 * 1024,
            quic_stream_window: 256 * 1024,
            quic_send_window: 1024 * 1024,
            quic_idle: Duration::from_secs(30),
            quic_incoming: 1024,
            quic_incoming_bytes: 8 * 1024 * 1024,
            quic_retry_from: 64,
            h3_headers_frame: 64 * 1024,
            h3_other_frame: 16 * 1024,
            h3_empty_frames: 1024,
            h3_broken_requests: 128,
            failure_linger: Duration::from_millis(500),
            refused_linger: Duration::from_secs(5),
            refused_bytes: 32 << 20,
            h3_linger: Duration::from_millis(500),
            h3_vanished: Duration::from_secs(2),
            connections_per_source: 256,
            connections: 4096,
            admin_connections: 16,
            handshakes: 512,
        }
    }
}
