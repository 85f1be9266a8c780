//! A template with `{{name}}` for a value and `{{#name}} … {{/name}}` for a part that is shown or not.
//!
//! Knows this notation and HTML's escapes. Refuses to know the page. Invariant: a value is always escaped, and is
//! never read as template.

/// A template and what goes into it.
pub(super) struct Template<'a> {
    source: &'a str,
    values: Vec<(String, String)>,
    shown: Vec<&'a str>,
}

impl<'a> Template<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        Self { source, values: Vec::new(), shown: Vec::new() }
    }

    /// Puts a value, escaped, wherever `{{name}}` stands.
    pub(super) fn value(mut self, name: &str, value: &str) -> Self {
        self.values.push((name.to_owned(), escape(value)));
        self
    }

    /// Shows or hides the parts of this name; a part that is never named is hidden.
    pub(super) fn part(mut self, name: &'a str, shown: bool) -> Self {
        if shown {
            self.shown.push(name);
        }
        self
    }

    /// The filled text. A name without a value leaves nothing; the tests see to it that none is left.
    pub(super) fn render(&self) -> String {
        let mut out = String::with_capacity(self.source.len() * 2);
        let mut rest = self.source;
        // Inside a hidden part: the name that ends it. A part does not hold one of its own name.
        let mut hidden: Option<&str> = None;
        while let Some((text, tag, after)) = next_tag(rest) {
            if hidden.is_none() {
                out.push_str(text);
            }
            match (tag.split_at_checked(1), hidden) {
                (Some(("/", name)), Some(ends)) if name == ends => hidden = None,
                (Some(("#", name)), None) if !self.shown.contains(&name) => hidden = Some(name),
                (Some(("#" | "/", _)), _) | (_, Some(_)) => {}
                (_, None) => out.push_str(self.named(tag)),
            }
            rest = after;
        }
        out.push_str(rest);
        out
    }

    fn named(&self, name: &str) -> &str {
        self.values.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// The text before the next tag, the tag's inside, and what follows it.
fn next_tag(source: &str) -> Option<(&str, &str, &str)> {
    let (text, rest) = source.split_once("{{")?;
    let (tag, after) = rest.split_once("}}")?;
    Some((text, tag, after))
}

/// Safe in an element's text and in a quoted attribute.
fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::Template;

    #[test]
    fn puts_values_and_parts() {
        let shown = |on| {
            Template::new("<{{a}}>{{#p}}yes {{a}}{{#q}}never{{/q}}{{/p}}{{#n}}no{{/n}}.")
                .value("a", "1")
                .part("p", on)
                .part("n", !on)
                .render()
        };
        assert_eq!(shown(true), "<1>yes 1.");
        assert_eq!(shown(false), "<1>no.");
    }

    #[test]
    fn escapes_values_and_never_reads_them_as_template() {
        let page =
            Template::new("{{a}}|{{b}}").value("a", "<i a=\"b\">'&{{b}}").value("b", "{{#x}}").render();
        assert_eq!(page, "&lt;i a=&quot;b&quot;&gt;&#39;&amp;{{b}}|{{#x}}");
    }
}
