//! Pseudo-header fields that a request must not have, as raw QPACK over a real connection.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use h3::error::Code;
use http::{Request, Response};
use http_body_util::BodyExt;
use quinn::{ReadError, ReadToEndError, VarInt};

use super::support::{Server, code, raw_control, server, soon};
use crate::{Limits, RequestBody, body};

const GET: &[u8] = b"\xd1";
const POST: &[u8] = b"\xd4";
const HTTP: &[u8] = b"\xd6";
const HTTPS: &[u8] = b"\xd7";
const ROOT: &[u8] = b"\xc1";
const LOCALHOST: &[u8] = b"\x50\x09localhost";
const EVIL: &[u8] = b"\x50\x08evil.com";
const STATUS: &[u8] = b"\xd9";
const FIELD: &[u8] = b"\x21x\x01y";

fn frame(fields: &[&[u8]]) -> Vec<u8> {
    let section = [b"\x00\x00", &fields.concat()[..]].concat();
    let length = u16::try_from(section.len()).unwrap() | 0x4000;
    [&b"\x01"[..], &length.to_be_bytes(), &section].concat()
}

/// What came of a request: the response's bytes, or the code that the stream was reset with.
async fn asked(connection: &quinn::Connection, pieces: &[&[u8]]) -> Result<Vec<u8>, VarInt> {
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    for piece in pieces {
        // The server may stop the stream before all is written.
        let _stopped = send.write_all(piece).await;
    }
    let _stopped = send.finish();
    match soon(recv.read_to_end(1000)).await {
        Ok(response) => Ok(response),
        Err(ReadToEndError::Read(ReadError::Reset(code))) => Err(code),
        Err(other) => panic!("{other}"),
    }
}

/// A server that reads the request's body to its end and counts whom it was asked by.
fn counting() -> (Server, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let server = server(&Limits::default(), move |request: Request<RequestBody>| {
        counted.fetch_add(1, Relaxed);
        async move {
            let read = request.into_body().collect().await.is_ok();
            Response::builder().status(if read { 200 } else { 400 }).body(body::empty()).unwrap()
        }
    });
    (server, count)
}

#[tokio::test]
async fn pseudo_fields_that_are_repeated_late_foreign_or_missing_are_malformed() {
    let (server, count) = counting();
    let connection = server.dial().await.unwrap();
    let _control = raw_control(&connection).await;
    let cases: &[(&str, &[&[u8]])] = &[
        ("two :authority", &[GET, HTTPS, ROOT, EVIL, LOCALHOST]),
        ("the same :authority twice", &[GET, HTTPS, ROOT, LOCALHOST, LOCALHOST]),
        ("two :method", &[GET, POST, HTTPS, ROOT, LOCALHOST]),
        ("two :scheme", &[GET, HTTP, HTTPS, ROOT, LOCALHOST]),
        ("two :path", &[GET, HTTPS, ROOT, b"\x51\x02/x", LOCALHOST]),
        ("two :path, one a literal", &[GET, HTTPS, ROOT, b"\x25:path\x02/x", LOCALHOST]),
        ("two :path, one in Huffman's code", &[GET, HTTPS, ROOT, b"\x2c\xb9\x58\xd3\x3f\x02/x", LOCALHOST]),
        ("a :status", &[GET, HTTPS, ROOT, LOCALHOST, STATUS]),
        ("a :protocol", &[GET, HTTPS, ROOT, LOCALHOST, b"\x27\x02:protocol\x09websocket"]),
        (":path behind a field", &[GET, HTTPS, LOCALHOST, FIELD, ROOT]),
        (":authority behind a field", &[GET, HTTPS, ROOT, FIELD, LOCALHOST]),
        ("no :method", &[HTTPS, ROOT, LOCALHOST]),
        ("no :scheme", &[GET, ROOT, LOCALHOST]),
        ("no :path", &[GET, HTTPS, LOCALHOST]),
        ("no authority at all", &[GET, HTTPS, ROOT]),
        ("Host and :authority that differ", &[GET, HTTPS, ROOT, LOCALHOST, b"\x24host\x08evil.com"]),
    ];
    for (case, fields) in cases {
        assert_eq!(asked(&connection, &[&frame(fields)]).await, Err(code(Code::H3_MESSAGE_ERROR)), "{case}");
    }
    assert_eq!(count.load(Relaxed), 0, "a handler was asked");
}

#[tokio::test]
async fn pseudo_fields_in_any_order_and_form_are_taken() {
    let (server, count) = counting();
    let connection = server.dial().await.unwrap();
    let _control = raw_control(&connection).await;
    let cases: &[&[&[u8]]] = &[
        &[GET, HTTPS, ROOT, LOCALHOST, FIELD, FIELD],
        &[LOCALHOST, ROOT, HTTPS, GET],
        &[GET, HTTPS, ROOT, b"\x24host\x09localhost"],
        &[GET, HTTPS, ROOT, LOCALHOST, b"\x24host\x09localhost"],
        &[
            b"\x27\x00:method\x03GET",
            b"\x27\x00:scheme\x05https",
            b"\x25:path\x01/",
            b"\x27\x03:authority\x09localhost",
        ],
        // Only if these are the names in Huffman's code does `h3` find a whole request in it.
        &[
            b"\x2d\xb9\x49\x53\x39\xe4\x03GET",
            b"\x2d\xb8\x82\x4e\x5a\x4b\x05https",
            b"\x2c\xb9\x58\xd3\x3f\x01/",
            b"\x2f\x01\xb8\x3b\x53\x39\xec\x32\x7d\x7f\x09localhost",
        ],
    ];
    for fields in cases {
        assert_eq!(asked(&connection, &[&frame(fields)]).await.unwrap().first(), Some(&1), "{fields:?}");
    }
    assert_eq!(count.load(Relaxed), cases.len());
}

#[tokio::test]
async fn trailers_with_a_pseudo_field_make_the_request_malformed() {
    let (server, count) = counting();
    let connection = server.dial().await.unwrap();
    let _control = raw_control(&connection).await;
    let (head, data) = (frame(&[POST, HTTPS, ROOT, LOCALHOST]), b"\x00\x03abc");
    assert_eq!(asked(&connection, &[&head, data, &frame(&[FIELD])]).await.unwrap().first(), Some(&1));
    for trailers in [&[ROOT][..], &[FIELD, STATUS], &[EVIL]] {
        let reset = Err(code(Code::H3_MESSAGE_ERROR));
        assert_eq!(
            asked(&connection, &[&[&head, &data[..], &frame(trailers)].concat()]).await,
            reset,
            "{trailers:?}"
        );
    }
    // They come when the handler is reading already.
    let asked_before = count.load(Relaxed);
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    send.write_all(&[&head, &data[..]].concat()).await.unwrap();
    soon(async {
        while count.load(Relaxed) == asked_before {
            tokio::task::yield_now().await;
        }
    })
    .await;
    send.write_all(&frame(&[ROOT])).await.unwrap();
    send.finish().unwrap();
    let end = soon(recv.read_to_end(1000)).await.unwrap_err();
    assert_eq!(end, ReadToEndError::Read(ReadError::Reset(code(Code::H3_MESSAGE_ERROR))));
}
