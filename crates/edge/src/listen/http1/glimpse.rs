//! What can be told of a request whose head was refused: for the log, and for nothing else.

use http::{HeaderMap, Method, Uri, Version};

use crate::exchange::Head;

/// Longer words are no method.
const LONGEST_METHOD: usize = 32;
/// As much of a target as is worth a line.
const LONGEST_TARGET: usize = 256;

/// Method and target as far as the first line shows them, `-` for what it does not.
pub(super) fn glimpse(bytes: &[u8]) -> Head {
    let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).find(|line| !line.is_empty());
    let mut words = line.unwrap_or_default().split(|byte| *byte == b' ');
    let method = words.next().filter(|word| word.len() <= LONGEST_METHOD);
    let target = words.next().filter(|word| word.starts_with(b"/"));
    let target = target.map(|word| word.get(..LONGEST_TARGET).unwrap_or(word));
    let method = method.and_then(|word| Method::from_bytes(word).ok());
    let uri = target.and_then(|target| Uri::try_from(target).ok());
    Head {
        method: method.unwrap_or_else(|| Method::from_bytes(b"-").expect("a token")),
        // No path: the log shows `-`.
        uri: uri.unwrap_or_else(|| Uri::from_static("-")),
        authority: String::new(),
        version: Version::HTTP_11,
        fields: HeaderMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_first_line_shows_is_told_and_nothing_else() {
        let told = |bytes: &[u8]| {
            let head = glimpse(bytes);
            let target = head.uri.path_and_query().map(ToString::to_string);
            (head.method.to_string(), target.unwrap_or_else(|| "-".into()))
        };
        let pair = |method: &str, target: &str| (method.to_owned(), target.to_owned());
        assert_eq!(told(b"GET /a?b HTTP/1.1\r\nHost: a\r\n"), pair("GET", "/a?b"));
        assert_eq!(told(b"\r\nGET /a HT"), pair("GET", "/a"));
        assert_eq!(told(b"GET http://a/ HTTP/1.1\r\n"), pair("GET", "-"));
        assert_eq!(told(b"G(T /\xff\n"), pair("-", "-"));
        assert_eq!(told(&[b'A'; 100]), pair("-", "-"));
        assert_eq!(told(b""), pair("-", "-"));
        let long = [&b"GET /"[..], &[b'x'; 9_000]].concat();
        assert_eq!(told(&long).1.len(), LONGEST_TARGET);
    }
}
