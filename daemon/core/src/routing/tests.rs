//! Who answers for a name.

use super::{BackendModels, Catalog, Model};

fn backend(name: &str, ids: &[&str]) -> BackendModels {
    let model =
        |id: &&str| Model { id: (*id).to_owned(), created: 7, owned_by: name.to_owned(), ..Model::default() };
    BackendModels { name: name.to_owned(), models: Some(ids.iter().map(model).collect()) }
}

fn catalog() -> Catalog {
    Catalog::new(vec![
        backend("ollama", &["tiny:latest", "hf.co/a/b:Q4", "shared", "gguf/odd"]),
        backend("gguf", &["Qwen/Qwen3", "shared", "plain", "odd", "tiny:latest"]),
        BackendModels { name: "silent".to_owned(), models: None },
    ])
}

fn resolve(asked: &str) -> Option<(String, String)> {
    let catalog = catalog();
    let route = catalog.resolve(asked)?;
    assert_eq!(catalog.backends()[route.index].name, route.backend);
    Some((route.backend.to_owned(), route.model.to_owned()))
}

#[test]
fn names_are_resolved_in_the_promised_order() {
    for (asked, backend, model) in [
        ("Qwen/Qwen3", "gguf", "Qwen/Qwen3"),
        ("hf.co/a/b:Q4", "ollama", "hf.co/a/b:Q4"),
        ("shared", "ollama", "shared"),
        ("gguf/shared", "gguf", "shared"),
        ("gguf/odd", "ollama", "gguf/odd"),
        ("gguf/Qwen/Qwen3", "gguf", "Qwen/Qwen3"),
        ("tiny", "ollama", "tiny:latest"),
        ("tiny:latest", "ollama", "tiny:latest"),
        ("ollama/tiny", "ollama", "tiny:latest"),
        ("gguf/tiny", "gguf", "tiny:latest"),
        ("silent/any/thing:1", "silent", "any/thing:1"),
    ] {
        assert_eq!(resolve(asked), Some((backend.to_owned(), model.to_owned())), "{asked}");
    }
}

#[test]
fn what_nobody_has_is_nobodys() {
    for asked in [
        "",
        "/",
        "none",
        "ollama/",
        "silent/",
        "ollama/plain",
        "tiny:q4",
        "plain:latest",
        "nobody/tiny",
        "a/",
    ] {
        assert_eq!(resolve(asked), None, "{asked}");
    }
}

#[test]
fn the_list_has_each_id_once_in_configuration_order() {
    let catalog = catalog();
    let listed: Vec<_> = catalog.list().collect();
    assert!(listed.iter().all(|(place, model)| catalog.backends()[*place].name == model.owned_by));
    let listed: Vec<_> =
        listed.iter().map(|(_, model)| (model.owned_by.as_str(), model.id.as_str())).collect();
    assert_eq!(
        listed,
        [
            ("ollama", "tiny:latest"),
            ("ollama", "hf.co/a/b:Q4"),
            ("ollama", "shared"),
            ("ollama", "gguf/odd"),
            ("gguf", "Qwen/Qwen3"),
            ("gguf", "plain"),
            ("gguf", "odd"),
        ]
    );
}

#[test]
fn one_model_is_found_by_any_of_its_names() {
    let catalog = catalog();
    let (place, model) = catalog.model("gguf/tiny").unwrap();
    assert_eq!((catalog.backends()[place].name.as_str(), model.owned_by.as_str()), ("gguf", "gguf"));
    assert_eq!(catalog.model("tiny").unwrap().1.id, "tiny:latest");
    assert_eq!(catalog.model("silent/x"), None);
    assert_eq!(catalog.model("none"), None);
}
