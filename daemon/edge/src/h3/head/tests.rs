//! Heads in both directions, each limit at its value and one beyond.

use std::time::Duration;

use http::Uri;

use super::*;

fn request(fields: &[(&'static str, &'static str)]) -> Request<()> {
    let mut request = Request::new(());
    for (name, value) in fields {
        request.headers_mut().append(*name, HeaderValue::from_static(value));
    }
    request
}

#[test]
fn fields_of_a_connection_are_malformed() {
    for field in [
        ("connection", "close"),
        ("keep-alive", "1"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
    ] {
        assert_eq!(admit(&mut request(&[field]), &Limits::default()), Err(Refusal::Malformed), "{field:?}");
    }
    assert_eq!(admit(&mut request(&[("te", "trailers")]), &Limits::default()), Ok(None));
}

#[test]
fn a_length_is_one_number_or_malformed() {
    let length = |value| ("content-length", value);
    assert_eq!(admit(&mut request(&[length("12")]), &Limits::default()), Ok(Some(12)));
    for fields in [
        &[length("1"), length("1")][..],
        &[length("1, 1")],
        &[length("+1")],
        &[length("-1")],
        &[length("")],
        &[length("99999999999999999999")],
    ] {
        assert_eq!(admit(&mut request(fields), &Limits::default()), Err(Refusal::Malformed), "{fields:?}");
    }
}

#[test]
fn the_longest_target_passes_and_one_more_byte_does_not() {
    let limits = Limits { uri_bytes: 20, ..Limits::default() };
    let target = |length: usize| Uri::try_from(format!("https://box/{}", "a".repeat(length - 1))).unwrap();
    let mut request = request(&[]);
    *request.uri_mut() = target(20);
    assert_eq!(admit(&mut request, &limits), Ok(None));
    *request.uri_mut() = target(21);
    assert_eq!(admit(&mut request, &limits), Err(Refusal::Answer(StatusCode::URI_TOO_LONG)));
}

#[test]
fn the_most_fields_pass_and_one_more_does_not() {
    let limits = Limits { header_count: 2, ..Limits::default() };
    let (a, b, c) = (("a", "1"), ("b", "2"), ("a", "3"));
    assert_eq!(admit(&mut request(&[a, b]), &limits), Ok(None));
    let refusal = Refusal::Answer(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(admit(&mut request(&[a, b, c]), &limits), Err(refusal));
}

#[test]
fn cookie_crumbs_become_one_field() {
    let mut request = request(&[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")]);
    admit(&mut request, &Limits::default()).unwrap();
    assert_eq!(request.headers().get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2"]);
}

fn head(status: u16, fields: &[(&'static str, &'static str)]) -> Parts {
    let mut response = Response::builder().status(status).body(()).unwrap();
    *response.headers_mut() = request(fields).headers().clone();
    response.into_parts().0
}

#[test]
fn a_response_loses_what_belongs_to_a_connection() {
    let fields = [
        ("connection", "close, X-Own"),
        ("x-own", "1"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("proxy-connection", "close"),
        ("x-kept", "1"),
    ];
    let (response, follows) = respond(head(200, &fields), &Method::GET, None);
    assert_eq!(follows, Follows::Stream);
    let mut names: Vec<_> = response.headers().keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["date", "x-kept"]);
}

#[test]
fn the_length_is_stated_once_and_only_where_a_body_may_follow() {
    let length = [("content-length", "7")];
    let (get, head_only) = (Method::GET, Method::HEAD);
    let case = |status, fields: &[_], method: &Method, exact| {
        let (response, follows) = respond(head(status, fields), method, exact);
        (response.headers().get(CONTENT_LENGTH).map(|value| value.to_str().unwrap().to_owned()), follows)
    };
    let seven = || Some("7".to_owned());
    assert_eq!(case(200, &[], &get, Some(7)), (seven(), Follows::Exactly(7)));
    assert_eq!(case(200, &length, &get, None), (seven(), Follows::Exactly(7)));
    assert_eq!(case(200, &[("content-length", "x")], &get, None), (None, Follows::Stream));
    assert_eq!(case(200, &length, &head_only, Some(0)), (seven(), Follows::Nothing));
    assert_eq!(case(200, &[], &head_only, Some(0)), (None, Follows::Nothing));
    assert_eq!(case(304, &length, &get, Some(0)), (seven(), Follows::Nothing));
    assert_eq!(case(204, &length, &get, Some(7)), (None, Follows::Nothing));
}

#[test]
fn writes_the_date_of_rfc_9110() {
    let example = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    assert_eq!(date(example).unwrap(), "Sun, 06 Nov 1994 08:49:37 GMT");
}
