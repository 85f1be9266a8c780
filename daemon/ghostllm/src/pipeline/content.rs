//! A request's body: its type, its size, its depth.
//!
//! Invariants: what is longer than the limit is refused by its announced length, before a byte of it is read; a chat's body is charged
//! as it comes, whatever length it has announced, and once more as it is unpacked.

mod zstd;

use bytes::{Bytes, BytesMut};
use ghostllm_core::{ApiError, config::Limits, dialect::json};
use ghostllm_edge::{
    BodyError, RequestBody,
    room::{Charge, Lack, Room, Stay},
};
use http::{
    HeaderMap,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};

/// Reads a chat's body whole, as long as there is room for it, and gives it what it has for as long as it stays.
pub(super) async fn chat(
    headers: &HeaderMap,
    body: RequestBody,
    limits: &Limits,
    room: &Room,
) -> Result<(Bytes, Stay), ApiError> {
    check_type(headers)?;
    let packing = packing(headers)?;
    let (charge, stay) = room_for(room, &body, limits)?;
    let mut charged = Charged { room, charge };
    let body = whole(body, limits, |bytes| charged.comes(bytes)).await?;
    stay.holds(body.len());
    match packing {
        Packing::None => Ok((body, stay)),
        Packing::Zstd => {
            let body = zstd::unpacked(body, limits, room).await?;
            stay.holds(body.len());
            Ok((body, stay))
        }
    }
}

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    None,
    Zstd,
}

/// How a chat's body says that it is packed.
fn packing(headers: &HeaderMap) -> Result<Packing, ApiError> {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(Packing::None),
        // RFC 9110 section 8.4.1 wants nobody to send it, and some do.
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"identity") => Ok(Packing::None),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"zstd") => Ok(Packing::Zstd),
        (Some(_), _) => Err(ApiError::unsupported_media_type(
            "Of compressed request bodies zstd alone is taken: send it so, or without Content-Encoding.",
        )),
    }
}

/// What a body has been charged; that which has not come in the end is given back.
struct Charged<'room> {
    room: &'room Room,
    charge: Charge,
}

impl Charged<'_> {
    fn comes(&mut self, bytes: usize) -> Result<(), Lack> {
        self.room.comes(&mut self.charge, bytes)
    }
}

impl Drop for Charged<'_> {
    fn drop(&mut self) {
        self.room.leaves(&mut self.charge);
    }
}

/// Room for a chat with this body, of which nothing has been read. What is too long is refused for that.
fn room_for(room: &Room, body: &RequestBody, limits: &Limits) -> Result<(Charge, Stay), ApiError> {
    let (declared, limit) = (body.size_hint().lower(), limits.body.bytes());
    if declared > limit {
        return Err(ApiError::payload_too_large(limit));
    }
    room.take(declared).map_err(lacking)
}

pub(super) fn lacking(lack: Lack) -> ApiError {
    ApiError::overloaded(lack.name())
}

/// Reads a JSON body whole.
pub(super) async fn read(headers: &HeaderMap, body: RequestBody, limits: &Limits) -> Result<Bytes, ApiError> {
    check_type(headers)?;
    if packing(headers)? != Packing::None {
        return Err(ApiError::unsupported_media_type(
            "Compressed bodies are not taken here: send it without Content-Encoding.",
        ));
    }
    whole(body, limits, |_bytes| Ok(())).await
}

async fn whole(
    body: RequestBody,
    limits: &Limits,
    comes: impl FnMut(usize) -> Result<(), Lack>,
) -> Result<Bytes, ApiError> {
    let limit = limits.body.bytes();
    if body.size_hint().lower() > limit {
        return Err(ApiError::payload_too_large(limit));
    }
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let gathered = gather(Limited::new(body, most), comes).await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            return ApiError::payload_too_large(limit);
        }
        match error.downcast_ref::<BodyError>() {
            Some(BodyError::TooSlow) => ApiError::request_timeout(),
            Some(BodyError::TooLarge { limit }) => ApiError::payload_too_large(*limit),
            Some(BodyError::Transport(_)) | None => ApiError::invalid_request(
                "The request's body was cut off or its framing is broken; send it again.",
            ),
        }
    });
    gathered?.map_err(lacking)
}

/// All of a body in one piece. A body that comes in many has them copied as they come: kept, each would hold a handle and what it
/// was read into, and one of 32 MiB that comes a byte at a time more than 1 GiB. Each is told to `comes`, which may have no room for it.
async fn gather<B: Body<Data = Bytes> + Unpin>(
    mut body: B,
    mut comes: impl FnMut(usize) -> Result<(), Lack>,
) -> Result<Result<Bytes, Lack>, B::Error> {
    let (mut first, mut more) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if let Err(lack) = comes(data.len()) {
            return Ok(Err(lack));
        }
        if first.is_empty() {
            first = data;
            continue;
        }
        if more.is_empty() {
            more.extend_from_slice(&first);
        }
        more.extend_from_slice(&data);
    }
    Ok(Ok(if more.is_empty() { first } else { more.freeze() }))
}

fn check_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(kind) = headers.get(CONTENT_TYPE) else { return Ok(()) };
    let essence = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ApiError::unsupported_media_type("The body must be JSON: send Content-Type: application/json"))
}

/// Before anything that could recurse reads it.
pub(super) fn check_depth(bytes: &[u8], most: usize) -> Result<(), ApiError> {
    if json::is_deeper(bytes, most) {
        return Err(ApiError::invalid_request(format!("The body is nested more than {most} levels deep.")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        pin::Pin,
        task::{Context, Poll},
    };

    use futures_util::FutureExt;
    use http_body::{Frame, SizeHint};
    use http_body_util::StreamBody;

    use super::*;

    #[test]
    fn the_depth_passes_and_one_more_does_not() {
        assert!(check_depth(b"[[{\"a\":[]}]]", 4).is_ok());
        assert!(check_depth(b"[[{\"a\":[[]]}]]", 4).is_err());
        assert!(check_depth(br#"["[[[[[[\"[[[["]"#, 1).is_ok(), "brackets in a string are text");
    }

    #[tokio::test]
    async fn a_body_of_any_pieces_is_whole_and_one_piece_is_not_copied() {
        let gathered = async |pieces: &[&'static [u8]]| {
            let frames =
                pieces.iter().map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::from_static(piece))));
            let body = StreamBody::new(futures_util::stream::iter(frames));
            let Ok(gathered) = gather(body, |_bytes| Ok(())).await;
            gathered.unwrap()
        };
        assert_eq!(gathered(&[]).await, "");
        assert_eq!(gathered(&[b"", b"a", b"", b"bc", b"d"]).await, "abcd");
        let piece: &[u8] = b"whole";
        assert_eq!(gathered(&[piece]).await.as_ptr(), piece.as_ptr());
    }

    #[tokio::test]
    async fn a_body_is_read_no_further_than_there_is_room_for_it() {
        let pieces =
            [4, 4, 4].map(|length| Ok::<_, Infallible>(Frame::data(Bytes::from(vec![b'x'; length]))));
        let (mut left, mut told) = (9_usize, Vec::new());
        let comes = |bytes: usize| -> Result<(), Lack> {
            told.push(bytes);
            left = left.checked_sub(bytes).ok_or(Lack::Memory)?;
            Ok(())
        };
        let Ok(gathered) = gather(StreamBody::new(futures_util::stream::iter(pieces)), comes).await;
        assert_eq!(gathered, Err(Lack::Memory));
        assert_eq!(told, [4, 4, 4]);
    }

    /// States a length, and sends nothing.
    struct Stated;

    impl Body for Stated {
        type Data = Bytes;
        type Error = BodyError;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            Poll::Pending
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(1000)
        }
    }

    #[tokio::test]
    async fn a_chat_of_the_wrong_type_takes_no_room_and_one_that_leaves_gives_back_what_has_not_come() {
        let (room, limits) = (Room::default(), Limits::default());
        // For one chat, and a body of this length.
        let measured = || room.measured((300 << 10) + 2000, u64::MAX);
        measured();
        let text: HeaderMap = HeaderMap::from_iter([(CONTENT_TYPE, "text/plain".parse().unwrap())]);
        assert_eq!(chat(&text, Stated.boxed_unsync(), &limits, &room).await.unwrap_err().status(), 415);
        let takes = |body: u64| room.take(body).is_ok();
        assert!(takes(1000) && !takes(0));
        measured();
        let waits = chat(&HeaderMap::new(), Stated.boxed_unsync(), &limits, &room).now_or_never();
        assert!(waits.is_none(), "{waits:?}");
        let comes = |bytes: usize| room.comes(&mut Charge::default(), bytes);
        assert_eq!([comes(1000), comes(1)], [Ok(()), Err(Lack::Memory)]);
    }

    #[test]
    fn only_json_is_taken_and_of_packings_only_zstd() {
        let headers = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
            let pair = |(name, value): &(&'static str, &'static str)| {
                (name.parse().unwrap(), value.parse().unwrap())
            };
            pairs.iter().map(pair).collect()
        };
        assert!(check_type(&HeaderMap::new()).is_ok());
        assert!(check_type(&headers(&[("content-type", "Application/JSON; charset=utf-8")])).is_ok());
        assert_eq!(check_type(&headers(&[("content-type", "text/plain")])).unwrap_err().status(), 415);
        let coding = |value| packing(&headers(&[("content-encoding", value)]));
        assert_eq!((packing(&HeaderMap::new()), coding("ZSTD")), (Ok(Packing::None), Ok(Packing::Zstd)));
        assert_eq!(coding("Identity"), Ok(Packing::None));
        for other in ["gzip", "identity, zstd", "zstd, gzip", "br", ""] {
            assert_eq!(coding(other).unwrap_err().status(), 415, "{other}");
        }
        let twice = headers(&[("content-encoding", "zstd"), ("content-encoding", "zstd")]);
        assert_eq!(packing(&twice).unwrap_err().status(), 415);
    }

    #[tokio::test]
    async fn what_an_admin_sends_is_not_packed() {
        let headers = HeaderMap::from_iter([(CONTENT_ENCODING, "zstd".parse().unwrap())]);
        let read = read(&headers, Stated.boxed_unsync(), &Limits::default()).await;
        assert_eq!(read.unwrap_err().status(), 415);
    }
}
