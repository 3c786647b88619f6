//! Request targets and authorities (RFC 9112 §3.2, RFC 3986 §3.2).

#![warn(clippy::indexing_slicing)]

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Method, Uri};

use super::head::HeadError;

/// A target taken apart: path and query, and the authority if the target named one.
#[derive(Debug)]
pub struct Target {
    /// Path and query only.
    pub uri: Uri,
    /// Authority of an absolute-form target, lower case.
    pub authority: Option<String>,
}

/// Parses the target of a request line.
pub fn parse(method: &Method, target: Bytes) -> Result<Target, HeadError> {
    if !is_clean(&target) {
        return Err(HeadError::BadTarget);
    }
    if target.first() == Some(&b'/') {
        return Ok(Target { uri: path_only(target)?, authority: None });
    }
    if target.as_ref() == b"*" && method == Method::OPTIONS {
        return Ok(Target { uri: Uri::from_static("*"), authority: None });
    }
    absolute(&target)
}

/// Reads a path and query; `None` if parsers differ on where it ends (RFC 9113 §8.3.1).
pub fn path_and_query(bytes: &[u8]) -> Option<PathAndQuery> {
    if !is_clean(bytes) {
        return None;
    }
    PathAndQuery::try_from(bytes).ok()
}

/// The target of a request with this path, if its method may have it.
pub fn from_path(method: &Method, path: PathAndQuery) -> Result<Uri, HeadError> {
    let bytes = path.as_str().as_bytes();
    let is_path = bytes.first() == Some(&b'/') || (bytes == b"*" && method == Method::OPTIONS);
    if is_path { Ok(Uri::from(path)) } else { Err(HeadError::BadTarget) }
}

/// `#` never belongs into a target, and parsers differ on whether they cut there. Bytes are counted, without
/// a way out between: so they are looked at many at once.
fn is_clean(target: &[u8]) -> bool {
    let is_foreign = |byte: &&u8| !byte.is_ascii_graphic() || **byte == b'#';
    target.iter().filter(is_foreign).count() == 0
}

fn absolute(target: &Bytes) -> Result<Target, HeadError> {
    let text = std::str::from_utf8(target).map_err(|_| HeadError::BadTarget)?;
    let (scheme, rest) = text.split_once("://").ok_or(HeadError::BadTarget)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(HeadError::BadTarget);
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    let authority = Some(authority(host.as_bytes()).ok_or(HeadError::BadTarget)?);
    let uri = match path.as_bytes().first() {
        None => Uri::from_static("/"),
        Some(b'/') => path_only(target.slice_ref(path.as_bytes()))?,
        Some(_) => path_only(Bytes::from(format!("/{path}")))?,
    };
    Ok(Target { uri, authority })
}

fn path_only(path: Bytes) -> Result<Uri, HeadError> {
    let path = PathAndQuery::from_maybe_shared(path).map_err(|_| HeadError::BadTarget)?;
    Ok(Uri::from(path))
}

/// Checks `host[:port]` and lowers it; `None` for anything that could be read in two ways:
/// userinfo, percent signs, blanks, commas, an empty host, a port that is no port.
pub fn authority(bytes: &[u8]) -> Option<String> {
    let host_len = if bytes.first() == Some(&b'[') {
        let inner = memchr::memchr(b']', bytes)?;
        let address = std::str::from_utf8(bytes.get(1..inner)?).ok()?;
        address.parse::<std::net::Ipv6Addr>().ok()?;
        inner + 1
    } else {
        bytes.iter().take_while(|byte| is_of_name(**byte)).count()
    };
    let (host, rest) = bytes.split_at_checked(host_len)?;
    let port = match rest {
        [] => rest,
        [b':', port @ ..] => port,
        _ => return None,
    };
    if host.is_empty() || host.len() > 255 || !is_port(port) {
        return None;
    }
    // A colon without a port says nothing.
    let named = if port.is_empty() { host } else { bytes };
    let mut named = String::from(std::str::from_utf8(named).ok()?);
    named.make_ascii_lowercase();
    Some(named)
}

/// Digits of a number that fits, or nothing.
fn is_port(digits: &[u8]) -> bool {
    let number = digits.iter().try_fold(0_u32, |number, byte| {
        let number = number * 10 + u32::from(byte.checked_sub(b'0').filter(|digit| *digit < 10)?);
        u16::try_from(number).is_ok().then_some(number)
    });
    number.is_some()
}

fn is_of_name(byte: u8) -> bool {
    OF_NAME.get(usize::from(byte)).is_some_and(|is_of_name| *is_of_name)
}

/// Bytes of a registered name that no two programs read differently.
#[expect(clippy::indexing_slicing, reason = "run by the compiler, which checks each index")]
const OF_NAME: [bool; 256] = {
    let mut is_of_name = [false; 256];
    let mut byte = 0_u8;
    while byte < 0x80 {
        is_of_name[byte as usize] =
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        byte += 1;
    }
    is_of_name
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_lowered_and_checked() {
        for (given, expected) in [
            ("Shop.Example:8080", Some("shop.example:8080")),
            ("[::1]:80", Some("[::1]:80")),
            ("[::1]", Some("[::1]")),
            ("a:", Some("a")),
            ("", None),
            (":80", None),
            ("user@a", None),
            ("a:65535", Some("a:65535")),
            ("a:65536", None),
            ("a:99999", None),
            ("a:18446744073709551696", None),
            ("a:8 ", None),
            ("a:+8", None),
            ("a b", None),
            ("a,b", None),
            ("a/b", None),
            ("[::1]x", None),
            ("[nonsense]", None),
            ("a%2eb", None),
        ] {
            assert_eq!(authority(given.as_bytes()).as_deref(), expected, "{given}");
        }
    }

    #[test]
    fn absolute_form_gives_path_and_authority() {
        let target =
            parse(&Method::GET, Bytes::from_static(b"http://A.example?q=1")).expect("valid");
        assert_eq!(target.uri, "/?q=1");
        assert_eq!(target.authority.as_deref(), Some("a.example"));
    }

    #[test]
    fn what_parsers_read_in_two_ways_is_refused() {
        for bad in
            ["", "a", "*", "/a#b", "/\u{e9}", "ftp://a/", "http:///", "http://u@a/", "/a\x7f"]
        {
            let target = Bytes::copy_from_slice(bad.as_bytes());
            assert!(parse(&Method::GET, target).is_err(), "{bad:?}");
        }
    }
}
