//! The recorded list, and lists that are not.

use super::parse_tags;
use crate::{dialect::recorded::TAGS, routing::Capability};

#[test]
fn the_recorded_list() {
    let tags = parse_tags(TAGS).unwrap();
    let names: Vec<_> = tags.iter().map(|tag| tag.name.as_str()).collect();
    assert_eq!(names, ["tiny-embed:latest", "tiny-think:latest", "tiny:latest"]);
    assert_eq!(tags[0].modified_at, 1_795_430_534);
    assert_eq!(tags[0].size, 1_151_431);
    assert!(tags.iter().all(|tag| tag.context_length == Some(2048)));
    assert!(
        tags.iter().all(|tag| !tag.remote && tag.digest.len() == 64 && tag.capabilities == ["completion"])
    );
}

#[test]
fn a_model_of_another_machine_is_marked() {
    let tags =
        parse_tags(br#"{"models":[{"name":"a:cloud","remote_host":"there","modified_at":"nonsense"}]}"#)
            .unwrap();
    assert!(tags[0].remote);
    assert_eq!(tags[0].modified_at, 0);
}

#[test]
fn a_model_of_the_list_has_what_is_known_of_it_and_nothing_else() {
    let list = br#"{"models":[{"name":"a","capabilities":["vision","completion","mind-reading","vision"],
        "details":{"context_length":8192}},{"name":"b","details":{"context_length":0}},{"name":"c","details":7}]}"#;
    let models: Vec<_> = parse_tags(list).unwrap().into_iter().map(|tag| tag.model("box")).collect();
    assert_eq!(models[0].capabilities, [Capability::Completion, Capability::Vision]);
    assert_eq!((models[0].context_length, models[0].owned_by.as_str()), (Some(8192), "box"));
    for other in &models[1..] {
        assert!(other.capabilities.is_empty() && other.context_length.is_none(), "{other:?}");
    }
}

#[test]
fn one_bad_entry_does_not_hide_the_others() {
    let list = br#"{"models":[{"name":7},{"name":"a\nb"},"x",{"name":""},{"name":"good"}]}"#;
    let tags = parse_tags(list).unwrap();
    assert_eq!(tags.iter().map(|tag| tag.name.as_str()).collect::<Vec<_>>(), ["good"]);
}

#[test]
fn what_cannot_chat_says_so() {
    let list = br#"{"models":[{"name":"old"},{"name":"e","capabilities":["embedding"]},
        {"name":"c","capabilities":["tools","completion"]}]}"#;
    let chats: Vec<_> = parse_tags(list).unwrap().iter().map(super::Tag::chats).collect();
    assert_eq!(chats, [true, false, true]);
}

#[test]
fn empty_lists_and_garbage() {
    assert!(parse_tags(br#"{"models":null}"#).unwrap().is_empty());
    assert!(parse_tags(br#"{"models":[]}"#).unwrap().is_empty());
    assert!(parse_tags(b"Ollama is running").is_err());
    assert!(parse_tags(b"\xff").is_err());
}
