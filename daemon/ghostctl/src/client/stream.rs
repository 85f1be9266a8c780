//! The stream of events over the admin socket.

use std::pin::pin;

use bytes::Bytes;
use ghostllm_core::{framing::sse, routes::Admin};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::{Client, LARGEST, Question, USUAL, connect, refused, whole};
use crate::exit::Failure;

/// The longest event: one line of JSON about one thing.
const LONGEST_EVENT: usize = 1 << 20;

impl Client {
    /// Gives each event's data to `take`, beginning behind the event `last`, until the daemon ends the stream.
    pub(crate) async fn follow(
        &self,
        last: Option<&str>,
        mut take: impl FnMut(&[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let path = self.socket()?;
        let request = Question::new(Admin::Events).request(last)?;
        let begin = async {
            let (mut sender, mut connection) = connect(&path).await?;
            let sent = sender.send_request(request);
            let mut sent = pin!(sent);
            let answered = tokio::select! {
                biased;
                answered = &mut sent => answered,
                _ended = &mut connection => sent.await,
            };
            Ok((answered.map_err(|error| refused::broken(&path, &error, true))?, connection, sender))
        };
        let within = self.within.unwrap_or(USUAL);
        let begun = timeout(within, begin).await;
        // The sender is kept: without it the connection would end.
        let (response, connection, _sender) =
            begun.unwrap_or_else(|_late| Err(refused::late(&path, within, true)))?;
        if !response.status().is_success() {
            let refusal = async {
                tokio::select! {
                    biased;
                    whole = whole(response, &path, true) => whole,
                    _ended = connection => Err(refused::not_ours(&path)),
                }
            };
            let told = timeout(within, refusal).await;
            let (status, body) = told.unwrap_or_else(|_late| Err(refused::late(&path, within, true)))?;
            return Err(refused::by_the_api(status, &String::from_utf8_lossy(&body), &path));
        }
        let mut reading = pin!(read(response.into_body(), &mut take));
        tokio::select! {
            biased;
            done = &mut reading => done,
            _ended = connection => reading.await,
        }
    }
}

async fn read(
    mut body: Incoming,
    take: &mut impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut events = sse::Events::new(LONGEST_EVENT);
    // A stream that breaks is one that ends: whoever follows begins anew behind its last event.
    while let Some(Ok(frame)) = body.frame().await {
        let bytes: Bytes = frame.into_data().unwrap_or_default();
        if bytes.len() > LARGEST {
            break;
        }
        events.push(&bytes);
        while let Ok(Some(event)) = events.next_event() {
            take(&event.data)?;
        }
    }
    Ok(())
}
