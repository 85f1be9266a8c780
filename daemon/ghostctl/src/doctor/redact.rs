//! Takes out of a text whatever looks like a secret. What writes the text keeps secrets out of it already; this is for the day on
//! which it fails.

const OUT: &str = "[redacted]";
/// A run of letters of base64 or hexadecimal that is as long is no name.
const LONG: usize = 40;
/// What keys of providers begin with.
const PREFIXES: [&str; 5] = ["gllm_", "sk-", "hf_", "ghp_", "xox"];
/// Words after which a credential follows.
const SCHEMES: [&str; 2] = ["bearer", "basic"];

/// The text without them, line by line.
pub(super) fn redacted(text: &str) -> String {
    let (mut out, mut inside) = (String::with_capacity(text.len()), false);
    // JSON and TOML write the line breaks of a key as \n.
    for line in text.split('\n') {
        let begins = line.contains("-----BEGIN");
        let ends = line.contains("-----END");
        if begins || inside {
            if begins {
                out.push_str(line.split("-----BEGIN").next().unwrap_or_default());
                out.push_str(OUT);
            }
            inside = !ends;
            if ends {
                // What follows the last mark of the end stays, a quote's end for example.
                let rest = line.rsplit("-----").next().unwrap_or_default();
                out.push_str(&words(rest));
                out.push('\n');
            }
            continue;
        }
        out.push_str(&words(line));
        out.push('\n');
    }
    out
}

const fn part_of_a_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '+' | '/' | '=' | '.' | '~')
}

fn words(line: &str) -> String {
    let (mut out, mut rest, mut after_scheme) = (String::new(), line, false);
    while let Some(first) = rest.chars().next() {
        let word = part_of_a_word(first);
        let end = rest.find(|letter| part_of_a_word(letter) != word).unwrap_or(rest.len());
        let (part, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
        rest = behind;
        if !word {
            out.push_str(part);
            continue;
        }
        out.push_str(&if after_scheme { OUT.to_owned() } else { one(part) });
        after_scheme = SCHEMES.iter().any(|scheme| part.eq_ignore_ascii_case(scheme));
    }
    out
}

fn one(word: &str) -> String {
    // `a=sk-…` is a word with a sign in it, and so is a path, whose names stay.
    let pieces = word.split_inclusive(['/', '=']);
    let secret = |piece: &str| {
        let low = piece.to_ascii_lowercase();
        PREFIXES.iter().any(|prefix| {
            low.match_indices(prefix).any(|(place, _)| {
                let before = low.get(..place).and_then(|text| text.chars().next_back());
                before.is_none_or(|letter| !letter.is_ascii_alphanumeric())
                    && low.len() >= place + prefix.len() + 4
            })
        })
    };
    let long = |piece: &str| piece.len() >= LONG && !piece.contains('.');
    if word.len() >= LONG && looks_encoded(word) {
        return OUT.to_owned();
    }
    let out = pieces.map(|piece| if secret(piece) || long(piece) { OUT } else { piece });
    out.collect()
}

/// Base64 with its slashes, and not a path: one of its pieces is longer than a name of a file usually is and has a digit in it, or it
/// is padded.
fn looks_encoded(word: &str) -> bool {
    let path = word.starts_with('/') || word.contains('.');
    !path && word.chars().any(|letter| letter.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_gone_and_the_rest_stays() {
        let long = "0123456789abcdef0123456789abcdef01234567";
        let base64 = "AbC1/dEf2+gHi3/jKl4+mNo5/pQr6+sTu7/vWx8+yZ0==";
        let pem = "-----BEGIN PRIVATE KEY-----\nMIGH\nAgEA\n-----END PRIVATE KEY-----";
        for (text, wanted) in [
            ("key gllm_Ab3dE6gHthis.", "key [redacted]"),
            ("key=sk-ant-12345 end", "key=[redacted] end"),
            ("Authorization: Bearer abc.def end", "Authorization: Bearer [redacted] end"),
            ("{\"a\":\"bearer x\"}", "{\"a\":\"bearer [redacted]\"}"),
            (&format!("id {long}"), "id [redacted]"),
            (&format!("id \"{base64}\""), "id \"[redacted]\""),
            (&format!("a\n{pem}\nb"), "a\n[redacted]\nb"),
            (&format!("\"{}\", b", pem.replace('\n', "\\n")), "\"[redacted]\", b"),
            ("key_file = \"/etc/ghostllm/openai.key\"", "key_file = \"/etc/ghostllm/openai.key\""),
            (
                "/home/somebody-with-a-long-name/.local/state/ghostllm/admin.sock is",
                "/home/somebody-with-a-long-name/.local/state/ghostllm/admin.sock is",
            ),
            ("task-force, desk-lamp", "task-force, desk-lamp"),
        ] {
            assert_eq!(redacted(text), format!("{wanted}\n"), "{text}");
        }
    }
}
