//! The configuration's limits in the edge's own table.

use ghostllm_core::config;
use ghostllm_edge::Limits;

/// The edge's part of the limits.
pub(super) fn edge_limits(limits: &config::Limits) -> Limits {
    Limits {
        handshake: limits.handshake,
        header_read: limits.header_read,
        keep_alive_idle: limits.keep_alive_idle,
        body_idle: limits.body_idle,
        body_rate: limits.body_rate.bytes(),
        body_rate_window: limits.body_rate_window,
        write_idle: limits.write_idle,
        header_bytes: limits.header_bytes.as_usize(),
        header_count: limits.header_count,
        uri_bytes: limits.uri_bytes.as_usize(),
        streams: limits.streams,
        h2_stream_window: limits.h2_stream_window.as_u32(),
        h2_connection_window: limits.h2_connection_window.as_u32(),
        h2_send_buffer: limits.h2_send_buffer.as_usize(),
        h2_error_resets: limits.h2_error_resets,
        h2_broken_requests: limits.h2_broken_requests,
        h2_ping: limits.h2_ping,
        tcp_vanished: limits.tcp_vanished,
        tcp_unsent: limits.tcp_unsent.as_u32(),
        h2_linger: limits.h2_linger,
        quic_receive_window: limits.quic_receive_window.as_u32(),
        quic_stream_window: limits.quic_stream_window.as_u32(),
        quic_send_window: limits.quic_send_window.bytes(),
        quic_idle: limits.quic_idle,
        quic_incoming: limits.quic_incoming,
        quic_incoming_bytes: limits.quic_incoming_bytes.bytes(),
        quic_retry_from: limits.quic_retry_from,
        h3_headers_frame: limits.h3_headers_frame.bytes(),
        h3_other_frame: limits.h3_other_frame.bytes(),
        h3_empty_frames: limits.h3_empty_frames,
        h3_broken_requests: limits.h3_broken_requests,
        failure_linger: limits.failure_linger,
        refused_linger: limits.refused_linger,
        refused_bytes: limits.body.bytes(),
        h3_linger: limits.h3_linger,
        h3_vanished: limits.h3_vanished,
        connections_per_source: limits.connections_per_source,
        connections: limits.connections,
        admin_connections: limits.admin_connections,
        handshakes: limits.handshakes,
    }
}
