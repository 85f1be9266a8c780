//! Who finds what, for how long, and what goes first.

use ghostllm_core::access::{Permissions, Role};

use super::*;

fn key(id: &str) -> Owner {
    Owner::Key(id.into())
}

/// An item that holds so many bytes in all.
fn item(id: &str, bytes: usize) -> KeptItem {
    KeptItem { id: id.to_owned(), json: Bytes::from(vec![b'x'; bytes - ENTRY - id.len()]) }
}

/// Which of these are found.
fn found<'a>(recall: &Recall, owner: &Owner, ids: &[&'a str], now: Instant) -> Vec<&'a str> {
    ids.iter().copied().filter(|id| recall.find(owner, id, now).is_some()).collect()
}

/// That the sums are those of what is there.
fn check(recall: &Recall) {
    let kept = recall.kept();
    assert_eq!(kept.bytes, kept.items.values().map(Item::bytes).sum::<usize>());
    assert_eq!(kept.bytes, kept.owners.values().map(|own| own.bytes).sum::<usize>());
    assert_eq!(kept.places.len(), kept.items.len());
    assert_eq!(kept.items.len(), kept.owners.values().map(|own| own.places.len()).sum::<usize>());
}

#[test]
fn what_is_kept_is_found_by_its_own_caller_alone() {
    let (recall, now) = (Recall::default(), Instant::now());
    let items = vec![item("msg_1", 300), item("fc_1", 301)];
    recall.keep(&key("a"), items.clone(), 1 << 20, now);
    assert_eq!(recall.find(&key("a"), "fc_1", now), Some(items[1].json.clone()));
    assert_eq!(found(&recall, &key("a"), &["msg_1", "fc_1", "msg_2", ""], now), ["msg_1", "fc_1"]);
    for other in [key("b"), Owner::Keyless("a".into()), Owner::Keyless("local".into())] {
        assert_eq!(found(&recall, &other, &["msg_1", "fc_1"], now), [""; 0], "{other:?}");
    }
    check(&recall);
    recall.clear();
    assert_eq!(found(&recall, &key("a"), &["msg_1", "fc_1"], now), [""; 0]);
    check(&recall);
}

#[test]
fn a_key_is_another_caller_than_who_needs_none() {
    let local = Caller::local();
    let permissions: Permissions = Role::User.permissions();
    let keyed = Caller { id: Some("local".into()), permissions, ..Caller::local() };
    assert_ne!(Owner::of(&local), Owner::of(&keyed));
    assert_eq!(Owner::of(&local), Owner::of(&Caller::local()));
    assert_ne!(Owner::of(&Caller::on_admin_socket(Some(1))), Owner::of(&Caller::on_admin_socket(Some(2))));
}

#[test]
fn it_goes_after_an_hour() {
    let (recall, begun) = (Recall::default(), Instant::now());
    recall.keep(&key("a"), vec![item("msg_1", 300)], 1 << 20, begun);
    let (before, after) = (begun + LONGEST - Duration::from_millis(1), begun + LONGEST);
    assert_eq!(found(&recall, &key("a"), &["msg_1"], before), ["msg_1"]);
    assert_eq!(found(&recall, &key("a"), &["msg_1"], after), [""; 0]);
    recall.sweep(1 << 20, before);
    assert_eq!(recall.kept().items.len(), 1);
    recall.sweep(1 << 20, after);
    assert_eq!(recall.kept().items.len(), 0, "nobody has asked, and it is gone all the same");
    check(&recall);
}

#[test]
fn one_caller_holds_half_of_it_and_the_oldest_goes() {
    let (recall, now, most) = (Recall::default(), Instant::now(), 4000);
    recall.keep(&key("b"), vec![item("b_1", 500)], most, now);
    recall.keep(&key("a"), vec![item("a_1", 1000), item("a_2", 1000)], most, now);
    let all = ["a_1", "a_2", "a_3", "a_4"];
    assert_eq!(found(&recall, &key("a"), &all, now), ["a_1", "a_2"], "the half itself is taken");
    recall.keep(&key("a"), vec![item("a_3", 400)], most, now);
    assert_eq!(found(&recall, &key("a"), &all, now), ["a_2", "a_3"]);
    // One that is larger than the half puts nothing else out.
    recall.keep(&key("a"), vec![item("a_4", 2001)], most, now);
    assert_eq!(found(&recall, &key("a"), &all, now), ["a_2", "a_3"]);
    recall.keep(&key("a"), vec![item("a_4", 2000)], most, now);
    assert_eq!(found(&recall, &key("a"), &all, now), ["a_4"]);
    assert_eq!(found(&recall, &key("b"), &["b_1"], now), ["b_1"], "another's is not touched");
    check(&recall);
}

#[test]
fn all_together_hold_no_more_and_the_oldest_of_all_goes() {
    let (recall, now, most) = (Recall::default(), Instant::now(), 3000);
    for (owner, id) in [("a", "a_1"), ("b", "b_1"), ("c", "c_1")] {
        recall.keep(&key(owner), vec![item(id, 1000)], most, now);
    }
    assert_eq!(recall.kept().bytes, most, "the limit itself is taken");
    recall.keep(&key("c"), vec![item("c_2", 400)], most, now);
    let left = |owner| found(&recall, &key(owner), &["a_1", "b_1", "c_1", "c_2"], now);
    assert_eq!((left("a"), left("b"), left("c")), (vec![], vec!["b_1"], vec!["c_1", "c_2"]));
    check(&recall);
    // A smaller limit is kept to at once.
    recall.sweep(1400, now);
    assert_eq!((left("b"), left("c")), (vec![], vec!["c_1", "c_2"]));
    recall.sweep(0, now);
    assert_eq!(left("c"), [""; 0]);
    check(&recall);
}

#[test]
fn nobody_keeps_anything_where_nothing_may_be_held() {
    let mine = Mine { recall: Arc::default(), owner: key("a") };
    assert!(mine.keeper(0).is_none() && mine.keeper(1).is_some());
    let now = Instant::now();
    mine.recall.keep(&mine.owner, vec![item("msg_1", 300)], 0, now);
    assert_eq!(mine.find("msg_1", now), None);
}

#[test]
fn the_first_of_two_of_one_id_is_meant() {
    let (recall, now) = (Recall::default(), Instant::now());
    recall.keep(&key("a"), vec![item("msg_1", 300)], 1 << 20, now);
    recall.keep(&key("b"), vec![item("msg_1", 400)], 1 << 20, now);
    assert_eq!(found(&recall, &key("a"), &["msg_1"], now), ["msg_1"]);
    assert_eq!(found(&recall, &key("b"), &["msg_1"], now), [""; 0]);
    check(&recall);
}
