//! The part of an address behind its question mark.
//!
//! Knows `name=value` pairs with `&` between them (url.spec.whatwg.org, `application/x-www-form-urlencoded`). Refuses to know what a name
//! stands for. Invariant: what is misspelled or said twice is refused, never answered as if it had not been said.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::error::ApiError;

/// The values of these parameters, in their order; none for one that is not given.
///
/// # Errors
/// 400 with the parameter's name where one is doubled or has no value; without it where one is none of these.
pub fn read<const N: usize>(query: &str, names: [&str; N]) -> Result<[Option<String>; N], ApiError> {
    let mut values = [const { None }; N];
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let place = names.iter().position(|known| *known == name);
        let field = place.and_then(|place| values.get_mut(place)).ok_or_else(|| unknown(&names))?;
        let plain = value.replace('+', " ");
        let text = percent_decode_str(&plain).decode_utf8().map(Cow::into_owned).ok();
        let text = text.filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| ApiError::invalid_value(name, "a value behind a ="))?;
        if field.replace(text).is_some() {
            return Err(ApiError::invalid_value(name, "given once"));
        }
    }
    Ok(values)
}

/// Its name is not repeated: it is whatever somebody has written.
fn unknown(names: &[&str]) -> ApiError {
    let (last, others) = names.split_last().unwrap_or((&"none", &[]));
    let and = if others.is_empty() { "" } else { " and " };
    ApiError::invalid_request(format!(
        "The query has a parameter other than {}{and}{last}.",
        others.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn each_is_found_by_its_name_once_and_nothing_else_is() {
        let values = read("&b=a%20c+d&", ["a", "b"]).unwrap();
        assert_eq!(values, [None, Some("a c d".to_owned())]);
        for (query, param) in
            [("a", Some("a")), ("a=", Some("a")), ("a=1&a=1", Some("a")), ("a=%ff", Some("a")), ("c=1", None)]
        {
            assert_eq!(read(query, ["a", "b"]).unwrap_err().param(), param, "{query}");
        }
        let message = |error: crate::ApiError| error.message().to_string();
        let all = read("x", ["a", "b", "c"]).unwrap_err();
        assert_eq!(message(all), "The query has a parameter other than a, b and c.");
        assert_eq!(message(read("x", ["a"]).unwrap_err()), "The query has a parameter other than a.");
    }
}
