//! What passes of media in a conversation that is passed on, and what does not.

use serde_json::{Value, json};

use super::super::turns;
use super::*;

fn look(messages: &str) -> Result<(), ApiError> {
    turns::look(serde_json::from_str(messages).unwrap(), &Limits::default()).map(drop)
}

fn check(content: &Value) -> Result<(), ApiError> {
    look(&json!([{"role": "user", "content": content}]).to_string())
}

fn refused(part: &Value) -> ApiError {
    check(&json!([part])).expect_err(&part.to_string())
}

#[test]
fn no_address_and_no_path_passes_whatever_its_member_is_called() {
    let at = |member: &str| format!("messages[0].content[0].{member}");
    for place in [
        "https://169.254.169.254/latest",
        "HTTP:x",
        " \u{1}http://x",
        "file:///etc/passwd",
        "s3://bucket/key",
        "//host/x.png",
        "/etc/passwd",
        "//etc//passwd",
        "~/x.png",
        "../x.png",
        "\\\\host\\share",
        "C:\\x.png",
    ] {
        for (part, param) in [
            (json!({"type": "image", "path": place}), "path"),
            (json!({"type": "image", "url": place}), "url"),
            (json!({"type": "image", "image": place}), "image"),
            (json!({"type": "video", "video": ["data:,", place]}), "video"),
            (json!({"type": "input_file", "file_url": place}), "file_url"),
            (json!({"type": "text", "text": "x", "source": {"a": [{"b": place}]}}), "source"),
            (json!({"image": {"url": place}}), "image"),
            (json!({"type": "image_url", "Image_URL": {"url": place}}), "Image_URL"),
            (json!({"type": "image_url", "image_url": {"url": place}}), "image_url.url"),
            (json!({"type": "image_url", "image_url": {"url": "data:,", "path": place}}), "image_url.path"),
            (json!({"type": "file", "file": {"file_data": place}}), "file.file_data"),
            (json!({"type": "file", "file": {"file_id": place}}), "file.file_id"),
            (
                json!({"type": "input_audio", "input_audio": {"data": place, "format": "wav"}}),
                "input_audio.data",
            ),
        ] {
            let error = refused(&part);
            assert_eq!(error.param(), Some(&*at(param)), "{part}");
            assert!(error.message().contains("fetches nothing"), "{}", error.message());
        }
    }
    for name in ["file:///etc/passwd", "https://x/a.pdf", "/etc/passwd"] {
        let part = json!({"type": "file", "file": {"file_data": "data:,", "filename": name}});
        assert_eq!(refused(&part).param(), Some(&*at("file.filename")));
    }
    // One part in the place of a list.
    let alone = json!({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}});
    assert_eq!(check(&alone).unwrap_err().param(), Some("messages[0].content.image_url.url"));
}

#[test]
fn what_is_inside_of_the_request_passes() {
    let jpeg = "/9j/4AAQSkZJRgABAQ";
    let sound = format!("//uQxAAA{}", "A".repeat(SOUND));
    for part in [
        json!({"type": "text", "text": "see https://example.org or /etc/passwd", "cache_control": {"type": "ephemeral"}}),
        json!({"type": "output_text", "text": "x", "annotations": [{"type": "url_citation", "url": "https://x"}]}),
        json!({"type": "thinking", "thinking": "file:///x", "signature": "/a"}),
        json!({"type": "refusal", "refusal": "no"}),
        json!({"text": "without a type"}),
        json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,aa", "detail": "low"}, "uuid": null}),
        json!({"type": "image", "image": jpeg}),
        json!({"type": "image", "base64": jpeg, "min_pixels": 4, "resized": true}),
        json!({"type": "video", "video": ["data:,", "data:,"], "fps": 0.5}),
        json!({"type": "input_audio", "input_audio": {"data": sound, "format": "mp3"}}),
        json!({"type": "input_audio", "input_audio": {"data": "data:audio/wav;base64,aa", "format": "wav"}}),
        json!({"type": "file", "file": {"file_data": "data:,", "filename": "Notes: of today.pdf"}}),
    ] {
        assert!(check(&json!([part])).is_ok(), "{part}: {:?}", check(&json!([part])));
    }
    assert!(check(&json!({"type": "text", "text": "alone"})).is_ok());
}

#[test]
fn a_part_is_of_a_type_that_is_known_and_has_each_member_once() {
    let at = Some("messages[0].content[0].type");
    for (kind, named) in [
        (json!("web_page"), "web_page is none"),
        (json!("a b"), "that is none"),
        (json!(3), "the name of a type"),
    ] {
        let error = refused(&json!({"type": kind, "text": "x"}));
        assert_eq!(error.param(), at);
        assert!(error.message().contains(named), "{}", error.message());
    }
    let known = refused(&json!({"type": "x"}));
    assert!(known.message().contains("image_url, ") && known.message().contains(" or input_file;"));
    for (part, member) in [
        (r#"{"type":"text","text":"a","Text":"b"}"#, "text"),
        (r#"{"type":"image_url","image_url":{"url":"data:,","url":"data:,"}}"#, "image_url.url"),
        (r#"{"type":"image_url","image_url":{"url":"data:,","URL":"data:,"}}"#, "image_url.url"),
        (r#"{"type":"file","file":{"file_data":"data:,","file_data":"data:,"}}"#, "file.file_data"),
    ] {
        let twice = look(&format!(r#"[{{"role":"user","content":[{part}]}}]"#)).unwrap_err();
        assert_eq!(twice.param(), Some(&*format!("messages[0].content[0].{member}")), "{part}");
        assert!(twice.message().contains("is there twice: send it once"), "{}", twice.message());
    }
    for (part, what) in
        [(json!("hi"), "and is a string."), (json!(["hi"]), "and is a list."), (json!(null), "and is null.")]
    {
        let error = refused(&part);
        assert_eq!(error.param(), Some("messages[0].content[0]"));
        let expected = "The field 'messages[0].content[0]' must be a content part, an object such as {\"type\": \"text\", \"text\": ...}";
        assert!(
            error.message().starts_with(expected) && error.message().ends_with(what),
            "{}",
            error.message()
        );
    }
    let many: serde_json::Map<String, Value> = (0..=MEMBERS).map(|nr| (format!("x{nr}"), json!(1))).collect();
    assert_eq!(refused(&many.into()).param(), Some("messages[0].content[0]"));
}

#[test]
fn each_medium_is_counted_by_whatever_member_it_comes() {
    let url = "data:image/png;base64,aa";
    let most = Limits::default().media_parts;
    for part in [
        json!({"type": "image", "image": url}),
        json!({"type": "image_url", "image_url": url}),
        json!({"type": "image", "image": "iVBORw0KGgo"}),
        json!({"type": "file", "file": {"file_id": "file-1"}}),
        json!({"type": "text", "text": "x", "image": url}),
        json!({"type": "video"}),
    ] {
        assert!(check(&vec![part.clone(); most].into()).is_ok(), "{part}");
        let error = check(&vec![part.clone(); most + 1].into()).unwrap_err();
        assert!(error.message().contains(&format!("at most {most}")), "{part}: {}", error.message());
    }
    let frames = |count: usize| check(&json!([{"type": "video", "video": vec![url; count]}]));
    assert!(frames(most).is_ok() && frames(most + 1).is_err());
    // Bytes that no data URL says to be such.
    let long = "a".repeat(Limits::default().media_bytes.as_usize() / 3 * 4 + 8);
    assert!(refused(&json!({"type": "image", "base64": long})).message().contains("together"));
}

#[test]
fn an_error_says_how_that_very_medium_is_sent() {
    for (part, url) in [
        (json!({"type": "video_url", "video_url": {"url": "https://x"}}), "data:video/mp4"),
        (json!({"type": "audio_url", "audio_url": {"url": "https://x"}}), "data:audio/wav"),
        (json!({"type": "image_url", "image_url": {"url": "https://x"}}), "data:image/png"),
        (json!({"type": "file", "file": {"file_url": "https://x"}}), "data:application/pdf"),
        (json!({"type": "video", "video": "https://x"}), "data:video/mp4"),
    ] {
        assert!(refused(&part).message().contains(url), "{part}");
    }
}
