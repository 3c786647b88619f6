//! `Vary`: which request fields tell stored variants apart (RFC 9111 §4.1), and the secondary key made
//! of them. `Accept-Encoding` is left out: encodings are variants that the edge makes itself.

use http::header::{ACCEPT_ENCODING, HeaderMap, HeaderName, VARY};

use super::directives::members;
use super::reason::Refusal;
use crate::cache::key::{is_forwarded_for_log, is_in_key, stores};
use crate::config::policy::Policy;

/// More names than this make variants that nobody meets twice.
pub const MAX_NAMES: usize = 16;

/// Fields that the edge writes itself for each client or request: the request as it came does not hold
/// what the origin saw in them.
const OURS: [&str; 5] = ["forwarded", "traceparent", "via", "x-forwarded-for", "x-request-id"];

/// Names in all `Vary` lines: sorted, each once.
///
/// # Errors
/// `Vary: *`, also inside a list; members that are no field names; fields that the edge writes for each
/// client; more than [`MAX_NAMES`].
pub fn names(fields: &HeaderMap) -> Result<Vec<HeaderName>, Refusal> {
    let mut names = Vec::new();
    for member in fields.get_all(VARY).iter().flat_map(|line| members(line.as_bytes())) {
        if member == b"*" {
            return Err(Refusal::VaryStar);
        }
        let name = HeaderName::from_bytes(member).map_err(|_| Refusal::VaryUnusable)?;
        if OURS.contains(&name.as_str()) {
            return Err(Refusal::VaryUnusable);
        }
        if name != ACCEPT_ENCODING && !names.contains(&name) {
            if names.len() == MAX_NAMES {
                return Err(Refusal::VaryUnusable);
            }
            names.push(name);
        }
    }
    names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    Ok(names)
}

/// Appends the secondary key of a request to `key`. Names that the primary key holds already add
/// nothing; nor do, under a policy, fields that no origin was shown.
///
/// Each field starts with a NUL, which no value can contain, so that no value can pass for another
/// field. Absent and empty differ.
pub fn secondary_key(
    names: &[HeaderName],
    fields: &HeaderMap,
    policy: Option<&Policy>,
    key: &mut Vec<u8>,
) {
    for name in names.iter().filter(|name| varies(name, policy)) {
        key.push(0);
        key.extend_from_slice(name.as_str().as_bytes());
        let lines = fields.get_all(name);
        let mut separator = b':';
        for line in lines {
            // Several lines are one list, and space around its commas means nothing (RFC 9111 §4.1).
            // An empty line still tells "empty" from "absent".
            if separator == b':' {
                key.push(b':');
                separator = b' ';
            }
            for member in members(line.as_bytes()) {
                if separator == b',' {
                    key.push(b',');
                }
                key.extend_from_slice(member);
                separator = b',';
            }
        }
    }
}

fn varies(name: &HeaderName, policy: Option<&Policy>) -> bool {
    match policy {
        Some(policy) if stores(policy) => {
            !is_in_key(name, policy) && is_forwarded_for_log(name, policy)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn fields(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(*name, HeaderValue::from_str(value).unwrap());
        }
        fields
    }

    fn key(names: &[&'static str], lines: &[(&'static str, &str)]) -> Vec<u8> {
        let names: Vec<_> = names.iter().map(|name| HeaderName::from_static(name)).collect();
        let mut key = Vec::new();
        secondary_key(&names, &fields(lines), None, &mut key);
        key
    }

    #[test]
    fn two_lines_are_one_list_and_a_star_anywhere_matches_nothing() {
        let read = |lines: &[&str]| {
            let lines: Vec<_> = lines.iter().map(|line| ("vary", *line)).collect();
            names(&fields(&lines)).map(|names| {
                names.iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>().join(" ")
            })
        };
        assert_eq!(read(&[]), Ok(String::new()));
        assert_eq!(
            read(&["Origin, Accept-Encoding", "ACCEPT, origin"]),
            Ok("accept origin".into())
        );
        assert_eq!(read(&["accept, *"]), Err(Refusal::VaryStar));
        assert_eq!(read(&["accept", "*"]), Err(Refusal::VaryStar));
        assert_eq!(read(&["accept language"]), Err(Refusal::VaryUnusable));
        assert_eq!(read(&["X-Forwarded-For"]), Err(Refusal::VaryUnusable));
        let many: Vec<_> = (0..17).map(|i| format!("x-{i}")).collect();
        assert_eq!(read(&[&many.join(",")]), Err(Refusal::VaryUnusable));
    }

    #[test]
    fn spelling_makes_no_variant_and_content_does() {
        let de = key(&["accept-language"], &[("accept-language", "de, en;q=0.5")]);
        assert_eq!(de, key(&["accept-language"], &[("accept-language", " de ,,en;q=0.5 ")]));
        let lines = [("accept-language", "de"), ("accept-language", "en;q=0.5")];
        assert_eq!(de, key(&["accept-language"], &lines));
        assert_ne!(de, key(&["accept-language"], &[("accept-language", "en;q=0.5, de")]));
        assert_ne!(key(&["a"], &[("a", "")]), key(&["a"], &[]));
        assert_ne!(key(&["a", "b"], &[("a", "1")]), key(&["a", "b"], &[("b", "1")]));
    }

    proptest! {
        #[test]
        fn different_members_are_different_keys(
            one in prop::collection::vec("[a-z]{1,3}", 0..3), two in prop::collection::vec("[a-z]{1,3}", 0..3),
            other in prop::collection::vec("[a-z]{1,3}", 0..3), more in prop::collection::vec("[a-z]{1,3}", 0..3),
        ) {
            let make = |a: &[String], b: &[String]| {
                key(&["a", "b"], &[("a", &a.join(", ")), ("b", &b.join(","))])
            };
            prop_assert_eq!(make(&one, &two) == make(&other, &more), (one, two) == (other, more));
        }
    }
}
