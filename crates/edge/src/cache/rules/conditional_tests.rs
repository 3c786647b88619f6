use http::header::{HeaderMap, HeaderValue};
use std::time::UNIX_EPOCH;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::conditional::*;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_767_225_600)
}

fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, value) in lines {
        fields.append(*name, HeaderValue::from_static(value));
    }
    fields
}

const NOV: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const DEC: &str = "Tue, 06 Dec 1994 08:49:37 GMT";

#[test]
fn tags_are_compared_weakly_and_lists_are_read() {
    let holds = |line: &str, etag: &str| none_match_holds(line.as_bytes(), Some(etag.as_bytes()));
    for (line, etag, expected) in [
        ("\"a\"", "\"a\"", true),
        ("W/\"a\"", "\"a\"", true),
        ("\"a\"", "W/\"a\"", true),
        ("\"x\", W/\"a\"", "\"a\"", true),
        ("\"x\",,\"a\",", "\"a\"", true),
        ("\"x,y\", \"a\"", "\"a\"", true),
        ("\"a,b\"", "\"a\"", false),
        ("\"b\"", "\"a\"", false),
        ("a", "\"a\"", false),
        ("w/\"a\"", "\"a\"", false),
        ("\"x, \"a\"", "\"a\"", false),
        ("a", "a", true),
        ("b", "a", false),
        ("*", "\"a\"", true),
        ("", "\"a\"", false),
    ] {
        assert_eq!(holds(line, etag), expected, "`{line}` against `{etag}`");
    }
    assert!(none_match_holds(b"*", None));
    assert!(!none_match_holds(b"\"a\"", None));
}

#[test]
fn the_tag_goes_before_the_date() {
    let stored =
        Validators { etag: Some(b"\"a\""), last_modified: Some(NOV.as_bytes()), date: None };
    let check =
        |lines: &[(&'static str, &'static str)]| is_not_modified(&fields(lines), &stored, now());
    assert!(!check(&[]));
    assert!(check(&[("if-none-match", "\"a\"")]));
    assert!(check(&[("if-none-match", "\"b\""), ("if-none-match", "\"a\"")]));
    assert!(!check(&[("if-none-match", "\"b\""), ("if-modified-since", NOV)]));
    assert!(check(&[("if-modified-since", NOV)]));
    assert!(check(&[("if-modified-since", DEC)]));
    assert!(!check(&[("if-modified-since", "Sun, 06 Nov 1994 08:49:36 GMT")]));
    assert!(!check(&[("if-modified-since", "soon")]));
    assert!(!check(&[("if-match", "\"b\"")]));
    let by_date = Validators { date: Some(NOV.as_bytes()), ..Validators::default() };
    assert!(is_not_modified(&fields(&[("if-modified-since", DEC)]), &by_date, now()));
}

#[test]
fn a_range_condition_is_strong() {
    let applies = |condition: &'static str, stored: Validators<'_>| {
        range_applies(&fields(&[("if-range", condition)]), &stored, now())
    };
    let stored = |etag: &'static str, date: &'static str| Validators {
        etag: Some(etag.as_bytes()),
        last_modified: Some(NOV.as_bytes()),
        date: Some(date.as_bytes()),
    };
    assert!(applies("\"a\"", stored("\"a\"", DEC)));
    assert!(!applies("W/\"a\"", stored("W/\"a\"", DEC)));
    assert!(!applies("\"b\"", stored("\"a\"", DEC)));
    assert!(applies(NOV, stored("\"a\"", DEC)));
    assert!(!applies(NOV, stored("\"a\"", NOV)), "may have changed within the second");
    assert!(!applies(DEC, stored("\"a\"", DEC)));
    assert!(range_applies(&HeaderMap::new(), &stored("\"a\"", DEC), now()));
}

#[test]
fn a_validation_asks_with_what_is_stored_and_nothing_of_the_clients() {
    let mut asked = fields(&[("if-none-match", "\"mine\""), ("range", "bytes=0-1"), ("a", "1")]);
    let stored =
        Validators { etag: Some(b"W/\"a\""), last_modified: Some(NOV.as_bytes()), date: None };
    add_validators(&mut asked, &stored);
    let expected = fields(&[("a", "1"), ("if-none-match", "W/\"a\""), ("if-modified-since", NOV)]);
    assert_eq!(asked, expected);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(
        line in prop::collection::vec(any::<u8>(), 0..80),
        etag in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let _ = none_match_holds(&line, Some(&etag));
    }

    #[test]
    fn a_tag_is_found_among_others(
        tag in "[!#-~]{0,9}", before in prop::collection::vec("[!#-~]{0,9}", 0..4),
    ) {
        let list: Vec<_> = before.iter().chain([&tag]).map(|tag| format!("\"{tag}\"")).collect();
        let etag = format!("W/\"{tag}\"");
        prop_assert!(none_match_holds(list.join(", ").as_bytes(), Some(etag.as_bytes())));
    }
}
