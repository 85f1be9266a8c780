//! Takes in the bodies of requests, of which all together have a limit.
//!
//! Knows HTTP's bodies. Knows nothing of what is in them. Invariant: bodies that are longer than the limit `short_body` hold
//! at most as much as `long_bodies` of the longest, from the first byte until the request is answered; shorter ones never wait for those.

use crate::error::Failure;
use crate::limits::Limits;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A body that was taken in, and its share of the room.
#[derive(Debug)]
pub struct Body {
    bytes: Vec<u8>,
    share: Option<OwnedSemaphorePermit>,
}

impl Body {
    /// What came.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The room that there is for bodies.
#[derive(Debug)]
pub(crate) struct Bodies {
    room: Arc<Semaphore>,
    limits: Limits,
}

impl Bodies {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { room: Arc::new(Semaphore::new(limits.room())), limits }
    }

    /// Takes in the body of a request, of up to `most` bytes.
    pub(crate) async fn take(&self, request: Request<Incoming>, most: usize) -> Result<Body, Failure> {
        let collected =
            tokio::time::timeout(self.limits.body_wait, self.collect(request.into_body(), most)).await;
        collected.unwrap_or_else(|_| {
            let message = "the request's body did not arrive in time";
            Err(Failure::new(StatusCode::REQUEST_TIMEOUT, "invalid_request_error", None, message))
        })
    }

    async fn collect(&self, mut incoming: Incoming, most: usize) -> Result<Body, Failure> {
        let told = usize::try_from(incoming.size_hint().lower()).unwrap_or(usize::MAX);
        if told > most {
            return Err(too_large(most));
        }
        // Memory that is asked for in one piece is not moved as it fills, and counts only once it is filled.
        let mut body = Ok(Body { bytes: Vec::with_capacity(told), share: None });
        let mut length = 0;
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|_| cut_off())?;
            let part = frame.into_data().unwrap_or_else(|_| Bytes::new());
            length += part.len();
            if length > most {
                return Err(too_large(most));
            }
            // What has no room is read all the same, and dropped: many a client listens only after its last byte.
            body = body.and_then(|body| self.add(body, &part));
        }
        body
    }

    fn add(&self, mut body: Body, part: &[u8]) -> Result<Body, Failure> {
        self.make_room(&mut body, part.len())?;
        body.bytes.extend_from_slice(part);
        Ok(body)
    }

    fn make_room(&self, body: &mut Body, more: usize) -> Result<(), Failure> {
        let length = body.bytes.len() + more;
        if length <= self.limits.short_body {
            return Ok(());
        }
        let held = body.share.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = u32::try_from(length - held).map_err(|_| Failure::no_room())?;
        let share = Arc::clone(&self.room).try_acquire_many_owned(missing).map_err(|_| Failure::no_room())?;
        match &mut body.share {
            Some(held) => held.merge(share),
            None => body.share = Some(share),
        }
        Ok(())
    }
}

fn too_large(most: usize) -> Failure {
    let message = format!("the request's body is larger than {most} bytes");
    Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request_error", Some("body_too_large"), message)
}

fn cut_off() -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, "invalid_request_error", None, "the request's body was cut off")
}
