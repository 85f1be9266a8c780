//! OpenAI's embeddings wire: what is read from a request, what an answer looks like.
//!
//! Knows what is said beside the inputs. Knows nothing of tokens' meaning. Invariant: a request that came through [`Embeddings::read`]
//! has inputs, none of which is empty, and asks for vectors as long as the model makes them.

use super::fields::{self, Field, get, need};
use super::input::Input;
use crate::error::Failure;
use crate::gguf::Summary;
use crate::limits::Limits;
use serde::Deserialize;
use serde_json::{Value, json};

/// RFC 4648, section 4.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[derive(Debug, Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    model: Field<'a>,
    input: Field<'a>,
    encoding_format: Field<'a>,
    dimensions: Field<'a>,
}

/// A request that can be served, if the model has such tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embeddings {
    /// One vector for each.
    pub inputs: Vec<Input>,
    /// Whether vectors are written as base64.
    pub base64: bool,
}

impl Embeddings {
    /// Reads a request's body for the model that a file's head tells of.
    ///
    /// # Errors
    /// 400 with the field at fault.
    pub fn read(body: &[u8], summary: &Summary, limits: &Limits) -> Result<Self, Failure> {
        let body: Body<'_> = fields::read(body)?;
        let words = "'float' or 'base64'";
        let base64 = match get::<String>("encoding_format", body.encoding_format, words)?.as_deref() {
            None | Some("float") => false,
            Some("base64") => true,
            Some(_) => return Err(Failure::wrong_value("encoding_format", words)),
        };
        check_dimensions(body.dimensions, summary)?;
        need::<String>("model", body.model, "a model's name as a string")?;
        let inputs = Input::read("input", body.input, limits.inputs)?;
        match inputs.iter().position(Input::is_empty) {
            Some(index) => Err(Failure::wrong_value(&format!("input[{index}]"), "a text that is not empty")),
            None => Ok(Self { inputs, base64 }),
        }
    }
}

/// The file does not tell whether the model was trained so that its vectors may be cut (Matryoshka), and others must not be.
fn check_dimensions(field: Field<'_>, summary: &Summary) -> Result<(), Failure> {
    match get::<u64>("dimensions", field, "a whole number")? {
        Some(wanted) if summary.dimensions() != Some(wanted) => {
            let own = summary
                .dimensions()
                .map_or_else(String::new, |own| format!(", which are {own} numbers long"));
            let message =
                format!("This engine gives a model's vectors as they are{own}; leave dimensions out");
            Err(Failure::unsupported("dimensions", message))
        }
        _ => Ok(()),
    }
}

/// The answer: `vectors` in the inputs' order, which together were so many tokens.
#[must_use]
pub fn answer(model: &str, vectors: &[Vec<f32>], base64: bool, tokens: usize) -> Value {
    let shown = |vector: &Vec<f32>| if base64 { Value::String(encoded(vector)) } else { json!(vector) };
    let data: Vec<Value> = vectors
        .iter()
        .enumerate()
        .map(|(index, vector)| json!({"object": "embedding", "index": index, "embedding": shown(vector)}))
        .collect();
    let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
    json!({"object": "list", "data": data, "model": model, "usage": usage})
}

/// Numbers of 32 bits each, the lowest byte first, in base64 with padding, as OpenAI's clients read them.
fn encoded(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    base64(&bytes)
}

fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let letter =
                ALPHABET.get((bits >> (18 - 6 * place)) as usize & 63).filter(|_| place <= group.len());
            text.push(letter.map_or('=', |letter| char::from(*letter)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::input::VALUES;
    use super::*;
    use crate::library::Model;

    fn read(more: &Value) -> Result<Embeddings, Failure> {
        let mut body = json!({"model": "m"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let limits = Limits { inputs: 3, ..Limits::default() };
        // Its vectors would have 128 numbers.
        Embeddings::read(&serde_json::to_vec(&body).unwrap(), &Model::demo_for_tests().summary, &limits)
    }

    #[test]
    fn each_form_of_input_is_read() {
        let text = |text: &str| Input::Text(text.into());
        for (input, inputs) in [
            (json!("a"), vec![text("a")]),
            (json!(["a", "b", "c"]), vec![text("a"), text("b"), text("c")]),
            (json!([1, 2]), vec![Input::Tokens(vec![1, 2])]),
            (json!([[1], [2, 3]]), vec![Input::Tokens(vec![1]), Input::Tokens(vec![2, 3])]),
        ] {
            assert_eq!(read(&json!({ "input": input })).unwrap(), Embeddings { inputs, base64: false });
        }
        let more = json!({"input": "a", "encoding_format": "base64", "dimensions": 128, "user": "u"});
        assert!(read(&more).unwrap().base64);
    }

    #[test]
    fn what_cannot_be_embedded_is_refused_by_name() {
        for (more, param) in [
            (json!({}), "input"),
            (json!({"input": null}), "input"),
            (json!({"input": 3}), "input"),
            (json!({"input": []}), "input"),
            (json!({"input": ["a", 1]}), "input"),
            (json!({"input": [1.5]}), "input"),
            (json!({"input": [-1]}), "input"),
            (json!({"input": {"a": 1}}), "input"),
            (json!({"input": ["a", "b", "c", "d"]}), "input"),
            (json!({"input": vec![1; VALUES]}), "input"),
            (json!({"input": ""}), "input[0]"),
            (json!({"input": [[1], []]}), "input[1]"),
            (json!({"input": "a", "encoding_format": "int8"}), "encoding_format"),
            (json!({"input": "a", "dimensions": 64}), "dimensions"),
            (json!({"input": "a", "model": 1}), "model"),
        ] {
            let failure = read(&more).unwrap_err();
            assert_eq!((failure.status.as_u16(), failure.param.as_deref()), (400, Some(param)), "{failure}");
        }
        read(&json!({"input": vec![1; VALUES - 1]})).unwrap();
    }

    #[test]
    fn base64_is_that_of_the_standard() {
        // RFC 4648, section 10.
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
        assert_eq!(encoded(&[1.0, -2.5]), "AACAPwAAIMA=");
    }
}
