use http::HeaderValue;
use http::header::{CACHE_CONTROL, HeaderMap, HeaderName, PRAGMA};
use proptest::prelude::*;

use super::directives::*;

fn answer(lines: &[&'static str]) -> AnswerDirectives {
    let mut fields = HeaderMap::new();
    for line in lines {
        fields.append(CACHE_CONTROL, HeaderValue::from_static(line));
    }
    AnswerDirectives::of(&fields)
}

#[test]
fn numbers_are_read_in_every_form_and_the_safe_one_is_taken() {
    let table = [
        ("max-age=3600", Some(3600)),
        ("MaX-aGe=3600", Some(3600)),
        ("max-age=\"3600\"", Some(3600)),
        ("max-age='3600'", Some(0)),
        ("max-age", Some(0)),
        ("max-age=", Some(0)),
        ("max-age=-1", Some(0)),
        ("max-age=3600.0", Some(0)),
        ("max-age=a100", Some(0)),
        ("max-age=100a", Some(0)),
        ("max-age =100", Some(0)),
        ("max-age= 100", Some(0)),
        ("max-age=007", Some(7)),
        ("max-age=99999999999999999999999", Some(DELTA_MAX)),
        ("max-age=60, max-age=30", Some(30)),
        ("max-age=30, max-age=60", Some(30)),
        ("extension=\"max-age=100\", max-age=1", Some(1)),
        ("max-age=1, extension=\"max-age=100\"", Some(1)),
        ("extension=\"max-age=100\"", None),
        (",, ,max-age=5,", Some(5)),
        ("extension=\"open, max-age=9", Some(9)),
        ("", None),
    ];
    for (line, expected) in table {
        assert_eq!(answer(&[line]).max_age, expected, "`{line}`");
    }
}

#[test]
fn several_lines_are_one_list() {
    let read = answer(&["max-age=60", "no-store, s-maxage=5"]);
    assert_eq!((read.max_age, read.s_maxage, read.no_store), (Some(60), Some(5), true));
}

#[test]
fn fields_named_by_no_cache_are_collected_and_nonsense_means_everything() {
    let names = |names: &[&'static str]| {
        Scope::Fields(names.iter().map(|name| HeaderName::from_static(name)).collect())
    };
    assert_eq!(answer(&["no-cache=\"A, b\", max-age=1"]).no_cache, names(&["a", "b"]));
    assert_eq!(answer(&["private=set-cookie"]).private, names(&["set-cookie"]));
    assert_eq!(answer(&["private=\"a\", private=\"b\""]).private, names(&["a", "b"]));
    assert_eq!(answer(&["private=\"a\", private"]).private, Scope::Whole);
    assert_eq!(answer(&["no-cache=\"\""]).no_cache, Scope::Whole);
    assert_eq!(answer(&["no-cache=\"a b\""]).no_cache, Scope::Whole);
    assert_eq!(answer(&["no-cache =\"a\""]).no_cache, Scope::Whole);
    assert_eq!(answer(&["no-cache"]).no_cache, Scope::Whole);
}

#[test]
fn an_open_quote_hides_no_restriction() {
    assert!(answer(&["max-age=60, x=\"y, no-store"]).no_store);
    assert!(answer(&["max-age=60, x=\"y\\\", no-store"]).no_store);
}

#[test]
fn pragma_counts_only_without_cache_control() {
    let mut fields = HeaderMap::new();
    fields.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    assert!(RequestDirectives::of(&fields).no_cache);
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("max-stale, min-fresh=3"));
    let read = RequestDirectives::of(&fields);
    assert!(!read.no_cache);
    assert_eq!((read.max_stale, read.min_fresh), (Some(u32::MAX), Some(3)));
}

proptest! {
    #[test]
    fn any_line_is_read_without_a_panic(line in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut read = AnswerDirectives::default();
        read.add_line(&line);
        prop_assert!(read.max_age.unwrap_or(0) <= DELTA_MAX);
    }

    #[test]
    fn a_restriction_is_found_wherever_it_stands(
        // No quote behind it that closes one opened before it.
        before in "[a-z=\" ,\\\\0-9]{0,30}", after in "[a-z= ,\\\\0-9]{0,30}",
    ) {
        let line = format!("{before},no-store,{after}");
        let mut read = AnswerDirectives::default();
        read.add_line(line.as_bytes());
        prop_assert!(read.no_store, "{}", line);
    }
}

#[test]
fn hostile_quotes_take_linear_time() {
    // Square time on a megabyte would not end.
    for pattern in ["\"\\", "\"\\,", "\"", ",", "=\"a\","] {
        let line = pattern.repeat(1 << 20);
        let count = directives(line.as_bytes()).count();
        assert!(count <= 1 << 20, "`{pattern}`");
    }
}
