//! What passes of media in a conversation that is passed on, and what does not.

use serde_json::{Value, json};

use super::super::passthrough::inspect;
use super::super::turns::{self, Looked};
use super::*;

fn check(content: &Value) -> Result<Looked, ApiError> {
    check_body(&json!({"messages": [{"role": "user", "content": content}]}).to_string())
}

fn check_body(body: &str) -> Result<Looked, ApiError> {
    turns::look(&Fields::read(body.as_bytes(), 16)?, &Limits::default())
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
    // What is a file from wherever its reader is.
    for file in
        ["file.png", "images/x.png", "images/x", "etc/passwd", "images\\x", "passwd", "aGk=", "x.png?y"]
    {
        for (part, param) in [
            (json!({"type": "image", "image": file}), "image"),
            (json!({"type": "image", "path": file}), "path"),
            (json!({"type": "image", "image_path": file}), "image_path"),
            (json!({"type": "image", "source": {"url": file}}), "source"),
            (json!({"type": "video", "video": ["data:,", file]}), "video"),
            (json!({"type": "image_url", "image_url": {"url": file}}), "image_url.url"),
            (json!({"type": "text", "text": "x", "image": file}), "image"),
            (json!({"type": "input_audio", "input_audio": {"data": "aa", "path": file}}), "input_audio.path"),
        ] {
            assert_eq!(refused(&part).param(), Some(&*at(param)), "{part}");
        }
    }
    for file in ["file.png", "images/x.png", "images/x", "images\\x"] {
        let part = json!({"type": "image", "image": "data:,", "something": [{"else": file}]});
        assert_eq!(refused(&part).param(), Some(&*at("something")), "{part}");
    }
    // One part in the place of a list.
    let alone = json!({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}});
    assert_eq!(check(&alone).unwrap_err().param(), Some("messages[0].content.image_url.url"));
}

#[test]
fn what_is_inside_of_the_request_passes() {
    let jpeg = "/9j/4AAQSkZJRgABAQ";
    let sound = format!("//uQxAAA{}", "A".repeat(4096));
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
        // The first frame of an MP3, which is no address whatever it looks like.
        json!({"type": "input_audio", "input_audio": {"data": "//uQxAAA", "format": "mp3"}}),
        json!({"type": "input_audio", "input_audio": {"data": "//s0xAAAAAAA//s=", "format": "audio/mp3"}}),
        json!({"type": "audio", "audio": sound}),
        json!({"type": "audio", "audio": "SUQzBAAA"}),
        json!({"type": "input_audio", "input_audio": {"data": "data:audio/wav;base64,aa", "format": "wav"}}),
        // Names, forms and words beside a medium.
        json!({"type": "image_url", "image_url": {"url": "data:,"}, "mime": "image/png", "Mime-Type": "image/png"}),
        json!({"type": "image_url", "image_url": {"url": "data:,"}, "image_type": "image/png", "kind": "image/svg+xml"}),
        json!({"type": "image_url", "image_url": {"url": "data:,", "file_name": "x.png", "Display-Name": "y.png"}}),
        json!({"type": "image", "image": jpeg, "original_name": "x.png", "label": "cat.jpg", "locale": "en/us", "version": "v1.a"}),
        json!({"type": "image", "image": jpeg, "ref": "fig.a"}),
        json!({"type": "text", "text": "x", "source": "https://x", "thought_signature": "/a"}),
        json!({"type": "text", "text": "x", "extra_content": {"google": {"thought_signature": "/a+b"}}}),
        json!({"type": "image", "image": jpeg, "caption": "from https://x/y.png", "description": "/etc/passwd"}),
        json!({"type": "image", "image": jpeg, "metadata": {"source": "https://x", "file": "../x.png", "urls": ["a/b.c"]}}),
        json!({"type": "image", "image": jpeg, "metadata": "https://x"}),
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo"}}),
        json!({"type": "image", "image": jpeg, "resize": "16/9", "size": "low", "model": "v1.2"}),
        json!({"type": "file", "file": {"file_data": "data:,", "filename": "Notes: of today.pdf"}}),
    ] {
        assert!(check(&json!([part])).is_ok(), "{part}: {:?}", check(&json!([part])));
    }
    assert!(check(&json!({"type": "text", "text": "alone"})).is_ok());
}

#[test]
fn what_engines_would_open_is_no_name_and_no_form() {
    for (part, param, words) in [
        (
            json!({"type": "image", "image": "data:,", "mime": "https://x"}),
            "mime",
            "no address, path or file's",
        ),
        (
            json!({"type": "image", "image": "data:,", "thing": "image/x.png"}),
            "thing",
            "no address, path or file's",
        ),
        (
            json!({"type": "image", "image": "data:,", "thing": "images/x"}),
            "thing",
            "no address, path or file's",
        ),
        (
            json!({"type": "image", "image": "data:,", "label": "/etc/passwd"}),
            "label",
            "a name without a path",
        ),
        (
            json!({"type": "image", "image": "data:,", "file-name": "https://x"}),
            "file-name",
            "a name without a path",
        ),
        (json!({"type": "image", "image-url": "x.png"}), "image-url", "must be a data URL"),
        (
            json!({"type": "image", "image": "data:,", "source": "https://x"}),
            "source",
            "no address, path or file's",
        ),
        (json!({"type": "image", "image": "//storage/models/x//"}), "image", "must be a data URL"),
        (json!({"type": "audio", "audio": "//uQxAAA"}), "audio", "must be a data URL"),
        (json!({"type": "file", "file": {"file_data": "//nfs/a/"}}), "file.file_data", "must be a data URL"),
    ] {
        let error = refused(&part);
        assert_eq!(error.param(), Some(&*format!("messages[0].content[0].{param}")), "{part}");
        assert!(error.message().contains(words), "{part}: {error}");
    }
}

#[test]
fn no_client_names_what_an_engine_keeps_of_another_s() {
    for part in [
        json!({"type": "image_url", "image_url": null, "uuid": "other-clients"}),
        json!({"type": "image_url", "image_url": {"url": "data:,"}, "UUID": "x"}),
        json!({"video_url": {"url": "data:,"}, "uuid": "x"}),
    ] {
        let error = refused(&part);
        assert_eq!(error.code(), Code::UnsupportedParameter, "{part}");
        assert!(error.param().unwrap().to_ascii_lowercase().ends_with("content[0].uuid"), "{part}: {error}");
    }
    assert!(check(&json!([{"type": "text", "text": "x", "uuid": "mine"}])).is_ok(), "no engine keeps it");
}

#[test]
fn media_beside_a_content_are_for_those_that_see_them() {
    let check = |turn: Value, more: Value| {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "What?"}]});
        body["messages"][0].as_object_mut().unwrap().extend(turn.as_object().unwrap().clone());
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let passed = inspect(body.to_string().as_bytes(), &Limits::default()).unwrap();
        Behind::ALL.map(|behind| {
            let taken = passed.taken(behind, &Limits::default());
            taken.map(|ignored| assert_eq!(ignored, None)).map_err(|error| {
                assert_eq!(error.code(), Code::UnsupportedParameter);
                error.param().unwrap_or_default().to_owned()
            })
        })
    };
    let png = "iVBORw0KGgo";
    let refused = |name: &str| Err(name.to_owned());
    let images = check(json!({"images": [png]}), json!({}));
    assert_eq!(images, [Ok(()), Ok(()), refused("messages[0].images")]);
    for member in ["videos", "file", "audios", "Images", "image", "audio"] {
        let at = format!("messages[0].{member}");
        assert_eq!(check(json!({member: png}), json!({})), [refused(&at), Ok(()), refused(&at)], "{member}");
        let none = check(json!({member: null}), json!({}));
        assert_eq!(none, [Ok(()), Ok(()), Ok(())], "{member}");
    }
    for field in ["images", "videos", "image_data"] {
        let seen = check(json!({}), json!({field: [png]}));
        assert_eq!(seen, [refused(field), Ok(()), refused(field)], "{field}");
    }
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
        let twice =
            check_body(&format!(r#"{{"messages":[{{"role":"user","content":[{part}]}}]}}"#)).unwrap_err();
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
    // Each frame of a video is a picture.
    let frames = |count: usize| check(&json!([{"type": "video", "video": vec![url; count]}]));
    let error = frames(most + 1).unwrap_err();
    assert!(frames(most).is_ok() && error.param() == Some("messages[0].content[0].video"));
    assert!(error.message().contains("each frame of a list"), "{error}");
    let beside = json!([{"type": "image", "image": url}, {"type": "video", "video": vec![url; most]}]);
    assert!(check(&beside).is_err(), "they are counted with the others");
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

#[test]
fn turns_and_requests_are_looked_at_for_media_of_their_own() {
    for (name, good) in
        [("images", "iVBORw0KGgo"), ("image", "data:,"), ("Videos", "data:,"), ("audios", "SUQzBAAA")]
    {
        let turn = |value: &Value| {
            let turn = json!({"role": "user", "content": "What is that?", name: value});
            check_body(&json!({ "messages": [turn] }).to_string())
        };
        let beside = |value: &Value| check_body(&json!({"messages": [], name: value}).to_string());
        for value in [json!(good), json!([good]), json!({"data": good}), json!(null), json!([])] {
            assert!(turn(&value).is_ok() && beside(&value).is_ok(), "{name} {value}");
        }
        for place in
            ["https://x/y.png", "../x.png", "images/x.png", "file.png", "/etc/passwd", "C:\\x", "passwd"]
        {
            for value in [json!(place), json!([good, place]), json!([{"url": place}])] {
                let error = turn(&value).unwrap_err();
                assert_eq!(error.param(), Some(&*format!("messages[0].{name}")), "{value}");
                assert!(error.message().contains("must be a data URL"), "{error}");
                assert_eq!(beside(&value).unwrap_err().param(), Some(name), "{value}");
            }
        }
        let most = Limits::default().media_parts;
        assert!(turn(&json!(vec![good; most])).is_ok() && turn(&json!(vec![good; most + 1])).is_err());
    }
    // What OpenAI's turns have of what was said aloud is a name.
    let heard = check_body(r#"{"messages":[{"role":"assistant","audio":{"id":"audio_1.x"}}]}"#).unwrap();
    assert!(heard.unheard.audio && !heard.unheard.name);
    // A reader that minds no case takes this for the content.
    let content = json!([{"type": "image_url", "image_url": {"url": "http://x"}}]);
    let body = json!({"messages": [{"role": "user", "Content": content}]}).to_string();
    assert_eq!(check_body(&body).unwrap_err().param(), Some("messages[0].content[0].image_url.url"));
    let twice = r#"{"messages":[{"role":"user","content":"a","CONTENT":"b"}]}"#;
    let error = check_body(twice).unwrap_err();
    assert_eq!(error.param(), Some("messages[0].content"), "{error}");
}
