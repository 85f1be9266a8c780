//! What a connection has sent and what of it has arrived, as its congestion controller hears it.
//!
//! Knows quinn's callbacks to a congestion controller, which alone tell what quinn does not: when nothing waits to be sent.
//! Refuses to know streams. Invariant: congestion is governed by quinn's own Cubic; this only listens.

use std::{any::Any, sync::Arc, time::Instant};

use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics, CubicConfig};
use quinn_proto::RttEstimator;
use tokio::{
    sync::watch,
    time::{Duration, timeout},
};

/// What is known of a connection's packets; numbers as quinn counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct State {
    /// The last packet sent.
    sent: u64,
    /// The last packet that is known to have arrived.
    acked: u64,
    /// The last packet that had been sent when an acknowledgement found that nothing waited to be sent.
    drained: u64,
    /// Bytes on the way at the last acknowledgement.
    in_flight: u64,
}

/// Makes the controllers of all connections.
#[derive(Debug, Default)]
pub(crate) struct Watched(Arc<CubicConfig>);

impl ControllerFactory for Watched {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        let cubic = Arc::clone(&self.0).build(now, current_mtu);
        Box::new(Watching { cubic, state: Arc::default() })
    }
}

/// Cubic, and who listens.
struct Watching {
    cubic: Box<dyn Controller>,
    state: Arc<watch::Sender<State>>,
}

impl Controller for Watching {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.state.send_modify(|state| state.sent = last_packet_number);
        self.cubic.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, app_limited: bool, rtt: &RttEstimator) {
        self.cubic.on_ack(now, sent, bytes, app_limited, rtt);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight: u64, app_limited: bool, largest: Option<u64>) {
        self.state.send_modify(|state| {
            state.acked = largest.unwrap_or(state.acked);
            state.in_flight = in_flight;
            if app_limited {
                state.drained = state.sent;
            }
        });
        self.cubic.on_end_acks(now, in_flight, app_limited, largest);
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, persistent: bool, lost_bytes: u64) {
        self.cubic.on_congestion_event(now, sent, persistent, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.cubic.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        self.cubic.window()
    }

    fn metrics(&self) -> ControllerMetrics {
        self.cubic.metrics()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self { cubic: self.cubic.clone_box(), state: Arc::clone(&self.state) })
    }

    fn initial_window(&self) -> u64 {
        self.cubic.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// Waits until all that was written to the connection before has been sent, and its peer has acknowledged some of what
/// was sent last; while packets move, that may take as long as it needs.
///
/// Gives up once nothing has moved for `quiet`, or for `vanished` while the peer owes acknowledgements.
pub(super) async fn sent(connection: &quinn::Connection, quiet: Duration, vanished: Duration) {
    let Ok(controller) = connection.congestion_state().into_any().downcast::<Watching>() else { return };
    let mut states = controller.state.subscribe();
    let begun = *states.borrow_and_update();
    let mut seen = begun;
    // A packet must have been sent since: what was written last may not have reached quinn's sender yet.
    while seen.drained <= begun.sent {
        let owed = seen.in_flight > 0 || seen.drained < seen.acked;
        let moved = timeout(if owed { vanished } else { quiet }, states.changed()).await;
        if !matches!(moved, Ok(Ok(()))) {
            return;
        }
        seen = *states.borrow_and_update();
    }
}
