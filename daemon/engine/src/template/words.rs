//! What a template's own text speaks of.
//!
//! Knows the words by which templates go. Refuses to run one: what a template makes of a conversation is known only where it is rendered.
//! Invariant: what is told stands in the text of one of them.

/// By which a template is told whether and how hard to think.
const EFFORTS: [&str; 2] = ["enable_thinking", "reasoning_effort"];

/// How templates speak of what was thought in a turn, by each of the names under which [`super::messages`] has it.
const THOUGHTS: [&str; 10] = [
    ".reasoning_content",
    "'reasoning_content'",
    "\"reasoning_content\"",
    ".thinking",
    "'thinking'",
    "\"thinking\"",
    ".reasoning ",
    ".reasoning|",
    "'reasoning'",
    "\"reasoning\"",
];

/// How they speak of who says it. A function's name stands in nearly all of them.
const NAMES: [&str; 3] = ["message.name", "message['name']", "message[\"name\"]"];

/// By which words a model's templates go of how hard to think, and what they show of a turn beside its words: thoughts
/// (`reasoning_content`), by whatever name they came, and speakers (`name`). A request that says it by another one changes nothing.
#[must_use]
pub fn heeded(templates: &[&str]) -> Vec<&'static str> {
    let has = |word: &&str| templates.iter().any(|template| template.contains(*word));
    let shows = |words: &[&str]| words.iter().any(has);
    let thoughts = shows(&THOUGHTS).then_some("reasoning_content");
    let names = shows(&NAMES).then_some("name");
    EFFORTS.into_iter().filter(has).chain(thoughts).chain(names).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_heeds_what_its_text_speaks_of() {
        for (template, words) in [
            ("{{ message.content }}{% for tool in tools %}{{ tool.function.name }}{% endfor %}", vec![]),
            ("{% if enable_thinking %}<think>{% endif %}", vec!["enable_thinking"]),
            (
                "{{ reasoning_effort }}{{ message.reasoning_content }}",
                vec!["reasoning_effort", "reasoning_content"],
            ),
            ("{% if \"thinking\" in message %}", vec!["reasoning_content"]),
            ("{{ message.reasoning | trim }}{{ message['name'] }}", vec!["reasoning_content", "name"]),
        ] {
            assert_eq!(heeded(&["", template]), words, "{template}");
        }
        assert_eq!(heeded(&[]), Vec::<&str>::new());
    }
}
